//! What an export is told beside its profile: names and addresses of the cluster that it is for.

use coldstart_decisions::autoscaler::Signal;

use super::ExportError;
use super::address::{are_matchers, is_metric, is_server, is_stored_at};
use super::kubernetes::{is_label_key, is_label_value, is_object_name, is_part_name};

/// Names and addresses of the cluster that an export is for. What is `None` and needed is refused by its flag's name.
#[derive(Debug, Clone, PartialEq)]
pub struct ExportSettings {
    /// `--workload`: what runs the replicas.
    pub workload: Option<Workload>,
    /// `--namespace`.
    pub namespace: Option<String>,
    /// `--container`: the container of the replica that serves.
    pub container: Option<String>,
    /// `--port`: where it serves.
    pub port: u16,
    /// `--health-path`: what its probes ask for.
    pub health_path: String,
    /// `--probe-period`: seconds between two probes; at least 1.
    pub probe_period_s: u32,
    /// `--label-prefix`: the DNS name before the slash of labels.
    pub label_prefix: String,
    /// When labels expire (RFC 3339), where they do.
    pub expires_at: Option<String>,
    /// `--model-name`: the name under which it is served.
    pub model_name: Option<String>,
    /// `--model-uri`: where it is stored.
    pub model_uri: Option<String>,
    /// `--node-groups`.
    pub node_groups: Vec<String>,
    /// `--node-selector`: labels of the nodes that are meant.
    pub node_selector: Vec<(String, String)>,
    /// `--parallelism`: nodes at a time.
    pub parallelism: u32,
    /// `--api-version`: another version of the consumer's API than the newest known.
    pub api_version: Option<String>,
    /// `--prometheus`: where metrics are asked for.
    pub prometheus: String,
    /// `--metric-selector`: labels of the metrics of this workload, as PromQL: `namespace="serving"`.
    pub metric_selector: String,
    /// `--request-metric`: a counter of arriving requests, such as a gateway's; `None` reckons them from vLLM's metrics.
    pub request_metric: Option<String>,
    /// `--signal`: what an autoscaler watches; `None`: the cheapest of the plan's replays, else the replicas that the plan wants.
    pub signal: Option<Signal>,
}

/// The prefix of labels and annotations: the pages of the project, which nobody else can name.
pub const LABEL_PREFIX: &str = "coldstart-rs.github.io";

impl Default for ExportSettings {
    fn default() -> Self {
        ExportSettings {
            workload: None,
            namespace: None,
            container: None,
            port: 8000,
            health_path: "/health".to_owned(),
            probe_period_s: 5,
            label_prefix: LABEL_PREFIX.to_owned(),
            expires_at: None,
            model_name: None,
            model_uri: None,
            node_groups: Vec::new(),
            node_selector: Vec::new(),
            parallelism: 1,
            api_version: None,
            prometheus: "http://prometheus.monitoring.svc:9090".to_owned(),
            metric_selector: String::new(),
            request_metric: None,
            signal: None,
        }
    }
}

/// An object that has replicas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    /// Such as `apps/v1`.
    pub api_version: String,
    /// Such as `Deployment`.
    pub kind: String,
    /// Its name.
    pub name: String,
}

impl Workload {
    /// Reads `NAME` (a Deployment), `deployment/NAME` or `statefulset/NAME`.
    ///
    /// # Errors
    /// When the kind is another one, or the name is none that an object can have; the error says what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (kind, name) = text.split_once('/').unwrap_or(("deployment", text));
        let kind = match kind.to_ascii_lowercase().as_str() {
            "deployment" | "deploy" | "deployments" => "Deployment",
            "statefulset" | "sts" | "statefulsets" => "StatefulSet",
            _ => return Err(format!("know the kind `{kind}`: give deployment/NAME or statefulset/NAME")),
        };
        if !is_object_name(name) {
            return Err(format!(
                "use the name `{name}`: a name has up to 253 of a-z, 0-9, - and ., and begins and ends with a letter or digit"
            ));
        }
        Ok(Workload { api_version: "apps/v1".to_owned(), kind: kind.to_owned(), name: name.to_owned() })
    }
}

