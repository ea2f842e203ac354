//! From splits of a series to changes that are worth telling.

use std::ops::Range;

use coldstart_profiles::stats::median;

use super::divide::{Split, divide};

/// A change of level: one step, or several in one direction.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Change {
    /// The values at the old level.
    pub(super) before: Range<usize>,
    /// Those at the new level; what lies between the two is on the way.
    pub(super) after: Range<usize>,
    /// The largest of its steps' probabilities by chance.
    pub(super) p: f64,
}

/// Changes by at least `least` in these logarithms, in order. Successive steps in one direction are one change: creep is that, and
/// each of its steps alone may be too small to be told.
pub(super) fn changes(logs: &[f64], window: usize, level: f64, least: f64) -> Vec<Change> {
    let mut splits = divide(logs, window, level);
    loop {
        let found = in_one_direction(logs, &splits);
        let size = |(change, _): &(Change, Range<usize>)| step(logs, change).map_or(0.0, f64::abs);
        // The smallest goes first: what remains is compared with longer pieces then.
        match found.iter().min_by(|a, b| size(a).total_cmp(&size(b))) {
            Some(smallest) if size(smallest) < least => drop(splits.drain(smallest.1.clone())),
            _ => return found.into_iter().map(|(change, _)| change).collect(),
        }
    }
}

/// Changes with the splits that they are made of.
fn in_one_direction(logs: &[f64], splits: &[Split]) -> Vec<(Change, Range<usize>)> {
    let place = |index: usize| splits.get(index).map_or(logs.len(), |split| split.at);
    let mut found: Vec<(Change, Range<usize>)> = Vec::new();
    for (index, split) in splits.iter().enumerate() {
        let begin = index.checked_sub(1).map_or(0, place);
        let one = Change { before: begin..split.at, after: split.at..place(index + 1), p: split.p };
        let goes_on = |(last, _): &&mut (Change, Range<usize>)| {
            let (old, new) = (last.after.clone(), one.after.clone());
            let next = Change { before: old, after: new, p: 0.0 };
            match (step(logs, last), step(logs, &next)) {
                (Some(last), Some(next)) => last.signum() == next.signum(),
                _ => false,
            }
        };
        match found.last_mut().filter(goes_on) {
            Some((last, parts)) => {
                last.after = one.after;
                last.p = last.p.max(one.p);
                parts.end = index + 1;
            }
            None => found.push((one, index..index + 1)),
        }
    }
    found
}

/// The step between the medians before and after; `None` where a side is empty.
fn step(logs: &[f64], change: &Change) -> Option<f64> {
    Some(median(logs.get(change.after.clone())?)? - median(logs.get(change.before.clone())?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(at: usize) -> Split {
        Split { at, p: 0.001 }
    }

    #[test]
    fn steps_in_one_direction_are_one_change() {
        let logs: Vec<f64> = [0.0, 0.03, 0.06, 0.09, 0.0].into_iter().flat_map(|level| [level; 4]).collect();
        let found = in_one_direction(&logs, &[split(4), split(8), split(12), split(16)]);
        let whole: Vec<_> = found
            .iter()
            .map(|(change, parts)| (change.before.clone(), change.after.clone(), parts.clone()))
            .collect();
        assert_eq!(whole, [(0..4, 12..16, 0..3), (12..16, 16..20, 3..4)]);
    }

    #[test]
    fn what_is_too_small_as_a_whole_is_not_told() {
        let logs: Vec<f64> = [0.0, 0.04, 0.08].into_iter().flat_map(|level| [level; 12]).collect();
        let told = |least: f64| changes(&logs, 50, 0.05, least);
        assert_eq!(told(0.07).len(), 1);
        assert_eq!(told(0.09), []);
    }
}
