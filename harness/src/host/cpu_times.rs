//! What the processors did since boot: the first line of `/proc/stat`, see proc_stat(5).

use super::machine::Host;

/// Time of all processors together since boot, in clock ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuTimes {
    /// All of it.
    pub total: u64,
    /// Idle, waiting for a disk included.
    pub idle: u64,
    /// What a hypervisor gave to others while this machine wanted to run.
    pub stolen: u64,
}

impl Host {
    /// The processors' times; `None` where the kernel does not show them.
    pub fn cpu_times(&self) -> Option<CpuTimes> {
        let text = self.read("/proc/stat")?;
        let line = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
        let ticks: Vec<u64> = line.split_whitespace().map_while(|word| word.parse().ok()).collect();
        // user nice system idle iowait irq softirq steal; guest and guest_nice are part of user and nice.
        let at = |index: usize| ticks.get(index).copied().unwrap_or(0);
        let total = ticks.iter().take(8).fold(0u64, |sum, ticks| sum.saturating_add(*ticks));
        (ticks.len() >= 4).then(|| CpuTimes { total, idle: at(3).saturating_add(at(4)), stolen: at(7) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tree::tree;

    #[test]
    fn the_line_of_all_processors() {
        for (text, times) in [
            (
                "cpu  10 1 5 100 20 2 3 4 7 0\ncpu0 1 1 1 1\n",
                Some(CpuTimes { total: 145, idle: 120, stolen: 4 }),
            ),
            ("cpu  10 1 5 100\n", Some(CpuTimes { total: 116, idle: 100, stolen: 0 })),
            ("cpu  10 x\n", None),
            ("intr 1\n", None),
        ] {
            let (_tree, host) = tree(&[("proc/stat", text)]);
            assert_eq!(host.cpu_times(), times, "{text}");
        }
        assert!(Host::here().cpu_times().is_some());
    }
}
