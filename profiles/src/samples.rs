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
    /// Whether summaries leave the sample out: its conditions were not those of the key (a cache that was not cold).
    /// Otherwise it counts and is only pointed at (a throttled clock).
    pub excluded: bool,
}

/// What the reason of a mark begins with where the GPU was held down.
pub(crate) const THROTTLED: &str = "throttled: ";

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

    /// How many of them are marked as throttled: they count, and are only pointed at.
    pub fn throttled(&self) -> usize {
        let marks = self.marks.iter().filter(|mark| mark.reason.starts_with(THROTTLED));
        let mut indices: Vec<usize> = marks.map(|mark| mark.index).collect();
        indices.sort_unstable();
        indices.dedup();
        indices.len()
    }

    /// The readings that summaries rest on, in the order taken: all but the excluded ones, or all of them when every
    /// one is excluded (they are then all that is known, and the marks say so).
    pub fn included(&self) -> Vec<Nanos> {
        let mut keep = vec![true; self.len()];
        for mark in self.marks.iter().filter(|mark| mark.excluded) {
            keep[mark.index] = false;
        }
        if !keep.contains(&true) {
            return self.samples_ns.clone();
        }
        self.samples_ns.iter().zip(keep).filter_map(|(sample, keep)| keep.then_some(*sample)).collect()
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
            serde_json::from_str::<Samples>(
                r#"{"samples_ns":[1],"marks":[{"index":1,"reason":"x","excluded":true}]}"#
            )
            .is_err()
        );
        assert_eq!(serde_json::from_str::<Samples>(r#"{"samples_ns":[3,2]}"#).unwrap().len(), 2);
    }

    #[test]
    fn marked_samples_stay_but_can_be_left_out() {
        let mark = Mark { index: 1, reason: "partial".into(), excluded: true };
        let samples =
            Samples::with_marks(vec![Nanos::from_nanos(1), Nanos::from_nanos(2)], vec![mark]).unwrap();
        assert_eq!(samples.len(), 2);
        assert_eq!(samples.included(), [Nanos::from_nanos(1)]);
    }
}
