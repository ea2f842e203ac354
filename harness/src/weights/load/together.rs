//! Several devices at once.

use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use coldstart_profiles::Nanos;

use super::device::LoadDevice;
use super::options::LoadOptions;
use super::run::{LoadReading, Prepared, load_prepared};
use crate::weights::error::WeightsError;
use crate::weights::files::ModelFiles;
use crate::weights::layout::DeviceLayout;
use crate::weights::strategy::Strategy;

/// Loads that ran side by side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Together {
    /// From the first load's begin to the last one's end.
    pub total: Nanos,
    /// Each device's own load, in the order of the devices: its clock starts when all of them may.
    pub loads: Vec<LoadReading>,
}

/// Load the same `model` to several devices at once: a loader each, with its own threads, staging memory and reads of the
/// files, as replicas of one node do that start together. `buffers` has one buffer of
/// [`alloc_weights`](super::alloc_weights) for each device; the cores are shared out where `options` do not name the threads.
///
/// All loads wait at a barrier until every one is ready to start its clock: the page cache is asked before it. Reads around
/// the page cache go to the disk once for each device; through the page cache the first one brings what the others find.
///
/// # Errors
/// [`WeightsError::Together`] names the first device, in their order, whose load failed. The others still run to their end.
pub fn load_together<D: LoadDevice>(
    devices: &[D],
    model: &ModelFiles,
    layout: &DeviceLayout,
    buffers: &mut [D::Buffer],
    strategy: Strategy,
    options: LoadOptions,
) -> Result<Together, WeightsError> {
    let one = |device: usize| {
        move |source: WeightsError| WeightsError::Together { device, source: Box::new(source) }
    };
    let ready: Vec<_> = (devices.iter().zip(buffers.iter_mut()).enumerate())
        .map(|(index, (device, buffer))| {
            let plan = Prepared::of::<D>(model, layout, buffer, (strategy, options), devices.len());
            Ok((device, buffer, plan.map_err(one(index))?))
        })
        .collect::<Result<_, WeightsError>>()?;
    let barrier = Barrier::new(ready.len());
    let ended = thread::scope(|scope| {
        let loads: Vec<_> = ready
            .into_iter()
            .map(|(device, buffer, plan)| {
                let barrier = &barrier;
                scope.spawn(move || {
                    barrier.wait();
                    load_prepared(device, plan, buffer)
                })
            })
            .collect();
        let join = |load: thread::ScopedJoinHandle<'_, _>| {
            load.join().unwrap_or(Err(WeightsError::Thread("loader")))
        };
        loads.into_iter().map(join).collect::<Vec<Result<(Instant, LoadReading), WeightsError>>>()
    });
    let ended = ended.into_iter().enumerate().map(|(index, load)| load.map_err(one(index)));
    let ended = ended.collect::<Result<Vec<_>, _>>()?;
    Ok(Together { total: span(&ended), loads: ended.into_iter().map(|(_, load)| load).collect() })
}

/// From the first begin to the last end.
fn span(loads: &[(Instant, LoadReading)]) -> Nanos {
    let Some(first) = loads.iter().map(|(start, _)| *start).min() else { return Nanos::ZERO };
    let end = |(start, load): &(Instant, LoadReading)| {
        Nanos::from(start.duration_since(first)).saturating_add(load.total)
    };
    loads.iter().map(end).max().unwrap_or_default()
}
