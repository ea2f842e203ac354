//! Stream capture, and graphs that are launched again and again.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread::ThreadId;

use crate::abi::{Code, Handle, Out, Outcome, handle, number};
use crate::driver::{Driver, call};
use crate::queue::{Op, Point};

const GLOBAL: i32 = 0;
const THREAD_LOCAL: i32 = 1;
const RELAXED: i32 = 2;

thread_local! {
    /// Which calls this thread holds to be safe while a capture is under way.
    static INTERACTION: Cell<i32> = const { Cell::new(GLOBAL) };
}

/// Streams that are being recorded.
#[derive(Debug)]
pub(crate) struct Capture {
    device: usize,
    /// The stream that began it.
    origin: u64,
    mode: i32,
    thread: ThreadId,
    ops: Vec<Op>,
    /// Other streams with work that the origin does not yet wait for.
    unjoined: BTreeSet<u64>,
    invalid: bool,
}

/// A recorded graph: its operations, in an order that they allow.
#[derive(Debug)]
pub(crate) struct Graph {
    ops: Arc<Vec<Op>>,
}

/// A graph, ready to be launched.
#[derive(Debug)]
pub(crate) struct Executable {
    pub(crate) device: usize,
    ops: Arc<Vec<Op>>,
    /// Its last launch: it never runs beside itself.
    last: Option<Arc<Point>>,
}

impl Driver {
    fn capture_of(&mut self, stream: u64) -> Result<(u64, &mut Capture), Code> {
        let id = self.stream_mut(stream)?.capture.ok_or(Code::ERROR_ILLEGAL_STATE)?;
        let capture = self.captures.get_mut(&id).ok_or(Code::ERROR_ILLEGAL_STATE)?;
        Ok((id, capture))
    }

    /// Records an operation of a capturing stream.
    pub(crate) fn capture_op(&mut self, stream: u64, op: Op) -> Outcome {
        let (_, capture) = self.capture_of(stream)?;
        if capture.invalid {
            return Err(Code::ERROR_STREAM_CAPTURE_INVALIDATED);
        }
        capture.ops.push(op);
        if stream != capture.origin {
            capture.unjoined.insert(stream);
        }
        Ok(())
    }

    /// An event is recorded in a capturing stream: which capture, which stream.
    pub(crate) fn capture_mark(&mut self, stream: u64) -> Result<(u64, u64), Code> {
        let (id, capture) = self.capture_of(stream)?;
        if capture.invalid { Err(Code::ERROR_STREAM_CAPTURE_INVALIDATED) } else { Ok((id, stream)) }
    }

    /// A stream waits for such an event: it joins the capture.
    pub(crate) fn capture_wait(&mut self, stream: u64, (id, marked): (u64, u64)) -> Outcome {
        let device = self.stream_mut(stream)?.device;
        // The capture that the event belongs to is over.
        let capture = self.captures.get_mut(&id).ok_or(Code::ERROR_CAPTURED_EVENT)?;
        let this = self.streams.get_mut(&stream).ok_or(Code::ERROR_INVALID_HANDLE)?;
        match this.capture {
            Some(other) if other != id => return Err(Code::ERROR_STREAM_CAPTURE_MERGE),
            Some(_) => {}
            None if device != capture.device => return Err(Code::ERROR_STREAM_CAPTURE_UNSUPPORTED),
            None => this.capture = Some(id),
        }
        if marked != stream && capture.unjoined.remove(&marked) && stream != capture.origin {
            capture.unjoined.insert(stream);
        }
        Ok(())
    }

    /// Fails where the stream is being captured, and spoils the capture.
    pub(crate) fn refuse_on_capturing(&mut self, stream: u64) -> Outcome {
        match self.capture_of(stream) {
            Ok((_, capture)) => {
                capture.invalid = true;
                Err(Code::ERROR_STREAM_CAPTURE_UNSUPPORTED)
            }
            Err(_) => Ok(()),
        }
    }

    /// Fails where any stream of the device is being captured, and spoils those captures.
    pub(crate) fn refuse_while_capturing(&mut self, device: usize) -> Outcome {
        self.spoil(|capture| capture.device == device)
    }

    /// Fails where a capture forbids calls that might make the device wait.
    pub(crate) fn refuse_unsafe(&mut self) -> Outcome {
        let here = std::thread::current().id();
        let relaxed = INTERACTION.get() == RELAXED;
        self.spoil(|capture| match capture.mode {
            _ if relaxed => false,
            GLOBAL => true,
            THREAD_LOCAL => capture.thread == here,
            _ => false,
        })
    }

    fn spoil(&mut self, concerned: impl Fn(&Capture) -> bool) -> Outcome {
        let mut outcome = Ok(());
        for capture in self.captures.values_mut().filter(|capture| concerned(capture)) {
            capture.invalid = true;
            outcome = Err(Code::ERROR_STREAM_CAPTURE_UNSUPPORTED);
        }
        outcome
    }

