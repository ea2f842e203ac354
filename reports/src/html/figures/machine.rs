//! Whether the machine was quiet and fit, before and after the run.

use coldstart_profiles::Profile;

use super::{Figure, head};
use crate::html::page::clean;
use crate::terminal::others;

/// What was read before and after; nothing where nothing was.
pub(super) fn machine(profile: &Profile) -> Option<Figure> {
    let fitness = &profile.fitness;
    let reading = |when: &str| fitness.canary.iter().find(|reading| reading.when == when);
    let look = |when: &str| profile.telemetry.looks.iter().find(|look| look.when == when);
    let both = |name: &str, of: &dyn Fn(&str) -> Option<String>| {
        let [before, after] = ["before", "after"].map(of);
        (before.is_some() || after.is_some()).then(|| {
            let told = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
            vec![name.to_owned(), told(before), told(after)]
        })
    };
    let load = |when: &str| {
        let load = if when == "before" { fitness.load_average_before } else { fitness.load_average_after };
        load.filter(|load| load.is_finite()).map(|load| format!("{load:.2}"))
    };
    let processes = |when: &str| {
        let found: Vec<String> = look(when)?.processes.iter().map(ToString::to_string).collect();
        Some(if found.is_empty() { "none".to_owned() } else { clean(&found.join(", ")) })
    };
    let rows: Vec<Vec<String>> = [
        both("load average over a minute", &load),
        both("canary: a copy of 64 MiB", &|when| Some(reading(when)?.copy_ns.to_string())),
        both("canary: a product of 512 × 512 × 512", &|when| Some(reading(when)?.gemm_ns.to_string())),
        both("state of the GPU’s driver", &|when| Some(look(when)?.driver_state?.name().to_owned())),
        both("temperature of the GPU", &|when| Some(format!("{} °C", look(when)?.temperature_c?))),
        both("other processes on the GPU", &processes),
    ]
    .into_iter()
    .flatten()
    .collect();
    let meanwhile = fitness.contention.and_then(others).map_or_else(String::new, |share| {
        format!(
            " While the run measured, others had {share} of the time of the processors that it could use."
        )
    });
    (!rows.is_empty()).then(|| Figure {
        id: "machine".to_owned(),
        title: "The machine before and after the run".to_owned(),
        panels: Vec::new(),
        legend: Vec::new(),
        caption: format!(
            "The canary is work that is the same in every run: where it took longer, something else moved than what is measured.{meanwhile}"
        ),
        head: head(["", "before", "after"]),
        rows,
        links: Vec::new(),
    })
}
