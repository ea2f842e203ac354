//! From raw readings to the rows of a profile. Pure: called again after every step, and on scripted readings in tests.

use std::collections::BTreeMap;

use crate::key::{Clock, Key, Params};
use crate::measurement::{Measurement, Outcome};
use crate::phase::Phase;
use crate::profile::{Profile, RunState, Total};
use crate::samples::{Mark, Samples};
use crate::throughput::{Fits, ThroughputPoint};
use crate::trace::{Reading, Scope, TotalKind, Trace, TraceEnd};
use crate::units::Nanos;
use crate::warm_up::TrialsAgreement;
use crate::work::{Limit, LimitKind, LimitMeasurement, Work};

impl Profile {
    /// Computes everything that follows from the raw readings: measurements, totals, limits beside them, the agreement
    /// of the warm-ups, fits, and the caveats that rest on them. The sweep's own rows stay as they are.
    pub fn derive(&mut self) {
        let sweep: Vec<Measurement> =
            self.measurements.drain(..).filter(|row| row.key.phase == Phase::Throughput).collect();
        let mut rows = rows_of(&self.traces);
        // A row without conditions says why there is no sweep; it is made again below if that still holds.
        rows.extend(sweep.into_iter().filter(|row| !row.key.params.is_empty()));
        self.add_failed(&mut rows);
        self.add_skipped(&mut rows);
        for row in &mut rows {
            row.limit = limit_of(row, &self.limits, &self.throughput);
        }
        rows.sort_by(|a, b| a.key.cmp(&b.key));
        self.measurements = rows;
        self.totals = totals_of(&self.traces);
        self.telemetry.rate(&mut self.throughput);
        self.fits = Fits::of(&self.throughput, &self.measurements);
        self.warm_up_agreement = TrialsAgreement::of(self.warm_up.iter().map(|curve| &curve.analysis));
        self.derive_caveats();
    }

    /// A phase in which every attempt failed stands in the table with what went wrong.
    fn add_failed(&self, rows: &mut Vec<Measurement>) {
        for trace in &self.traces {
            let TraceEnd::Failed { why, .. } = &trace.end else { continue };
            for phase in self.plan.phases.iter().filter(|phase| covered(trace).contains(phase)) {
                let key = Key::host(*phase, failed_params(trace, *phase));
                let measured = rows.iter().any(|row| {
                    row.key.phase == *phase
                        && key.params.iter().all(|(name, value)| row.key.params.get(name) == Some(value))
                });
                if !measured {
                    rows.push(Measurement::without_samples(key, Outcome::failed(why.clone())));
                }
            }
        }
    }

    /// A phase that the plan leaves out, or whose steps have not run yet, stands in the table with its reason.
    fn add_skipped(&self, rows: &mut Vec<Measurement>) {
        for skipped in self.plan.skipped.iter().chain(&self.skipped) {
            if !rows.iter().any(|row| row.key.phase == skipped.phase) {
                let key = Key::host(skipped.phase, Params::new());
                rows.push(Measurement::without_samples(key, Outcome::skipped(skipped.why.clone())));
            }
        }
        for phase in Phase::ALL {
            if rows.iter().any(|row| row.key.phase == phase) {
                continue;
            }
            rows.push(Measurement::without_samples(
                Key::host(phase, Params::new()),
                Outcome::skipped(self.why_not(phase)),
            ));
        }
    }

    /// Why a phase has no row although nothing failed.
    fn why_not(&self, phase: Phase) -> String {
        let unsteady = || self.warm_up.iter().find_map(|curve| curve.analysis.why.as_deref());
        match (self.plan.phases.contains(&phase), phase, self.state) {
            (false, ..) => "not asked for: leave `--phases` out, or name it there".to_owned(),
            (true, Phase::WarmUp, _) if !self.warm_up.is_empty() => {
                format!("no trial reached a steady state: {}", unsteady().unwrap_or("iterate longer"))
            }
            (true, _, RunState::Complete) => "no step of the plan measured it".to_owned(),
            (true, ..) => {
                "the run ended before this phase was measured: continue it with `coldstart run --resume`"
                    .to_owned()
            }
        }
    }

