//! Bencher Metric Format (<https://bencher.dev/docs/reference/bencher-metric-format/>): benchmarks by name, each with its
//! measures by slug, each a value with what it lies between.

use coldstart_profiles::Profile;
use serde_json::{Map, Value, json};

use super::rows::{bounds, rows};
use super::{ExportError, Exported};

const NAME: &str = "bmf";
/// The longest name of a benchmark that Bencher takes, in bytes.
const LONGEST_NAME: usize = 1024;

/// A profile as Bencher's metrics: `latency` in nanoseconds, which is Bencher's own measure, and where there are any
/// `tokens-per-second` and `share-of-limit`.
pub(super) fn export(name: &str, profile: &Profile) -> Result<Exported, ExportError> {
    let mut benchmarks = Map::new();
    for row in rows(profile) {
        if row.name.len() > LONGEST_NAME {
            return Err(ExportError::Refused {
                target: NAME,
                profile: super::error::cut(name),
                why: format!(
                    "Bencher takes names of up to {LONGEST_NAME} bytes, and a key has {}: shorten its conditions",
                    row.name.len()
                ),
            });
        }
        let (low, high) = bounds(row.summary);
        let mut measures = Map::new();
        let p50 = row.summary.p50_ns.as_nanos() as f64;
        measures.insert("latency".into(), json!({"value": p50, "lower_value": low, "upper_value": high}));
        let rates = [("tokens-per-second", row.tokens_per_s), ("share-of-limit", row.achieved)];
        for (slug, value) in rates.into_iter().filter_map(|(slug, value)| Some((slug, value?))) {
            measures.insert(slug.into(), json!({"value": value}));
        }
        if benchmarks.insert(row.name.clone(), Value::Object(measures)).is_some() {
            return Err(ExportError::Twice {
                target: NAME,
                what: row.name,
                remedy: "shorten the conditions",
            });
        }
    }
    if benchmarks.is_empty() {
        return Err(ExportError::Empty { target: NAME, profile: super::error::cut(name) });
    }
    Ok(Exported::File(format!("{:#}\n", Value::Object(benchmarks))))
}
