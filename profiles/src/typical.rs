//! Which of several trials stands for all of them where only one can be shown.

use crate::load::LoadDetail;
use crate::measurement::Measurement;
use crate::phase::Phase;
use crate::profile::Profile;
use crate::stats::{OrderStatistics, Percentile};
use crate::trace::{Detail, Reading, Scope, Trace};
use crate::units::Nanos;
use crate::warm_up::{WarmUpClass, WarmUpCurve};

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
        typical(self.traces.iter().filter(|trace| trace.scope == Scope::Pull))
    }

    /// The warm-up that stands for all: of the trials of the commonest class the one with the median time to its steady state, or
    /// with the median time in all where there is none. Of equally common classes the one that `WarmUpClass` names first.
    pub fn typical_warm_up(&self) -> Option<&WarmUpCurve> {
        let of_class = |class: WarmUpClass| {
            let curves: Vec<&WarmUpCurve> =
                self.warm_up.iter().filter(|curve| curve.analysis.class == class).collect();
            curves
        };
        let mut classes: Vec<Vec<&WarmUpCurve>> = WarmUpClass::ALL.into_iter().map(of_class).collect();
        // Stable, so that the first of equals stays first.
        classes.sort_by_key(|curves| std::cmp::Reverse(curves.len()));
        let mut curves = classes.into_iter().next()?;
        curves.sort_by_cached_key(|curve| {
            let all: Nanos = curve.samples.as_slice().iter().copied().sum();
            (curve.analysis.time_to_steady_ns, all)
        });
        curves.get(curves.len().checked_sub(1)? / 2).copied()
    }

    /// Whether the bytes of at least one load under this row's conditions were compared with the files.
    pub fn load_verified(&self, row: &Measurement) -> bool {
        self.traces.iter().flat_map(|trace| &trace.readings).any(|reading| {
            let verified = match &reading.detail {
                Some(Detail::Load(load)) => load.verified_bytes.is_some(),
                _ => false,
            };
            verified && reading.phase == Phase::WeightsLoad && reading.params == row.key.params
        })
    }

    /// The parts of driver_init and module_load behind a row, each the median over its readings, in order.
    pub fn startup_parts(&self, row: &Measurement) -> Vec<(&'static str, Nanos)> {
        let of_row =
            |reading: &&Reading| (reading.phase, &reading.params) == (row.key.phase, &row.key.params);
        let readings = self.traces.iter().flat_map(|trace| &trace.readings).filter(of_row);
        let mut times: Vec<(&'static str, Vec<Nanos>)> = Vec::new();
        for detail in readings.filter_map(|reading| reading.detail.as_ref()) {
            let parts = match detail {
                Detail::Driver(driver) => [("dlopen", driver.open_ns), ("cuInit", driver.init_ns)],
                Detail::Module(module) => [("load", module.load_ns), ("resolve", module.resolve_ns)],
                _ => continue,
            };
            for (name, time) in parts {
                match times.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, times)) => times.push(time),
                    None => times.push((name, vec![time])),
                }
            }
        }
        let median = |(name, times): (&'static str, Vec<Nanos>)| {
            Some((name, OrderStatistics::new(times).ok()?.nearest_rank(Percentile::P50)))
        };
        times.into_iter().filter_map(median).collect()
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

/// The completed trace with the median total: of those that are not marked, where there are any.
fn typical<'a>(traces: impl Iterator<Item = &'a Trace>) -> Option<&'a Trace> {
    let (mut fit, marked): (Vec<&Trace>, Vec<&Trace>) =
        traces.filter(|trace| trace.total().is_some()).partition(|trace| trace.mark().is_none());
    if fit.is_empty() {
        fit = marked;
    }
    fit.sort_by_key(|trace| trace.total());
    fit.get(fit.len().checked_sub(1)? / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Params;
    use crate::trace::{TotalKind, TraceEnd};

    fn pull(total: u64, mark: Option<&str>) -> Trace {
        let duration_ns = Nanos::from_nanos(total);
        let reading = Reading {
            phase: Phase::ImagePull,
            params: Params::new(),
            begin_ns: Nanos::ZERO,
            duration_ns,
            device_ns: None,
            work: None,
            mark: mark.map(str::to_owned),
            detail: None,
        };
        Trace {
            step: format!("pull-{total}"),
            trial: 0,
            scope: Scope::Pull,
            total_kind: TotalKind::Pull,
            params: Params::new(),
            end: Trace::completed(std::slice::from_ref(&reading), duration_ns),
            readings: vec![reading],
        }
    }

    #[test]
    fn one_warm_up_stands_for_all() {
        let fixture = include_str!("../../tests/fixtures/profiles/profile-1.0.json");
        let mut profile = Profile::from_json(fixture, std::path::Path::new("profile-1.0.json")).unwrap();
        let mut curve = profile.warm_up[0].clone();
        profile.warm_up.clear();
        assert_eq!(profile.typical_warm_up(), None);
        for (step, class, to_steady) in [
            ("a", WarmUpClass::Flat, Some(0)),
            ("b", WarmUpClass::Warmup, Some(30)),
            ("c", WarmUpClass::Warmup, Some(10)),
            ("d", WarmUpClass::Warmup, Some(20)),
            ("e", WarmUpClass::NoSteadyState, None),
        ] {
            curve.step = step.to_owned();
            curve.analysis.class = class;
            curve.analysis.time_to_steady_ns = to_steady.map(Nanos::from_millis);
            profile.warm_up.push(curve.clone());
        }
        let typical = |profile: &Profile| profile.typical_warm_up().map(|curve| curve.step.clone());
        assert_eq!(typical(&profile).as_deref(), Some("d"));
        profile.warm_up.truncate(2);
        assert_eq!(typical(&profile).as_deref(), Some("a"), "of equals the class that is named first");
    }

    #[test]
    fn the_median_of_the_unmarked_stands_for_all() {
        let mut pulls = vec![pull(30, None), pull(10, None), pull(20, None), pull(1, Some("partial"))];
        pulls.push(Trace {
            end: TraceEnd::Failed { why: "the registry died".into(), stderr: String::new() },
            ..pull(15, None)
        });
        assert_eq!(typical(pulls.iter()).map(|trace| trace.step.as_str()), Some("pull-20"));
        assert_eq!(typical(pulls[3..].iter()).map(|trace| trace.step.as_str()), Some("pull-1"));
        assert_eq!(typical(pulls[4..].iter()), None);
    }
}
