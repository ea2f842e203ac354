//! Control groups of version 1, version 2 and both at once (hybrid): where this process is, and what limits it there.
//!
//! A limit counts on every level: the tightest from the process's own group up to the root is the one that holds
//! (<https://docs.kernel.org/admin-guide/cgroup-v2.html>, <https://docs.kernel.org/admin-guide/cgroup-v1/memory.html>).

use std::path::{Path, PathBuf};

use coldstart_profiles::Bytes;

use super::machine::Host;
use super::mounts::Mount;

/// What limits this process, the tightest of all groups that it is in; `None` where nothing does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CgroupLimits {
    /// The memory limit.
    pub memory: Option<Bytes>,
    /// The processor quota in thousandths of a core.
    pub cpu_millicores: Option<u64>,
}

/// The files of one version that hold a group's memory.
struct MemoryFiles {
    limit: &'static str,
    usage: &'static str,
    /// The line of `memory.stat` with the page cache that was not used lately.
    inactive: &'static str,
}

const MEMORY_V1: MemoryFiles = MemoryFiles {
    limit: "memory.limit_in_bytes",
    usage: "memory.usage_in_bytes",
    inactive: "total_inactive_file",
};
const MEMORY_V2: MemoryFiles =
    MemoryFiles { limit: "memory.max", usage: "memory.current", inactive: "inactive_file" };

/// Version 1 says "no limit" with the largest multiple of the page size that fits its counter; nothing this large is
/// a limit.
const UNLIMITED: u64 = 1 << 60;

impl CgroupLimits {
    /// The limits of the groups that the process of `host` is in.
    pub(super) fn of(host: &Host) -> Self {
        let memory = Version::BOTH.iter().flat_map(|version| {
            let files = version.memory();
            host.levels(*version, "memory").into_iter().filter_map(|dir| host.limit(&dir, files))
        });
        let cpu = Version::BOTH.iter().flat_map(|version| {
            host.levels(*version, "cpu").into_iter().filter_map(|dir| host.millicores(*version, &dir))
        });
        CgroupLimits { memory: memory.min().map(Bytes::new), cpu_millicores: cpu.min() }
    }
}

/// Versions of control groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    V1,
    V2,
}

impl Version {
    const BOTH: [Version; 2] = [Version::V1, Version::V2];

    fn memory(self) -> &'static MemoryFiles {
        match self {
            Version::V1 => &MEMORY_V1,
            Version::V2 => &MEMORY_V2,
        }
    }

    /// Whether a line of `/proc/self/cgroup` is of this version and, in version 1, of this controller.
    fn is_line_of(self, controllers: &str, controller: &str) -> bool {
        match self {
            Version::V1 => controllers.split(',').any(|name| name == controller),
            Version::V2 => controllers.is_empty(),
        }
    }

    /// Whether a mount is this hierarchy.
    fn is_mount_of(self, mount: &Mount, controller: &str) -> bool {
        match self {
            Version::V1 => mount.kind == "cgroup" && mount.options.split(',').any(|name| name == controller),
            Version::V2 => mount.kind == "cgroup2",
        }
    }
}

impl Host {
    /// What the tightest memory limit leaves: limit − usage + page cache that is not in use; `None` without a limit.
    pub(super) fn cgroup_memory_left(&self) -> Option<Bytes> {
        let left = Version::BOTH.iter().flat_map(|version| {
            let files = version.memory();
            self.levels(*version, "memory").into_iter().filter_map(|dir| self.left(&dir, files))
        });
        left.min().map(Bytes::new)
    }

    /// The directories of the process's groups, from its own up to the root that it can see.
    fn levels(&self, version: Version, controller: &str) -> Vec<PathBuf> {
        let Some(group) = self.group(version, controller) else { return Vec::new() };
        let mounts = self.mounts();
        let Some(mount) = mounts.iter().rfind(|mount| version.is_mount_of(mount, controller)) else {
            return Vec::new();
        };
        // A container often sees its own group as the root of the mount while /proc/self/cgroup tells the path from
        // the real root (or, with a namespace, one with `..`): then only the mount's own directory is in sight.
        let inside = group.strip_prefix(&mount.root).unwrap_or(Path::new(""));
        let inside =
            if inside.components().any(|part| part.as_os_str() == "..") { Path::new("") } else { inside };
        let own = mount.point.join(inside);
        own.ancestors().take_while(|dir| dir.starts_with(&mount.point)).map(Path::to_owned).collect()
    }

