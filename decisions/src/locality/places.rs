//! The places of one class of nodes, from what was measured there and what was given by hand.

use coldstart_profiles::{LimitKind, Nanos};

use super::tier::{MissingTier, Place, Tier};
use crate::basis::{Basis, Figure};
use crate::measured::{LoadRate, Measured};

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

/// The places of which a class of nodes knows the rates, and those of which it does not.
pub fn places_of(measured: &Measured, by_hand: &PlacesByHand) -> (Vec<Place>, Vec<MissingTier>) {
    let found = [
        (Tier::Pinned, pinned(measured)),
        (Tier::PageCache, page_cache(measured)),
        (Tier::LocalDisk, local_disk(measured)),
        (Tier::SharedStorage, shared_storage(measured, by_hand)),
        (Tier::Registry, registry(measured, by_hand)),
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
    if measured.class.device_kind == "host" {
        return Err("the host device reads host memory where it is".to_owned());
    }
    let limit = measured.limits.iter().find(|limit| limit.kind == LimitKind::HostToDevice);
    let limit = limit.ok_or("limit `host_to_device` was not measured: run all phases on this device")?;
    Ok((limit.per_s.clone(), Nanos::ZERO))
}

/// The fastest load in this state of the page cache, from a storage that is wanted.
fn fastest(measured: &Measured, page_cache: &str, wanted: impl Fn(&str) -> bool) -> Option<Figure<f64>> {
    let rates = measured.loads.iter().filter(|load| load.page_cache == page_cache && wanted(&load.storage));
    let best = rates.max_by(|a: &&LoadRate, b| a.bytes_per_s.value.total_cmp(&b.bytes_per_s.value))?;
    Some(best.bytes_per_s.clone())
}

fn page_cache(measured: &Measured) -> Found {
    let cached = fastest(measured, "warm", |_| true).or_else(|| fastest(measured, "memory", |_| true));
    let cached = cached
        .ok_or("weights_load{page_cache=warm} was not measured: leave `--strategies` and `--phases` out")?;
    Ok((cached, Nanos::ZERO))
}

fn local_disk(measured: &Measured) -> Found {
    let local = |storage: &str| !SHARED.contains(&storage) && !IN_MEMORY.contains(&storage);
    let read = fastest(measured, "cold", local);
    let read = read.ok_or(
        "weights_load{page_cache=cold} was not measured from a disk of the node: put the model on one",
    )?;
    Ok((read, Nanos::ZERO))
}

fn shared_storage(measured: &Measured, by_hand: &PlacesByHand) -> Found {
    if let Some(rate) = by_hand.shared_bytes_per_s {
        return Ok((Figure::by_hand(rate, "--shared-bandwidth"), by_hand.shared_latency_ns));
    }
    let read = fastest(measured, "cold", |storage| SHARED.contains(&storage));
    let read = read.ok_or(
        "weights_load{page_cache=cold} was not measured from a mount: run with the model on it, or give --shared-bandwidth",
    )?;
    // The latency is in the measured load already.
    Ok((read, Nanos::ZERO))
}

fn registry(measured: &Measured, by_hand: &PlacesByHand) -> Found {
    if let Some(rate) = by_hand.registry_bytes_per_s {
        return Ok((Figure::by_hand(rate, "--registry-bandwidth"), by_hand.registry_latency_ns));
    }
    let image = measured.image.as_ref().filter(|image| !image.synthetic);
    let rate = image.and_then(|image| image.pull_bytes_per_s).ok_or(
        "image_pull was not measured from a registry of yours: run with `--image`, or give --registry-bandwidth",
    )?;
    Ok((Figure::new(rate, Basis::of("compressed bytes ÷ time of the pulls of the image")), Nanos::ZERO))
}
