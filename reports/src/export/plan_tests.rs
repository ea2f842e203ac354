//! Exports of a plan against golden files and the rules of their consumers.

use coldstart_decisions::autoscaler::{Advice, Signal, Usability};
use coldstart_decisions::measured::ByHand;
use coldstart_decisions::plan::{
    Course, Courses, PlacesRequest, PlanRequest, ServingPlan, TrafficSource, make_plan,
};
use coldstart_decisions::service::{RequestSize, ServiceModel, SingleForward, Sla, SlaPart};
use coldstart_decisions::simulate::Dispatch;
use coldstart_decisions::traffic::{Ramp, Steady, Traffic};
use coldstart_decisions::{Basis, ClusterFacts, Figure, Prices};
use coldstart_profiles::Nanos;
use serde_json::Value;

use super::tests::assert_golden;
use super::{EXPORT_TARGETS, ExportSettings, Exported, Workload, export_target};
use crate::tests::scripted;

pub(super) fn request() -> PlanRequest {
    PlanRequest {
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
        left_out: Vec::new(),
        simulate: false,
        seed: 1,
    }
}

fn plan(traffic: &Traffic) -> ServingPlan {
    make_plan(&[("a/p.json", &scripted::swept())], traffic, request(), "0.1.0").unwrap()
}

const SIZE: RequestSize = RequestSize { tokens_in: 128, tokens_out: 16 };

pub(super) fn ramp() -> Traffic {
    Traffic::Ramp(Ramp { base_per_s: 1.0, peak_per_s: 6.0, growth_per_s_per_s: 0.01, size: SIZE })
}

fn growing() -> ServingPlan {
    plan(&ramp())
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
    text_with(target, plan, &settings())
}

