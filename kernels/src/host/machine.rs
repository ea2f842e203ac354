//! What the machine says of itself.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{Error, MemoryInfo, Result};

/// The model name of the first CPU, `unknown CPU` where `/proc/cpuinfo` has none (Arm).
pub(super) fn cpu_model() -> String {
    fs::read_to_string("/proc/cpuinfo")
        .ok()
        .and_then(|text| field(&text, "model name").map(str::to_owned))
        .unwrap_or_else(|| "unknown CPU".to_owned())
}

/// RAM, or the memory of the control group where that is less.
pub(crate) fn memory() -> Result<MemoryInfo> {
    let path = "/proc/meminfo";
    let text =
        fs::read_to_string(path).map_err(|source| Error::Os { action: format!("read {path}"), source })?;
    let kib = |name| field(&text, name).and_then(|value| value.trim_end_matches(" kB").parse::<u64>().ok());
    let (Some(total), Some(free)) = (kib("MemTotal"), kib("MemAvailable")) else {
        let source = std::io::Error::other("MemTotal or MemAvailable is missing");
        return Err(Error::Os { action: format!("read {path}"), source });
    };
    let mut info = MemoryInfo { free: free * 1024, total: total * 1024 };
    if let Some((limit, used)) = control_group() {
        info.total = info.total.min(limit);
        info.free = info.free.min(limit.saturating_sub(used));
    }
    Ok(info)
}

/// The value of a `name: value` line.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim())
    })
}

/// The memory limit of this process's control group and what it uses without reclaimable file pages, for cgroup v2 and
/// v1; `None` where there is no limit. Inside a container the group's own files are mounted at the root.
fn control_group() -> Option<(u64, u64)> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let (root, [limit, usage], group) =
        if let Some(group) = groups.lines().find_map(|l| l.strip_prefix("0::")) {
            (Path::new("/sys/fs/cgroup"), ["memory.max", "memory.current"], group)
        } else {
            let memory = groups.lines().find(|line| line.split(':').nth(1) == Some("memory"))?;
            let names = ["memory.limit_in_bytes", "memory.usage_in_bytes"];
            (Path::new("/sys/fs/cgroup/memory"), names, memory.splitn(3, ':').nth(2)?)
        };
    let own: PathBuf = root.join(group.trim_start_matches('/'));
    let directory = if own.join(limit).exists() { own } else { root.to_owned() };
    let number = |name: &str| fs::read_to_string(directory.join(name)).ok()?.trim().parse::<u64>().ok();
    let limit = number(limit)?;
    let stat = fs::read_to_string(directory.join("memory.stat")).unwrap_or_default();
    let reclaimable = stat
        .lines()
        .find_map(|line| line.strip_prefix("inactive_file ")?.trim().parse::<u64>().ok())
        .unwrap_or(0);
    Some((limit, number(usage)?.saturating_sub(reclaimable)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let text = "MemTotal:       100 kB\nMemFree: 7 kB\nmodel name\t: AMD EPYC\n";
        assert_eq!(field(text, "MemTotal"), Some("100 kB"));
        assert_eq!(field(text, "model name"), Some("AMD EPYC"));
        assert_eq!(field(text, "Mem"), None);
    }

    #[test]
    fn this_machine_has_memory() {
        let info = memory().unwrap();
        assert!(info.free > 0 && info.free <= info.total, "{info:?}");
        assert!(!cpu_model().is_empty());
    }
}
