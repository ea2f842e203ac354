//! The throughput sweep as a reader asks for it: series of batches, their knees, and the same points in processes of their own.

use crate::key::Key;
use crate::measurement::Outcome;
use crate::plan::ForwardMode;
use crate::profile::Profile;
use crate::summary::Summary;
use crate::throughput::{Fits, ThroughputPoint};
use crate::units::Nanos;
use crate::warm_up::Spread;

/// The measured points of one kind of pass at one length, from the smallest batch to the largest.
#[derive(Debug, Clone, PartialEq)]
pub struct SweepSeries<'a> {
    /// The kind of pass.
    pub mode: ForwardMode,
    /// Tokens of each prompt, or in the cache of each sequence.
    pub tokens: u32,
    /// The points, each with the summary of its iterations.
    pub points: Vec<(&'a ThroughputPoint, &'a Summary)>,
}

/// A place on the fitted curve of a series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FittedAt {
    /// The batch; between those of the sweep as well.
    pub batch: f64,
    /// The fitted time of an iteration in nanoseconds; positive.
    pub time_ns: f64,
    /// Tokens per second at that time.
    pub tokens_per_s: f64,
}

/// Where batching stops paying.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Knee {
    /// At this batch.
    At(u32),
    /// At this batch, the smallest of the sweep, or below.
    Smallest(u32),
    /// At this batch, the largest of the sweep, or beyond.
    Largest(u32),
}

impl Knee {
    /// The batch of the sweep that it is nearest to.
    pub const fn batch(self) -> u32 {
        match self {
            Knee::At(batch) | Knee::Smallest(batch) | Knee::Largest(batch) => batch,
        }
    }
}

impl SweepSeries<'_> {
    /// The fit of this series from its smallest to its largest batch, in equal ratios; empty where there is no fit.
    pub fn fitted(&self, fits: &Fits) -> Vec<FittedAt> {
        const STEPS: u32 = 12;
        let (Some((first, _)), Some((last, _))) = (self.points.first(), self.points.last()) else {
            return Vec::new();
        };
        let (least, most) = (f64::from(first.batch), f64::from(last.batch));
        let produced = if self.mode == ForwardMode::Decode { 1.0 } else { f64::from(self.tokens) };
        let at = |step: u32| {
            let batch = least * (most / least).powf(f64::from(step) / f64::from(STEPS));
            let time_ns = fits.time(self.mode, batch, self.tokens)?;
            let tokens_per_s = batch * produced / (time_ns / 1e9);
            (time_ns > 0.0 && tokens_per_s.is_finite()).then_some(FittedAt { batch, time_ns, tokens_per_s })
        };
        (0..=STEPS).filter_map(at).collect()
    }

    /// The batch with the largest power, which is throughput ÷ latency: tokens per second over the median time of an iteration.
    /// Below it a larger batch adds more to the rate than to the time, in proportion; above it less. In the plot of throughput
    /// over latency it is where a ray from the origin is steepest (Kleinrock, "Power and deterministic rules of thumb for
    /// probabilistic problems in computer communications", ICC 1979). Where T(n) = α + β·n, it is n = α ÷ β.
    ///
    /// `None` with fewer than three batches, or where a rate or a time is no positive number.
    pub fn knee(&self) -> Option<Knee> {
        let power = |(point, summary): &(&ThroughputPoint, &Summary)| {
            let power = point.tokens_per_s / summary.p50_ns.as_secs_f64();
            (power.is_finite() && power > 0.0).then_some(power)
        };
        let powers: Vec<f64> = self.points.iter().map(power).collect::<Option<_>>()?;
        let best = (0..powers.len()).max_by(|a, b| powers[*a].total_cmp(&powers[*b]))?;
        let batch = self.points.get(best)?.0.batch;
        match best {
            _ if powers.len() < 3 => None,
            0 => Some(Knee::Smallest(batch)),
            last if last + 1 == powers.len() => Some(Knee::Largest(batch)),
            _ => Some(Knee::At(batch)),
        }
    }
}

