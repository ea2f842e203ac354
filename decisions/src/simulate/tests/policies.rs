//! Policies on scripted traffic.

use super::super::autoscaled::tick_by_tick;
use super::*;
use crate::scaling::{Hpa, Keda, TargetKind};
use crate::traffic::Trace;

const S: u64 = 1_000_000_000;

/// `rate` requests a second, evenly, from one second to another.
fn evenly(rate: u64, from_s: u64, to_s: u64) -> impl Iterator<Item = Arrival> {
    (0..rate * (to_s - from_s)).map(move |i| Arrival {
        time_ns: from_s * S + i * S / rate,
        tokens_in: 0,
        tokens_out: 0,
    })
}

fn trace(parts: impl IntoIterator<Item = (u64, u64, u64)>) -> Trace {
    Trace::new(parts.into_iter().flat_map(|(rate, from, to)| evenly(rate, from, to)).collect(), false)
        .unwrap()
}

fn scenario<'a>(
    service: &'a ServiceModel,
    sla: &'a Sla,
    trace: &'a Trace,
    starts: &'a [Nanos],
) -> Scenario<'a> {
    Scenario {
        service,
        sla,
        trace,
        dispatch: Dispatch::LeastLoaded,
        cold_starts: starts,
        initial_replicas: 1,
        monitoring: Monitoring::default(),
        prices: Some(Prices { replica_hour: 2.0, missed_request: 0.01 }),
        seed: 5,
    }
}

fn policy(rule: Rule) -> Policy {
    Policy { name: "tested".to_owned(), rule }
}

fn metric(signal: Signal, target: f64, target_kind: TargetKind) -> Metric {
    Metric { signal, target, target_kind, activation: 0.0 }
}

#[test]
fn static_replicas_are_a_fixed_number() {
    let (service, sla) = (single(10.0, 5.0, 4), sla_ms(40));
    let trace = trace([(100, 0, 60)]);
    let found = autoscaled(
        &scenario(&service, &sla, &trace, &[Nanos::from_secs(9)]),
        &policy(Rule::Static { replicas: 3 }),
    );
    let same =
        fixed(&service, &sla, Fixed::new(3, Dispatch::LeastLoaded, 5), trace.arrivals().iter().copied());
    assert_eq!(found.outcome, same);
    assert_eq!((found.cold_starts, found.peak_replicas, found.mean_replicas), (0, 3, 3.0));
    assert!((found.replica_hours - 3.0 * found.outcome.duration_ns.as_secs_f64() / 3600.0).abs() < 1e-9);
    assert!((found.cost.unwrap() - (found.replica_hours * 2.0 + found.missed as f64 * 0.01)).abs() < 1e-9);
    assert_eq!(found.slices.iter().map(|slice| slice.requests).sum::<u64>(), 6_000);
    assert_eq!(found.slices.iter().map(|slice| slice.missed).sum::<u64>(), found.missed);
    let none = autoscaled(&scenario(&service, &sla, &trace, &[]), &policy(Rule::Static { replicas: 0 }));
    assert_eq!((none.outcome.unanswered, none.replica_hours, none.outcome.attainment), (6_000, 0.0, 0.0));
}

#[test]
fn an_hpa_follows_a_step_after_its_lead_time() {
    // One replica carries 50 a second (T = 20 ms); at 300 s the rate steps from 20 to 200. A target of 40 asks for 5.
    let (service, sla) = (single(20.0, 0.0, 1), sla_ms(200));
    let trace = trace([(20, 0, 300), (200, 300, 900)]);
    let starts = [Nanos::from_secs(60)];
    let rule = Rule::Hpa {
        hpa: Hpa::new(1, 20),
        metrics: vec![metric(Signal::RequestRate, 40.0, TargetKind::AverageValue)],
    };
    let found = autoscaled(&scenario(&service, &sla, &trace, &starts), &policy(rule.clone()));
    assert_eq!((found.peak_replicas, found.cold_starts), (5, 4), "{:?}", found.timeline);
    // Ordered at the earliest with the first sync after a scrape that saw the step, ready a minute later.
    let ready = found.timeline.iter().find(|at| at.ready == 2).unwrap().time_ns.as_secs_f64();
    assert!((360.0..420.0).contains(&ready), "{:?}", found.timeline);
    assert!(found.outcome.attainment > 0.3 && found.outcome.attainment < 0.9, "{}", found.outcome.attainment);
    // Misses lie after the step.
    let before = 300 * S / found.slice_ns.as_nanos();
    assert!(found.slices[..before as usize - 1].iter().all(|slice| slice.missed == 0));
    // The same seed, the same run; a faster start, fewer misses.
    assert_eq!(autoscaled(&scenario(&service, &sla, &trace, &starts), &policy(rule.clone())), found);
    let fast = autoscaled(&scenario(&service, &sla, &trace, &[Nanos::from_secs(5)]), &policy(rule));
    assert!(fast.missed < found.missed, "{} {}", fast.missed, found.missed);
}

