//! From which size on another strategy is better.

use coldstart_profiles::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::strategy::{Strategy, StrategyLine};

/// No model is larger than a pebibyte.
const LARGEST: f64 = (1_u64 << 50) as f64;
/// Lines this close, in nanoseconds, are as good: the strategy that takes no disk then comes first.
const AS_GOOD: f64 = 1.0;

/// Sizes at which one strategy has the least expected start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Segment {
    /// The best strategy from `from_bytes` on …
    pub strategy: Strategy,
    /// … this included …
    pub from_bytes: Bytes,
    /// … up to here; `null` where nothing larger is better off with another.
    pub below_bytes: Option<Bytes>,
}

/// The lower envelope of the lines, `disk` being the most that a node has for a model.
pub(super) fn segments(lines: &[StrategyLine], disk: Option<Bytes>) -> Vec<Segment> {
    // The best changes only where two lines meet, or where the disk ends: it fits a model of just its size.
    let mut borders = vec![0.0, LARGEST];
    borders.extend(disk.map(|disk| disk.get() as f64 + 1.0));
    for (at, line) in lines.iter().enumerate() {
        borders.extend(lines[..at].iter().filter_map(|other| line.expected.meets(other.expected)));
    }
    borders.retain(|border| (0.0..=LARGEST).contains(border));
    borders.sort_by(f64::total_cmp);
    let mut segments: Vec<Segment> = Vec::new();
    for pair in borders.windows(2) {
        let (from, to) = (pair[0].ceil(), pair[1].ceil());
        if to <= from {
            continue;
        }
        let Some(strategy) = best(lines, disk, f64::midpoint(from, to)) else { continue };
        match segments.last_mut() {
            Some(last) if last.strategy == strategy => last.below_bytes = end(to),
            _ => {
                segments.push(Segment { strategy, from_bytes: Bytes::new(from as u64), below_bytes: end(to) })
            }
        }
    }
    segments
}

fn end(to: f64) -> Option<Bytes> {
    (to < LARGEST).then(|| Bytes::new(to as u64))
}

fn best(lines: &[StrategyLine], disk: Option<Bytes>, bytes: f64) -> Option<Strategy> {
    let fits = |line: &&StrategyLine| {
        !line.strategy.takes_disk() || disk.is_none_or(|disk| bytes <= disk.get() as f64)
    };
    let time = |line: &StrategyLine| (line.expected.at(bytes) / AS_GOOD).round();
    lines
        .iter()
        .filter(fits)
        .min_by(|a, b| {
            let disk = a.strategy.takes_disk().cmp(&b.strategy.takes_disk());
            time(a).total_cmp(&time(b)).then(disk).then(a.strategy.cmp(&b.strategy))
        })
        .map(|line| line.strategy)
}
