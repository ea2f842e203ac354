//! What identifies a measurement, so that two profiles can be compared entry by entry.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::phase::Phase;

/// The conditions of a measurement, ordered by name: `batch=8,page_cache=cold,staging=mmap`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Params(BTreeMap<String, String>);

impl Params {
    /// No conditions.
    pub fn new() -> Self {
        Params::default()
    }

    /// The same conditions and one more; an earlier value under the same name is replaced.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl fmt::Display) -> Self {
        self.0.insert(name.to_owned(), value.to_string());
        self
    }

    /// The value of one condition.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Names and values, ordered by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether there are no conditions.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text: Vec<String> = self.iter().map(|(name, value)| format!("{name}={value}")).collect();
        f.pad(&text.join(","))
    }
}

/// The clock that a measurement was taken with.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Clock {
    /// The host's monotonic clock, around synchronised work.
    #[default]
    Host,
    /// The device's own events.
    Device,
}

impl Clock {
    /// The name in JSON and tables.
    pub const fn name(self) -> &'static str {
        match self {
            Clock::Host => "host",
            Clock::Device => "device",
        }
    }
}

/// What was measured, under which conditions, by which clock. Equal keys are comparable between profiles.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Key {
    /// The phase of the cold start.
    pub phase: Phase,
    /// Conditions that change the result, such as `staging=pinned` or `batch=8`.
    pub params: Params,
    /// Which clock the samples come from.
    pub clock: Clock,
}

impl Key {
    /// A key on the host's clock.
    pub fn host(phase: Phase, params: Params) -> Self {
        Key { phase, params, clock: Clock::Host }
    }
}

/// `weights_load{page_cache=cold,staging=mmap}`, with `@device` behind it for the device's clock.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.phase.to_string();
        if !self.params.is_empty() {
            text.push_str(&format!("{{{}}}", self.params));
        }
        if self.clock == Clock::Device {
            text.push_str("@device");
        }
        f.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn params_are_ordered_whatever_the_order_of_insertion() {
        let key =
            Key::host(Phase::WeightsLoad, Params::new().with("staging", "mmap").with("page_cache", "cold"));
        assert_eq!(key.to_string(), "weights_load{page_cache=cold,staging=mmap}");
        let text = serde_json::to_string(&key).unwrap();
        assert_eq!(
            text,
            r#"{"phase":"weights_load","params":{"page_cache":"cold","staging":"mmap"},"clock":"host"}"#
        );
        assert_eq!(serde_json::from_str::<Key>(&text).unwrap(), key);
    }
}
