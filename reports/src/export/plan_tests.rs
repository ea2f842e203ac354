//! Exports of a plan against golden files and the rules of their consumers.

use coldstart_decisions::measured::ByHand;
use coldstart_decisions::plan::{PlacesRequest, PlanRequest, ServingPlan, TrafficSource, make_plan};
use coldstart_decisions::service::{RequestSize, ServiceModel, SingleForward, Sla};
use coldstart_decisions::simulate::Dispatch;
use coldstart_decisions::traffic::{Ramp, Steady, Traffic};
use coldstart_decisions::{ClusterFacts, Prices};
use coldstart_profiles::Nanos;
use serde_json::Value;

use super::tests::assert_golden;
use super::{EXPORT_TARGETS, ExportSettings, Exported, Workload, export_target};
use crate::tests::scripted;

fn plan(traffic: &Traffic) -> ServingPlan {
    let request = PlanRequest {
        sla: Sla::p99(Nanos::from_secs(30)),
        traffic_from: TrafficSource::Numbers,
        window_ns: Nanos::from_secs(10),
        quantile: 0.99,
        dispatch: Dispatch::LeastLoaded,
        cluster: ClusterFacts::default(),
        prices: Prices::default(),
        by_hand: ByHand { cold_p99_ns: Some(Nanos::from_secs(60)), ..ByHand::default() },
        places: PlacesRequest::default(),
        max_batch: None,
        node_class: None,
        allow_stand_in: false,
        simulate: false,
        seed: 1,
    };
    make_plan(&[("a/p.json", &scripted::swept())], traffic, request, "0.1.0").unwrap()
}

const SIZE: RequestSize = RequestSize { tokens_in: 128, tokens_out: 16 };

fn growing() -> ServingPlan {
    plan(&Traffic::Ramp(Ramp { base_per_s: 1.0, peak_per_s: 6.0, growth_per_s_per_s: 0.01, size: SIZE }))
}

fn settings() -> ExportSettings {
    ExportSettings {
        workload: Some(Workload::parse("deployment/llama").unwrap()),
        namespace: Some("serving".to_owned()),
        metric_selector: "namespace=\"serving\"".to_owned(),
        ..ExportSettings::default()
    }
}

fn text(target: &str, plan: &ServingPlan) -> String {
    match export_target(target).unwrap().of_plan("x/plan.json", plan, &settings()).unwrap() {
        Exported::File(text) => text,
        Exported::Directory(files) => panic!("{target} is one file, not {files:?}"),
    }
}

#[test]
fn golden_files() {
    let plan = growing();
    for target in ["hpa", "keda", "capacity-buffer"] {
        assert_golden(&format!("export-{target}.json"), &text(target, &plan));
    }
}

