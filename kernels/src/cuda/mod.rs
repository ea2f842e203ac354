//! NVIDIA GPUs, through the driver alone: nothing of the CUDA toolkit is needed where it runs.
//!
//! A cold start can be taken apart: [`Driver::load`] opens the driver's library and initialises it, [`Context::create`] makes the
//! primary context of one GPU, and [`Context::load_kernels`] hands our kernels to the driver and makes a [`CudaDevice`] of
//! it, on which everything else runs. [`Device::open`](crate::Device::open) does the three in a row.
//!
//! The kernels are in `cuda/*.cu`, compiled ahead of time to the PTX in `ptx/`, which the driver compiles for the GPU that it
//! has. `launch` hands arguments to them; one module a `.cu` file checks shapes and launches.

mod attention;
mod bytes;
mod device;
mod driver;
mod elementwise;
mod launch;
mod linear;
mod memory;
mod ops;
mod ptx;
mod rows;

pub use device::{Context, CudaDevice, CudaGraph, CudaStream, Loading, ModuleReport};
pub use driver::{Driver, Loaded};
pub use memory::{CudaBuffer, CudaPinned, CudaRegistered};
