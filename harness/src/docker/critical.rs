//! The critical path of a pull: at each instant, the one piece of work that the end had to wait for.
//!
//! Walked backwards from the end, as usual for a schedule (Kelley & Walker 1959). A layer's extraction waits for its own
//! bytes and for the extraction of the layer below; of the two, what ended later is the predecessor. A download waits for
//! the registry, and before that, if the layer was `Waiting`, for another download to free its place. The gap between a
//! predecessor's end and the first event of a piece of work belongs to that work: all that it needed was there. Only the
//! gap before a layer's first byte is the registry's. So the parts add up to the total, whatever was or was not told.

use coldstart_profiles::{Interval, Nanos, PullStage, StageTimes};

/// The work on one layer, as far as it was told. Intervals of a layer follow each other without overlap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Activity {
    pub(crate) download: Option<Interval>,
    pub(crate) verify: Option<Interval>,
    pub(crate) extract: Option<Interval>,
    /// Whether the layer had to wait for a place among the downloads.
    pub(crate) waited: bool,
    /// Parts of the download in which the engine waited before trying again.
    pub(crate) pauses: Vec<Interval>,
}

impl Activity {
    fn get(&self, stage: PullStage) -> Option<Interval> {
        match stage {
            PullStage::Download => self.download,
            PullStage::Verify => self.verify,
            PullStage::Extract => self.extract,
            PullStage::Registry | PullStage::Finish => None,
        }
    }

    fn last_end(&self) -> Option<(PullStage, Nanos)> {
        [PullStage::Extract, PullStage::Verify, PullStage::Download]
            .into_iter()
            .filter_map(|stage| self.get(stage).map(|interval| (stage, interval.end_ns)))
            .max_by_key(|(_, end)| *end)
    }
}

/// A piece of work: a layer's index and a stage.
type Node = (usize, PullStage);

/// Shares `total` out over the stages along the critical path. Without any work on layers, what lies before the digest
/// was told is the registry's and the rest is the finish.
pub(crate) fn path(layers: &[Activity], digest_at: Nanos, total: Nanos) -> StageTimes {
    let mut times = StageTimes::default();
    let last = layers
        .iter()
        .enumerate()
        .filter_map(|(index, layer)| layer.last_end().map(|(stage, end)| ((index, stage), end)))
        .max_by_key(|(_, end)| *end);
    let Some((mut node, end)) = last else {
        let digest_at = digest_at.min(total);
        times.add(PullStage::Registry, digest_at);
        times.add(PullStage::Finish, total.saturating_sub(digest_at));
        return times;
    };
    let mut until = end.min(total);
    times.add(PullStage::Finish, total.saturating_sub(until));
    let mut visited = vec![node];
    loop {
        let (index, stage) = node;
        let Some(interval) = layers[index].get(stage) else { break };
        let begin = interval.begin_ns.min(until);
        let before = predecessor(layers, node, begin, &visited);
        let from = before.map_or(Nanos::ZERO, |(_, end)| end.min(begin));
        if stage == PullStage::Download {
            let paused = within(&layers[index].pauses, begin, until);
            times.add(PullStage::Download, until.saturating_sub(begin).saturating_sub(paused));
            times.add(PullStage::Registry, paused.saturating_add(begin.saturating_sub(from)));
        } else {
            times.add(stage, until.saturating_sub(from));
        }
        let Some((next, _)) = before else { return times };
        visited.push(next);
        node = next;
        until = from;
    }
    times.add(PullStage::Registry, until);
    times
}

/// What this work waited for last, with the time at which that ended; nothing for the first download.
fn predecessor(layers: &[Activity], node: Node, begin: Nanos, visited: &[Node]) -> Option<(Node, Nanos)> {
    let (index, stage) = node;
    let own = match stage {
        PullStage::Extract => PullStage::Verify,
        PullStage::Verify => PullStage::Download,
        _ => PullStage::Registry,
    };
    // A layer's own bytes are needed even where coarse ticks tell of them after the extraction has begun.
    let own = layers[index].get(own).map(|interval| ((index, own), interval.end_ns.min(begin)));
    let others =
        layers.iter().enumerate().filter(|(other, _)| *other != index).filter_map(|(other, layer)| {
            let waits = stage == PullStage::Extract || (stage == PullStage::Download && layers[index].waited);
            layer
                .get(stage)
                .filter(|interval| waits && interval.end_ns <= begin)
                .map(|interval| ((other, stage), interval.end_ns))
        });
    own.into_iter().chain(others).filter(|(node, _)| !visited.contains(node)).max_by_key(|(_, end)| *end)
}

/// How much of `begin..end` the intervals cover; they don't overlap each other.
fn within(intervals: &[Interval], begin: Nanos, end: Nanos) -> Nanos {
    intervals.iter().map(|pause| pause.end_ns.min(end).saturating_sub(pause.begin_ns.max(begin))).sum()
}

