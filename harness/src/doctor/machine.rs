//! What makes times differ from run to run: clocks of the processor, the clock that is read, quotas, other work.

use std::time::{Duration, Instant};

use coldstart_decisions::LoadedCores;
use coldstart_profiles::{Check, Nanos};
use rustix::time::{ClockId, clock_getres};

use super::check::Area;
use crate::host::{CpuTimes, Host};

const AREA: Area = Area::Host;
/// How long the processors are watched for other work.
const WATCH: Duration = Duration::from_millis(100);
/// A clock reading that takes longer goes through a system call.
const SLOW_CLOCK: Nanos = Nanos::from_nanos(500);

pub(super) fn checks(host: &Host) -> Vec<Check> {
    vec![load(host), quota(host), governor(host), boost(host), clock(host)]
}

/// Whether anything else keeps the cores busy: over a minute by the load average, now by counting for a moment.
fn load(host: &Host) -> Check {
    let before = host.cpu_times();
    std::thread::sleep(WATCH);
    let now = before.zip(host.cpu_times()).and_then(|(before, after)| Shares::between(before, after));
    let described = host.describe();
    judge_load(host.load_average(), now, LoadedCores::new(described.cores_online, described.cores))
}

/// Parts of the processors' time, 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Shares {
    busy: f64,
    /// Taken by the hypervisor for others.
    stolen: f64,
}

impl Shares {
    /// `None` where the counters did not move.
    fn between(before: CpuTimes, after: CpuTimes) -> Option<Self> {
        let total = after.total.checked_sub(before.total).filter(|ticks| *ticks > 0)? as f64;
        let share = |ticks: u64| (ticks as f64 / total).clamp(0.0, 1.0);
        let idle = share(after.idle.saturating_sub(before.idle));
        Some(Shares { busy: 1.0 - idle, stolen: share(after.stolen.saturating_sub(before.stolen)) })
    }
}

fn judge_load(average: Option<f64>, now: Option<Shares>, cores: LoadedCores) -> Check {
    /// Above a quarter of the cores another program's share shows in every median.
    const QUIET: f64 = 0.25;
    /// A machine that loses more than a fiftieth of its time to neighbours is not its own.
    const STOLEN: f64 = 0.02;
    let name = "other work";
    let mut found = match average {
        Some(average) => format!("load average {average:.2} on {}", cores.told("this process may use")),
        None => "no load average".to_owned(),
    };
    if let Some(now) = now {
        found += &format!(", {:.0} % busy and {:.0} % stolen now", now.busy * 100.0, now.stolen * 100.0);
    }
    if now.is_some_and(|now| now.stolen > STOLEN) {
        return AREA.limited(
            name,
            found,
            "move to a host whose processors are not shared, or measure when it is quiet",
        );
    }
    let busy = average.is_some_and(|average| average > QUIET * f64::from(cores.online()))
        || now.is_some_and(|now| now.busy > QUIET);
    if busy {
        return AREA.limited(
            name,
            found,
            "end what else runs here, and wait a minute for the load average to fall",
        );
    }
    if average.is_none() && now.is_none() {
        return AREA.bounded(name, "the kernel shows neither load average nor processor times");
    }
    AREA.ok(name, found)
}

/// Whether a control group throttles this process or bounds its memory.
fn quota(host: &Host) -> Check {
    let name = "control group";
    let limits = host.cgroup_limits();
    let memory = match limits.memory {
        Some(limit) => format!("memory limit {limit} (page cache counts towards it)"),
        None => "no memory limit".to_owned(),
    };
    match limits.cpu_millicores {
        Some(quota) => AREA.limited(
            name,
            format!("{memory}, processor quota {:.2} cores", quota as f64 / 1000.0),
            "lift the processor quota for the measurement: a throttled process stands still for up to 100 ms at a time",
        ),
        None => AREA.ok(name, format!("{memory}, no processor quota")),
    }
}

/// Whether the governor lets the clock wait for load before it rises.
fn governor(host: &Host) -> Check {
    let name = "frequency governor";
    match host.governor() {
        None if host.virtual_machine() => {
            AREA.bounded(name, "none shown in this virtual machine: its host sets the clocks")
        }
        None => AREA.bounded(name, "the kernel shows none: clocks are set by the firmware"),
        Some(governor) if governor == "performance" => AREA.ok(name, governor),
        Some(governor) => {
            AREA.limited(name, governor, "set it with `cpupower frequency-set --governor performance`")
        }
    }
}

/// Whether clocks depend on temperature and neighbours.
fn boost(host: &Host) -> Check {
    let name = "clock boost and SMT";
    let smt = match host.smt() {
        Some(true) => "SMT on",
        Some(false) => "SMT off",
        None => "SMT not shown",
    };
    match host.turbo() {
        Some(true) => AREA.limited(
            name,
            format!("boost on, {smt}: the clock follows temperature and the number of busy cores"),
            "to compare runs, turn boost off: write 1 to /sys/devices/system/cpu/intel_pstate/no_turbo, elsewhere 0 to /sys/devices/system/cpu/cpufreq/boost",
        ),
        Some(false) => AREA.ok(name, format!("boost off, {smt}")),
        None => AREA.bounded(name, format!("boost not shown, {smt}")),
    }
}

/// Which clock the kernel reads, how fine it is, and what a reading costs.
fn clock(host: &Host) -> Check {
    let source = host.read("/sys/devices/system/clocksource/clocksource0/current_clocksource");
    let resolution = clock_getres(ClockId::Monotonic);
    let whole = Nanos::from_secs(u64::try_from(resolution.tv_sec).unwrap_or(0));
    let resolution = whole.saturating_add(Nanos::from_nanos(u64::try_from(resolution.tv_nsec).unwrap_or(0)));
    judge_clock(source.as_deref(), resolution, reading_cost())
}

