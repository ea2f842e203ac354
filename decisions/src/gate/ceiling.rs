//! What is held against a ceiling.

use coldstart_profiles::{Nanos, Phase, Profile, Samples, Summary, summarize};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::series::{Series, SeriesKey, whole_totals};

/// Which value of the new side must not be above a ceiling: over its trials, and of a throughput point over the iterations of its
/// sweep; of `total=whole`, but for the median, over every combination of its pulls, starts and warm-ups. Where there are too few for
/// a percentile (29 for the 90th, 299 for the 99th) the largest stands in for it, which is told.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Statistic {
    /// The median.
    #[default]
    P50,
    /// The 90th percentile.
    P90,
    /// The 99th percentile.
    P99,
    /// The largest that was seen.
    Max,
}

impl Statistic {
    /// The name in rules and verdicts.
    pub const fn name(self) -> &'static str {
        match self {
            Statistic::P50 => "p50",
            Statistic::P90 => "p90",
            Statistic::P99 => "p99",
            Statistic::Max => "max",
        }
    }

    /// So many samples it needs.
    const fn least(self) -> Option<usize> {
        match self {
            Statistic::P50 | Statistic::Max => None,
            Statistic::P90 => Some(29),
            Statistic::P99 => Some(299),
        }
    }

    /// Its value; `None` where there are too few samples for it.
    fn of(self, summary: &Summary) -> Option<Nanos> {
        match self {
            Statistic::P50 => Some(summary.p50_ns),
            Statistic::P90 => summary.p90_ns,
            Statistic::P99 => summary.p99_ns,
            Statistic::Max => Some(summary.max_ns),
        }
    }
}

/// A value that is held against a ceiling.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Held {
    /// In nanoseconds.
    pub(super) ns: f64,
    /// How many samples there are, where they are too few for the percentile and the largest stands in for it.
    pub(super) too_few: Option<usize>,
}

/// The value of the new side that is held against a ceiling of `key`: `None` where nothing was measured.
pub(super) fn held(
    statistic: Statistic,
    key: &SeriesKey,
    series: Option<&Series>,
    profiles: &[&Profile],
) -> Option<Held> {
    let series = series?;
    if statistic == Statistic::P50 {
        return Some(Held { ns: coldstart_profiles::stats::median(&series.values)?, too_few: None });
    }
    if key.phase == Phase::Throughput {
        // Iterations of several processes are never pooled: the worst of them counts.
        let rows = profiles.iter().flat_map(|profile| &profile.measurements).filter(|row| {
            (row.key.phase, &row.key.params, row.key.clock) == (key.phase, &key.params, key.clock)
        });
        let all = rows.filter_map(|row| Some(of_summary(statistic, row.outcome.as_measured()?.1)));
        return all.max_by(|one, other| one.ns.total_cmp(&other.ns));
    }
    if key.is_whole() {
        let (totals, fewest) = whole_totals(profiles, key);
        return Some(of_combined(statistic, &summarize(&Samples::new(totals).ok()?), fewest));
    }
    let trials = series.values.iter().map(|value| Nanos::from_nanos_f64(*value)).collect();
    Some(of_summary(statistic, &summarize(&Samples::new(trials).ok()?)))
}

fn of_summary(statistic: Statistic, summary: &Summary) -> Held {
    let known = statistic.of(summary);
    Held {
        ns: known.unwrap_or(summary.max_ns).as_nanos() as f64,
        too_few: known.is_none().then_some(summary.n),
    }
}

/// Combinations are more than there are times of the part with the fewest, `n`, which carries the percentile or does not.
fn of_combined(statistic: Statistic, summary: &Summary, n: usize) -> Held {
    let enough = statistic.least().is_none_or(|least| n >= least);
    match statistic.of(summary).filter(|_| enough) {
        Some(known) => Held { ns: known.as_nanos() as f64, too_few: None },
        None => Held { ns: summary.max_ns.as_nanos() as f64, too_few: Some(n) },
    }
}

#[cfg(test)]
mod tests {
    use coldstart_profiles::{Clock, ImageSource, ImageTarget, Key, Outcome, Params, Total, TotalKind};

    use super::super::tests::{profile, run};
    use super::super::{KeyVerdict, Metric, Standing, Verdict};
    use super::*;

    fn millis(times: &[u64]) -> Outcome {
        Outcome::measured(Samples::new(times.iter().map(|ms| Nanos::from_millis(*ms)).collect()).unwrap())
    }

    fn of(verdict: &Verdict, fits: impl Fn(&SeriesKey) -> bool) -> &KeyVerdict {
        verdict.keys.iter().find(|key| fits(&key.key)).unwrap()
    }