#[test]
fn utilization_saturates_where_queues_grow() {
    // At 400 a second eight replicas are needed. A busy GPU shows 100 %, so that utilization asks for 1.25 times as many each
    // time, and counts those that still start as idle.
    let (service, sla) = (single(20.0, 0.0, 1), sla_ms(100));
    let trace = trace([(400, 0, 600)]);
    let starts = [Nanos::from_secs(30)];
    let run = |metric: Metric| {
        let rule = Rule::Hpa { hpa: Hpa::new(1, 20), metrics: vec![metric] };
        autoscaled(&scenario(&service, &sla, &trace, &starts), &policy(rule))
    };
    let gpu = run(metric(Signal::GpuUtilization, 0.8, TargetKind::AverageValue));
    let cpu = run(metric(Signal::CpuUtilization { idle: 0.05, busy: 0.4 }, 0.8, TargetKind::Utilization));
    let rate = run(metric(Signal::RequestRate, 40.0, TargetKind::AverageValue));
    let queue = run(metric(Signal::QueueDepth, 4.0, TargetKind::AverageValue));
    assert!(
        rate.missed < gpu.missed && gpu.missed < cpu.missed,
        "{} {} {}",
        rate.missed,
        gpu.missed,
        cpu.missed
    );
    assert_eq!(cpu.peak_replicas, 1, "a CPU at 45 % never asks for more");
    assert!(
        queue.missed < gpu.missed && queue.peak_replicas == 20,
        "{} {}",
        queue.missed,
        queue.peak_replicas
    );
    let latency = run(metric(Signal::TailLatency, 100e6, TargetKind::Value));
    let concurrency = run(metric(Signal::Concurrency, 2.0, TargetKind::AverageValue));
    let pressure = run(metric(Signal::MemoryPressure, 0.8, TargetKind::Value));
    for found in [&latency, &concurrency, &pressure] {
        assert!(found.peak_replicas > 1 && found.missed < cpu.missed, "{:?}", found.policy);
    }
}

/// An SLA at the median is watched by the median: of three requests at once two wait, so that it lies above the target only where one of
/// a hundred may miss it.
#[test]
fn the_tail_that_is_watched_is_the_percentile_of_the_sla() {
    let service = single(20.0, 0.0, 1);
    // 20 ms each but for the last two of every tenth second: 40 and 60 ms.
    let times =
        (0..600u64).flat_map(|second| (0..if second % 10 == 0 { 3 } else { 1 }).map(move |n| (second, n)));
    let arrivals = times.map(|(second, n)| Arrival { time_ns: second * S + n, tokens_in: 0, tokens_out: 0 });
    let trace = Trace::new(arrivals.collect(), false).unwrap();
    let peak = |permille| {
        let sla = Sla { permille, ..sla_ms(100) };
        let metrics = vec![metric(Signal::TailLatency, 30e6, TargetKind::Value)];
        let rule = Rule::Hpa { hpa: Hpa::new(1, 9), metrics };
        autoscaled(&scenario(&service, &sla, &trace, &[]), &policy(rule)).peak_replicas
    };
    assert_eq!((peak(500), peak(990) > 1), (1, true));
}

/// As Prometheus has it: a rate is the slope between the first and the last scrape of the window that ends at the look, so that a window
/// of two scrapes spans one interval, and one of a single scrape has no rate.
#[test]
fn a_rate_is_the_slope_within_its_window() {
    let (service, sla) = (single(1.0, 0.0, 1), sla_ms(100));
    // A minute of silence, then 40 requests a second.
    let trace = Trace::new(
        [(1, 0, 1), (40, 60, 180)].into_iter().flat_map(|(rate, from, to)| evenly(rate, from, to)).collect(),
        false,
    )
    .unwrap();
    let seen = |window_s: u64| {
        let monitoring =
            Monitoring { scrape_ns: Nanos::from_secs(15), window_ns: Nanos::from_secs(window_s) };
        let rule = Rule::Hpa {
            hpa: Hpa::new(1, 50),
            metrics: vec![metric(Signal::RequestRate, 30.0, TargetKind::AverageValue)],
        };
        let scenario = Scenario { monitoring, ..scenario(&service, &sla, &trace, &[]) };
        let found = autoscaled(&scenario, &policy(rule));
        found.timeline.iter().find(|at| at.ordered >= 2).map(|at| at.time_ns.as_secs_f64())
    };
    let (one, two, four) = (seen(15), seen(30), seen(60));
    assert_eq!(one, None, "no rate, no replica");
    let (two, four) = (two.unwrap(), four.unwrap());
    // Above the tolerance once the new rate fills 33 of 40 parts of one interval, or of three; a scrape and a look come up to 15 s later each.
    assert!((72.0..=105.0).contains(&two), "{two}");
    assert!((97.0..=135.0).contains(&four) && four > two, "{four}");
}

