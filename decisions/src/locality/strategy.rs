//! Ways to keep weights near the device, their expected start and their price.

use std::cmp::Ordering;

use coldstart_profiles::{Bytes, Nanos};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Question;
use super::line::Line;
use super::tier::{Place, Tier};
use crate::basis::{Basis, Figure, Quantity};
use crate::cluster::ClusterFacts;

/// A longer start than the least by less than this is worth less disk.
pub(super) const NEARLY: f64 = 1.05;

/// A way to keep weights near the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// The weights are layers of the image: they come with it, and stay on the node with it.
    Bake,
    /// Every start reads them from storage that all nodes mount.
    SharedMount,
    /// The first start on a node copies them to its disk; the scheduler prefers nodes that have them.
    NodeCache,
    /// They are copied to every node before a replica starts there.
    PreDistribute,
}

impl Strategy {
    /// Every strategy.
    pub const ALL: [Strategy; 4] =
        [Strategy::Bake, Strategy::SharedMount, Strategy::NodeCache, Strategy::PreDistribute];

    /// The name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Strategy::Bake => "bake",
            Strategy::SharedMount => "shared_mount",
            Strategy::NodeCache => "node_cache",
            Strategy::PreDistribute => "pre_distribute",
        }
    }

    /// What to do, as an order: `bake it into the image`.
    pub const fn order(self) -> &'static str {
        match self {
            Strategy::Bake => "bake it into the image",
            Strategy::SharedMount => "read it from the shared mount",
            Strategy::NodeCache => "cache it on the nodes, with affinity",
            Strategy::PreDistribute => "distribute it to every node beforehand",
        }
    }

    /// Whether it takes disk of nodes.
    pub(super) const fn takes_disk(self) -> bool {
        !matches!(self, Strategy::SharedMount)
    }
}

/// What one strategy comes to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StrategyTime {
    /// Which.
    pub strategy: Strategy,
    /// What it comes to, or why it is not possible.
    pub outcome: StrategyOutcome,
}

/// What one strategy comes to, or why it is not possible.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum StrategyOutcome {
    /// It is possible.
    Possible(Box<StrategyFigures>),
    /// It is not.
    Impossible {
        /// Why, and what would have to change.
        why: String,
    },
}

/// What a possible strategy comes to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StrategyFigures {
    /// A start that finds the weights on its node.
    pub hit_ns: Figure<Nanos>,
    /// A start that does not.
    pub miss_ns: Figure<Nanos>,
    /// h: the share of starts that do.
    pub hit_ratio: Figure<f64>,
    /// h·hit + (1 − h)·miss.
    pub expected_ns: Figure<Nanos>,
    /// The expected start of a model of no bytes, in nanoseconds: with `expected_per_byte_ns` the line over the size.
    pub expected_at_zero_ns: f64,
    /// What one more byte adds to it, in nanoseconds.
    pub expected_per_byte_ns: f64,
    /// Disk that it takes on all nodes together; `null` where the number of nodes was not given.
    pub disk_bytes: Option<Bytes>,
    /// Bytes that cross the network for each start, on average.
    pub transfer_bytes_per_start: Bytes,
    /// Bytes that cross the network once, before the first start.
    pub transfer_bytes_once: Bytes,
    /// The price of its disk for a month; `null` where no price or number of nodes was given.
    pub disk_cost_per_month: Option<f64>,
    /// The price of the weights in the image's registry for a month; `null` where they are not there, or no price was given.
    pub registry_cost_per_month: Option<f64>,
    /// What disk, network, prices and the line over the size rest on.
    pub basis: Basis,
}

impl StrategyTime {
    /// The expected start; `None` where it is not possible.
    pub fn expected(&self) -> Option<Nanos> {
        match &self.outcome {
            StrategyOutcome::Possible(figures) => Some(figures.expected_ns.value),
            StrategyOutcome::Impossible { .. } => None,
        }
    }
}

/// One strategy over the size of the model, whatever the disk allows.
pub(super) struct StrategyLine {
    pub(super) strategy: Strategy,
    hit: Line,
    miss: Line,
    /// Share of hits.
    h: Figure<f64>,
    /// Of hits and misses.
    pub(super) expected: Line,
    pub(super) basis: Basis,
    /// How a start that finds the weights, and one that does not, come to their times.
    rules: (Rule, Rule),
}

