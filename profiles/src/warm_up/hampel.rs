//! Lone spikes are pulled in to the edge of what their neighbours allow.

/// Neighbours on each side.
const HALF_WINDOW: usize = 7;
/// Allowed distance from the window's median, in standard deviations.
const DEVIATIONS: f64 = 4.0;
/// The median absolute deviation of a normal distribution times this is its standard deviation.
pub(super) const MAD_TO_SD: f64 = 1.4826;

/// The series with every value clamped to median ± 4 · 1.4826 · MAD of the 15 values around it.
///
/// A Hampel identifier (Davies & Gather 1993) that winsorises instead of replacing. Windows see the raw values.
/// Where most neighbours are equal (a coarse clock) the MAD is 0 and the value becomes their median.
///
/// Level shifts stay where they are, since a median keeps edges. At the beginning the window shrinks to what is
/// symmetric (index i sees 0 to 2i), so that a warm-up stays as it is: in the middle of a falling window stands
/// its median. Leaving the first ten values alone would keep the warm-up too, but also the lone spikes among
/// them: with 2 % spikes a fifth of all series has one there, and each can make a segment of three that is
/// called a change. The last values see the cut-off window, so that a spike on the very last one is pulled in.
pub(super) fn winsorise(series: &[f64]) -> Vec<f64> {
    let mut result = series.to_vec();
    let mut window: Vec<f64> = Vec::with_capacity(2 * HALF_WINDOW + 1);
    for (index, value) in series.iter().enumerate() {
        if index <= HALF_WINDOW {
            window.clear();
            window.extend_from_slice(&series[..(2 * index + 1).min(series.len())]);
            window.sort_unstable_by(f64::total_cmp);
        } else {
            remove(&mut window, series[index - HALF_WINDOW - 1]);
            if let Some(entering) = series.get(index + HALF_WINDOW) {
                insert(&mut window, *entering);
            }
        }
        let centre = middle(&window);
        let reach = DEVIATIONS * MAD_TO_SD * middle_deviation(&window, centre);
        result[index] = value.clamp(centre - reach, centre + reach);
    }
    result
}

/// The median of ascending values; the mean of the middle two of an even number.
fn middle(ascending: &[f64]) -> f64 {
    let half = ascending.len() / 2;
    if ascending.len() % 2 == 1 { ascending[half] } else { (ascending[half - 1] + ascending[half]) / 2.0 }
}

/// The median of the distances of ascending values from their median: walks outwards from the centre, always to
/// the nearer side, so that nothing needs sorting again.
fn middle_deviation(ascending: &[f64], centre: f64) -> f64 {
    let half = ascending.len() / 2;
    let (mut below, mut above) = (half, half);
    let (mut last, mut before) = (0.0, 0.0);
    for _ in 0..=half {
        let down = below.checked_sub(1).map_or(f64::INFINITY, |index| centre - ascending[index]);
        let up = ascending.get(above).map_or(f64::INFINITY, |value| value - centre);
        before = last;
        if down < up {
            (last, below) = (down, below - 1);
        } else {
            (last, above) = (up, above + 1);
        }
    }
    if ascending.len() % 2 == 1 { last } else { (before + last) / 2.0 }
}

fn insert(ascending: &mut Vec<f64>, value: f64) {
    let at = ascending.partition_point(|other| other.total_cmp(&value).is_lt());
    ascending.insert(at, value);
}

fn remove(ascending: &mut Vec<f64>, value: f64) {
    let at = ascending.partition_point(|other| other.total_cmp(&value).is_lt());
    ascending.remove(at);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same from the definition, window by window.
    fn by_definition(series: &[f64]) -> Vec<f64> {
        let median = |mut values: Vec<f64>| {
            values.sort_by(f64::total_cmp);
            let n = values.len();
            (values[(n - 1) / 2] + values[n / 2]) / 2.0
        };
        (0..series.len())
            .map(|i| {
                let end = if i < 7 { 2 * i + 1 } else { i + 8 };
                let window = &series[i.saturating_sub(7)..end.min(series.len())];
                let centre = median(window.to_vec());
                let mad = median(window.iter().map(|v| (v - centre).abs()).collect());
                series[i].clamp(centre - 4.0 * 1.4826 * mad, centre + 4.0 * 1.4826 * mad)
            })
            .collect()
    }

    proptest! {
        #[test]
        fn sliding_equals_the_definition(series in prop::collection::vec(-3i32..30, 0..80)) {
            let series: Vec<f64> = series.into_iter().map(|v| f64::from(v) / 3.0).collect();
            prop_assert_eq!(winsorise(&series), by_definition(&series));
        }
    }

    #[test]
    fn spikes_go_and_steps_stay() {
        let mut series: Vec<f64> =
            (0..60).map(|i| if i < 30 { 1.0 } else { 2.0 } + f64::from(i % 3) * 0.01).collect();
        let clean = series.clone();
        for spike in [4, 45, 59] {
            series[spike] = 9.0;
        }
        for (i, (value, clean)) in winsorise(&series).iter().zip(clean).enumerate() {
            assert!((value - clean).abs() < 0.1, "{i}: {value}");
        }
    }

    #[test]
    fn a_warm_up_stays() {
        let mut series: Vec<f64> = (0..40).map(|i| 3.0 * (-f64::from(i) / 1.5).exp()).collect();
        assert_eq!(winsorise(&series)[..32], series[..32]);
        series = vec![1.0; 40];
        series[..6].fill(5.0);
        assert_eq!(winsorise(&series), series);
        series[1..6].fill(1.0);
        assert_eq!(winsorise(&series), series, "a single slow first iteration");
    }
}
