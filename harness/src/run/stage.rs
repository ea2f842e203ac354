//! Bringing the page cache into the state that a trial is to find.

use coldstart_profiles::PageCache;

use crate::weights::{ModelFiles, WeightsError, page_cache};

/// Evicts the model's own files, reads them through, or leaves them as they are (in memory).
///
/// What a trial then really finds is measured in the trial itself, just before its load: an eviction that did not work
/// marks the reading, and does not end the run.
pub(super) fn stage(files: &ModelFiles, state: PageCache) -> Result<(), WeightsError> {
    match state {
        PageCache::Cold => page_cache::evict(files.files()).map(drop),
        PageCache::Warm => page_cache::warm(files.files()).map(drop),
        PageCache::Memory => Ok(()),
    }
}
