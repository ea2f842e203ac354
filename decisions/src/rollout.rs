//! What a deployment has to allow a replica that starts.

use coldstart_profiles::{Key, Nanos, Phase, Profile, Scope, TotalKind, Trace};

use crate::basis::{Basis, Figure, Quantity};

/// A start may take so much longer than the longest that was seen.
const ROOM: f64 = 1.5;
/// What Kubernetes allows a rollout unless told otherwise: enough for most pulls and queues that nobody measured.
const USUAL_DEADLINE_S: f64 = 600.0;

/// The longest starts that were seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Rollout {
    /// The largest total of a trial without the pull of the image and without scheduling: what a probe of a container that
    /// starts has to wait for.
    pub start_hi_ns: Figure<Nanos>,
    /// C_hi: the largest total, with the largest pull of the user's own image.
    pub cold_hi_ns: Figure<Nanos>,
    /// Parts of a rollout that C_hi does not hold, since nobody measured them: scheduling, the pull of the user's own image.
    pub unmeasured: Vec<Phase>,
}

impl Rollout {
    /// The longest starts of a profile: of pods where it holds any, else of containers, else of processes. `None` without a whole
    /// cold start.
    pub fn of(profile: &Profile) -> Option<Self> {
        let kinds = [TotalKind::Pod, TotalKind::Container, TotalKind::Process];
        let (kind, traces) = kinds
            .into_iter()
            .map(|kind| (kind, whole(profile, kind)))
            .find(|(_, traces)| !traces.is_empty())?;
        let n = traces.len();
        let keys: Vec<Key> = traces
            .iter()
            .filter_map(|trace| Some(Key::host(trace.readings.last()?.phase, trace.params.clone())))
            .collect();
        let outside = |trace: &Trace| -> Nanos {
            let phases = [Phase::Scheduling, Phase::ImagePull].into_iter();
            phases.filter_map(|phase| trace.reading(phase)).map(|reading| reading.duration_ns).sum()
        };
        let totals = || traces.iter().filter_map(|trace| Some((*trace, trace.total()?.0)));
        let start = totals().map(|(trace, total)| total.saturating_sub(outside(trace))).max()?;
        let formula =
            format!("the largest total of {n} trials of a {}, without pull and scheduling", kind.name());
        let start_hi_ns = Figure::new(start, Basis::measured(formula, keys.clone(), n));
        let whole = totals().map(|(_, total)| total).max()?;
        let mut basis =
            Basis::measured(format!("the largest total of {n} trials of a {}", kind.name()), keys, n);
        let mut hi = whole;
        let seen = |phase: Phase| traces.iter().any(|trace| trace.reading(phase).is_some());
        let mut unmeasured: Vec<Phase> =
            [Phase::Scheduling, Phase::ImagePull].into_iter().filter(|phase| !seen(*phase)).collect();
        if kind != TotalKind::Pod {
            match largest_pull(profile) {
                Some(pull) => {
                    unmeasured.retain(|phase| *phase != Phase::ImagePull);
                    hi = hi.saturating_add(pull.value);
                    basis.formula.push_str(", and the largest pull of the image");
                    basis = basis.input("pull", Quantity::Nanos(pull.value)).resting_on(&pull.basis);
                }
                None => {
                    basis = basis.caveat("no image of yours was pulled: the image is taken to be on the node")
                }
            }
        }
        Some(Rollout { start_hi_ns, cold_hi_ns: Figure::new(hi, basis), unmeasured })
    }

    /// startupProbe.failureThreshold = ceil(1.5 × the longest start ÷ period) + 1: the first probe may come right after the start of
    /// the container, so that n failures wait only n − 1 periods. `period` is at least a second; the answer at least 2.
    pub fn startup_failures(&self, period: Nanos) -> Figure<u32> {
        let period = period.max(Nanos::from_secs(1));
        let waited = (ROOM * self.start_hi_ns.value.as_secs_f64() / period.as_secs_f64()).ceil().max(1.0);
        let failures = waited + 1.0;
        let basis = Basis::of("ceil(1.5 × start_hi ÷ period) + 1 (the first probe may come at once)")
            .input("start_hi", Quantity::Nanos(self.start_hi_ns.value))
            .input("period", Quantity::Nanos(period))
            .resting_on(&self.start_hi_ns.basis);
        Figure::new(failures as u32, basis)
    }

    /// progressDeadlineSeconds = ceil(1.5 × C_hi), never below what the startup probe waits, and never below Kubernetes' own 600 s
    /// where scheduling or the pull were not measured.
    pub fn progress_deadline_s(&self, period: Nanos) -> Figure<u32> {
        let probe = f64::from(self.startup_failures(period).value) * period.as_secs_f64().max(1.0);
        let deadline = (ROOM * self.cold_hi_ns.value.as_secs_f64()).max(probe).ceil().max(1.0);
        let of = |formula: &str| {
            Basis::of(formula)
                .input("C_hi", Quantity::Nanos(self.cold_hi_ns.value))
                .resting_on(&self.cold_hi_ns.basis)
        };
        if self.unmeasured.is_empty() {
            let basis = of("ceil(1.5 × C_hi), at least failureThreshold × period");
            return Figure::new(deadline as u32, basis);
        }
        let names: Vec<&str> = self.unmeasured.iter().map(|phase| phase.name()).collect();
        let basis = of("max(600, ceil(1.5 × C_hi)), at least failureThreshold × period").caveat(format!(
            "C_hi holds no {}: none was measured, so it is not below Kubernetes' own 600 s",
            names.join(" and no ")
        ));
        Figure::new(deadline.max(USUAL_DEADLINE_S) as u32, basis)
    }
}

