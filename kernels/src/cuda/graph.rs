//! Graphs: work on the compute stream, recorded once and enqueued again as one.

use std::ptr;
use std::sync::Arc;

use cudarc::driver::sys;

use super::modules::Kernels;
use super::primary::Primary;
use super::stream::CudaStream;
use crate::{Error, Result};

/// Recorded operations.
#[derive(Debug)]
pub struct CudaGraph {
    primary: Arc<Primary>,
    executable: sys::CUgraphExec,
    /// It runs functions of these.
    _kernels: Arc<Kernels>,
}

// SAFETY: the handle is only passed to the driver. A graph may be launched from any thread, if only from one at a time:
// it is not `Sync`.
unsafe impl Send for CudaGraph {}

/// Begins to record what this thread enqueues on `stream`. Other threads may go on with other streams.
pub(super) fn begin(stream: &CudaStream) -> Result<()> {
    let primary = stream.primary();
    if !primary.start_recording() {
        return Err(Error::Recording { action: "record a graph".to_owned() });
    }
    let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
    // SAFETY: the stream is alive.
    let begun = primary.call(format_args!("begin to record a graph"), || unsafe {
        sys::cuStreamBeginCapture_v2(stream.handle(), mode)
    });
    if begun.is_err() {
        primary.stop_recording();
    }
    begun
}

/// Ends the recording and makes the graph ready to be launched. The stream runs again what is enqueued, also where this fails.
pub(super) fn end(stream: &CudaStream, kernels: &Arc<Kernels>) -> Result<CudaGraph> {
    let primary = stream.primary();
    let mut graph = ptr::null_mut();
    // SAFETY: `graph` is writable; the driver refuses a stream that is not recorded.
    let ended = primary.call(format_args!("end the recording of a graph"), || unsafe {
        sys::cuStreamEndCapture(stream.handle(), &mut graph)
    });
    primary.stop_recording();
    ended?;
    let mut executable = ptr::null_mut();
    // SAFETY: `executable` is writable, the graph is the one just recorded.
    let made = primary.call(format_args!("instantiate a graph"), || unsafe {
        sys::cuGraphInstantiateWithFlags(&mut executable, graph, 0)
    });
    // SAFETY: what is instantiated does not need the graph that it was made of.
    primary.release(format_args!("destroy a recording"), || unsafe { sys::cuGraphDestroy(graph) });
    made?;
    let graph = CudaGraph { primary: Arc::clone(primary), executable, _kernels: Arc::clone(kernels) };
    // SAFETY: graph and stream are alive. Else the first launch would pay for it.
    primary.call(format_args!("upload a graph"), || unsafe {
        sys::cuGraphUpload(executable, stream.handle())
    })?;
    Ok(graph)
}

impl CudaGraph {
    /// Enqueues it.
    pub(super) fn launch(&self, stream: &CudaStream) -> Result<()> {
        // SAFETY: graph and stream are alive; the caller answers for the buffers. The driver refuses another context's.
        stream.primary().call(format_args!("launch a graph"), || unsafe {
            sys::cuGraphLaunch(self.executable, stream.handle())
        })
    }
}

impl Drop for CudaGraph {
    fn drop(&mut self) {
        // SAFETY: nobody else has the handle. Where it still runs, the driver frees it afterwards.
        self.primary
            .release(format_args!("destroy a graph"), || unsafe { sys::cuGraphExecDestroy(self.executable) });
    }
}
