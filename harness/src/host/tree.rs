//! Trees of fixture files for tests.

use std::fs;

use tempfile::TempDir;

use super::Host;

/// Writes `files` (path below the root, text) and returns the tree with a host that reads it.
pub(crate) fn tree(files: &[(&str, &str)]) -> (TempDir, Host) {
    let root = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = root.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let host = Host::under(root.path());
    (root, host)
}
