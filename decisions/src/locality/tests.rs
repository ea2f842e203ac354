//! Worked by hand, and properties that hold whatever the rates.

use coldstart_profiles::{Bytes, Nanos};
use proptest::prelude::{prop, prop_assert, prop_assert_eq, proptest};

use super::{
    Locality, MissingTier, NodeTime, Place, Question, Segment, Strategy, StrategyFigures, StrategyOutcome,
    StrategyTime, Tier, affinity_weights, crossover, locality, strategy,
};
use crate::basis::{Basis, Figure, Quantity};
use crate::cluster::{ClusterFacts, Prices};

const GIB: f64 = (1_u64 << 30) as f64;

fn rate(bytes_per_s: f64) -> Figure<f64> {
    Figure::new(bytes_per_s, Basis::of("test"))
}

fn at_once(replicas: u32) -> Figure<u32> {
    Figure::new(replicas, Basis::of("test"))
}

fn place(tier: Tier, latency_ms: u64, bytes_per_s: f64) -> Place {
    let latency_ns = Nanos::from_millis(latency_ms);
    Place { tier, queue_ns: Nanos::ZERO, latency_ns, bytes_per_s: rate(bytes_per_s) }
}

/// 10 GB; disk 2 GB/s, mount 1 GB/s after 100 ms, registry 0.25 GB/s after 400 ms; 3 s around the load; 1 GB/s unpacked.
fn question() -> Question {
    Question {
        model_bytes: Bytes::new(10_000_000_000),
        places: vec![
            place(Tier::LocalDisk, 0, 2e9),
            place(Tier::SharedStorage, 100, 1e9),
            place(Tier::Registry, 400, 0.25e9),
        ],
        missing: vec![MissingTier { tier: Tier::Pinned, why: "not measured".to_owned() }],
        around_ns: Ok(Figure::new(Nanos::from_secs(3), Basis::of("test"))),
        pull_ns: None,
        unpack_bytes_per_s: Some(rate(1e9)),
        simultaneous: at_once(1),
        hit_ratio: Figure::new(0.8, Basis::of("test")),
        cluster: ClusterFacts { nodes: Some(10), ..ClusterFacts::default() },
        prices: Prices { disk_gb_month: Some(0.1), registry_gb_month: Some(0.2), ..Prices::default() },
    }
}

fn seconds(time: Nanos) -> f64 {
    time.as_secs_f64()
}

fn of(locality: &Locality, strategy: Strategy) -> &StrategyOutcome {
    &locality.strategies.iter().find(|time| time.strategy == strategy).unwrap().outcome
}

#[test]
fn tiers_worked_by_hand() {
    let tiers = locality(&question()).tiers;
    let starts: Vec<(Tier, f64)> =
        tiers.iter().map(|tier| (tier.tier, seconds(tier.start_ns.value))).collect();
    assert_eq!(
        starts,
        [
            (Tier::Device, 0.0),
            (Tier::LocalDisk, 5.0 + 3.0),
            (Tier::SharedStorage, 0.1 + 10.0 + 3.0),
            (Tier::Registry, 0.4 + 40.0 + 5.0 + 3.0),
        ]
    );
    let four = locality(&Question { simultaneous: at_once(4), ..question() }).tiers;
    let starts: Vec<f64> = four.iter().map(|tier| seconds(tier.start_ns.value)).collect();
    assert_eq!(starts, [0.0, 8.0, 43.1, 0.4 + 160.0 + 8.0], "four loads share what is shared");
}

