//! Verdicts as GitHub-flavoured markdown, for `$GITHUB_STEP_SUMMARY` and comments.

use coldstart_decisions::gate::{Standing, Verdict};

use super::{change, interval, judgement, value, why};
use crate::markdown::escape;

/// A verdict as markdown: how it ended, why, and a table of everything that is not plainly the same; the rest is folded.
pub fn gate_markdown(verdict: &Verdict) -> String {
    let sign = match verdict.standing {
        Standing::Passed => "✅",
        Standing::Regression => "❌",
        Standing::Incomparable | Standing::Unfit | Standing::Inconclusive => "⚠️",
    };
    let mut text = format!("### {sign} coldstart gate: {}\n\n", verdict.standing.name());
    for reason in &verdict.reasons {
        text.push_str(&format!("- {}\n", escape(reason)));
    }
    let (same, other): (Vec<_>, Vec<_>) =
        verdict.keys.iter().partition(|key| key.judgement.name() == "same" && !key.above_ceiling);
    let table = |keys: &[&coldstart_decisions::gate::KeyVerdict]| {
        let mut rows = String::from(
            "\n| what | baseline | new | change | 95 % interval | threshold | finds | verdict | |\n|---|--:|--:|--:|--:|--:|--:|---|---|\n",
        );
        for key in keys {
            let evidence = key.evidence.as_ref();
            let metric = key.key.metric;
            let cells = [
                escape(&key.key.to_string()),
                evidence.map_or_else(String::new, |evidence| value(metric, evidence.baseline_median)),
                evidence.map_or_else(String::new, |evidence| value(metric, evidence.new_median)),
                evidence.map_or_else(String::new, |evidence| change(evidence.ratio_of_medians)),
                evidence.map_or_else(String::new, interval),
                evidence.map_or_else(String::new, |evidence| percent(evidence.thresholds.relative)),
                key.detectable.map_or_else(String::new, percent),
                judgement(key),
                escape(why(key)),
            ];
            rows.push_str(&format!("| {} |\n", cells.join(" | ")));
        }
        rows
    };
    if verdict.keys.iter().any(|key| key.detectable.is_some()) {
        text.push_str("\n*finds*: the smallest slowdown that this gate finds in nine of ten comparisons.\n");
    }
    if !other.is_empty() {
        text.push_str(&table(&other));
    }
    if !same.is_empty() {
        let folded = table(&same);
        text.push_str(&format!(
            "\n<details><summary>{} the same</summary>\n{folded}\n</details>\n",
            same.len()
        ));
    }
    text
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}
