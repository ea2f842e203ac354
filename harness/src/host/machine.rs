//! The machine in one piece.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use coldstart_profiles::{Bytes, HostTarget};

use super::cgroup::CgroupLimits;

/// A machine, seen through the files below a root directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    root: PathBuf,
}

/// What this machine is, for the profile. `$COLDSTART_NODE` names it where its host name doesn't, as in a pod.
pub fn describe() -> HostTarget {
    let found = Host::here().describe();
    let named = std::env::var("COLDSTART_NODE").ok().filter(|name| !name.trim().is_empty());
    HostTarget { name: named.unwrap_or(found.name), ..found }
}

impl Host {
    /// This machine.
    pub fn here() -> Self {
        Host { root: PathBuf::from("/") }
    }

    /// The machine whose `/etc`, `/proc` and `/sys` lie below `root`.
    pub fn under(root: impl Into<PathBuf>) -> Self {
        Host { root: root.into() }
    }

    /// Where the absolute path `path` of the machine lies.
    pub(crate) fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// The text of a file without the white space around it; `None` where it is missing, unreadable or empty.
    pub(crate) fn read(&self, path: impl AsRef<Path>) -> Option<String> {
        let text = fs::read_to_string(self.path(path)).ok()?;
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// The value behind `name` and a colon in a file of such lines, as in `/proc/meminfo`.
    pub(crate) fn field(&self, path: impl AsRef<Path>, name: &str) -> Option<String> {
        self.read(path)?.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            (key.trim() == name && !value.trim().is_empty()).then(|| value.trim().to_owned())
        })
    }

    /// The names in a directory, sorted; none where there is no such directory.
    pub(crate) fn names(&self, dir: impl AsRef<Path>) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path(dir)) else { return Vec::new() };
        let mut names: Vec<String> =
            entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    }

    /// What the machine is, for the profile. Texts that the system does not show read `unknown`.
    pub fn describe(&self) -> HostTarget {
        let unknown = || "unknown".to_owned();
        let limits = self.cgroup_limits();
        HostTarget {
            name: self.read("/proc/sys/kernel/hostname").unwrap_or_else(unknown),
            os: self.os().unwrap_or_else(unknown),
            kernel: self.kernel().unwrap_or_else(unknown),
            arch: std::env::consts::ARCH.to_owned(),
            cpu: self.cpu_model().unwrap_or_else(unknown),
            cores: self.usable_cores(limits),
            cores_online: self.online_cores(),
            memory_bytes: self.memory_total(),
            memory_limit_bytes: limits.memory,
            cpu_limit_millicores: limits.cpu_millicores,
            governor: self.governor(),
        }
    }

    /// The kernel's release, such as `6.1.0-18-amd64`.
    pub fn kernel(&self) -> Option<String> {
        self.read("/proc/sys/kernel/osrelease")
    }

    /// The distribution by os-release(5), such as `Debian GNU/Linux 12 (bookworm)`.
    fn os(&self) -> Option<String> {
        let text = self.read("/etc/os-release").or_else(|| self.read("/usr/lib/os-release"))?;
        let value = |key: &str| {
            let value = text.lines().find_map(|line| line.trim().strip_prefix(key)?.strip_prefix('='))?;
            let value = unquoted(value.trim());
            (!value.is_empty()).then_some(value)
        };
        value("PRETTY_NAME").or_else(|| value("NAME"))
    }

    /// The load average over a minute: how many threads ran or waited for a core or a disk.
    pub fn load_average(&self) -> Option<f64> {
        let load: f64 = self.read("/proc/loadavg")?.split_whitespace().next()?.parse().ok()?;
        (load.is_finite() && load >= 0.0).then_some(load)
    }

    /// The limits of the control groups that this process is in.
    pub fn cgroup_limits(&self) -> CgroupLimits {
        CgroupLimits::of(self)
    }
}

/// How much this user can still write to the file system of `path` (a real path of this machine, which must exist).
pub(crate) fn free_disk(path: &Path) -> io::Result<Bytes> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(Bytes::new(stat.f_bavail.saturating_mul(stat.f_frsize)))
}