    /// The process's group by `/proc/self/cgroup`, lines of `hierarchy:controllers:path`; see cgroups(7).
    fn group(&self, version: Version, controller: &str) -> Option<PathBuf> {
        self.read("/proc/self/cgroup")?.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            let (controllers, path) = (fields.next()?, fields.next()?);
            (version.is_line_of(controllers, controller) && path.starts_with('/'))
                .then(|| PathBuf::from(path))
        })
    }

    /// The memory limit of one group.
    fn limit(&self, dir: &Path, files: &MemoryFiles) -> Option<u64> {
        self.number(&dir.join(files.limit)).filter(|limit| *limit < UNLIMITED)
    }

    /// What one group's limit leaves.
    fn left(&self, dir: &Path, files: &MemoryFiles) -> Option<u64> {
        let limit = self.limit(dir, files)?;
        let usage = self.number(&dir.join(files.usage)).unwrap_or(0);
        let stat = self.read(dir.join("memory.stat")).unwrap_or_default();
        let inactive = stat.lines().find_map(|line| match line.split_once(' ')? {
            (name, value) if name == files.inactive => value.trim().parse().ok(),
            _ => None,
        });
        Some(limit.saturating_sub(usage.saturating_sub(inactive.unwrap_or(0))))
    }

    /// Quota ÷ period of one group in thousandths of a core.
    fn millicores(&self, version: Version, dir: &Path) -> Option<u64> {
        let (quota, period) = match version {
            // −1 is no limit, and no u64.
            Version::V1 => {
                (self.number(&dir.join("cpu.cfs_quota_us"))?, self.number(&dir.join("cpu.cfs_period_us"))?)
            }
            Version::V2 => {
                let text = self.read(dir.join("cpu.max"))?;
                let mut words = text.split_whitespace();
                // The quota reads `max` without a limit; a missing period is the kernel's default.
                (words.next()?.parse().ok()?, words.next().map_or(Some(100_000), |word| word.parse().ok())?)
            }
        };
        let millicores = u128::from(quota) * 1000 / u128::from(period.max(1));
        (period > 0 && quota > 0).then(|| u64::try_from(millicores).unwrap_or(u64::MAX))
    }

    /// A file with one number.
    fn number(&self, path: &Path) -> Option<u64> {
        self.read(path)?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tree::tree;

    const V2_MOUNT: (&str, &str) =
        ("proc/self/mountinfo", "30 1 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    const V1_MOUNTS: (&str, &str) = (
        "proc/self/mountinfo",
        "31 1 0:29 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
         32 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
         35 31 0:31 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
         41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
    );

    fn limits(files: &[(&str, &str)]) -> (Option<u64>, Option<u64>) {
        let (_tree, host) = tree(files);
        let limits = host.cgroup_limits();
        (limits.memory.map(Bytes::get), limits.cpu_millicores)
    }

    #[test]
    fn version_2_takes_the_tightest_level() {
        let files = [
            V2_MOUNT,
            ("proc/self/cgroup", "0::/kubepods/pod1/app\n"),
            ("sys/fs/cgroup/kubepods/memory.max", "8000\n"),
            ("sys/fs/cgroup/kubepods/cpu.max", "max 100000\n"),
            ("sys/fs/cgroup/kubepods/pod1/memory.max", "4000\n"),
            ("sys/fs/cgroup/kubepods/pod1/cpu.max", "150000 100000\n"),
            ("sys/fs/cgroup/kubepods/pod1/app/memory.max", "max\n"),
            ("sys/fs/cgroup/kubepods/pod1/app/cpu.max", "400000\n"),
            ("sys/fs/cgroup/kubepods/pod1/other/memory.max", "1\n"),
        ];
        assert_eq!(limits(&files), (Some(4000), Some(1500)));
    }

    #[test]
    fn version_1_with_its_way_of_saying_no_limit() {
        let files = [
            V1_MOUNTS,
            ("proc/self/cgroup", "5:memory:/a/b\n3:cpu,cpuacct:/a\n0::/\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "1000\n"),
            ("sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", "2000\n"),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n"),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
            ("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "50000\n"),
            ("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n"),
        ];
        assert_eq!(limits(&files), (Some(1000), Some(500)));
        assert_eq!(limits(&files[..3]), (None, None), "only `no limit`");
    }

    #[test]
    fn in_a_container_the_mount_is_the_group() {
        let mounted = "32 31 0:30 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
        let files = [
            ("proc/self/mountinfo", mounted),
            ("proc/self/cgroup", "4:memory:/docker/abc\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "3000\n"),
        ];
        assert_eq!(limits(&files), (Some(3000), None));
        for path in ["0::/../..\n", "0::/\n", "0::/not/in/sight\n"] {
            let files = [V2_MOUNT, ("proc/self/cgroup", path), ("sys/fs/cgroup/memory.max", "5000\n")];
            assert_eq!(limits(&files), (Some(5000), None), "{path}");
        }
    }

    #[test]
    fn nothing_or_nonsense_is_no_limit() {
        assert_eq!(limits(&[]), (None, None));
        assert_eq!(limits(&[V2_MOUNT, ("proc/self/cgroup", "0::/a\n")]), (None, None));
        let malformed = [
            V2_MOUNT,
            ("proc/self/cgroup", "0::/a\n"),
            ("sys/fs/cgroup/a/memory.max", "lots\n"),
            ("sys/fs/cgroup/a/cpu.max", "100000 0\n"),
        ];
        assert_eq!(limits(&malformed), (None, None));
    }

    #[test]
    fn what_version_1_leaves() {
        let (_tree, host) = tree(&[
            V1_MOUNTS,
            ("proc/self/cgroup", "5:memory:/a\n"),
            ("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "1000"),
            ("sys/fs/cgroup/memory/a/memory.usage_in_bytes", "900"),
            ("sys/fs/cgroup/memory/a/memory.stat", "inactive_file 7\ntotal_inactive_file 300\n"),
        ]);
        assert_eq!(host.cgroup_memory_left(), Some(Bytes::new(400)));
    }
}
