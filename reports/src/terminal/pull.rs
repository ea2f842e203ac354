//! The image pull: its total, what bounded it, and its layers.

use coldstart_profiles::{
    Bytes, Detail, ExtractBound, Interval, LayerDetail, LayerStatus, Nanos, Outcome, Phase, Profile,
    PullDetail, PullStage,
};

use super::answer::spread;
use super::section;
use crate::grid::{Cell, Column, Grid};
use crate::scale::{Scale, percent};
use crate::style::{Style, Tone};
use crate::text::paragraph;

const LEAST_BAR: usize = 10;
const LARGEST_BAR: usize = 40;
/// Images of hundreds of layers are shown by their first ones.
const MOST_LAYERS: usize = 24;

/// Nothing where no pull was measured.
pub(crate) fn pull(profile: &Profile, style: &Style) -> String {
    let measured = |outcome: &Outcome| outcome.as_measured().map(|(_, summary)| summary.clone());
    let Some((key, summary)) =
        profile.of_phase(Phase::ImagePull).find_map(|row| Some((&row.key, measured(&row.outcome)?)))
    else {
        return String::new();
    };
    let mut body = paragraph(style, Tone::Plain, &format!("{} ({})", summary.p50_ns, spread(&summary)));
    let reading = profile.typical_pull().and_then(|trace| trace.reading(Phase::ImagePull));
    if let Some(Detail::Pull(detail)) = reading.and_then(|reading| reading.detail.as_ref()) {
        body.push_str(&paragraph(style, Tone::Plain, &facts(detail)));
        body.push_str(&paragraph(style, Tone::Plain, &critical_path(detail)));
        body.push_str(&layers(detail, style));
    }
    let conditions: Vec<String> = key.params.iter().map(|(name, value)| format!("{name}={value}")).collect();
    section(style, "Image pull", &conditions.join(", "), &body)
}

/// What most of the typical pull was spent on, in words: `inflating gzip on one core`. `None` where no engine told its stages.
pub(super) fn pull_bound(profile: &Profile) -> Option<String> {
    let reading = profile.typical_pull()?.reading(Phase::ImagePull)?;
    match &reading.detail {
        Some(Detail::Pull(detail)) => Some(bound_in_words(detail)),
        _ => None,
    }
}

/// The same for a sentence. An engine unpacks the layers of an image one after the other, each on one core.
fn bound_in_words(detail: &PullDetail) -> String {
    let codec = |name: &'static str| {
        let types = detail.layers.iter().filter_map(|layer| layer.media_type.as_deref());
        let mut types = types.peekable();
        (types.peek().is_some() && types.all(|of| of.ends_with(name))).then_some(name)
    };
    let text = match (detail.bound_by, detail.extract_bound_by) {
        (PullStage::Registry, _) => "waiting for the registry",
        (PullStage::Download, _) => "the download",
        (PullStage::Verify, _) => "checking its digests",
        (PullStage::Finish, _) => "the engine's last steps",
        (PullStage::Extract, None) => "unpacking its layers",
        (PullStage::Extract, Some(ExtractBound::Store)) => "writing its layers to the store",
        (PullStage::Extract, Some(ExtractBound::Inflate)) => {
            let codec = codec("gzip").or_else(|| codec("zstd")).unwrap_or("its layers");
            return format!("inflating {codec} on one core");
        }
    };
    text.to_owned()
}

fn bound(detail: &PullDetail) -> String {
    let extract = match detail.extract_bound_by {
        Some(ExtractBound::Inflate) => " (inflating)",
        Some(ExtractBound::Store) => " (writing to the store)",
        None => "",
    };
    format!("{}{extract}", detail.bound_by.name())
}

/// `bound by extract (inflate) · 34.1 MiB compressed, 34.1 MiB fetched (cold fraction 1.00) → 64.0 MiB`.
fn facts(detail: &PullDetail) -> String {
    let sizes = [
        detail.compressed_bytes.map(|bytes| format!("{bytes} compressed")),
        detail.downloaded_bytes.map(|bytes| format!("{bytes} fetched")),
        detail
            .cold_fraction
            .filter(|fraction| fraction.is_finite())
            .map(|fraction| format!("cold fraction {fraction:.2}")),
        detail.unpacked_bytes.map(|bytes| format!("{bytes} unpacked")),
    ];
    let sizes: Vec<String> = sizes.into_iter().flatten().collect();
    let parts = [format!("bound by {}", bound(detail)), sizes.join(", ")];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" · ")
}

