//! What is compared: one number a trial, for every row of a profile.

use std::collections::BTreeMap;
use std::fmt;

use coldstart_profiles::stats::median;
use coldstart_profiles::{Clock, ImageSource, Key, Nanos, Params, Phase, Profile, TotalKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::measured::combined;

/// Which number of a trial is compared; smaller is better for all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// The time of the phase, in nanoseconds; of a throughput point the median time of a steady iteration.
    Time,
    /// Limit ÷ achieved: how many times longer than the hardware would need. Steadier than time where the hardware itself
    /// is not steady, because the limit was measured in the same run.
    TimesLimit,
    /// The median time of a steady iteration of the trial, in nanoseconds.
    SteadyTime,
    /// The time of a whole cold start, in nanoseconds.
    Total,
}

impl Metric {
    /// Every metric.
    pub const ALL: [Metric; 4] = [Metric::Time, Metric::TimesLimit, Metric::SteadyTime, Metric::Total];

    /// The name in rules and verdicts.
    pub const fn name(self) -> &'static str {
        match self {
            Metric::Time => "time",
            Metric::TimesLimit => "times_limit",
            Metric::SteadyTime => "steady_time",
            Metric::Total => "total",
        }
    }

    /// Whether its values are nanoseconds; else they are ratios.
    pub const fn is_time(self) -> bool {
        !matches!(self, Metric::TimesLimit)
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One thing that is compared between two profiles.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct SeriesKey {
    /// The phase; of a total the one at whose end its clock stopped.
    pub phase: Phase,
    /// The conditions; of a total with `total=process`, `total=container`, `total=pod` or `total=whole`.
    pub params: Params,
    /// Which clock.
    pub clock: Clock,
    /// Which number.
    pub metric: Metric,
}

/// The value of `total` of a whole cold start.
pub(super) const WHOLE: &str = "whole";
/// What profiles without a whole cold start lack.
pub(super) const WHOLE_NEEDS: &str = "`total=whole` needs the pull of an image of yours and starts of containers: measure them with \
                                      `coldstart run --image REF`";

impl SeriesKey {
    /// Whether it is a whole cold start, with the pull of the image: made of others, which decide.
    pub fn is_whole(&self) -> bool {
        self.metric == Metric::Total && self.params.get("total") == Some(WHOLE)
    }

    /// Whether a container was started for it.
    pub(super) fn is_of_container(&self) -> bool {
        self.is_whole() || self.params.get("total") == Some(TotalKind::Container.name())
    }
}

/// `weights_load{page_cache=cold,staging=direct} time`.
impl fmt::Display for SeriesKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = Key { phase: self.phase, params: self.params.clone(), clock: self.clock };
        f.pad(&format!("{key} {}", self.metric))
    }
}

/// One number a trial, smaller is better.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Series {
    /// The numbers: nanoseconds, or ratios; all above zero.
    pub values: Vec<f64>,
    /// The least step of the clock that took them, in nanoseconds.
    pub resolution_ns: f64,
}

/// Everything in one or several profiles of one machine that can be compared. Trials of several profiles stand side by
/// side; iterations of one trial never do: a throughput point gives the median of each process that measured its steady
/// state, and where there was none but the sweep's own, the sweep's one median. Samples that a mark excludes are left out.
pub fn series_of(profiles: &[&Profile]) -> BTreeMap<SeriesKey, Series> {
    let mut all = BTreeMap::new();
    for profile in profiles {
        rows(profile, &mut all);
        totals(profile, &mut all);
        whole(profile, &mut all);
        steady(profile, &mut all);
    }
    all.retain(|_, series: &mut Series| !series.values.is_empty());
    all
}

fn add(all: &mut BTreeMap<SeriesKey, Series>, key: SeriesKey, values: impl IntoIterator<Item = f64>) {
    let values = values.into_iter().filter(|value| value.is_finite() && *value > 0.0);
    all.entry(key).or_default().values.extend(values);
}

fn rows(profile: &Profile, all: &mut BTreeMap<SeriesKey, Series>) {
    for row in &profile.measurements {
        let Some((samples, summary)) = row.outcome.as_measured() else { continue };
        let trials: Vec<Nanos> = match row.key.phase {
            Phase::Throughput => processes(profile, &row.key).unwrap_or_else(|| vec![summary.p50_ns]),
            _ => samples.included(),
        };
        let Key { phase, ref params, clock } = row.key;
        let key = |metric| SeriesKey { phase, params: params.clone(), clock, metric };
        add(all, key(Metric::Time), trials.iter().map(|time| time.as_nanos() as f64));
        if let (Some(limit), Some(work)) = (&row.limit, row.work) {
            let times = trials.iter().filter_map(|time| Some(1.0 / limit.achieved(work, *time)?));
            add(all, key(Metric::TimesLimit), times.collect::<Vec<_>>());
        }
    }
}

