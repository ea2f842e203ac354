//! What stands on the page of a profile.

use coldstart_decisions::plan::ServingPlan;
use coldstart_profiles::{Outcome, Profile, RunState, TraceEnd};

use super::figures::{self, Figure};
use crate::comparison::{MANY, differences, spread};
use crate::serving_plan::{sentence, title};
use crate::style::PLAIN;
use crate::text::counted;
use crate::{comparison as comparison_table, serving_plan, terminal};

/// The id of the page that stands before several profiles.
const COMPARISON: &str = "comparison";
/// One page.
pub(super) struct Page {
    pub(super) id: String,
    pub(super) heading: String,
    pub(super) warnings: Vec<String>,
    pub(super) answer: String,
    pub(super) facts: String,
    /// Other pages that this one leads to: their ids and names.
    pub(super) links: Vec<(String, String)>,
    pub(super) caveats: Vec<String>,
    pub(super) figures: Vec<Figure>,
    pub(super) failures: Vec<String>,
    pub(super) skipped: Vec<String>,
    /// Everything as text; empty where there are too many pages for it.
    pub(super) tables: String,
}

/// The id of the page of a profile.
pub(super) fn id_of(index: usize) -> String {
    format!("p{index}")
}

/// Text that may hold anything, on one line and not too long. Escaping is the template's.
pub(super) fn clean(text: &str) -> String {
    PLAIN.clean(text)
}

/// The page of one profile; `name` where there are several.
pub(super) fn of(profile: &Profile, name: Option<&str>, index: usize) -> Result<Page, String> {
    let mut page = without_plots(profile, name, index);
    page.figures = figures::of(profile)?;
    for figure in &mut page.figures {
        figure.id = format!("{}-{}", page.id, figure.id);
    }
    page.tables = terminal(profile, &PLAIN);
    Ok(page)
}

/// What must be known of one of many nodes: its plots would make a page of many megabytes.
pub(super) fn of_node(profile: &Profile, name: &str, index: usize) -> Page {
    without_plots(profile, Some(name), index)
}

fn without_plots(profile: &Profile, name: Option<&str>, index: usize) -> Page {
    let target = &profile.target;
    let heading = crate::terminal::headline(profile);
    let named = name.map_or(heading.clone(), |name| format!("{name}: {heading}"));
    let facts = [
        target.model.as_ref().map(|model| model.bytes.to_string()),
        target.device.driver.as_ref().map(|driver| format!("driver {driver}")),
        Some(match &target.cluster {
            Some(cluster) => format!(
                "{} on {}",
                counted(u64::from(cluster.pods), "pod"),
                counted(cluster.nodes.len() as u64, "node")
            ),
            None => {
                let cores = counted(u64::from(target.host.cores), "core");
                format!("{} ({}, {cores})", target.host.name, target.host.cpu)
            }
        }),
        Some(format!("{} {}", profile.tool.name, profile.tool.version)),
        Some(profile.started_at.clone()),
    ];
    Page {
        id: id_of(index),
        heading: clean(&named),
        warnings: warnings(profile),
        answer: crate::terminal::answer_sentence(profile),
        facts: clean(&facts.into_iter().flatten().collect::<Vec<_>>().join(" · ")),
        links: name.map(|_| (COMPARISON.to_owned(), "All profiles".to_owned())).into_iter().collect(),
        caveats: profile.caveats.iter().map(|caveat| clean(&caveat.text)).collect(),
        figures: Vec::new(),
        failures: failures(profile),
        skipped: skipped(profile),
        tables: String::new(),
    }
}

/// What makes the whole page doubtful.
fn warnings(profile: &Profile) -> Vec<String> {
    let state = match profile.state {
        RunState::Complete => None,
        RunState::Partial => Some("This run is partial: `coldstart run --resume` continues it.".to_owned()),
        RunState::Interrupted => {
            Some("This run was interrupted: `coldstart run --resume` continues it.".to_owned())
        }
    };
    let stand_in = profile.target.device.stand_in.then(|| {
        "STAND-IN: a stand-in plays the driver's part. Nothing measured on it means anything.".to_owned()
    });
    stand_in.into_iter().chain(state).collect()
}

