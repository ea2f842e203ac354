//! All memory that devices may touch, with its exact size.

use std::collections::{BTreeMap, VecDeque};

use crate::host_code::Range as KernelRange;
use crate::pages::Pages;
use crate::race::History;

/// Freed allocations whose addresses are kept, so that a use after free can be told.
const QUARANTINE: usize = 2000;

/// What sort of memory it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Memory of device number so many.
    Device(usize),
    /// Page-locked host memory that the driver made.
    Pinned,
    /// Host memory of the caller's that was registered.
    Registered { read_only: bool },
}

/// A piece of memory.
#[derive(Debug)]
pub(crate) struct Range {
    pub(crate) base: u64,
    pub(crate) size: u64,
    pub(crate) id: u64,
    pub(crate) kind: Kind,
    /// The device whose context it belongs to.
    pub(crate) owner: usize,
    pub(crate) history: History,
    pages: Option<Pages>,
}

#[derive(Debug)]
struct Freed {
    base: u64,
    size: u64,
    id: u64,
    /// Held, not read: dropping it would give the addresses back.
    _pages: Option<Pages>,
}

/// What lies where.
#[derive(Debug, Default)]
pub(crate) struct Ranges {
    live: BTreeMap<u64, Range>,
    freed: VecDeque<Freed>,
    next_id: u64,
}

impl Ranges {
    /// New memory. `None` where the system has none.
    pub(crate) fn allocate(&mut self, size: usize, kind: Kind, owner: usize) -> Option<u64> {
        let (pages, base) = Pages::poisoned(size, kind == Kind::Pinned)?;
        self.insert(base, size as u64, kind, owner, Some(pages));
        Some(base)
    }

    /// Memory that is there already.
    pub(crate) fn register(&mut self, base: u64, size: u64, read_only: bool, owner: usize) {
        self.insert(base, size, Kind::Registered { read_only }, owner, None);
    }

    fn insert(&mut self, base: u64, size: u64, kind: Kind, owner: usize, pages: Option<Pages>) {
        self.next_id += 1;
        // The caller may have new memory where something was freed that was not ours.
        self.freed.retain(|gone| gone.base + gone.size <= base || base + size <= gone.base);
        let history = History::default();
        self.live.insert(base, Range { base, size, id: self.next_id, kind, owner, history, pages });
    }

    /// Frees the memory that begins at `base`.
    pub(crate) fn free(&mut self, base: u64) -> Option<()> {
        let range = self.live.remove(&base)?;
        if let Some(pages) = &range.pages {
            pages.close();
        }
        self.freed.push_back(Freed { base, size: range.size, id: range.id, _pages: range.pages });
        if self.freed.len() > QUARANTINE {
            self.freed.pop_front();
        }
        Some(())
    }

    /// Frees all that belongs to a context.
    pub(crate) fn free_all_of(&mut self, owner: usize) {
        let bases: Vec<u64> =
            self.live.values().filter(|range| range.owner == owner).map(|r| r.base).collect();
        for base in bases {
            self.free(base);
        }
    }

    /// The memory that begins at `base`.
    pub(crate) fn at(&self, base: u64) -> Option<&Range> {
        self.live.get(&base)
    }

    /// The memory in which `address` lies.
    pub(crate) fn holding(&self, address: u64) -> Option<&Range> {
        let (_, range) = self.live.range(..=address).next_back()?;
        (address - range.base < range.size).then_some(range)
    }

    /// The same, to be changed.
    pub(crate) fn holding_mut(&mut self, address: u64) -> Option<&mut Range> {
        let (_, range) = self.live.range_mut(..=address).next_back()?;
        (address - range.base < range.size).then_some(range)
    }

    /// The range that `bytes` bytes from `address` on lie in wholly; else what is wrong.
    pub(crate) fn whole(&self, address: u64, bytes: usize) -> Result<&Range, String> {
        match self.holding(address) {
            Some(range) if bytes as u64 <= range.size - (address - range.base) => Ok(range),
            Some(range) => Err(format!(
                "{bytes} bytes from {address:#x} on end {} bytes past the {} bytes of allocation {}",
                address - range.base + bytes as u64 - range.size,
                range.size,
                range.id,
            )),
            None => Err(self.missing(address, bytes)),
        }
    }

    fn missing(&self, address: u64, bytes: usize) -> String {
        match self.freed.iter().rev().find(|gone| address >= gone.base && address - gone.base < gone.size) {
            Some(gone) => format!(
                "{bytes} bytes at {address:#x} are in allocation {} of {} bytes, which was freed",
                gone.id, gone.size
            ),
            None => format!("{bytes} bytes at {address:#x} are in no memory of a device"),
        }
    }

    /// Whether any page of `size` bytes from `base` on is registered or pinned already.
    pub(crate) fn touches_host(&self, base: u64, size: u64) -> bool {
        self.live.values().any(|range| {
            !matches!(range.kind, Kind::Device(_))
                && range.base < base + size
                && base < range.base + range.size
        })
    }

    /// What a kernel on `device` may touch, in order.
    pub(crate) fn for_kernels(&self, device: usize) -> Vec<KernelRange> {
        self.live
            .values()
            .filter(|range| range.size > 0)
            .filter(|range| !matches!(range.kind, Kind::Device(other) if other != device))
            .map(|range| KernelRange {
                base: range.base,
                size: range.size,
                id: range.id,
                read_only: u64::from(range.kind == Kind::Registered { read_only: true }),
            })
            .collect()
    }

    /// What was freed, in order of addresses.
    pub(crate) fn freed_for_kernels(&self) -> Vec<KernelRange> {
        let mut all: Vec<KernelRange> = self
            .freed
            .iter()
            .map(|gone| KernelRange { base: gone.base, size: gone.size, id: gone.id, read_only: 0 })
            .collect();
        all.sort_by_key(|range| range.base);
        all
    }

    /// Bytes of memory of `device` that are taken, each allocation rounded up as the driver does.
    pub(crate) fn used(&self, device: usize) -> u64 {
        self.live
            .values()
            .filter(|range| range.kind == Kind::Device(device))
            .map(|range| range.size.next_multiple_of(512))
            .sum()
    }
}
