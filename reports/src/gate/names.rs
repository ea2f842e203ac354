//! Short names of what was compared, for tables: what does not tell one from another is left out.

use std::collections::{BTreeMap, BTreeSet};

use coldstart_decisions::gate::{Metric, SeriesKey};
use coldstart_profiles::{Clock, Phase};

/// Conditions that need their name beside their value, though it is no number.
const NAMED: [&str; 3] = ["jit_cache", "implementation", "device"];

/// Names of the keys of one verdict or policy: `weights_load cold direct` instead of
/// `weights_load{page_cache=cold,staging=direct} time`. Conditions that are the same in all keys of a phase and metric are left out.
#[derive(Debug)]
pub(super) struct Names<'k> {
    varies: BTreeMap<(Phase, Metric), BTreeSet<&'k str>>,
}

impl<'k> Names<'k> {
    /// Names that tell these keys from each other.
    pub(super) fn of(keys: impl IntoIterator<Item = &'k SeriesKey>) -> Self {
        let mut values: BTreeMap<(Phase, Metric), Vec<&'k SeriesKey>> = BTreeMap::new();
        for key in keys {
            values.entry((key.phase, key.metric)).or_default().push(key);
        }
        let varying = |keys: &[&'k SeriesKey]| {
            let names: BTreeSet<&str> =
                keys.iter().flat_map(|key| key.params.iter()).map(|(name, _)| name).collect();
            let differs = |name: &&str| {
                let mut values = keys.iter().map(|key| key.params.get(name));
                let first = values.next().flatten();
                values.any(|value| value != first)
            };
            names.into_iter().filter(differs).collect()
        };
        Names { varies: values.into_iter().map(|(group, keys)| (group, varying(&keys))).collect() }
    }

    /// The name of one of the keys.
    pub(super) fn name(&self, key: &SeriesKey) -> String {
        let varies = self.varies.get(&(key.phase, key.metric));
        let mut parts: Vec<String> = Vec::new();
        match (key.metric, key.params.get("total")) {
            (Metric::Total, Some(kind)) => parts.push(format!("total {kind} to {}", key.phase)),
            _ => parts.push(key.phase.to_string()),
        }
        let told =
            |(name, _): &(&str, &str)| *name != "total" && varies.is_some_and(|varies| varies.contains(name));
        let speaks =
            |(name, value): &(&str, &str)| !NAMED.contains(name) && value.starts_with(char::is_alphabetic);
        let (plain, named): (Vec<_>, Vec<_>) = key.params.iter().filter(told).partition(speaks);
        parts.extend(plain.into_iter().map(|(_, value)| value.to_owned()));
        parts.extend(named.into_iter().map(|(name, value)| format!("{name}={value}")));
        match key.metric {
            Metric::Time | Metric::Total => {}
            Metric::TimesLimit => parts.push("×limit".to_owned()),
            Metric::SteadyTime => parts.push("steady".to_owned()),
        }
        if key.clock == Clock::Device {
            parts.push("@device".to_owned());
        }
        parts.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use coldstart_profiles::Params;

    use super::*;

    fn key(phase: Phase, metric: Metric, params: &[(&str, &str)]) -> SeriesKey {
        let params = params.iter().fold(Params::new(), |params, (name, value)| params.with(name, value));
        SeriesKey { phase, params, clock: Clock::Host, metric }
    }

    #[test]
    fn what_is_always_the_same_is_left_out_and_names_stay_apart() {
        let keys = [
            key(Phase::Alloc, Metric::Time, &[]),
            key(Phase::WeightsLoad, Metric::Time, &[("page_cache", "cold"), ("staging", "direct")]),
            key(Phase::WeightsLoad, Metric::Time, &[("page_cache", "warm"), ("staging", "direct")]),
            key(Phase::WeightsLoad, Metric::TimesLimit, &[("page_cache", "warm"), ("staging", "direct")]),
            key(Phase::Throughput, Metric::Time, &[("batch", "1"), ("mode", "decode"), ("context", "32")]),
            key(Phase::Throughput, Metric::Time, &[("batch", "1"), ("mode", "decode"), ("context", "128")]),
            key(Phase::Throughput, Metric::Time, &[("batch", "1"), ("mode", "prefill"), ("prompt", "32")]),
            key(Phase::FirstBatch, Metric::Total, &[("total", "process"), ("staging", "direct")]),
            key(Phase::FirstBatch, Metric::Total, &[("total", "container"), ("staging", "direct")]),
        ];
        let names = Names::of(&keys);
        let named: Vec<String> = keys.iter().map(|key| names.name(key)).collect();
        assert_eq!(
            named,
            [
                "alloc",
                "weights_load cold",
                "weights_load warm",
                "weights_load ×limit",
                "throughput decode context=32",
                "throughput decode context=128",
                "throughput prefill prompt=32",
                "total process to first_batch",
                "total container to first_batch",
            ]
        );
        assert_eq!(BTreeSet::from_iter(&named).len(), keys.len());
    }
}
