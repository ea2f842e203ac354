//! How the bytes of a window are read.

use coldstart_profiles::Residency;

use super::uring;
use crate::weights::strategy::{Strategy, is_warm};

/// How the bytes of a window are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reads {
    /// Through a mapping, by page faults of the copy.
    Faults,
    /// Through a mapping, faulted in first.
    Populate,
    /// Through a mapping, faulted in first, and copied into the ring.
    Staged,
    /// Through a mapping, faulted in and page-locked.
    Registered,
    /// pread into the ring.
    Pread,
    /// pread into ordinary memory.
    Pageable,
    /// pread into device memory.
    InPlace,
    /// pread around the page cache, one at a time a thread.
    DirectPread,
    /// io_uring around the page cache, several at a time a thread.
    Uring,
    /// pread of all into pinned memory of that size.
    Whole,
    /// The same around the page cache.
    DirectWhole,
}

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Mapped; page faults read on in order.
    MappedSequential,
    /// Mapped; windows are asked for by name.
    Mapped,
    /// Read through the page cache.
    Cached,
    /// Read around it.
    Direct,
}

impl Reads {
    /// The way to read of a strategy on this machine, for files in this state.
    pub(super) fn of(strategy: Strategy, residency: &Residency) -> Reads {
        match strategy {
            Strategy::Mmap => Reads::Faults,
            Strategy::MmapPopulate => Reads::Populate,
            Strategy::MmapStaged => Reads::Staged,
            Strategy::Registered => Reads::Registered,
            Strategy::Buffered => Reads::Pread,
            Strategy::Pageable => Reads::Pageable,
            Strategy::BufferedInPlace => Reads::InPlace,
            Strategy::Direct if uring::allowed() => Reads::Uring,
            Strategy::Direct => Reads::DirectPread,
            Strategy::PinnedWhole if is_warm(residency) => Reads::Whole,
            Strategy::PinnedWhole => Reads::DirectWhole,
        }
    }

    /// The name in a profile.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Reads::Faults | Reads::Populate | Reads::Staged | Reads::Registered => "mmap",
            Reads::Pread | Reads::Pageable | Reads::InPlace | Reads::Whole => "pread",
            Reads::DirectPread | Reads::DirectWhole => "pread",
            Reads::Uring => "io_uring",
        }
    }

    /// How the files are opened.
    pub(super) const fn access(self) -> Access {
        match self {
            Reads::Faults => Access::MappedSequential,
            Reads::Populate | Reads::Staged | Reads::Registered => Access::Mapped,
            Reads::Pread | Reads::Pageable | Reads::InPlace | Reads::Whole => Access::Cached,
            Reads::DirectPread | Reads::Uring | Reads::DirectWhole => Access::Direct,
        }
    }

    /// Whether it needs a ring of staging memory.
    pub(super) const fn has_ring(self) -> bool {
        matches!(self, Reads::Staged | Reads::Pread | Reads::DirectPread | Reads::Uring)
    }
}