/// A formula, and everything that enters it.
struct Rule {
    formula: String,
    inputs: Vec<(String, Quantity)>,
}

impl Rule {
    /// A load, and what a start does besides.
    fn of_load(place: &Place, question: &Question, besides: Nanos) -> Self {
        let formula = format!("{} + besides: what a start does besides its load", place.rule(false));
        let mut inputs = inputs(question, &[(place, false)]);
        inputs.push(("besides".to_owned(), Quantity::Nanos(besides)));
        Rule { formula, inputs }
    }

    /// What comes before a hit. `paid`: what the place makes wait for was waited for already.
    fn before_hit(place: &Place, question: &Question, paid: bool, unpacking: Option<f64>) -> Self {
        let unpacks = if unpacking.is_some() { " + bytes ÷ unpacking" } else { "" };
        let mut inputs = inputs(question, &[(place, paid)]);
        inputs.extend(unpacking.map(|rate| ("unpacking".to_owned(), Quantity::BytesPerSecond(rate))));
        Rule { formula: format!("{}{unpacks} + t_hit", place.rule(paid)), inputs }
    }
}

/// What enters loads from these places.
fn inputs(question: &Question, places: &[(&Place, bool)]) -> Vec<(String, Quantity)> {
    let mut inputs = vec![("bytes".to_owned(), Quantity::Bytes(question.model_bytes))];
    if places.iter().any(|(place, _)| place.tier.is_shared()) {
        inputs.push(("m".to_owned(), Quantity::Count(u64::from(question.simultaneous.value))));
    }
    inputs.extend(places.iter().flat_map(|(place, paid)| place.inputs(*paid)));
    inputs
}

/// The strategies of which enough is known.
pub(super) fn lines(question: &Question) -> Vec<StrategyLine> {
    Strategy::ALL.into_iter().filter_map(|strategy| line(question, strategy).ok()).collect()
}

fn place(question: &Question, tier: Tier) -> Result<&Place, String> {
    question.places.iter().find(|place| place.tier == tier).ok_or_else(|| {
        let missing = question.missing.iter().find(|missing| missing.tier == tier);
        let why = missing.map_or("nothing is known of it", |missing| missing.why.as_str());
        format!("{}: {why}", tier.name())
    })
}

fn line(question: &Question, strategy: Strategy) -> Result<StrategyLine, String> {
    let m = question.simultaneous.value;
    let besides = question.around_ns.as_ref().map_err(String::clone)?;
    let around = Line { at_zero: besides.value.as_nanos() as f64, per_byte: 0.0 };
    let basis = Basis::of("h·t_hit + (1 − h)·t_miss").resting_on(&besides.basis);
    let certain = || Figure::new(1.0, Basis::of("1: every start is alike"));
    let from = |place: &Place| Rule::of_load(place, question, besides.value);
    let (hit, miss, h, places, rules) = match strategy {
        Strategy::SharedMount => {
            let shared = place(question, Tier::SharedStorage)?;
            let line = shared.line(m).then(around);
            let again = Rule { formula: "t_hit: every start reads the mount".to_owned(), inputs: Vec::new() };
            (line, line, certain(), vec![shared], (from(shared), again))
        }
        Strategy::Bake => {
            let (local, registry) = (place(question, Tier::LocalDisk)?, place(question, Tier::Registry)?);
            let unpack = unpacking(question)?;
            let hit = local.line(m).then(around);
            // The pull of the image has paid for the registry's latency already.
            let bytes = Line { at_zero: 0.0, ..registry.line(m) };
            let miss = bytes.then(Line::of_rate(unpack.value)).then(hit);
            let pulled = Rule::before_hit(registry, question, true, Some(unpack.value));
            (hit, miss, question.hit_ratio.clone(), vec![local, registry], (from(local), pulled))
        }
        Strategy::NodeCache | Strategy::PreDistribute => {
            let local = place(question, Tier::LocalDisk)?;
            let source = place(question, Tier::SharedStorage).or_else(|_| place(question, Tier::Registry))?;
            let hit = local.line(m).then(around);
            let miss = source.line(m).then(hit);
            let h = match strategy {
                Strategy::NodeCache => question.hit_ratio.clone(),
                _ => Figure::new(1.0, Basis::of("1: every node has them before a replica starts there")),
            };
            let copied = Rule::before_hit(source, question, false, None);
            (hit, miss, h, vec![local, source], (from(local), copied))
        }
    };
    let basis = places.iter().fold(basis, |basis, place| basis.resting_on(&place.bytes_per_s.basis));
    let h = Figure::new(h.value.clamp(0.0, 1.0), h.basis);
    let mut basis = basis.resting_on(&h.basis);
    if places.iter().any(|place| place.tier.is_shared()) {
        basis = basis.resting_on(&question.simultaneous.basis);
    }
    if strategy == Strategy::Bake {
        basis = basis.resting_on(&unpacking(question)?.basis);
    }
    Ok(StrategyLine { strategy, hit, miss, expected: hit.or(h.value, miss), h, basis, rules })
}