/// A first token comes long before the answer ends: who watches it for a target between the two sees no reason to add replicas.
#[test]
fn the_first_token_is_watched_apart_from_the_answer() {
    let (service, sla) = (language(8), sla_ms(60_000));
    let sizes = Sizes::One(RequestSize { tokens_in: 20, tokens_out: 200 });
    let trace = Trace::new(Poisson::new(2.0, sizes, 3).take(1_200).collect(), true).unwrap();
    let whole =
        fixed(&service, &sla, Fixed::new(4, Dispatch::LeastLoaded, 5), trace.arrivals().iter().copied());
    let (first, end) = (whole.ttft.unwrap().p99_ns, whole.latency.p50_ns);
    assert!(first.as_nanos() * 2 < end.as_nanos(), "{first} {end}");
    let target = f64::midpoint(first.as_nanos() as f64, end.as_nanos() as f64);
    let peak = |signal| {
        let rule =
            Rule::Hpa { hpa: Hpa::new(4, 20), metrics: vec![metric(signal, target, TargetKind::Value)] };
        let scenario = Scenario { initial_replicas: 4, ..scenario(&service, &sla, &trace, &[]) };
        autoscaled(&scenario, &policy(rule)).peak_replicas
    };
    assert_eq!(peak(Signal::TailFirstToken), 4);
    assert!(peak(Signal::TailLatency) > 4);
}

#[test]
fn keda_goes_to_zero_and_back_by_the_gateways_signal() {
    let (service, sla) = (single(20.0, 0.0, 1), sla_ms(200));
    // A minute of work, half an hour of silence, a minute of work.
    let trace = trace([(10, 0, 60), (10, 1_860, 1_920)]);
    let starts = [Nanos::from_secs(40)];
    let rule = |signal| Rule::Keda {
        keda: Keda { max_replica_count: 5, ..Keda::default() },
        hpa: Hpa::new(1, 5),
        metrics: vec![metric(signal, 40.0, TargetKind::AverageValue)],
    };
    let found = autoscaled(&scenario(&service, &sla, &trace, &starts), &policy(rule(Signal::RequestRate)));
    assert_eq!((found.outcome.unanswered, found.cold_starts), (0, 1), "{:?}", found.timeline);
    let asleep = found.timeline.iter().position(|at| at.ordered == 0).unwrap();
    let (down, up) =
        (found.timeline[asleep].time_ns.as_secs_f64(), found.timeline[asleep + 1].time_ns.as_secs_f64());
    // The rate over a minute is above zero until 60 s after the last request; then 300 s of cooldown.
    assert!((400.0..540.0).contains(&down) && (1_860.0..1_920.0).contains(&up), "{down} {up}");
    // Who comes first waits for the poll and the whole cold start.
    assert!(found.outcome.latency.max_ns >= starts[0], "{:?}", found.outcome.latency);
    assert!(found.missed > 300 && found.missed < 700, "{}", found.missed);
    // A signal of pods is silent without pods: nothing wakes it up.
    let blind = autoscaled(&scenario(&service, &sla, &trace, &starts), &policy(rule(Signal::TailLatency)));
    assert!(blind.outcome.unanswered >= 600, "{}", blind.outcome.unanswered);
    assert!(!Signal::TailLatency.from_gateway() && Signal::RequestRate.from_gateway());
}