    /// Caveats that follow from the numbers.
    fn derive_caveats(&mut self) {
        self.caveats.retain(|caveat| {
            !matches!(caveat.code.as_str(), "limit_not_tight" | "inconsistent_warm_up" | "partial")
        });
        let loose: Vec<String> = (self.measurements.iter())
            .filter(|row| row.achieved().is_some_and(|ratio| ratio > LOOSE))
            .filter_map(|row| {
                let kind = row.limit.as_ref()?.kind;
                Some(format!(
                    "`{}` beats its limit `{kind}` by {:.0} %: the limit is not tight",
                    row.key,
                    (row.achieved()? - 1.0) * 100.0
                ))
            })
            .collect();
        for text in loose {
            self.caveat("limit_not_tight", text);
        }
        if self.warm_up_agreement.as_ref().is_some_and(|agreement| !agreement.consistent) {
            self.caveat(
                "inconsistent_warm_up",
                "trials disagree on how they warm up: look at each curve before using the steady state",
            );
        }
        let marked: Vec<&Trace> = self.traces.iter().filter(|trace| trace.mark().is_some()).collect();
        if let Some(first) = marked.first() {
            let text = format!(
                "{} of {} traces are left out of the summaries, the first of them `{}`: {}",
                marked.len(),
                self.traces.len(),
                first.step,
                first.mark().unwrap_or_default(),
            );
            self.caveat("partial", text);
        }
    }
}

/// A load that beats its limit by more than this shows that the limit was not the limit.
pub const LOOSE: f64 = 1.05;

/// Phases that a trace passes through.
fn covered(trace: &Trace) -> &'static [Phase] {
    match trace.scope {
        Scope::Pull => &[Phase::ImagePull],
        Scope::Load => &[Phase::WeightsLoad],
        Scope::ColdStart if trace.total_kind == TotalKind::Container => &[Phase::ContainerStart],
        Scope::ColdStart => {
            &[Phase::ProcessStart, Phase::Alloc, Phase::WeightsLoad, Phase::FirstBatch, Phase::WarmUp]
        }
    }
}

/// The conditions under which a phase of a failed trace would have been measured.
fn failed_params(trace: &Trace, phase: Phase) -> Params {
    match phase {
        Phase::WeightsLoad | Phase::ImagePull => trace.params.clone(),
        _ => Params::new(),
    }
}

/// Whether a reading enters the rows. Loads without a forward pass repeat the start of a process only to get to their
/// load, and a container's phases after its start are those of a process behind another cache: only what each trace
/// was made for is counted.
fn counts(trace: &Trace, reading: &Reading) -> bool {
    !matches!(trace.end, TraceEnd::Failed { .. }) && covered_or_device(trace, reading.phase)
}

fn covered_or_device(trace: &Trace, phase: Phase) -> bool {
    let device = matches!(phase, Phase::DriverInit | Phase::ContextCreate | Phase::ModuleLoad);
    covered(trace).contains(&phase)
        || (device && trace.scope == Scope::ColdStart && trace.total_kind == TotalKind::Process)
}

/// Readings under one key, on their way to samples.
#[derive(Default)]
struct Gathered {
    samples: Vec<Nanos>,
    marks: Vec<Mark>,
    work: Option<Work>,
}

impl Gathered {
    fn push(&mut self, sample: Nanos, mark: Option<&str>) {
        if let Some(reason) = mark {
            self.marks.push(Mark { index: self.samples.len(), reason: reason.to_owned(), excluded: true });
        }
        self.samples.push(sample);
    }

    fn outcome(self) -> Outcome {
        match Samples::with_marks(self.samples, self.marks) {
            Ok(samples) => Outcome::measured(samples),
            Err(error) => Outcome::failed(error.to_string()),
        }
    }
}