/// What names of namespaces and containers look like.
const PART: &str = "up to 63 of a-z, 0-9 and -, with a letter or digit at both ends";
/// What the names and values of labels look like.
const LABEL: &str =
    "KEY=VALUE with up to 63 of A-Z, a-z, 0-9, -, _ and . each, with a letter or digit at both ends";

impl ExportSettings {
    /// That every name is one that a cluster takes, whether this target uses it or not.
    pub(super) fn check(&self, target: &'static str) -> Result<(), ExportError> {
        let bad = |flag, given: &str, what, rule| {
            Err(ExportError::BadName { target, flag, given: super::error::cut(given), what, rule })
        };
        if let Some(name) = self.namespace.as_deref().filter(|name| !is_part_name(name)) {
            return bad("--namespace", name, "name of a namespace", PART);
        }
        if let Some(name) = self.container.as_deref().filter(|name| !is_part_name(name)) {
            return bad("--container", name, "name of a container", PART);
        }
        if let Some((key, value)) =
            self.node_selector.iter().find(|(key, value)| !is_label_key(key) || !is_label_value(value))
        {
            return bad("--node-selector", &format!("{key}={value}"), "label", LABEL);
        }
        if !self.health_path.starts_with('/')
            || self.health_path.contains(|c: char| c.is_control() || c.is_whitespace())
        {
            return bad(
                "--health-path",
                &self.health_path,
                "path",
                "one that begins with / and holds no white space",
            );
        }
        let version = |text: &str| {
            text.split_once('/')
                .is_some_and(|(group, version)| is_object_name(group) && is_part_name(version))
        };
        if let Some(given) = self.api_version.as_deref().filter(|given| !version(given)) {
            return bad(
                "--api-version",
                given,
                "version of an API",
                "GROUP/VERSION, such as keda.sh/v1alpha1",
            );
        }
        self.check_addresses(target)
    }

    /// That addresses and selectors are some.
    fn check_addresses(&self, target: &'static str) -> Result<(), ExportError> {
        let bad = |flag, given: &str, what, rule| {
            Err(ExportError::BadName { target, flag, given: super::error::cut(given), what, rule })
        };
        if !are_matchers(&self.metric_selector) {
            let rule = "matchers of PromQL without the braces, their values in quotes, such as namespace=\"serving\"";
            return bad("--metric-selector", &self.metric_selector, "selector of metrics", rule);
        }
        if let Some(metric) = self.request_metric.as_deref().filter(|metric| !is_metric(metric)) {
            let rule = "a counter's name, with matchers in braces or without, such as requests_total{route=\"llama\"}";
            return bad("--request-metric", metric, "metric", rule);
        }
        if !is_server(&self.prometheus) {
            let rule = "what its server is asked at, such as http://prometheus.monitoring.svc:9090";
            return bad("--prometheus", &self.prometheus, "address", rule);
        }
        if let Some(uri) = self.model_uri.as_deref().filter(|uri| !is_stored_at(uri)) {
            let rule =
                "one with its scheme, such as hf://ORGANISATION/MODEL, s3://BUCKET/PATH or pvc://CLAIM/PATH";
            return bad("--model-uri", uri, "place of a model", rule);
        }
        Ok(())
    }

    /// The workload, or the refusal that names its flag.
    pub(super) fn needs_workload(&self, target: &'static str) -> Result<&Workload, ExportError> {
        self.workload.as_ref().ok_or(ExportError::NeedsFlag { target, flag: "--workload deployment/NAME" })
    }

    /// The container, or the refusal that names its flag.
    pub(super) fn needs_container(&self, target: &'static str) -> Result<&str, ExportError> {
        self.container.as_deref().ok_or(ExportError::NeedsFlag { target, flag: "--container NAME" })
    }
}
