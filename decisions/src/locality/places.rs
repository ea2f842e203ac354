//! The places of one class of nodes, from what was measured there and what was given by hand.

use coldstart_profiles::{LimitKind, Nanos, Phase, TotalKind};

use super::tier::{MissingTier, Place, Tier};
use crate::basis::{Basis, Figure, Quantity};
use crate::measured::{ColdStart, LoadRate, Measured, PullTime};

/// File systems that several nodes mount. (FUSE may be either; a mount that is none of these is given by hand.)
const SHARED: [&str; 13] = [
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "lustre",
    "ceph",
    "gpfs",
    "beegfs",
    "glusterfs",
    "9p",
    "virtiofs",
    "fuse.juicefs",
    "fuse.gcsfuse",
];
/// File systems that live in memory.
const IN_MEMORY: [&str; 2] = ["tmpfs", "ramfs"];

/// What was said of places where no profile says it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct PlacesByHand {
    /// `--shared-bandwidth`: bytes per second that a single node gets of the shared storage.
    pub shared_bytes_per_s: Option<f64>,
    /// `--shared-latency`: from the first request to it to the first byte.
    pub shared_latency_ns: Nanos,
    /// `--registry-bandwidth`: bytes per second that a single node gets of the registry or object store.
    pub registry_bytes_per_s: Option<f64>,
    /// `--registry-latency`: from the first request to it to the first byte.
    pub registry_latency_ns: Nanos,
}

/// The places of which a class of nodes knows the rates, and those of which it does not. Loads are compared that were staged as those of
/// the cold start, and the place that its weights came from has the rate of its own load.
pub fn places_of(
    measured: &Measured,
    cold_start: &ColdStart,
    by_hand: &PlacesByHand,
) -> (Vec<Place>, Vec<MissingTier>) {
    // Pods don't tell how they load: machines of their class do.
    let loads = Loads::of(measured, measured.loading(cold_start));
    let found = [
        (Tier::Pinned, pinned(measured)),
        (Tier::PageCache, page_cache(&loads)),
        (Tier::LocalDisk, local_disk(&loads)),
        (Tier::SharedStorage, shared_storage(&loads, by_hand)),
        (Tier::Registry, registry(measured, cold_start, by_hand)),
    ];
    let (mut places, mut missing) = (Vec::new(), Vec::new());
    for (tier, place) in found {
        match place {
            Ok((bytes_per_s, latency_ns)) => {
                places.push(Place { tier, queue_ns: Nanos::ZERO, latency_ns, bytes_per_s });
            }
            Err(why) => missing.push(MissingTier { tier, why }),
        }
    }
    (places, missing)
}

type Found = Result<(Figure<f64>, Nanos), String>;

fn pinned(measured: &Measured) -> Found {
    if measured.class.on_host() {
        return Err("the host device reads host memory where it is".to_owned());
    }
    let limit = measured.limits.iter().find(|limit| limit.kind == LimitKind::HostToDevice);
    let limit = limit.ok_or("limit `host_to_device` was not measured: run all phases on this device")?;
    Ok((limit.per_s.clone(), Nanos::ZERO))
}

/// Loads by themselves, as the cold start's own load would have gone.
struct Loads<'m> {
    all: &'m [LoadRate],
    /// How the cold start's weights were staged; `None` where that is not known.
    staging: Option<&'m str>,
    /// Rate of the cold start's load ÷ rate of a load by itself under the same conditions; `None` where one of them is not known.
    scale: Option<Figure<f64>>,
}

impl<'m> Loads<'m> {
    fn of(measured: &'m Measured, cold_start: &'m ColdStart) -> Self {
        let all = measured.loads.as_slice();
        let staging = cold_start.load_condition("staging");
        let page_cache = cold_start.load_condition("page_cache");
        let alike = all.iter().filter(|load| {
            load.storage == cold_start.storage
                && Some(load.staging.as_str()) == staging
                && Some(load.page_cache.as_str()) == page_cache
        });
        let scale =
            alike.max_by(by_rate).zip(cold_start.part(Phase::WeightsLoad)).and_then(|(load, part)| {
                let (alone, within) =
                    (load.median_ns.value.as_secs_f64(), part.median_ns.value.as_secs_f64());
                let basis = Basis::of("a load by itself ÷ the load of the cold start")
                    .resting_on(&load.median_ns.basis)
                    .resting_on(&part.median_ns.basis);
                (alone > 0.0 && within > 0.0).then(|| Figure::new(alone / within, basis))
            });
        Loads { all, staging, scale }
    }

