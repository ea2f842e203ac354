//! A profile as a page for a terminal: the answer first, then what it rests on, then what is wrong with it.

mod answer;
mod benchmarks;
mod fits;
mod limits;
pub(crate) use limits::others;
mod notes;
mod processes;
mod products;
mod pull;
mod section;
mod startup;
mod telemetry;
mod throughput;
mod title;
mod warm_up;
mod waterfall;
mod weights;

use coldstart_profiles::Profile;

use crate::style::Style;

pub(crate) use answer::{Beside, answer_sentence, beside, whose, widest};
pub(crate) use benchmarks::rows as benchmark_rows;
pub(crate) use section::section;
pub(crate) use throughput::knees_text;
pub(crate) use title::headline;
pub(crate) use waterfall::{heading, reasons};

/// A profile as tables: what was measured on what, the answer in one sentence, the waterfall of the cold start,
/// ways of loading the weights, the image pull, warm-up, throughput and its knees, single processes, fits, telemetry, matrix products, limits, and what to know before trusting it.
///
/// Tables keep to the width of `style` from 40 columns on. Every profile can be shown, whatever it lacks.
pub fn terminal(profile: &Profile, style: &Style) -> String {
    let parts = [
        title::title(profile, style),
        answer::answer(profile, style),
        waterfall::waterfalls(profile, style),
        startup::startup(profile, style),
        weights::weights(profile, style),
        pull::pull(profile, style),
        warm_up::warm_up(profile, style),
        throughput::throughput(profile, style),
        processes::processes(profile, style),
        benchmarks::benchmarks(profile, style),
        fits::fits(profile, style),
        telemetry::telemetry(profile, style),
        products::products(profile, style),
        limits::limits(profile, style),
        limits::fitness(profile, style),
        notes::notes(profile, style),
    ];
    let filled: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    filled.join("\n")
}
