//! What is recorded beside a synthetic model, so that a later run can trust it cheaply.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::plan::Plan;
use crate::weights::error::WeightsError;

/// The manifest's name in the model's directory.
pub(super) const MANIFEST: &str = "coldstart-manifest.json";

/// Bytes under one checksum.
pub(super) const CHUNK_BYTES: u64 = 8 << 20;

/// A finished model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub(super) files: Vec<FileRecord>,
}

/// A finished file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileRecord {
    pub(super) name: String,
    pub(super) stamp: Stamp,
    /// The checksum of each chunk, in order.
    pub(super) checksums: Vec<u64>,
}

/// What changes when somebody writes to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    pub(super) size: u64,
    modified_s: i64,
    modified_ns: i64,
}

impl Stamp {
    pub(super) fn of(path: &Path) -> Result<Stamp, WeightsError> {
        let metadata = fs::metadata(path).map_err(WeightsError::io("read the size of", path))?;
        Ok(Stamp { size: metadata.len(), modified_s: metadata.mtime(), modified_ns: metadata.mtime_nsec() })
    }
}

/// How many chunks a file of `size` bytes has.
pub(super) fn chunk_count(size: u64) -> usize {
    size.div_ceil(CHUNK_BYTES) as usize
}

impl Manifest {
    /// The manifest in `dir`; `None` when there is none, or none that fits the plan.
    pub(super) fn read(dir: &Path, plan: &Plan) -> Result<Option<Manifest>, WeightsError> {
        let path = dir.join(MANIFEST);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(WeightsError::io("read", &path)(error)),
        };
        let Ok(manifest) = serde_json::from_slice::<Manifest>(&text) else { return Ok(None) };
        let fits = manifest.files.len() == plan.files.len()
            && manifest.files.iter().zip(&plan.files).all(|(record, file)| {
                record.name == file.name && record.checksums.len() == chunk_count(file.size)
            });
        Ok(fits.then_some(manifest))
    }

    /// Write the manifest under another name first, so that a reader never sees half of it.
    pub(super) fn write(&self, dir: &Path) -> Result<(), WeightsError> {
        let text = serde_json::to_vec(self)
            .map_err(|error| WeightsError::io("write", &dir.join(MANIFEST))(std::io::Error::other(error)))?;
        write_whole(dir, MANIFEST, &text)
    }
}

/// Write a small file whole or not at all.
pub(super) fn write_whole(dir: &Path, name: &str, text: &[u8]) -> Result<(), WeightsError> {
    let (path, temporary) = (dir.join(name), dir.join(format!(".{name}.new")));
    fs::write(&temporary, text).map_err(WeightsError::io("write", &temporary))?;
    fs::rename(&temporary, &path).map_err(WeightsError::io("write", &path))
}
