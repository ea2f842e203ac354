//! The driver, by hand: a few entry points of whatever `libcuda.so.1` the process finds.

use std::ffi::{CStr, CString, c_char, c_void};
use std::path::{Path, PathBuf};

pub(crate) type Handle = *mut c_void;

fn library() -> *mut c_void {
    // SAFETY: opens the library that LD_LIBRARY_PATH names, which is the stand-in.
    let library = unsafe { libc::dlopen(c"libcuda.so.1".as_ptr(), libc::RTLD_NOW) };
    assert!(!library.is_null(), "no libcuda.so.1 is found");
    library
}

/// The address of an entry point; null where the driver has none.
pub(crate) fn symbol(name: &str) -> *mut c_void {
    let name = CString::new(name).unwrap();
    // SAFETY: the library is open and is never closed.
    unsafe { libc::dlsym(library(), name.as_ptr()) }
}

/// Calls an entry point: `cu!(cuInit(0 => u32))` is its result code.
macro_rules! cu {
    ($name:ident($($value:expr => $type:ty),* $(,)?)) => {{
        let address = crate::cuda::symbol(stringify!($name));
        assert!(!address.is_null(), "no {}", stringify!($name));
        // SAFETY: the types are those of cuda.h.
        let function = unsafe {
            std::mem::transmute::<*mut std::ffi::c_void, extern "C" fn($($type),*) -> i32>(address)
        };
        function($($value),*)
    }};
}
pub(crate) use cu;

/// What the stand-in told last.
pub(crate) fn report() -> String {
    // SAFETY: the stand-in's own function, which returns a C string or null.
    unsafe {
        let function = std::mem::transmute::<*mut c_void, extern "C" fn() -> *const c_char>(symbol(
            "coldstart_stand_in_report",
        ));
        let text = function();
        if text.is_null() { String::new() } else { CStr::from_ptr(text).to_string_lossy().into_owned() }
    }
}

/// Makes the primary context of a device current.
pub(crate) fn open(device: i32) -> Handle {
    let mut context: Handle = std::ptr::null_mut();
    assert_eq!(cu!(cuInit(0 => u32)), 0);
    assert_eq!(cu!(cuDevicePrimaryCtxRetain(&mut context => &mut Handle, device => i32)), 0);
    assert_eq!(cu!(cuCtxSetCurrent(context => Handle)), 0);
    context
}

pub(crate) fn stream() -> Handle {
    let mut stream: Handle = std::ptr::null_mut();
    assert_eq!(cu!(cuStreamCreate(&mut stream => &mut Handle, 1 => u32)), 0);
    stream
}

pub(crate) fn event() -> Handle {
    let mut event: Handle = std::ptr::null_mut();
    assert_eq!(cu!(cuEventCreate(&mut event => &mut Handle, 0 => u32)), 0);
    event
}

pub(crate) fn sync(stream: Handle) -> i32 {
    cu!(cuStreamSynchronize(stream => Handle))
}

pub(crate) fn alloc(bytes: usize) -> u64 {
    let mut address = 0;
    assert_eq!(cu!(cuMemAlloc_v2(&mut address => &mut u64, bytes => usize)), 0);
    address
}

/// Pinned memory for so many numbers.
pub(crate) fn pinned(numbers: usize) -> &'static mut [u32] {
    let mut place: *mut u32 = std::ptr::null_mut();
    assert_eq!(cu!(cuMemHostAlloc(&mut place => &mut *mut u32, numbers * 4 => usize, 0 => u32)), 0);
    // SAFETY: the driver made so many bytes and keeps them until they are freed.
    unsafe { std::slice::from_raw_parts_mut(place, numbers) }
}

/// Device memory with these numbers in it.
pub(crate) fn upload<T: Copy>(numbers: &[T]) -> u64 {
    let bytes = size_of_val(numbers);
    let address = alloc(bytes);
    assert_eq!(cu!(cuMemcpyHtoD_v2(address => u64, numbers.as_ptr() => *const T, bytes => usize)), 0);
    assert_eq!(cu!(cuCtxSynchronize()), 0);
    address
}

