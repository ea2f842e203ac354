//! Device memory by batch: the weights, and what a forward pass needs beside them.

use coldstart_profiles::{Bytes, Profile};

use super::{Figure, alone, head, point_name, size};
use crate::html::plot::{Bar, Drawing, Lane, Ticks, bars};

/// One bar a point of the sweep.
pub(super) fn memory(profile: &Profile) -> Result<Option<Figure>, String> {
    let weights = profile.target.model.as_ref().map_or(Bytes::ZERO, |model| model.bytes);
    let sweep = profile.sweep();
    let points = || sweep.iter().flat_map(|series| &series.points).map(|(point, _)| *point);
    let lanes: Vec<Lane> = points()
        .map(|point| {
            let begin = weights.get() as f64;
            let all = Bytes::new(weights.get().saturating_add(point.workspace_bytes.get()));
            Lane {
                name: point_name(point.mode, point.tokens, point.batch),
                bars: vec![
                    Bar { from: 0.0, to: begin, color: 0, dots: Vec::new() },
                    Bar { from: begin, to: all.get() as f64, color: 1, dots: Vec::new() },
                ],
                value: all.to_string(),
            }
        })
        .collect();
    if lanes.is_empty() {
        return Ok(None);
    }
    let rows = points().map(|point| {
        let name = point_name(point.mode, point.tokens, point.batch);
        vec![name, weights.to_string(), point.workspace_bytes.to_string()]
    });
    let ticks = Ticks { text: size, binary: true };
    let draw = |layout| bars(layout, "Device memory by batch", &lanes, None, &ticks);
    Ok(Some(Figure {
        id: "memory".to_owned(),
        title: "Device memory by batch".to_owned(),
        panels: alone(Drawing::both(draw)?),
        legend: vec![(1, "weights".to_owned()), (2, "activations and KV cache".to_owned())],
        caption: "What the model holds on the device at each point of the sweep.".to_owned(),
        head: head(["point", "weights", "activations and cache"]),
        rows: rows.collect(),
        links: Vec::new(),
    }))
}
