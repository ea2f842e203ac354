//! Metric families in the order in which they were first named, and their text.

use std::collections::BTreeSet;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use super::super::error::cut;

/// The labels of one sample. Names are made legal and unique; values are harmless on a terminal, and short.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Labels(Vec<(String, String)>);

impl Labels {
    /// These labels and one more. Names come from profiles: what is not of `[a-zA-Z0-9_]` becomes `_`, and a name that is there
    /// already, or that Prometheus reserves, gets another `_` behind it.
    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        let legal = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
        let mut legal: String = name.chars().take(LONGEST_NAME).map(legal).collect();
        if legal.starts_with("__") || legal.chars().next().is_none_or(|first| first.is_ascii_digit()) {
            legal.insert_str(0, "param_");
        }
        while self.0.iter().any(|(known, _)| *known == legal) {
            legal.push('_');
        }
        self.0.push((legal, cut(value)));
        self
    }
}

/// Longer names of labels are cut.
const LONGEST_NAME: usize = 100;

/// Samples of one name.
#[derive(Debug)]
struct Family {
    name: &'static str,
    unit: &'static str,
    help: &'static str,
    samples: Vec<(Labels, f64)>,
}

/// All metrics of an export, under names that begin with `coldstart_`.
#[derive(Debug, Default)]
pub(super) struct Exposition(Vec<Family>);

impl Exposition {
    /// Adds one sample; `unit` ends the name and may be empty. What is not a finite number is left out.
    pub(super) fn push(
        &mut self,
        name: &'static str,
        unit: &'static str,
        help: &'static str,
        labels: Labels,
        value: f64,
    ) {
        if !value.is_finite() {
            return;
        }
        let known = self.0.iter().position(|family| (family.name, family.unit) == (name, unit));
        let at = known.unwrap_or_else(|| {
            self.0.push(Family { name, unit, help, samples: Vec::new() });
            self.0.len() - 1
        });
        self.0[at].samples.push((labels, value));
    }

    /// The same for what may be said more than once.
    pub(super) fn push_once(
        &mut self,
        name: &'static str,
        unit: &'static str,
        help: &'static str,
        labels: Labels,
        value: f64,
    ) {
        let family = self.0.iter().find(|family| (family.name, family.unit) == (name, unit));
        if !family.is_some_and(|family| family.samples.iter().any(|(known, _)| *known == labels)) {
            self.push(name, unit, help, labels, value);
        }
    }

    /// A sample that is there twice: Prometheus would refuse the whole file.
    pub(super) fn twice(&self) -> Option<String> {
        self.0.iter().find_map(|family| {
            let mut seen = BTreeSet::new();
            let double = family.samples.iter().find(|(labels, _)| !seen.insert(labels))?;
            let labels: Vec<String> =
                double.0.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
            Some(format!("{}{{{}}}", family.name, labels.join(",")))
        })
    }

    /// The text, up to and with `# EOF`.
    pub(super) fn text(self) -> Result<String, String> {
        let mut registry = Registry::with_prefix("coldstart");
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        text::encode(&mut text, &registry)
            .map_err(|error| format!("the text could not be written: {error}"))?;
        Ok(text)
    }
}

impl Collector for Exposition {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        for family in &self.0 {
            let unit = (!family.unit.is_empty()).then(|| Unit::Other(family.unit.to_owned()));
            let mut metric =
                encoder.encode_descriptor(family.name, family.help, unit.as_ref(), MetricType::Gauge)?;
            for (labels, value) in &family.samples {
                metric.encode_family(&labels.0)?.encode_gauge(value)?;
            }
        }
        Ok(())
    }
}