#[test]
fn strategies_worked_by_hand() {
    let answer = locality(&question());
    // bake: hit 8; miss 40 (pull, its latency paid) + 10 (unpack) + 8.
    let StrategyOutcome::Possible(figures) = of(&answer, Strategy::Bake) else { panic!("possible") };
    let StrategyFigures {
        hit_ns,
        miss_ns,
        expected_ns,
        disk_bytes,
        transfer_bytes_per_start,
        disk_cost_per_month,
        registry_cost_per_month,
        ..
    } = &**figures;
    assert_eq!((seconds(hit_ns.value), seconds(miss_ns.value)), (8.0, 58.0));
    assert!((seconds(expected_ns.value) - (0.8 * 8.0 + 0.2 * 58.0)).abs() < 1e-6);
    assert_eq!(disk_bytes.unwrap().get(), 100_000_000_000);
    assert_eq!(transfer_bytes_per_start.get(), 2_000_000_000);
    assert!((disk_cost_per_month.unwrap() - 10.0).abs() < 1e-9, "100 GB at 0.1");
    assert!((registry_cost_per_month.unwrap() - 2.0).abs() < 1e-9, "10 GB at 0.2");
    // node cache: hit 8; miss 10.1 (copy from the mount) + 8.
    let StrategyOutcome::Possible(figures) = of(&answer, Strategy::NodeCache) else { panic!("possible") };
    let StrategyFigures { expected_ns, disk_bytes, registry_cost_per_month, .. } = &**figures;
    assert_eq!(*registry_cost_per_month, None, "nothing is added to the image");
    assert!((seconds(expected_ns.value) - (0.8 * 8.0 + 0.2 * 18.1)).abs() < 1e-6);
    assert_eq!(disk_bytes.unwrap().get(), 80_000_000_000, "on eight of ten nodes");
    let StrategyOutcome::Possible(figures) = of(&answer, Strategy::PreDistribute) else { panic!("possible") };
    let StrategyFigures { expected_ns, transfer_bytes_once, .. } = &**figures;
    assert_eq!((seconds(expected_ns.value), transfer_bytes_once.get()), (8.0, 100_000_000_000));
    assert_eq!(answer.choice, Some(Strategy::PreDistribute));
    assert!(
        answer.why.starts_with("distribute it to every node beforehand: a start takes 8.00 s"),
        "{}",
        answer.why
    );
}

/// Everything that a time is computed from stands beside it, and gives it again.
#[test]
fn hits_and_misses_name_all_that_enters_them() {
    let answer = locality(&Question { simultaneous: at_once(3), ..question() });
    let inputs = |strategy, miss: bool| -> Vec<(String, f64)> {
        let StrategyOutcome::Possible(figures) = of(&answer, strategy) else { panic!("possible") };
        let figure = if miss { &figures.miss_ns } else { &figures.hit_ns };
        let told = figure.basis.inputs.iter().map(|input| {
            let value = match &input.value {
                Quantity::Nanos(time) => seconds(*time),
                Quantity::Bytes(bytes) => bytes.get() as f64,
                Quantity::Count(count) => *count as f64,
                Quantity::BytesPerSecond(rate) => *rate,
                other => panic!("{other:?}"),
            };
            (input.name.clone(), value)
        });
        told.collect()
    };
    let told = |all: &[(&str, f64)]| -> Vec<(String, f64)> {
        all.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
    };
    let hit = told(&[("bytes", 1e10), ("local_disk bandwidth", 2e9), ("besides", 3.0)]);
    for strategy in [Strategy::Bake, Strategy::NodeCache, Strategy::PreDistribute] {
        assert_eq!(inputs(strategy, false), hit, "{strategy:?}");
    }
    // 3·10 ÷ 0.25 + 10 ÷ 1 + 8, its latency paid by the pull of the image.
    assert_eq!(
        inputs(Strategy::Bake, true),
        told(&[
            ("bytes", 1e10),
            ("m", 3.0),
            ("registry bandwidth", 0.25e9),
            ("unpacking", 1e9),
            ("t_hit", 8.0)
        ])
    );
    let mount =
        [("bytes", 1e10), ("m", 3.0), ("shared_storage latency", 0.1), ("shared_storage bandwidth", 1e9)];
    assert_eq!(inputs(Strategy::NodeCache, true), told(&[mount.as_slice(), &[("t_hit", 8.0)]].concat()));
    assert_eq!(inputs(Strategy::SharedMount, false), told(&[mount.as_slice(), &[("besides", 3.0)]].concat()));
    let StrategyOutcome::Possible(figures) = of(&answer, Strategy::Bake) else { panic!("possible") };
    assert_eq!(figures.miss_ns.basis.formula, "m · bytes ÷ registry bandwidth + bytes ÷ unpacking + t_hit");
    assert_eq!(seconds(figures.miss_ns.value), 120.0 + 10.0 + 8.0);
}

