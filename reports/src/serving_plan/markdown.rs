//! A plan as markdown.

use coldstart_decisions::plan::ServingPlan;

use super::{sentence, serving_plan, title};
use crate::markdown::{escape, folded};
use crate::style::PLAIN;

/// The sentence and what to know before following it as text, and the tables as they stand on a terminal, folded.
pub fn serving_plan_markdown(plan: &ServingPlan) -> String {
    let mut text = format!("### {}\n\n{}\n", escape(&title(plan)), escape(&sentence(plan)));
    if !plan.caveats.is_empty() {
        text.push('\n');
    }
    for caveat in &plan.caveats {
        text.push_str(&format!("- ⚠️ {}\n", escape(caveat)));
    }
    text.push_str(&folded("All tables", &serving_plan(plan, &PLAIN)));
    text
}
