//! The image pull, layer by layer.

use coldstart_profiles::{Detail, ExtractBound, Interval, LayerDetail, Nanos, Phase, Profile};

use super::{Figure, head, lanes, time};
use crate::html::page::clean;
use crate::html::plot::{Bar, Lane};

/// Layers beyond this many are left out of the plot; the table of text has them.
const MOST_LAYERS: usize = 40;

/// The layers of the typical pull as a timeline.
pub(super) fn layers(profile: &Profile) -> Result<Option<Figure>, String> {
    let Some(trace) = profile.typical_pull() else { return Ok(None) };
    let detail = trace.readings.iter().find_map(|reading| match (reading.phase, &reading.detail) {
        (Phase::ImagePull, Some(Detail::Pull(detail))) => Some(detail),
        _ => None,
    });
    let Some(detail) = detail else { return Ok(None) };
    let drawn: Vec<Lane> = detail.layers.iter().take(MOST_LAYERS).map(lane).collect();
    let left_out = detail.layers.len().saturating_sub(MOST_LAYERS);
    let more = if left_out > 0 { format!(" {left_out} more layers are not drawn.") } else { String::new() };
    let extract = match detail.extract_bound_by {
        Some(ExtractBound::Inflate) => ", inflation on one core",
        Some(ExtractBound::Store) => ", writing to the store",
        None => "",
    };
    let rows = detail.layers.iter().map(|layer| {
        let length = |interval: Option<Interval>| {
            interval.map_or_else(String::new, |interval| {
                interval.end_ns.saturating_sub(interval.begin_ns).to_string()
            })
        };
        vec![
            clean(&layer.id),
            layer.compressed_bytes.map_or_else(String::new, |bytes| bytes.to_string()),
            length(layer.download),
            length(layer.verify),
            length(layer.extract),
        ]
    });
    Ok(Some(Figure {
        id: "pull".to_owned(),
        title: "Image pull, layer by layer".to_owned(),
        panels: lanes("Timeline of the layers of the image pull", &drawn, None, time)?,
        legend: ["download", "verification", "extraction"]
            .into_iter()
            .map(str::to_owned)
            .enumerate()
            .map(|(at, name)| (at + 1, name))
            .collect(),
        caption: clean(&format!(
            "{} in all, bound by {}{extract}.{more} {}",
            detail.total_ns,
            detail.bound_by.name(),
            detail.reference
        )),
        head: head(["layer", "compressed", "download", "verify", "extract"]),
        rows: rows.collect(),
        links: Vec::new(),
    }))
}

fn lane(layer: &LayerDetail) -> Lane {
    let at = |time: Nanos| time.as_nanos() as f64;
    let stages = [layer.download, layer.verify, layer.extract].into_iter().enumerate();
    let bars = stages.filter_map(|(color, interval)| {
        let interval = interval?;
        Some(Bar { from: at(interval.begin_ns), to: at(interval.end_ns), color, dots: Vec::new() })
    });
    Lane {
        name: clean(&layer.id),
        bars: bars.collect(),
        value: layer.compressed_bytes.map_or_else(String::new, |bytes| bytes.to_string()),
    }
}