#[test]
fn limits_and_behaviour_are_those_of_the_plan() {
    let plan = growing();
    let hpa: Value = serde_json::from_str(&text("hpa", &plan)).unwrap();
    let keda: Value = serde_json::from_str(&text("keda", &plan)).unwrap();
    assert_eq!(keda["spec"]["maxReplicaCount"], plan.autoscaler.max_replicas.value);
    assert_eq!(keda["spec"]["minReplicaCount"], plan.autoscaler.min_replicas.value);
    let warm = &plan.capacity.warm;
    let kept = warm.replicas_now.value + warm.standby.value;
    assert_eq!(keda["spec"]["fallback"]["replicas"], kept.max(plan.autoscaler.min_replicas.value));
    let behaviors =
        [&hpa["spec"]["behavior"], &keda["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]];
    for behavior in behaviors {
        for rules in [&behavior["scaleUp"], &behavior["scaleDown"]] {
            assert!(rules["stabilizationWindowSeconds"].as_u64().unwrap() <= 3600);
            assert!((1..=1800).contains(&rules["policies"][0]["periodSeconds"].as_u64().unwrap()));
        }
        // What is still booting must not be ordered again.
        assert!(behavior["scaleUp"]["policies"][0]["periodSeconds"].as_u64().unwrap() >= 60);
    }
    for trigger in keda["spec"]["triggers"].as_array().unwrap() {
        let metadata = &trigger["metadata"];
        assert!(metadata["threshold"].as_str().unwrap().parse::<f64>().unwrap() > 0.0);
        assert!(metadata["query"].as_str().unwrap().contains("{namespace=\"serving\"}"), "{metadata}");
        // A sum is compared with what one replica may have; a percentile with itself.
        let sums = metadata["query"].as_str().unwrap().starts_with("sum(");
        assert_eq!(trigger["metricType"] == "AverageValue", sums, "{trigger}");
    }
    let annotations = hpa["metadata"]["annotations"].as_object().unwrap();
    for part in ["plan", "profile", "tool", "traffic", "min-replicas", "request-rate"] {
        assert!(
            annotations.contains_key(&format!("coldstart-rs.github.io/{part}")),
            "{part}: {annotations:?}"
        );
    }
}

#[test]
fn a_buffer_holds_the_standby_or_is_refused() {
    let plan = growing();
    let buffer: Value = serde_json::from_str(&text("capacity-buffer", &plan)).unwrap();
    assert_eq!(buffer["spec"]["replicas"], plan.capacity.warm.standby.value);
    assert_eq!(buffer["spec"]["scalableRef"]["name"], "llama");
    assert!(buffer["spec"].get("podTemplateRef").is_none(), "one of the two");
    let mut replayed = growing();
    let mut more = replayed.capacity.warm.standby.clone();
    more.value += 2;
    replayed.capacity.replayed_standby = Some(more.clone());
    let buffer: Value = serde_json::from_str(&text("capacity-buffer", &replayed)).unwrap();
    assert_eq!(buffer["spec"]["replicas"], more.value, "what the replay says is kept");
    let keda: Value = serde_json::from_str(&text("keda", &replayed)).unwrap();
    assert_eq!(keda["spec"]["fallback"]["replicas"], replayed.capacity.warm.replicas_now.value + more.value);
    let flat = self::plan(&Traffic::Steady(Steady { rate_per_s: 1.0, size: SIZE }));
    let refused = export_target("capacity-buffer").unwrap().of_plan("p", &flat, &settings()).unwrap_err();
    assert!(refused.to_string().contains("no standby"), "{refused}");
}

#[test]
fn arrivals_are_counted_and_encoders_name_their_counter() {
    let plan = growing();
    let query = |text: &str| {
        let keda: Value = serde_json::from_str(text).unwrap();
        keda["spec"]["triggers"][0]["metadata"]["query"].as_str().unwrap().to_owned()
    };
    let vllm = query(&text("keda", &plan));
    assert!(vllm.contains("num_requests_running") && vllm.contains("num_requests_waiting"), "{vllm}");
    let named = ExportSettings { request_metric: Some("gateway_requests_total".to_owned()), ..settings() };
    let mut encoder = plan.clone();
    encoder.service.model = ServiceModel::SingleForward(SingleForward::by_hand(1e6, 1e5, 8));
    for target in ["hpa", "keda"] {
        let target = export_target(target).unwrap();
        let refused = target.of_plan("p", &encoder, &settings()).unwrap_err().to_string();
        assert!(refused.contains("--request-metric"), "{refused}");
        for plan in [&plan, &encoder] {
            let Exported::File(text) = target.of_plan("p", plan, &named).unwrap() else { panic!("one file") };
            assert!(text.contains("sum(rate(gateway_requests_total[30s]))"), "{text}");
        }
        let Exported::File(text) = target.of_plan("p", &encoder, &named).unwrap() else { panic!("one file") };
        assert!(!text.contains("vllm:"), "{text}");
    }
}

#[test]
fn plans_and_profiles_are_told_apart_and_names_are_needed() {
    let (plan, profile) = (growing(), scripted::complete());
    for target in EXPORT_TARGETS {
        if target.takes_plan() {
            let profile = target.of_profiles(&[("p", &profile)], &settings()).unwrap_err().to_string();
            assert!(profile.contains("coldstart plan"), "{profile}");
            let nameless = target.of_plan("p", &plan, &ExportSettings::default()).unwrap_err().to_string();
            assert!(nameless.contains("--workload"), "{nameless}");
        } else {
            let plan = target.of_plan("p", &plan, &settings()).unwrap_err().to_string();
            assert!(plan.contains("coldstart run"), "{plan}");
        }
    }
}

#[test]
fn thresholds_are_plain_numbers() {
    for (value, text) in
        [(1.0, "1"), (0.25, "0.25"), (12.345678, "12.35"), (0.000123443, "0.0001234"), (123456.7, "123457")]
    {
        assert_eq!(super::metrics::number(value), text);
    }
}
