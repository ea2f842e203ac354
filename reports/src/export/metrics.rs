//! What an autoscaler watches, in the names of a server that speaks the OpenAI API as vLLM does.

use coldstart_decisions::autoscaler::{MetricType, Signal, Target, Usability};
use coldstart_decisions::plan::{Course, ServingPlan};
use coldstart_decisions::service::{ServiceModel, SlaPart};
use coldstart_decisions::{Basis, Figure, Quantity};
use coldstart_profiles::{Nanos, Work};

use super::kubernetes::{Annotations, explained};
use super::{ExportError, ExportSettings};

/// What an autoscaler watches, within which bounds.
pub(super) struct Watched {
    pub(super) signal: Signal,
    pub(super) metric_type: MetricType,
    /// In the metric's own unit: requests, requests per second, seconds, a share, replicas.
    pub(super) threshold: f64,
    pub(super) min: Figure<u32>,
    pub(super) max: Figure<u32>,
    pub(super) query: String,
}

/// The signal that was asked for; else the cheapest that the plan's replays found to meet the SLA, else the replicas that it wants. Or
/// the refusal that says why there is none. An encoder is no language model behind vLLM: of its signals only those that rest on
/// arrivals, which the settings name a counter of, can be watched.
pub(super) fn watched(
    target: &'static str,
    name: &str,
    plan: &ServingPlan,
    settings: &ExportSettings,
) -> Result<(Watched, Annotations), ExportError> {
    let refused = |why: String| ExportError::Refused { target, profile: super::error::cut(name), why };
    let signal = settings.signal.unwrap_or_else(|| best(plan));
    let flag = signal.flag();
    can_be_counted(target, name, plan, signal, settings)?;
    let found = plan.autoscaler.targets.iter().find(|known| known.signal == signal);
    let found = found.ok_or_else(|| {
        refused(format!("the plan has no target for --signal {flag}: plan again with this coldstart"))
    })?;
    let course = plan.courses.as_ref().and_then(|courses| courses.of_export(signal));
    // A replay says more than a formula: with some replicas at least a threshold may do after all.
    let saved = course.is_some_and(|course| course.meets && !course.floor_carries);
    if let Usability::Unusable { why } = &found.usability
        && !saved
    {
        return Err(refused(format!(
            "--signal {flag} can't be scaled on: {why}{}",
            // Without a target there is nothing to replay.
            found.value.as_ref().map_or("", |_| replay_remedy(plan, course))
        )));
    }
    let (threshold, basis) = threshold(found)
        .ok_or_else(|| refused(format!("no target for --signal {flag} follows from the plan")))?;
    let (min, max) = bounds(signal, plan, course).ok_or_else(|| {
        refused("the plan has no line that a query could compute: take --signal rate".to_owned())
    })?;
    let query = query(found, plan, settings);
    let mut annotations = origin(name, plan)
        .with("signal", signal.flag())
        .with("target", &explained(number(threshold), basis))
        .with("query", &counted(signal, &query, settings))
        .with("min-replicas", &explained(min.value, &min.basis))
        .with("max-replicas", &explained(max.value, &max.basis));
    if signal == Signal::Plan {
        annotations = with_line(annotations, plan);
    }
    if let Some(text) = replayed(plan, course) {
        annotations = annotations.with("replayed", &text);
    }
    Ok((Watched { signal, metric_type: found.metric_type, threshold, min, max, query }, annotations))
}

/// The signal to take where none is asked for: the cheapest that scales by its threshold, else the plan, whose floor may carry all.
fn best(plan: &ServingPlan) -> Signal {
    let cheapest = plan.courses.as_ref().and_then(|courses| courses.cheapest_export()?.export);
    cheapest.unwrap_or(match plan.wanted {
        Some(_) => Signal::Plan,
        None => Signal::RequestRate,
    })
}

/// That somebody counts what the signal rests on: of an encoder only arrivals are, and those by a counter that is named.
fn can_be_counted(
    target: &'static str,
    name: &str,
    plan: &ServingPlan,
    signal: Signal,
    settings: &ExportSettings,
) -> Result<(), ExportError> {
    if !matches!(plan.service.model, ServiceModel::SingleForward(_)) {
        return Ok(());
    }
    if !by_arrivals(signal) {
        let why = format!(
            "no metric of an encoder's server is known for --signal {}: take plan or rate, with --request-metric",
            signal.flag()
        );
        return Err(ExportError::Refused { target, profile: super::error::cut(name), why });
    }
    match settings.request_metric {
        Some(_) => Ok(()),
        None => {
            let flag = "--request-metric METRIC (its server is not vLLM)";
            Err(ExportError::NeedsFlag { target, flag })
        }
    }
}

/// The line that the query of `--signal plan` computes.
fn with_line(annotations: Annotations, plan: &ServingPlan) -> Annotations {
    let Some(wanted) = &plan.wanted else { return annotations };
    let slope = &wanted.per_request_per_s;
    annotations
        .with("standby", &explained(wanted.standby.value, &wanted.standby.basis))
        .with("base", &explained(wanted.base.value, &wanted.base.basis))
        .with("per-request-per-second", &explained(slope.value, &slope.basis))
}

/// How a replay could find a least number of replicas with which an unusable signal does after all.
fn replay_remedy(plan: &ServingPlan, course: Option<&Course>) -> &'static str {
    match (&plan.courses, course) {
        (_, Some(_)) => "",
        (Some(_), None) => "; with some replicas at least it may do: `coldstart plan --simulate` replays it",
        (None, None) => {
            "; nothing was replayed that would say with how many replicas at least it does: the plan's caveats say why"
        }
    }
}

