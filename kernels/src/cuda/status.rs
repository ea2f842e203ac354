//! What the driver's statuses mean.
//!
//! A driver may be newer than the bindings and answer with a number that they have no name for: statuses are only compared
//! and handed back to the driver here, never matched or printed as the bindings' enum.

use std::ffi::{CStr, c_char};
use std::ptr;

use cudarc::driver::sys;

use crate::DriverStatus;

pub(super) const OUT_OF_MEMORY: u32 = 2;
pub(super) const DEINITIALIZED: u32 = 4;
pub(super) const STUB_LIBRARY: u32 = 34;
pub(super) const DEVICE_UNAVAILABLE: u32 = 46;
pub(super) const NO_DEVICE: u32 = 100;
pub(super) const INVALID_DEVICE: u32 = 101;
pub(super) const OPERATING_SYSTEM: u32 = 304;
pub(super) const NOT_SUPPORTED: u32 = 801;
pub(super) const SYSTEM_NOT_READY: u32 = 802;
pub(super) const SYSTEM_DRIVER_MISMATCH: u32 = 803;
pub(super) const COMPAT_NOT_SUPPORTED: u32 = 804;
pub(super) const UNKNOWN: u32 = 999;

/// Statuses after which a context answers nothing else any more ("the process must be terminated and relaunched", say
/// the driver's docs), and those of a GPU that is gone.
const LOST: [u32; 18] = [
    DEVICE_UNAVAILABLE,
    214, // ECC_UNCORRECTABLE
    220, // NVLINK_UNCORRECTABLE
    226, // CONTAINED, an error that was kept to one process
    700, // ILLEGAL_ADDRESS
    702, // LAUNCH_TIMEOUT
    709, // CONTEXT_IS_DESTROYED
    710, // ASSERT
    714, // HARDWARE_STACK_ERROR
    715, // ILLEGAL_INSTRUCTION
    716, // MISALIGNED_ADDRESS
    717, // INVALID_ADDRESS_SPACE
    718, // INVALID_PC
    719, // LAUNCH_FAILED
    721, // TENSOR_MEMORY_LEAK
    810, // MPS_CLIENT_TERMINATED
    916, // KEY_ROTATION
    UNKNOWN,
];

/// PTX or what it was compiled to was not taken.
const REFUSED: [u32; 7] = [
    200, // INVALID_IMAGE
    209, // NO_BINARY_FOR_GPU
    218, // INVALID_PTX
    221, // JIT_COMPILER_NOT_FOUND
    222, // UNSUPPORTED_PTX_VERSION
    223, // JIT_COMPILATION_DISABLED
    300, // INVALID_SOURCE
];

/// `Ok` where the driver did what it was asked for.
pub(super) fn check(code: sys::CUresult) -> Result<(), DriverStatus> {
    if code as u32 == 0 { Ok(()) } else { Err(describe(code)) }
}

/// What the driver says of a status. Needs the library, but no initialised driver.
fn describe(code: sys::CUresult) -> DriverStatus {
    let text = |get: fn(sys::CUresult, *mut *const c_char) -> bool| {
        let mut text = ptr::null();
        if !get(code, &mut text) || text.is_null() {
            return None;
        }
        // SAFETY: the driver answered with a string that ends with a zero and lives as long as its library, which is
        // never closed.
        let text: &'static CStr = unsafe { CStr::from_ptr(text) };
        text.to_str().ok()
    };
    // SAFETY: `place` outlives the call, and the driver takes any number as a status.
    let name = text(|code, place| unsafe { sys::cuGetErrorName(code, place) } as u32 == 0);
    // SAFETY: as above.
    let about = text(|code, place| unsafe { sys::cuGetErrorString(code, place) } as u32 == 0);
    DriverStatus {
        code: code as u32,
        name: name.unwrap_or("a status that the driver has no name for"),
        text: about.unwrap_or_default(),
    }
}

/// Whether nothing can be done with the context any more.
pub(super) fn is_lost(status: &DriverStatus) -> bool {
    LOST.contains(&status.code)
}

/// Whether the driver did not take the kernels.
pub(super) fn is_refusal(status: &DriverStatus) -> bool {
    REFUSED.contains(&status.code)
}

/// What would change a status that an ordinary call got; empty where nothing is known.
pub(super) fn remedy(code: u32) -> &'static str {
    match code {
        OUT_OF_MEMORY => {
            "end other processes on this GPU (nvidia-smi lists them), or take a smaller model or batch"
        }
        209 => "the kernels run on GPUs from compute capability 8.0 (Ampere) on",
        221 => {
            "the driver's compiler libnvidia-ptxjitcompiler.so.1 was not found: install it with the driver, in a \
             container by NVIDIA_DRIVER_CAPABILITIES=compute,utility"
        }
        223 => "unset CUDA_DISABLE_PTX_JIT and CUDA_DISABLE_JIT",
        701 => "the kernel needs more threads, registers or shared memory than this GPU has",
        712 => "a part of it is page-locked already",
        NOT_SUPPORTED => "this GPU, driver or kernel of the system cannot do it",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u32) -> DriverStatus {
        DriverStatus { code, name: "NAME", text: "" }
    }

    #[test]
    fn what_a_context_survives_is_told_apart() {
        for code in [46, 214, 700, 702, 710, 714, 715, 716, 717, 718, 719, 999] {
            assert!(is_lost(&status(code)), "{code}");
        }
        for code in [1, 2, 100, 101, 218, 600, 701, 712, 801, 900, 901] {
            assert!(!is_lost(&status(code)), "{code}");
        }
        assert!(is_refusal(&status(222)) && !is_refusal(&status(2)));
    }

    #[test]
    fn a_status_is_readable() {
        let status = DriverStatus { text: "out of memory", ..status(2) };
        assert_eq!(status.to_string(), "NAME (2), out of memory");
    }
}
