//! The compressions of layers.

use std::fmt;
use std::io::{self, Read, Write};
use std::str::FromStr;

use super::error::RegistryError;

/// zlib's default, which `docker build` and BuildKit use.
const GZIP_LEVEL: u32 = 6;
/// zstd's default, which BuildKit uses.
const ZSTD_LEVEL: i32 = 3;

/// How layers are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// What every engine takes.
    Gzip,
    /// What Docker takes from 23.0 on.
    Zstd,
}

impl Compression {
    /// The name in plans, keys and profiles.
    pub const fn name(self) -> &'static str {
        match self {
            Compression::Gzip => "gzip",
            Compression::Zstd => "zstd",
        }
    }

    /// The media type of a layer (OCI image specification, layer.md).
    pub const fn media_type(self) -> &'static str {
        match self {
            Compression::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
            Compression::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
        }
    }

    /// A compressor at the level that image builders use.
    pub(super) fn encoder(self) -> io::Result<Encoder> {
        Ok(match self {
            Compression::Gzip => {
                let level = flate2::Compression::new(GZIP_LEVEL);
                Encoder::Gzip(Box::new(flate2::write::GzEncoder::new(Vec::new(), level)))
            }
            Compression::Zstd => {
                Encoder::Zstd(Box::new(zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL)?))
            }
        })
    }

    /// A decompressor for any number of members or frames, one after the other.
    pub(super) fn decoder<'r, R: io::BufRead + 'r>(self, reader: R) -> io::Result<Box<dyn Read + 'r>> {
        Ok(match self {
            Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(reader)),
            Compression::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(reader)?),
        })
    }
}

impl FromStr for Compression {
    type Err = RegistryError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        [Compression::Gzip, Compression::Zstd]
            .into_iter()
            .find(|compression| compression.name() == name)
            .ok_or_else(|| RegistryError::Compression { name: name.to_owned() })
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A compressor into memory.
pub(super) enum Encoder {
    Gzip(Box<flate2::write::GzEncoder<Vec<u8>>>),
    Zstd(Box<zstd::stream::write::Encoder<'static, Vec<u8>>>),
}

impl Encoder {
    /// Ends the member or frame.
    pub(super) fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Encoder::Gzip(encoder) => encoder.finish(),
            Encoder::Zstd(encoder) => encoder.finish(),
        }
    }
}

impl Write for Encoder {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        match self {
            Encoder::Gzip(encoder) => encoder.write(data),
            Encoder::Zstd(encoder) => encoder.write(data),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
