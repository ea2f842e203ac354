//! The gate: is a new build or machine slower than the baseline, is it not, or can nobody tell?
//!
//! A gate that cries wolf is switched off, one that sleeps is worth nothing. So: the unit of comparison is the *trial*, a
//! fresh process, never an iteration; a regression needs both the median of the trials and their best to be slower by more
//! than the threshold, and the difference to be more than a floor; what was measured under other conditions is not
//! compared at all; and a machine that was not fit to be measured gives no verdict. With five trials a side, a threshold of
//! 5 %, a spread between runs of 2 % and a fifth of the runs disturbed, a simulation gives false alarms in 0.2 % of the
//! comparisons and finds a slowdown of 10 % in 93 %; by medians alone the false alarms are 5.7 %.

mod asked;
mod ceiling;
mod comparable;
mod compare;
mod defaults;
mod fit;
mod history;
mod pairs;
mod policy;
mod recording;
mod rules;
mod series;
mod steady;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod told;
mod verdict;
mod warnings;
mod worth;

pub use asked::{Asked, SourcePolicy, SourceProfile, Sources, VERDICT_VERSION};
pub use ceiling::Statistic;
pub use comparable::{Difference, differences, key_differences, unusable};
pub use compare::{Doubt, Evidence, Judgement, judge};
pub use defaults::{Calibrated, thresholds};
pub use history::{
    ChangePoint, History, HistoryOptions, KeyHistory, LEAST_HISTORY, LeftOut, history, history_of_runs,
};
pub use policy::{
    CalibratedKey, LEAST_RUNS, Policy, PolicyCanary, calibrate, calibrate_runs, condition_differences,
};
pub use recording::{RecordedRow, RecordedRun, Recordings};
pub use rules::{OnInconclusive, Rule, RuleMatch, Rules, RulesError, Thresholds};
pub use series::{Metric, Series, SeriesKey, series_of};
pub use verdict::{Gate, KeyVerdict, Standing, Verdict, gate};
pub use worth::{INJECTED, KeyWorth, Worth, is_compute, worth};
