//! A report as one HTML file: nothing is fetched, no script runs, plots are inline SVG that follows the reader's colours.

mod figures;
mod page;
mod plot;
mod prose;

use askama::Template;
use coldstart_decisions::plan::ServingPlan;
use coldstart_profiles::Profile;

use crate::comparison::MANY;
use page::Page;

/// The whole file.
#[derive(Template)]
#[template(path = "report.html")]
struct Report {
    title: String,
    pages: Vec<Page>,
}

/// One profile as a page that explains its cold start at a glance, a few as a page that compares them followed by a page each. Five
/// and more are taken for nodes of a fleet: a page of distributions by class, then what must be known of each node. Every profile
/// comes with the name to show it under, such as its file's. Text from profiles is escaped.
///
/// # Errors
/// What could not be drawn, completing "failed to …".
pub fn html(profiles: &[(&str, &Profile)]) -> Result<String, String> {
    let (several, many) = (profiles.len() > 1, profiles.len() >= MANY);
    let mut pages = Vec::new();
    if several {
        pages.push(page::comparison(profiles)?);
    }
    for (index, (name, profile)) in profiles.iter().enumerate() {
        pages.push(match many {
            true => page::of_node(profile, name, index),
            false => page::of(profile, several.then_some(*name), index)?,
        });
    }
    let title = pages.first().map_or_else(|| "No profile".to_owned(), |page| page.heading.clone());
    Report { title, pages }.render().map_err(|error| format!("write the HTML: {error}"))
}

/// A plan as a page: its sentence, capacity over the traffic with what missed the service level, standby against attainment, and
/// the tables.
///
/// # Errors
/// What could not be drawn, completing "failed to …".
pub fn serving_plan_html(plan: &ServingPlan) -> Result<String, String> {
    let page = page::of_plan(plan)?;
    let title = page.heading.clone();
    Report { title, pages: vec![page] }.render().map_err(|error| format!("write the HTML: {error}"))
}
