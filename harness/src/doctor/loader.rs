//! Where the dynamic loader looks for libraries: LD_LIBRARY_PATH, the directories of ld.so.conf, the system's own.
//! See ld.so(8) and ldconfig(8). Files are looked at and never opened as libraries.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::host::Host;

const CONF: &str = "/etc/ld.so.conf";
/// How deep ld.so.conf files may include each other; a loop ends there.
const DEPTH: u32 = 8;

/// The directories that are searched, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Loader<'a> {
    host: &'a Host,
    dirs: Vec<PathBuf>,
}

impl<'a> Loader<'a> {
    /// The directories on `host` for a process with this LD_LIBRARY_PATH.
    pub(super) fn new(host: &'a Host, ld_library_path: Option<&OsStr>) -> Self {
        let mut dirs: Vec<PathBuf> = std::env::split_paths(ld_library_path.unwrap_or_default())
            .filter(|dir| dir.is_absolute())
            .collect();
        configured(host, Path::new(CONF), DEPTH, &mut dirs);
        let multiarch = format!("{}-linux-gnu", std::env::consts::ARCH);
        for base in ["/lib", "/usr/lib"] {
            dirs.push(Path::new(base).join(&multiarch));
        }
        dirs.extend(["/lib64", "/usr/lib64", "/lib", "/usr/lib"].map(PathBuf::from));
        Loader { host, dirs }
    }

    /// The first file of one of these names; a name counts for more than a directory.
    pub(super) fn find(&self, names: &[&str]) -> Option<PathBuf> {
        names.iter().find_map(|name| {
            self.dirs.iter().map(|dir| dir.join(name)).find(|file| self.host.path(file).exists())
        })
    }
}

/// Adds the directories that an ld.so.conf file lists, and those of the files that it includes.
fn configured(host: &Host, file: &Path, depth: u32, dirs: &mut Vec<PathBuf>) {
    let Some(text) = host.read(file) else { return };
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if let Some(patterns) = line.strip_prefix("include").filter(|rest| rest.starts_with([' ', '\t'])) {
            for pattern in patterns.split_whitespace() {
                let parent = file.parent().unwrap_or(Path::new("/"));
                for included in matching(host, &parent.join(pattern)) {
                    if depth > 0 {
                        configured(host, &included, depth - 1, dirs);
                    }
                }
            }
        } else if line.starts_with('/') {
            dirs.push(PathBuf::from(line));
        }
    }
}

/// The files that a pattern with at most one `*` in its last part stands for, as in `/etc/ld.so.conf.d/*.conf`.
fn matching(host: &Host, pattern: &Path) -> Vec<PathBuf> {
    let (Some(dir), Some(name)) = (pattern.parent(), pattern.file_name().and_then(OsStr::to_str)) else {
        return Vec::new();
    };
    let Some((before, after)) = name.split_once('*') else { return vec![pattern.to_owned()] };
    let fits = |name: &String| {
        name.len() >= before.len() + after.len() && name.starts_with(before) && name.ends_with(after)
    };
    host.names(dir).iter().filter(|name| fits(name)).map(|name| dir.join(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tree::tree;

    #[test]
    fn the_configured_directories_and_the_environment() {
        let (_tree, host) = tree(&[
            ("etc/ld.so.conf", "include /etc/ld.so.conf.d/*.conf\n/opt/late\n"),
            ("etc/ld.so.conf.d/nvidia.conf", "# comment\n/usr/local/nvidia/lib64\n"),
            ("etc/ld.so.conf.d/loop.conf", "include ../ld.so.conf.d/loop.conf\n"),
            ("etc/ld.so.conf.d/nvidia.disabled", "/not/this\n"),
            ("usr/local/nvidia/lib64/libcuda.so.1", ""),
            ("opt/late/liba.so", ""),
            ("usr/lib64/liba.so", ""),
            ("not/this/libb.so", ""),
            ("mine/libb.so.2", ""),
        ]);
        let plain = Loader::new(&host, None);
        let found = |loader: &Loader<'_>, names: &[&str]| {
            loader.find(names).map(|path| path.to_string_lossy().into_owned())
        };
        assert_eq!(
            found(&plain, &["libcuda.so", "libcuda.so.1"]).as_deref(),
            Some("/usr/local/nvidia/lib64/libcuda.so.1")
        );
        assert_eq!(found(&plain, &["liba.so"]).as_deref(), Some("/opt/late/liba.so"));
        assert_eq!(found(&plain, &["libb.so", "libb.so.2"]), None);
        let mine = Loader::new(&host, Some(OsStr::new("relative:/mine:")));
        assert_eq!(found(&mine, &["libb.so", "libb.so.2"]).as_deref(), Some("/mine/libb.so.2"));
    }

    #[test]
    fn the_c_library_of_this_machine_is_found() {
        let host = Host::here();
        let names = ["libc.so.6", "libc.musl-x86_64.so.1", "libc.musl-aarch64.so.1"];
        assert!(Loader::new(&host, None).find(&names).is_some());
    }
}
