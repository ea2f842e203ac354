//! Settings for services and traffic of known numbers.

use coldstart_profiles::{Bytes, ForwardMode, Nanos};

use super::*;
use crate::basis::{Basis, Figure, Quantity};
use crate::capacity::{Demand, LeadTime, Planner, SlaBound, Warm};
use crate::cluster::{ClusterFacts, Prices};
use crate::measured::{MemoryAtBatch, MemoryFacts};
use crate::service::{RequestSize, ServiceModel, SingleForward, Sla};
use crate::simulate::Dispatch;
use crate::traffic::{Arrival, Ramp, Trace, Traffic};

/// A ramp from 100 requests per second on a service of T(n) = 10 ms + 5 ms · n.
struct Case {
    traffic: Traffic,
    service: ServiceModel,
    sla: Sla,
    cluster: ClusterFacts,
    memory: MemoryFacts,
    basis: Basis,
}

impl Case {
    fn new(sla_ms: u64, growth: f64) -> Self {
        let ramp = Ramp {
            base_per_s: 100.0,
            peak_per_s: 5000.0,
            growth_per_s_per_s: growth,
            size: RequestSize::ONE,
        };
        let at = |batch: u32, bytes: u64| MemoryAtBatch {
            mode: ForwardMode::Encode,
            batch,
            tokens: 64,
            workspace_bytes: Bytes::new(bytes),
        };
        Case {
            traffic: Traffic::Ramp(ramp),
            service: ServiceModel::SingleForward(SingleForward::by_hand(10e6, 5e6, 16)),
            sla: Sla::p99(Nanos::from_millis(sla_ms)),
            cluster: ClusterFacts::default(),
            memory: MemoryFacts {
                device_bytes: Bytes::new(10_000),
                weights_bytes: Bytes::new(1_000),
                free_bytes: Figure::by_hand(Bytes::new(9_000), "--free-memory"),
                kv_bytes_per_token: None,
                at_batch: vec![at(1, 500), at(8, 4_000)],
                basis: Basis::default(),
            },
            basis: Basis::default(),
        }
    }

    fn with<T>(&self, cold_s: u64, then: impl FnOnce(&Situation<'_>, &Planner<'_>) -> T) -> T {
        let demand = Demand {
            traffic: &self.traffic,
            sla: &self.sla,
            window: Nanos::from_secs(10),
            quantile: 0.99,
            dispatch: Dispatch::LeastLoaded,
            seed: 7,
        };
        let planner = Planner::new(demand, &self.service, &self.basis, &self.cluster).unwrap();
        let cold = Figure::new(Nanos::from_secs(cold_s), Basis::of("given"));
        let lead = LeadTime::new(&self.cluster, &cold);
        let (bound, warm): (SlaBound, Warm) = (planner.bound(), planner.warm(&lead).unwrap());
        let situation = Situation {
            service: &self.service,
            sla: &self.sla,
            size: planner.size(),
            cluster: &self.cluster,
            bound: &bound,
            warm: &warm,
            lead: &lead,
            cold_start: &cold,
            memory: &self.memory,
            host: false,
        };
        then(&situation, &planner)
    }

    fn settings(&self, cold_s: u64) -> Autoscaler {
        self.with(cold_s, |situation, planner| {
            Autoscaler::derive(situation, planner, (100.0, per_s(5000.0))).unwrap()
        })
    }
}

fn per_s(value: f64) -> Figure<f64> {
    Figure::new(value, Basis::of("given"))
}

fn target(settings: &Autoscaler, signal: Signal) -> &Target {
    settings.targets.iter().find(|target| target.signal == signal).unwrap()
}

fn close(found: f64, expected: f64) -> bool {
    (found - expected).abs() < 1e-9 * expected.abs().max(1.0)
}

/// g(L) = 0.8/s² · (60 s + 15 s) = 60 per second, so ρ = 100 ÷ 160; n* = 8, T_hi = 50 ms, μ_SLA = 160 per second.
#[test]
fn targets_follow_their_formulas() {
    let settings = Case::new(100, 0.8).settings(15);
    assert!(close(settings.headroom.value, 0.625));
    let rate = target(&settings, Signal::RequestRate);
    assert_eq!(rate.metric_type, MetricType::AverageValue);
    let Quantity::PerSecond(per_s) = rate.value.as_ref().unwrap().value else { panic!("{rate:?}") };
    assert!(close(per_s, 0.625 * 160.0 / 1.1), "{per_s}");
    let queue = target(&settings, Signal::QueueDepth);
    let Quantity::Number(depth) = queue.value.as_ref().unwrap().value else { panic!("{queue:?}") };
    assert!(close(depth, 0.625 * 0.05 * 160.0 / 1.1), "{depth}");
    let latency = target(&settings, Signal::TailLatency);
    assert_eq!(latency.metric_type, MetricType::Value, "an average would be divided by the replicas");
    let Quantity::Nanos(time) = latency.value.as_ref().unwrap().value else { panic!("{latency:?}") };
    assert_eq!(time, Nanos::from_nanos_f64((0.05 + 0.625 * 0.05) / 1.1 * 1e9));
    // 1500 bytes at one request, 5000 at eight: 5 of 8 lie 4/7 of the way.
    let memory = target(&settings, Signal::MemoryPressure);
    let Quantity::Share(share) = memory.value.as_ref().unwrap().value else { panic!("{memory:?}") };
    assert!(close(share, (1500.0 + 3500.0 * 4.0 / 7.0) / 10_000.0 / 1.1), "{share}");
}

