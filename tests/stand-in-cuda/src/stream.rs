//! Streams: queues of work that runs when somebody waits for it.

use std::collections::VecDeque;
use std::ffi::c_void;
use std::sync::Arc;

use crate::abi::{Code, Handle, In, Out, Outcome, Text, handle, number};
use crate::clock::Time;
use crate::driver::{Driver, call};
use crate::queue::{HostCall, Op, Point, Queued, Use};
use crate::race::{Knowledge, Who};

/// A queue of work.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) device: usize,
    /// Its number in vector clocks.
    pub(crate) number: usize,
    /// Whether it and the legacy default stream wait for each other.
    pub(crate) blocking: bool,
    pub(crate) queue: VecDeque<Queued>,
    /// How many operations were enqueued, and how many have run.
    pub(crate) enqueued: u64,
    pub(crate) done: u64,
    /// What has happened once all that was enqueued has run.
    pub(crate) knowledge: Knowledge,
    /// The device's time at which the last operation that ran is done.
    pub(crate) ready_at: Time,
    /// The capture that it takes part in.
    pub(crate) capture: Option<u64>,
    /// Destroyed by the program, with work left to do.
    pub(crate) orphan: bool,
    queries: u32,
}

/// How often a query of unfinished work says "not ready" before it moves the work on.
const PATIENCE: u32 = 2;

impl Stream {
    pub(crate) fn new(driver: &mut Driver, device: usize, blocking: bool) -> Stream {
        driver.stream_count += 1;
        Stream {
            device,
            number: driver.stream_count,
            blocking,
            queue: VecDeque::new(),
            enqueued: 0,
            done: 0,
            knowledge: driver.host.clone(),
            ready_at: 0,
            capture: None,
            orphan: false,
            queries: 0,
        }
    }

    /// Drops what is left to do: the context is broken.
    pub(crate) fn abandon(&mut self) {
        self.queue.clear();
        self.done = self.enqueued;
    }
}

impl Driver {
    /// The stream that a handle means: 0 and 1 are the legacy default stream, 2 is the thread's own, played by the same.
    pub(crate) fn stream(&self, stream: Handle) -> Result<u64, Code> {
        let device = self.current()?;
        let stream = match number(stream) {
            0..=2 => self.devices[device].default_stream,
            other => other,
        };
        match self.streams.get(&stream) {
            Some(found) if found.device == device && !found.orphan => Ok(stream),
            _ => Err(Code::ERROR_INVALID_HANDLE),
        }
    }

    /// A known stream.
    pub(crate) fn stream_mut(&mut self, stream: u64) -> Result<&mut Stream, Code> {
        self.streams.get_mut(&stream).ok_or(Code::ERROR_INVALID_HANDLE)
    }

    /// Puts `op` at the end of a stream, or into the graph that the stream is being captured into.
    pub(crate) fn enqueue(&mut self, stream: u64, op: Op) -> Outcome {
        if self.stream_mut(stream)?.capture.is_some() {
            return self.capture_op(stream, op);
        }
        self.order_with_default_stream(stream)?;
        self.push(stream, op)
    }

    /// The legacy default stream and the blocking ones wait for what the other has so far.
    fn order_with_default_stream(&mut self, stream: u64) -> Outcome {
        let this = self.stream_mut(stream)?;
        let (device, blocking) = (this.device, this.blocking);
        let default = self.devices[device].default_stream;
        if !blocking {
            return Ok(());
        }
        let others: Vec<u64> = self
            .streams
            .iter()
            .filter(|(handle, other)| {
                **handle != stream
                    && other.device == device
                    && other.blocking
                    && (stream == default || **handle == default)
                    && other.enqueued > other.done
            })
            .map(|(handle, _)| *handle)
            .collect();
        for other in others {
            if self.stream_mut(other)?.capture.is_some() {
                return Err(Code::ERROR_STREAM_CAPTURE_IMPLICIT);
            }
            let point = self.mark(other)?;
            self.push_wait(stream, point)?;
        }
        Ok(())
    }

