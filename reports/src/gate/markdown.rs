//! Verdicts as GitHub-flavoured markdown, for `$GITHUB_STEP_SUMMARY` and comments.

use coldstart_decisions::gate::{Evidence, KeyVerdict, SourceProfile, Sources, Standing, Verdict};

use super::{ceiling, chance, change, difference, interval, is_told, judgement, own_reasons, value, why};
use crate::markdown::escape;

/// A verdict as markdown: how it ended, why, and a table of what decides and is not simply the same; the rest, the evidence
/// and what was compared with what are folded.
pub fn gate_markdown(verdict: &Verdict) -> String {
    let sign = match verdict.standing {
        Standing::Passed => "✅",
        Standing::Regression => "❌",
        Standing::Incomparable | Standing::Unfit | Standing::Inconclusive => "⚠️",
    };
    let mut text = format!("### {sign} coldstart gate: {}\n\n", verdict.standing.name());
    for reason in own_reasons(verdict) {
        text.push_str(&format!("- {}\n", escape(reason)));
    }
    for warning in &verdict.warnings {
        text.push_str(&format!("- warning: {}\n", escape(&warning.text)));
    }
    let (told, folded_up): (Vec<_>, Vec<_>) = verdict.keys.iter().partition(|key| is_told(key));
    let (rest, same): (Vec<_>, Vec<_>) =
        folded_up.into_iter().partition(|key| key.advisory || key.judgement.name() != "same");
    if verdict.keys.iter().any(|key| key.detectable.is_some()) {
        text.push_str("\n*finds*: the smallest slowdown that this gate finds in nine of ten comparisons.\n");
    }
    if !told.is_empty() {
        text.push_str(&table(&told));
    }
    for (title, keys) in [("the same", same), ("advisory, missing or let pass", rest)] {
        if !keys.is_empty() {
            text.push_str(&folded(&format!("{} {title}", keys.len()), &table(&keys)));
        }
    }
    let evidence = evidence(&verdict.keys);
    if !evidence.is_empty() {
        text.push_str(&folded("Evidence", &evidence));
    }
    text.push_str(&folded("What was compared", &sources(verdict)));
    text
}

fn table(keys: &[&KeyVerdict]) -> String {
    let mut rows = String::from(
        "\n| what | baseline | new | change | 95 % interval | threshold | finds | verdict | |\n|---|--:|--:|--:|--:|--:|--:|---|---|\n",
    );
    for key in keys {
        let evidence = key.evidence.as_ref();
        let metric = key.key.metric;
        let known = |of: fn(&Evidence) -> String| evidence.map_or_else(String::new, of);
        let cells = [
            escape(&key.key.to_string()),
            evidence.map_or_else(String::new, |evidence| value(metric, evidence.baseline_median)),
            evidence.map_or_else(String::new, |evidence| value(metric, evidence.new_median)),
            known(|evidence| change(evidence.ratio_of_medians)),
            known(interval),
            known(|evidence| percent(evidence.thresholds.relative)),
            key.detectable.map_or_else(String::new, percent),
            judgement(key),
            ceiling(key).unwrap_or_else(|| escape(why(key))),
        ];
        rows.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    rows
}

/// What each judgement rests on; all but the ratios of medians and of best trials is printed, not decided on.
fn evidence(keys: &[KeyVerdict]) -> String {
    let mut rows = String::new();
    let known = keys.iter().filter_map(|key| Some((key, key.evidence.as_ref()?)));
    for (key, evidence) in known {
        let cells = [
            escape(&key.key.to_string()),
            format!("{} + {}", evidence.baseline_trials, evidence.new_trials),
            format!("{:.3}", evidence.ratio_of_medians),
            format!("{:.3}", evidence.ratio_of_best),
            difference(key, evidence),
            interval(evidence),
            evidence.mann_whitney.map_or_else(String::new, |test| chance(test.p)),
            evidence.cliffs_delta.map_or_else(String::new, |delta| format!("{delta:+.2}")),
        ];
        rows.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    if rows.is_empty() {
        return rows;
    }
    format!(
        "\n| what | trials | R_med | R_min | Δ | 95 % of R_med | Mann-Whitney p | Cliff's δ |\n|---|--:|--:|--:|--:|--:|--:|--:|\n{rows}"
    )
}

/// Names, dates and versions of what was compared.
fn sources(verdict: &Verdict) -> String {
    let Sources { baseline, new, rules, policy } = &verdict.sources;
    let mut text = String::from("\n| | what | begun | by | machine | model |\n|---|---|---|---|---|---|\n");
    for (side, profiles) in [("baseline", baseline), ("new", new)] {
        for SourceProfile { name, started_at, tool, machine, model, .. } in profiles {
            let tool = format!("{} {}, method {}", tool.name, tool.version, tool.method);
            let model = model.as_deref().unwrap_or_default();
            let cells = [name, started_at, &tool, machine, model].map(escape).join(" | ");
            text.push_str(&format!("| {side} | {cells} |\n"));
        }
    }
    if let Some(rules) = rules {
        text.push_str(&format!("| rules | {} | | | | |\n", escape(rules)));
    }
    if let Some(policy) = policy {
        let made = format!("{} runs", policy.runs);
        let cells = [&policy.name, &policy.calibrated_at, &made, &policy.machine]
            .map(|text| escape(text))
            .join(" | ");
        text.push_str(&format!("| policy | {cells} | |\n"));
    }
    if let (Some(tool), Some(at)) = (&verdict.tool, &verdict.judged_at) {
        text.push_str(&format!(
            "| judged | | {} | {} {} | | |\n",
            escape(at),
            escape(&tool.name),
            escape(&tool.version)
        ));
    }
    text
}

/// What is shown on request.
fn folded(title: &str, table: &str) -> String {
    format!("\n<details><summary>{title}</summary>\n{table}\n</details>\n")
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}
