//! The phases of one cold start in order, over all of its trials.

use std::collections::BTreeMap;

use crate::key::{Key, Params};
use crate::phase::Phase;
use crate::profile::Profile;
use crate::samples::{Mark, Samples};
use crate::stats::{OrderStatistics, Percentile};
use crate::summary::{Summary, summarize};
use crate::trace::{Reading, Scope, TotalKind, Trace};
use crate::units::Nanos;
use crate::work::{Limit, Work};

/// The cold starts of one kind under one set of conditions: parts, what no part accounts for, and totals.
///
/// Phases of one trial stay together: a trial with a marked part is left out of every row alike, unless all are marked.
#[derive(Debug, Clone, PartialEq)]
pub struct Waterfall<'a> {
    /// Which phases the totals chain.
    pub kind: TotalKind,
    /// Conditions of the traces.
    pub params: &'a Params,
    /// The phase at whose end the clock stopped.
    pub ends_with: Phase,
    /// The phases in the order in which they happen.
    pub parts: Vec<WaterfallPart<'a>>,
    /// Total minus parts, trial by trial.
    pub unattributed: Summary,
    /// Its share of the total in the trial whose total is the median, 0 to 1.
    pub unattributed_share: f64,
    /// The totals.
    pub total: Summary,
}

/// One phase of a waterfall.
#[derive(Debug, Clone, PartialEq)]
pub struct WaterfallPart<'a> {
    /// The phase.
    pub phase: Phase,
    /// Its conditions.
    pub params: &'a Params,
    /// Median of its begins, counted from the begin of the trace.
    pub begin_ns: Nanos,
    /// Its durations.
    pub time: Summary,
    /// Its share of the total in the trial whose total is the median, 0 to 1: phases of one trial stay together, so shares of all
    /// parts and of the rest add up to 1, and one odd trial moves none of them.
    pub share: f64,
    /// The work of one pass.
    pub work: Option<Work>,
    /// What bounds it.
    pub limit: Option<&'a Limit>,
}

impl WaterfallPart<'_> {
    /// Work per second at the median.
    pub fn rate(&self) -> Option<f64> {
        self.work?.rate(self.time.p50_ns)
    }

    /// Achieved ÷ limit at the median.
    pub fn achieved(&self) -> Option<f64> {
        self.limit?.achieved(self.work?, self.time.p50_ns)
    }
}

impl Waterfall<'_> {
    /// The phase that takes most of the time.
    pub fn largest(&self) -> Option<&WaterfallPart<'_>> {
        self.parts.iter().max_by(|a, b| a.share.total_cmp(&b.share))
    }
}

impl Profile {
    /// The cold start that stands for all of one kind: with the plan's strategy and a cold page cache (of pods: with the
    /// image pulled) where there is one, else the one with the most trials. `None` before the first that reached its end.
    pub fn waterfall(&self, kind: TotalKind) -> Option<Waterfall<'_>> {
        let mut groups: BTreeMap<(&Params, Phase), Vec<&Trace>> = BTreeMap::new();
        for trace in
            self.traces.iter().filter(|trace| trace.scope == Scope::ColdStart && trace.total_kind == kind)
        {
            if let (Some(_), Some(last)) = (trace.total(), trace.readings.last()) {
                groups.entry((&trace.params, last.phase)).or_default().push(trace);
            }
        }
        let ((params, ends_with), traces) =
            groups.into_iter().max_by_key(|((params, ends_with), traces)| {
                let planned = params.get("staging") == Some(self.plan.strategy.as_str());
                let cold = params.get("page_cache") == Some("cold") || params.get("image") == Some("pulled");
                (planned, cold, traces.len(), *ends_with)
            })?;
        self.chained(kind, params, ends_with, &traces)
    }

    fn chained<'a>(
        &'a self,
        kind: TotalKind,
        params: &'a Params,
        ends_with: Phase,
        traces: &[&'a Trace],
    ) -> Option<Waterfall<'a>> {
        let counted = counted(traces);
        let total = summary_of(traces, |trace| trace.total().map(|(total, _)| total))?;
        let middle = middle(&counted, total.p50_ns)?;
        let of_phase = |phase| self.part(phase, traces, &counted, middle);
        let unattributed = |trace: &Trace| trace.total().map(|(_, rest)| rest);
        Some(Waterfall {
            kind,
            params,
            ends_with,
            parts: Phase::ALL.into_iter().filter_map(of_phase).collect(),
            unattributed: summary_of(traces, unattributed)?,
            unattributed_share: share(middle, unattributed),
            total,
        })
    }

    fn part<'a>(
        &'a self,
        phase: Phase,
        traces: &[&'a Trace],
        counted: &[&'a Trace],
        middle: &Trace,
    ) -> Option<WaterfallPart<'a>> {
        let reading = counted.iter().rev().find_map(|trace| trace.reading(phase))?;
        let duration = |trace: &Trace| trace.reading(phase).map(|reading| reading.duration_ns);
        let begins = counted.iter().filter_map(|trace| trace.reading(phase)).map(|reading| reading.begin_ns);
        Some(WaterfallPart {
            phase,
            params: &reading.params,
            begin_ns: OrderStatistics::new(begins.collect()).ok()?.nearest_rank(Percentile::P50),
            time: summary_of(traces, duration)?,
            share: share(middle, duration),
            work: reading.work,
            limit: self.limit_of(reading),
        })
    }

    fn limit_of(&self, reading: &Reading) -> Option<&Limit> {
        self.measurement(&Key::host(reading.phase, reading.params.clone()))?.limit.as_ref()
    }
}

