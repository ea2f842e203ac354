//! What one process saw of one GPU, on one clock.

use super::sample::TelemetrySample;
use super::window::{TelemetryScope, TelemetryWindow};
use super::{Telemetry, throttle};
use crate::units::Nanos;

/// All windows of one process on one GPU, put together again.
#[derive(Debug, Clone, PartialEq)]
pub struct TelemetryTimeline<'a> {
    /// The step of the plan whose process it was.
    pub step: &'a str,
    /// The GPU.
    pub uuid: Option<&'a str>,
    /// Which measurement its windows belong to.
    pub scope: TelemetryScope,
    /// The windows, by their begin.
    pub windows: Vec<&'a TelemetryWindow>,
    /// Their samples in order, each once: neighbouring windows share those at their border.
    pub samples: Vec<&'a TelemetrySample>,
}

impl TelemetryTimeline<'_> {
    /// The spans in which heat, the power supply or the hardware held the clocks down, each as long as its samples speak for.
    pub fn throttled(&self) -> Vec<(Nanos, Nanos)> {
        throttle::throttled_spans(&self.samples)
    }
}

impl Telemetry {
    /// What each process saw of each GPU, in the order in which they were stored.
    pub fn timelines(&self) -> Vec<TelemetryTimeline<'_>> {
        let mut all: Vec<TelemetryTimeline<'_>> = Vec::new();
        for window in &self.windows {
            let of = (window.step.as_str(), window.uuid.as_deref(), window.scope);
            match all.iter_mut().find(|known| (known.step, known.uuid, known.scope) == of) {
                Some(known) => known.windows.push(window),
                None => all.push(TelemetryTimeline {
                    step: of.0,
                    uuid: of.1,
                    scope: of.2,
                    windows: vec![window],
                    samples: Vec::new(),
                }),
            }
        }
        for timeline in &mut all {
            timeline.windows.sort_by_key(|window| (window.begin_ns, window.end_ns));
            timeline.samples = timeline.windows.iter().flat_map(|window| &window.samples).collect();
            timeline.samples.sort_by_key(|sample| sample.at_ns);
            timeline.samples.dedup_by_key(|sample| sample.at_ns);
        }
        all
    }
}
