//! What crosses the border to C: result codes, places for results, texts, handles. The values are those of `cuda.h`.

use std::ffi::{CStr, c_char, c_void};

/// A `CUresult`.
#[repr(transparent)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Code(pub(crate) i32);

macro_rules! codes {
    ($($name:ident = $number:literal, $text:literal;)*) => {
        #[expect(dead_code, reason = "a fault that a test asks for may be any of them")]
        impl Code {
            $(pub(crate) const $name: Code = Code($number);)*
        }

        /// Number, name and text of every code that this driver knows.
        const TABLE: &[(i32, &CStr, &CStr)] = &[
            $((
                $number,
                match CStr::from_bytes_with_nul(concat!("CUDA_", stringify!($name), "\0").as_bytes()) {
                    Ok(name) => name,
                    Err(_) => c"",
                },
                match CStr::from_bytes_with_nul(concat!($text, "\0").as_bytes()) {
                    Ok(text) => text,
                    Err(_) => c"",
                },
            )),*
        ];
    };
}

codes! {
    SUCCESS = 0, "no error";
    ERROR_INVALID_VALUE = 1, "invalid argument";
    ERROR_OUT_OF_MEMORY = 2, "out of memory";
    ERROR_NOT_INITIALIZED = 3, "initialization error";
    ERROR_STUB_LIBRARY = 34, "CUDA driver is a stub library";
    ERROR_DEVICE_UNAVAILABLE = 46, "CUDA-capable device(s) is/are busy or unavailable";
    ERROR_NO_DEVICE = 100, "no CUDA-capable device is detected";
    ERROR_INVALID_DEVICE = 101, "invalid device ordinal";
    ERROR_INVALID_IMAGE = 200, "device kernel image is invalid";
    ERROR_INVALID_CONTEXT = 201, "invalid device context";
    ERROR_NO_BINARY_FOR_GPU = 209, "no kernel image is available for execution on the device";
    ERROR_ECC_UNCORRECTABLE = 214, "uncorrectable ECC error encountered";
    ERROR_INVALID_PTX = 218, "a PTX JIT compilation failed";
    ERROR_NVLINK_UNCORRECTABLE = 220, "uncorrectable NVLink error detected during the execution";
    ERROR_JIT_COMPILER_NOT_FOUND = 221, "PTX JIT compiler library not found";
    ERROR_UNSUPPORTED_PTX_VERSION = 222, "the provided PTX was compiled with an unsupported toolchain.";
    ERROR_FILE_NOT_FOUND = 301, "file not found";
    ERROR_SHARED_OBJECT_INIT_FAILED = 303, "shared object initialization failed";
    ERROR_OPERATING_SYSTEM = 304, "OS call failed or operation not supported on this OS";
    ERROR_INVALID_HANDLE = 400, "invalid resource handle";
    ERROR_ILLEGAL_STATE = 401, "the operation cannot be performed in the present state";
    ERROR_NOT_FOUND = 500, "named symbol not found";
    ERROR_NOT_READY = 600, "device not ready";
    ERROR_ILLEGAL_ADDRESS = 700, "an illegal memory access was encountered";
    ERROR_LAUNCH_OUT_OF_RESOURCES = 701, "too many resources requested for launch";
    ERROR_LAUNCH_TIMEOUT = 702, "the launch timed out and was terminated";
    ERROR_PRIMARY_CONTEXT_ACTIVE = 708, "cannot set while device is active in this process";
    ERROR_CONTEXT_IS_DESTROYED = 709, "context is destroyed";
    ERROR_ASSERT = 710, "device-side assert triggered";
    ERROR_HOST_MEMORY_ALREADY_REGISTERED = 712, "part or all of the requested memory range is already mapped";
    ERROR_HOST_MEMORY_NOT_REGISTERED = 713, "pointer does not correspond to a registered memory region";
    ERROR_HARDWARE_STACK_ERROR = 714, "hardware stack error";
    ERROR_ILLEGAL_INSTRUCTION = 715, "an illegal instruction was encountered";
    ERROR_MISALIGNED_ADDRESS = 716, "misaligned address";
    ERROR_LAUNCH_FAILED = 719, "unspecified launch failure";
    ERROR_NOT_PERMITTED = 800, "operation not permitted";
    ERROR_NOT_SUPPORTED = 801, "operation not supported";
    ERROR_SYSTEM_NOT_READY = 802, "system not yet initialized";
    ERROR_SYSTEM_DRIVER_MISMATCH = 803, "system has unsupported display driver / cuda driver combination";
    ERROR_STREAM_CAPTURE_UNSUPPORTED = 900, "operation not permitted when stream is capturing";
    ERROR_STREAM_CAPTURE_INVALIDATED = 901, "operation failed due to a previous error during capture";
    ERROR_STREAM_CAPTURE_MERGE = 902, "operation would result in a merge of separate capture sequences";
    ERROR_STREAM_CAPTURE_UNMATCHED = 903, "capture was not ended in the same stream as it began";
    ERROR_STREAM_CAPTURE_UNJOINED = 904, "capturing stream has unjoined work";
    ERROR_STREAM_CAPTURE_ISOLATION = 905, "dependency created on uncaptured work in another stream";
    ERROR_STREAM_CAPTURE_IMPLICIT = 906, "operation would make the legacy stream depend on a capturing blocking stream";
    ERROR_CAPTURED_EVENT = 907, "operation not permitted on an event last recorded in a capturing stream";
    ERROR_STREAM_CAPTURE_WRONG_THREAD = 908, "attempt to terminate a thread-local capture sequence from another thread";
    ERROR_UNKNOWN = 999, "unknown error";
}