    /// Enqueues a mark after all that is in a stream.
    pub(crate) fn mark(&mut self, stream: u64) -> Result<Arc<Point>, Code> {
        let now_known = self.host.clone();
        let this = self.stream_mut(stream)?;
        let epoch = this.enqueued + 1;
        let mut knowledge = this.knowledge.clone();
        knowledge.join(&now_known);
        knowledge.learn(this.number, epoch);
        let point = Arc::new(Point::new(stream, epoch, knowledge));
        self.push(stream, Op::Reach(Arc::clone(&point)))?;
        Ok(point)
    }

    /// Lets all that is enqueued later wait for `point`.
    pub(crate) fn push_wait(&mut self, stream: u64, point: Arc<Point>) -> Outcome {
        let this = self.stream_mut(stream)?;
        this.knowledge.join(&point.knowledge);
        self.push(stream, Op::Wait(point))
    }

    pub(crate) fn push(&mut self, stream: u64, op: Op) -> Outcome {
        let at = self.clock.enqueue();
        let host = self.host.clone();
        let this = self.stream_mut(stream)?;
        this.knowledge.join(&host);
        this.enqueued += 1;
        this.queries = 0;
        this.knowledge.learn(this.number, this.enqueued);
        let who = Arc::new(Who {
            stream: this.number,
            epoch: this.enqueued,
            knowledge: this.knowledge.clone(),
            label: op.label(),
        });
        this.queue.push_back(Queued { op, who, at });
        Ok(())
    }

    /// Whether all of a stream, or a point of it, is done; moves the work on where it was asked for often enough.
    pub(crate) fn poll(&mut self, stream: u64, epoch: u64, reached: Option<Time>) -> Outcome {
        let this = self.stream_mut(stream)?;
        if this.done < epoch {
            this.queries += 1;
            if this.queries > PATIENCE {
                let next = this.done + 1;
                self.run(stream, next)?;
            }
            let this = self.stream_mut(stream)?;
            if this.done < epoch {
                return Err(Code::ERROR_NOT_READY);
            }
        }
        let time = reached.unwrap_or(self.stream_mut(stream)?.ready_at);
        if time > self.clock.now() { Err(Code::ERROR_NOT_READY) } else { Ok(()) }
    }

    /// Runs all that is in a stream, and waits until it is done on the device's clock.
    pub(crate) fn wait_for_stream(&mut self, stream: u64) -> Outcome {
        let since = self.clock.now();
        let last = self.stream_mut(stream)?.enqueued;
        self.run(stream, last)?;
        let this = self.stream_mut(stream)?;
        let (done, knowledge) = (this.ready_at, this.knowledge.clone());
        self.host.join(&knowledge);
        let nap = self.clock.waited(since, done);
        self.sleep(nap);
        Ok(())
    }

    /// The same for all streams of a device.
    pub(crate) fn wait_for_device(&mut self, device: usize) -> Outcome {
        let since = self.clock.now();
        let mut done = since;
        let streams: Vec<u64> = self
            .streams
            .iter()
            .filter(|(_, stream)| stream.device == device)
            .map(|(handle, _)| *handle)
            .collect();
        for stream in streams {
            let last = self.stream_mut(stream)?.enqueued;
            self.run(stream, last)?;
            let this = self.stream_mut(stream)?;
            done = done.max(this.ready_at);
            let (knowledge, orphan) = (this.knowledge.clone(), this.orphan);
            self.host.join(&knowledge);
            if orphan {
                self.streams.remove(&stream);
            }
        }
        let nap = self.clock.waited(since, done);
        self.sleep(nap);
        match self.devices[device].failed {
            Some(code) => Err(code),
            None => Ok(()),
        }
    }
}