    /// The fastest load in this state of the page cache, from a storage that is wanted, staged as the cold start's where there is such.
    fn fastest(&self, page_cache: &str, wanted: impl Fn(&str) -> bool) -> Option<Figure<f64>> {
        let rates = || self.all.iter().filter(|load| load.page_cache == page_cache && wanted(&load.storage));
        let same = |load: &&LoadRate| self.staging.is_none_or(|staging| load.staging == staging);
        if let Some(best) = rates().filter(same).max_by(by_rate) {
            return Some(self.scaled(&best.bytes_per_s));
        }
        let other = rates().max_by(by_rate)?;
        let text = format!(
            "weights_load{{page_cache={page_cache}}} was measured with {}, the cold start with {}",
            other.staging,
            self.staging.unwrap_or("another strategy")
        );
        let Figure { value, basis } = other.bytes_per_s.clone();
        Some(Figure::new(value, basis.caveat(text)))
    }

    fn scaled(&self, rate: &Figure<f64>) -> Figure<f64> {
        let Some(scale) = &self.scale else { return rate.clone() };
        let basis = Basis::of("the rate of loads by themselves × what the cold start's load has of it")
            .input("rate of loads by themselves", Quantity::BytesPerSecond(rate.value))
            .input("what the cold start's load has of it", Quantity::Number(scale.value))
            .resting_on(&rate.basis)
            .resting_on(&scale.basis);
        Figure::new(rate.value * scale.value, basis)
    }
}

fn by_rate(a: &&LoadRate, b: &&LoadRate) -> std::cmp::Ordering {
    a.bytes_per_s.value.total_cmp(&b.bytes_per_s.value)
}

fn page_cache(loads: &Loads<'_>) -> Found {
    let cached = loads.fastest("warm", |_| true).or_else(|| loads.fastest("memory", |_| true));
    let cached = cached
        .ok_or("weights_load{page_cache=warm} was not measured: leave `--strategies` and `--phases` out")?;
    Ok((cached, Nanos::ZERO))
}

fn local_disk(loads: &Loads<'_>) -> Found {
    let local = |storage: &str| !SHARED.contains(&storage) && !IN_MEMORY.contains(&storage);
    let read = loads.fastest("cold", local);
    let read = read.ok_or(
        "weights_load{page_cache=cold} was not measured from a disk of the node: put the model on one",
    )?;
    Ok((read, Nanos::ZERO))
}

fn shared_storage(loads: &Loads<'_>, by_hand: &PlacesByHand) -> Found {
    if let Some(rate) = by_hand.shared_bytes_per_s {
        return Ok((Figure::by_hand(rate, "--shared-bandwidth"), by_hand.shared_latency_ns));
    }
    let read = loads.fastest("cold", |storage| SHARED.contains(&storage));
    let read = read.ok_or(
        "weights_load{page_cache=cold} was not measured from a mount: run with the model on it, or give --shared-bandwidth",
    )?;
    // The latency is in the measured load already.
    Ok((read, Nanos::ZERO))
}

fn registry(measured: &Measured, cold_start: &ColdStart, by_hand: &PlacesByHand) -> Found {
    if let Some(rate) = by_hand.registry_bytes_per_s {
        return Ok((Figure::by_hand(rate, "--registry-bandwidth"), by_hand.registry_latency_ns));
    }
    let image = measured.image.as_ref().filter(|image| !image.synthetic);
    if let Some((image, rate)) = image.and_then(|image| Some((image, image.pull_bytes_per_s?))) {
        let formula = "compressed bytes ÷ time of the pulls of the image".to_owned();
        return Ok((Figure::new(rate, Basis { formula, ..image.basis.clone() }), Nanos::ZERO));
    }
    // The pulls of pods hold the latency, and the unpacking, already.
    if let Some(rate) = &measured.pulled_bytes_per_s {
        return Ok((rate.clone(), Nanos::ZERO));
    }
    Err(no_registry(cold_start))
}

/// Why the rate of the registry is not known.
fn no_registry(cold_start: &ColdStart) -> String {
    let of_pods = cold_start.kind == Some(TotalKind::Pod);
    match (cold_start.part(Phase::ImagePull), &cold_start.pull) {
        (Some(pull), _) if of_pods => format!(
            "the pulls of the pods took {}, but no event tells the size of their image, as those of Kubernetes 1.30 and later do: give \
             --registry-bandwidth",
            pull.median_ns.value
        ),
        (None, PullTime::Unattributed { .. }) => {
            "the pulls of the pods are not told apart from the rest of their starts: give --registry-bandwidth".to_owned()
        }
        _ => "image_pull was not measured from a registry of yours: run with `--image`, or give --registry-bandwidth"
            .to_owned(),
    }
}
