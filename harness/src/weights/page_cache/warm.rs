//! Making a model's files warm.

use std::os::unix::fs::FileExt;

use coldstart_profiles::Residency;

use super::residency::residency;
use crate::weights::error::WeightsError;
use crate::weights::files::{WeightFile, open_regular};

/// What is read at once.
const CHUNK: usize = 4 << 20;

/// Read `files` through, so that they are in the page cache as far as memory lasts, and say how much is.
pub fn warm(files: &[WeightFile]) -> Result<Residency, WeightsError> {
    let mut buffer = vec![0; CHUNK];
    for file in files {
        let (handle, size) = open_regular(&file.path)?;
        let mut at = 0;
        while at < size {
            match handle.read_at(&mut buffer, at).map_err(WeightsError::io("read", &file.path))? {
                0 => break,
                read => at += read as u64,
            }
        }
    }
    residency(files)
}
