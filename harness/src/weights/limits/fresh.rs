//! Memory for readings, prepared as the memory of a load.

use std::path::Path;
use std::thread;

use memmap2::{Advice, MmapMut, MmapOptions};

use crate::weights::error::WeightsError;
use crate::weights::memory::available_host_memory;

/// Fresh pages that nobody touched, asking for huge ones; aligned to a page.
pub(super) fn fresh(bytes: usize) -> Result<MmapMut, WeightsError> {
    let map = MmapOptions::new()
        .len(bytes.max(1))
        .map_anon()
        .map_err(WeightsError::io("map anonymous memory for", Path::new("a limit")))?;
    // A request: kernels without transparent huge pages refuse it, and the memory is as good without.
    let _ = map.advise(Advice::HugePage);
    Ok(map)
}

/// Memory that was written to, so that no page is missing.
pub(super) fn touched(bytes: usize) -> Result<MmapMut, WeightsError> {
    let mut map = fresh(bytes)?;
    map.fill(0x5A);
    Ok(map)
}

/// `wanted` bytes, or fewer where that would take over a quarter of what is free.
pub(super) fn affordable(wanted: u64) -> Result<usize, WeightsError> {
    let quarter = available_host_memory().bytes.get() / 4;
    Ok(wanted.min(quarter) as usize)
}

/// One a core, at most 16.
pub(super) fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from).min(16)
}
