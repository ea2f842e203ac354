//! The phase `alloc`: device memory for a model's weights.

use coldstart_kernels::{Allocation, Device, Kind};
use coldstart_profiles::Bytes;

use crate::weights::error::WeightsError;
use crate::weights::layout::{DeviceLayout, TensorTable};
use crate::weights::memory::{Available, available_host_memory, check_fits};

/// A model's weights on a device.
#[derive(Debug)]
pub struct Loaded<D: Device> {
    /// The one buffer that holds all tensors.
    pub buffer: D::Buffer,
    /// Where each tensor lies in it.
    pub table: TensorTable,
}

/// Refuse a layout that does not fit into the device's free memory, naming both sizes. Allocates nothing.
pub fn check_device_fits<D: Device>(device: &D, layout: &DeviceLayout) -> Result<(), WeightsError> {
    let free = device.memory().map_err(WeightsError::device("ask the device for its free memory"))?.free;
    let kind = device.describe().map_err(WeightsError::device("describe the device"))?.kind;
    let needed = Bytes::new(layout.buffer_bytes());
    let on_device = Available { bytes: Bytes::new(free), bound_by: "the free memory of the device" };
    check_fits("weights", needed, on_device)?;
    match kind {
        Kind::Host => check_fits("weights", needed, available_host_memory()),
        Kind::Cuda => Ok(()),
    }
}

/// Allocate the buffer that `layout` needs: the timed body of the phase `alloc`, without the check before it.
///
/// Huge pages are asked for where the system grants them on request: a load into fresh memory is bound by its page faults,
/// and this cuts them by 512. No page is touched here.
pub fn alloc_weights<D: Device>(device: &D, layout: &DeviceLayout) -> Result<D::Buffer, WeightsError> {
    let how = Allocation { huge_pages: true };
    device
        .alloc_with(layout.buffer_bytes() as usize, how)
        .map_err(WeightsError::device("allocate device memory for the weights"))
}
