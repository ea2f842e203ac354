//! What is mounted where: `/proc/self/mountinfo`, see proc_pid_mountinfo(5).

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::machine::Host;

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    /// Which directory of the file system is the root of this mount.
    pub(super) root: PathBuf,
    /// Where it is mounted.
    pub(super) point: PathBuf,
    /// The file system's type, such as `ext4`.
    pub(super) kind: String,
    /// Options of the file system, among them the controllers of a control group hierarchy of version 1.
    pub(super) options: String,
}

impl Host {
    /// All mounts in the order of mounting; lines that are no mounts are passed over.
    pub(super) fn mounts(&self) -> Vec<Mount> {
        let text = self.read("/proc/self/mountinfo").unwrap_or_default();
        text.lines().filter_map(Mount::parse).collect()
    }

    /// The type of the file system that the absolute path `path` lies on, such as `ext4` or `tmpfs`; links in it must
    /// be resolved before.
    pub fn file_system(&self, path: &Path) -> Option<String> {
        let mounts = self.mounts();
        let below = mounts.iter().filter(|mount| path.starts_with(&mount.point));
        // Of several mounts on one point the last hides the others, and that is the one `max_by_key` returns.
        below.max_by_key(|mount| mount.point.components().count()).map(|mount| mount.kind.clone())
    }
}

impl Mount {
    /// `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue`
    fn parse(line: &str) -> Option<Mount> {
        let (mount, file_system) = line.split_once(" - ")?;
        let mut mount = mount.split(' ').skip(3);
        let mut file_system = file_system.split(' ');
        Some(Mount {
            root: unescaped(mount.next()?),
            point: unescaped(mount.next()?),
            kind: file_system.next()?.to_owned(),
            options: file_system.nth(1).unwrap_or_default().to_owned(),
        })
    }
}

/// Space, tab, line feed and backslash stand there as `\` and three octal digits.
fn unescaped(text: &str) -> PathBuf {
    let bytes = text.as_bytes();
    let mut path = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digits = bytes.get(at + 1..at + 4).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) if bytes[at] == b'\\' => {
                path.push(byte);
                at += 4;
            }
            _ => {
                path.push(bytes[at]);
                at += 1;
            }
        }
    }
    PathBuf::from(OsString::from_vec(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tree::tree;

    #[test]
    fn the_deepest_and_last_mount_counts() {
        let (_tree, host) = tree(&[(
            "proc/self/mountinfo",
            "27 1 254:0 / / rw - ext4 /dev/vda rw\n\
             25 24 0:23 / /dev/shm rw shared:5 master:2 - tmpfs tmpfs rw\n\
             damaged line\n\
             30 27 0:40 / /data rw - xfs /dev/sdb rw\n\
             31 27 0:41 / /data rw - overlay overlay rw\n\
             32 27 0:42 / /with\\040space rw - nfs4 server:/export rw\n",
        )]);
        for (path, kind) in [
            ("/", "ext4"),
            ("/home/me", "ext4"),
            ("/dev/shm/x", "tmpfs"),
            ("/dev/shmx", "ext4"),
            ("/data/models", "overlay"),
            ("/with space/x", "nfs4"),
        ] {
            assert_eq!(host.file_system(Path::new(path)).as_deref(), Some(kind), "{path}");
        }
    }

    #[test]
    fn nothing_mounted_is_no_answer() {
        let (_tree, host) = tree(&[]);
        assert_eq!(host.file_system(Path::new("/")), None);
        assert!(Host::here().file_system(Path::new("/")).is_some());
    }

    #[test]
    fn escapes() {
        for (text, path) in [("/a\\134b", "/a\\b"), ("/a\\", "/a\\"), ("/\\777", "/\\777"), ("/ü", "/ü")] {
            assert_eq!(unescaped(text), Path::new(path), "{text}");
        }
    }
}
