//! Whether the trials of both sides reached their steady state alike.

use std::collections::BTreeMap;

use coldstart_profiles::{Profile, WarmUpClass};

/// A steady state that can't be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lost {
    /// Why not, with the kinds of warm-up on both sides.
    pub(super) why: String,
    /// Trials on the side that has fewer.
    pub(super) trials: usize,
}

/// A warm-up that became one of another kind is no number that could be compared: told where most trials of the new side are
/// of a bad kind and most of the baseline are not of the same, or where all trials of `lacking`, a side without any steady
/// time, found no steady state. A single odd trial of many is not enough.
pub(super) fn lost(baseline: &[&Profile], new: &[&Profile], lacking: Option<&[&Profile]>) -> Option<Lost> {
    let (before, now) = (classes(baseline), classes(new));
    let (usual_before, usual_now) = (usual(&before)?, usual(&now)?);
    let is_bad = matches!(usual_now, WarmUpClass::NoSteadyState | WarmUpClass::Slowdown);
    let never_steady = |profiles: &[&Profile]| {
        let mut curves = profiles.iter().flat_map(|profile| &profile.warm_up);
        curves.all(|curve| curve.analysis.steady_median_ns.is_none())
    };
    let worse = is_bad && usual_now != usual_before;
    (worse || lacking.is_some_and(never_steady)).then(|| Lost {
        why: format!(
            "the trials of the new side are {}, those of the baseline {}",
            counted(&now),
            counted(&before)
        ),
        trials: before.len().min(now.len()),
    })
}

/// The kinds of all trials, the worst last.
fn classes(profiles: &[&Profile]) -> Vec<WarmUpClass> {
    let curves = profiles.iter().flat_map(|profile| &profile.warm_up);
    let mut classes: Vec<WarmUpClass> = curves.map(|curve| curve.analysis.class).collect();
    classes.sort_unstable();
    classes
}

/// The kind in the middle: more than half of the trials are at least as bad. `None` without trials.
fn usual(sorted: &[WarmUpClass]) -> Option<WarmUpClass> {
    sorted.get(sorted.len().checked_sub(1)? / 2).copied()
}

/// ``2 × `warmup`, 3 × `no_steady_state` ``.
fn counted(classes: &[WarmUpClass]) -> String {
    let mut counts: BTreeMap<WarmUpClass, usize> = BTreeMap::new();
    for class in classes {
        *counts.entry(*class).or_default() += 1;
    }
    let parts = counts.iter().map(|(class, count)| format!("{count} × `{}`", class.name()));
    parts.collect::<Vec<_>>().join(", ")
}