fn unpacking(question: &Question) -> Result<&Figure<f64>, String> {
    let rate = question.unpack_bytes_per_s.as_ref();
    rate.ok_or_else(|| {
        "the rate at which an engine unpacks layers: image_pull was not measured by `coldstart run`"
            .to_owned()
    })
}

/// What a strategy comes to for this model.
pub(super) fn time(question: &Question, strategy: Strategy, lines: &[StrategyLine]) -> StrategyTime {
    let outcome = match lines.iter().find(|line| line.strategy == strategy) {
        None => StrategyOutcome::Impossible { why: line(question, strategy).err().unwrap_or_default() },
        Some(line) => possible(question, line),
    };
    StrategyTime { strategy, outcome }
}

fn possible(question: &Question, line: &StrategyLine) -> StrategyOutcome {
    let model = question.model_bytes;
    if let Some(disk) = question.cluster.disk_per_node_bytes
        && line.strategy.takes_disk()
        && disk < model
    {
        return StrategyOutcome::Impossible {
            why: format!(
                "the model takes {model}, and a node has {disk} for it: give it more disk, or mount it"
            ),
        };
    }
    let bytes = model.get() as f64;
    let time = |line: Line| Nanos::from_nanos_f64(line.at(bytes));
    let (hit_ns, miss_ns) = (time(line.hit), time(line.miss));
    let of = |rule: &Rule| {
        let basis = Basis { formula: rule.formula.clone(), ..line.basis.clone() };
        rule.inputs.iter().fold(basis, |basis, (name, value)| basis.input(name, value.clone()))
    };
    let hit_figure = Figure::new(hit_ns, of(&line.rules.0));
    let miss_figure = Figure::new(miss_ns, of(&line.rules.1).input("t_hit", Quantity::Nanos(hit_ns)));
    let basis = line
        .basis
        .clone()
        .input("h", Quantity::Share(line.h.value))
        .input("t_hit", Quantity::Nanos(hit_ns))
        .input("t_miss", Quantity::Nanos(miss_ns));
    let disk_bytes = disk(question, line);
    let misses = match line.strategy {
        Strategy::SharedMount => 1.0,
        _ => 1.0 - line.h.value,
    };
    let once = match (line.strategy, question.cluster.nodes) {
        (Strategy::PreDistribute, Some(nodes)) => u64::from(nodes).saturating_mul(model.get()),
        _ => 0,
    };
    let price = |bytes: Bytes| Some(bytes.get() as f64 / 1e9 * question.prices.disk_gb_month?);
    StrategyOutcome::Possible(Box::new(StrategyFigures {
        hit_ns: hit_figure,
        miss_ns: miss_figure,
        hit_ratio: line.h.clone(),
        expected_ns: Figure::new(time(line.expected), basis),
        expected_at_zero_ns: line.expected.at_zero,
        expected_per_byte_ns: line.expected.per_byte,
        transfer_bytes_per_start: Bytes::new((misses * bytes).round() as u64),
        transfer_bytes_once: Bytes::new(once),
        disk_cost_per_month: disk_bytes.and_then(price),
        registry_cost_per_month: (line.strategy == Strategy::Bake)
            .then_some(question.prices.registry_gb_month)
            .flatten()
            .map(|price| bytes / 1e9 * price),
        disk_bytes,
        basis: resources(question, line),
    }))
}

