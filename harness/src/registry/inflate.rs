//! What one core makes of a layer's data, in memory: the limit of an engine's extraction.

use std::io::Read;
use std::time::{Duration, Instant};

use coldstart_profiles::{Bytes, InflateDetail, Nanos};
use sha2::{Digest, Sha256};

use super::blob::Blob;
use super::compression::Compression;
use super::error::RegistryError;

/// Small enough for a core's cache, so that the reading is of inflating and not of memory.
const BUFFER: usize = 256 << 10;

/// Inflates a layer and hashes what comes out, on this thread, each timed apart.
///
/// Both timed regions are from memory to memory: no file, no socket, no allocation.
pub fn measure_inflate(compression: Compression, layer: &Blob) -> Result<InflateDetail, RegistryError> {
    let failed = |source| RegistryError::Inflate { source };
    let packed = layer.parts().concat();
    let mut buffer = vec![0; BUFFER];
    let mut hash = Sha256::new();
    let (mut inflating, mut hashing) = (Duration::ZERO, Duration::ZERO);
    let mut unpacked = 0u64;
    let mut decoder = compression.decoder(packed.as_slice()).map_err(failed)?;
    loop {
        let start = Instant::now();
        let count = fill(&mut decoder, &mut buffer).map_err(failed)?;
        inflating += start.elapsed();
        if count == 0 {
            break;
        }
        let start = Instant::now();
        hash.update(&buffer[..count]);
        hashing += start.elapsed();
        unpacked += count as u64;
    }
    std::hint::black_box(hash.finalize());
    Ok(InflateDetail {
        compression: compression.name().to_owned(),
        compressed_bytes: Bytes::new(layer.size()),
        unpacked_bytes: Bytes::new(unpacked),
        inflate_ns: Nanos::from(inflating),
        sha256_ns: Nanos::from(hashing),
    })
}

/// Reads until the buffer is full or the data ends.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut count = 0;
    while count < buffer.len() {
        match reader.read(&mut buffer[count..])? {
            0 => break,
            more => count += more,
        }
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::super::layer::LayerWriter;
    use super::*;

    #[test]
    fn every_byte_is_inflated() {
        for compression in [Compression::Gzip, Compression::Zstd] {
            let mut writer = LayerWriter::new(compression).unwrap();
            writer.file("f", 0o644, &vec![7; 3_000_000]).unwrap();
            let layer = writer.finish().unwrap().with_nonce("n").unwrap();
            let reading = measure_inflate(compression, &layer.blob).unwrap();
            // Header, data, padding; the nonce's directory, header and block; two blocks of the end.
            assert_eq!(reading.unpacked_bytes, Bytes::new(512 + 3_000_320 + 3 * 512 + 1024));
            assert_eq!(reading.compressed_bytes, Bytes::new(layer.blob.size()));
            assert!(reading.inflate_ns > Nanos::ZERO && reading.sha256_ns > Nanos::ZERO);
            let error = measure_inflate(compression, &Blob::new(&b"no such format"[..])).unwrap_err();
            assert!(error.to_string().starts_with("inflate a layer"), "{error}");
        }
    }
}