/// Trials that came to no end, and why; those that share a reason stand together.
fn failures(profile: &Profile) -> Vec<String> {
    let failed = profile.traces.iter().filter_map(|trace| match &trace.end {
        TraceEnd::Failed { why, .. } => Some((trace.step.clone(), why.as_str())),
        TraceEnd::Completed { .. } => None,
    });
    crate::text::by_text(failed).into_iter().map(|(steps, why)| clean(&format!("{steps}: {why}"))).collect()
}

/// What has no numbers, and why; phases that share a reason stand together.
fn skipped(profile: &Profile) -> Vec<String> {
    let reasons = profile.measurements.iter().filter_map(|row| match &row.outcome {
        Outcome::Measured { .. } => None,
        Outcome::Skipped { why } => Some((row.key.to_string(), why.as_str())),
        Outcome::Failed { why } => Some((format!("{} (failed)", row.key), why.as_str())),
    });
    let telemetry = &profile.telemetry;
    let unseen = telemetry.skipped.as_deref().filter(|_| telemetry.windows.is_empty());
    let reasons = reasons.chain(unseen.map(|why| ("telemetry".to_owned(), why)));
    crate::text::by_text(reasons).into_iter().map(|(names, why)| clean(&format!("{names}: {why}"))).collect()
}

/// The page that stands before several profiles.
pub(super) fn comparison(profiles: &[(&str, &Profile)]) -> Result<Page, String> {
    let many = profiles.len() >= MANY;
    let links = profiles.iter().enumerate().map(|(index, (name, _))| (id_of(index), clean(name)));
    Ok(Page {
        id: COMPARISON.to_owned(),
        heading: match many {
            true => format!("{} nodes", profiles.len()),
            false => format!("{} profiles side by side", profiles.len()),
        },
        warnings: profiles
            .iter()
            .filter(|(_, profile)| profile.target.device.stand_in)
            .map(|(name, _)| clean(&format!("STAND-IN: {name} was measured on a stand-in driver.")))
            .collect(),
        answer: clean(&spread(profiles)),
        facts: match many {
            true => "Plots and tables of one node: `coldstart report PROFILE --html FILE`.".to_owned(),
            false => String::new(),
        },
        links: links.collect(),
        caveats: doubts(profiles, many),
        figures: if many { figures::fleet(profiles)? } else { figures::comparison(profiles)? },
        failures: Vec::new(),
        skipped: Vec::new(),
        tables: comparison_table(profiles, &PLAIN),
    })
}

/// What makes a comparison doubtful. Nodes of a fleet have their own names and devices, and are told apart by class.
fn doubts(profiles: &[(&str, &Profile)], many: bool) -> Vec<String> {
    let expected = ["devices", "hosts"];
    let unlike: Vec<&str> =
        differences(profiles).into_iter().filter(|what| !(many && expected.contains(what))).collect();
    let unlike = (!unlike.is_empty()).then(|| format!("Not alike: {}.", unlike.join(", ")));
    let partial = profiles.iter().filter(|(_, profile)| profile.state != RunState::Complete);
    let partial: Vec<&str> = partial.map(|(name, _)| *name).collect();
    let partial = (!partial.is_empty()).then(|| clean(&format!("Not complete: {}.", partial.join(", "))));
    unlike.into_iter().chain(partial).collect()
}

/// The page of a plan.
pub(super) fn of_plan(plan: &ServingPlan) -> Result<Page, String> {
    let stand_in = plan.fleet.classes.iter().any(|class| class.stand_in());
    let warning = "STAND-IN: a stand-in plays the driver's part. Nothing measured on it means anything.";
    let facts = plan.fleet.names().collect::<Vec<_>>().join(" · ");
    Ok(Page {
        id: "plan".to_owned(),
        heading: clean(&title(plan)),
        warnings: if stand_in { vec![warning.to_owned()] } else { Vec::new() },
        answer: clean(&sentence(plan)),
        facts: clean(&facts),
        links: Vec::new(),
        caveats: plan.caveats.iter().map(|caveat| clean(caveat)).collect(),
        figures: figures::of_plan(plan)?,
        failures: Vec::new(),
        skipped: Vec::new(),
        tables: serving_plan(plan, &PLAIN),
    })
}
