//! NVIDIA GPUs, through the driver alone: nothing of the CUDA toolkit is needed where it runs.
//!
//! A cold start can be taken apart: [`Driver::load`] opens the driver's library and initialises it, [`Context::create`] makes the
//! primary context of one GPU, and [`Context::load_kernels`] hands our kernels to the driver and makes a [`CudaDevice`] of
//! it, on which everything else runs. [`Device::open`](crate::Device::open) does the three in a row.
//!
//! The kernels are in `cuda/*.cu`, compiled ahead of time to the PTX in `ptx/`, which the driver compiles for the GPU that it
//! has. `launch` hands arguments to them; one module a `.cu` file checks shapes and launches.
//!
//! Of cudarc only the bindings are used (`driver::sys`): its safe layer keeps two events for every buffer, takes device memory
//! from a pool and makes all pinned memory write-combined, and each of that would be measured along with what it is about; and
//! its `Result` wrappers read a status that is newer than the bindings as success or as another one. The bindings panic where the
//! library or a function is missing, so `driver` opens the library itself and `symbols` looks for every function beforehand.
//!
//! `primary` is the context that everything of one device shares: it makes itself current on the calling thread, turns
//! statuses into errors by way of `status`, and remembers what failed where nothing can be returned.

mod attention;
mod bytes;
mod context;
mod cycle;
mod device;
mod diagnosis;
mod driver;
mod elementwise;
mod event;
mod facts;
mod graph;
mod hold;
mod launch;
mod linear;
mod memory;
mod modules;
mod ops;
mod packs;

mod pinned;
mod primary;
mod ptx;
mod registered;
mod rows;
mod status;
mod stream;
mod symbols;

pub use context::{Context, Loading};
pub use cycle::flop_per_cycle;
pub use device::CudaDevice;
pub use driver::{Driver, Loaded};
pub use event::CudaMark;
pub use facts::Facts;
pub use graph::CudaGraph;
pub use hold::Hold;
pub use linear::CublasLt;
pub use memory::CudaBuffer;
pub use modules::ModuleReport;
pub use pinned::CudaPinned;
pub use registered::CudaRegistered;
pub use stream::CudaStream;
