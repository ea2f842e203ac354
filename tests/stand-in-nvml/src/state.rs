//! The one state of a loaded library: whether it is open, how often it was asked what, and since when energy is counted.

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::settings::Settings;

pub(crate) const SUCCESS: u32 = 0;
pub(crate) const UNINITIALIZED: u32 = 1;
pub(crate) const INVALID_ARGUMENT: u32 = 2;
pub(crate) const NOT_FOUND: u32 = 6;
pub(crate) const INSUFFICIENT_SIZE: u32 = 7;

pub(crate) struct State {
    pub(crate) settings: Settings,
    since: Instant,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    open: u32,
    calls: HashMap<&'static str, u64>,
}

static STATE: OnceLock<State> = OnceLock::new();

fn state() -> &'static State {
    STATE.get_or_init(|| State {
        settings: Settings::read(),
        since: Instant::now(),
        counts: Mutex::new(Counts::default()),
    })
}

impl State {
    /// Millijoules since the library was first used.
    pub(crate) fn energy_mj(&self) -> u64 {
        let power = self.settings.number("power_mw", 250_000);
        7_000_000 + (u128::from(power) * self.since.elapsed().as_nanos() / 1_000_000_000) as u64
    }
}

/// Answers one call of `function`: with the failure that was asked for, or with what `body` makes of the state and the
/// number of the call.
pub(crate) fn answer(function: &'static str, body: impl FnOnce(&State, u64) -> u32) -> u32 {
    let state = state();
    let (open, call) = {
        let mut counts = state.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let call = counts.calls.entry(function).or_insert(0);
        *call += 1;
        let call = *call - 1;
        (counts.open, call)
    };
    if let Some(code) = state.settings.failure(function, call) {
        return code;
    }
    if open == 0 { UNINITIALIZED } else { body(state, call) }
}

/// Opens the library.
pub(crate) fn open() -> u32 {
    let state = state();
    std::thread::sleep(Duration::from_millis(state.settings.number("init_ms", 0)));
    if let Some(code) = state.settings.failure("nvmlInit_v2", 0) {
        return code;
    }
    state.counts.lock().unwrap_or_else(PoisonError::into_inner).open += 1;
    SUCCESS
}

/// Closes it.
pub(crate) fn close() -> u32 {
    let mut counts = state().counts.lock().unwrap_or_else(PoisonError::into_inner);
    match counts.open {
        0 => UNINITIALIZED,
        open => {
            counts.open = open - 1;
            SUCCESS
        }
    }
}
