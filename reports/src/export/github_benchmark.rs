//! The custom format of github-action-benchmark (<https://github.com/benchmark-action/github-action-benchmark>) for its tool
//! `customSmallerIsBetter`: so times only, in milliseconds.

use std::collections::BTreeSet;

use coldstart_profiles::{Profile, Summary};
use serde_json::{Value, json};

use super::rows::{bounds, rows};
use super::{ExportError, Exported};

const NAME: &str = "github-benchmark";

/// A profile as a list of times. `range` is half of what the median lies between; `extra` the spread in words.
pub(super) fn export(name: &str, profile: &Profile) -> Result<Exported, ExportError> {
    let (mut benchmarks, mut names) = (Vec::<Value>::new(), BTreeSet::new());
    for row in rows(profile) {
        let (low, high) = bounds(row.summary);
        // The action writes names into tables of markdown comments.
        let shown = row.name.replace(['|', '`'], "¦");
        if !names.insert(shown.clone()) {
            return Err(ExportError::Twice { target: NAME, what: shown, remedy: "shorten the conditions" });
        }
        benchmarks.push(json!({
            "name": shown,
            "unit": "ms",
            "value": row.summary.p50_ns.as_millis_f64(),
            "range": format!("± {}", (high - low) / 2.0 / 1e6),
            "extra": extra(row.summary, row.achieved),
        }));
    }
    if benchmarks.is_empty() {
        return Err(ExportError::Empty { target: NAME, profile: super::error::cut(name) });
    }
    Ok(Exported::File(format!("{:#}\n", Value::Array(benchmarks))))
}

/// What a reader sees beside the point: `n = 5`, the extremes, and the share of the limit.
fn extra(summary: &Summary, achieved: Option<f64>) -> String {
    let mut text = format!("n = {}\nmin {}\nmax {}", summary.n, summary.min_ns, summary.max_ns);
    if let Some(achieved) = achieved {
        text.push_str(&format!("\n{achieved:.2} of the limit"));
    }
    text
}
