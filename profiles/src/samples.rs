//! Raw readings. They are always kept: every summary can be computed again from them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::ProfileError;
use crate::units::Nanos;

/// Why one sample stands apart from the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Mark {
    /// Which sample, counted from 0.
    pub index: usize,
    /// What was seen, such as `partial: 3.1 % of the file was in the page cache` or `throttled: thermal`.
    pub reason: String,
}

/// At least one reading, in the order taken: the order is the warm-up curve. Marked samples stay in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "RawSamples", into = "RawSamples")]
pub struct Samples {
    samples_ns: Vec<Nanos>,
    marks: Vec<Mark>,
}

/// Samples as they stand in JSON, before they are checked.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
struct RawSamples {
    /// The readings in the order taken.
    #[schemars(length(min = 1))]
    samples_ns: Vec<Nanos>,
    /// Samples that stand apart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    marks: Vec<Mark>,
}

impl Samples {
    /// Samples in the order taken. Fails when there are none.
    pub fn new(samples_ns: Vec<Nanos>) -> Result<Self, ProfileError> {
        Samples::with_marks(samples_ns, Vec::new())
    }

    /// Samples with marks. Fails when there are none, or when a mark points past the end.
    pub fn with_marks(samples_ns: Vec<Nanos>, marks: Vec<Mark>) -> Result<Self, ProfileError> {
        if samples_ns.is_empty() {
            return Err(ProfileError::NoSamples);
        }
        match marks.iter().find(|mark| mark.index >= samples_ns.len()) {
            Some(mark) => Err(ProfileError::MarkOutOfRange { index: mark.index, n: samples_ns.len() }),
            None => Ok(Samples { samples_ns, marks }),
        }
    }

    /// A single reading.
    pub fn one(sample: Nanos) -> Self {
        Samples { samples_ns: vec![sample], marks: Vec::new() }
    }

    /// How many; never zero.
    #[expect(clippy::len_without_is_empty, reason = "there is always at least one sample")]
    pub fn len(&self) -> usize {
        self.samples_ns.len()
    }

    /// The readings in the order taken.
    pub fn as_slice(&self) -> &[Nanos] {
        &self.samples_ns
    }

    /// The marks.
    pub fn marks(&self) -> &[Mark] {
        &self.marks
    }

    /// The readings without a mark, in the order taken; all of them when every one is marked.
    pub fn unmarked(&self) -> Vec<Nanos> {
        let clean: Vec<Nanos> = (0..self.len())
            .filter(|index| self.marks.iter().all(|mark| mark.index != *index))
            .map(|index| self.samples_ns[index])
            .collect();
        if clean.is_empty() { self.samples_ns.clone() } else { clean }
    }

    /// The readings as floating-point nanoseconds, for statistics.
    pub fn as_f64(&self) -> Vec<f64> {
        self.samples_ns.iter().map(|sample| sample.as_nanos() as f64).collect()
    }
}

impl TryFrom<RawSamples> for Samples {
    type Error = ProfileError;

    fn try_from(raw: RawSamples) -> Result<Self, Self::Error> {
        Samples::with_marks(raw.samples_ns, raw.marks)
    }
}

impl From<Samples> for RawSamples {
    fn from(samples: Samples) -> Self {
        RawSamples { samples_ns: samples.samples_ns, marks: samples.marks }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_and_misplaced_are_refused_on_read() {
        assert!(serde_json::from_str::<Samples>(r#"{"samples_ns":[]}"#).is_err());
        assert!(
            serde_json::from_str::<Samples>(r#"{"samples_ns":[1],"marks":[{"index":1,"reason":"x"}]}"#)
                .is_err()
        );
        assert_eq!(serde_json::from_str::<Samples>(r#"{"samples_ns":[3,2]}"#).unwrap().len(), 2);
    }

    #[test]
    fn marked_samples_stay_but_can_be_left_out() {
        let mark = Mark { index: 1, reason: "partial".into() };
        let samples =
            Samples::with_marks(vec![Nanos::from_nanos(1), Nanos::from_nanos(2)], vec![mark]).unwrap();
        assert_eq!(samples.len(), 2);
        assert_eq!(samples.unmarked(), [Nanos::from_nanos(1)]);
    }
}
