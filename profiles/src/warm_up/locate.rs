//! Where the steady state starts.

use crate::units::Nanos;
use crate::warm_up::changepoints::changepoints;
use crate::warm_up::classify::WarmUpClass;
use crate::warm_up::hampel::winsorise;
use crate::warm_up::noise::noise;

/// The first iterations: no part of the noise, and where slow ones are a warm-up however short.
const BEGINNING: usize = 10;
/// Segments whose medians differ by at most this fraction have the same level.
const SAME_LEVEL: f64 = 0.02;
/// How far above the steady level a leading iteration must lie to count as warm-up: this, or six times the noise.
const LEADING_EXCESS: f64 = 0.05;
const LEADING_SIGMAS: f64 = 6.0;

/// A series cut into segments, and the place from which on they have one level.
pub(super) struct Located {
    /// Logarithms of the readings, spikes pulled in.
    pub(super) logs: Vec<f64>,
    /// Relative noise σ.
    pub(super) noise: f64,
    /// Where new segments begin.
    pub(super) changepoints: Vec<usize>,
    /// Medians of the raw readings of each segment.
    pub(super) medians: Vec<Nanos>,
    /// The first steady iteration, should the steady part prove long and level enough.
    pub(super) start: usize,
    /// What came before it; never `NoSteadyState`.
    pub(super) class: WarmUpClass,
    /// The median of the raw readings from `start` on.
    pub(super) steady_median: Nanos,
}

/// Cuts the series and walks back from its end while segments have the level of the last one.
///
/// `readings` holds at least one. A reading below the clock's resolution counts as one resolution.
pub(super) fn locate(readings: &[Nanos], resolution: Nanos) -> Located {
    let tick = resolution.max(Nanos::from_nanos(1));
    let logs: Vec<f64> =
        readings.iter().map(|reading| (*reading).max(tick).as_nanos() as f64).map(f64::ln).collect();
    let logs = winsorise(&logs);
    let overall = median(readings).max(tick);
    let noise = noise(&logs, BEGINNING, resolution.as_nanos() as f64 / overall.as_nanos() as f64);
    let changepoints = changepoints(&logs, noise);
    let begins: Vec<usize> = [0].into_iter().chain(changepoints.iter().copied()).collect();
    let ends = changepoints.iter().copied().chain([readings.len()]);
    let medians: Vec<Nanos> =
        begins.iter().zip(ends).map(|(begin, end)| median(&readings[*begin..end])).collect();
    let last = medians[medians.len() - 1].max(tick).as_nanos() as f64;
    let level = |segment: &Nanos| (segment.as_nanos() as f64 / last - 1.0).abs() <= SAME_LEVEL;
    let group = medians.iter().rev().take_while(|segment| level(segment)).count().max(1);
    let mut start = begins[begins.len() - group];
    let mut steady_median = median(&readings[start..]);
    // The first segment of another level names the class, whatever follows it.
    let mut class = match medians.iter().find(|segment| !level(segment)) {
        _ if start == 0 => WarmUpClass::Flat,
        Some(segment) if *segment < steady_median => WarmUpClass::Slowdown,
        _ => WarmUpClass::Warmup,
    };
    let slow = steady_median.as_nanos() as f64 * LEADING_EXCESS.max(LEADING_SIGMAS * noise.sigma).exp();
    if let Some(after) = after_leading(readings, start, slow) {
        start = after;
        class = WarmUpClass::Warmup;
        steady_median = median(&readings[start..]);
    }
    Located { logs, noise: noise.sigma, changepoints, medians, start, class, steady_median }
}

/// The first iteration after the leading ones above `slow`, where these are all that sets the beginning apart.
///
/// A single slow first iteration is the usual warm-up of a GPU, and shorter than any segment. Either it vanishes
/// in the first segment (`start` is 0), or it makes a segment of three with the two next to it, whose median is
/// that of three iterations only and may by chance differ from the steady level.
fn after_leading(readings: &[Nanos], start: usize, slow: f64) -> Option<usize> {
    let is_slow = |reading: &Nanos| reading.as_nanos() as f64 > slow;
    let leading = readings.iter().take(BEGINNING).take_while(|reading| is_slow(reading)).count();
    let alone = start <= BEGINNING && !readings[leading..start.max(leading)].iter().any(is_slow);
    // More than half of the readings cannot lie above their median, so something is left.
    (leading > 0 && alone && (start == 0 || leading < start)).then_some(leading)
}

/// The median by nearest rank; zero of nothing.
pub(super) fn median(readings: &[Nanos]) -> Nanos {
    if readings.is_empty() {
        return Nanos::ZERO;
    }
    let mut readings = readings.to_vec();
    let middle = (readings.len() - 1) / 2;
    *readings.select_nth_unstable(middle).1
}