/// The best of several averages of reading the monotonic clock.
fn reading_cost() -> Nanos {
    const READINGS: u32 = 2000;
    let round = || {
        let begin = Instant::now();
        for _ in 0..READINGS {
            std::hint::black_box(Instant::now());
        }
        begin.elapsed() / READINGS
    };
    Nanos::from((0..5).map(|_| round()).min().unwrap_or_default())
}

fn judge_clock(source: Option<&str>, resolution: Nanos, cost: Nanos) -> Check {
    let name = "clock";
    let source = source.unwrap_or("unknown source");
    let found = format!("{source}, resolution {resolution}, {cost} a reading");
    if cost > SLOW_CLOCK {
        let remedy = "let the kernel use a clock that is read without a system call (tsc, kvm-clock, arch_sys_counter): see the boot parameter clocksource=";
        return AREA.limited(name, found, remedy);
    }
    if resolution > Nanos::from_nanos(1000) {
        let remedy = "use a kernel with high-resolution timers (CONFIG_HIGH_RES_TIMERS)";
        return AREA.limited(name, found, remedy);
    }
    AREA.ok(name, found)
}

#[cfg(test)]
mod tests {
    use coldstart_profiles::CheckStatus::{Limited, Ok};

    use super::*;
    use crate::host::tree::tree;

    #[test]
    fn other_work_shows_in_any_of_three_numbers() {
        let now = |busy: f64, stolen: f64| Some(Shares { busy, stolen });
        for (average, now, cores, status, says) in [
            (Some(0.1), now(0.01, 0.0), 2, Ok, "load average 0.10 on 2 cores, 1 % busy and 0 % stolen now"),
            (Some(0.6), now(0.01, 0.0), 2, Limited, "0.60"),
            (Some(0.6), now(0.01, 0.0), 4, Ok, "0.60"),
            (Some(0.0), now(0.5, 0.0), 64, Limited, "50 % busy"),
            (Some(0.0), now(0.1, 0.05), 64, Limited, "5 % stolen"),
            (None, now(0.1, 0.0), 2, Ok, "no load average"),
            (Some(0.1), None, 2, Ok, "0.10"),
            (None, None, 2, Limited, "neither"),
        ] {
            let check = judge_load(average, now, LoadedCores::new(Some(cores), cores));
            assert_eq!(check.status, status, "{check:?}");
            assert!(check.found.contains(says), "{check:?}");
        }
        // All that are online count, also for a process that may use one of them: both are told.
        let check = judge_load(Some(0.6), now(0.01, 0.0), LoadedCores::new(Some(4), 1));
        let says = "load average 0.60 on the 4 cores that are online (this process may use 1), 1 % busy";
        assert!(check.status == Ok && check.found.starts_with(says), "{check:?}");
    }

    #[test]
    fn shares_of_processor_time() {
        let before = CpuTimes { count: 0, total: 1000, idle: 900, busy: 90, stolen: 10 };
        let after = CpuTimes { count: 0, total: 1200, idle: 1050, busy: 130, stolen: 20 };
        assert_eq!(Shares::between(before, after), Some(Shares { busy: 0.25, stolen: 0.05 }));
        assert_eq!(Shares::between(after, after), None);
        assert_eq!(Shares::between(after, before), None, "counters that went back");
    }

    #[test]
    fn quotas() {
        let group = [
            ("proc/self/cgroup", "0::/a\n"),
            ("proc/self/mountinfo", "30 1 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"),
            ("sys/fs/cgroup/a/memory.max", "1073741824\n"),
            ("sys/fs/cgroup/a/cpu.max", "150000 100000\n"),
        ];
        let (_tree, host) = tree(&group);
        let check = quota(&host);
        assert_eq!(check.status, Limited);
        assert!(check.found.contains("1.00 GiB") && check.found.contains("1.50 cores"), "{check:?}");
        let (_tree, host) = tree(&group[..3]);
        assert_eq!(quota(&host).status, Ok);
    }

    #[test]
    fn governors_and_boost() {
        let file = "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor";
        for (files, status, says) in [
            (vec![(file, "performance\n")], Ok, "performance"),
            (vec![(file, "powersave\n")], Limited, "powersave"),
            (vec![("proc/cpuinfo", "flags: fpu hypervisor\n")], Limited, "virtual machine"),
            (vec![], Limited, "firmware"),
        ] {
            let (_tree, host) = tree(&files);
            let check = governor(&host);
            assert_eq!(check.status, status, "{check:?}");
            assert!(check.found.contains(says), "{check:?}");
        }
        for (value, status) in [("1", Ok), ("0", Limited)] {
            let (_tree, host) = tree(&[("sys/devices/system/cpu/intel_pstate/no_turbo", value)]);
            assert_eq!(boost(&host).status, status);
        }
    }

    #[test]
    fn clocks() {
        let ns = Nanos::from_nanos;
        for (source, resolution, cost, status) in [
            ("tsc", ns(1), ns(25), Ok),
            ("hpet", ns(1), ns(900), Limited),
            ("jiffies", ns(4_000_000), ns(25), Limited),
        ] {
            let check = judge_clock(Some(source), resolution, cost);
            assert_eq!(check.status, status, "{check:?}");
            assert!(check.found.starts_with(source));
        }
        assert!(reading_cost() > Nanos::ZERO);
    }
}
