//! A profile as markdown, for `$GITHUB_STEP_SUMMARY`.

use coldstart_profiles::{Outcome, Profile, RunState, TotalKind, Waterfall};

use crate::comparison::{MANY, spread};
use crate::scale::percent;
use crate::style::{PLAIN, obeyed};
use crate::terminal::{answer_sentence, benchmark_rows, heading, headline, reasons};
use crate::{comparison, terminal};

/// Longer text is cut: a name of a megabyte must not bury the numbers.
const LONGEST: usize = 600;

/// One profile, or several side by side: the answer, the cold start as a table, caveats, what was not measured, and all tables
/// folded. Five and more are taken for nodes of a fleet: distributions, and a line for each.
pub fn markdown(profiles: &[(&str, &Profile)]) -> String {
    if profiles.len() >= MANY {
        return of_nodes(profiles);
    }
    let mut text = String::new();
    for (name, profile) in profiles {
        let named = if profiles.len() > 1 { format!("{name}: ") } else { String::new() };
        text.push_str(&format!("### {}\n\n", escape(&format!("{named}{}", headline(profile)))));
        if profile.target.device.stand_in {
            text.push_str("**STAND-IN driver: nothing measured on it means anything.**\n\n");
        }
        if profile.state != RunState::Complete {
            text.push_str("**This run is not complete: `coldstart run --resume` continues it.**\n\n");
        }
        text.push_str(&format!("{}\n\n", escape(&answer_sentence(profile))));
        for kind in [TotalKind::Pod, TotalKind::Container, TotalKind::Process] {
            if let Some(waterfall) = profile.waterfall(kind) {
                text.push_str(&format!("#### {}\n\n", heading(kind)));
                text.push_str(&table(&waterfall));
            }
        }
        text.push_str(&benchmarks(profile));
        for caveat in &profile.caveats {
            text.push_str(&format!("- ⚠️ {}\n", escape(&caveat.text)));
        }
        let failed = profile.measurements.iter().filter_map(|row| match &row.outcome {
            Outcome::Failed { why } => {
                Some(format!("- ❌ {}: {}\n", escape(&row.key.to_string()), escape(why)))
            }
            _ => None,
        });
        text.extend(failed);
        let skipped = reasons(profile, |_| true);
        if !skipped.is_empty() {
            text.push_str("\n#### Not measured\n\n");
            text.extend(skipped.iter().map(|(what, why)| format!("- {}: {}\n", escape(what), escape(why))));
        }
        text.push_str(&folded("All tables", &terminal(profile, &PLAIN)));
    }
    if profiles.len() > 1 {
        text.push_str(&folded("Side by side", &comparison(profiles, &PLAIN)));
    }
    text
}

/// Many profiles are nodes of a fleet: how they compare, then a line for each.
fn of_nodes(profiles: &[(&str, &Profile)]) -> String {
    let mut text = format!("### {} nodes\n\n{}\n", profiles.len(), escape(&spread(profiles)));
    text.push_str(&folded("Distributions", &comparison(profiles, &PLAIN)));
    for (name, profile) in profiles {
        let mut doubts = String::new();
        if profile.target.device.stand_in {
            doubts.push_str(" **STAND-IN driver: nothing measured on it means anything.**");
        }
        if profile.state != RunState::Complete {
            doubts.push_str(" **This run is not complete.**");
        }
        if !profile.caveats.is_empty() {
            doubts.push_str(&format!(" ⚠️ {} caveats", profile.caveats.len()));
        }
        text.push_str(&format!("- {}: {}{doubts}\n", escape(name), escape(&answer_sentence(profile))));
    }
    text
}

fn table(waterfall: &Waterfall<'_>) -> String {
    let mut text =
        String::from("| phase | median | least | largest | share | of limit |\n|---|--:|--:|--:|--:|--:|\n");
    for part in &waterfall.parts {
        text.push_str(&format!(
            "| {} | {} | {} | {} | {} | {} |\n",
            part.phase,
            part.time.p50_ns,
            part.time.min_ns,
            part.time.max_ns,
            percent(part.share),
            part.achieved().map_or_else(String::new, |achieved| format!("{achieved:.2}"))
        ));
    }
    let rest = percent(waterfall.unattributed_share);
    for (name, summary, share) in
        [("unattributed", &waterfall.unattributed, rest.as_str()), ("**total**", &waterfall.total, "100 %")]
    {
        text.push_str(&format!(
            "| {name} | {} | {} | {} | {share} | |\n",
            summary.p50_ns, summary.min_ns, summary.max_ns
        ));
    }
    text.push('\n');
    text
}

/// Imported benchmarks as a table; nothing without any.
fn benchmarks(profile: &Profile) -> String {
    let rows = benchmark_rows(profile);
    if rows.is_empty() {
        return String::new();
    }
    let lines =
        rows.iter().map(|row| format!("| {} |\n", row.each_ref().map(|cell| escape(cell)).join(" | ")));
    format!(
        "| benchmark | median | least | largest | rate | samples |\n|---|--:|--:|--:|--:|--:|\n{}\n",
        lines.collect::<String>()
    )
}

/// Preformatted text that is shown on request; HTML, because a fence could be closed from inside.
pub(crate) fn folded(title: &str, text: &str) -> String {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    format!("\n<details><summary>{title}</summary>\n\n<pre>\n{escaped}</pre>\n</details>\n\n")
}

/// Text that markdown and the HTML in it show and do not obey, on one line.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len().min(LONGEST));
    for (index, c) in text.chars().enumerate() {
        if index == LONGEST {
            escaped.push('…');
            break;
        }
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '|' | '\\' | '`' | '*' | '_' | '[' | ']' | '#' | '~' | '!' | '@' => {
                escaped.push('\\');
                escaped.push(c);
            }
            c if obeyed(c) => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}