/// `critical path: registry 2 %, download 20 %, extract 75 %, finish 3 %`.
fn critical_path(detail: &PullDetail) -> String {
    let total = detail.total_ns.as_secs_f64();
    let stages: Vec<String> = PullStage::ALL
        .into_iter()
        .filter(|stage| detail.critical_path.get(*stage) > Nanos::ZERO)
        .map(|stage| {
            let time = detail.critical_path.get(stage);
            format!("{} {} ({})", stage.name(), time, percent(time.as_secs_f64() / total))
        })
        .collect();
    if stages.is_empty() { String::new() } else { format!("critical path: {}", stages.join(", ")) }
}

fn layers(detail: &PullDetail, style: &Style) -> String {
    let shown = &detail.layers[..detail.layers.len().min(MOST_LAYERS)];
    let lengths = |layer: &LayerDetail| [layer.download, layer.verify, layer.extract].map(length);
    let times = Scale::times(shown.iter().flat_map(lengths).flatten());
    let sizes = Scale::bytes(shown.iter().filter_map(|layer| layer.compressed_bytes));
    let mut grid = Grid::new(
        style,
        [
            Column::text("layer"),
            Column::number(sizes.title("size")),
            Column::number(times.title("download")),
            Column::number("verify").drop(1),
            Column::number("extract"),
            Column::text("").wrap(),
        ],
    );
    for layer in shown {
        let time = |interval: Option<Interval>| {
            Cell::from(length(interval).map(|time| times.time(time)).unwrap_or_default())
        };
        grid.row([
            layer.id.as_str().into(),
            layer.compressed_bytes.map(|bytes| sizes.size(bytes)).unwrap_or_default().into(),
            time(layer.download),
            time(layer.verify),
            time(layer.extract),
            Cell::new(Tone::Warn, remark(layer)),
        ]);
    }
    let room = grid.room_for_bar(1, LEAST_BAR, LARGEST_BAR);
    if room > 0 {
        let bars =
            shown.iter().map(|layer| Cell::new(Tone::Accent, lanes(layer, detail.total_ns, style, room)));
        grid.push_column(Column::text(legend(style)).drop(0), bars);
    }
    let rest = &detail.layers[shown.len()..];
    let mut text = grid.render();
    if !rest.is_empty() {
        let bytes: Bytes = rest.iter().filter_map(|layer| layer.compressed_bytes).sum();
        text.push_str(&paragraph(style, Tone::Faint, &format!("and {} more layers of {bytes}", rest.len())));
    }
    text
}

fn length(interval: Option<Interval>) -> Option<Nanos> {
    interval.map(Interval::length)
}

fn remark(layer: &LayerDetail) -> String {
    let status = match layer.status {
        LayerStatus::Pulled => "",
        LayerStatus::AlreadyExists => "was there before",
        LayerStatus::Incomplete => "not complete",
        LayerStatus::NotMentioned => "never named by the engine",
    };
    match layer.retries {
        0 => status.to_owned(),
        1 => format!("{status} 1 retry").trim_start().to_owned(),
        n => format!("{status} {n} retries").trim_start().to_owned(),
    }
}

const fn legend(style: &Style) -> &'static str {
    if style.unicode { "░ download  █ extract" } else { "- download  # extract" }
}

/// Download and extraction of one layer where they lie in the pull.
fn lanes(layer: &LayerDetail, total: Nanos, style: &Style, width: usize) -> String {
    let (light, full) = if style.unicode { ('░', '█') } else { ('-', '#') };
    let mut lane = vec![' '; width];
    for (interval, mark) in [(layer.download, light), (layer.extract, full)] {
        let Some(interval) =
            interval.filter(|interval| interval.length() > Nanos::ZERO && total > Nanos::ZERO)
        else {
            continue;
        };
        let at = |time: Nanos| (time.as_secs_f64() / total.as_secs_f64()).clamp(0.0, 1.0) * width as f64;
        let first = (at(interval.begin_ns).floor() as usize).min(width - 1);
        let last = (at(interval.end_ns).round() as usize).clamp(first + 1, width);
        lane[first..last].fill(mark);
    }
    lane.into_iter().collect::<String>().trim_end().to_owned()
}
