//! One reading, or a few in a row, of what the hardware allows.

use coldstart_kernels::{Device as _, Dtype, GemmRun, HostDevice, Ops as _};
use coldstart_profiles::{
    Bytes, LimitKind, LimitMeasurement, Nanos, Outcome, Params, Samples, SyntheticImage, Work,
};

use super::child::{ChildError, open_device, open_model, say};
use super::spec::{ChildLine, LimitSpec};
use crate::registry::{Platform, RegistryError, Template, measure_inflate};
use crate::weights::limits::{self, LimitReadings};

/// At most this much of the model is read for one reading.
const READ_BYTES: Bytes = Bytes::from_mib(1024);
/// What copies move: far more than caches hold.
const COPY_BYTES: Bytes = Bytes::from_mib(256);
/// Rows, columns and depth of the product.
const EDGE: usize = 1024;
/// Products in a row: the first ones wake the cores up.
const PRODUCTS: usize = 10;
/// What is inflated and hashed.
const LAYER_BYTES: Bytes = Bytes::from_mib(16);
/// How often.
const LAYERS: usize = 3;

/// Takes the readings and prints them.
pub(super) fn run(spec: &LimitSpec) -> Result<(), ChildError> {
    let kind = spec.kind;
    let of_bytes = |readings: LimitReadings| {
        measurement(kind, readings.params, Work::Bytes(readings.work), readings.times)
    };
    let reading = match kind {
        LimitKind::DirectRead => of_bytes(limits::direct_read(&open_model(&spec.subject)?, READ_BYTES)?),
        LimitKind::CachedRead => of_bytes(limits::cached_read(&open_model(&spec.subject)?, READ_BYTES)?),
        LimitKind::Memcpy => of_bytes(limits::memcpy(COPY_BYTES)?),
        LimitKind::MemcpyFresh => of_bytes(limits::memcpy_fresh(COPY_BYTES)?),
        LimitKind::MemoryRead => of_bytes(limits::memory_read(COPY_BYTES)?),
        LimitKind::Gemm => gemm(&open_device(&spec.subject)?)?,
        LimitKind::InflateGzip | LimitKind::InflateZstd | LimitKind::Sha256 => {
            layer_work(kind, spec.subject.seed)?
        }
    };
    say(&ChildLine::Limit(reading));
    Ok(())
}

fn measurement(kind: LimitKind, params: Params, work: Work, times: Vec<Nanos>) -> LimitMeasurement {
    let outcome =
        Samples::new(times).map_or_else(|error| Outcome::failed(error.to_string()), Outcome::measured);
    LimitMeasurement { kind, params, work, outcome }
}

/// Products of 1024 × 1024 × 1024 in f32 with all cores.
fn gemm(device: &HostDevice) -> Result<LimitMeasurement, coldstart_kernels::Error> {
    let mut run = GemmRun::new(device, [EDGE, EDGE, EDGE], Dtype::F32)?;
    let mut times = Vec::with_capacity(PRODUCTS);
    for _ in 0..PRODUCTS {
        times.push(Nanos::from(device.time(|| run.enqueue(device))?.host));
    }
    let params = Params::new().with("dtype", "f32").with("implementation", device.gemm_name());
    Ok(measurement(LimitKind::Gemm, params, Work::Flops(run.flops()), times))
}

/// What one core makes of a layer half of which is noise: inflating it, or hashing what comes out.
fn layer_work(kind: LimitKind, seed: u64) -> Result<LimitMeasurement, ChildError> {
    let failed =
        |error: RegistryError| ChildError::Other { action: "measure a layer", why: error.to_string() };
    let codec = if kind == LimitKind::InflateZstd { "zstd" } else { "gzip" };
    let contents =
        SyntheticImage { size_bytes: LAYER_BYTES, layers: 1, compressibility: 0.5, codec: codec.to_owned() };
    let template = Template::build(&contents, seed, None).map_err(failed)?;
    let platform = Platform { os: "linux".to_owned(), arch: std::env::consts::ARCH.to_owned() };
    let image = template.image("limit", &platform).map_err(failed)?;
    let mut work = Bytes::ZERO;
    let mut times = Vec::with_capacity(LAYERS);
    for _ in 0..LAYERS {
        for layer in image.layers() {
            let detail = measure_inflate(template.compression(), layer).map_err(failed)?;
            work = detail.unpacked_bytes;
            times.push(if kind == LimitKind::Sha256 { detail.sha256_ns } else { detail.inflate_ns });
        }
    }
    let params = Params::new().with("compressibility", 0.5).with("threads", 1);
    Ok(measurement(kind, params, Work::Bytes(work), times))
}
