//! What a process finds of the CUDA driver, prepared and seen from outside: nothing here touches the driver itself, because
//! an open handle would keep it initialised and warm every cold start.

mod caches;
mod state;

pub(crate) use caches::JitCaches;
pub(crate) use state::state;
