//! All that the driver knows, behind one lock, and the door through which every call comes in.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use crate::abi::{Code, Outcome};
use crate::clock::Clock;
use crate::config::Config;
use crate::event::Event;
use crate::faults::Faults;
use crate::graph::{Capture, Executable, Graph};
use crate::host_code::HostCode;
use crate::kernel::Function;
use crate::module::Module;
use crate::race::Knowledge;
use crate::ranges::Ranges;
use crate::report::report;
use crate::stream::Stream;

thread_local! {
    /// The context that is current on this thread; 0 = none.
    static CURRENT: Cell<u64> = const { Cell::new(0) };
    /// Whether this thread runs a function that the program gave to the driver: it must not call back.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// One device and its primary context.
#[derive(Debug, Default)]
pub(crate) struct Device {
    /// How often the primary context is retained.
    pub(crate) retained: u32,
    pub(crate) flags: u32,
    /// The handle of the primary context that is alive.
    pub(crate) context: Option<u64>,
    /// The legacy default stream of that context.
    pub(crate) default_stream: u64,
    /// What broke the context for good.
    pub(crate) failed: Option<Code>,
}

/// The driver.
#[derive(Debug)]
pub(crate) struct Driver {
    pub(crate) config: Config,
    pub(crate) faults: Faults,
    pub(crate) initialised: bool,
    pub(crate) devices: Vec<Device>,
    pub(crate) ranges: Ranges,
    pub(crate) streams: BTreeMap<u64, Stream>,
    pub(crate) events: BTreeMap<u64, Event>,
    pub(crate) modules: BTreeMap<u64, Module>,
    pub(crate) functions: BTreeMap<u64, Function>,
    pub(crate) graphs: BTreeMap<u64, Graph>,
    pub(crate) executables: BTreeMap<u64, Executable>,
    pub(crate) captures: BTreeMap<u64, Capture>,
    pub(crate) clock: Clock,
    /// What the host knows to have happened.
    pub(crate) host: Knowledge,
    pub(crate) host_code: Option<HostCode>,
    /// How many streams there ever were: their numbers in vector clocks.
    pub(crate) stream_count: usize,
    pub(crate) launches: u64,
    next_handle: u64,
    /// What the caller is to sleep when the lock is free again.
    nap: Duration,
}

impl Driver {
    fn new() -> Driver {
        let config = Config::from_env();
        Driver {
            faults: Faults::parse(&config.faults),
            devices: (0..config.devices).map(|_| Device::default()).collect(),
            config,
            initialised: false,
            ranges: Ranges::default(),
            streams: BTreeMap::new(),
            events: BTreeMap::new(),
            modules: BTreeMap::new(),
            functions: BTreeMap::new(),
            graphs: BTreeMap::new(),
            executables: BTreeMap::new(),
            captures: BTreeMap::new(),
            clock: Clock::new(),
            host: Knowledge::default(),
            host_code: None,
            stream_count: 0,
            launches: 0,
            next_handle: 0x5700_0000_0000,
            nap: Duration::ZERO,
        }
    }

    /// A number that no other object has.
    pub(crate) fn new_handle(&mut self) -> u64 {
        self.next_handle += 16;
        self.next_handle
    }

    /// Lets the caller sleep once it has left the lock.
    pub(crate) fn sleep(&mut self, time: Duration) {
        self.nap += time;
    }

    /// Fails until the driver was initialised.
    pub(crate) fn initialised(&self) -> Outcome {
        if self.initialised { Ok(()) } else { Err(Code::ERROR_NOT_INITIALIZED) }
    }

    /// Device number `ordinal`.
    pub(crate) fn device(&mut self, ordinal: i32) -> Result<usize, Code> {
        self.initialised()?;
        let index = usize::try_from(ordinal).map_err(|_| Code::ERROR_INVALID_DEVICE)?;
        if index < self.devices.len() { Ok(index) } else { Err(Code::ERROR_INVALID_DEVICE) }
    }

    /// The device of the context that is current on this thread, alive and sound.
    pub(crate) fn current(&self) -> Result<usize, Code> {
        let device = self.current_whatever_state()?;
        match self.devices[device].failed {
            Some(code) => Err(code),
            None => Ok(device),
        }
    }

    /// The same, also where the context is broken.
    pub(crate) fn current_whatever_state(&self) -> Result<usize, Code> {
        self.initialised()?;
        match current_context() {
            0 => Err(Code::ERROR_INVALID_CONTEXT),
            context => self.device_of(context).ok_or(Code::ERROR_CONTEXT_IS_DESTROYED),
        }
    }

    /// The device that a context belongs to.
    pub(crate) fn device_of(&self, context: u64) -> Option<usize> {
        self.devices.iter().position(|device| device.context == Some(context))
    }

    /// Breaks the context of `device`, where `code` is such a failure, and tells why.
    pub(crate) fn break_context(&mut self, device: usize, code: Code, why: &str) -> Code {
        report(&format!("{why}: error {}", code.0));
        if code.is_sticky() {
            self.devices[device].failed.get_or_insert(code);
            for stream in self.streams.values_mut().filter(|stream| stream.device == device) {
                stream.abandon();
            }
        }
        code
    }
}

/// The context that is current on this thread; 0 = none.
pub(crate) fn current_context() -> u64 {
    CURRENT.get()
}

/// Makes a context current on this thread.
pub(crate) fn set_current_context(context: u64) {
    CURRENT.set(context);
}

/// Runs a function of the program's, which must not call the driver.
pub(crate) fn call_out(function: impl FnOnce()) {
    INSIDE.set(true);
    let ended = catch_unwind(AssertUnwindSafe(function));
    INSIDE.set(false);
    if ended.is_err() {
        report("a function of the program panicked");
    }
}

fn lock() -> MutexGuard<'static, Driver> {
    static DRIVER: OnceLock<Mutex<Driver>> = OnceLock::new();
    DRIVER.get_or_init(|| Mutex::new(Driver::new())).lock().unwrap_or_else(PoisonError::into_inner)
}

/// What every entry point does: `body` under the lock, unless the test wants this call to fail. Nothing unwinds into C.
pub(crate) fn call(name: &'static str, body: impl FnOnce(&mut Driver) -> Outcome) -> Code {
    if INSIDE.get() {
        report(&format!("{name} was called by a function that the driver runs"));
        return Code::ERROR_NOT_PERMITTED;
    }
    let ended = catch_unwind(AssertUnwindSafe(|| {
        let mut driver = lock();
        let outcome = match driver.faults.happens(name) {
            Ok(()) => body(&mut driver),
            Err(code) => {
                // A code after which a real context is of no use breaks it here too.
                match driver.current() {
                    Ok(device) if code.is_sticky() => {
                        driver.break_context(device, code, &format!("{name} fails as the test asked"));
                    }
                    _ => report(&format!("{name} fails as the test asked: error {}", code.0)),
                }
                Err(code)
            }
        };
        let nap = std::mem::take(&mut driver.nap);
        drop(driver);
        std::thread::sleep(nap);
        outcome
    }));
    match ended {
        Ok(Ok(())) => Code::SUCCESS,
        Ok(Err(code)) => code,
        Err(_) => Code::ERROR_UNKNOWN,
    }
}
