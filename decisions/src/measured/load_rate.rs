//! How fast weights come onto the device, by storage, page cache and strategy.

use coldstart_profiles::{Bytes, Key, Measurement, Nanos, Phase, Profile, Work};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::facts::storage_of;
use crate::basis::{Basis, Figure};

/// Loads of the weights by one strategy from one storage, over the profiles of a class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LoadRate {
    /// What the files lay on, such as `ext4`, `nfs4` or `tmpfs`.
    pub storage: String,
    /// Whether the storage itself was read (`cold`), the page cache (`warm`), or files that live in memory (`memory`).
    pub page_cache: String,
    /// The strategy, such as `direct`.
    pub staging: String,
    /// The key's other conditions are part of it.
    pub key: Key,
    /// Bytes of one load.
    pub bytes: Bytes,
    /// The median time of a load.
    pub median_ns: Figure<Nanos>,
    /// The largest time.
    pub max_ns: Nanos,
    /// Bytes per second at the median.
    pub bytes_per_s: Figure<f64>,
    /// Achieved ÷ limit at the median of the first profile; `null` where no limit was measured.
    pub of_limit: Option<f64>,
    /// What its numbers rest on.
    pub basis: Basis,
}

/// Every strategy's loads to one device, those of equal conditions on one storage together; the fastest first of each state
/// of the page cache on each storage.
pub(super) fn load_rates(profiles: &[&Profile]) -> Vec<LoadRate> {
    let mut groups: Vec<(String, Vec<&Measurement>)> = Vec::new();
    for profile in profiles {
        let storage = storage_of(profile);
        for row in profile.of_phase(Phase::WeightsLoad) {
            // Loads to several devices at once, and the device's own clock, say something else.
            let own = row.key == Key::host(row.key.phase, row.key.params.clone());
            if !own || row.key.params.get("devices").is_some() || row.outcome.as_measured().is_none() {
                continue;
            }
            let same = |(known, rows): &&mut (String, Vec<&Measurement>)| {
                *known == storage && rows.first().is_some_and(|first| first.key == row.key)
            };
            match groups.iter_mut().find(same) {
                Some((_, rows)) => rows.push(row),
                None => groups.push((storage.clone(), vec![row])),
            }
        }
    }
    let mut rates: Vec<LoadRate> =
        groups.into_iter().filter_map(|(storage, rows)| load_rate(storage, &rows)).collect();
    rates.sort_by(|a, b| {
        let place = |rate: &LoadRate| (rate.storage.clone(), rate.page_cache.clone());
        place(a).cmp(&place(b)).then(b.bytes_per_s.value.total_cmp(&a.bytes_per_s.value))
    });
    rates
}

fn load_rate(storage: String, rows: &[&Measurement]) -> Option<LoadRate> {
    use coldstart_profiles::stats::{OrderStatistics, Percentile};
    let first = rows.first()?;
    let Some(Work::Bytes(bytes)) = first.work else { return None };
    let times: Vec<Nanos> =
        rows.iter().filter_map(|row| Some(row.outcome.as_measured()?.0.included())).flatten().collect();
    let n = times.len();
    let order = OrderStatistics::new(times).ok()?;
    let median = order.nearest_rank(Percentile::P50);
    let params = &first.key.params;
    let basis = Basis::measured("median over fresh processes", [first.key.clone()], n);
    let all = Basis {
        formula: "loads of all tensors by fresh processes; of_limit = achieved ÷ the limit of the same run"
            .to_owned(),
        ..basis.clone()
    };
    let rate = Basis { formula: "bytes ÷ median time of a load".to_owned(), ..basis.clone() };
    Some(LoadRate {
        storage,
        page_cache: params.get("page_cache").unwrap_or("unknown").to_owned(),
        staging: params.get("staging").unwrap_or("unknown").to_owned(),
        key: first.key.clone(),
        bytes,
        median_ns: Figure::new(median, basis),
        max_ns: order.max(),
        bytes_per_s: Figure::new(Work::Bytes(bytes).rate(median)?, rate),
        of_limit: first.achieved(),
        basis: all,
    })
}
