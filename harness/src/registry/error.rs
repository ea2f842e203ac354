//! What can go wrong with a synthetic image or its registry.

use std::path::PathBuf;

use coldstart_profiles::Bytes;

/// Why a synthetic image could not be made or served. Messages complete "failed to …".
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// A compression that is not known.
    #[error("compress layers with `{name}`: choose gzip or zstd")]
    Compression {
        /// What was asked for.
        name: String,
    },
    /// A size, layer count or share that makes no image.
    #[error(
        "make a synthetic image with {what}: choose 1 to 120 layers, at least 4 KiB each, and a compressibility of 0 to 1"
    )]
    Contents {
        /// What is out of range.
        what: String,
    },
    /// The image would not fit in memory, from where it is served.
    #[error(
        "make a synthetic image of {wanted}: it is served from memory, and only {available} are free: choose a smaller one"
    )]
    TooLarge {
        /// The most that its compressed layers can take.
        wanted: Bytes,
        /// What the kernel has to give.
        available: Bytes,
    },
    /// The compressor failed, which with memory on both sides it does not.
    #[error("compress a layer: {source}")]
    Encode {
        /// What it said.
        source: std::io::Error,
    },
    /// The data can't be inflated.
    #[error("inflate a layer: {source}")]
    Inflate {
        /// What the library said.
        source: std::io::Error,
    },
    /// A file that the image has to carry.
    #[error("read {} for the image: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The program's libraries can't be found out.
    #[error("find the libraries of {}: {why}: run a build for this machine's own C library", program.display())]
    Libraries {
        /// The program.
        program: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The loopback address could not be bound.
    #[error("serve images on 127.0.0.1: {source}")]
    Bind {
        /// What the system said.
        source: std::io::Error,
    },
    /// A thread that made layers ended early.
    #[error("make the layers of a synthetic image: a worker thread ended early")]
    Worker,
}
