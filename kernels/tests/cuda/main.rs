mod attention; mod graph;
mod support { pub fn device() -> Option<coldstart_kernels::cuda::CudaDevice> { None } }
