//! One measured quantity: its key, its work, what bounds it, and what came out.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::key::Key;
use crate::samples::Samples;
use crate::summary::{Summary, summarize};
use crate::work::{Limit, Work};

/// What came out of trying to measure something. Nothing is ever just absent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Outcome {
    /// It was measured.
    Measured {
        /// Every reading in the order taken.
        samples: Samples,
        /// `summarize` of the samples that are not excluded. A reader computes it again and refuses a file in which it differs.
        summary: Box<Summary>,
    },
    /// It could not be, or was not asked to be, measured here.
    Skipped {
        /// The reason, for the reader of a report.
        why: String,
    },
    /// It was tried and failed.
    Failed {
        /// What went wrong.
        why: String,
    },
}

impl Outcome {
    /// The outcome of a measurement that gave these samples.
    pub fn measured(samples: Samples) -> Self {
        let summary = Box::new(summarize(&samples));
        Outcome::Measured { samples, summary }
    }

    /// The outcome of what was not measured.
    pub fn skipped(why: impl Into<String>) -> Self {
        Outcome::Skipped { why: why.into() }
    }

    /// The outcome of what went wrong.
    pub fn failed(why: impl Into<String>) -> Self {
        Outcome::Failed { why: why.into() }
    }

    /// Samples and their summary, if it was measured.
    pub fn as_measured(&self) -> Option<(&Samples, &Summary)> {
        match self {
            Outcome::Measured { samples, summary } => Some((samples, summary)),
            Outcome::Skipped { .. } | Outcome::Failed { .. } => None,
        }
    }
}

/// One row of a profile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Measurement {
    /// What, and under which conditions.
    pub key: Key,
    /// The work of one sample; `null` where time alone is the result.
    pub work: Option<Work>,
    /// What the hardware allows for this work, measured in the same run; `null` where nothing bounds it or it could not be measured.
    pub limit: Option<Limit>,
    /// What came out.
    pub outcome: Outcome,
}

impl Measurement {
    /// A row without samples.
    pub fn without_samples(key: Key, outcome: Outcome) -> Self {
        Measurement { key, work: None, limit: None, outcome }
    }

    /// Work per second at the median; `None` where there is no work or no measurement.
    pub fn rate(&self) -> Option<f64> {
        let (_, summary) = self.outcome.as_measured()?;
        self.work?.rate(summary.p50_ns)
    }

    /// Achieved ÷ limit at the median.
    pub fn achieved(&self) -> Option<f64> {
        let (_, summary) = self.outcome.as_measured()?;
        self.limit.as_ref()?.achieved(self.work?, summary.p50_ns)
    }
}