/// What can't be watched is said, as it is of other signals, and not left out.
#[test]
fn on_the_host_device_memory_has_a_reason_instead_of_a_target() {
    let settings = Case::new(100, 0.8).with(15, |situation, planner| {
        let situation = Situation { host: true, ..*situation };
        Autoscaler::derive(&situation, planner, (100.0, per_s(5000.0))).unwrap()
    });
    let signals: Vec<Signal> = settings.targets.iter().map(|target| target.signal).collect();
    assert_eq!(signals, Signal::ALL);
    let memory = target(&settings, Signal::MemoryPressure);
    assert_eq!(memory.value, None);
    let Usability::Unusable { why } = &memory.usability else { panic!("{memory:?}") };
    assert!(why.contains("no device memory") && why.contains("with a GPU"), "{why}");
}

#[test]
fn the_case_in_which_no_threshold_helps() {
    // 60/s · 75 s ÷ 2 = 2250 requests queue up; (100 − 50) ms · 160/s = 8 may wait on each replica.
    let settings = Case::new(100, 0.8).settings(15);
    let hopeless = settings.hopeless.as_ref().unwrap();
    assert!(close(hopeless.queued.value, 2250.0));
    for signal in [Signal::QueueDepth, Signal::TailLatency] {
        let usability = &target(&settings, signal).usability;
        let Usability::Unusable { why } = usability else { panic!("{usability:?}") };
        assert!(why.contains("no threshold") && why.contains("2250.0"), "{why}");
    }
    assert_eq!(target(&settings, Signal::RequestRate).usability, Usability::Usable);
    // Growth of 0.001/s² over 75 s: 2.8 requests queue up.
    let settings = Case::new(100, 0.001).settings(15);
    assert_eq!(settings.hopeless, None);
    assert_eq!(target(&settings, Signal::QueueDepth).usability, Usability::Usable);
}

#[test]
fn memory_that_does_not_move_says_nothing() {
    let mut case = Case::new(100, 1.0);
    case.memory.weights_bytes = Bytes::new(1_000_000);
    case.memory.device_bytes = Bytes::new(10_000_000);
    let settings = case.settings(15);
    let usability = &target(&settings, Signal::MemoryPressure).usability;
    assert!(
        matches!(usability, Usability::Unusable { why } if why.contains("less than the tolerance of 10 %")),
        "{usability:?}"
    );
    case.memory.at_batch.clear();
    assert_eq!(target(&case.settings(15), Signal::MemoryPressure).value, None);
}

#[test]
fn behaviour_keeps_to_what_kubernetes_takes() {
    for (cold, period, window) in [(1, 1, 300), (60, 60, 300), (180, 180, 540), (3000, 1800, 3600)] {
        let behaviour = Case::new(100, 0.01).settings(cold).behaviour;
        assert_eq!(behaviour.scale_up.period_s.value, period, "{cold} s");
        assert_eq!(behaviour.scale_down_window_s.value, window, "{cold} s");
        assert_eq!(behaviour.scale_up_window_s.value, 0);
    }
    // g(L) = 60/s; the target is 0.625 · 160 ÷ 1.1 = 90.9/s.
    assert_eq!(Case::new(100, 0.8).settings(15).behaviour.scale_up.pods.value, 1);
    // g(L) = 4 · 75 = 300/s, ρ = 1/4: the target is 36.4/s, which 9 more replicas carry.
    let settings = Case::new(100, 4.0).settings(15);
    assert!(settings.max_replicas.value > 9);
    assert_eq!(settings.behaviour.scale_up.pods.value, 9);
    // g(L) = 750/s, ρ = 2/17: the target is 17.1/s, which 44 more would carry; there may be fewer.
    let settings = Case::new(100, 10.0).settings(15);
    assert_eq!(settings.behaviour.scale_up.pods.value, (settings.max_replicas.value - 1).min(44));
    let mut case = Case::new(100, 10.0);
    let most = settings.min_replicas.value + 2;
    case.cluster.max_replicas = Some(most);
    assert!(most < 44);
    assert_eq!(case.settings(15).behaviour.scale_up.pods.value, most - 1, "no more than there may be");
}

