//! From raw readings to the rows of a profile. Pure: called again after every step, and on scripted readings in tests.

use std::collections::BTreeMap;

use crate::ceiling::ceilings;
use crate::key::{Clock, Key, Params};
use crate::load::DeviceLoad;
use crate::measurement::{Measurement, Outcome};
use crate::phase::Phase;
use crate::profile::{Profile, RunState, Total};
use crate::samples::{Mark, Samples};
use crate::throughput::{Fits, ThroughputPoint};
use crate::trace::{Detail, Reading, Scope, TotalKind, Trace, TraceEnd};
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
        self.ceilings = ceilings(&self.target.device, &self.telemetry);
        self.fits = Fits::of(&self.throughput, &self.measurements);
        self.warm_up_agreement = TrialsAgreement::of(self.warm_up.iter().map(|curve| &curve.analysis));
        self.derive_caveats();
    }

    /// A phase in which every attempt failed stands in the table with what went wrong.
    fn add_failed(&self, rows: &mut Vec<Measurement>) {
        for trace in &self.traces {
            let TraceEnd::Failed { why, .. } = &trace.end else { continue };
            let left_out = |phase: &Phase| self.plan.skipped.iter().any(|skipped| skipped.phase == *phase);
            let tried = |phase: &&Phase| covered(trace).contains(phase) && !left_out(phase);
            for phase in self.plan.phases.iter().filter(tried) {
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
        for refused in &self.refused {
            if !rows.iter().any(|row| row.key == refused.key) {
                let outcome = Outcome::skipped(refused.why.clone());
                rows.push(Measurement::without_samples(refused.key.clone(), outcome));
            }
        }
        for skipped in self.plan.skipped.iter().chain(&self.skipped) {
            if !rows.iter().any(|row| row.key.phase == skipped.phase) {
                let key = Key::host(skipped.phase, Params::new());
                rows.push(Measurement::without_samples(key, Outcome::skipped(skipped.why.clone())));
            }
        }
        let of_this_run = |phase: &Phase| Phase::MACHINE.contains(phase) || self.plan.phases.contains(phase);
        for phase in Phase::ALL.into_iter().filter(of_this_run) {
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
        Scope::Startup => &[Phase::DriverInit, Phase::ContextCreate, Phase::ModuleLoad],
        Scope::ColdStart if trace.total_kind == TotalKind::Container => &[Phase::ContainerStart],
        Scope::ColdStart if trace.total_kind == TotalKind::Pod => {
            &[Phase::Scheduling, Phase::ImagePull, Phase::ContainerStart, Phase::Readiness]
        }
        Scope::ColdStart => &[
            Phase::ProcessStart,
            Phase::DriverInit,
            Phase::ContextCreate,
            Phase::ModuleLoad,
            Phase::Alloc,
            Phase::WeightsLoad,
            Phase::FirstBatch,
            Phase::WarmUp,
        ],
    }
}

/// The conditions under which a phase of a failed trace would have been measured: those of the trace that belong to it.
fn failed_params(trace: &Trace, phase: Phase) -> Params {
    let names: &[&str] = match phase {
        Phase::ImagePull => return trace.params.clone(),
        Phase::WeightsLoad => &["devices", "page_cache", "staging"],
        Phase::DriverInit => &["driver_state"],
        Phase::ContextCreate => &["driver_state", "loading"],
        Phase::ModuleLoad => &["jit_cache", "loading"],
        _ => &[],
    };
    names.iter().fold(Params::new(), |params, name| match trace.params.get(name) {
        Some(value) => params.with(name, value),
        None => params,
    })
}

/// Whether a reading enters the rows. Loads without a forward pass repeat the start of a process only to get to their
/// load, and a container's phases after its start are those of a process behind another cache: only what each trace
/// was made for is counted.
fn counts(trace: &Trace, reading: &Reading) -> bool {
    !matches!(trace.end, TraceEnd::Failed { .. }) && covered(trace).contains(&reading.phase)
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
            for (key, work, sample) in shares(reading) {
                let entry = gathered.entry(key).or_default();
                entry.work = Some(work);
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

/// What each device did of a load to several.
fn shares(reading: &Reading) -> Vec<(Key, Work, Nanos)> {
    let Some(Detail::Together(together)) = &reading.detail else { return Vec::new() };
    let share = |share: &DeviceLoad| {
        let key = Key::host(reading.phase, reading.params.clone().with("device", share.device));
        (key, Work::Bytes(share.load.loaded_bytes), share.total_ns)
    };
    together.devices.iter().map(share).collect()
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
    best_of(limits.iter().filter(|limit| limit.kind == kind))
}

/// The best reading of products in this format; in any format where there is none in this one.
fn best_product(limits: &[LimitMeasurement], dtype: Option<&str>) -> Option<Limit> {
    let products = || limits.iter().filter(|limit| limit.kind == LimitKind::Gemm);
    let in_format = best_of(products().filter(|limit| dtype.is_some() && limit.params.get("dtype") == dtype));
    in_format.or_else(|| best_of(products()))
}

fn best_of<'l>(limits: impl Iterator<Item = &'l LimitMeasurement>) -> Option<Limit> {
    limits
        .filter_map(|limit| {
            let (samples, _) = limit.outcome.as_measured()?;
            let best_ns = samples.included().into_iter().min()?;
            Some(Limit { kind: limit.kind, work: limit.work, best_ns })
        })
        .max_by(|a, b| a.rate().unwrap_or(0.0).total_cmp(&b.rate().unwrap_or(0.0)))
}

/// What bounds a row.
fn limit_of(row: &Measurement, limits: &[LimitMeasurement], points: &[ThroughputPoint]) -> Option<Limit> {
    match row.key.phase {
        // Each of several devices has a link of its own: no limit was measured for all of them.
        Phase::WeightsLoad
            if row.key.params.get("devices").is_some() && row.key.params.get("device").is_none() =>
        {
            None
        }
        Phase::WeightsLoad => {
            let staged = best(limits, LimitKind::CachedReadStaged);
            let read = match (row.key.params.get("page_cache"), row.key.params.get("staging")) {
                (Some("cold"), _) => best(limits, LimitKind::DirectRead),
                // The device reads the page cache itself.
                (_, Some("registered")) => None,
                _ => staged.or_else(|| best(limits, LimitKind::CachedRead)),
            };
            // Every byte is read and then copied to the device: the slower of the two bounds both.
            slower(read, best(limits, LimitKind::HostToDevice))
        }
        Phase::ImagePull => {
            let kind = match row.key.params.get("codec") {
                Some("zstd") => LimitKind::InflateZstd,
                _ => LimitKind::InflateGzip,
            };
            best(limits, kind)
        }
        Phase::Throughput => {
            // Both clocks measure the same passes.
            let of_row = |point: &&ThroughputPoint| {
                (point.key.phase, &point.key.params) == (row.key.phase, &row.key.params)
            };
            roofline(points.iter().find(of_row)?, row.work?, limits)
        }
        _ => None,
    }
}

/// The lower rate of two limits; the known one where the other is not.
fn slower(a: Option<Limit>, b: Option<Limit>) -> Option<Limit> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if b.rate() < a.rate() { b } else { a }),
        (a, b) => a.or(b),
    }
}

/// The least time of one iteration by Williams, Waterman and Patterson's roofline (CACM 52(4), 2009): the longer of its
/// operations at the measured peak of matrix products in its format, and its bytes at the measured rate of reading the
/// device's memory.
fn roofline(point: &ThroughputPoint, work: Work, limits: &[LimitMeasurement]) -> Option<Limit> {
    let time = |limit: Limit, amount: u64| Some((limit.kind, amount as f64 / limit.rate()? * 1e9));
    let compute = time(best_product(limits, point.dtype.as_deref())?, point.flops)?;
    let memory = best(limits, LimitKind::DeviceRead).or_else(|| best(limits, LimitKind::MemoryRead))?;
    let memory = time(memory, point.read_bytes.get())?;
    let (kind, nanos) = if compute.1 >= memory.1 { compute } else { memory };
    Some(Limit { kind, work, best_ns: Nanos::from_nanos_f64(nanos) })
}

#[cfg(test)]
pub(crate) mod tests;
