//! The throughput sweep: steady-state passes at every point, in one process.

use coldstart_kernels::Ops;
use coldstart_profiles::warm_up::analyse;
use coldstart_profiles::{ForwardMode, Nanos, StopLimits, StopReason, SweepPoint};

use super::child::{ChildError, open_device, open_model, say};
use super::spec::{ChildLine, PointReport, SweepSpec};
use crate::clock;
use crate::model::{Capacity, Forward, ModelError, Runner, read_config};
use crate::phases::{self, Began, Files, Passes};
use crate::sampling::{Series, until_steady};
use crate::weights::{DeviceLayout, Loaded, check_device_fits};

/// Passes that never belong to the steady window: the first touches fresh memory, the second confirms that it did.
const WARM_UP_PASSES: usize = 2;

/// Loads the model once and measures every point. A point that fails says why, and the sweep goes on.
pub(super) fn run(spec: &SweepSpec) -> Result<(), ChildError> {
    let device = open_device(&spec.subject)?;
    let model = open_model(&spec.subject)?;
    let forward = read_config(&model)?;
    let layout = DeviceLayout::of(&model);
    check_device_fits(&device, &layout)?;
    let began = Began(clock::monotonic());
    let (mut buffer, _) = phases::alloc(&device, &layout, began)?;
    let files = Files { model: &model, layout: &layout };
    let how = (spec.strategy.parse()?, coldstart_profiles::PageCache::Warm);
    phases::weights_load(&device, &files, &mut buffer, how, began)?;
    let weights = Loaded { buffer, table: layout.table().clone() };
    let sweep = Sweep {
        device: &device,
        forward: &forward,
        weights: &weights,
        seed: spec.subject.seed,
        resolution: clock::resolution(),
    };
    for point in &spec.points {
        let report = sweep.point(point).unwrap_or_else(|error| failed(*point, error));
        say(&ChildLine::Point(report));
    }
    Ok(())
}

/// What every point stands on.
struct Sweep<'s, O: Ops> {
    device: &'s O,
    forward: &'s Forward,
    weights: &'s Loaded<O>,
    seed: u64,
    resolution: Nanos,
}

impl<O: Ops> Sweep<'_, O> {
    /// One point: every pass from the first, until steady or out of time.
    fn point(&self, point: &SweepPoint) -> Result<PointReport, ModelError> {
        let capacity = capacity(point);
        let mut runner =
            Runner::new(self.device, self.forward, &self.weights.table, &self.weights.buffer, capacity)?;
        let activation = runner.activation();
        let (flops, read_bytes) = self.cost(point, &mut runner);
        let shape = (point.mode, point.batch, point.tokens);
        let mut passes = Passes::new(self.device, &mut runner, self.forward, shape, self.seed)?;
        let least = crate::resolve::LEAST_POINT_ITERATIONS as usize;
        let limits = StopLimits {
            min_iterations: WARM_UP_PASSES + least,
            ..StopLimits::for_tail(point.max_iterations as usize, point.allowance_ns)
        };
        let series =
            until_steady(None, limits, self.resolution, || Ok::<_, ModelError>(passes.pass()?.host.into()))?;
        // Where the analysis finds a later start of the steady state, and enough is left after it.
        let found = analyse(&series.samples, self.resolution).steady_start.unwrap_or(0);
        let steady_from =
            found.clamp(WARM_UP_PASSES, series.samples.len().saturating_sub(least).max(WARM_UP_PASSES));
        Ok(PointReport {
            point: *point,
            steady_from,
            window_ns: window(&series, steady_from),
            samples_ns: Ok(series.samples),
            flops,
            read_bytes,
            workspace_bytes: self.forward.bytes_needed::<O>(activation, &capacity).unwrap_or(0),
            stop: Some(series.stop),
        })
    }

    /// Operations of one pass, and the bytes that it reads at least once.
    fn cost(&self, point: &SweepPoint, runner: &mut Runner<'_, O>) -> (u64, u64) {
        let (sequences, tokens) = (point.batch as usize, point.tokens as usize);
        match (point.mode, self.forward, runner.generator()) {
            (ForwardMode::Decode, Forward::Decoder(config), Some(generator)) => {
                (config.decode_flops(sequences, tokens), generator.decode_bytes(sequences, tokens))
            }
            (_, Forward::Decoder(_), Some(generator)) => {
                (self.forward.flops(sequences, tokens).unwrap_or(0), generator.decode_bytes(sequences, 0))
            }
            // Of the embedding tables only the rows of the batch's tokens are read, which is next to nothing.
            _ => {
                let tensors = self.weights.table.iter().filter(|(name, _)| !name.contains("embeddings."));
                let bytes = tensors.map(|(_, tensor)| tensor.bytes as u64).sum();
                (self.forward.flops(sequences, tokens).unwrap_or(0), bytes)
            }
        }
    }
}

/// Room for one point.
fn capacity(point: &SweepPoint) -> Capacity {
    let (sequences, tokens) = (point.batch as usize, point.tokens as usize);
    Capacity { sequences, tokens: sequences * tokens, context: tokens + 1 }
}

/// From the begin of the first steady pass to the end of the last.
fn window(series: &Series, steady_from: usize) -> Nanos {
    match (series.begins.get(steady_from), series.begins.last(), series.samples.last()) {
        (Some(first), Some(last), Some(sample)) => last.saturating_sub(*first).saturating_add(*sample),
        _ => Nanos::ZERO,
    }
}

fn failed(point: SweepPoint, error: ModelError) -> PointReport {
    PointReport {
        point,
        samples_ns: Err(format!("failed to {error}")),
        steady_from: 0,
        window_ns: Nanos::ZERO,
        flops: 0,
        read_bytes: 0,
        workspace_bytes: 0,
        stop: None::<StopReason>,
    }
}