/// How long each stage was at work on at least one layer. `registry` is the time before the last work in which none was.
pub(crate) fn busy(layers: &[Activity], digest_at: Nanos, total: Nanos) -> StageTimes {
    let mut times = StageTimes::default();
    let mut all = Vec::new();
    for stage in [PullStage::Download, PullStage::Verify, PullStage::Extract] {
        let intervals: Vec<Interval> = layers.iter().filter_map(|layer| layer.get(stage)).collect();
        times.add(stage, union(intervals.clone()));
        all.extend(intervals);
    }
    let last = all.iter().map(|interval| interval.end_ns).max().unwrap_or(digest_at).min(total);
    times.add(PullStage::Registry, last.saturating_sub(union(all)));
    times.add(PullStage::Finish, total.saturating_sub(last));
    times
}

/// The length of a union of intervals.
fn union(mut intervals: Vec<Interval>) -> Nanos {
    intervals.sort_by_key(|interval| interval.begin_ns);
    let mut covered_to = Nanos::ZERO;
    let mut length = Nanos::ZERO;
    for interval in intervals {
        let begin = interval.begin_ns.max(covered_to);
        length = length.saturating_add(interval.end_ns.saturating_sub(begin));
        covered_to = covered_to.max(interval.end_ns);
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(begin: u64, end: u64) -> Option<Interval> {
        Some(Interval { begin_ns: Nanos::from_nanos(begin), end_ns: Nanos::from_nanos(end) })
    }

    fn layer(download: (u64, u64), extract: (u64, u64)) -> Activity {
        Activity {
            download: span(download.0, download.1),
            verify: span(download.1, download.1),
            extract: span(extract.0, extract.1),
            ..Activity::default()
        }
    }

    fn shares(times: &StageTimes) -> [u64; 5] {
        PullStage::ALL.map(|stage| times.get(stage).as_nanos())
    }

    #[test]
    fn critical_paths() {
        let at = Nanos::from_nanos;
        let waiting = Activity { waited: true, ..layer((60, 90), (95, 100)) };
        let retried = Activity { pauses: span(30, 70).into_iter().collect(), ..layer((20, 80), (82, 90)) };
        for (name, layers, [registry, download, verify, extract, finish]) in [
            ("no layers", vec![], [100, 0, 0, 0, 20]),
            ("one layer", vec![layer((20, 50), (60, 100))], [20, 30, 0, 50, 20]),
            // The second layer's bytes are there long before the first is unpacked: extraction binds from 50 on.
            (
                "serial extraction",
                vec![layer((20, 50), (55, 80)), layer((20, 60), (85, 100))],
                [20, 30, 0, 50, 20],
            ),
            // The second layer's bytes come after the first is unpacked: its download binds.
            (
                "late download",
                vec![layer((20, 30), (30, 40)), layer((20, 90), (95, 100))],
                [20, 70, 0, 10, 20],
            ),
            // Three downloads at a time: the fourth waits for a place, then for its first byte.
            ("waiting", vec![layer((20, 50), (50, 52)), waiting], [30, 60, 0, 10, 20]),
            ("a retry", vec![retried], [60, 20, 0, 10, 30]),
            (
                "two empty spans at one instant",
                vec![
                    Activity { waited: true, ..layer((40, 40), (40, 40)) },
                    Activity { waited: true, ..layer((40, 40), (40, 40)) },
                ],
                [40, 0, 0, 0, 80],
            ),
        ] {
            let times = path(&layers, at(100), at(120));
            assert_eq!(shares(&times), [registry, download, verify, extract, finish], "{name}");
            assert_eq!(times.sum(), at(120), "{name}");
        }
    }

    #[test]
    fn busy_times_are_unions() {
        let layers = [layer((20, 50), (60, 70)), layer((30, 65), (70, 100))];
        let times = busy(&layers, Nanos::from_nanos(100), Nanos::from_nanos(110));
        assert_eq!(shares(&times), [20, 45, 0, 40, 10]);
    }

    proptest::proptest! {
        /// Whatever was told, in whatever order, the parts of the path add up to the total.
        #[test]
        fn the_path_always_adds_up(
            spans in proptest::collection::vec((0..500u64, 0..500u64, 0..500u64, 0..500u64, proptest::bool::ANY), 0..8),
            total in 0..600u64,
        ) {
            let layers: Vec<Activity> = spans
                .iter()
                .map(|(a, b, c, d, waited)| {
                    let mut times = [*a, *b, *c, *d];
                    times.sort_unstable();
                    Activity { waited: *waited, ..layer((times[0], times[1]), (times[2], times[3])) }
                })
                .collect();
            let times = path(&layers, Nanos::from_nanos(total / 2), Nanos::from_nanos(total));
            proptest::prop_assert_eq!(times.sum(), Nanos::from_nanos(total));
        }
    }
}
