//! The throughput sweep: steady-state passes at every point, in one process.

use coldstart_kernels::cuda::CudaDevice;
use coldstart_kernels::{Device as _, Dtype, Error, HostDevice, Ops};
use coldstart_profiles::warm_up::analyse;
use coldstart_profiles::{Bytes, ForwardMode, Nanos, StopLimits, SweepPoint};

use super::child::{ChildError, open_model, say};
use super::products;
use super::spec::{ChildLine, NoSamples, PointReport, SweepSpec};
use crate::clock;
use crate::model::{Capacity, Forward, ModelError, Runner, read_config};
use crate::phases::{self, Began, Files, Passes};
use crate::sampling::{Series, until_steady};
use crate::telemetry::Sampler;
use crate::weights::{DeviceLayout, LoadDevice, Loaded, check_device_fits};

/// Passes that never belong to the steady window: the first touches fresh memory, the second confirms that it did.
const WARM_UP_PASSES: usize = 2;
/// Tokens of a context that are filled in at once before decode steps.
const CONTEXT_PIECE: usize = 256;

/// Loads the model once and measures every point. A point that fails says why, and the sweep goes on; it ends where the
/// device is lost.
pub(super) fn run(spec: &SweepSpec) -> Result<(), ChildError> {
    match spec.subject.device.gpus().first() {
        Some(index) => {
            let device = CudaDevice::open(*index)?;
            // The steady state of a server that has loaded what serves it best. Where there is no such library, the record of
            // the products says who ran them, and the limit of products says why.
            device.load_cublaslt().ok();
            on(&device, spec)
        }
        None => on(&HostDevice::open(0)?, spec),
    }
}

fn on<D: LoadDevice + Ops>(device: &D, spec: &SweepSpec) -> Result<(), ChildError> {
    let model = open_model(&spec.subject)?;
    let forward = read_config(&model)?;
    let layout = DeviceLayout::of(&model);
    check_device_fits(device, &layout)?;
    let began = Began(clock::monotonic());
    let (mut buffer, _) = phases::alloc(device, &layout, began)?;
    let files = Files { model: &model, layout: &layout };
    let how = (spec.strategy.parse()?, coldstart_profiles::PageCache::Warm);
    phases::weights_load(device, &files, &mut buffer, how, began)?;
    let weights = Loaded { buffer, table: layout.table().clone() };
    let sweep = Sweep {
        device,
        forward: &forward,
        weights: &weights,
        activation: forward.activation(device, &weights.table)?,
        began,
        sampler: spec.sampled.clone().map(Sampler::start),
        seed: spec.subject.seed,
        least: spec.least,
        resolution: clock::resolution(),
    };
    // A point that ran out of memory says what every larger one would.
    let mut most: Option<u64> = None;
    for point in &spec.points {
        let needed = forward.bytes_needed::<D>(sweep.activation, &capacity(point)).unwrap_or(0);
        let why = match most {
            Some(most) if needed >= most => Err(out_of_memory(needed, device.memory()?.free)),
            _ => sweep.fits(needed),
        };
        let report = match why {
            Err(why) => without_samples(*point, NoSamples::Skipped(why)),
            Ok(()) => match sweep.point(point) {
                Ok(report) => report,
                Err(error) => {
                    if let Some(free) = ran_out_of_memory(&error) {
                        most = Some(most.map_or(needed, |most| most.min(needed)));
                        let why = NoSamples::Skipped(out_of_memory(needed, free));
                        say(&ChildLine::Point(without_samples(*point, why)));
                        continue;
                    }
                    let why = format!("failed to {error}");
                    say(&ChildLine::Point(without_samples(*point, NoSamples::Failed(why))));
                    // A device that is lost does nothing more for this process; one that failed a point goes on.
                    device.sync()?;
                    continue;
                }
            },
        };
        say(&ChildLine::Point(report));
        say(&ChildLine::Products { products: products::ran(device) });
    }
    Ok(())
}

/// What was free when the device ran out of memory; `None` where it did not.
fn ran_out_of_memory(error: &ModelError) -> Option<u64> {
    match error {
        ModelError::Device(error) => match **error {
            Error::OutOfMemory { free, .. } => Some(free),
            _ => None,
        },
        _ => None,
    }
}

