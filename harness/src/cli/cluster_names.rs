//! Names and addresses of the cluster that an export is for.

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser};
use coldstart_decisions::autoscaler::Signal;
use coldstart_reports::{ExportSettings, LABEL_PREFIX, Workload};

/// Options of `coldstart export` for formats of a cluster.
#[derive(Debug, Args)]
#[command(next_help_heading = "For a cluster")]
pub struct ClusterNames {
    /// What runs the replicas: deployment/NAME or statefulset/NAME.
    #[arg(long, value_name = "KIND/NAME", value_parser = Workload::parse)]
    pub workload: Option<Workload>,
    /// Its namespace.
    #[arg(long, value_name = "NAME")]
    pub namespace: Option<String>,
    /// Its container that serves.
    #[arg(long, value_name = "NAME")]
    pub container: Option<String>,
    /// The port that it serves on.
    #[arg(long, value_name = "PORT", default_value_t = 8000, value_parser = clap::value_parser!(u16).range(1..))]
    pub port: u16,
    /// What its probes ask for.
    #[arg(long, value_name = "PATH", default_value = "/health")]
    pub health_path: String,
    /// Seconds between two probes.
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub probe_period: u32,
    /// The DNS name before the slash of labels; one of your own.
    #[arg(long, value_name = "DOMAIN", default_value = LABEL_PREFIX)]
    pub label_prefix: String,
    /// Let labels of nodes expire after so long.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    pub expires_in: Option<u32>,
    /// The name under which the model is served.
    #[arg(long, value_name = "NAME")]
    pub model_name: Option<String>,
    /// Where the model is stored, such as hf://organisation/model.
    #[arg(long, value_name = "URI")]
    pub model_uri: Option<String>,
    /// Groups of nodes that keep the model.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub node_groups: Vec<String>,
    /// Labels of the nodes that are meant.
    #[arg(long, value_name = "KEY=VALUE,…", value_delimiter = ',', value_parser = label)]
    pub node_selector: Vec<(String, String)>,
    /// Nodes at a time.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub parallelism: u32,
    /// Another version of the consumer's API than the newest that is known.
    #[arg(long, value_name = "GROUP/VERSION")]
    pub api_version: Option<String>,
    /// Where metrics are asked for.
    #[arg(long, value_name = "URL", default_value = "http://prometheus.monitoring.svc:9090")]
    pub prometheus: String,
    /// Labels of the workload's metrics, as PromQL: 'namespace="serving"'.
    #[arg(long, value_name = "MATCHERS", default_value = "")]
    pub metric_selector: String,
    /// A counter of arriving requests, such as a gateway's, with its labels: 'envoy_cluster_upstream_rq_total{cluster="llama"}'.
    /// Without, arrivals are reckoned from vLLM's metrics; an encoder needs it.
    #[arg(long, value_name = "METRIC", value_parser = metric)]
    pub request_metric: Option<String>,
    /// What an hpa or keda watches: without, the cheapest that the plan's replays found, else the replicas that the plan wants.
    #[arg(long, value_name = "NAME", value_parser = signals())]
    pub signal: Option<String>,
}

/// The names of all signals, each with its line of help.
fn signals() -> PossibleValuesParser {
    let about = |signal: Signal| match signal {
        Signal::Plan => {
            "replicas wanted: standby + base + replicas for each request per second, computed by the query"
        }
        Signal::RequestRate => "requests per second and replica",
        Signal::QueueDepth => "requests that wait",
        Signal::Concurrency => "requests that wait or run",
        Signal::TailLatency => "the tail of the latency",
        Signal::MemoryPressure => "the share of the KV cache in use",
    };
    Signal::ALL.into_iter().map(|signal| PossibleValue::new(signal.flag()).help(about(signal))).into()
}

impl ClusterNames {
    /// The same for the exports; the time at which labels expire counts from now.
    pub(super) fn settings(&self) -> ExportSettings {
        let expires_at = self.expires_in.map(|seconds| {
            let at = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(i64::from(seconds));
            at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
        });
        ExportSettings {
            workload: self.workload.clone(),
            namespace: self.namespace.clone(),
            container: self.container.clone(),
            port: self.port,
            health_path: self.health_path.clone(),
            probe_period_s: self.probe_period,
            label_prefix: self.label_prefix.clone(),
            expires_at,
            model_name: self.model_name.clone(),
            model_uri: self.model_uri.clone(),
            node_groups: self.node_groups.clone(),
            node_selector: self.node_selector.clone(),
            parallelism: self.parallelism,
            api_version: self.api_version.clone(),
            prometheus: self.prometheus.clone(),
            metric_selector: self.metric_selector.clone(),
            request_metric: self.request_metric.clone(),
            signal: Signal::ALL.into_iter().find(|signal| self.signal.as_deref() == Some(signal.flag())),
        }
    }
}

/// The name of a metric of Prometheus, and the labels of its series in braces.
fn metric(text: &str) -> Result<String, String> {
    let (name, labels) = text.split_at(text.find('{').unwrap_or(text.len()));
    let first = |c: char| c.is_ascii_alphabetic() || "_:".contains(c);
    let named = name.starts_with(first) && name.chars().all(|c| first(c) || c.is_ascii_digit());
    let closed = labels.is_empty() || (labels.ends_with('}') && !labels.contains(char::is_control));
    if named && closed {
        Ok(text.to_owned())
    } else {
        Err(format!("read `{text}`: give a counter's NAME or NAME{{LABEL=\"VALUE\"}}"))
    }
}

/// `KEY=VALUE`.
fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("read `{text}`: give KEY=VALUE")),
    }
}