/// Whether a signal comes from the counter of arrivals, which the gateway has even while no replica is there.
pub(super) const fn by_arrivals(signal: Signal) -> bool {
    matches!(signal, Signal::Plan | Signal::RequestRate)
}

/// The fewest and the most replicas: those of the line, those that the replay found, or those of the formula.
fn bounds(signal: Signal, plan: &ServingPlan, course: Option<&Course>) -> Option<(Figure<u32>, Figure<u32>)> {
    if signal == Signal::Plan {
        let wanted = plan.wanted.as_ref()?;
        return Some((wanted.min_replicas.clone(), wanted.max_replicas.clone()));
    }
    let autoscaler = &plan.autoscaler;
    let min = course.map_or(&autoscaler.min_replicas, |course| &course.min_replicas).clone();
    let mut max = autoscaler.max_replicas.clone();
    max.value = max.value.max(min.value).max(1);
    Some((min, max))
}

/// What the settings did with the plan's own traffic, and what the plan would have taken.
pub(super) fn replayed(plan: &ServingPlan, course: Option<&Course>) -> Option<String> {
    let course = course?;
    let of = |course: &Course| {
        format!(
            "{:.2} % within the SLA, {} replica-hours",
            course.attainment.value * 100.0,
            number(course.replica_hours.value)
        )
    };
    let exactly = plan.courses.as_ref().and_then(|courses| courses.exactly.as_ref());
    let exactly =
        exactly.map_or_else(String::new, |course| format!("; the plan carried out exactly: {}", of(course)));
    Some(format!("on the plan's traffic {}{exactly}", of(course)))
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
        Signal::Plan => "replicas_wanted",
        Signal::RequestRate => "requests_per_second",
        Signal::QueueDepth => "requests_waiting",
        Signal::Concurrency => "requests_in_flight",
        Signal::TailLatency => "request_latency_p99_seconds",
        Signal::MemoryPressure => "kv_cache_usage",
    }
}

/// A query of Prometheus: sums of what adds up, the value itself of what does not. Of requests it is those that arrive.
fn query(target: &Target, plan: &ServingPlan, settings: &ExportSettings) -> String {
    let of = |metric: &str| match settings.metric_selector.as_str() {
        "" => metric.to_owned(),
        selector => format!("{metric}{{{selector}}}"),
    };
    let window = window(plan.request.cluster.query_window_ns);
    let arrivals = || match &settings.request_metric {
        Some(metric) => format!("sum(rate({metric}[{window}]))"),
        None => arrivals_of_vllm(of, &window),
    };
    match target.signal {
        Signal::Plan => plan.wanted.as_ref().map_or_else(String::new, |wanted| {
            // The digits of the replay, in the order of its sums.
            let (standby, base, slope) =
                (wanted.standby.value, wanted.base.value, wanted.per_request_per_s.value);
            format!("{standby} + {base} + {slope} * ({})", arrivals())
        }),
        Signal::RequestRate => arrivals(),
        Signal::QueueDepth => format!("sum({})", of("vllm:num_requests_waiting")),
        Signal::Concurrency => {
            format!("sum({}) + sum({})", of("vllm:num_requests_running"), of("vllm:num_requests_waiting"))
        }
        Signal::TailLatency => format!(
            "histogram_quantile({}, sum by (le) (rate({}[{window}])))",
            f64::from(plan.request.sla.permille) / 1000.0,
            of(match target.part {
                Some(SlaPart::Ttft) => "vllm:time_to_first_token_seconds_bucket",
                _ => "vllm:e2e_request_latency_seconds_bucket",
            }),
        ),
        Signal::MemoryPressure => format!("avg({})", of("vllm:kv_cache_usage_perc")),
    }
}

/// vLLM counts requests when they end: those that came since, and run or wait, are the growth of the two gauges. (Else an overloaded
/// replica would look as if no more came than it can do.)
fn arrivals_of_vllm(of: impl Fn(&str) -> String, window: &str) -> String {
    format!(
        "sum(rate({}[{window}])) + sum(deriv({}[{window}])) + sum(deriv({}[{window}]))",
        of("vllm:request_success_total"),
        of("vllm:num_requests_running"),
        of("vllm:num_requests_waiting"),
    )
}

/// What a query counts, and the query.
fn counted(signal: Signal, query: &str, settings: &ExportSettings) -> String {
    let arrivals = match settings.request_metric {
        Some(_) => "arrivals, by the counter of --request-metric",
        None => "arrivals of vLLM: what ended, and the growth of what runs and waits",
    };
    let what = match signal {
        Signal::Plan => "replicas: standby + base + replicas for each request per second × arrivals",
        Signal::RequestRate => arrivals,
        Signal::QueueDepth => "requests that wait",
        Signal::Concurrency => "requests that run or wait",
        Signal::TailLatency => "time of requests, or to their first token",
        Signal::MemoryPressure => "how full the caches are on average",
    };
    format!("{what}: {query}")
}

/// A range as PromQL takes it, of whole seconds or else milliseconds: what is queried is what was replayed.
fn window(time: Nanos) -> String {
    let millis = time.as_nanos().div_ceil(1_000_000).max(1);
    match millis % 1000 {
        0 => format!("{}s", millis / 1000),
        _ => format!("{millis}ms"),
    }
}

/// Where a plan's object comes from.
pub(super) fn origin(name: &str, plan: &ServingPlan) -> Annotations {
    let file = name.rsplit('/').next().unwrap_or(name);
    let profiles: Vec<&str> =
        plan.fleet.names().map(|name| name.rsplit('/').next().unwrap_or(name)).collect();
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
