//! Many profiles as distributions: over nodes, by their class.

use coldstart_decisions::measured::NodeClass;
use coldstart_profiles::{Distribution, ForwardMode, Nanos, Phase, Profile, TotalKind};

use super::{Figure, alone, time};
use crate::comparison::{Line, letter, phases, points};
use crate::html::page::{clean, id_of};
use crate::html::plot::{BoxLane, Drawing, Ticks, boxes, color_number};
use crate::terminal::{whose, widest};

/// So many of the slowest are named.
const SLOWEST: usize = 10;
/// More classes than this are told apart in tables only.
const MOST_CLASSES: usize = 6;
/// A plot with more lines than this is no overview.
const MOST_LANES: usize = 36;

/// The nodes of one class, by their place among all profiles.
struct Class {
    /// `1: NVIDIA L4`.
    name: String,
    nodes: Vec<usize>,
}

/// Totals by class, phases, the steady state, and the slowest nodes by name.
pub(in crate::html) fn fleet(profiles: &[(&str, &Profile)]) -> Result<Vec<Figure>, String> {
    let classes = classes(profiles);
    let totals = totals(profiles);
    let steady: Vec<Line> = [ForwardMode::Prefill, ForwardMode::Decode, ForwardMode::Encode]
        .into_iter()
        .flat_map(|mode| {
            points(profiles, mode)
                .into_iter()
                .map(move |line| Line::plain(&format!("{} {}", mode.name(), line.name), line.medians))
        })
        .collect();
    let mut figures = Vec::new();
    let phases = phases(profiles);
    for (id, title, lines, over) in [
        ("by-class", "Cold starts of all nodes", totals.as_slice(), Over::Time),
        ("by-phase", "Phase by phase over all nodes", phases.as_slice(), Over::Time),
        ("by-point", "Steady state over all nodes", steady.as_slice(), Over::Median),
    ] {
        figures.extend(distributions((id, title, over), lines, &classes, profiles)?);
    }
    figures.extend(slowest(&totals, &classes, profiles));
    Ok(figures)
}

/// The whole cold starts, those of each kind on a line of their own: a pod's and a process's can't be held against each other.
fn totals(profiles: &[(&str, &Profile)]) -> Vec<Line> {
    let whole: Vec<Option<(TotalKind, Phase, Nanos)>> = profiles
        .iter()
        .map(|(_, profile)| widest(profile).map(|whole| (whole.kind, whole.ends_with, whole.total.p50_ns)))
        .collect();
    let mut kinds: Vec<(TotalKind, Phase)> =
        whole.iter().flatten().map(|(kind, ends_with, _)| (*kind, *ends_with)).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let line = |kind: &(TotalKind, Phase)| {
        let name = match kinds.len() {
            1 => "cold start".to_owned(),
            _ => format!("{} to {}", whose(kind.0), kind.1),
        };
        let of_kind =
            |(of, ends_with, time): (TotalKind, Phase, Nanos)| ((of, ends_with) == *kind).then_some(time);
        Line::plain(&name, whole.iter().map(|whole| whole.and_then(of_kind)).collect())
    };
    kinds.iter().map(line).collect()
}

fn classes(profiles: &[(&str, &Profile)]) -> Vec<Class> {
    let mut known: Vec<(NodeClass, Vec<usize>)> = Vec::new();
    for (index, (_, profile)) in profiles.iter().enumerate() {
        let class = NodeClass::of(profile);
        match known.iter_mut().find(|(other, _)| other.is(&class)) {
            Some((_, nodes)) => nodes.push(index),
            None => known.push((class, vec![index])),
        }
    }
    let numbered = known.into_iter().enumerate();
    numbered
        .map(|(at, (class, nodes))| Class { name: clean(&format!("{}: {}", at + 1, class.name)), nodes })
        .collect()
}

impl Class {
    fn distribution(&self, line: &Line) -> Option<Distribution> {
        let of_node = |node: &usize| Some((*node, line.medians.get(*node).copied().flatten()?));
        Distribution::of(self.nodes.iter().filter_map(of_node))
    }
}

/// What is along the axis.
#[derive(Clone, Copy, PartialEq)]
enum Over {
    /// Time.
    Time,
    /// Time over the median of the class: of points that lie far apart.
    Median,
}