/// Trials without a mark, or all of them when every one is marked.
fn counted<'a>(traces: &[&'a Trace]) -> Vec<&'a Trace> {
    let unmarked: Vec<&Trace> = traces.iter().filter(|trace| trace.mark().is_none()).copied().collect();
    if unmarked.is_empty() { traces.to_vec() } else { unmarked }
}

/// A summary of one time of each trial that has it; marked trials are left out of it.
fn summary_of(traces: &[&Trace], time: impl Fn(&Trace) -> Option<Nanos>) -> Option<Summary> {
    let (mut samples, mut marks) = (Vec::new(), Vec::new());
    for (trace, sample) in traces.iter().filter_map(|trace| Some((trace, time(trace)?))) {
        if let Some(reason) = trace.mark() {
            marks.push(Mark { index: samples.len(), reason: reason.to_owned(), excluded: true });
        }
        samples.push(sample);
    }
    Some(summarize(&Samples::with_marks(samples, marks).ok()?))
}

/// The trial that stands for all: the one whose total is the median.
fn middle<'a>(traces: &[&'a Trace], median: Nanos) -> Option<&'a Trace> {
    let beside = |trace: &&Trace| {
        trace.total().map_or(u64::MAX, |(total, _)| total.as_nanos().abs_diff(median.as_nanos()))
    };
    traces.iter().copied().min_by_key(beside)
}

/// A time's share of the trial's total; 0 where it has no such time.
fn share(trace: &Trace, time: impl Fn(&Trace) -> Option<Nanos>) -> f64 {
    match trace.total() {
        Some((total, _)) if total > Nanos::ZERO => {
            time(trace).unwrap_or_default().as_secs_f64() / total.as_secs_f64()
        }
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(trial: u32, process: u64, load: u64, rest: u64, mark: Option<&str>) -> Trace {
        let reading = |phase, begin: u64, duration: u64| Reading {
            phase,
            params: Params::new(),
            begin_ns: Nanos::from_nanos(begin),
            duration_ns: Nanos::from_nanos(duration),
            device_ns: None,
            work: None,
            mark: mark.map(str::to_owned),
            detail: None,
        };
        let readings =
            vec![reading(Phase::ProcessStart, 0, process), reading(Phase::WeightsLoad, process + rest, load)];
        let end = Trace::completed(&readings, Nanos::from_nanos(process + load + rest));
        Trace {
            step: format!("trial-{trial}"),
            trial,
            scope: Scope::ColdStart,
            total_kind: TotalKind::Process,
            params: Params::new(),
            readings,
            end,
        }
    }

    #[test]
    fn shares_add_up_and_marked_trials_are_left_out_of_every_row() {
        let traces =
            [trial(0, 10, 80, 10, None), trial(1, 30, 60, 10, None), trial(2, 1, 1, 998, Some("partial"))];
        let traces: Vec<&Trace> = traces.iter().collect();
        let counted = counted(&traces);
        assert_eq!(counted.len(), 2);
        let load = |trace: &Trace| trace.reading(Phase::WeightsLoad).map(|reading| reading.duration_ns);
        let summary = summary_of(&traces, load).unwrap();
        assert_eq!((summary.n, summary.left_out, summary.max_ns), (2, 1, Nanos::from_nanos(80)));
        // Of two trials that took equally long the first stands for both.
        let middle = middle(&counted, Nanos::from_nanos(100)).unwrap();
        let shares = [
            share(middle, |trace| trace.reading(Phase::ProcessStart).map(|reading| reading.duration_ns)),
            share(middle, load),
            share(middle, |trace| trace.total().map(|(_, rest)| rest)),
        ];
        assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{shares:?}");
        assert!((shares[1] - 0.8).abs() < 1e-12);
    }

    #[test]
    fn one_odd_trial_moves_no_share() {
        let traces = [trial(0, 10, 80, 10, None), trial(1, 12, 82, 10, None), trial(2, 10, 80, 910, None)];
        let traces: Vec<&Trace> = traces.iter().collect();
        let middle = middle(&counted(&traces), Nanos::from_nanos(104)).unwrap();
        let rest = share(middle, |trace| trace.total().map(|(_, rest)| rest));
        assert!((rest - 10.0 / 104.0).abs() < 1e-12, "{rest}");
    }

    #[test]
    fn when_all_are_marked_all_count() {
        let only = trial(0, 1, 2, 3, Some("partial"));
        assert_eq!(counted(&[&only]).len(), 1);
    }
}