/// A value of os-release(5): quotes off, `\"` and the like resolved.
fn unquoted(value: &str) -> String {
    let inner = ['"', '\''].into_iter().find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote));
    let mut text = String::new();
    let mut characters = inner.unwrap_or(value).chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => text.extend(characters.next()),
            other => text.push(other),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tree::tree;

    #[test]
    fn a_whole_machine() {
        let (_tree, host) = tree(&[
            ("etc/os-release", "NAME=Debian\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n"),
            ("proc/sys/kernel/hostname", "node-7\n"),
            ("proc/sys/kernel/osrelease", "6.1.0-18-amd64\n"),
            (
                "proc/cpuinfo",
                "processor\t: 0\nmodel name\t: AMD EPYC 9654\n\nprocessor\t: 1\nmodel name\t: other\n",
            ),
            ("proc/self/status", "Name:\tcat\nCpus_allowed_list:\t0-2,8\n"),
            ("proc/self/cgroup", "0::/app\n"),
            ("proc/self/mountinfo", "30 1 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"),
            ("sys/fs/cgroup/app/memory.max", "1073741824\n"),
            ("sys/fs/cgroup/app/cpu.max", "250000 100000\n"),
            ("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "performance\n"),
            ("proc/meminfo", "MemTotal:       16384000 kB\nMemAvailable:    8192000 kB\n"),
            ("proc/loadavg", "1.42 0.84 0.56 3/132 19773\n"),
            ("sys/devices/system/cpu/online", "0-7\n"),
        ]);
        let found = host.describe();
        assert_eq!(
            found,
            HostTarget {
                name: "node-7".into(),
                os: "Debian GNU/Linux 12 (bookworm)".into(),
                kernel: "6.1.0-18-amd64".into(),
                arch: std::env::consts::ARCH.into(),
                cpu: "AMD EPYC 9654".into(),
                cores: 2,
                cores_online: Some(8),
                memory_bytes: Bytes::new(16_384_000 * 1024),
                memory_limit_bytes: Some(Bytes::new(1 << 30)),
                cpu_limit_millicores: Some(2500),
                governor: Some("performance".into()),
            }
        );
        assert_eq!(host.load_average(), Some(1.42));
    }

    #[test]
    fn what_is_missing_or_malformed_is_no_value() {
        for files in [
            &[][..],
            &[
                ("etc/os-release", "\n"),
                ("proc/cpuinfo", "model name\n"),
                ("proc/self/status", "Cpus_allowed_list:\tx-y\n"),
                ("proc/self/cgroup", "nonsense\n0\n::\n"),
                ("proc/self/mountinfo", "1 2 3\n- \n"),
                ("proc/loadavg", "NaN 0 0\n"),
                ("proc/meminfo", "MemTotal: much kB\n"),
            ][..],
        ] {
            let (_tree, host) = tree(files);
            let found = host.describe();
            for text in [&found.name, &found.os, &found.kernel, &found.cpu] {
                assert_eq!(text, "unknown");
            }
            assert!(found.cores >= 1);
            assert!(found.memory_bytes > Bytes::ZERO, "the kernel's own answer stands in");
            assert_eq!((found.memory_limit_bytes, found.cpu_limit_millicores), (None, None));
            assert_eq!((found.governor, host.load_average()), (None, None));
        }
    }

    #[test]
    fn names_of_distributions() {
        for (text, name) in [
            ("PRETTY_NAME=Alpine", "Alpine"),
            ("PRETTY_NAME='Alpine Linux v3.20'", "Alpine Linux v3.20"),
            ("NAME=\"A \\\"quoted\\\" one\"", "A \"quoted\" one"),
            ("PRETTY_NAME=\"\"\nNAME=Void", "Void"),
        ] {
            let (_tree, host) = tree(&[("usr/lib/os-release", text)]);
            assert_eq!(host.describe().os, name);
        }
    }

    #[test]
    fn this_machine() {
        let found = describe();
        assert!(found.cores >= 1 && found.memory_bytes > Bytes::from_mib(64), "{found:?}");
        assert_ne!(found.kernel, "unknown");
        assert!(Host::here().load_average().is_some());
        assert!(free_disk(Path::new("/tmp")).is_ok());
        assert!(free_disk(Path::new("/nonexistent")).is_err());
    }
}
