//! Which of several trials stands for all of them where only one can be shown.

use crate::load::LoadDetail;
use crate::measurement::Measurement;
use crate::phase::Phase;
use crate::profile::Profile;
use crate::stats::{OrderStatistics, Percentile};
use crate::trace::{Detail, Reading, Scope, Trace};
use crate::units::Nanos;
use crate::warm_up::WarmUpCurve;

/// The parts of a weights load, each the median over its trials. They overlap and never enter a sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LoadParts {
    /// Making the staging memory.
    pub pin_ns: Option<Nanos>,
    /// From storage or page cache into memory.
    pub read_ns: Option<Nanos>,
    /// Into staging memory, where that is a step of its own.
    pub stage_ns: Option<Nanos>,
    /// Into device memory.
    pub upload_ns: Option<Nanos>,
}

impl Profile {
    /// The pull with the median total: of those that are not marked, where there are any.
    pub fn typical_pull(&self) -> Option<&Trace> {
        let pulls = self.traces.iter().filter(|trace| trace.scope == Scope::Pull && trace.total().is_some());
        let (mut fit, marked): (Vec<&Trace>, Vec<&Trace>) = pulls.partition(|trace| trace.mark().is_none());
        if fit.is_empty() {
            fit = marked;
        }
        fit.sort_by_key(|trace| trace.total());
        fit.get(fit.len().checked_sub(1)? / 2).copied()
    }

    /// The warm-up with the median time to the steady state; where none has one, the first.
    pub fn typical_warm_up(&self) -> Option<&WarmUpCurve> {
        let mut steady: Vec<&WarmUpCurve> =
            self.warm_up.iter().filter(|curve| curve.analysis.time_to_steady_ns.is_some()).collect();
        steady.sort_by_key(|curve| curve.analysis.time_to_steady_ns);
        steady
            .len()
            .checked_sub(1)
            .and_then(|last| steady.get(last / 2).copied())
            .or_else(|| self.warm_up.first())
    }

    /// The parts of the loads behind a row of `weights_load`: of its unmarked readings, where there are any.
    pub fn load_parts(&self, row: &Measurement) -> LoadParts {
        let of_row =
            |reading: &&Reading| reading.phase == Phase::WeightsLoad && reading.params == row.key.params;
        let readings = self.traces.iter().flat_map(|trace| &trace.readings).filter(of_row);
        let (mut fit, marked): (Vec<&Reading>, Vec<&Reading>) =
            readings.partition(|reading| reading.mark.is_none());
        if fit.is_empty() {
            fit = marked;
        }
        let details: Vec<&LoadDetail> = (fit.into_iter())
            .filter_map(|reading| match &reading.detail {
                Some(Detail::Load(detail)) => Some(detail),
                _ => None,
            })
            .collect();
        let median = |part: fn(&LoadDetail) -> Option<Nanos>| {
            let times: Vec<Nanos> = details.iter().filter_map(|detail| part(detail)).collect();
            Some(OrderStatistics::new(times).ok()?.nearest_rank(Percentile::P50))
        };
        LoadParts {
            pin_ns: median(|detail| Some(detail.pin_ns)),
            read_ns: median(|detail| detail.read_ns),
            stage_ns: median(|detail| detail.stage_ns),
            upload_ns: median(|detail| detail.upload_ns),
        }
    }
}
