//! The phase `weights_load`: from the file opened, to the last copy's sync.

use coldstart_profiles::{Bytes, Detail, PageCache, Params, Phase, Reading, Work};

use super::forward::Began;
use crate::weights::{
    DeviceLayout, LoadDevice, LoadOptions, ModelFiles, Strategy, WeightsError, load_weights,
};

/// The model's files, and where they go.
pub(crate) struct Files<'f> {
    /// The files, checked.
    pub(crate) model: &'f ModelFiles,
    /// Where each tensor goes.
    pub(crate) layout: &'f DeviceLayout,
}

/// Loads the weights into `buffer`. A load that was meant to find a cold page cache and did not is marked.
///
/// # Errors
/// When a file can't be read, or the device fails.
pub(crate) fn weights_load<D: LoadDevice>(
    device: &D,
    files: &Files<'_>,
    buffer: &mut D::Buffer,
    (strategy, page_cache): (Strategy, PageCache),
    began: Began,
) -> Result<Reading, WeightsError> {
    let begin = began.elapsed();
    let load = load_weights(device, files.model, files.layout, buffer, strategy, LoadOptions::default())?;
    // The page cache was asked inside of the call and before its clock.
    let begin = began.elapsed().saturating_sub(load.total).max(begin);
    let mark = match page_cache {
        PageCache::Cold => load.detail.residency_before.partial_reason(),
        PageCache::Warm | PageCache::Memory => None,
    };
    Ok(Reading {
        phase: Phase::WeightsLoad,
        params: strategy.params(Params::new().with("page_cache", page_cache)),
        begin_ns: begin,
        duration_ns: load.total,
        device_ns: None,
        work: Some(Work::Bytes(Bytes::new(files.model.bytes()))),
        mark,
        detail: Some(Detail::Load(load.detail)),
    })
}