fn create(driver: &mut Driver, stream: Out<Handle>, flags: u32) -> Outcome {
    let device = driver.current()?;
    if flags > 1 || stream.is_null() {
        return Err(Code::ERROR_INVALID_VALUE);
    }
    let made = driver.new_handle();
    let new = Stream::new(driver, device, flags == 0);
    driver.streams.insert(made, new);
    stream.set(handle(made))
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamCreate(stream: Out<Handle>, flags: u32) -> Code {
    call("cuStreamCreate", |driver| create(driver, stream, flags))
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamCreateWithPriority(stream: Out<Handle>, flags: u32, _priority: i32) -> Code {
    call("cuStreamCreateWithPriority", |driver| create(driver, stream, flags))
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamDestroy_v2(stream: Handle) -> Code {
    call("cuStreamDestroy_v2", |driver| {
        let stream = match driver.stream(stream) {
            Ok(stream) => stream,
            // Also a broken context lets go of its streams.
            Err(code) if code.is_sticky() => {
                driver.streams.remove(&number(stream)).ok_or(Code::ERROR_INVALID_HANDLE)?;
                return Err(code);
            }
            Err(code) => return Err(code),
        };
        let this = driver.stream_mut(stream)?;
        if this.capture.is_some() {
            return Err(Code::ERROR_STREAM_CAPTURE_UNSUPPORTED);
        }
        // Destroying does not wait: what is left runs when something needs it.
        this.orphan = true;
        if this.queue.is_empty() {
            driver.streams.remove(&stream);
        }
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamSynchronize(stream: Handle) -> Code {
    call("cuStreamSynchronize", |driver| {
        let stream = driver.stream(stream)?;
        driver.refuse_on_capturing(stream)?;
        driver.wait_for_stream(stream)
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamQuery(stream: Handle) -> Code {
    call("cuStreamQuery", |driver| {
        let stream = driver.stream(stream)?;
        driver.refuse_on_capturing(stream)?;
        let last = driver.stream_mut(stream)?.enqueued;
        driver.poll(stream, last, None)?;
        let knowledge = driver.stream_mut(stream)?.knowledge.clone();
        driver.host.join(&knowledge);
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamGetPriority(stream: Handle, priority: Out<i32>) -> Code {
    call("cuStreamGetPriority", |driver| {
        driver.stream(stream)?;
        priority.set(0)
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamGetCtx(stream: Handle, context: Out<Handle>) -> Code {
    call("cuStreamGetCtx", |driver| {
        let stream = driver.stream(stream)?;
        let device = driver.stream_mut(stream)?.device;
        context.set(handle(driver.devices[device].context.unwrap_or(0)))
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuLaunchHostFunc(
    stream: Handle,
    function: Option<extern "C" fn(*mut c_void)>,
    argument: *mut c_void,
) -> Code {
    call("cuLaunchHostFunc", |driver| {
        let function = function.ok_or(Code::ERROR_INVALID_VALUE)?;
        let stream = driver.stream(stream)?;
        let call = HostCall { function, argument };
        let label = Arc::from("host function");
        driver.enqueue(stream, Op::Call { call, uses: Arc::default(), cost: 0, label })
    })
}

/// For other stand-ins, such as that of cuBLASLt: enqueues `function` as if it were a kernel named `label`, that reads
/// and writes `uses` (`count` of them: address, bytes, whether it writes) and takes `cost_ns` of the device's time. It runs when
/// the stream is run, and is recorded into graphs with its argument, which must stay valid. The uses are checked
/// against the memory that is allocated, and for races. Not part of CUDA.
#[unsafe(no_mangle)]
extern "C" fn coldstart_stand_in_enqueue(
    stream: Handle,
    label: Text,
    uses: In<[u64; 3]>,
    count: usize,
    cost_ns: u64,
    function: Option<extern "C" fn(*mut c_void)>,
    argument: *mut c_void,
) -> Code {
    call("coldstart_stand_in_enqueue", |driver| {
        let function = function.ok_or(Code::ERROR_INVALID_VALUE)?;
        let stream = driver.stream(stream)?;
        let label = Arc::from(label.string()?);
        let uses: Result<Vec<Use>, Code> = (0..count)
            .map(|index| {
                let [address, bytes, write] = uses.get(index)?;
                Ok(Use { address, bytes: bytes as usize, write: write != 0 })
            })
            .collect();
        let call = HostCall { function, argument };
        driver.enqueue(stream, Op::Call { call, uses: Arc::new(uses?), cost: cost_ns, label })
    })
}
