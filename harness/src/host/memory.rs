//! Memory: how much there is, and how much this process can still take.

use coldstart_profiles::Bytes;

use super::machine::Host;

/// What this process can still allocate without swapping or being killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AvailableMemory {
    /// How much.
    pub bytes: Bytes,
    /// Whether a control group's limit is what bounds it, and not the machine's memory.
    pub bound_by_cgroup: bool,
}

impl Host {
    /// Physical memory by `/proc/meminfo`; by sysinfo(2) where that can't be read.
    pub(crate) fn memory_total(&self) -> Bytes {
        self.meminfo("MemTotal").unwrap_or_else(|| {
            let info = rustix::system::sysinfo();
            #[expect(clippy::useless_conversion, reason = "the field's width differs between targets")]
            let units = u64::from(info.totalram);
            Bytes::new(units.saturating_mul(u64::from(info.mem_unit)))
        })
    }

    /// What this process can still allocate: `MemAvailable` of `/proc/meminfo`, at most what its control groups leave
    /// (limit − usage, where page cache that is not in use counts as free, since it is dropped under pressure). `None`
    /// where the kernel shows neither.
    pub fn available_memory(&self) -> Option<AvailableMemory> {
        let machine = self.meminfo("MemAvailable");
        let group = self.cgroup_memory_left();
        match (machine, group) {
            (Some(machine), Some(group)) if group < machine => {
                Some(AvailableMemory { bytes: group, bound_by_cgroup: true })
            }
            (Some(machine), _) => Some(AvailableMemory { bytes: machine, bound_by_cgroup: false }),
            (None, group) => group.map(|bytes| AvailableMemory { bytes, bound_by_cgroup: true }),
        }
    }

    fn meminfo(&self, name: &str) -> Option<Bytes> {
        let kib: u64 = self.field("/proc/meminfo", name)?.strip_suffix("kB")?.trim().parse().ok()?;
        Some(Bytes::new(kib.saturating_mul(1024)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tree::tree;

    const MEMINFO: (&str, &str) = ("proc/meminfo", "MemTotal: 16777216 kB\nMemAvailable: 8388608 kB\n");
    const V2: (&str, &str) = ("proc/self/mountinfo", "30 1 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    const GIB: u64 = 1 << 30;

    #[test]
    fn the_tighter_of_machine_and_group() {
        let (_tree, host) = tree(&[MEMINFO]);
        assert_eq!(
            host.available_memory(),
            Some(AvailableMemory { bytes: Bytes::new(8 * GIB), bound_by_cgroup: false })
        );
        let group = [
            MEMINFO,
            V2,
            ("proc/self/cgroup", "0::/pod/app\n"),
            ("sys/fs/cgroup/pod/memory.max", "3221225472\n"),
            ("sys/fs/cgroup/pod/memory.current", "2147483648\n"),
            ("sys/fs/cgroup/pod/memory.stat", "anon 1\ninactive_file 1073741824\n"),
            ("sys/fs/cgroup/pod/app/memory.max", "max\n"),
        ];
        let (_tree, host) = tree(&group);
        assert_eq!(
            host.available_memory(),
            Some(AvailableMemory { bytes: Bytes::new(2 * GIB), bound_by_cgroup: true }),
            "3 GiB − (2 GiB − 1 GiB of page cache)"
        );
        let (_tree, host) = tree(&group[1..]);
        assert_eq!(host.available_memory().map(|memory| memory.bytes), Some(Bytes::new(2 * GIB)));
    }

    #[test]
    fn this_machine_has_some() {
        let available = Host::here().available_memory().unwrap();
        assert!(available.bytes > Bytes::from_mib(16));
        assert!(available.bytes <= Host::here().memory_total());
    }
}
