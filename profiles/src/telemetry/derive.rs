//! What follows from telemetry for the rest of a profile.

use super::{GpuFacts, Telemetry, TelemetryScope, TelemetryWindow, WindowKind};
use crate::profile::Profile;
use crate::throughput::ThroughputPoint;

impl Telemetry {
    /// Enters what one process saw of a GPU. Windows of the same step, point and GPU are replaced.
    pub fn enter(&mut self, gpu: Option<GpuFacts>, windows: Vec<TelemetryWindow>) {
        if let Some(gpu) = gpu {
            match self.gpus.iter_mut().find(|known| known.is_same(&gpu)) {
                Some(known) => known.merge(gpu),
                None => self.gpus.push(gpu),
            }
        }
        let same = |one: &TelemetryWindow, two: &TelemetryWindow| {
            (&one.step, &one.key, &one.uuid, one.window) == (&two.step, &two.key, &two.uuid, two.window)
        };
        self.windows.retain(|known| !windows.iter().any(|window| same(known, window)));
        self.windows.extend(windows);
    }

    /// Takes in what one process of a run saw.
    pub fn merge(&mut self, process: Telemetry) {
        if let Some(why) = process.skipped {
            self.skipped.get_or_insert(why);
        }
        self.looks.extend(process.looks);
        process.gpus.into_iter().for_each(|gpu| self.enter(Some(gpu), Vec::new()));
        self.enter(None, process.windows);
    }

    /// Power, use and energy per token of the sweep's points, from their steady windows.
    pub(crate) fn rate(&self, points: &mut [ThroughputPoint]) {
        for point in points {
            // One window for each GPU that worked on the point.
            let windows: Vec<&TelemetryWindow> = (self.windows.iter())
                .filter(|window| {
                    (window.scope, window.window) == (TelemetryScope::Point, WindowKind::Steady)
                        && window.key.as_ref() == Some(&point.key)
                })
                .collect();
            let sum = |of: fn(&TelemetryWindow) -> Option<u64>| {
                let all: Option<Vec<u64>> = windows.iter().map(|window| of(window)).collect();
                all.filter(|all| !all.is_empty())
                    .map(|all| all.iter().fold(0_u64, |sum, one| sum.saturating_add(*one)))
            };
            let tokens = (point.tokens_per_s * point.window_ns.as_secs_f64()).round();
            point.power_mw = sum(|window| window.energy.mean_power_mw());
            point.utilisation_percent = sum(|window| Some(window.summary.gpu_percent?.median))
                .map(|percent| percent / windows.len().max(1) as u64);
            point.energy_per_token_uj = sum(|window| window.energy.energy_mj())
                .filter(|_| tokens >= 1.0)
                .map(|energy_mj| (energy_mj as f64 * 1e3 / tokens).round() as u64);
        }
    }
}

impl Profile {
    /// How many iterations are marked because the GPU was held down while they ran, and how many there are in all: those of
    /// warm-ups and of the sweep on the host's clock.
    pub fn throttled_iterations(&self) -> (usize, usize) {
        let swept = self.throughput.iter().filter_map(|point| self.measurement(&point.key));
        let swept = swept.filter_map(|row| Some(row.outcome.as_measured()?.0));
        let series = swept.chain(self.warm_up.iter().map(|curve| &curve.samples));
        series.fold((0, 0), |(marked, all), samples| (marked + samples.throttled(), all + samples.len()))
    }
}
