//! From which size on another strategy is the choice.

use coldstart_profiles::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::strategy::{NEARLY, Strategy, StrategyLine, choice};
use crate::basis::{Basis, Quantity};
use crate::cluster::ClusterFacts;

/// No model is larger than a pebibyte.
const LARGEST: u64 = 1 << 50;

/// Sizes at which one strategy is the choice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Segment {
    /// The choice from `from_bytes` on …
    pub strategy: Strategy,
    /// … this included …
    pub from_bytes: Bytes,
    /// … up to here; `null` where nothing larger is better off with another.
    pub below_bytes: Option<Bytes>,
    /// What both sizes rest on.
    pub basis: Basis,
}

/// The choice at every size, by the rule that chooses for one size.
pub(super) fn segments(lines: &[StrategyLine], cluster: &ClusterFacts) -> Vec<Segment> {
    let at = |size: u64| choice(lines, cluster, size);
    // From which size on what is chosen.
    let mut starts: Vec<(u64, Option<Strategy>)> = vec![(0, at(0))];
    let mut known = 0;
    for size in between(lines, cluster) {
        // Several changes may lie close together: each is found from the one before.
        while at(known) != at(size) {
            known = change(at, known, size);
            starts.push((known, at(known)));
        }
        known = size;
    }
    let ends = starts.iter().skip(1).map(|(from, _)| Some(Bytes::new(*from))).chain([None]);
    let basis = basis(lines, cluster);
    let segment = |((from, strategy), below_bytes): (&(u64, Option<Strategy>), _)| {
        Some(Segment {
            strategy: (*strategy)?,
            from_bytes: Bytes::new(*from),
            below_bytes,
            basis: basis.clone(),
        })
    };
    starts.iter().zip(ends).filter_map(segment).collect()
}

/// What the sizes rest on: the expected start of every strategy as a line over the size, and the disk of a node.
fn basis(lines: &[StrategyLine], cluster: &ClusterFacts) -> Basis {
    let formula = "the sizes at which the rule of locality.choice takes another strategy: the least disk of those whose expected start is \
                   within 5 % of the least";
    let basis = lines.iter().fold(Basis::of(formula), |basis, line| {
        let expected = &line.expected;
        let text = format!("{:.0} ns + {:.4} ns · bytes", expected.at_zero, expected.per_byte);
        basis.input(line.strategy.name(), Quantity::Text(text)).resting_on(&line.basis)
    });
    match cluster.disk_per_node_bytes {
        Some(disk) => basis.input("disk of a node", Quantity::Bytes(disk)),
        None => basis,
    }
}

/// A size between each two at which the choice may change: where two lines meet, where one is just nearly as quick as another, and
/// where a node's disk ends.
fn between(lines: &[StrategyLine], cluster: &ClusterFacts) -> Vec<u64> {
    let mut borders = vec![0.0, LARGEST as f64];
    borders.extend(cluster.disk_per_node_bytes.map(|disk| disk.get() as f64));
    for line in lines {
        let others = || lines.iter().filter(|other| other.strategy != line.strategy);
        borders.extend(others().filter_map(|other| line.expected.meets(other.expected)));
        borders.extend(others().filter_map(|other| line.expected.meets(other.expected.times(NEARLY))));
    }
    borders.retain(|border| (0.0..=LARGEST as f64).contains(border));
    borders.sort_by(f64::total_cmp);
    // The ends count as well, and the first size beyond a disk.
    let middles = borders.windows(2).map(|pair| f64::midpoint(pair[0], pair[1]).floor() as u64);
    let beyond = cluster.disk_per_node_bytes.map(|disk| disk.get().saturating_add(1));
    let mut sizes: Vec<u64> =
        middles.chain([0, LARGEST]).chain(beyond).filter(|size| *size <= LARGEST).collect();
    sizes.sort_unstable();
    sizes.dedup();
    sizes
}

/// A size above `low`, and at most `high`, at which the choice is no longer that of `low`, while at the size before it still is. The
/// choice at `high` is another one.
fn change(at: impl Fn(u64) -> Option<Strategy>, mut low: u64, mut high: u64) -> u64 {
    let before = at(low);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if at(middle) == before { low = middle } else { high = middle }
    }
    high
}