fn text_with(target: &str, plan: &ServingPlan, settings: &ExportSettings) -> String {
    match export_target(target).unwrap().of_plan("x/plan.json", plan, settings).unwrap() {
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
    let rate = ExportSettings { signal: Some(Signal::RequestRate), ..settings() };
    assert_golden("export-keda-rate.json", &text_with("keda", &plan, &rate));
    assert_golden("export-hpa-rate.json", &text_with("hpa", &plan, &rate));
}

/// No query has a label of a pod or an object, so that an adapter can serve none of them as a metric of one.
#[test]
fn what_a_query_computes_of_the_whole_workload_is_an_external_metric() {
    let mut plan = growing();
    for target in &mut plan.autoscaler.targets {
        target.usability = Usability::Usable;
    }
    for request_metric in [None, Some("gateway_requests_total".to_owned())] {
        for target in plan.autoscaler.targets.iter().filter(|target| target.value.is_some()) {
            let signal = target.signal;
            let settings =
                ExportSettings { signal: Some(signal), request_metric: request_metric.clone(), ..settings() };
            let hpa: Value = serde_json::from_str(&text_with("hpa", &plan, &settings)).unwrap();
            let metrics = hpa["spec"]["metrics"].as_array().unwrap();
            assert_eq!((metrics.len(), &metrics[0]["type"]), (1, &Value::from("External")), "{signal}");
            let external = &metrics[0]["external"];
            assert_eq!(external["target"]["type"], target.metric_type.name(), "{signal}");
            assert!(external["metric"]["name"].is_string(), "{signal}: {external}");
            let annotations = &hpa["metadata"]["annotations"];
            let query = annotations["coldstart-rs.github.io/query"].as_str().unwrap();
            assert!(!query.contains("by (pod"), "{signal}: {query}");
            let metrics = annotations["coldstart-rs.github.io/metrics"].as_str().unwrap();
            assert!(metrics.contains("external.metrics.k8s.io"), "{metrics}");
        }
    }
}

#[test]
fn limits_and_behaviour_are_those_of_the_plan() {
    let plan = growing();
    let wanted = plan.wanted.as_ref().unwrap();
    let hpa: Value = serde_json::from_str(&text("hpa", &plan)).unwrap();
    let keda: Value = serde_json::from_str(&text("keda", &plan)).unwrap();
    assert_eq!(keda["spec"]["maxReplicaCount"], wanted.max_replicas.value);
    assert_eq!(keda["spec"]["minReplicaCount"], wanted.min_replicas.value);
    assert_eq!(hpa["spec"]["minReplicas"], wanted.min_replicas.value);
    let warm = &plan.capacity.warm;
    let kept = warm.replicas_now.value + warm.standby.value;
    assert_eq!(keda["spec"]["fallback"]["replicas"], kept.max(wanted.min_replicas.value));
    let behavior_of_keda =
        |keda: &Value| keda["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"].clone();
    assert_eq!(hpa["spec"]["behavior"], behavior_of_keda(&keda));
    let metric = &hpa["spec"]["metrics"][0]["external"];
    assert_eq!(metric["target"]["averageValue"], "1000m", "{metric}");
    assert!(hpa["spec"]["metrics"].as_array().unwrap().len() == 1);
    for signal in Signal::ALL {
        let settings = ExportSettings { signal: Some(signal), ..settings() };
        let target = export_target("keda").unwrap();
        let known = plan.autoscaler.targets.iter().find(|target| target.signal == signal).unwrap();
        if let Usability::Unusable { why } = &known.usability {
            let refused = target.of_plan("p", &plan, &settings).unwrap_err().to_string();
            assert!(refused.contains(why) && refused.contains(signal.flag()), "{refused}");
            continue;
        }
        let keda: Value = serde_json::from_str(&text_with("keda", &plan, &settings)).unwrap();
        let behavior = behavior_of_keda(&keda);
        for rules in [&behavior["scaleUp"], &behavior["scaleDown"]] {
            assert!(rules["stabilizationWindowSeconds"].as_u64().unwrap() <= 3600);
            assert!((1..=1800).contains(&rules["policies"][0]["periodSeconds"].as_u64().unwrap()));
        }
        // What is still booting must not be ordered again, unless the metric itself is a number of replicas.
        let period = behavior["scaleUp"]["policies"][0]["periodSeconds"].as_u64().unwrap();
        assert!(signal == Signal::Plan || period >= 60, "{period}");
        let trigger = &keda["spec"]["triggers"][0];
        let metadata = &trigger["metadata"];
        assert!(metadata["threshold"].as_str().unwrap().parse::<f64>().unwrap() > 0.0);
        assert!(metadata["query"].as_str().unwrap().contains("{namespace=\"serving\"}"), "{metadata}");
        assert_eq!(metadata["ignoreNullValues"], "false", "a lost series is no traffic of zero");
        // A sum is compared with what one replica may have; a percentile with itself.
        let sums = !metadata["query"].as_str().unwrap().starts_with("histogram_quantile(");
        assert_eq!(trigger["metricType"] == "AverageValue", sums, "{trigger}");
    }
    let annotations = hpa["metadata"]["annotations"].as_object().unwrap();
    for part in ["plan", "profile", "tool", "traffic", "signal", "target", "min-replicas", "standby", "query"]
    {
        assert!(
            annotations.contains_key(&format!("coldstart-rs.github.io/{part}")),
            "{part}: {annotations:?}"
        );
    }
}

/// A signal without a target is refused with the reason, and without a remedy that would not help.
#[test]
fn memory_of_the_host_device_is_refused_with_its_reason() {
    let mut plan = growing();
    let settings = ExportSettings { signal: Some(Signal::MemoryPressure), ..settings() };
    for target in ["hpa", "keda"].map(|name| export_target(name).unwrap()) {
        let why = target.of_plan("p", &plan, &settings).unwrap_err().to_string();
        assert!(
            why.contains("--signal memory can't be scaled on") && why.contains("no device memory"),
            "{why}"
        );
        assert!(!why.contains("--simulate") && !why.contains("replayed"), "{why}");
    }
    assert!(crate::serving_plan_markdown(&plan).contains("memory_pressure"), "the table says so as well");
    // Plans of before had no such target.
    plan.autoscaler.targets.retain(|target| target.signal != Signal::MemoryPressure);
    let why = export_target("hpa").unwrap().of_plan("p", &plan, &settings).unwrap_err().to_string();
    assert!(why.contains("plan again"), "{why}");
}

/// The query computes the very line that was replayed.
#[test]
fn the_query_is_the_line_of_the_plan() {
    let plan = growing();
    let wanted = plan.wanted.as_ref().unwrap();
    let settings = ExportSettings { request_metric: Some("gateway_requests_total".to_owned()), ..settings() };
    let keda: Value = serde_json::from_str(&text_with("keda", &plan, &settings)).unwrap();
    let query = keda["spec"]["triggers"][0]["metadata"]["query"].as_str().unwrap();
    let (line, rate) = query.split_once(" * (").unwrap();
    assert_eq!(rate, "sum(rate(gateway_requests_total[60s])))");
    let numbers: Vec<f64> = line.split(" + ").map(|number| number.parse().unwrap()).collect();
    assert_eq!(numbers, [f64::from(wanted.standby.value), wanted.base.value, wanted.per_request_per_s.value]);
    assert_eq!(numbers[0] + numbers[1], wanted.without_traffic());
}

/// KEDA goes to zero only where the plan says that it pays, and where a gateway still counts requests without a replica.
#[test]
fn zero_is_an_idle_number_below_the_least() {
    let mut plan = growing();
    let settings = ExportSettings { request_metric: Some("gateway_requests_total".to_owned()), ..settings() };
    let spec = |plan: &ServingPlan, settings: &ExportSettings| {
        let keda: Value = serde_json::from_str(&text_with("keda", plan, settings)).unwrap();
        (
            keda["spec"].clone(),
            keda["metadata"]["annotations"]["coldstart-rs.github.io/idle-replicas"].clone(),
        )
    };
    let (kept, why) = spec(&plan, &settings);
    assert!(kept.get("idleReplicaCount").is_none() && why.as_str().unwrap().starts_with("none: "), "{why}");
    plan.keep_alive.advice = Advice::ScaleToZero;
    // Of numbers nothing is replayed, and the advice stands alone; a replay knows more.
    plan.courses = Some(Courses { exactly: None, carried_out: Vec::new(), cheapest: None });
    let (unseen, why) = spec(&plan, &settings);
    assert!(unseen.get("idleReplicaCount").is_none(), "no way to zero was replayed");
    assert!(why.as_str().unwrap().contains("replayed for --signal plan"), "{why}");
    let basis = || Basis::of("given");
    plan.courses.as_mut().unwrap().carried_out.push(Course {
        name: "plan, to zero".to_owned(),
        export: Some(Signal::Plan),
        fewest: None,
        to_zero: true,
        min_replicas: Figure::new(0, basis()),
        meets: false,
        attainment: Figure::new(0.98, basis()),
        replica_hours: Figure::new(1.5, basis()),
        cost: None,
        floor_carries: false,
    });
    let (missed, why) = spec(&plan, &settings);
    assert!(
        missed.get("idleReplicaCount").is_none() && why.as_str().unwrap().contains("misses the SLA"),
        "{why}"
    );
    plan.courses.as_mut().unwrap().carried_out.last_mut().unwrap().meets = true;
    let (zero, why) = spec(&plan, &settings);
    assert_eq!(zero["idleReplicaCount"], 0, "{why}");
    assert!(zero["minReplicaCount"].as_u64().unwrap() >= 1, "less than the least number, as KEDA wants it");
    let active = zero["triggers"][0]["metadata"]["activationThreshold"].as_str().unwrap();
    assert_eq!(active.parse::<f64>().unwrap(), plan.wanted.as_ref().unwrap().without_traffic());
    assert_eq!(zero["cooldownPeriod"], plan.keep_alive.cooldown_s.value);
    let rate = ExportSettings { signal: Some(Signal::RequestRate), ..settings.clone() };
    assert!(
        spec(&plan, &rate).0.get("idleReplicaCount").is_none(),
        "only the plan's own way to zero was replayed"
    );
    let (blind, why) = spec(&plan, &ExportSettings { request_metric: None, ..settings });
    assert!(
        blind.get("idleReplicaCount").is_none() && why.as_str().unwrap().contains("--request-metric"),
        "{why}"
    );
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
    // Of those that there may be no more stay where metrics are gone, and the sentence keeps no more.
    let most = replayed.capacity.warm.replicas_now.value + 1;
    replayed.request.cluster.max_replicas = Some(most);
    let keda: Value = serde_json::from_str(&text("keda", &replayed)).unwrap();
    assert_eq!(keda["spec"]["fallback"]["replicas"], most);
    let printed = crate::serving_plan_markdown(&replayed);
    assert!(printed.contains(&format!("keep {most} warm, all that there may be, ")), "{printed}");
    let flat = self::plan(&Traffic::Steady(Steady { rate_per_s: 1.0, size: SIZE }));
    let refused = export_target("capacity-buffer").unwrap().of_plan("p", &flat, &settings()).unwrap_err();
    assert!(refused.to_string().contains("no standby"), "{refused}");
}

/// A target of the first token is compared with times to the first token.
#[test]
fn the_tail_is_that_of_the_bound() {
    let mut plan = growing();
    let settings = ExportSettings { signal: Some(Signal::TailLatency), ..settings() };
    let target =
        plan.autoscaler.targets.iter_mut().find(|target| target.signal == Signal::TailLatency).unwrap();
    target.usability = Usability::Usable;
    for (part, metric) in [
        (SlaPart::EndToEnd, "vllm:e2e_request_latency_seconds_bucket"),
        (SlaPart::Ttft, "vllm:time_to_first_token_seconds_bucket"),
    ] {
        let target = plan.autoscaler.targets.iter_mut().find(|target| target.signal == Signal::TailLatency);
        target.unwrap().part = Some(part);
        let text = text_with("keda", &plan, &settings);
        assert!(text.contains(metric), "{text}");
        // Fallbacks of metrics that are no sums are younger than the others.
        let requires = "\"coldstart-rs.github.io/requires\": \"KEDA 2.18 or newer";
        assert!(text.contains("\"metricType\": \"Value\"") && text.contains(requires), "{text}");
        assert!(!self::text("keda", &plan).contains("2.18"), "a sum has always had one");
    }
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
            assert!(text.contains("sum(rate(gateway_requests_total[60s]))"), "{text}");
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
