//! What a number of a decision rests on, kept beside the number.

use coldstart_profiles::{Bytes, Key, Nanos};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A number of a decision together with what it rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Figure<T> {
    /// The number, in the unit that the field's name ends in.
    pub value: T,
    /// What it rests on.
    pub basis: Basis,
}

impl<T> Figure<T> {
    /// A number with its basis.
    pub fn new(value: T, basis: Basis) -> Self {
        Figure { value, basis }
    }

    /// A number that the user gave with `flag`, instead of a measurement or as a fact of the cluster.
    pub fn by_hand(value: T, flag: &str) -> Self {
        Figure { value, basis: Basis::of("given by hand").assumed(flag) }
    }

    /// Whether anything below it was given by hand instead of measured.
    pub fn is_assumed(&self) -> bool {
        !self.basis.assumed.is_empty()
    }
}

/// How a number came to be.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Basis {
    /// The formula or rule, such as `L = D + C`.
    pub formula: String,
    /// The values that entered it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<Input>,
    /// The measurements that it rests on in the end, each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<Key>,
    /// How many samples a measured value rests on; `null` for what was computed from others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n: Option<usize>,
    /// What was given by hand instead of measured, by the name of its flag.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assumed: Vec<String>,
    /// What a reader must know before trusting it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub caveats: Vec<String>,
}

/// One value that entered a formula.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Input {
    /// Its symbol or name in the formula.
    pub name: String,
    /// The value.
    pub value: Quantity,
    /// The field of the same answer that holds it with a basis of its own, such as `lead_time.total_ns`; `null` for others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

/// A value with its unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Quantity {
    /// A time in nanoseconds.
    Nanos(Nanos),
    /// An amount of data.
    Bytes(Bytes),
    /// A whole number of things.
    Count(u64),
    /// Requests, batches or other events per second.
    PerSecond(f64),
    /// Bytes per second.
    BytesPerSecond(f64),
    /// A share or probability, 0 to 1.
    Share(f64),
    /// A plain number.
    Number(f64),
    /// A name or choice.
    Text(String),
}

impl Basis {
    /// A basis that so far is only a formula.
    pub fn of(formula: impl Into<String>) -> Self {
        Basis { formula: formula.into(), ..Basis::default() }
    }

    /// A measured value: which measurements, and over how many samples.
    pub fn measured(formula: impl Into<String>, keys: impl IntoIterator<Item = Key>, n: usize) -> Self {
        let mut basis = Basis { n: Some(n), ..Basis::of(formula) };
        basis.add_keys(keys);
        basis
    }

    /// The same with one more input.
    #[must_use]
    pub fn input(mut self, name: &str, value: Quantity) -> Self {
        self.inputs.push(Input { name: name.to_owned(), value, field: None });
        self
    }

    /// The same with one more input that has a basis of its own under `field`; its keys and assumptions come along.
    #[must_use]
    pub fn figure(mut self, name: &str, value: Quantity, field: &str, below: &Basis) -> Self {
        self.inputs.push(Input { name: name.to_owned(), value, field: Some(field.to_owned()) });
        self.rest_on(below);
        self
    }

    /// The same with the keys and assumptions of another.
    #[must_use]
    pub fn resting_on(mut self, below: &Basis) -> Self {
        self.rest_on(below);
        self
    }

    /// The same with a value given by hand under this flag.
    #[must_use]
    pub fn assumed(mut self, flag: &str) -> Self {
        if !self.assumed.iter().any(|known| known == flag) {
            self.assumed.push(flag.to_owned());
        }
        self
    }

    /// The same with one more thing to know.
    #[must_use]
    pub fn caveat(mut self, text: impl Into<String>) -> Self {
        self.caveats.push(text.into());
        self
    }

    /// The same without the fields of its inputs: of an answer that stands beside the one whose fields those are.
    #[must_use]
    pub fn apart(mut self) -> Self {
        self.inputs.iter_mut().for_each(|input| input.field = None);
        self
    }

    fn rest_on(&mut self, below: &Basis) {
        self.add_keys(below.keys.iter().cloned());
        for flag in &below.assumed {
            if !self.assumed.contains(flag) {
                self.assumed.push(flag.clone());
            }
        }
    }

    fn add_keys(&mut self, keys: impl IntoIterator<Item = Key>) {
        for key in keys {
            if !self.keys.contains(&key) {
                self.keys.push(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use coldstart_profiles::{Params, Phase};

    use super::*;

    #[test]
    fn keys_and_assumptions_come_up_from_below_once() {
        let key = |phase| Key::host(phase, Params::new());
        let load = Basis::measured("median", [key(Phase::WeightsLoad)], 3);
        let pull = Basis::of("bytes ÷ bandwidth").assumed("--image-bytes");
        let sum = Basis::of("C = a + b")
            .figure("a", Quantity::Nanos(Nanos::from_secs(1)), "load_ns", &load)
            .figure("b", Quantity::Nanos(Nanos::from_secs(2)), "pull_ns", &pull)
            .resting_on(&load)
            .resting_on(&pull);
        assert_eq!(sum.keys, [key(Phase::WeightsLoad)]);
        assert_eq!(sum.assumed, ["--image-bytes"]);
        assert_eq!((sum.n, sum.inputs.len()), (None, 2));
        assert!(Figure::new(1, sum).is_assumed());
    }
}
