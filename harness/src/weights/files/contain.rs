//! Which files belong to a model: those inside of its directory, and what a Hugging Face hub cache links to.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};

use crate::weights::error::{FileFault, WeightsError};

/// Resolve `name`, a plain relative name, to a regular file that belongs to the model in `dir` (canonical).
///
/// A link may lead to another place inside of `dir` (Kubernetes mounts use `..data`), or, where `dir` is
/// `models--X/snapshots/REVISION` of a hub cache, into `models--X/blobs`. With `follow` it may lead anywhere; the name
/// itself must be plain even then. `Ok(None)`: there is no such file.
pub(super) fn resolve(dir: &Path, name: &str, follow: bool) -> Result<Option<PathBuf>, WeightsError> {
    let outside = |why: String| WeightsError::Outside { dir: dir.to_owned(), name: format!("`{name}`"), why };
    let plain = !name.is_empty()
        && Path::new(name).components().all(|part| matches!(part, Component::Normal(_)))
        && !name.contains('\0');
    if !plain {
        return Err(outside("it is not a plain relative name".to_owned()));
    }
    let joined = dir.join(name);
    let target = match fs::canonicalize(&joined) {
        Ok(target) => target,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(WeightsError::Io { action: "resolve", path: joined, source }),
    };
    let inside = target.starts_with(dir) || hub_blobs(dir).is_some_and(|blobs| target.starts_with(blobs));
    if !inside && !follow {
        return Err(outside(format!("it is a link that leads to {}", target.display())));
    }
    Ok(Some(target))
}

/// The `blobs` directory of the hub cache entry that `dir` is a snapshot of.
fn hub_blobs(dir: &Path) -> Option<PathBuf> {
    let mut below = dir;
    for above in dir.ancestors().skip(1) {
        let is_entry = above.file_name()?.to_str()?.starts_with("models--");
        // The snapshot is one level below `snapshots`: `models--X/snapshots` itself has no blobs of its own.
        if is_entry && below.file_name()? == "snapshots" && below != dir {
            return Some(above.join("blobs"));
        }
        below = above;
    }
    None
}

/// Open a resolved path for reading, when it is a regular file: a pipe would block, a device would never end.
pub(crate) fn open_regular(path: &Path) -> Result<(File, u64), WeightsError> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW)
        .open(path)
        .map_err(WeightsError::io("open", path))?;
    let metadata = file.metadata().map_err(WeightsError::io("read the size of", path))?;
    if !metadata.is_file() {
        return Err(WeightsError::file(path, FileFault::NotRegular));
    }
    Ok((file, metadata.len()))
}
