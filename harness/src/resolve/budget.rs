//! Sharing out the time of a run over its steps, before it starts.

use coldstart_profiles::Nanos;

/// A demand for time: what is needed at least, and what is wanted if there is time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Demand {
    /// Below this the step gives no result.
    pub(super) least: Nanos,
    /// Above this it gains nothing.
    pub(super) wanted: Nanos,
}

impl Demand {
    /// A demand that can't be cut.
    pub(super) fn fixed(time: Nanos) -> Self {
        Demand { least: time, wanted: time }
    }

    /// Both parts larger by a time that can't be cut.
    pub(super) fn plus(self, fixed: Nanos) -> Self {
        Demand { least: self.least.saturating_add(fixed), wanted: self.wanted.saturating_add(fixed) }
    }
}

/// What each demand gets of `budget`: its least, and the same share of what it wants beyond for all.
/// Where even the least sum passes the budget, everybody gets the least: least counts are never cut.
pub(super) fn share_out(budget: Nanos, demands: &[Demand]) -> Vec<Nanos> {
    let least: Nanos = demands.iter().map(|demand| demand.least).sum();
    let beyond: f64 = demands.iter().map(|demand| beyond(*demand)).sum();
    let spare = budget.saturating_sub(least).as_nanos() as f64;
    let share = if beyond > 0.0 { (spare / beyond).min(1.0) } else { 0.0 };
    demands
        .iter()
        .map(|demand| demand.least.saturating_add(Nanos::from_nanos_f64(beyond_of(*demand, share))))
        .collect()
}

fn beyond(demand: Demand) -> f64 {
    demand.wanted.saturating_sub(demand.least).as_nanos() as f64
}

fn beyond_of(demand: Demand, share: f64) -> f64 {
    (beyond(demand) * share).floor()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn demand(least: u64, wanted: u64) -> Demand {
        Demand { least: Nanos::from_nanos(least), wanted: Nanos::from_nanos(wanted) }
    }

    #[test]
    fn all_wants_are_cut_by_the_same_share() {
        let shares = share_out(Nanos::from_nanos(50), &[demand(10, 30), demand(20, 60), demand(0, 0)]);
        assert_eq!(shares.iter().map(|share| share.as_nanos()).collect::<Vec<_>>(), [16, 33, 0]);
    }

    #[test]
    fn the_least_is_never_cut_and_the_wanted_never_passed() {
        let demands = [demand(10, 30), demand(20, 60)];
        assert_eq!(share_out(Nanos::from_nanos(5), &demands), [Nanos::from_nanos(10), Nanos::from_nanos(20)]);
        assert_eq!(share_out(Nanos::from_secs(9), &demands), [Nanos::from_nanos(30), Nanos::from_nanos(60)]);
    }

    proptest! {
        #[test]
        fn a_budget_that_covers_the_least_is_kept(
            pairs in prop::collection::vec((0..1_000_000_u64, 0..1_000_000_u64), 0..20), spare in 0..3_000_000_u64,
        ) {
            let demands: Vec<Demand> = pairs.iter().map(|(least, more)| demand(*least, least + more)).collect();
            let least: u64 = pairs.iter().map(|(least, _)| least).sum();
            let shares = share_out(Nanos::from_nanos(least + spare), &demands);
            prop_assert!(shares.iter().copied().sum::<Nanos>() <= Nanos::from_nanos(least + spare));
            for (share, demand) in shares.iter().zip(&demands) {
                prop_assert!(*share >= demand.least && *share <= demand.wanted);
            }
        }
    }
}
