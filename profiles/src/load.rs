//! What is recorded of one load of weights besides its time.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::{Bytes, Nanos};

/// The state of the page cache that a load is meant to find (`page_cache=` of a key).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PageCache {
    /// The files were evicted first.
    Cold,
    /// The files were read through first.
    Warm,
    /// The files live in memory (tmpfs): there is nothing to evict.
    Memory,
}

impl PageCache {
    /// Every state.
    pub const ALL: [PageCache; 3] = [PageCache::Cold, PageCache::Warm, PageCache::Memory];

    /// The name in JSON and keys.
    pub const fn name(self) -> &'static str {
        match self {
            PageCache::Cold => "cold",
            PageCache::Warm => "warm",
            PageCache::Memory => "memory",
        }
    }
}

impl fmt::Display for PageCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for PageCache {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        PageCache::ALL
            .into_iter()
            .find(|state| state.name() == name)
            .ok_or_else(|| format!("know the page cache state `{name}`: the states are cold, warm, memory"))
    }
}

/// How the page cache was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResidencyMethod {
    /// `mincore` on every page; exact, but only where the caller owns or can write the file.
    Mincore,
    /// `cachestat` on every page; exact. Where it is allowed, it is for files of others.
    Cachestat,
    /// A sample of windows of 64 KiB: what the kernel maps around a page that is touched was resident.
    FaultAround,
    /// `preadv2(RWF_NOWAIT)` on a sample of pages; too high where the kernel starts to read a page that is asked for.
    Nowait,
    /// The file system keeps its files in memory: all of it is resident.
    Tmpfs,
    /// Several files, asked in different ways.
    Mixed,
    /// It could not be asked.
    None,
}

/// How much of the files was in the page cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Residency {
    /// The bytes in the page cache, whole pages; null with the reason in `why`. Under `fault_around` and `nowait` an estimate: the
    /// share of the sampled pages times the size.
    pub resident_bytes: Option<Bytes>,
    /// The size of the files.
    pub total_bytes: Bytes,
    /// How it was asked.
    pub method: ResidencyMethod,
    /// Why it is not known, or known by sampling only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// A cold trial with a larger share of its files in the page cache is partly warm: 1 %.
pub const COLD_RESIDENCY_LIMIT: f64 = 0.01;

impl Residency {
    /// Resident ÷ total, in 0..=1; `None` where it is not known.
    pub fn fraction(&self) -> Option<f64> {
        let resident = self.resident_bytes?;
        if self.total_bytes == Bytes::ZERO {
            return Some(0.0);
        }
        Some((resident.get() as f64 / self.total_bytes.get() as f64).min(1.0))
    }

    /// Why a load that was meant to be cold is only partly so; `None` where it is cold, or nobody can tell.
    pub fn partial_reason(&self) -> Option<String> {
        let fraction = self.fraction().filter(|fraction| *fraction > COLD_RESIDENCY_LIMIT)?;
        Some(format!("partial: {:.1} % of the files was in the page cache", fraction * 100.0))
    }
}

/// One load of weights, taken apart. Reading and uploading overlap, so the parts never enter a sum:
/// `read_ns + stage_ns + upload_ns` may be longer than the load.
///
/// Each `_ns` is the wall time during which at least one thread did that kind of work (the union of the intervals).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LoadDetail {
    /// The bytes of the tensors that reached the device.
    pub loaded_bytes: Bytes,
    /// How many threads read.
    pub threads: u32,
    /// Reads in flight at once, over all threads.
    pub queue_depth: u32,
    /// What a single read asks for at most.
    pub chunk_bytes: Bytes,
    /// How the reads were issued: `pread`, `io_uring`, `mmap`.
    pub reads_by: String,
    /// Making the staging memory (allocating, faulting in, page-locking), inside of the load's time. Where the mapping itself
    /// is page-locked (`staging=registered`), doing that.
    pub pin_ns: Nanos,
    /// The staging memory that was made; zero where the load needs none. Where the mapping itself is page-locked, the most
    /// that was at once.
    pub pinned_bytes: Bytes,
    /// From storage or page cache into memory.
    pub read_ns: Option<Nanos>,
    /// From the page cache's mapping into staging memory, where that is a step of its own.
    pub stage_ns: Option<Nanos>,
    /// Into device memory: while at least one copy was under way. On a device that copies on its own a copy is under way from
    /// its being enqueued until the device's clock says that it is done.
    pub upload_ns: Option<Nanos>,
    /// While both a read and an upload were under way.
    pub overlap_ns: Nanos,
    /// Why a part above is null.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub absent: Vec<AbsentPart>,
    /// Streams that the copies were spread over; 0 where the CPU writes device memory itself.
    #[serde(default)]
    pub streams: u32,
    /// Copies that were enqueued: pieces that are neighbours in the file and on the device go as one. 0 where the CPU writes
    /// device memory itself.
    #[serde(default)]
    pub copies: u64,
    /// By how much the anonymous memory of the process (`RssAnon`) grew over the load: memory of the loader, private copies
    /// that a driver makes of mapped pages, and on the host device the weights. Null where the kernel does not say.
    #[serde(default)]
    pub anonymous_growth_bytes: Option<Bytes>,
    /// What went otherwise than asked for and costs time, but leaves the load what it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
    /// From the start of the load to the first tensor that was whole on the device; null where no tensor holds a byte.
    pub first_tensor_ns: Option<Nanos>,
    /// The page cache before the load.
    pub residency_before: Residency,
    /// Bytes of the tensors whose checksums on the device were those of the files, compared after the load; null where
    /// this load was not checked (each strategy is checked once a run).
    #[serde(default)]
    pub verified_bytes: Option<Bytes>,
}

impl LoadDetail {
    /// Whether reading and uploading overlapped at all.
    pub fn overlapped(&self) -> bool {
        self.overlap_ns > Nanos::ZERO
    }
}

/// Loads of the same weights to several devices that ran side by side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TogetherDetail {
    /// The share of each device.
    pub devices: Vec<DeviceLoad>,
}

/// One device's load beside those of others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeviceLoad {
    /// The device's number.
    pub device: u32,
    /// Its own load, from the moment at which all of them could begin.
    pub total_ns: Nanos,
    /// The same, taken apart.
    pub load: LoadDetail,
}

/// A part of a load that has no time of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AbsentPart {
    /// The field's name, such as `read_ns`.
    pub part: String,
    /// Why.
    pub why: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn residency(resident: Option<u64>, total: u64) -> Residency {
        Residency {
            resident_bytes: resident.map(Bytes::new),
            total_bytes: Bytes::new(total),
            method: ResidencyMethod::Mincore,
            why: None,
        }
    }

    #[test]
    fn a_cold_load_may_find_one_percent() {
        for (resident, total, partial) in [
            (Some(0), 1000, None),
            (Some(10), 1000, None),
            (Some(31), 1000, Some("partial: 3.1 % of the files was in the page cache")),
            (Some(4096), 1000, Some("partial: 100.0 % of the files was in the page cache")),
            (None, 1000, None),
            (Some(0), 0, None),
        ] {
            let reason = residency(resident, total).partial_reason();
            assert_eq!(reason.as_deref(), partial, "{resident:?} of {total}");
        }
    }

    #[test]
    fn names_agree_in_json_and_text() {
        for state in PageCache::ALL {
            assert_eq!(serde_json::to_string(&state).unwrap(), format!("\"{state}\""));
            assert_eq!(state.name().parse::<PageCache>().unwrap(), state);
        }
    }
}
