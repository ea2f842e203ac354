//! What an autoscaler watches, in the names of a server that speaks the OpenAI API as vLLM does.

use coldstart_decisions::autoscaler::{MetricType, Signal, Target, Usability};
use coldstart_decisions::plan::ServingPlan;
use coldstart_decisions::service::ServiceModel;
use coldstart_decisions::{Basis, Figure, Quantity};
use coldstart_profiles::{Nanos, Work};

use super::kubernetes::{Annotations, explained};
use super::{ExportError, ExportSettings};

/// A target that can be scaled on.
pub(super) struct Watched {
    pub(super) signal: Signal,
    pub(super) metric_type: MetricType,
    /// In the metric's own unit: requests, requests per second, seconds, a share.
    pub(super) threshold: f64,
}

/// The usable targets of a plan, or the refusal that says why there is none; with annotations for those that were left out. An
/// encoder is no language model behind vLLM: of its signals only arrivals that the settings name a counter of can be watched.
pub(super) fn watched(
    target: &'static str,
    name: &str,
    plan: &ServingPlan,
    settings: &ExportSettings,
) -> Result<(Vec<Watched>, Annotations), ExportError> {
    let encoder = matches!(plan.service.model, ServiceModel::SingleForward(_));
    if encoder && settings.request_metric.is_none() {
        return Err(ExportError::NeedsFlag {
            target,
            flag: "--request-metric METRIC (its server is not vLLM)",
        });
    }
    let mut annotations = origin(name, plan);
    let mut found = Vec::new();
    for of in &plan.autoscaler.targets {
        let label = of.signal.name().replace('_', "-");
        match (&of.usability, threshold(of)) {
            (Usability::Usable, Some(_)) if encoder && of.signal != Signal::RequestRate => {
                annotations = annotations.with(&label, "left out: no metric of this server is known");
            }
            (Usability::Usable, Some((threshold, basis))) => {
                annotations = annotations.with(&label, &explained(number(threshold), basis));
                annotations =
                    annotations.with(&format!("{label}-query"), &counted(of.signal, plan, settings));
                found.push(Watched { signal: of.signal, metric_type: of.metric_type, threshold });
            }
            (Usability::Usable, None) => {
                annotations = annotations.with(&label, "left out: no target follows from the plan");
            }
            (Usability::Doubtful { why } | Usability::Unusable { why }, _) => {
                annotations = annotations.with(&label, &format!("left out: {why}"));
            }
        }
    }
    if found.is_empty() {
        let why =
            "no signal of the plan can be scaled on: keep the warm replicas of the plan instead".to_owned();
        return Err(ExportError::Refused { target, profile: super::error::cut(name), why });
    }
    Ok((found, annotations))
}

fn threshold(target: &Target) -> Option<(f64, &Basis)> {
    let figure = target.value.as_ref()?;
    let value = match figure.value {
        Quantity::PerSecond(value) | Quantity::Number(value) | Quantity::Share(value) => value,
        Quantity::Nanos(time) => time.as_secs_f64(),
        Quantity::Count(n) => n as f64,
        Quantity::Bytes(_) | Quantity::BytesPerSecond(_) | Quantity::Text(_) => return None,
    };
    (value.is_finite() && value > 0.0).then_some((value, &figure.basis))
}

/// Four significant digits without an exponent: enough for any threshold, and what every reader parses.
pub(super) fn number(value: f64) -> String {
    let digits = (3 - value.abs().max(1e-9).log10().floor() as i32).clamp(0, 9) as usize;
    let text = format!("{value:.digits$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// The name of the metric, as an adapter serves it to a horizontal pod autoscaler.
pub(super) const fn adapter_name(signal: Signal) -> &'static str {
    match signal {
        Signal::RequestRate => "requests_per_second",
        Signal::QueueDepth => "requests_waiting",
        Signal::TailLatency => "request_latency_p99_seconds",
        Signal::MemoryPressure => "kv_cache_usage",
    }
}

/// A query of Prometheus: sums of what adds up, the value itself of what does not. Of requests it is those that arrive.
pub(super) fn query(signal: Signal, plan: &ServingPlan, settings: &ExportSettings) -> String {
    let of = |metric: &str| match settings.metric_selector.as_str() {
        "" => metric.to_owned(),
        selector => format!("{metric}{{{selector}}}"),
    };
    let window = window(plan.request.cluster.query_window_ns);
    match (signal, &settings.request_metric) {
        (Signal::RequestRate, Some(metric)) => format!("sum(rate({metric}[{window}]))"),
        (signal, _) => of_vllm(signal, plan, of, &window),
    }
}

/// Queries of vLLM's own metrics. It counts requests when they end: those that came since, and run or wait, are the growth of the
/// two gauges. (Else an overloaded replica would look as if no more came than it can do.)
fn of_vllm(signal: Signal, plan: &ServingPlan, of: impl Fn(&str) -> String, window: &str) -> String {
    match signal {
        Signal::RequestRate => format!(
            "sum(rate({}[{window}])) + sum(deriv({}[{window}])) + sum(deriv({}[{window}]))",
            of("vllm:request_success_total"),
            of("vllm:num_requests_running"),
            of("vllm:num_requests_waiting"),
        ),
        Signal::QueueDepth => format!("sum({})", of("vllm:num_requests_waiting")),
        Signal::TailLatency => format!(
            "histogram_quantile({}, sum by (le) (rate({}[{window}])))",
            f64::from(plan.request.sla.permille) / 1000.0,
            of("vllm:e2e_request_latency_seconds_bucket"),
        ),
        Signal::MemoryPressure => format!("max({})", of("vllm:kv_cache_usage_perc")),
    }
}

/// What a query counts, and the query.
fn counted(signal: Signal, plan: &ServingPlan, settings: &ExportSettings) -> String {
    let what = match (signal, &settings.request_metric) {
        (Signal::RequestRate, Some(_)) => "arrivals, by the counter of --request-metric",
        (Signal::RequestRate, None) => "arrivals of vLLM: what ended, and the growth of what runs and waits",
        (Signal::QueueDepth, _) => "requests that wait",
        (Signal::TailLatency, _) => "time of requests that ended",
        (Signal::MemoryPressure, _) => "the fullest cache",
    };
    format!("{what}: {}", query(signal, plan, settings))
}

/// The standby that the plan keeps: what the replay of its trace needs, where there was one; else that of the formula.
pub(super) fn kept_standby(plan: &ServingPlan) -> &Figure<u32> {
    plan.capacity.replayed_standby.as_ref().unwrap_or(&plan.capacity.warm.standby)
}

fn window(time: Nanos) -> String {
    format!("{}s", time.as_nanos().div_ceil(1_000_000_000).max(1))
}

/// Where a plan's object comes from.
pub(super) fn origin(name: &str, plan: &ServingPlan) -> Annotations {
    let file = name.rsplit('/').next().unwrap_or(name);
    let profiles: Vec<&str> = plan
        .fleet
        .classes
        .iter()
        .flat_map(|class| &class.profiles)
        .map(|profile| profile.name.rsplit('/').next().unwrap_or(&profile.name))
        .collect();
    let rate = |per_s: f64| Work::Items(0).display_rate(per_s).replace("items", "requests");
    let warm = &plan.capacity.warm;
    Annotations::default()
        .with("plan", &format!("{file}: {} on {}", plan.fleet.model.source, plan.node_class))
        .with("profile", &profiles.join(", "))
        .with("tool", &format!("coldstart {}", plan.tool_version))
        .with(
            "traffic",
            &format!("{} now, {} at its peak", rate(warm.now_per_s.value), rate(warm.peak_per_s.value)),
        )
}
