//! The phase `alloc`: from before the first device allocation of the weights' size, to the sync after it.

use coldstart_kernels::Device;
use coldstart_profiles::{AllocDetail, Bytes, Detail, Params, Phase, Reading};

use super::forward::{Began, timed_reading};
use crate::trial::ChildError;
use crate::weights::{DeviceLayout, alloc_weights};

/// Allocates the weights' buffer. Free memory before and after is asked for outside of the clock.
///
/// On a device that defers the work to the first touch (the host) the allocation itself is nearly free, and its price
/// is paid in `weights_load`: that is how that device works, so that is how it is reported.
///
/// # Errors
/// When the device has not the memory.
pub(crate) fn alloc<D: Device>(
    device: &D,
    layout: &DeviceLayout,
    began: Began,
) -> Result<(D::Buffer, Reading), ChildError> {
    let free = || device.memory().map(|memory| memory.free);
    let before = free()?;
    let begin = began.elapsed();
    let timed = device.time(|| {
        let buffer = alloc_weights(device, layout)?;
        device.sync()?;
        Ok::<_, ChildError>(buffer)
    })?;
    let detail = AllocDetail {
        requested_bytes: Bytes::new(layout.buffer_bytes()),
        free_before_bytes: Bytes::new(before),
        free_after_bytes: Bytes::new(free()?),
    };
    let reading = Reading {
        detail: Some(Detail::Alloc(detail)),
        ..timed_reading(Phase::Alloc, Params::new(), begin, &timed)
    };
    Ok((timed.value, reading))
}
