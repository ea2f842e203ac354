//! What is recorded of a load besides its time.

use coldstart_profiles::{AbsentPart, Bytes, LoadDetail};

use super::device::LoadDevice;
use super::job::{Job, LogOf};
use super::log::{length, overlap, union};
use super::reads::Reads;
use super::run::Prepared;
use super::whole::Places;

/// The load taken apart, without what the log alone does not say: the first tensor and the growth of memory.
pub(super) fn detail<D: LoadDevice>(
    log: &LogOf<D>,
    plan: &Prepared<'_>,
    job: &Job<'_, D>,
    whole: Option<&Places>,
) -> LoadDetail {
    let (reads, spread) = (plan.reads, job.spread);
    let (read, upload) = (union(&log.read), union(&log.upload));
    let absent = absent(reads, job.copies_later());
    let has = |part: &str| absent.iter().all(|absent| absent.part != part);
    let ring = spread.threads * spread.slots * spread.chunk;
    let pinned = match whole {
        Some(places) => places.bytes,
        None if reads.has_ring() => ring + spread.threads * spread.slots * job.room,
        None if reads == Reads::Registered => ring.min(plan.model.bytes() as usize),
        None => 0,
    };
    let queue = if reads == Reads::Uring { spread.threads * spread.slots } else { spread.threads };
    LoadDetail {
        loaded_bytes: Bytes::new(plan.model.bytes()),
        threads: spread.threads as u32,
        queue_depth: queue as u32,
        chunk_bytes: Bytes::new(spread.chunk as u64),
        reads_by: reads.name().to_owned(),
        pin_ns: length(&union(&log.pin)),
        pinned_bytes: Bytes::new(pinned as u64),
        read_ns: has("read_ns").then(|| length(&read)),
        stage_ns: has("stage_ns").then(|| length(&union(&log.stage))),
        upload_ns: has("upload_ns").then(|| length(&upload)),
        overlap_ns: overlap(&read, &upload),
        absent,
        streams: job.streams.len() as u32,
        copies: log.copies,
        anonymous_growth_bytes: None,
        remarks: log.remarks.clone(),
        first_tensor_ns: None,
        residency_before: plan.residency.clone(),
        verified_bytes: None,
    }
}

/// The parts that have no time of their own, and why.
fn absent(reads: Reads, copies_later: bool) -> Vec<AbsentPart> {
    let part = |part: &str, why: &str| AbsentPart { part: part.to_owned(), why: why.to_owned() };
    let by_driver = matches!(reads, Reads::Faults | Reads::Populate | Reads::Pageable) && copies_later;
    let mut absent = Vec::new();
    if by_driver {
        absent.push(part("stage_ns", "the driver stages the bytes itself, as part of the upload"));
    } else if reads != Reads::Staged {
        absent.push(part("stage_ns", "no step between reading and uploading copies the bytes"));
    }
    if reads == Reads::Faults {
        absent.push(part("read_ns", "the page faults of the copy do the reading"));
    }
    if reads == Reads::InPlace {
        absent.push(part("upload_ns", "the read ends in device memory"));
    }
    absent
}