#[test]
fn limits_hold_the_lowest_and_the_largest_rate() {
    let case = Case::new(100, 1.0);
    case.with(15, |situation, planner| {
        let settings = Autoscaler::derive(situation, planner, (100.0, per_s(5000.0))).unwrap();
        assert_eq!(settings.max_replicas.value, planner.replicas(5000.0).unwrap());
        assert_eq!(settings.min_replicas.value, planner.replicas(160.0).unwrap());
        let low = Autoscaler::derive(situation, planner, (0.0, per_s(100.0))).unwrap();
        assert_eq!(low.min_replicas.value, planner.replicas(60.0).unwrap());
        assert_eq!(
            low.max_replicas.value, situation.warm.replicas_peak.value,
            "never below what is kept warm"
        );
    });
}

/// So many requests within a second, from each of these seconds on.
fn bursts(bursts: &[(u64, u64)]) -> Traffic {
    let second = 1_000_000_000;
    let times =
        bursts.iter().flat_map(|(count, at)| (0..*count).map(move |i| at * second + i * second / count));
    let arrivals = times.map(|time_ns| Arrival { time_ns, tokens_in: 0, tokens_out: 0 });
    Traffic::Trace(Trace::new(arrivals.collect(), false).unwrap())
}

#[test]
fn scaling_to_zero_pays_where_pauses_are_long_and_few_enough() {
    let case = Case::new(100, 0.0);
    let advice = |prices: Prices, traffic: &Traffic| {
        case.with(60, |situation, _| keep_alive(situation, &prices, traffic))
    };
    let prices = Prices { replica_hour: Some(3.6), miss: Some(0.001), ..Prices::default() };
    // What waits for 100 − 15 ms is still in time: 100/s · (15 + 60 − 0.085) s = 7491.5 misses at 0.001 each; idling costs as much a
    // second, and the replica that starts is paid for 75 s.
    let found = advice(prices, &case.traffic);
    assert!(close(found.misses.value, 7491.5), "{found:?}");
    assert!(close(found.break_even_ns.as_ref().unwrap().value.as_secs_f64(), 7566.5), "{found:?}");
    assert_eq!(found.cooldown_s.value, 7567);
    let why = |found: &KeepAlive| match &found.advice {
        Advice::KeepOne { why } | Advice::Unknown { why } => why.clone(),
        Advice::ScaleToZero => String::new(),
    };
    assert!(why(&found).contains("less than once a day"), "at 100 a second: {found:?}");
    // Bursts of 10 000 requests every 20 000 s: all of those after a pause miss.
    let often = advice(prices, &bursts(&[(10_000, 0), (10_000, 20_000), (10_000, 40_000)]));
    assert!(why(&often).contains("make 10000 requests miss, 66.7 % of all, and 1.0 % may"), "{often:?}");
    let few = bursts(&[(10_000, 0), (10, 20_000)]);
    let rare = advice(prices, &few);
    assert_eq!((rare.misses.value, &rare.advice), (10.0, &Advice::ScaleToZero), "{rare:?}");
    assert!(close(rare.missed_share.value, 10.0 / 10_010.0), "{rare:?}");
    let short = advice(prices, &bursts(&[(10, 0), (10, 200)]));
    assert!(why(&short).contains("longest pause of the trace is"), "{short:?}");
    // Without prices nothing is known to pay.
    for traffic in [&bursts(&[(10, 0), (10, 200)]), &case.traffic] {
        let unpriced = advice(Prices::default(), traffic);
        assert!(unpriced.break_even_ns.is_none() && !why(&unpriced).contains("pays"), "{unpriced:?}");
        assert!(why(&unpriced).contains("the last replica goes after 5 min 00 s"), "{unpriced:?}");
    }
    let free = advice(Prices { replica_hour: Some(0.0), ..prices }, &case.traffic);
    assert!(
        free.break_even_ns.is_none() && why(&free).contains("idling costs nothing"),
        "no division by zero"
    );
    let unknown = advice(Prices { miss: None, ..prices }, &few);
    assert!(why(&unknown).contains("--miss-cost"), "{unknown:?}");
    // Where a whole cold start is within the service level, the replica that starts still costs its time.
    let mut patient = Case::new(200_000, 0.0);
    patient.traffic = bursts(&[(10, 0), (10, 601), (10, 1202)]);
    let found = patient.with(60, |situation, _| keep_alive(situation, &prices, &patient.traffic));
    assert_eq!(found.misses.value, 0.0);
    assert_eq!(found.break_even_ns.unwrap().value, Nanos::from_secs(75));
    assert_eq!((found.cooldown_s.value, found.advice), (300, Advice::ScaleToZero));
}