#[test]
fn the_plan_follows_its_table() {
    let plan = Planned {
        largest_rates_per_s: vec![40.0, 90.0, 140.0],
        standby: 1,
        min_replicas: 2,
        max_replicas: 5,
        period_ns: Nanos::from_secs(15),
        scale_down_window_ns: Nanos::from_secs(60),
    };
    for (rate, replicas) in [(0.0, 2), (40.0, 2), (40.1, 3), (90.0, 3), (140.0, 4), (141.0, 5), (1e9, 5)] {
        assert_eq!(plan.replicas(rate), replicas, "{rate}");
    }
    let (service, sla) = (single(20.0, 0.0, 1), sla_ms(100));
    let trace = trace([(30, 0, 300), (80, 300, 600), (30, 600, 1_200)]);
    let starts = [Nanos::from_secs(20)];
    let found = autoscaled(&scenario(&service, &sla, &trace, &starts), &policy(Rule::Planned(plan)));
    assert_eq!((found.peak_replicas, found.cold_starts), (3, 1), "{:?}", found.timeline);
    assert!(found.outcome.meets, "the standby carries the step: {}", found.outcome.attainment);
    assert_eq!(found.timeline.last().unwrap().ordered, 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn nothing_is_lost_whatever_the_policy_does(
        seed in 0u64..1_000, target in 1.0f64..80.0, tokens in prop::bool::ANY, start_s in 0u64..90, zero in prop::bool::ANY,
        dispatch in prop_oneof![Just(Dispatch::Shared), Just(Dispatch::LeastLoaded), Just(Dispatch::Random)],
    ) {
        let service = if tokens { language(4) } else { single(20.0, 5.0, 4) };
        let sla = sla_ms(500);
        let sizes = Sizes::One(RequestSize { tokens_in: 20, tokens_out: 5 });
        let mut arrivals: Vec<Arrival> = Poisson::new(15.0, sizes, seed).take(2_000).collect();
        let later = arrivals[1_999].time_ns + 900 * S;
        arrivals.extend(Poisson::new(60.0, sizes, seed + 1).take(2_000).map(|arrival| Arrival { time_ns: later + arrival.time_ns, ..arrival }));
        let trace = Trace::new(arrivals, true).unwrap();
        let starts = [Nanos::from_secs(start_s), Nanos::from_secs(start_s * 2)];
        let mut metrics = vec![metric(Signal::RequestRate, target, TargetKind::AverageValue), metric(Signal::GpuUtilization, 0.7, TargetKind::AverageValue)];
        // Without it the last requests are lost when the cooldown is shorter than the cold start: no rate, no replica.
        metrics.push(metric(Signal::Concurrency, 1e3, TargetKind::AverageValue));
        let hpa = Hpa::new(1, 12);
        let rule = if zero {
            Rule::Keda { keda: Keda { cooldown_seconds: 60, max_replica_count: 12, ..Keda::default() }, hpa, metrics }
        } else {
            Rule::Hpa { hpa, metrics }
        };
        let found = autoscaled(&Scenario { dispatch, ..scenario(&service, &sla, &trace, &starts) }, &policy(rule));
        prop_assert_eq!((found.outcome.requests, found.outcome.unanswered), (4_000, 0));
        prop_assert!(found.peak_replicas <= 12);
        prop_assert!(found.mean_replicas <= f64::from(found.peak_replicas) + 1.0);
        prop_assert!((0.0..=1.0).contains(&found.outcome.utilization), "{}", found.outcome.utilization);
        for pair in found.timeline.windows(2) {
            prop_assert!(pair[0].time_ns <= pair[1].time_ns && pair[1].ready <= pair[1].ordered);
        }
    }
}

/// Ticks that are left out in a pause are those that change nothing: everything is as with them, also what came just before and after.
#[test]
fn a_pause_that_is_skipped_changes_nothing() {
    let (service, sla) = (single(50.0, 10.0, 8), sla_ms(400));
    let starts = [Nanos::from_secs(30), Nanos::from_secs(200)];
    let pause = |hours: u64| {
        let (up, again) = (1_000, 1_000 + hours * 3_600);
        let parts = [(20, 0, 300), (160, 300, up), (40, again, again + 20), (160, again + 20, again + 400)];
        trace(parts)
    };
    let idle =
        Keda { idle_replica_count: Some(0), min_replica_count: 2, max_replica_count: 9, ..Keda::default() };
    let rules = || {
        let hpa = Hpa::new(1, 10);
        let wanted =
            metric(Signal::Wanted { base: 1.0, per_request_per_s: 0.03 }, 1.0, TargetKind::AverageValue);
        let metrics = vec![Metric { activation: 1.0, ..wanted }];
        let plan = Planned {
            largest_rates_per_s: vec![40.0, 90.0, 140.0, 200.0],
            standby: 1,
            min_replicas: 1,
            max_replicas: 9,
            period_ns: Nanos::from_secs(15),
            scale_down_window_ns: Nanos::from_secs(900),
        };
        let usual = usual_policies(&hpa, &service.bound(&sla, RequestSize::ONE), true);
        let latency = vec![metric(Signal::TailLatency, 200e6, TargetKind::Value)];
        usual.into_iter().map(|policy| policy.rule).chain([
            Rule::Keda { keda: idle, hpa: Hpa::new(2, 9), metrics },
            Rule::Hpa { hpa, metrics: latency },
            Rule::Planned(plan),
        ])
    };
    for hours in [1, 5, 30] {
        let trace = pause(hours);
        let scenario = scenario(&service, &sla, &trace, &starts);
        for rule in rules() {
            let policy = policy(rule);
            let (skipped, whole) = (autoscaled(&scenario, &policy), tick_by_tick(&scenario, &policy));
            assert_eq!(skipped, whole, "{hours} h");
        }
    }
    // Ten years of ticks would be twenty million.
    let decade = pause(10 * 365 * 24 - 1);
    for rule in rules() {
        assert_eq!(
            autoscaled(&scenario(&service, &sla, &decade, &starts), &policy(rule)).outcome.unanswered,
            0
        );
    }
}

#[test]
fn the_usual_policies_run_side_by_side() {
    let (service, sla) = (single(50.0, 10.0, 8), sla_ms(400));
    let bound = service.bound(&sla, RequestSize::ONE);
    let trace = trace([(20, 0, 300), (120, 300, 600), (20, 600, 900)]);
    let starts = [Nanos::from_secs(30)];
    let names = |gpu| {
        let policies = usual_policies(&Hpa::new(1, 10), &bound, gpu);
        policies.into_iter().map(|policy| policy.name).collect::<Vec<_>>()
    };
    assert_eq!(names(true).len(), names(false).len() + 1, "a host has no GPU to watch");
    let found: Vec<PolicyOutcome> = usual_policies(&Hpa::new(1, 10), &bound, true)
        .iter()
        .map(|policy| autoscaled(&scenario(&service, &sla, &trace, &starts), policy))
        .collect();
    for found in &found {
        assert_eq!(found.outcome.requests, 48_000);
        assert!(found.cost.unwrap().is_finite() && found.replica_hours > 0.0);
    }
    assert_eq!(found[0].peak_replicas, 1, "a CPU never asks for more");
    assert!(found[2].outcome.attainment > found[0].outcome.attainment);
}

#[test]
fn a_line_of_the_rate_is_followed_as_an_external_metric() {
    // 0.05 · 20 + 1 = 2 replicas, at 80 a second 5; the HPA rounds up and takes its tolerance.
    let (service, sla) = (single(20.0, 0.0, 1), sla_ms(200));
    let trace = trace([(20, 0, 300), (80, 300, 900)]);
    let wanted = Signal::Wanted { base: 1.0, per_request_per_s: 0.05 };
    let metrics = vec![metric(wanted, 1.0, TargetKind::AverageValue)];
    let rule = Rule::Hpa { hpa: Hpa::new(1, 20), metrics: metrics.clone() };
    let starts = [Nanos::from_secs(20)];
    let scenario = Scenario { initial_replicas: 2, ..scenario(&service, &sla, &trace, &starts) };
    let found = autoscaled(&scenario, &policy(rule));
    assert_eq!(found.timeline.first().unwrap().ordered, 2);
    assert_eq!(found.timeline.last().unwrap().ordered, 5, "{:?}", found.timeline);
    assert!(wanted.from_gateway() && !wanted.of_pods());
    // With KEDA: to zero in a pause, since its activation is what is wanted without traffic, and back to the least number.
    let pause = Trace::new(evenly(20, 0, 60).chain(evenly(20, 1_860, 1_920)).collect(), false).unwrap();
    let metrics = metrics.into_iter().map(|metric| Metric { activation: 1.0, ..metric }).collect();
    let keda =
        Keda { idle_replica_count: Some(0), min_replica_count: 2, max_replica_count: 9, ..Keda::default() };
    let rule = Rule::Keda { keda, hpa: Hpa::new(2, 9), metrics };
    let found = autoscaled(&Scenario { trace: &pause, ..scenario }, &policy(rule));
    let numbers: Vec<u32> = found.timeline.iter().map(|at| at.ordered).collect();
    assert!(numbers.contains(&0) && !numbers.contains(&1), "{numbers:?}");
    assert_eq!((found.outcome.unanswered, found.cold_starts), (0, 2), "{numbers:?}");
}