/// The traces' readings by key, in the order taken.
fn rows_of(traces: &[Trace]) -> Vec<Measurement> {
    let mut gathered: BTreeMap<Key, Gathered> = BTreeMap::new();
    for trace in traces {
        for reading in trace.readings.iter().filter(|reading| counts(trace, reading)) {
            let clocks = [(Clock::Host, Some(reading.duration_ns)), (Clock::Device, reading.device_ns)];
            for (clock, sample) in clocks.into_iter().filter_map(|(clock, sample)| Some((clock, sample?))) {
                let key = Key { phase: reading.phase, params: reading.params.clone(), clock };
                let entry = gathered.entry(key).or_default();
                entry.work = reading.work;
                entry.push(sample, reading.mark.as_deref());
            }
        }
    }
    let row = |(key, mut entry): (Key, Gathered)| {
        let work = entry.work.take();
        Measurement { key, work, limit: None, outcome: entry.outcome() }
    };
    gathered.into_iter().map(row).collect()
}

/// Totals of completed cold starts by kind, conditions and last phase.
fn totals_of(traces: &[Trace]) -> Vec<Total> {
    let mut gathered: BTreeMap<(TotalKind, Params, Phase), Gathered> = BTreeMap::new();
    for trace in traces.iter().filter(|trace| trace.scope == Scope::ColdStart) {
        let (Some((total, _)), Some(last)) = (trace.total(), trace.readings.last()) else { continue };
        let entry = gathered.entry((trace.total_kind, trace.params.clone(), last.phase)).or_default();
        entry.push(total, trace.mark());
    }
    let total = |((kind, params, ends_with), entry): (_, Gathered)| Total {
        kind,
        params,
        ends_with,
        outcome: entry.outcome(),
    };
    gathered.into_iter().map(total).collect()
}

/// The best reading of a limit: the highest rate.
pub(crate) fn best(limits: &[LimitMeasurement], kind: LimitKind) -> Option<Limit> {
    limits
        .iter()
        .filter(|limit| limit.kind == kind)
        .filter_map(|limit| {
            let (samples, _) = limit.outcome.as_measured()?;
            let best_ns = samples.included().into_iter().min()?;
            Some(Limit { kind, work: limit.work, best_ns })
        })
        .max_by(|a, b| a.rate().unwrap_or(0.0).total_cmp(&b.rate().unwrap_or(0.0)))
}

/// What bounds a row.
fn limit_of(row: &Measurement, limits: &[LimitMeasurement], points: &[ThroughputPoint]) -> Option<Limit> {
    match row.key.phase {
        Phase::WeightsLoad => match row.key.params.get("page_cache") {
            Some("cold") => best(limits, LimitKind::DirectRead),
            _ => best(limits, LimitKind::CachedRead),
        },
        Phase::ImagePull => {
            let kind = match row.key.params.get("codec") {
                Some("zstd") => LimitKind::InflateZstd,
                _ => LimitKind::InflateGzip,
            };
            best(limits, kind)
        }
        Phase::Throughput => roofline(points.iter().find(|point| point.key == row.key)?, row.work?, limits),
        _ => None,
    }
}

/// The least time of one iteration by Williams, Waterman and Patterson's roofline (CACM 52(4), 2009): the longer of its
/// operations at the measured peak of matrix products, and its bytes at the measured memory bandwidth.
fn roofline(point: &ThroughputPoint, work: Work, limits: &[LimitMeasurement]) -> Option<Limit> {
    let time = |kind: LimitKind, amount: u64| {
        let rate = best(limits, kind)?.rate()?;
        Some((kind, amount as f64 / rate * 1e9))
    };
    let compute = time(LimitKind::Gemm, point.flops)?;
    let memory = time(LimitKind::MemoryRead, point.read_bytes.get())?;
    let (kind, nanos) = if compute.1 >= memory.1 { compute } else { memory };
    Some(Limit { kind, work, best_ns: Nanos::from_nanos_f64(nanos) })
}

#[cfg(test)]
mod tests;