/// Why a point is left out.
fn out_of_memory(needed: u64, free: u64) -> String {
    format!(
        "activations and caches need {}, and the device has {} left: use smaller `--batches`, `--prompts` or `--contexts`",
        Bytes::new(needed),
        Bytes::new(free)
    )
}

/// What every point stands on.
struct Sweep<'s, O: Ops> {
    device: &'s O,
    forward: &'s Forward,
    weights: &'s Loaded<O>,
    activation: Dtype,
    began: Began,
    sampler: Option<Sampler>,
    seed: u64,
    /// Passes of a steady window at least.
    least: usize,
    resolution: Nanos,
}

impl<O: Ops> Sweep<'_, O> {
    /// Whether there is memory for a point; if not, how much there is.
    fn fits(&self, needed: u64) -> Result<(), String> {
        match self.device.memory() {
            Ok(memory) if needed > memory.free => Err(out_of_memory(needed, memory.free)),
            // What can't be asked is found out by trying.
            _ => Ok(()),
        }
    }

    /// One point: every pass from the first, until steady or out of time.
    fn point(&self, point: &SweepPoint) -> Result<PointReport, ModelError> {
        let capacity = capacity(point);
        let mut runner =
            Runner::new(self.device, self.forward, &self.weights.table, &self.weights.buffer, capacity)?;
        let activation = runner.activation();
        let (flops, read_bytes) = self.cost(point, &mut runner);
        let shape = (point.mode, point.batch, point.tokens);
        let mut passes = Passes::new(self.device, &mut runner, self.forward, shape, self.seed)?;
        let limits = StopLimits {
            min_iterations: WARM_UP_PASSES + self.least,
            ..StopLimits::for_tail(point.max_iterations as usize, point.allowance_ns)
        };
        // What was sampled since the last point is of no use but for its last sample, which lies just before this one.
        let sampled = || self.sampler.as_ref().map(|sampler| sampler.collect(self.began.0));
        sampled();
        let mut device_ns: Vec<Nanos> = Vec::new();
        let series = until_steady(None, limits, self.resolution, || {
            let timed = passes.pass()?;
            device_ns.extend(timed.device.map(Nanos::from));
            Ok::<_, ModelError>(timed.host.into())
        })?;
        let (replay, telemetry) = (passes.replay(), sampled());
        let since = |begin: &Nanos| begin.saturating_sub(self.began.0);
        // Where the analysis finds a later start of the steady state, and enough is left after it.
        let found = analyse(&series.samples, self.resolution).steady_start.unwrap_or(0);
        let steady_from =
            found.clamp(WARM_UP_PASSES, series.samples.len().saturating_sub(self.least).max(WARM_UP_PASSES));
        Ok(PointReport {
            point: *point,
            steady_from,
            window_ns: window(&series, steady_from),
            begins_ns: series.begins.iter().map(since).collect(),
            telemetry,
            samples_ns: Ok(series.samples),
            device_ns,
            flops,
            read_bytes,
            workspace_bytes: self.forward.bytes_needed::<O>(activation, &capacity).unwrap_or(0),
            dtype: Some(activation.to_string().to_lowercase()),
            replay,
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
    let (sequences, length) = (point.batch as usize, point.tokens as usize);
    let tokens = match point.mode {
        ForwardMode::Prefill | ForwardMode::Encode => sequences * length,
        // A step has one token for each sequence; the context before it is filled in pieces.
        ForwardMode::Decode => sequences.max(length.min(CONTEXT_PIECE)),
    };
    Capacity { sequences, tokens, context: length + 1 }
}

/// From the begin of the first steady pass to the end of the last.
fn window(series: &Series, steady_from: usize) -> Nanos {
    match (series.begins.get(steady_from), series.begins.last(), series.samples.last()) {
        (Some(first), Some(last), Some(sample)) => last.saturating_sub(*first).saturating_add(*sample),
        _ => Nanos::ZERO,
    }
}

fn without_samples(point: SweepPoint, why: NoSamples) -> PointReport {
    PointReport {
        point,
        samples_ns: Err(why),
        device_ns: Vec::new(),
        begins_ns: Vec::new(),
        telemetry: None,
        steady_from: 0,
        window_ns: Nanos::ZERO,
        flops: 0,
        read_bytes: 0,
        workspace_bytes: 0,
        dtype: None,
        replay: None,
        stop: None,
    }
}