/// One point of the sweep in fresh processes, one a trial.
#[derive(Debug, Clone, PartialEq)]
pub struct SteadyProcesses<'a> {
    /// The point.
    pub key: &'a Key,
    /// The median iteration of each process, with its trial.
    pub medians: Vec<(u32, Nanos)>,
    /// The least, middle and largest of these medians.
    pub spread: Spread<Nanos>,
    /// The median of the sweep's own process at this point; never pooled with the others.
    pub swept_ns: Option<Nanos>,
}

impl Profile {
    /// The sweep by kind of pass and length; points without samples are left out.
    pub fn sweep(&self) -> Vec<SweepSeries<'_>> {
        let mut all: Vec<SweepSeries<'_>> = Vec::new();
        for point in &self.throughput {
            let row = self.measurement(&point.key).and_then(|row| row.outcome.as_measured());
            let Some((_, summary)) = row else { continue };
            let same =
                |series: &&mut SweepSeries<'_>| (series.mode, series.tokens) == (point.mode, point.tokens);
            match all.iter_mut().find(same) {
                Some(series) => series.points.push((point, summary)),
                None => all.push(SweepSeries {
                    mode: point.mode,
                    tokens: point.tokens,
                    points: vec![(point, summary)],
                }),
            }
        }
        all.sort_by_key(|series| (series.mode, series.tokens));
        for series in &mut all {
            series.points.sort_by_key(|(point, _)| point.batch);
        }
        all
    }

    /// The points that were measured in processes of their own, in the order of their first trial.
    pub fn steady_processes(&self) -> Vec<SteadyProcesses<'_>> {
        let mut groups: Vec<(&Key, Vec<(u32, Nanos)>)> = Vec::new();
        for trial in &self.throughput_trials {
            let Outcome::Measured { summary, .. } = &trial.outcome else { continue };
            let median = (trial.trial, summary.p50_ns);
            match groups.iter_mut().find(|(key, _)| **key == trial.key) {
                Some((_, medians)) => medians.push(median),
                None => groups.push((&trial.key, vec![median])),
            }
        }
        let processes = |(key, medians): (_, Vec<(u32, Nanos)>)| {
            let spread = Spread::of(medians.iter().map(|(_, median)| *median))?;
            let swept = self.measurement(key).and_then(|row| row.outcome.as_measured());
            Some(SteadyProcesses { key, medians, spread, swept_ns: swept.map(|(_, summary)| summary.p50_ns) })
        };
        groups.into_iter().filter_map(processes).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Params;
    use crate::measurement::Measurement;
    use crate::phase::Phase;
    use crate::samples::Samples;
    use crate::summary::summarize;
    use crate::throughput::ThroughputTrial;
    use crate::units::Bytes;
    use crate::warm_up::StopReason;

    fn point(batch: u32, millis: f64) -> (ThroughputPoint, Measurement) {
        let key = Key::host(Phase::Throughput, Params::new().with("batch", batch));
        let outcome = Outcome::measured(Samples::one(Nanos::from_nanos_f64(millis * 1e6)));
        let point = ThroughputPoint {
            key: key.clone(),
            mode: ForwardMode::Decode,
            batch,
            tokens: 64,
            items_per_s: 0.0,
            tokens_per_s: f64::from(batch) / millis * 1e3,
            window_ns: Nanos::ZERO,
            flops: 0,
            read_bytes: Bytes::ZERO,
            workspace_bytes: Bytes::ZERO,
            stop: StopReason::Budget,
            power_mw: None,
            energy_per_token_uj: None,
            utilisation_percent: None,
            dtype: None,
            replay: None,
        };
        (point, Measurement::without_samples(key, outcome))
    }

    /// The knee of batches with these times in milliseconds.
    fn knee(times: &[(u32, f64)]) -> Option<Knee> {
        let rows: Vec<(ThroughputPoint, Measurement)> =
            times.iter().map(|(batch, millis)| point(*batch, *millis)).collect();
        let summaries: Vec<Summary> =
            rows.iter().filter_map(|(_, row)| Some(summarize(row.outcome.as_measured()?.0))).collect();
        let points = rows.iter().map(|(point, _)| point).zip(&summaries).collect();
        SweepSeries { mode: ForwardMode::Decode, tokens: 64, points }.knee()
    }

    #[test]
    fn the_knee_of_a_line_is_where_its_parts_are_equal() {
        let line = |alpha: f64, beta: f64| {
            let times = [1_u32, 2, 4, 8, 16, 32].map(|n| (n, alpha + beta * f64::from(n)));
            knee(&times)
        };
        assert_eq!(line(8.0, 1.0), Some(Knee::At(8)));
        assert_eq!(line(4.0, 1.0), Some(Knee::At(4)));
        assert_eq!(line(0.1, 1.0), Some(Knee::Smallest(1)));
        assert_eq!(line(1_000.0, 1.0), Some(Knee::Largest(32)));
        assert_eq!(knee(&[(1, 1.0), (2, 1.5)]), None, "two points have no knee between them");
        assert_eq!(knee(&[(1, 0.0), (2, 1.5), (4, 2.0)]), None, "a time of nothing");
    }

    #[test]
    fn processes_are_set_beside_the_sweep_and_not_pooled_with_it() {
        let fixture = include_str!("../../tests/fixtures/profiles/profile-1.0.json");
        let mut profile = Profile::from_json(fixture, std::path::Path::new("profile-1.0.json")).unwrap();
        let (swept, row) = point(1, 7.0);
        profile.throughput = vec![swept.clone()];
        profile.measurements.push(row);
        profile.throughput_trials = [9, 5, 6]
            .into_iter()
            .zip(0..)
            .map(|(millis, trial)| ThroughputTrial {
                step: format!("steady-{trial}"),
                trial,
                key: swept.key.clone(),
                outcome: Outcome::measured(Samples::one(Nanos::from_millis(millis))),
            })
            .collect();
        profile.throughput_trials[2].outcome = Outcome::failed("killed");
        let processes = profile.steady_processes();
        assert_eq!(processes.len(), 1);
        let [five, nine] = [5, 9].map(Nanos::from_millis);
        assert_eq!(processes[0].medians, [(0, nine), (1, five)]);
        assert_eq!(processes[0].spread, Spread { min: five, median: five, max: nine });
        assert_eq!(processes[0].swept_ns, Some(Nanos::from_millis(7)));
        assert_eq!(profile.sweep()[0].points[0].0, &swept);
        assert!(profile.sweep()[0].fitted(&Fits::default()).is_empty(), "nothing was fitted");
    }

    #[test]
    fn a_fitted_curve_goes_through_points_that_lie_on_it() {
        let rows: Vec<(ThroughputPoint, Measurement)> =
            [1_u32, 2, 4, 8].map(|n| point(n, 8.0 + f64::from(n))).into();
        let (mut points, mut measurements): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
        for point in &mut points {
            point.mode = ForwardMode::Prefill;
        }
        let fits = Fits::of(&points, &measurements);
        let summary = summarize(measurements.remove(0).outcome.as_measured().unwrap().0);
        let series = SweepSeries {
            mode: ForwardMode::Prefill,
            tokens: 64,
            points: points.iter().map(|point| (point, &summary)).collect(),
        };
        let curve = series.fitted(&fits);
        let last = curve[curve.len() - 1];
        assert!((curve[0].time_ns / 9e6 - 1.0).abs() < 1e-6, "{:?}", curve[0]);
        assert!((last.batch - 8.0).abs() < 1e-9 && (last.time_ns / 16e6 - 1.0).abs() < 1e-6, "{last:?}");
        assert!((last.tokens_per_s / (8.0 * 64.0 / 0.016) - 1.0).abs() < 1e-6, "{last:?}");
    }
}
