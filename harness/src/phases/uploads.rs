//! The phase `weights_load` of several devices at once: from the first load's begin, to the last one's last sync.

use coldstart_profiles::{
    Bytes, Detail, DeviceLoad, PageCache, Params, Phase, Reading, TogetherDetail, Work,
};

use super::forward::Began;
use super::weights_load::Files;
use crate::weights::{LoadDevice, LoadOptions, Strategy, WeightsError, load_together};

/// Loads the weights into the buffers of all `devices`, side by side. `numbers` are the devices' names in the order given.
///
/// # Errors
/// When a file can't be read, or a device fails; the others still run to their end.
pub(crate) fn uploads<D: LoadDevice>(
    (devices, numbers): (&[D], &[usize]),
    files: &Files<'_>,
    buffers: &mut [D::Buffer],
    (strategy, page_cache): (Strategy, PageCache),
    began: Began,
) -> Result<Reading, WeightsError> {
    let begin = began.elapsed();
    let options = LoadOptions::default();
    let together = load_together(devices, files.model, files.layout, buffers, strategy, options)?;
    // The page cache was asked inside of the call and before its clock.
    let begin = began.elapsed().saturating_sub(together.total).max(begin);
    let mark = together.loads.first().and_then(|load| match page_cache {
        PageCache::Cold => load.detail.residency_before.partial_reason(),
        PageCache::Warm | PageCache::Memory => None,
    });
    let of_device = |(load, number): (crate::weights::LoadReading, &usize)| DeviceLoad {
        device: u32::try_from(*number).unwrap_or(u32::MAX),
        total_ns: load.total,
        load: load.detail,
    };
    let shares = together.loads.into_iter().zip(numbers).map(of_device).collect();
    let params = Params::new().with("page_cache", page_cache).with("devices", devices.len());
    Ok(Reading {
        phase: Phase::WeightsLoad,
        params: strategy.params(params),
        begin_ns: begin,
        duration_ns: together.total,
        device_ns: None,
        work: Some(Work::Bytes(Bytes::new(files.model.bytes().saturating_mul(devices.len() as u64)))),
        mark,
        detail: Some(Detail::Together(TogetherDetail { devices: shares })),
    })
}