/// A start that has to pull takes so much longer: no strategy holds it, and the sentence says so.
#[test]
fn the_pull_of_the_image_is_told_beside_the_starts() {
    let pull = Figure::new(Nanos::from_secs(16), Basis::of("test").assumed("--image-bytes"));
    let answer = locality(&Question { pull_ns: Some(pull.clone()), ..question() });
    assert!(
        answer.why.contains("besides the image's pull of 16.0 s a start takes 8.00 s on average"),
        "{}",
        answer.why
    );
    assert_eq!(answer.pull_ns, Some(pull));
    assert_eq!(
        answer.strategies,
        locality(&question()).strategies,
        "it is the same wherever the weights are"
    );
}

#[test]
fn of_starts_that_are_nearly_as_quick_the_one_with_less_disk_wins() {
    // Everything but the load takes 10 minutes: no strategy matters.
    let slow =
        Question { around_ns: Ok(Figure::new(Nanos::from_secs(600), Basis::of("test"))), ..question() };
    let answer = locality(&slow);
    assert_eq!(answer.choice, Some(Strategy::SharedMount));
    assert!(answer.why.contains("within 5 %"), "{}", answer.why);
}

#[test]
fn what_is_not_possible_says_why() {
    let small = ClusterFacts { disk_per_node_bytes: Some(Bytes::new(5_000_000_000)), ..question().cluster };
    let answer = locality(&Question { cluster: small, ..question() });
    assert_eq!(answer.choice, Some(Strategy::SharedMount));
    let StrategyOutcome::Impossible { why } = of(&answer, Strategy::Bake) else { panic!("no room") };
    assert!(why.contains("4.66 GiB for it"), "{why}");

    let nothing = Question {
        places: Vec::new(),
        missing: vec![MissingTier { tier: Tier::LocalDisk, why: "weights_load was skipped".to_owned() }],
        ..question()
    };
    let answer = locality(&nothing);
    assert_eq!((answer.choice, answer.crossovers.len()), (None, 0));
    assert!(answer.why.contains("node_cache: local_disk: weights_load was skipped"), "{}", answer.why);
    assert_eq!(answer.tiers.len(), 1, "on the device it needs nothing");

    let no_unpack = locality(&Question { unpack_bytes_per_s: None, ..question() });
    let StrategyOutcome::Impossible { why } = of(&no_unpack, Strategy::Bake) else { panic!("no rate") };
    assert!(why.contains("image_pull was not measured"), "{why}");
}

/// Where the rest of a start may hold the load, no place is added to it.
#[test]
fn nothing_is_computed_where_the_load_would_count_twice() {
    let answer =
        locality(&Question { around_ns: Err("readiness holds it: profile a node".to_owned()), ..question() });
    assert_eq!((answer.choice, answer.crossovers.len(), answer.strategies.len()), (None, 0, 4));
    for time in &answer.strategies {
        let StrategyOutcome::Impossible { why } = &time.outcome else { panic!("{time:?}") };
        assert_eq!(why, "readiness holds it: profile a node");
    }
    assert_eq!(
        answer.why, "no way of keeping the weights can be computed: readiness holds it: profile a node",
        "once for all of them"
    );
    assert_eq!(answer.tiers.iter().map(|tier| tier.tier).collect::<Vec<_>>(), [Tier::Device]);
}

