//! What an object says of where its numbers come from.

use coldstart_decisions::{Basis, Quantity};
use coldstart_profiles::{Profile, Work};
use serde_json::{Map, Value};

use super::super::error::cut;
use super::super::settings::LABEL_PREFIX;

/// A sweep has dozens of keys; so many say which it was.
const MOST_KEYS: usize = 3;

/// Annotations under the project's prefix.
#[derive(Debug, Clone, Default)]
pub(in crate::export) struct Annotations(Map<String, Value>);

impl Annotations {
    /// The profile that an object was made of, and the program that made it.
    pub(in crate::export) fn of(name: &str, profile: &Profile) -> Self {
        let target = &profile.target;
        let what = match (&target.model, &target.cluster) {
            (Some(model), _) => format!("{} on {}", model.source, target.device.name),
            (None, Some(cluster)) => format!("pods of {}", cluster.image),
            (None, None) => target.device.name.clone(),
        };
        let file = name.rsplit('/').next().unwrap_or(name);
        Annotations::default().with("profile", &format!("{file}: {what}, {}", profile.started_at)).with(
            "tool",
            &format!("{} {}, method {}", profile.tool.name, profile.tool.version, profile.tool.method),
        )
    }

    /// The same with one more under the prefix.
    #[must_use]
    pub(in crate::export) fn with(mut self, name: &str, text: &str) -> Self {
        self.0.insert(format!("{LABEL_PREFIX}/{name}"), Value::String(cut(text)));
        self
    }

    /// The same with one more under a name of its own.
    #[must_use]
    pub(in crate::export) fn with_own(mut self, name: &str, text: String) -> Self {
        self.0.insert(name.to_owned(), Value::String(text));
        self
    }

    pub(in crate::export) fn into_value(self) -> Value {
        Value::Object(self.0)
    }
}

/// `19 = ceil(1.5 × start_hi ÷ period) · start_hi = 61.0 s, period = 5.00 s · by throughput{…}`.
pub(in crate::export) fn explained(value: impl std::fmt::Display, basis: &Basis) -> String {
    let mut text = format!("{value} = {}", basis.formula);
    let inputs: Vec<String> =
        basis.inputs.iter().map(|input| format!("{} = {}", input.name, quantity(&input.value))).collect();
    let mut keys: Vec<String> = basis.keys.iter().take(MOST_KEYS).map(ToString::to_string).collect();
    if let more @ 1.. = basis.keys.len().saturating_sub(MOST_KEYS) {
        keys.push(format!("and {more} more"));
    }
    for (before, list) in
        [("", inputs), ("by ", keys), ("assumed: ", basis.assumed.clone()), ("! ", basis.caveats.clone())]
    {
        if !list.is_empty() {
            text.push_str(&format!(" · {before}{}", list.join(", ")));
        }
    }
    text
}

fn quantity(quantity: &Quantity) -> String {
    match quantity {
        Quantity::Nanos(time) => time.to_string(),
        Quantity::Bytes(bytes) => bytes.to_string(),
        Quantity::Count(n) => n.to_string(),
        Quantity::PerSecond(rate) => format!("{rate:.3}/s"),
        Quantity::BytesPerSecond(rate) => Work::Bytes(coldstart_profiles::Bytes::ZERO).display_rate(*rate),
        Quantity::Share(share) => format!("{share:.3}"),
        Quantity::Number(number) => number.to_string(),
        Quantity::Text(text) => text.clone(),
    }
}