/// A box for each line and class.
fn distributions(
    (id, title, over): (&str, &str, Over),
    lines: &[Line],
    classes: &[Class],
    profiles: &[(&str, &Profile)],
) -> Result<Option<Figure>, String> {
    let (mut drawn, mut rows, mut links) = (Vec::new(), Vec::new(), Vec::new());
    for line in lines {
        for (color, class) in classes.iter().enumerate() {
            let Some(of_class) = class.distribution(line) else { continue };
            let name = match classes.len() {
                1 => line.name.clone(),
                _ => format!("{} · class {}", line.name, color + 1),
            };
            let slowest = of_class.nodes.first().map_or(0, |(node, _)| *node);
            let counted = [name.clone(), of_class.nodes.len().to_string()];
            let five = five(&of_class).map(|time| time.to_string());
            rows.push(counted.into_iter().chain(five).chain([node_name(slowest, profiles)]).collect());
            links.push(id_of(slowest));
            if color < MOST_CLASSES && drawn.len() < MOST_LANES {
                drawn.push(lane(name, &of_class, color, over));
            }
        }
    }
    if drawn.is_empty() {
        return Ok(None);
    }
    let ticks = Ticks {
        text: |place: f64| if over == Over::Median { format!("{place:.2} ×") } else { time(place) },
        binary: false,
    };
    let relative =
        if over == Over::Median { " Along the axis is the time over the median of the class." } else { "" };
    let left_out = if drawn.len() < rows.len() { " The table has what is not drawn." } else { "" };
    let legend = if classes.len() > 1 {
        let drawn = classes.iter().take(MOST_CLASSES).enumerate();
        drawn
            .map(|(color, class)| {
                (color_number(color), format!("class {} ({})", class.name, class.nodes.len()))
            })
            .collect()
    } else {
        Vec::new()
    };
    Ok(Some(Figure {
        id: id.to_owned(),
        title: title.to_owned(),
        panels: alone(Drawing::both(|layout| boxes(layout, title, &drawn, &ticks))?),
        legend,
        caption: format!(
            "Each dot is the median of one node. Boxes reach from a quarter to three quarters of the nodes, the upright line is their \
             median, whiskers end at the quickest and the slowest.{relative}{left_out}"
        ),
        head: ["", "nodes", "least", "quarter", "median", "three quarters", "largest", "slowest"]
            .map(str::to_owned)
            .to_vec(),
        rows,
        links,
    }))
}

fn five(of_class: &Distribution) -> [Nanos; 5] {
    [of_class.min, of_class.quarter, of_class.median, of_class.three_quarters, of_class.max]
}

fn lane(name: String, of_class: &Distribution, color: usize, over: Over) -> BoxLane {
    let place = |time: Nanos| match over {
        Over::Time => time.as_nanos() as f64,
        Over::Median => of_class.over_median(time).unwrap_or(0.0),
    };
    BoxLane {
        name,
        five: five(of_class).map(place),
        dots: of_class.nodes.iter().map(|(_, time)| place(*time)).collect(),
        color,
        value: format!("{} ({} – {})", of_class.median, of_class.min, of_class.max),
    }
}

fn node_name(node: usize, profiles: &[(&str, &Profile)]) -> String {
    let (name, host) =
        profiles.get(node).map_or(("", ""), |(name, profile)| (name, profile.target.host.name.as_str()));
    clean(&format!("{} {name} ({host})", letter(node)))
}

/// The slowest nodes of all, against the median of their class, with the phase that is furthest above its own.
fn slowest(totals: &[Line], classes: &[Class], profiles: &[(&str, &Profile)]) -> Option<Figure> {
    let mut all: Vec<(f64, usize, Nanos, &Class)> = Vec::new();
    for (class, line) in classes.iter().flat_map(|class| totals.iter().map(move |line| (class, line))) {
        let Some(of_class) = class.distribution(line) else { continue };
        let over = |(node, time): &(usize, Nanos)| Some((of_class.over_median(*time)?, *node, *time, class));
        all.extend(of_class.nodes.iter().filter_map(over));
    }
    all.sort_by(|a, b| b.0.total_cmp(&a.0));
    all.truncate(SLOWEST);
    let lines = phases(profiles);
    let rows: Vec<Vec<String>> = all
        .iter()
        .map(|(over, node, time, class)| {
            vec![
                node_name(*node, profiles),
                class.name.clone(),
                time.to_string(),
                format!("{over:.2} ×"),
                held_up(*node, class, &lines),
            ]
        })
        .collect();
    (!rows.is_empty()).then(|| Figure {
        id: "slowest".to_owned(),
        title: "The slowest nodes".to_owned(),
        panels: Vec::new(),
        legend: Vec::new(),
        caption: "Against the median of their class; the last column is the phase that takes longest beyond its median.".to_owned(),
        head: ["node", "class", "cold start", "over the median", "most of it"].map(str::to_owned).to_vec(),
        links: all.iter().map(|(_, node, ..)| id_of(*node)).collect(),
        rows,
    })
}

/// `weights_load, +210 ms`.
fn held_up(node: usize, class: &Class, lines: &[Line]) -> String {
    let beyond = |line: &Line| {
        let median = class.distribution(line)?.median;
        Some((line.medians.get(node).copied().flatten()?.saturating_sub(median), line.name.clone()))
    };
    let phases = lines.iter().filter(|line| !line.name.starts_with("total"));
    match phases.filter_map(beyond).max_by_key(|(time, _)| *time) {
        Some((time, name)) if time > Nanos::ZERO => format!("{name}, +{time}"),
        _ => "–".to_owned(),
    }
}