#[test]
fn crossovers_lie_where_lines_meet() {
    // Without pre-distribution to compare with: a hit ratio of 0 makes baking and caching differ by their misses alone.
    let question = Question {
        hit_ratio: Figure::new(0.0, Basis::of("test")),
        places: vec![
            place(Tier::LocalDisk, 0, 2e9),
            place(Tier::SharedStorage, 2000, 1e9),
            place(Tier::Registry, 0, 1e9),
        ],
        unpack_bytes_per_s: Some(rate(1e9)),
        ..question()
    };
    // bake: b/1 + b/1 + b/2 = 2.5 s/GB, cache: 2 s + b/1 + b/2 = 2 + 1.5 s/GB, 3 s around both: they meet at 2 GB, and both take the disk
    // of a node.
    let lines: Vec<_> = strategy::lines(&question)
        .into_iter()
        .filter(|line| matches!(line.strategy, Strategy::Bake | Strategy::NodeCache))
        .collect();
    let disk = |gigabytes: Option<u64>| ClusterFacts {
        nodes: None,
        disk_per_node_bytes: gigabytes.map(|gigabytes| Bytes::new(gigabytes * 1_000_000_000)),
        ..question.cluster
    };
    let segments = crossover::segments(&lines, &disk(None));
    let told =
        |segment: &Segment| (segment.strategy, segment.from_bytes.get(), segment.below_bytes.map(Bytes::get));
    // At just 2 GB both are as good: the first of them stays.
    assert_eq!(
        segments.iter().map(told).collect::<Vec<_>>(),
        [(Strategy::Bake, 0, Some(2_000_000_001)), (Strategy::NodeCache, 2_000_000_001, None)]
    );
    // On one of ten nodes the cache takes the least disk: it is the choice as soon as it is nearly as quick:
    // 5 + 1.5 b ≤ 1.05·(3 + 2.5 b), from b = 1.85 s ÷ 1.125 s/GB on.
    let segments = crossover::segments(&lines, &question.cluster);
    assert_eq!(told(&segments[1]), (Strategy::NodeCache, 1_644_444_445, None));
    // Beyond the disk nothing is left of these two; of all it is the mount.
    let segments = crossover::segments(&lines, &disk(Some(3)));
    assert_eq!(segments.last().unwrap().below_bytes.unwrap().get(), 3_000_000_001);
    let segments = crossover::segments(&strategy::lines(&question), &disk(Some(3)));
    assert_eq!(told(segments.last().unwrap()), (Strategy::SharedMount, 3_000_000_001, None));
}

#[test]
fn affinity_weights_worked_by_hand() {
    let node = |name: &str, seconds: u64| NodeTime {
        node: name.to_owned(),
        start_ns: Figure::new(Nanos::from_secs(seconds), Basis::of("test")),
    };
    let weights = |nodes: &[NodeTime]| -> Vec<(String, u32)> {
        affinity_weights(nodes).into_iter().map(|weight| (weight.node, weight.weight.value)).collect()
    };
    let three = [node("disk", 8), node("cache", 3), node("mount", 13)];
    assert_eq!(weights(&three), [("cache".into(), 100), ("disk".into(), 51), ("mount".into(), 1)]);
    assert_eq!(weights(&[node("a", 5), node("b", 5)]), [("a".into(), 100), ("b".into(), 100)]);
    assert_eq!(weights(&[node("a", 5)]), [("a".into(), 100)]);
    assert!(weights(&[]).is_empty());
}

