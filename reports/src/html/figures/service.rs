//! Service times over the size of an iteration, with the fits that capacity planning uses.

use coldstart_profiles::stats::FitQuality;
use coldstart_profiles::{Fit, ForwardMode, Profile, SweepSeries};

use super::{Figure, Part, beside, head};
use crate::html::page::clean;
use crate::html::plot::{Axis, Curve, Look, Marks, color_number};

const MS: f64 = 1e6;

/// One plot a kind of pass.
pub(super) fn service_times(profile: &Profile) -> Result<Option<Figure>, String> {
    let sweep = profile.sweep();
    let fitted = |series: &SweepSeries<'_>| !series.fitted(&profile.fits).is_empty();
    if !sweep.iter().any(fitted) {
        return Ok(None);
    }
    let mut modes: Vec<ForwardMode> = sweep.iter().map(|series| series.mode).collect();
    modes.dedup();
    let (mut legend, mut parts) = (Vec::new(), Vec::new());
    for mode in modes {
        let mut curves = Vec::new();
        for (color, series) in sweep.iter().enumerate().filter(|(_, series)| series.mode == mode) {
            curves.extend(drawn(profile, series, color));
            legend.push((
                color_number(color),
                format!("{}, {} {}", mode.name(), mode.tokens_name(), series.tokens),
            ));
        }
        let over = if mode == ForwardMode::Prefill { "tokens of the batch" } else { "batch" };
        parts.push(Part { title: format!("{} over {over}", mode.name()), curves, marks: Marks::default() });
    }
    let axes = (&Axis { title: "", log: false }, &Axis { title: "ms", log: false });
    Ok(Some(Figure {
        id: "service-times".to_owned(),
        title: "Service time and its fit".to_owned(),
        panels: beside("Time of an iteration, measured and fitted", axes, &parts)?,
        legend,
        caption: "What capacity planning computes with: the time of an iteration as a function of its size. Points are measured medians, \
                  lines are fitted."
            .to_owned(),
        head: head(["what", "fit", "R²", "largest residual", "points"]),
        rows: rows(profile, &sweep),
        links: Vec::new(),
    }))
}

/// The points of a series and its line. Prefills are one line over all tokens, whatever the length of a prompt.
fn drawn(profile: &Profile, series: &SweepSeries<'_>, color: usize) -> [Curve; 2] {
    let unit = if series.mode == ForwardMode::Prefill { f64::from(series.tokens) } else { 1.0 };
    let points: Vec<(f64, f64)> = series
        .points
        .iter()
        .map(|(point, summary)| (f64::from(point.batch) * unit, summary.p50_ns.as_nanos() as f64 / MS))
        .collect();
    let fitted = series.fitted(&profile.fits);
    // It is straight over the batch, so its ends are enough.
    let ends = fitted.first().into_iter().chain(fitted.last());
    let line = ends.map(|at| (at.batch * unit, at.time_ns / MS)).collect();
    [
        Curve { points: line, color, ..Curve::default() },
        Curve { points, color, look: Look::Points, ..Curve::default() },
    ]
}

fn rows(profile: &Profile, sweep: &[SweepSeries<'_>]) -> Vec<Vec<String>> {
    let swept = |mode: ForwardMode| sweep.iter().any(|series| series.mode == mode);
    let row = |name: String, formula: String, quality: &FitQuality| {
        let residual = format!("{:.1} %", quality.largest_residual_ratio * 100.0);
        vec![name, formula, format!("{:.4}", quality.r_squared), residual, quality.points.to_string()]
    };
    let without = |name: String, why: &str| {
        let dash = || "–".to_owned();
        vec![name, clean(why), dash(), dash(), dash()]
    };
    let mut rows = Vec::new();
    if swept(ForwardMode::Prefill) {
        let name = "prefill".to_owned();
        rows.push(match &profile.fits.prefill {
            Fit::Fitted { fit } => {
                let formula = format!("{:.3} ms + {:.3} µs × tokens", fit.alpha_ns / MS, fit.beta_ns / 1e3);
                row(name, formula, &fit.quality)
            }
            Fit::Skipped { why } => without(name, why),
        });
    }
    if swept(ForwardMode::Decode) {
        let name = "decode".to_owned();
        rows.push(match &profile.fits.decode {
            Fit::Fitted { fit } => {
                let (alpha, beta) = (fit.alpha_ns / MS, fit.beta_ns / 1e3);
                let formula = format!(
                    "{alpha:.3} ms + {beta:.3} µs × batch + {:.3} ns × batch × context",
                    fit.gamma_ns
                );
                row(name, formula, &fit.quality)
            }
            Fit::Skipped { why } => without(name, why),
        });
    }
    for encode in &profile.fits.encode {
        let name = format!("encode of {}", encode.tokens);
        rows.push(match &encode.fit {
            Fit::Fitted { fit } => {
                let formula = format!("{:.3} ms + {:.3} ms × batch", fit.alpha_ns / MS, fit.beta_ns / MS);
                row(name, formula, &fit.quality)
            }
            Fit::Skipped { why } => without(name, why),
        });
    }
    rows
}
