//! Refusing a model that does not fit, before anything is allocated.

use std::fs;
use std::path::{Path, PathBuf};

use coldstart_profiles::Bytes;

use super::error::WeightsError;

/// How much host memory can be taken, and what bounds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Available {
    /// The bytes.
    pub bytes: Bytes,
    /// What bounds them, such as `MemAvailable of the host`.
    pub bound_by: &'static str,
}

/// Refuse what does not fit. `needed` and `available` count the same memory.
pub fn check_fits(what: &'static str, needed: Bytes, available: Available) -> Result<(), WeightsError> {
    if needed <= available.bytes {
        return Ok(());
    }
    Err(WeightsError::TooLarge { what, needed, available: available.bytes, bound_by: available.bound_by })
}

/// The host memory that this process can still take: `MemAvailable`, or less where a cgroup limits it.
///
/// cgroup v2 (`memory.max` − `memory.current`, of every level up to the root) and v1 (`memory.limit_in_bytes`);
/// <https://docs.kernel.org/admin-guide/cgroup-v2.html>. Inactive page cache counts as free: it is dropped under pressure.
pub fn available_host_memory() -> Result<Available, WeightsError> {
    available_under(Path::new("/"))
}

/// The same below another root, for tests.
fn available_under(root: &Path) -> Result<Available, WeightsError> {
    let meminfo = root.join("proc/meminfo");
    let text = fs::read_to_string(&meminfo).map_err(WeightsError::io("read", &meminfo))?;
    let kib = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:")?.trim().strip_suffix("kB")?.trim().parse().ok())
        .unwrap_or(u64::MAX / 1024);
    let host = Available { bytes: Bytes::new(kib * 1024), bound_by: "MemAvailable of the host" };
    let cgroup = cgroup_left(root)
        .map(|left| Available { bytes: Bytes::new(left), bound_by: "the memory limit of the cgroup" });
    Ok(cgroup.into_iter().fold(host, |least, other| if other.bytes < least.bytes { other } else { least }))
}

/// What the tightest cgroup above this process leaves; `None` without a limit.
fn cgroup_left(root: &Path) -> Option<u64> {
    let membership = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let mut least: Option<u64> = None;
    for line in membership.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let (mount, limit, usage, inactive): (_, _, _, &str) = if controllers.is_empty() {
            (root.join("sys/fs/cgroup"), "memory.max", "memory.current", "inactive_file")
        } else if controllers.split(',').any(|name| name == "memory") {
            let mount = root.join("sys/fs/cgroup/memory");
            (mount, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        } else {
            continue;
        };
        for dir in levels(&mount, path) {
            let Some(left) = level_left(&dir, limit, usage, inactive) else { continue };
            least = Some(least.map_or(left, |least| least.min(left)));
        }
    }
    least
}

/// The directories from the process's own cgroup up to the mount. In a container with its own namespace the path may
/// not exist below the mount; the mount itself then is the process's cgroup.
fn levels(mount: &Path, path: &str) -> Vec<PathBuf> {
    let own = mount.join(path.trim_start_matches('/'));
    own.ancestors().take_while(|dir| dir.starts_with(mount)).map(Path::to_owned).collect()
}

/// Limit − usage + inactive page cache of one cgroup; `None` where it has no limit.
fn level_left(dir: &Path, limit: &str, usage: &str, inactive: &str) -> Option<u64> {
    let number = |name: &str| fs::read_to_string(dir.join(name)).ok()?.trim().parse::<u64>().ok();
    let limit = number(limit)?;
    let used = number(usage).unwrap_or(0);
    let stat = fs::read_to_string(dir.join("memory.stat")).unwrap_or_default();
    let inactive: u64 =
        stat.lines().find_map(|line| line.strip_prefix(inactive)?.trim().parse().ok()).unwrap_or(0);
    Some(limit.saturating_sub(used.saturating_sub(inactive)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn too_large_names_both_sizes() {
        let available = Available { bytes: Bytes::new(4 * GIB), bound_by: "the memory limit of the cgroup" };
        assert!(check_fits("weights", Bytes::new(4 * GIB), available).is_ok());
        let error = check_fits("weights", Bytes::new(16 * GIB), available).unwrap_err().to_string();
        for part in ["16.0 GiB", "4.00 GiB", "cgroup", "smaller model"] {
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn the_tightest_level_of_the_cgroup_bounds() {
        let meminfo = ("proc/meminfo", "MemTotal: 9 kB\nMemAvailable:   8388608 kB\n");
        let host = tree(&[meminfo]);
        assert_eq!(available_under(host.path()).unwrap().bytes, Bytes::new(8 * GIB));
        let nested = tree(&[
            meminfo,
            ("proc/self/cgroup", "0::/pod/app\n"),
            ("sys/fs/cgroup/pod/memory.max", "3221225472\n"),
            ("sys/fs/cgroup/pod/memory.current", "2147483648\n"),
            ("sys/fs/cgroup/pod/memory.stat", "anon 1\ninactive_file 1073741824\n"),
            ("sys/fs/cgroup/pod/app/memory.max", "max\n"),
        ]);
        let left = available_under(nested.path()).unwrap();
        assert_eq!(left.bytes, Bytes::new(2 * GIB), "3 GiB − (2 GiB − 1 GiB of inactive cache)");
        assert!(left.bound_by.contains("cgroup"));
        let v1 = tree(&[
            meminfo,
            ("proc/self/cgroup", "5:cpu:/a\n4:memory:/a\n"),
            ("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "1073741824"),
        ]);
        assert_eq!(available_under(v1.path()).unwrap().bytes, Bytes::new(GIB));
    }

    #[test]
    fn this_machine_has_some() {
        assert!(available_host_memory().unwrap().bytes > Bytes::from_mib(64));
    }
}
