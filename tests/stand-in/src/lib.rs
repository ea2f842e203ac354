//! The stand-in of the CUDA driver, ready to be used by a test.
//!
//! Cargo has built `libcoldstart_stand_in_cuda.so` beside the test, because this crate depends on it. [`directory`] puts it under the
//! names that the real driver has into a directory of its own, together with coldstart's kernels, which it compiles for the
//! host with g++ or clang++. Whoever has that directory on LD_LIBRARY_PATH finds a GPU. Since that must be set before a
//! process starts, [`in_process`] lets a test run itself again:
//!
//! ```ignore
//! #[test]
//! fn adds() {
//!     coldstart_stand_in::in_process(coldstart_stand_in::this_test!(), &[], || {
//!         let device = CudaDevice::open(0).unwrap();
//!         // …
//!     });
//! }
//! ```
//!
//! Where there is no compiler such tests say that they are skipped, and fail where `COLDSTART_REQUIRE` lists
//! `cuda-stand-in`.

mod assemble;
mod compile;
mod error;
mod process;

pub use assemble::{Library, directory, directory_of_kernels, directory_with, without_symbol};
pub use error::Error;
pub use process::{available, in_process, in_process_with, library_path, unless_missing};

/// The name of the test function that this stands in, as `--exact` wants it. Not inside of a closure.
#[macro_export]
macro_rules! this_test {
    () => {{
        fn here() {}
        fn name<T>(_: T) -> &'static str {
            ::std::any::type_name::<T>()
        }
        let full = name(here);
        let full = full.strip_suffix("::here").unwrap_or(full);
        full.split_once("::").map_or(full, |(_, path)| path)
    }};
}