/// The steady medians of the processes beside the sweep's; `None` without any.
fn processes(profile: &Profile, key: &Key) -> Option<Vec<Nanos>> {
    let medians: Vec<Nanos> = (profile.throughput_trials.iter().filter(|trial| trial.key == *key))
        .filter_map(|trial| Some(trial.outcome.as_measured()?.1.p50_ns))
        .collect();
    (!medians.is_empty()).then_some(medians)
}

fn totals(profile: &Profile, all: &mut BTreeMap<SeriesKey, Series>) {
    for total in profile.totals.iter().filter(|total| total.kind != TotalKind::Pull) {
        let Some((samples, _)) = total.outcome.as_measured() else { continue };
        let key = SeriesKey {
            phase: total.ends_with,
            params: total.params.clone().with("total", total.kind.name()),
            clock: Clock::Host,
            metric: Metric::Total,
        };
        add(all, key, samples.included().into_iter().map(|time| time.as_nanos() as f64));
    }
}

/// What a node takes that has not even the image: each start of a container with the median pull of the user's image, and where the
/// starts end with their first batch the median warm-up: one number a start, as many as are independent of each other.
fn whole(profile: &Profile, all: &mut BTreeMap<SeriesKey, Series>) {
    for parts in whole_parts(profile) {
        let middle = |times: &[Nanos]| {
            median(&times.iter().map(|time| time.as_nanos() as f64).collect::<Vec<_>>()).unwrap_or_default()
        };
        let rest = middle(&parts.pulls) + middle(&parts.warm_ups);
        add(all, parts.key, parts.starts.iter().map(|start| start.as_nanos() as f64 + rest));
    }
}

/// What a whole cold start is made of.
struct WholeParts {
    key: SeriesKey,
    starts: Vec<Nanos>,
    /// Of the user's image. How long one of these takes, a synthetic image does not say.
    pulls: Vec<Nanos>,
    /// Empty where the starts hold it.
    warm_ups: Vec<Nanos>,
}

/// The parts of every whole cold start of a profile: measured beside each other, and independent of each other.
fn whole_parts(profile: &Profile) -> Vec<WholeParts> {
    let times_of = |phase: Phase| -> Vec<Nanos> {
        let rows = profile
            .of_phase(phase)
            .filter(|row| row.key.params.get("source") != Some("synthetic"))
            .filter_map(|row| Some(row.outcome.as_measured()?.0.included()));
        rows.flatten().collect()
    };
    let image = profile.target.image.as_ref().map(|image| image.source);
    let pulls = times_of(Phase::ImagePull);
    if pulls.is_empty() || image != Some(ImageSource::Reference) {
        return Vec::new();
    }
    let starts = profile.totals.iter().filter(|total| total.kind == TotalKind::Container);
    let measured = starts.filter_map(|total| Some((total, total.outcome.as_measured()?.0)));
    let parts = measured.map(|(total, samples)| {
        let beside = total.ends_with == Phase::FirstBatch;
        let warm_ups = if beside { times_of(Phase::WarmUp) } else { Vec::new() };
        let key = SeriesKey {
            phase: if warm_ups.is_empty() { total.ends_with } else { Phase::WarmUp },
            params: total.params.clone().with("total", WHOLE),
            clock: Clock::Host,
            metric: Metric::Total,
        };
        WholeParts { key, starts: samples.included(), pulls: pulls.clone(), warm_ups }
    });
    parts.collect()
}

/// Every whole cold start of `key` that its parts can make up, and how many times there are of the part with the fewest: what is slow now
/// and then in any part is slow now and then in these, which one number a start with the medians of the rest would not show.
pub(super) fn whole_totals(profiles: &[&Profile], key: &SeriesKey) -> (Vec<Nanos>, usize) {
    let (mut totals, mut counts) = (Vec::new(), [0, 0, 0]);
    let all = profiles.iter().flat_map(|profile| whole_parts(profile));
    for WholeParts { starts, pulls, warm_ups, .. } in all.filter(|parts| parts.key == *key) {
        for (count, times) in counts.iter_mut().zip([&starts, &pulls, &warm_ups]) {
            *count += times.len();
        }
        let beside = [pulls.as_slice(), warm_ups.as_slice()];
        let beside: Vec<&[Nanos]> = beside.into_iter().filter(|times| !times.is_empty()).collect();
        totals.extend(combined(starts, &beside));
    }
    (totals, counts.into_iter().filter(|count| *count > 0).min().unwrap_or_default())
}

/// The steady state of each trial, under the conditions of its warm-up.
fn steady(profile: &Profile, all: &mut BTreeMap<SeriesKey, Series>) {
    let Some(params) = profile.of_phase(Phase::FirstBatch).map(|row| row.key.params.clone()).next() else {
        return;
    };
    let key = SeriesKey { phase: Phase::WarmUp, params, clock: Clock::Host, metric: Metric::SteadyTime };
    for curve in &profile.warm_up {
        let Some(median) = curve.analysis.steady_median_ns else { continue };
        add(all, key.clone(), [median.as_nanos() as f64]);
        if let Some(series) = all.get_mut(&key) {
            series.resolution_ns = series.resolution_ns.max(curve.resolution_ns.as_nanos() as f64);
        }
    }
}
