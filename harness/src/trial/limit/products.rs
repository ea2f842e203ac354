//! The peak of matrix products.

use std::time::{Duration, Instant};

use coldstart_kernels::{Dtype, Error, GemmRun, Ops, Result};
use coldstart_profiles::{LimitKind, LimitMeasurement, Nanos, Params, Work};

use super::{device_time, measurement};

/// Products in a row: the first ones wake cores and clocks up.
const PRODUCTS: usize = 10;
/// On a device that is slower than it should be, readings end after this time.
const MOST_TIME: Duration = Duration::from_secs(1);
/// The smallest square product that is tried.
const LEAST_EDGE: usize = 64;
/// The largest: three matrices of 512 MiB in f32.
const MOST_EDGE: usize = 8192;
/// Larger products gain nothing where one takes this long.
const LONG: Nanos = Nanos::from_millis(4);

/// Products of edge × edge × edge.
pub(super) fn fixed<O: Ops>(device: &O, edge: usize, dtype: Dtype) -> Result<LimitMeasurement> {
    readings(device, &mut GemmRun::new(device, [edge; 3], dtype)?, edge, dtype)
}

/// Square products of the largest edge that pays: doubled until one takes long or the memory is full.
pub(super) fn largest<O: Ops>(device: &O, dtype: Dtype) -> Result<LimitMeasurement> {
    let (edge, mut run, _) = grown(device, dtype, LONG)?;
    readings(device, &mut run, edge, dtype)
}

/// Operations per second of one product that takes about a millisecond.
pub(in crate::trial) fn product_rate<O: Ops>(device: &O, dtype: Dtype) -> Result<f64> {
    let (_, mut run, took) = grown(device, dtype, Nanos::from_millis(1))?;
    let again = if took < LONG { waited(device, &mut run)?.min(took) } else { took };
    Ok(run.flops() as f64 / again.as_secs_f64().max(1e-9))
}

/// The edge at which a product takes `long`, its operands, and the time that it took.
fn grown<O: Ops>(device: &O, dtype: Dtype, long: Nanos) -> Result<(usize, GemmRun<O::Buffer>, Nanos)> {
    let mut edge = LEAST_EDGE;
    let mut run = GemmRun::new(device, [edge; 3], dtype)?;
    // The first product brings the kernel onto the device.
    once(device, &mut run)?;
    // By the host's clock: what only plays a device may have a device clock of its own making.
    let mut took = waited(device, &mut run)?;
    while took < long && edge < MOST_EDGE {
        let mut larger = match GemmRun::new(device, [2 * edge; 3], dtype) {
            Ok(larger) => larger,
            Err(Error::OutOfMemory { .. }) => break,
            Err(error) => return Err(error),
        };
        took = waited(device, &mut larger)?;
        (edge, run) = (2 * edge, larger);
    }
    Ok((edge, run, took))
}

fn once<O: Ops>(device: &O, run: &mut GemmRun<O::Buffer>) -> Result<(Nanos, &'static str)> {
    Ok(device_time(&device.time(|| run.enqueue(device))?))
}

fn waited<O: Ops>(device: &O, run: &mut GemmRun<O::Buffer>) -> Result<Nanos> {
    Ok(device.time(|| run.enqueue(device))?.host.into())
}

fn readings<O: Ops>(
    device: &O,
    run: &mut GemmRun<O::Buffer>,
    edge: usize,
    dtype: Dtype,
) -> Result<LimitMeasurement> {
    let mut times = Vec::with_capacity(PRODUCTS);
    let mut clock = "host";
    let begin = Instant::now();
    while times.is_empty() || (times.len() < PRODUCTS && begin.elapsed() < MOST_TIME) {
        let (time, by) = once(device, run)?;
        clock = by;
        times.push(time);
    }
    let mut params = Params::new()
        .with("dtype", dtype.to_string().to_lowercase())
        .with("implementation", device.gemm_name());
    if clock == "device" {
        params = params.with("edge", edge).with("clock", clock);
    }
    Ok(measurement(LimitKind::Gemm, params, Work::Flops(run.flops()), times))
}
