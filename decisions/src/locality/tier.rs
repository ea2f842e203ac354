//! The places that weights can come from, from the nearest on.

use coldstart_profiles::Nanos;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Question;
use super::line::Line;
use crate::basis::{Basis, Figure, Quantity};

/// Where weights lie before a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// In the device's memory, in a process that waits.
    Device,
    /// In page-locked host memory of the node.
    Pinned,
    /// In the page cache of the node.
    PageCache,
    /// On a disk of the node.
    LocalDisk,
    /// On storage that several nodes mount.
    SharedStorage,
    /// In the registry or the object store.
    Registry,
}

impl Tier {
    /// Every tier, from the nearest on.
    pub const ALL: [Tier; 6] =
        [Tier::Device, Tier::Pinned, Tier::PageCache, Tier::LocalDisk, Tier::SharedStorage, Tier::Registry];

    /// The name in JSON and tables.
    pub const fn name(self) -> &'static str {
        match self {
            Tier::Device => "device",
            Tier::Pinned => "pinned",
            Tier::PageCache => "page_cache",
            Tier::LocalDisk => "local_disk",
            Tier::SharedStorage => "shared_storage",
            Tier::Registry => "registry",
        }
    }

    /// Whether loads of several nodes share its bandwidth.
    pub const fn is_shared(self) -> bool {
        matches!(self, Tier::SharedStorage | Tier::Registry)
    }
}

/// How fast weights come from one place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Place {
    /// Which.
    pub tier: Tier,
    /// Waiting for other loads before this one begins.
    pub queue_ns: Nanos,
    /// From the first request to the first byte.
    pub latency_ns: Nanos,
    /// Bytes per second onto the device for a single load; of the registry: onto a disk of the node.
    pub bytes_per_s: Figure<f64>,
}

/// A place of which too little is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MissingTier {
    /// Which.
    pub tier: Tier,
    /// What is missing, and how to get it.
    pub why: String,
}

/// A start with the weights in one place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TierTime {
    /// Which.
    pub tier: Tier,
    /// From the place onto the device: queue + latency + bytes ÷ bandwidth.
    pub load_ns: Figure<Nanos>,
    /// The load, and what a start does besides.
    pub start_ns: Figure<Nanos>,
}

impl Place {
    /// Its load over the size of the model, `simultaneous` loads at once. A bandwidth that is no positive number never ends.
    pub(super) fn line(&self, simultaneous: u32) -> Line {
        let sharers = if self.tier.is_shared() { f64::from(simultaneous.max(1)) } else { 1.0 };
        let wait = self.queue_ns.saturating_add(self.latency_ns);
        Line {
            at_zero: wait.as_nanos() as f64,
            ..Line::of_rate(self.bytes_per_s.value.max(f64::MIN_POSITIVE) / sharers)
        }
    }

    /// What its load is computed by, without `queue` and `latency` where they are paid already.
    pub(super) fn rule(&self, paid: bool) -> String {
        let name = self.tier.name();
        let m = if self.tier.is_shared() { "m · " } else { "" };
        let waits = self.waits(paid).map(|(wait, _)| format!("{name} {wait} + ")).collect::<String>();
        format!("{waits}{m}bytes ÷ {name} bandwidth")
    }

    /// What enters that, but the bytes and m.
    pub(super) fn inputs(&self, paid: bool) -> Vec<(String, Quantity)> {
        let name = self.tier.name();
        let waits = self.waits(paid).map(|(wait, time)| (format!("{name} {wait}"), Quantity::Nanos(time)));
        let bandwidth = (format!("{name} bandwidth"), Quantity::BytesPerSecond(self.bytes_per_s.value));
        waits.chain([bandwidth]).collect()
    }

    fn waits(&self, paid: bool) -> impl Iterator<Item = (&'static str, Nanos)> {
        let waits = [("queue", self.queue_ns), ("latency", self.latency_ns)];
        waits.into_iter().filter(move |(_, time)| !paid && *time > Nanos::ZERO)
    }

    /// What its load rests on.
    pub(super) fn basis(&self, question: &Question) -> Basis {
        let shared = self.tier.is_shared() && question.simultaneous.value > 1;
        let formula = if shared {
            "queue + latency + m·bytes ÷ bandwidth"
        } else {
            "queue + latency + bytes ÷ bandwidth"
        };
        let mut basis = Basis::of(formula)
            .input("bytes", Quantity::Bytes(question.model_bytes))
            .input("bandwidth", Quantity::BytesPerSecond(self.bytes_per_s.value));
        for (name, time) in [("queue", self.queue_ns), ("latency", self.latency_ns)] {
            if time > Nanos::ZERO {
                basis = basis.input(name, Quantity::Nanos(time));
            }
        }
        if shared {
            basis = basis
                .input("m", Quantity::Count(u64::from(question.simultaneous.value)))
                .resting_on(&question.simultaneous.basis);
        }
        basis.resting_on(&self.bytes_per_s.basis)
    }
}

/// A start from each place that is known.
pub(super) fn times(question: &Question) -> Vec<TierTime> {
    let around = question.around_ns.as_ref().ok();
    let mut times: Vec<TierTime> = around.map_or_else(Vec::new, |around| {
        question.places.iter().map(|place| time(question, place, around)).collect()
    });
    // Weights that are on the device need neither a load nor anything around it: the process waits with them.
    let there = || Figure::new(Nanos::ZERO, Basis::of("0: the process waits with its weights"));
    times.push(TierTime { tier: Tier::Device, load_ns: there(), start_ns: there() });
    times.sort_by_key(|time| time.tier);
    times
}

fn time(question: &Question, place: &Place, around: &Figure<Nanos>) -> TierTime {
    let bytes = question.model_bytes.get() as f64;
    let mut line = place.line(question.simultaneous.value);
    let mut basis = place.basis(question);
    // What a registry gives lands on a disk first, and is loaded from there.
    let disk = question.places.iter().find(|place| place.tier == Tier::LocalDisk);
    if let (Tier::Registry, Some(disk)) = (place.tier, disk) {
        line = line.then(disk.line(question.simultaneous.value));
        basis.formula.push_str(" onto the disk, and from there");
        basis = basis.resting_on(&disk.bytes_per_s.basis);
    }
    let load = Nanos::from_nanos_f64(line.at(bytes));
    let start = load.saturating_add(around.value);
    let start_basis = Basis::of("load + what a start does besides")
        .input("load", Quantity::Nanos(load))
        .input("besides", Quantity::Nanos(around.value))
        .resting_on(&basis)
        .resting_on(&around.basis);
    TierTime {
        tier: place.tier,
        load_ns: Figure::new(load, basis),
        start_ns: Figure::new(start, start_basis),
    }
}
