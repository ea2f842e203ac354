//! What the phases with forward passes share: one pass, timed by both clocks.

use coldstart_kernels::{Apart, Ops, Timed};
use coldstart_profiles::{ForwardMode, Nanos, Params, Phase, Reading, Replay};

use crate::clock;
use crate::model::{Batch, Forward, ModelError, Runner};

/// The conditions of a forward pass, as they stand in keys.
pub(crate) fn forward_params(mode: ForwardMode, batch: u32, tokens: u32) -> Params {
    Params::new().with("mode", mode.name()).with("batch", batch).with(mode.tokens_name(), tokens)
}

/// When a trace began, on the monotonic clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Began(pub(crate) Nanos);

impl Began {
    /// Time since.
    pub(crate) fn elapsed(self) -> Nanos {
        clock::monotonic().saturating_sub(self.0)
    }
}

/// A reading of what was timed.
pub(crate) fn timed_reading<T>(phase: Phase, params: Params, begin: Nanos, timed: &Timed<T>) -> Reading {
    Reading {
        phase,
        params,
        begin_ns: begin,
        duration_ns: timed.host.into(),
        device_ns: timed.device.map(Nanos::from),
        work: None,
        mark: None,
        detail: None,
    }
}

/// The same forward pass again and again.
pub(crate) struct Passes<'r, 'a, O: Ops> {
    device: &'a O,
    runner: &'r mut Runner<'a, O>,
    batch: Batch,
    mode: ForwardMode,
    /// Where threads run is no property of what is measured.
    _apart: Apart<'a>,
}

impl<'r, 'a, O: Ops> Passes<'r, 'a, O> {
    /// Passes of `batch` sequences of `tokens` tokens drawn from `seed`. For decode steps the caches are filled here, so
    /// that every step sees the same context. The threads of a host device stay on CPUs of their own from here on.
    ///
    /// # Errors
    /// When the model can't take such a batch.
    pub(crate) fn new(
        device: &'a O,
        runner: &'r mut Runner<'a, O>,
        forward: &Forward,
        (mode, batch, tokens): (ForwardMode, u32, u32),
        seed: u64,
    ) -> Result<Self, ModelError> {
        let (sequences, length) = (batch as usize, tokens as usize);
        let ids = Batch::synthetic(seed, forward.vocab().unwrap_or(1), sequences, length)?;
        if mode == ForwardMode::Decode {
            match runner.generator() {
                Some(generator) => generator.prepare_decode(sequences, length)?,
                None => return Err(ModelError::Invalid { why: "an encoder has no decode steps".to_owned() }),
            }
        }
        Ok(Passes { device, runner, batch: ids, mode, _apart: device.keep_apart() })
    }

    /// One pass, from the upload of its ids until its output is read back.
    ///
    /// # Errors
    /// When the device fails.
    pub(crate) fn pass(&mut self) -> Result<Timed<()>, ModelError> {
        let (runner, batch, mode) = (&mut *self.runner, &self.batch, self.mode);
        self.device.time(|| match (mode, runner.generator()) {
            (ForwardMode::Decode, Some(generator)) => generator.decode_step().map(drop),
            _ => runner.forward(batch).map(drop),
        })
    }

    /// How decode steps ran on a device with graphs; `None` for other passes.
    pub(crate) fn replay(&mut self) -> Option<Replay> {
        match self.mode {
            ForwardMode::Decode => self.runner.generator().and_then(|generator| generator.replay()),
            ForwardMode::Prefill | ForwardMode::Encode => None,
        }
    }
}