    #[test]
    fn each_statistic_is_held_against_the_ceiling_and_the_largest_stands_in() {
        let mut new = profile();
        let row = new.measurements.iter_mut().find(|row| row.key.phase == Phase::WeightsLoad).unwrap();
        row.outcome = millis(&[10, 20, 90]);
        let params = row.key.params.clone();
        for (statistic, held, too_few) in
            [("p50", 20.0, None), ("p90", 90.0, Some(3)), ("p99", 90.0, Some(3)), ("max", 90.0, None)]
        {
            let rules = format!(
                "[[rule]]\nmatch = {{ phase = \"weights_load\" }}\nceiling_ms = 50\nstatistic = \"{statistic}\""
            );
            let verdict = run(&[&new], &[&new], &rules);
            let key = of(&verdict, |key| key.params == params && key.metric == Metric::Time);
            assert_eq!((key.held_ns, key.too_few), (Some(held * 1e6), too_few), "{statistic}");
            assert_eq!(key.above_ceiling, held > 50.0, "{statistic}");
            let above = verdict.reasons.iter().any(|why| why.contains(&format!("({statistic} 90.0 ms)")));
            assert_eq!(above, held > 50.0, "{:?}", verdict.reasons);
            let told = verdict.warnings.iter().filter(|warning| warning.code == "ceiling_by_largest");
            assert_eq!(told.count() > 0, too_few.is_some(), "{statistic}");
        }
    }

    #[test]
    fn the_tail_of_a_throughput_point_is_that_of_its_iterations() {
        let mut new = profile();
        let row = new.measurements.iter_mut().find(|row| row.key.phase == Phase::Throughput).unwrap();
        let mut times = [10; 300];
        times[..10].fill(70);
        row.outcome = millis(&times);
        let Key { params, .. } = row.key.clone();
        let rules = "[[rule]]\nmatch = { phase = \"throughput\" }\nceiling_ms = 50\nstatistic = \"p99\"";
        let verdict = run(&[&new], &[&new], rules);
        let key = of(&verdict, |key| key.params == params && key.metric == Metric::Time);
        assert_eq!((key.held_ns, key.too_few, key.above_ceiling), (Some(70e6), None, true));
    }

    #[test]
    fn a_whole_cold_start_holds_the_pull_of_the_users_image() {
        let start = |profile: &mut Profile| {
            profile.totals.push(Total {
                kind: TotalKind::Container,
                params: Params::new().with("page_cache", "cold"),
                ends_with: Phase::FirstBatch,
                outcome: millis(&[4_000, 5_000, 6_000]),
            });
        };
        let pulled = |source: ImageSource, name: &str, pulls: &[u64]| {
            let mut profile = profile();
            start(&mut profile);
            let image = ImageTarget {
                source,
                reference: "registry.example.com/serve:1.4".to_owned(),
                digest: None,
                compressed_bytes: None,
                unpacked_bytes: None,
                layers: None,
            };
            profile.target.image = Some(image);
            profile.measurements.retain(|row| row.key.phase != Phase::ImagePull);
            profile.measurements.push(coldstart_profiles::Measurement {
                key: Key::host(Phase::ImagePull, Params::new().with("source", name)),
                work: None,
                limit: None,
                outcome: millis(pulls),
            });
            profile
        };
        let new = pulled(ImageSource::Reference, "registry", &[30_000]);
        let warm_up =
            new.of_phase(Phase::WarmUp).find_map(|row| Some(row.outcome.as_measured()?.1.p50_ns)).unwrap();
        let rules = "[[rule]]\nmatch = { metric = \"total\", params = { total = \"whole\" } }\nceiling_ms = 20000\nrequired = true";
        let verdict = run(&[&new], &[&new], rules);
        let key = of(&verdict, SeriesKey::is_whole);
        assert_eq!(
            key.held_ns,
            Some(35e9 + warm_up.as_nanos() as f64),
            "the middle start, the pull, a warm-up"
        );
        assert!(key.above_ceiling && key.advisory && key.key.phase == Phase::WarmUp, "{key:?}");
        assert_eq!((verdict.standing, key.key.clock), (Standing::Regression, Clock::Host));
        // One pull of three that takes ten times as long is in no median, and in every other statistic.
        let slow = pulled(ImageSource::Reference, "registry", &[30_000, 30_000, 300_000]);
        for (statistic, above, too_few) in
            [("p50", false, None), ("p90", true, Some(3)), ("p99", true, Some(3)), ("max", true, None)]
        {
            let rules = format!(
                "[[rule]]\nmatch = {{ params = {{ total = \"whole\" }} }}\nceiling_ms = 60000\nstatistic = \"{statistic}\""
            );
            let verdict = run(&[&slow], &[&slow], &rules);
            let key = of(&verdict, SeriesKey::is_whole);
            assert_eq!((key.above_ceiling, key.too_few), (above, too_few), "{statistic}: {:?}", key.held_ns);
            assert_eq!(verdict.standing == Standing::Regression, above, "{statistic}");
            assert_eq!(key.held_ns.is_some_and(|ns| ns > 306e9), above, "{statistic}: {:?}", key.held_ns);
        }
        // How long a user's pull takes, a synthetic one does not say: there is nothing to be held against the ceiling.
        let synthetic = pulled(ImageSource::Synthetic, "synthetic", &[30_000]);
        let verdict = run(&[&synthetic], &[&synthetic], rules);
        assert_eq!(verdict.standing, Standing::Incomparable, "{:?}", verdict.reasons);
    }
}
