//! Whole cold starts of several profiles, trial by trial.

use std::collections::BTreeMap;

use coldstart_profiles::{Key, Nanos, Params, Phase, Profile, Scope, TotalKind, Trace};

use super::facts::total_key;

/// So many trials without a mark are enough for one kind of them to be preferred: the least count of a run.
const ENOUGH: usize = 3;

/// The cold starts of one kind under one set of conditions, over the profiles of a class.
pub(super) struct Trials<'a> {
    pub(super) kind: TotalKind,
    pub(super) params: &'a Params,
    pub(super) ends_with: Phase,
    /// Trials without a mark, or all of them when every one is marked.
    traces: Vec<&'a Trace>,
}

impl<'a> Trials<'a> {
    /// The trials that stand for a replica's start: of containers where there are enough without a mark, else of processes; with the plan's
    /// strategy and a cold page cache where there are such, else the conditions with the most trials.
    pub(super) fn of(profiles: &[&'a Profile]) -> Option<Self> {
        let planned = |params: &Params| {
            profiles.iter().any(|profile| params.get("staging") == Some(profile.plan.strategy.as_str()))
        };
        let mut groups: BTreeMap<(TotalKind, &Params, Phase), Vec<&Trace>> = BTreeMap::new();
        let whole = profiles.iter().flat_map(|profile| &profile.traces);
        for trace in whole.filter(|trace| trace.scope == Scope::ColdStart) {
            if let (Some(_), Some(last)) = (trace.total(), trace.readings.last()) {
                groups.entry((trace.total_kind, &trace.params, last.phase)).or_default().push(trace);
            }
        }
        let ((kind, params, ends_with), traces) =
            groups.into_iter().max_by_key(|((kind, params, ends_with), traces)| {
                // Of pods: those that had to pull their image.
                let cold = params.get("page_cache") == Some("cold") || params.get("image") == Some("pulled");
                let fit = traces.iter().filter(|trace| trace.mark().is_none()).count();
                let enough = if *kind == TotalKind::Pod { ENOUGH } else { fit.min(ENOUGH) };
                (enough, *kind, planned(params), cold, traces.len(), *ends_with)
            })?;
        let unmarked: Vec<&Trace> = traces.iter().copied().filter(|trace| trace.mark().is_none()).collect();
        let traces = if unmarked.is_empty() { traces } else { unmarked };
        Some(Trials { kind, params, ends_with, traces })
    }

    /// How many.
    pub(super) fn n(&self) -> usize {
        self.traces.len()
    }

    /// The key of their totals.
    pub(super) fn key(&self) -> Key {
        total_key(self.kind.name(), self.ends_with, self.params)
    }

    /// The key of a phase in them.
    pub(super) fn key_of(&self, phase: Phase) -> Option<Key> {
        let reading = self.traces.iter().find_map(|trace| trace.reading(phase))?;
        Some(Key::host(phase, reading.params.clone()))
    }

    /// The phases that they pass through, in order.
    pub(super) fn phases(&self) -> Vec<Phase> {
        let passed = |phase: &Phase| self.traces.iter().any(|trace| trace.reading(*phase).is_some());
        Phase::ALL.into_iter().filter(passed).collect()
    }

    /// Their totals, in order.
    pub(super) fn totals(&self) -> Vec<Nanos> {
        self.traces.iter().filter_map(|trace| Some(trace.total()?.0)).collect()
    }

    /// Their totals without the pull of the image, where that is a part of them.
    pub(super) fn totals_without_pull(&self) -> Vec<Nanos> {
        let pull = |trace: &Trace| {
            trace.reading(Phase::ImagePull).map_or(Nanos::ZERO, |reading| reading.duration_ns)
        };
        self.traces.iter().filter_map(|trace| Some(trace.total()?.0.saturating_sub(pull(trace)))).collect()
    }

    /// What no part accounts for, trial by trial.
    pub(super) fn unattributed(&self) -> Vec<Nanos> {
        self.traces.iter().filter_map(|trace| Some(trace.total()?.1)).collect()
    }

    /// The times of one phase, trial by trial.
    pub(super) fn times(&self, phase: Phase) -> Vec<Nanos> {
        self.traces.iter().filter_map(|trace| Some(trace.reading(phase)?.duration_ns)).collect()
    }
}