impl Code {
    /// Whether the context is of no more use once work of it has failed so.
    pub(crate) fn is_sticky(self) -> bool {
        matches!(self.0, 46 | 214 | 220 | 700 | 702 | 710 | 714..=719 | 999)
    }

    /// Its name and text in `cuda.h`; `None` for a number that is none of it.
    pub(crate) fn texts(self) -> Option<(&'static CStr, &'static CStr)> {
        TABLE.iter().find(|(number, ..)| *number == self.0).map(|(_, name, text)| (*name, *text))
    }
}

/// What an entry point does.
pub(crate) type Outcome = Result<(), Code>;

/// Where the caller wants a result.
#[repr(transparent)]
pub(crate) struct Out<T>(*mut T);

impl<T> Clone for Out<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Out<T> {}

impl<T> Out<T> {
    /// A place whose type another argument says.
    pub(crate) fn at(place: *mut c_void) -> Self {
        Out(place.cast())
    }

    /// Stores it; a null pointer is an invalid value.
    pub(crate) fn set(self, value: T) -> Outcome {
        if self.0.is_null() {
            return Err(Code::ERROR_INVALID_VALUE);
        }
        // SAFETY: the driver API asks the caller for a pointer to writable memory of this type.
        unsafe { self.0.write(value) };
        Ok(())
    }

    /// Stores it where the caller wants it.
    pub(crate) fn set_if_wanted(self, value: T) {
        let _ = self.set(value);
    }

    /// Whether there is none.
    pub(crate) fn is_null(self) -> bool {
        self.0.is_null()
    }

    /// What the caller left there.
    pub(crate) fn get(self) -> Result<T, Code>
    where
        T: Copy,
    {
        if self.0.is_null() {
            return Err(Code::ERROR_INVALID_VALUE);
        }
        // SAFETY: the driver API asks the caller for a pointer to initialised memory of this type.
        Ok(unsafe { self.0.read() })
    }

    /// Stores `values` one after the other; the caller vouched for so much room.
    pub(crate) fn fill(self, values: impl IntoIterator<Item = T>) {
        for (index, value) in values.into_iter().enumerate() {
            // SAFETY: the caller said that there is room for as many as he asked for.
            unsafe { self.0.add(index).write(value) };
        }
    }
}

/// An array that the caller hands over.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub(crate) struct In<T>(*const T);

impl<T: Copy> In<T> {
    /// Element `index`; the caller vouched for so many.
    pub(crate) fn get(self, index: usize) -> Result<T, Code> {
        if self.0.is_null() {
            return Err(Code::ERROR_INVALID_VALUE);
        }
        // SAFETY: the caller said that there are more than `index` elements.
        Ok(unsafe { self.0.add(index).read() })
    }

    /// Whether there is none.
    pub(crate) fn is_null(self) -> bool {
        self.0.is_null()
    }
}

/// A C string that the caller hands over.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub(crate) struct Text(*const c_char);

impl Text {
    /// Its bytes, without the end mark.
    pub(crate) fn bytes(self) -> Result<Vec<u8>, Code> {
        if self.0.is_null() {
            return Err(Code::ERROR_INVALID_VALUE);
        }
        // SAFETY: the driver API asks for a string that ends with a zero byte.
        Ok(unsafe { CStr::from_ptr(self.0) }.to_bytes().to_vec())
    }

    /// As text.
    pub(crate) fn string(self) -> Result<String, Code> {
        Ok(String::from_utf8_lossy(&self.bytes()?).into_owned())
    }
}

/// Writes `text` and an end mark into a C buffer, cut to its size.
pub(crate) fn write_text(buffer: *mut c_char, size: usize, text: &str) {
    if buffer.is_null() || size == 0 {
        return;
    }
    let bytes = &text.as_bytes()[..text.len().min(size - 1)];
    // SAFETY: the caller vouches for `size` bytes, of which at most all are written.
    unsafe {
        std::ptr::copy_nonoverlapping(bytes.as_ptr().cast(), buffer, bytes.len());
        buffer.add(bytes.len()).write(0);
    }
}

/// `bytes` bytes at an address of the caller's.
pub(crate) fn bytes_at(address: u64, bytes: usize) -> Vec<u8> {
    let mut copy = vec![0; bytes];
    copy_bytes(address, copy.as_mut_ptr() as u64, bytes);
    copy
}

/// Copies between two addresses, which may overlap.
pub(crate) fn copy_bytes(from: u64, to: u64, bytes: usize) {
    // SAFETY: device memory was checked against its range; for host memory the driver API makes the caller vouch.
    unsafe { std::ptr::copy(from as *const u8, to as *mut u8, bytes) };
}

/// An opaque pointer of the API, as a number.
pub(crate) type Handle = *mut c_void;

/// A handle as the number that it is.
pub(crate) fn number(handle: Handle) -> u64 {
    handle as u64
}

/// A number as a handle.
pub(crate) fn handle(number: u64) -> Handle {
    number as Handle
}
