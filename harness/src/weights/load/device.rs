//! What a load needs of a device beyond [`Device`].

use coldstart_kernels::cuda::{CudaBuffer, CudaDevice};
use coldstart_kernels::{Device, HostBuffer, HostDevice};

/// A device that weights are loaded to.
pub trait LoadDevice: Device {
    /// The whole buffer as memory that the CPU can write, where the device has such memory (the host device).
    ///
    /// A load then copies with several threads, each into its own part, or reads straight into it.
    fn host_bytes(buffer: &mut Self::Buffer) -> Option<&mut [u8]>;
}

impl LoadDevice for HostDevice {
    fn host_bytes(buffer: &mut HostBuffer) -> Option<&mut [u8]> {
        Some(buffer.as_mut_slice())
    }
}

impl LoadDevice for CudaDevice {
    fn host_bytes(_: &mut CudaBuffer) -> Option<&mut [u8]> {
        None
    }
}
