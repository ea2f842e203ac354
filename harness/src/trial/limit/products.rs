//! The peak of matrix products.

use std::time::{Duration, Instant};

use coldstart_kernels::cuda::{CudaBuffer, CudaDevice};
use coldstart_kernels::{
    Device as _, Dtype, Error, GemmRun, HostDevice, Implementation, Ops as _, Result, Timed,
};
use coldstart_profiles::{LimitKind, LimitMeasurement, Nanos, Outcome, Params, Work};

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

/// Products of edge × edge × edge on the host device.
pub(super) fn fixed(device: &HostDevice, edge: usize, dtype: Dtype) -> Result<LimitMeasurement> {
    let mut run = GemmRun::new(device, [edge; 3], dtype)?;
    let work = Work::Flops(run.flops());
    let _apart = device.keep_apart();
    readings(params(dtype, device.gemm_name()), work, || device.time(|| run.enqueue(device)))
}

/// Square products of every format by every implementation that there is, each as large as pays; the best is the limit. Where
/// cuBLASLt can't be loaded or can't multiply a format, that is said in its place.
pub(super) fn of_gpu(device: &CudaDevice) -> Result<Vec<LimitMeasurement>> {
    let own = Implementation::Own;
    let mut taken = Dtype::ALL
        .into_iter()
        .map(|dtype| largest(device, dtype, own, own.to_string()))
        .collect::<Result<Vec<_>>>()?;
    let theirs = Implementation::CublasLt;
    match device.load_cublaslt() {
        Ok(found) => {
            for dtype in Dtype::ALL {
                let name = format!("{theirs} {}", found.version);
                let reading = largest(device, dtype, theirs, name.clone());
                taken.push(reading.or_else(|error| without(params(dtype, name), error))?);
            }
        }
        Err(error) => taken.push(without(Params::new().with("implementation", theirs), error)?),
    }
    Ok(taken)
}

/// The place of a library that is not there, is not for this device, or has no memory to work in. What else may be wrong
/// with the device is an error.
fn without(params: Params, error: Error) -> Result<LimitMeasurement> {
    match error {
        Error::CublasLt { .. } | Error::OutOfMemory { .. } => {
            let outcome = Outcome::skipped(format!("failed to {error}"));
            Ok(LimitMeasurement { kind: LimitKind::Gemm, params, work: Work::Flops(0), outcome })
        }
        error => Err(error),
    }
}

/// Square products of the largest edge that pays: doubled until one takes long or the memory is full.
fn largest(device: &CudaDevice, dtype: Dtype, by: Implementation, name: String) -> Result<LimitMeasurement> {
    let (edge, mut run, _) = grown(device, dtype, by, LONG)?;
    let work = Work::Flops(run.flops());
    let params = params(dtype, name).with("edge", edge);
    readings(params, work, || device.time(|| run.enqueue_with(device, by)))
}

/// Operations per second of one product that takes about a millisecond, by our own kernels.
pub(in crate::trial) fn product_rate(device: &CudaDevice, dtype: Dtype) -> Result<f64> {
    let own = Implementation::Own;
    let (_, mut run, took) = grown(device, dtype, own, Nanos::from_millis(1))?;
    let again = if took < LONG { waited(device, &mut run, own)?.min(took) } else { took };
    Ok(run.flops() as f64 / again.as_secs_f64().max(1e-9))
}

/// The edge at which a product takes `long`, its operands, and the time that it took.
fn grown(
    device: &CudaDevice,
    dtype: Dtype,
    by: Implementation,
    long: Nanos,
) -> Result<(usize, GemmRun<CudaBuffer>, Nanos)> {
    let mut edge = LEAST_EDGE;
    let mut run = GemmRun::new(device, [edge; 3], dtype)?;
    // The first product brings the kernel onto the device.
    waited(device, &mut run, by)?;
    let mut took = waited(device, &mut run, by)?;
    while took < long && edge < MOST_EDGE {
        let mut larger = match GemmRun::new(device, [2 * edge; 3], dtype) {
            Ok(larger) => larger,
            Err(Error::OutOfMemory { .. }) => break,
            Err(error) => return Err(error),
        };
        took = waited(device, &mut larger, by)?;
        (edge, run) = (2 * edge, larger);
    }
    Ok((edge, run, took))
}

/// The time of one product by the host's clock: what only plays a device may have a device clock of its own making.
fn waited(device: &CudaDevice, run: &mut GemmRun<CudaBuffer>, by: Implementation) -> Result<Nanos> {
    Ok(device.time(|| run.enqueue_with(device, by))?.host.into())
}

fn readings(
    params: Params,
    work: Work,
    mut product: impl FnMut() -> Result<Timed<()>>,
) -> Result<LimitMeasurement> {
    let mut times = Vec::with_capacity(PRODUCTS);
    let mut clock = "host";
    let begin = Instant::now();
    while times.is_empty() || (times.len() < PRODUCTS && begin.elapsed() < MOST_TIME) {
        let (time, by) = device_time(&product()?);
        clock = by;
        times.push(time);
    }
    let params = if clock == "device" { params.with("clock", clock) } else { params };
    Ok(measurement(LimitKind::Gemm, params, work, times))
}

fn params(dtype: Dtype, implementation: String) -> Params {
    Params::new().with("dtype", dtype.to_string().to_lowercase()).with("implementation", implementation)
}
