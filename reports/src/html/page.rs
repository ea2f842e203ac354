//! What stands on the page of a profile.

use coldstart_decisions::plan::ServingPlan;
use coldstart_profiles::{Nanos, Outcome, Profile, RunState};

use super::figures::{self, Figure};
use crate::serving_plan::{sentence, title};
use crate::style::PLAIN;
use crate::{comparison as comparison_table, serving_plan, terminal};

/// Longer text is cut: a name of a megabyte must not bury the numbers.
const LONGEST: usize = 600;

/// One page.
pub(super) struct Page {
    pub(super) id: String,
    pub(super) heading: String,
    pub(super) warnings: Vec<String>,
    pub(super) answer: String,
    pub(super) facts: String,
    pub(super) caveats: Vec<String>,
    pub(super) figures: Vec<Figure>,
    pub(super) skipped: Vec<String>,
    pub(super) tables: String,
}

/// Text that may hold anything, on one line and not too long. Escaping is the template's.
pub(super) fn clean(text: &str) -> String {
    PLAIN.clean(text)
}

/// The page of one profile; `name` where there are several.
pub(super) fn of(profile: &Profile, name: Option<&str>, index: usize) -> Result<Page, String> {
    let target = &profile.target;
    let heading = crate::terminal::headline(profile);
    let named = name.map_or(heading.clone(), |name| format!("{name}: {heading}"));
    let facts = [
        target.model.as_ref().map(|model| model.bytes.to_string()),
        target.device.driver.as_ref().map(|driver| format!("driver {driver}")),
        Some(match &target.cluster {
            Some(cluster) => format!("{} pods on {} nodes", cluster.pods, cluster.nodes.len()),
            None => format!("{} ({}, {} cores)", target.host.name, target.host.cpu, target.host.cores),
        }),
        Some(format!("{} {}", profile.tool.name, profile.tool.version)),
        Some(profile.started_at.clone()),
    ];
    let mut figures = figures::of(profile)?;
    for figure in &mut figures {
        figure.id = format!("p{index}-{}", figure.id);
    }
    Ok(Page {
        id: format!("p{index}"),
        heading: clean(&named),
        warnings: warnings(profile),
        answer: crate::terminal::answer_sentence(profile),
        facts: clean(&facts.into_iter().flatten().collect::<Vec<_>>().join(" · ")),
        caveats: profile.caveats.iter().map(|caveat| clean(&caveat.text)).collect(),
        figures,
        skipped: skipped(profile),
        tables: terminal(profile, &PLAIN),
    })
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

/// What has no numbers, and why; phases that share a reason stand together.
fn skipped(profile: &Profile) -> Vec<String> {
    let reasons = profile.measurements.iter().filter_map(|row| match &row.outcome {
        Outcome::Measured { .. } => None,
        Outcome::Skipped { why } => Some((row.key.to_string(), why.as_str())),
        Outcome::Failed { why } => Some((format!("{} (failed)", row.key), why.as_str())),
    });
    crate::text::by_text(reasons).into_iter().map(|(names, why)| clean(&format!("{names}: {why}"))).collect()
}

/// The page that stands before several profiles.
pub(super) fn comparison(profiles: &[(&str, &Profile)]) -> Result<Page, String> {
    let totals: Vec<(String, Nanos)> = profiles
        .iter()
        .filter_map(|(name, profile)| {
            let waterfall = crate::terminal::widest(profile)?;
            Some(((*name).to_owned(), waterfall.total.p50_ns))
        })
        .collect();
    let least = totals.iter().min_by_key(|(_, total)| *total);
    let most = totals.iter().max_by_key(|(_, total)| *total);
    let answer = match (least, most) {
        (Some((quick, least)), Some((slow, most))) if totals.len() > 1 && *least > Nanos::ZERO => format!(
            "From {least} ({quick}) to {most} ({slow}): a factor of {:.2} between {} cold starts.",
            most.as_secs_f64() / least.as_secs_f64(),
            totals.len()
        ),
        _ => "Fewer than two of these profiles hold a whole cold start.".to_owned(),
    };
    let names: Vec<&str> = profiles.iter().map(|(name, _)| *name).collect();
    let mut facts = names.join(" · ");
    facts.truncate(facts.char_indices().nth(LONGEST).map_or(facts.len(), |(at, _)| at));
    Ok(Page {
        id: "comparison".to_owned(),
        heading: format!("{} profiles side by side", profiles.len()),
        warnings: profiles
            .iter()
            .filter(|(_, profile)| profile.target.device.stand_in)
            .map(|(name, _)| clean(&format!("STAND-IN: {name} was measured on a stand-in driver.")))
            .collect(),
        answer: clean(&answer),
        facts: clean(&facts),
        caveats: Vec::new(),
        figures: figures::comparison(profiles)?,
        skipped: Vec::new(),
        tables: comparison_table(profiles, &PLAIN),
    })
}

/// The page of a plan.
pub(super) fn of_plan(plan: &ServingPlan) -> Result<Page, String> {
    let stand_in = plan.fleet.classes.iter().any(|class| class.stand_in());
    let warning = "STAND-IN: a stand-in plays the driver's part. Nothing measured on it means anything.";
    let names =
        plan.fleet.classes.iter().flat_map(|class| &class.profiles).map(|profile| profile.name.as_str());
    let facts = names.collect::<Vec<_>>().join(" · ");
    Ok(Page {
        id: "plan".to_owned(),
        heading: clean(&title(plan)),
        warnings: if stand_in { vec![warning.to_owned()] } else { Vec::new() },
        answer: clean(&sentence(plan)),
        facts: clean(&facts),
        caveats: plan.caveats.iter().map(|caveat| clean(caveat)).collect(),
        figures: figures::of_plan(plan)?,
        skipped: Vec::new(),
        tables: serving_plan(plan, &PLAIN),
    })
}
