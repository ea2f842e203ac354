//! What one core makes of an image's layer.

use coldstart_profiles::{Bytes, LimitKind, LimitMeasurement, Params, SyntheticImage, Work};

use super::measurement;
use crate::registry::{Platform, RegistryError, Template, measure_inflate};
use crate::trial::ChildError;

/// What is inflated and hashed.
const LAYER_BYTES: Bytes = Bytes::from_mib(16);
/// How often.
const LAYERS: usize = 3;

/// What one core makes of a layer half of which is noise: inflating it, or hashing what comes out.
pub(super) fn reading(kind: LimitKind, seed: u64) -> Result<LimitMeasurement, ChildError> {
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