proptest! {
    #[test]
    fn the_choice_is_that_of_its_segment_and_changes_only_at_crossovers(
        disk in 0.1e9f64..10e9, mount in 0.1e9f64..10e9, registry in 0.01e9f64..2e9, unpack in 0.1e9f64..2e9,
        latencies in (0u64..5000, 0u64..5000), h in 0.01f64..=1.0, m in 1u32..16, gibibytes in 0.01f64..200.0,
        around in 0u64..100, nodes in prop::option::of(1u32..100), room in prop::option::of(0.1f64..300.0), mounted in prop::bool::ANY,
    ) {
        let mut places = vec![place(Tier::LocalDisk, 0, disk), place(Tier::Registry, latencies.1, registry)];
        places.extend(mounted.then(|| place(Tier::SharedStorage, latencies.0, mount)));
        let bytes = |gibibytes: f64| Bytes::new((gibibytes * GIB) as u64);
        let question = Question {
            model_bytes: bytes(gibibytes),
            places,
            unpack_bytes_per_s: Some(rate(unpack)),
            around_ns: Ok(Figure::new(Nanos::from_secs(around), Basis::of("test"))),
            simultaneous: at_once(m),
            hit_ratio: Figure::new(h, Basis::of("test")),
            cluster: ClusterFacts { nodes, disk_per_node_bytes: room.map(bytes), ..ClusterFacts::default() },
            ..question()
        };
        let of_size = |bytes: u64| locality(&Question { model_bytes: Bytes::new(bytes), ..question.clone() });
        let answer = locality(&question);
        // One rule: the choice is that of the segment, here and right beside every border.
        let mut sizes = vec![question.model_bytes.get()];
        for segment in &answer.crossovers {
            let from = segment.from_bytes.get();
            sizes.extend([from.saturating_sub(1), from, from + 1]);
            sizes.extend(segment.below_bytes.map(|below| below.get().midpoint(from)));
        }
        for size in sizes {
            let inside = |segment: &&Segment| {
                segment.from_bytes.get() <= size && segment.below_bytes.is_none_or(|below| size < below.get())
            };
            let segment = answer.crossovers.iter().find(inside).map(|segment| segment.strategy);
            prop_assert_eq!(of_size(size).choice, segment, "at {} of {:?}", size, answer.crossovers);
        }
        for pair in answer.crossovers.windows(2) {
            prop_assert_eq!(pair[0].below_bytes, Some(pair[1].from_bytes));
            prop_assert!(pair[0].strategy != pair[1].strategy);
        }
        // The rule itself, from what is shown: nearly the least, and none of those takes less disk.
        if let Some(choice) = answer.choice {
            let expected = |strategy| answer.strategies.iter().find(|time| time.strategy == strategy).unwrap().expected();
            let start = expected(choice).unwrap().as_nanos() as f64;
            let least = answer.strategies.iter().filter_map(StrategyTime::expected).min().unwrap().as_nanos() as f64;
            prop_assert!(start <= 1.05 * least + 10.0, "{} is not {}", start, least);
            let StrategyOutcome::Possible(chosen) = of(&answer, choice) else { panic!("possible") };
            for time in &answer.strategies {
                let StrategyOutcome::Possible(other) = &time.outcome else { continue };
                let near = other.expected_ns.value.as_nanos() as f64 <= 1.05 * least - 10.0;
                let disk = |figures: &StrategyFigures| figures.disk_bytes.map_or(u64::MAX, Bytes::get);
                prop_assert!(!near || disk(other) >= disk(chosen), "{:?}", answer.strategies);
            }
        }
        // More loads at once never make a start quicker.
        let crowded = locality(&Question { simultaneous: at_once(m + 1), ..question.clone() });
        for (alone, beside) in answer.tiers.iter().zip(&crowded.tiers) {
            prop_assert!(beside.start_ns.value >= alone.start_ns.value);
        }
    }

    #[test]
    fn weights_are_from_1_to_100_and_in_order(times in prop::collection::vec(0u64..1_000_000_000_000, 1..50)) {
        let nodes: Vec<NodeTime> = times.iter().map(|nanos| NodeTime {
            node: nanos.to_string(),
            start_ns: Figure::new(Nanos::from_nanos(*nanos), Basis::of("test")),
        }).collect();
        let weights = affinity_weights(&nodes);
        let values: Vec<u32> = weights.iter().map(|weight| weight.weight.value).collect();
        prop_assert!(values.iter().all(|weight| (1..=100).contains(weight)));
        prop_assert!(values.is_sorted_by(|a, b| a >= b));
        prop_assert_eq!(values[0], 100);
    }
}
