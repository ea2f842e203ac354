//! The answer of `coldstart plan` as text: tables, the derivation of a number, markdown.
//!
//! (What a measuring run is going to do stands in `run_plan`.)

mod autoscaler;
mod capacity;
mod comparison;
mod explanation;
mod markdown;
mod places;
mod quantity;
mod sentence;

pub use explanation::explanation;
pub use markdown::serving_plan_markdown;
pub(crate) use places::crossovers;
pub(crate) use sentence::{sentence, title};

use coldstart_decisions::plan::ServingPlan;

use crate::style::{Style, Tone};
use crate::terminal::section;
use crate::text::paragraph;

/// A plan for a terminal: the sentence, what it rests on, the settings, and what to know before following it.
pub fn serving_plan(plan: &ServingPlan, style: &Style) -> String {
    let mut text = section(style, &title(plan), "", &paragraph(style, Tone::Strong, &sentence(plan)));
    for part in [
        comparison::courses(plan, style),
        capacity::service(plan, style),
        capacity::lead_time(plan, style),
        capacity::warm(plan, style),
        capacity::sensitivity(plan, style),
        autoscaler::targets(plan, style),
        autoscaler::behaviour(plan, style),
        capacity::classes(plan, style),
        comparison::policies(plan, style),
        comparison::standby(plan, style),
        places::locality(plan, style),
        places::mitigations(plan, style),
        caveats(plan, style),
    ] {
        if !part.is_empty() {
            text.push('\n');
            text.push_str(&part);
        }
    }
    text.push('\n');
    let more = "`--explain FIELD` says where a number comes from, `--explain list` names the fields; `--out FILE` keeps the plan.";
    text.push_str(&paragraph(style, Tone::Faint, more));
    text
}

fn caveats(plan: &ServingPlan, style: &Style) -> String {
    let body: String = plan.caveats.iter().map(|caveat| paragraph(style, Tone::Warn, caveat)).collect();
    section(style, "Before you follow this", "", &body)
}