    fn end_capture(&mut self, stream: u64) -> Result<u64, Code> {
        let (id, capture) = self.capture_of(stream)?;
        if capture.origin != stream {
            return Err(Code::ERROR_STREAM_CAPTURE_UNMATCHED);
        }
        if capture.mode != RELAXED && capture.thread != std::thread::current().id() {
            return Err(Code::ERROR_STREAM_CAPTURE_WRONG_THREAD);
        }
        for stream in self.streams.values_mut().filter(|stream| stream.capture == Some(id)) {
            stream.capture = None;
        }
        let capture = self.captures.remove(&id).ok_or(Code::ERROR_ILLEGAL_STATE)?;
        if capture.invalid {
            return Err(Code::ERROR_STREAM_CAPTURE_INVALIDATED);
        }
        if !capture.unjoined.is_empty() {
            return Err(Code::ERROR_STREAM_CAPTURE_UNJOINED);
        }
        let made = self.new_handle();
        self.graphs.insert(made, Graph { ops: Arc::new(capture.ops) });
        Ok(made)
    }
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamBeginCapture_v2(stream: Handle, mode: i32) -> Code {
    call("cuStreamBeginCapture_v2", |driver| {
        let device = driver.current()?;
        let stream = driver.stream(stream)?;
        if !(GLOBAL..=RELAXED).contains(&mode) {
            return Err(Code::ERROR_INVALID_VALUE);
        }
        if stream == driver.devices[device].default_stream {
            return Err(Code::ERROR_STREAM_CAPTURE_UNSUPPORTED);
        }
        if driver.stream_mut(stream)?.capture.is_some() {
            return Err(Code::ERROR_ILLEGAL_STATE);
        }
        let id = driver.new_handle();
        let capture = Capture {
            device,
            origin: stream,
            mode,
            thread: std::thread::current().id(),
            ops: Vec::new(),
            unjoined: BTreeSet::new(),
            invalid: false,
        };
        driver.captures.insert(id, capture);
        driver.stream_mut(stream)?.capture = Some(id);
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamEndCapture(stream: Handle, graph: Out<Handle>) -> Code {
    call("cuStreamEndCapture", |driver| {
        let stream = driver.stream(stream)?;
        graph.set(std::ptr::null_mut())?;
        let made = driver.end_capture(stream)?;
        graph.set(handle(made))
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamIsCapturing(stream: Handle, status: Out<i32>) -> Code {
    call("cuStreamIsCapturing", |driver| {
        let stream = driver.stream(stream)?;
        status.set(match driver.capture_of(stream) {
            Ok((_, capture)) => 1 + i32::from(capture.invalid),
            Err(_) => 0,
        })
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuThreadExchangeStreamCaptureMode(mode: Out<i32>) -> Code {
    call("cuThreadExchangeStreamCaptureMode", |_| {
        let wanted = mode.get()?;
        if !(GLOBAL..=RELAXED).contains(&wanted) {
            return Err(Code::ERROR_INVALID_VALUE);
        }
        mode.set(INTERACTION.replace(wanted))
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuGraphInstantiateWithFlags(executable: Out<Handle>, graph: Handle, _flags: u64) -> Code {
    call("cuGraphInstantiateWithFlags", |driver| {
        let device = driver.current()?;
        let ops = Arc::clone(&driver.graphs.get(&number(graph)).ok_or(Code::ERROR_INVALID_VALUE)?.ops);
        let made = driver.new_handle();
        executable.set(handle(made))?;
        driver.executables.insert(made, Executable { device, ops, last: None });
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuGraphUpload(executable: Handle, stream: Handle) -> Code {
    call("cuGraphUpload", |driver| {
        driver.stream(stream)?;
        driver.executables.get(&number(executable)).map(|_| ()).ok_or(Code::ERROR_INVALID_VALUE)
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuGraphLaunch(executable: Handle, stream: Handle) -> Code {
    call("cuGraphLaunch", |driver| {
        let stream = driver.stream(stream)?;
        let found = driver.executables.get(&number(executable)).ok_or(Code::ERROR_INVALID_VALUE)?;
        let (ops, last) = (Arc::clone(&found.ops), found.last.clone());
        let capturing = driver.stream_mut(stream)?.capture.is_some();
        if let Some(last) = last.filter(|last| last.stream != stream && !capturing) {
            driver.push_wait(stream, last)?;
        }
        for op in ops.iter() {
            driver.enqueue(stream, op.clone())?;
        }
        if !capturing {
            let point = driver.mark(stream)?;
            if let Some(found) = driver.executables.get_mut(&number(executable)) {
                found.last = Some(point);
            }
        }
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuGraphGetNodes(graph: Handle, nodes: Out<Handle>, count: Out<usize>) -> Code {
    call("cuGraphGetNodes", |driver| {
        let ops = driver.graphs.get(&number(graph)).ok_or(Code::ERROR_INVALID_VALUE)?.ops.len();
        if !nodes.is_null() {
            let room = count.get()?.min(ops);
            nodes.fill((0..room).map(|index| handle(number(graph) + 1 + index as u64)));
        }
        count.set(ops)
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuGraphDestroy(graph: Handle) -> Code {
    call("cuGraphDestroy", |driver| {
        driver.initialised()?;
        driver.graphs.remove(&number(graph)).map(|_| ()).ok_or(Code::ERROR_INVALID_VALUE)
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuGraphExecDestroy(executable: Handle) -> Code {
    call("cuGraphExecDestroy", |driver| {
        driver.initialised()?;
        driver.executables.remove(&number(executable)).map(|_| ()).ok_or(Code::ERROR_INVALID_VALUE)
    })
}
