//! Cold starts of a cluster's pods beside what a machine measured.

use coldstart_profiles::{ClusterTarget, Nanos, Params, Phase, Profile, Reading, Scope, TotalKind, Trace};

use super::{ByHand, Fleet, PullTime};
use crate::testing::profile;

/// Pods of so many seconds of pull and of readiness; the first one found its image.
fn pods(seconds: &[(u64, u64)]) -> Profile {
    let mut pods = profile();
    pods.target.model = None;
    pods.target.cluster = Some(ClusterTarget {
        image: "serve:1".to_owned(),
        container: "server".to_owned(),
        nodes: vec!["a".to_owned()],
        pods: 3,
        left_out: Vec::new(),
    });
    pods.plan.phases = vec![Phase::Scheduling, Phase::ImagePull, Phase::ContainerStart, Phase::Readiness];
    pods.traces.clear();
    pods.measurements.clear();
    pods.throughput.clear();
    for (trial, (pull, ready)) in (0..).zip(seconds) {
        let mut begin_ns = Nanos::ZERO;
        let mut readings = Vec::new();
        for (phase, seconds) in [(Phase::ImagePull, *pull), (Phase::Readiness, *ready)] {
            let duration_ns = Nanos::from_secs(seconds);
            if duration_ns > Nanos::ZERO {
                let params = Params::new();
                let (device_ns, work, mark, detail) = (None, None, None, None);
                readings.push(Reading {
                    phase,
                    params,
                    begin_ns,
                    duration_ns,
                    device_ns,
                    work,
                    mark,
                    detail,
                });
            }
            begin_ns = begin_ns.saturating_add(duration_ns);
        }
        pods.traces.push(Trace {
            step: format!("pod-{trial}"),
            trial,
            scope: Scope::ColdStart,
            total_kind: TotalKind::Pod,
            params: Params::new().with("image", if *pull > 0 { "pulled" } else { "present" }),
            end: Trace::completed(&readings, begin_ns),
            readings,
        });
    }
    pods.derive();
    pods
}

#[test]
fn what_pods_took_comes_before_what_a_machine_took() {
    let (machine, pods) = (profile(), pods(&[(0, 30), (0, 31), (0, 29), (60, 30), (70, 32)]));
    for order in [[("m", &machine), ("p", &pods)], [("p", &pods), ("m", &machine)]] {
        let fleet = Fleet::of(&order, &ByHand::default(), false).unwrap();
        assert_eq!(fleet.classes.len(), 1, "pods are no class of nodes");
        let class = &fleet.classes[0];
        let cold = class.cold_start().unwrap();
        assert_eq!((cold.kind, cold.trials, cold.storage.as_str()), (Some(TotalKind::Pod), 2, "cluster"));
        assert_eq!(cold.hi_ns.value, Nanos::from_secs(102), "those that pulled stand for a fresh node");
        assert!(matches!(&cold.pull, PullTime::Measured { times_ns } if times_ns.len() == 2));
        assert_eq!(cold.start_hi_ns.as_ref().unwrap().value, Nanos::from_secs(32));
        assert_eq!(class.cold_starts.len(), 2, "that of the machine is still there");
        assert_eq!(class.profiles.len(), 2);
    }
}

#[test]
fn pods_alone_carry_no_plan() {
    let pods = pods(&[(60, 30)]);
    let error = Fleet::of(&[("p", &pods)], &ByHand::default(), false).unwrap_err().to_string();
    assert!(error.contains("throughput") && error.contains("coldstart run"), "{error}");
}
