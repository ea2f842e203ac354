//! The smallest number that is enough.

/// The smallest number in `least..=most` for which `enough` gives something, with that; `None` where not even `most` does.
///
/// Begins at `seed`, goes on in strides that double until the answer lies in between, then bisects: a good seed saves most of the work.
/// It relies on larger numbers never being worse.
fn smallest<T>(
    least: u32,
    seed: u32,
    most: u32,
    mut enough: impl FnMut(u32) -> Option<T>,
) -> Option<(u32, T)> {
    let mut at = seed.clamp(least, most.max(least));
    let mut stride = (at / 8).max(1);
    // The largest number that is known to be too small.
    let mut small = None;
    let mut found = loop {
        if let Some(answer) = enough(at) {
            break (at, answer);
        }
        small = Some(at);
        if at >= most {
            return None;
        }
        at = at.saturating_add(stride).min(most);
        stride = stride.saturating_mul(2);
    };
    while small.is_none() && found.0 > least {
        let fewer = found.0.saturating_sub(stride).max(least);
        stride = stride.saturating_mul(2);
        match enough(fewer) {
            Some(answer) => found = (fewer, answer),
            None => small = Some(fewer),
        }
    }
    while let Some(low) = small.filter(|low| low + 1 < found.0) {
        let middle = low + (found.0 - low) / 2;
        match enough(middle) {
            Some(answer) => found = (middle, answer),
            None => small = Some(middle),
        }
    }
    Some(found)
}

/// The smallest number in `least..=most` that is enough; see [`smallest`].
pub(crate) fn fewest(least: u32, seed: u32, most: u32, mut enough: impl FnMut(u32) -> bool) -> Option<u32> {
    smallest(least, seed, most, |n| enough(n).then_some(())).map(|(n, ())| n)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_found_from_any_seed(least in 0u32..3, seed in 0u32..300, most in 1u32..300, needed in 0u32..400) {
            let mut calls = 0;
            let found = smallest(least, seed, most, |n| {
                calls += 1;
                (n >= needed).then_some(n * 2)
            });
            let most = most.max(least);
            let expected = needed.max(least);
            prop_assert_eq!(found, (expected <= most).then_some((expected, expected * 2)));
            prop_assert!(calls <= 20, "{}", calls);
        }
    }
}
