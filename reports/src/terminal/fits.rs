//! Service times as formulas.

use coldstart_profiles::stats::{FitQuality, LinearFit, PlaneFit};
use coldstart_profiles::{Fit, ForwardMode, Nanos, Profile};

use super::section;
use crate::grid::{Cell, Column, Grid};
use crate::scale::percent;
use crate::style::{Style, Tone};
use crate::text::notes;

/// A formula and its quality, or why there is none.
type Described<'a> = Result<(String, &'a FitQuality), &'a str>;

/// The fits over the sweep, each with its quality; below them why others could not be made.
pub(crate) fn fits(profile: &Profile, style: &Style) -> String {
    let mut rows: Vec<(String, Described<'_>)> = Vec::new();
    let fits = &profile.fits;
    let swept = |mode: ForwardMode| profile.throughput.iter().any(|point| point.mode == mode);
    if swept(ForwardMode::Prefill) {
        rows.push(("prefill".to_owned(), line(&fits.prefill, "tok")));
    }
    if swept(ForwardMode::Decode) {
        rows.push(("decode".to_owned(), plane(&fits.decode)));
    }
    for encode in &fits.encode {
        rows.push((format!("encode, {} tokens", encode.tokens), line(&encode.fit, "n")));
    }
    let mut grid = Grid::new(
        style,
        [
            Column::text("fit"),
            Column::text("time of one iteration").wrap(),
            Column::number("R²"),
            Column::number("worst"),
            Column::number("points").drop(0),
        ],
    );
    for (name, fit) in &rows {
        let Ok((formula, quality)) = fit else { continue };
        grid.row([
            name.as_str().into(),
            formula.as_str().into(),
            Cell::new(
                if quality.r_squared < 0.9 { Tone::Warn } else { Tone::Plain },
                format!("{:.3}", quality.r_squared),
            ),
            percent(quality.largest_residual_ratio).into(),
            quality.points.to_string().into(),
        ]);
    }
    let missing = rows.iter().filter_map(|(name, fit)| Some((name.as_str(), *fit.as_ref().err()?)));
    let body = format!("{}{}", grid.render(), notes(style, Tone::Faint, missing));
    section(style, "Service times", "n sequences, ctx tokens in the cache of each, tok tokens in all", &body)
}

fn line<'a>(fit: &'a Fit<LinearFit>, of: &str) -> Described<'a> {
    match fit {
        Fit::Fitted { fit } => {
            Ok((format!("T({of}) = {}{}", first(fit.alpha_ns), term(fit.beta_ns, of)), &fit.quality))
        }
        Fit::Skipped { why } => Err(why),
    }
}

fn plane(fit: &Fit<PlaneFit>) -> Described<'_> {
    match fit {
        Fit::Fitted { fit } => {
            let terms =
                format!("{}{}{}", first(fit.alpha_ns), term(fit.beta_ns, "n"), term(fit.gamma_ns, "n·ctx"));
            Ok((format!("T(n, ctx) = {terms}"), &fit.quality))
        }
        Fit::Skipped { why } => Err(why),
    }
}

fn first(nanos: f64) -> String {
    let sign = if nanos < 0.0 { "−" } else { "" };
    format!("{sign}{}", magnitude(nanos))
}

fn term(nanos: f64, of: &str) -> String {
    let sign = if nanos < 0.0 { "−" } else { "+" };
    format!(" {sign} {}·{of}", magnitude(nanos))
}

/// A time that may be a fraction of a nanosecond.
fn magnitude(nanos: f64) -> String {
    let size = nanos.abs();
    match size {
        size if size >= 1_000.0 => Nanos::from_nanos_f64(size).to_string(),
        size if size >= 100.0 => format!("{size:.0} ns"),
        size if size >= 10.0 => format!("{size:.1} ns"),
        size => format!("{size:.2} ns"),
    }
}