/// Numbers from device memory, after all work of the device.
pub(crate) fn download<T: Copy + Default>(address: u64, count: usize) -> Vec<T> {
    let mut numbers = vec![T::default(); count];
    assert_eq!(cu!(cuCtxSynchronize()), 0, "{}", report());
    let bytes = size_of_val(&numbers[..]);
    assert_eq!(cu!(cuMemcpyDtoH_v2(numbers.as_mut_ptr() => *mut T, address => u64, bytes => usize)), 0);
    numbers
}

/// A kernel's parameter: its bytes.
pub(crate) trait Parameter {
    fn bytes(&self) -> Vec<u8>;
}
macro_rules! parameters {
    ($($type:ty),*) => {$(
        impl Parameter for $type {
            fn bytes(&self) -> Vec<u8> {
                self.to_le_bytes().to_vec()
            }
        }
    )*};
}
parameters!(u64, i64, u32, i32, f32);

impl Parameter for (u64, i32, i32, i64) {
    fn bytes(&self) -> Vec<u8> {
        [self.0.bytes(), self.1.bytes(), self.2.bytes(), self.3.bytes()].concat()
    }
}

/// PTX of a kernel as far as the stand-in reads it.
pub(crate) fn ptx(name: &str, sizes: &[usize], shared: usize) -> CString {
    let parameters: Vec<String> = sizes
        .iter()
        .enumerate()
        .map(|(index, size)| format!("\t.param .align 8 .b8 {name}_param_{index}[{size}]"))
        .collect();
    let shared = if shared == 0 {
        String::new()
    } else {
        format!("\t.shared .align 16 .b8 tile[{shared}];\n\tmov.u64 %rd1, tile;\n")
    };
    CString::new(format!(
        ".version 8.0\n.target sm_80\n.address_size 64\n.visible .entry {name}(\n{}\n)\n{{\n{shared}}}\n",
        parameters.join(",\n")
    ))
    .unwrap()
}

/// A kernel, loaded from such PTX.
#[derive(Clone, Copy)]
pub(crate) struct Kernel(pub(crate) Handle);

pub(crate) fn kernel(name: &str, sizes: &[usize], shared: usize) -> Kernel {
    let (mut module, mut function): (Handle, Handle) = (std::ptr::null_mut(), std::ptr::null_mut());
    let image = ptx(name, sizes, shared);
    assert_eq!(cu!(cuModuleLoadData(&mut module => &mut Handle, image.as_ptr() => *const c_char)), 0);
    let text = CString::new(name).unwrap();
    let code = cu!(cuModuleGetFunction(&mut function => &mut Handle, module => Handle, text.as_ptr() => *const c_char));
    assert_eq!(code, 0, "{}", report());
    Kernel(function)
}

impl Kernel {
    pub(crate) fn launch(
        self,
        stream: Handle,
        blocks: u32,
        threads: u32,
        shared: u32,
        values: &[&dyn Parameter],
    ) -> i32 {
        let mut bytes: Vec<Vec<u8>> = values.iter().map(|value| value.bytes()).collect();
        let mut places: Vec<*mut u8> = bytes.iter_mut().map(Vec::as_mut_ptr).collect();
        cu!(cuLaunchKernel(
            self.0 => Handle, blocks => u32, 1 => u32, 1 => u32, threads => u32, 1 => u32, 1 => u32, shared => u32,
            stream => Handle, places.as_mut_ptr() => *mut *mut u8, std::ptr::null_mut() => Handle,
        ))
    }
}

pub(crate) fn kernels() -> Result<PathBuf, coldstart_stand_in::Error> {
    coldstart_stand_in::directory_of_kernels(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kernels"))
}

/// Runs `body` on the stand-in with the kernels of `tests/kernels`.
pub(crate) fn on_stand_in(test: &str, environment: &[(&str, &str)], body: impl FnOnce()) {
    coldstart_stand_in::in_process_with(kernels, test, environment, body);
}

/// The same where the driver lacks an entry point.
pub(crate) fn on_older_driver(test: &str, missing: &str, body: impl FnOnce()) {
    let directory = || coldstart_stand_in::without_symbol(&kernels()?, missing);
    coldstart_stand_in::in_process_with(directory, test, &[], body);
}
