//! The ways from a file to a device.

use std::fmt;
use std::str::FromStr;

use coldstart_profiles::{Params, Residency};

use super::error::WeightsError;

/// How the bytes travel from the files to device memory.
///
/// Names say how the file is read, and behind a dash what deviates from that way's default. Staged ways read into a small
/// ring of pinned memory that is made inside of the clock and reused; ways "in place" read straight into device memory, which
/// only a device whose memory the CPU can address has (the host device). The last four differ from the others only on a
/// device with memory of its own, and are offered there alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Strategy {
    /// `mmap`: map the file, have each window read ahead (MADV_SEQUENTIAL, MADV_WILLNEED) and copy from the mapping; the
    /// page faults of the copy wait for the reading. A driver stages such a copy itself, as it does all pageable memory.
    Mmap,
    /// `mmap-populate`: map the file, fault each window in with one MADV_POPULATE_READ (Linux 5.14), copy from the mapping.
    MmapPopulate,
    /// `buffered`: pread through the page cache into the ring, upload from there.
    Buffered,
    /// `buffered-in-place`: pread through the page cache straight into device memory.
    BufferedInPlace,
    /// `direct`: O_DIRECT around the page cache into the ring, upload from there.
    Direct,
    /// `pageable`: pread through the page cache into ordinary memory, upload from there: the driver stages the bytes itself.
    Pageable,
    /// `pinned-whole`: make pinned memory of the files' size, read them into it completely, then upload. Reads around the page
    /// cache where that is cold, through it where it is warm.
    PinnedWhole,
    /// `mmap-staged`: map the file, fault each window in, copy it into the ring, upload from there: what a loader does that
    /// has its tensors in a mapping and pins them.
    MmapStaged,
    /// `registered`: map the file, fault each window in, page-lock it where it lies, read-only, and upload without any copy
    /// by the CPU. Not every driver and system can page-lock what is mapped for reading only: then the strategy fails with
    /// the driver's own code ([`WeightsError::is_refusal`]), and nothing is staged instead.
    Registered,
}

/// A share of resident files from which on the page cache is the better source: O_DIRECT on a warm cache loses.
const WARM_SHARE: f64 = 0.5;

impl Strategy {
    /// Every strategy, in the order of tables.
    pub const ALL: [Strategy; 9] = [
        Strategy::Mmap,
        Strategy::MmapPopulate,
        Strategy::Buffered,
        Strategy::BufferedInPlace,
        Strategy::Direct,
        Strategy::Pageable,
        Strategy::PinnedWhole,
        Strategy::MmapStaged,
        Strategy::Registered,
    ];

    /// The name on the command line and in keys (`staging=`).
    pub const fn name(self) -> &'static str {
        match self {
            Strategy::Mmap => "mmap",
            Strategy::MmapPopulate => "mmap-populate",
            Strategy::Buffered => "buffered",
            Strategy::BufferedInPlace => "buffered-in-place",
            Strategy::Direct => "direct",
            Strategy::Pageable => "pageable",
            Strategy::PinnedWhole => "pinned-whole",
            Strategy::MmapStaged => "mmap-staged",
            Strategy::Registered => "registered",
        }
    }

    /// Whether the CPU must be able to address device memory.
    pub const fn needs_host_memory(self) -> bool {
        matches!(self, Strategy::BufferedInPlace)
    }

    /// Whether it says something of its own only on a device with memory of its own: in host memory pinned and ordinary
    /// pages are the same.
    pub const fn is_for_own_memory(self) -> bool {
        matches!(
            self,
            Strategy::Pageable | Strategy::PinnedWhole | Strategy::MmapStaged | Strategy::Registered
        )
    }

    /// Whether the page cache is bypassed whatever its state, so that a load neither finds nor leaves the files there.
    pub const fn bypasses_page_cache(self) -> bool {
        matches!(self, Strategy::Direct)
    }

    /// The strategies that are worth running on a device whose memory the CPU can address (`host_memory`, the host device),
    /// or on one with memory of its own.
    pub fn available(host_memory: bool) -> impl Iterator<Item = Strategy> {
        Strategy::ALL.into_iter().filter(move |strategy| {
            if host_memory { !strategy.is_for_own_memory() } else { !strategy.needs_host_memory() }
        })
    }

    /// The default for files in this state: around the page cache when it is cold, through it when it is warm; on a device
    /// with memory of its own both times through the ring of pinned memory. Where the state is unknown, through the page
    /// cache: that loses less when it is wrong.
    pub fn choose(residency: &Residency, host_memory: bool) -> Strategy {
        match (is_warm(residency), host_memory) {
            (true, true) => Strategy::BufferedInPlace,
            (true, false) => Strategy::Buffered,
            (false, _) => Strategy::Direct,
        }
    }

    /// The conditions that it adds to a key.
    pub fn params(self, params: Params) -> Params {
        params.with("staging", self)
    }
}

/// Whether the page cache is the better source of files in this state. Where the state is unknown, it is.
pub(super) fn is_warm(residency: &Residency) -> bool {
    residency.fraction().is_none_or(|share| share >= WARM_SHARE)
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Strategy {
    type Err = WeightsError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Strategy::ALL.into_iter().find(|strategy| strategy.name() == name).ok_or_else(|| {
            WeightsError::UnknownStrategy {
                name: name.to_owned(),
                known: Strategy::ALL.map(Strategy::name).join(", "),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use coldstart_profiles::{Bytes, ResidencyMethod};

    use super::*;

    #[test]
    fn names_lead_back() {
        for strategy in Strategy::ALL {
            assert_eq!(strategy.to_string().parse::<Strategy>().unwrap(), strategy);
        }
        let error = "rdma".parse::<Strategy>().unwrap_err().to_string();
        assert!(error.contains("rdma") && error.contains("buffered-in-place"), "{error}");
        assert_eq!(Strategy::Direct.params(Params::new()).to_string(), "staging=direct");
    }

    #[test]
    fn residency_decides() {
        let of = |resident: Option<u64>| Residency {
            resident_bytes: resident.map(Bytes::new),
            total_bytes: Bytes::new(100),
            method: ResidencyMethod::Mincore,
            why: None,
        };
        for (resident, host_memory, chosen) in [
            (Some(0), true, Strategy::Direct),
            (Some(0), false, Strategy::Direct),
            (Some(49), true, Strategy::Direct),
            (Some(50), true, Strategy::BufferedInPlace),
            (Some(100), false, Strategy::Buffered),
            (None, true, Strategy::BufferedInPlace),
            (None, false, Strategy::Buffered),
        ] {
            assert_eq!(Strategy::choose(&of(resident), host_memory), chosen, "{resident:?} {host_memory}");
            assert!(Strategy::available(host_memory).any(|strategy| strategy == chosen));
        }
    }

    #[test]
    fn devices_are_offered_what_differs_there() {
        let names = |host| Strategy::available(host).map(Strategy::name).collect::<Vec<_>>().join(" ");
        assert_eq!(names(true), "mmap mmap-populate buffered buffered-in-place direct");
        assert_eq!(
            names(false),
            "mmap mmap-populate buffered direct pageable pinned-whole mmap-staged registered"
        );
    }
}