/// Whether a start that ends with this phase is that of a replica: one that only loads its weights does not serve yet.
pub const fn serves(ends_with: Phase) -> bool {
    matches!(ends_with, Phase::FirstBatch | Phase::WarmUp | Phase::Readiness)
}

/// Whole cold starts of one kind, as far as the first answer: those without a mark, where there are any.
fn whole(profile: &Profile, kind: TotalKind) -> Vec<&Trace> {
    let all = profile.traces.iter().filter(|trace| {
        trace.scope == Scope::ColdStart
            && trace.total_kind == kind
            && trace.total().is_some()
            && trace.readings.last().is_some_and(|last| serves(last.phase))
    });
    let (unmarked, marked): (Vec<&Trace>, Vec<&Trace>) = all.partition(|trace| trace.mark().is_none());
    if unmarked.is_empty() { marked } else { unmarked }
}

/// The largest pull of an image that is the user's own; a synthetic one says nothing of it.
pub fn largest_pull(profile: &Profile) -> Option<Figure<Nanos>> {
    let rows = profile.of_phase(Phase::ImagePull);
    let real = rows.filter(|row| row.key.params.get("source") != Some("synthetic"));
    let measured = real.filter_map(|row| Some((&row.key, row.outcome.as_measured()?.1)));
    let (key, summary) = measured.max_by_key(|(_, summary)| summary.max_ns)?;
    let (value, formula) = match summary.p99_ns {
        Some(p99) => (p99, "99th percentile of the pulls".to_owned()),
        None => (summary.max_ns, format!("the largest of {} pulls", summary.n)),
    };
    Some(Figure::new(value, Basis::measured(formula, [key.clone()], summary.n)))
}

/// Seconds after which a pull is given up: twice the largest that was seen.
pub fn pull_timeout_s(pull: &Figure<Nanos>) -> Figure<u32> {
    let seconds = (2.0 * pull.value.as_secs_f64()).ceil().max(1.0);
    let basis =
        Basis::of("ceil(2 × pull)").input("pull", Quantity::Nanos(pull.value)).resting_on(&pull.basis);
    Figure::new(seconds as u32, basis)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{profile, with_cold_starts, with_containers, with_pulls};

    #[test]
    fn probes_wait_half_as_long_again_as_the_longest_start() {
        let starts = with_cold_starts(profile(), &[40_000, 61_000, 50_000]);
        let rollout = Rollout::of(&starts).unwrap();
        assert_eq!(rollout.start_hi_ns.value, Nanos::from_secs(61));
        // 1.5 × 61 = 91.5: 19 periods of 5 s, 92 of 1 s, and the probe that comes at once.
        for (period, failures) in [(5, 20), (1, 93), (0, 93), (100, 2), (1000, 2)] {
            assert_eq!(rollout.startup_failures(Nanos::from_secs(period)).value, failures, "{period}");
        }
        assert_eq!(rollout.unmeasured, [Phase::Scheduling, Phase::ImagePull]);
        let deadline = rollout.progress_deadline_s(Nanos::from_secs(5));
        assert_eq!(deadline.value, 600, "a pull may take longer than all that was measured");
        assert!(deadline.basis.caveats[0].contains("image_pull"), "{:?}", deadline.basis);
        assert!(!rollout.cold_hi_ns.basis.caveats.is_empty(), "no image was pulled");
        let known = Rollout { unmeasured: Vec::new(), ..rollout };
        let deadline = known.progress_deadline_s(Nanos::from_secs(5));
        assert_eq!(deadline.value, 100, "20 × 5 > 91.5");
        assert!(deadline.basis.caveats.is_empty());
    }

    #[test]
    fn containers_come_before_processes_and_pulls_on_top() {
        let all = with_pulls(
            with_containers(with_cold_starts(profile(), &[9_000]), &[10_000, 12_000]),
            "registry",
            &[30_000],
        );
        let rollout = Rollout::of(&all).unwrap();
        assert_eq!(rollout.start_hi_ns.value, Nanos::from_secs(12));
        assert_eq!(rollout.cold_hi_ns.value, Nanos::from_secs(42));
        assert_eq!(rollout.unmeasured, [Phase::Scheduling]);
        assert_eq!(rollout.progress_deadline_s(Nanos::from_secs(1)).value, 600);
        let known = Rollout { unmeasured: Vec::new(), ..rollout };
        assert_eq!(known.progress_deadline_s(Nanos::from_secs(1)).value, 63);
        assert_eq!(pull_timeout_s(&largest_pull(&all).unwrap()).value, 60);
        let synthetic = with_pulls(profile(), "synthetic", &[30_000]);
        assert_eq!(largest_pull(&synthetic), None, "it says how this engine unpacks");
    }

    #[test]
    fn without_a_whole_cold_start_there_is_no_answer() {
        let mut profile = profile();
        for trace in &mut profile.traces {
            trace.readings.retain(|reading| reading.phase <= Phase::WeightsLoad);
        }
        assert_eq!(Rollout::of(&profile), None, "what has loaded its weights does not serve yet");
        profile.traces.clear();
        assert_eq!(Rollout::of(&profile), None);
    }
}
