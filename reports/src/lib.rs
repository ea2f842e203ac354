//! Profiles, plans and checks as text: functions from data to `String`.
//!
//! No file is opened and no clock is read here, and nothing is computed that belongs to a profile. Names, references
//! and error messages in a profile are untrusted: what a terminal would obey is shown instead.

#![forbid(unsafe_code)]

mod bar;
mod comparison;
mod doctor;
mod export;
mod gate;
mod grid;
mod html;
mod markdown;
mod run_plan;
mod scale;
mod self_test;
mod serving_plan;
mod style;
mod terminal;
#[cfg(test)]
mod tests;
mod text;
mod trace_events;

pub use comparison::comparison;
pub use doctor::doctor;
pub use export::{
    EXPORT_TARGETS, ExportError, ExportFrom, ExportSettings, ExportTarget, Exported, ExportedFile,
    LABEL_PREFIX, Named, Workload, export_target,
};
pub use gate::{
    calibration, gate_annotations, gate_junit, gate_markdown, gate_table, history_markdown, history_table,
};
pub use html::{html, serving_plan_html};
pub use markdown::markdown;
pub use run_plan::run_plan_table;
pub use self_test::{self_test_line, self_test_totals};
pub use serving_plan::{explanation, serving_plan, serving_plan_markdown};
pub use style::{Style, harmless, harmless_json};
pub use terminal::terminal;
pub use trace_events::trace_events;
