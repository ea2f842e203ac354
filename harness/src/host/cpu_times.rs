//! What the processors did since boot, and how much of it for this process: `/proc/stat` and `/proc/self/stat`, see proc_stat(5)
//! and proc_pid_stat(5).

use coldstart_profiles::Nanos;

use super::machine::Host;

/// A clock tick of these files: `USER_HZ`, which the kernel's interface fixes at 100 a second on the architectures that coldstart is
/// built for, whatever its own timer does.
pub(crate) const TICK: Nanos = Nanos::from_millis(10);

/// Time of several processors together since boot, in clock ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CpuTimes {
    /// How many processors; zero for a line of all of them, which does not say.
    pub count: u32,
    /// All of it.
    pub total: u64,
    /// Idle, waiting for a disk included.
    pub idle: u64,
    /// Running processes, in user mode or in the kernel; without interrupts.
    pub busy: u64,
    /// What a hypervisor gave to others while this machine wanted to run.
    pub stolen: u64,
}

impl CpuTimes {
    /// The numbers of one line: user nice system idle iowait irq softirq steal; guest and guest_nice are part of user and nice.
    fn of<'w>(words: impl Iterator<Item = &'w str>) -> Option<Self> {
        let ticks: Vec<u64> = words.map_while(|word| word.parse().ok()).collect();
        let sum = |ticks: &[u64]| ticks.iter().fold(0u64, |sum, ticks| sum.saturating_add(*ticks));
        let (busy, idle) = (ticks.get(..3)?, ticks.get(3)?);
        Some(CpuTimes {
            count: 0,
            total: sum(ticks.get(..8).unwrap_or(&ticks)),
            idle: idle.saturating_add(ticks.get(4).copied().unwrap_or(0)),
            busy: sum(busy),
            stolen: ticks.get(7).copied().unwrap_or(0),
        })
    }

    fn plus(self, other: Self) -> Self {
        CpuTimes {
            count: self.count.saturating_add(other.count),
            total: self.total.saturating_add(other.total),
            idle: self.idle.saturating_add(other.idle),
            busy: self.busy.saturating_add(other.busy),
            stolen: self.stolen.saturating_add(other.stolen),
        }
    }
}

impl Host {
    /// The times of all processors; `None` where the kernel does not show them.
    pub fn cpu_times(&self) -> Option<CpuTimes> {
        let text = self.read("/proc/stat")?;
        CpuTimes::of(text.lines().find_map(|line| line.strip_prefix("cpu "))?.split_whitespace())
    }

    /// The times of those processors that this process may use; `None` where the kernel does not show them.
    pub(crate) fn allowed_cpu_times(&self) -> Option<CpuTimes> {
        let (allowed, text) = (self.allowed_cpus(), self.read("/proc/stat")?);
        let lines = text.lines().filter_map(|line| line.strip_prefix("cpu"));
        lines
            .filter_map(|line| {
                let (number, times) = line.split_once(' ')?;
                let times = || CpuTimes::of(times.split_whitespace());
                let times = allowed.contains(&number.parse().ok()?).then(times)??;
                Some(CpuTimes { count: 1, ..times })
            })
            .reduce(CpuTimes::plus)
    }

    /// What this process and those of its children that ended had of all processors, in clock ticks.
    pub(crate) fn own_ticks(&self) -> Option<u64> {
        let text = self.read("/proc/self/stat")?;
        // The second field is the program's name in brackets, which may hold anything; the third follows its last one.
        let (_, fields) = text.rsplit_once(") ")?;
        // utime, stime, cutime, cstime: fields 14 to 17.
        let times: Vec<u64> =
            fields.split(' ').skip(11).take(4).map_while(|word| word.parse().ok()).collect();
        (times.len() == 4).then(|| times.iter().fold(0, |sum: u64, ticks| sum.saturating_add(*ticks)))
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
                Some(CpuTimes { count: 0, total: 145, idle: 120, busy: 16, stolen: 4 }),
            ),
            ("cpu  10 1 5 100\n", Some(CpuTimes { count: 0, total: 116, idle: 100, busy: 16, stolen: 0 })),
            ("cpu  10 x\n", None),
            ("intr 1\n", None),
        ] {
            let (_tree, host) = tree(&[("proc/stat", text)]);
            assert_eq!(host.cpu_times(), times, "{text}");
        }
        assert!(Host::here().cpu_times().is_some());
    }

    #[test]
    fn the_lines_of_the_processors_that_may_be_used() {
        let stat = "cpu  111 0 0 9\ncpu0 1 0 0 2\ncpu1 10 0 0 3 0 0 0 5\ncpu10 100 0 0 4\nintr 1\n";
        for (mask, times) in [
            ("1", Some((1, 18, 10, 5))),
            ("0-1", Some((2, 21, 11, 5))),
            ("10", Some((1, 104, 100, 0))),
            ("2", None),
        ] {
            let status = format!("Cpus_allowed_list:\t{mask}\n");
            let (_tree, host) = tree(&[("proc/stat", stat), ("proc/self/status", &status)]);
            let found = host.allowed_cpu_times();
            assert_eq!(
                found.map(|times| (times.count, times.total, times.busy, times.stolen)),
                times,
                "{mask}"
            );
        }
    }

    #[test]
    fn what_this_process_and_its_children_had() {
        let fields = "S 1 2 3 0 -1 4194560 9 8 7 6 100 20 3 4 20 0 11 0 5";
        for (name, ticks) in [("(coldstart)", Some(127)), ("(a) b (c d)", Some(127)), ("coldstart", None)] {
            let (_tree, host) = tree(&[("proc/self/stat", &format!("42 {name} {fields}\n"))]);
            assert_eq!(host.own_ticks(), ticks, "{name}");
        }
        let before = Host::here().own_ticks().unwrap();
        let begin = std::time::Instant::now();
        // A tick of its own may take long where others have the processor.
        while Host::here().own_ticks().unwrap() == before
            && begin.elapsed() < std::time::Duration::from_secs(20)
        {
            (0..100_000).for_each(|_| std::hint::spin_loop());
        }
        assert!(Host::here().own_ticks().unwrap() > before, "work counts");
    }
}