/// What disk, network, prices and the line over the size rest on.
fn resources(question: &Question, line: &StrategyLine) -> Basis {
    let formula = "disk = nodes that hold the weights × bytes; network of a start = share of misses × bytes, once = nodes × bytes where they are \
                   distributed beforehand; prices = GB × price of a GB-month; expected = h·t_hit + (1 − h)·t_miss at no bytes, and for each more";
    let text =
        |value: Option<f64>| value.map_or_else(|| Quantity::Text("not given".to_owned()), Quantity::Number);
    let nodes = question.cluster.nodes.map(f64::from);
    Basis { formula: formula.to_owned(), ..line.basis.clone() }
        .input("bytes", Quantity::Bytes(question.model_bytes))
        .input("h", Quantity::Share(line.h.value))
        .input("nodes", text(nodes))
        .input("nodes that hold them", text(holding(line, &question.cluster)))
        .input("price of a GB-month of disk", text(question.prices.disk_gb_month))
        .input("price of a GB-month in the registry", text(question.prices.registry_gb_month))
}

/// Disk on all nodes: every node has them in the end, but with affinity only the share that starts hit needs them.
fn disk(question: &Question, line: &StrategyLine) -> Option<Bytes> {
    let holding = holding(line, &question.cluster)?;
    Some(Bytes::new((holding * question.model_bytes.get() as f64) as u64))
}

/// How many nodes hold the weights; `None` where the number of nodes was not given and some do.
fn holding(line: &StrategyLine, cluster: &ClusterFacts) -> Option<f64> {
    if !line.strategy.takes_disk() {
        return Some(0.0);
    }
    let nodes = f64::from(cluster.nodes?);
    Some(match line.strategy {
        Strategy::NodeCache => (nodes * line.h.value).ceil().max(1.0),
        _ => nodes,
    })
}

/// The choice for a model of this size: the rule of [`super::Locality::choice`]. `None` where no strategy is possible.
pub(super) fn choice(lines: &[StrategyLine], cluster: &ClusterFacts, bytes: u64) -> Option<Strategy> {
    let fits = |line: &&StrategyLine| {
        !line.strategy.takes_disk() || cluster.disk_per_node_bytes.is_none_or(|disk| bytes <= disk.get())
    };
    let time = |line: &StrategyLine| line.expected.at(bytes as f64);
    let possible = || lines.iter().filter(fits);
    let least = possible().map(time).min_by(f64::total_cmp)?;
    // Where the number of nodes is not known the disk of one stands for all: a strategy takes some or none.
    let nodes = |line: &StrategyLine| holding(line, cluster).unwrap_or(1.0);
    possible()
        .filter(|line| time(line) <= NEARLY * least)
        .min_by(|a, b| {
            let disk = nodes(a).total_cmp(&nodes(b));
            disk.then(time(a).total_cmp(&time(b))).then(a.strategy.cmp(&b.strategy))
        })
        .map(|line| line.strategy)
}

/// The least expected start first; what is not possible last.
pub(super) fn order(a: &StrategyTime, b: &StrategyTime) -> Ordering {
    match (a.expected(), b.expected()) {
        (Some(a), Some(b)) => a.cmp(&b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    }
}

/// Why it is the choice, or why there is none.
pub(super) fn why(
    choice: Option<Strategy>,
    strategies: &[StrategyTime],
    pull: Option<&Figure<Nanos>>,
) -> String {
    let expected = |strategy| strategies.iter().find(|time| time.strategy == strategy)?.expected();
    let Some((strategy, start)) = choice.and_then(|strategy| Some((strategy, expected(strategy)?))) else {
        let reasons: Vec<(&str, &str)> = strategies
            .iter()
            .filter_map(|time| match &time.outcome {
                StrategyOutcome::Impossible { why } => Some((time.strategy.name(), why.as_str())),
                StrategyOutcome::Possible(_) => None,
            })
            .collect();
        let told = match reasons.first() {
            Some((_, why)) if reasons.iter().all(|(_, other)| other == why) => (*why).to_owned(),
            _ => reasons.iter().map(|(name, why)| format!("{name}: {why}")).collect::<Vec<_>>().join("; "),
        };
        return format!("no way of keeping the weights can be computed: {told}");
    };
    let least = strategies.iter().filter_map(StrategyTime::expected).min();
    let saved = match least {
        Some(least) if start > least => ", within 5 % of the least, and takes the least disk of those",
        _ => ", the least",
    };
    let besides =
        pull.map_or_else(String::new, |pull| format!("besides the image's pull of {} ", pull.value));
    format!("{}: {besides}a start takes {start} on average{saved}", strategy.order())
}
