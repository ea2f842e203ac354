//! Processors: which, how many, how fast they are told to run.

use std::collections::BTreeSet;

use super::cgroup::CgroupLimits;
use super::machine::Host;

const CPU_DIR: &str = "/sys/devices/system/cpu";

impl Host {
    /// The processor's model: `model name` on x86, the board's or the core's name elsewhere.
    pub(crate) fn cpu_model(&self) -> Option<String> {
        let of = |name: &str| self.field("/proc/cpuinfo", name);
        of("model name").or_else(|| of("cpu model")).or_else(|| of("Model")).or_else(|| of("cpu")).or_else(
            || {
                // 64-bit Arm shows numbers only; MIDR_EL1 names implementer and part.
                Some(format!("Arm implementer {} part {}", of("CPU implementer")?, of("CPU part")?))
            },
        )
    }

    /// Cores that this process may use: those of its affinity mask (which control groups of kind `cpuset` narrow), at
    /// most its processor quota rounded down, at least one — the rule of `std::thread::available_parallelism`.
    pub(crate) fn usable_cores(&self, limits: CgroupLimits) -> u32 {
        let allowed = match self.allowed_cpus() {
            cpus if cpus.is_empty() => std::thread::available_parallelism()
                .map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(u32::MAX)),
            cpus => u32::try_from(cpus.len()).unwrap_or(u32::MAX),
        };
        let quota = limits.cpu_millicores.map_or(u32::MAX, |m| u32::try_from(m / 1000).unwrap_or(u32::MAX));
        allowed.min(quota).max(1)
    }

    /// Processors of the machine that are online; `None` where the kernel does not say.
    pub(super) fn online_cores(&self) -> Option<u32> {
        let online = cpu_list(&self.read(format!("{CPU_DIR}/online"))?)?;
        u32::try_from(online.len()).ok()
    }

    /// The numbers of the processors in the affinity mask; empty where the kernel does not show it.
    pub(super) fn allowed_cpus(&self) -> BTreeSet<u32> {
        self.field("/proc/self/status", "Cpus_allowed_list")
            .and_then(|list| cpu_list(&list))
            .unwrap_or_default()
    }

    /// The frequency governor of the processors that this process may use, several joined by a comma; `None` where the
    /// kernel shows none, as in most virtual machines.
    pub fn governor(&self) -> Option<String> {
        let allowed = self.allowed_cpus();
        let governors: BTreeSet<String> = self
            .names(CPU_DIR)
            .iter()
            .filter_map(|name| Some((name, name.strip_prefix("cpu")?.parse::<u32>().ok()?)))
            .filter(|(_, number)| allowed.is_empty() || allowed.contains(number))
            .filter_map(|(name, _)| self.read(format!("{CPU_DIR}/{name}/cpufreq/scaling_governor")))
            .collect();
        (!governors.is_empty()).then(|| governors.into_iter().collect::<Vec<_>>().join(", "))
    }

    /// Whether clocks may rise above the nominal one; `None` where the kernel does not say.
    pub(crate) fn turbo(&self) -> Option<bool> {
        let intel = self.read(format!("{CPU_DIR}/intel_pstate/no_turbo")).and_then(|text| zero_or_one(&text));
        let others = || self.read(format!("{CPU_DIR}/cpufreq/boost")).and_then(|text| zero_or_one(&text));
        intel.map(|off| !off).or_else(others)
    }

    /// Whether two hardware threads share a core; `None` where the kernel does not say.
    pub(crate) fn smt(&self) -> Option<bool> {
        zero_or_one(&self.read(format!("{CPU_DIR}/smt/active"))?)
    }

    /// Whether the processor says that it is a virtual one.
    pub(crate) fn virtual_machine(&self) -> bool {
        self.field("/proc/cpuinfo", "flags")
            .is_some_and(|flags| flags.split_whitespace().any(|flag| flag == "hypervisor"))
    }
}

fn zero_or_one(text: &str) -> Option<bool> {
    match text {
        "0" => Some(false),
        "1" => Some(true),
        _ => None,
    }
}

/// The kernel's list format, such as `0-3,8,10-11`; `None` where it is something else.
fn cpu_list(text: &str) -> Option<BTreeSet<u32>> {
    /// More than any kernel is built for; a range beyond it is damaged and must not fill the memory.
    const MOST: u32 = 1 << 16;
    let mut cpus = BTreeSet::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        if first > last || last >= MOST {
            return None;
        }
        cpus.extend(first..=last);
    }
    Some(cpus)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tree::tree;

    #[test]
    fn lists_of_processors() {
        for (text, numbers) in [
            ("0", Some(vec![0])),
            ("0-3", Some(vec![0, 1, 2, 3])),
            ("0-1,8,10-11", Some(vec![0, 1, 8, 10, 11])),
            ("3-1", None),
            ("0-4294967295", None),
            ("a", None),
            ("", None),
        ] {
            assert_eq!(cpu_list(text), numbers.map(BTreeSet::from_iter), "{text:?}");
        }
    }

    #[test]
    fn cores_are_the_smaller_of_mask_and_quota() {
        for (mask, millicores, cores) in
            [("0-7", None, 8), ("0-7", Some(2500), 2), ("0-1", Some(16_000), 2), ("0-7", Some(300), 1)]
        {
            let status = format!("Cpus_allowed_list:\t{mask}\n");
            let (_tree, host) = tree(&[("proc/self/status", &status)]);
            let limits = CgroupLimits { memory: None, cpu_millicores: millicores };
            assert_eq!(host.usable_cores(limits), cores, "{mask} {millicores:?}");
        }
    }

    #[test]
    fn governors_of_the_usable_processors() {
        let (_tree, host) = tree(&[
            ("proc/self/status", "Cpus_allowed_list:\t0-1\n"),
            ("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n"),
            ("sys/devices/system/cpu/cpu1/cpufreq/scaling_governor", "performance\n"),
            ("sys/devices/system/cpu/cpu2/cpufreq/scaling_governor", "schedutil\n"),
            ("sys/devices/system/cpu/cpufreq/boost", "1\n"),
            ("sys/devices/system/cpu/smt/active", "0\n"),
        ]);
        assert_eq!(host.governor().as_deref(), Some("performance, powersave"));
        assert_eq!((host.turbo(), host.smt()), (Some(true), Some(false)));
        let (_tree, host) = tree(&[("sys/devices/system/cpu/intel_pstate/no_turbo", "1\n")]);
        assert_eq!((host.turbo(), host.smt(), host.governor()), (Some(false), None, None));
    }

    #[test]
    fn models_of_other_processors() {
        let (_tree, host) =
            tree(&[("proc/cpuinfo", "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd40\n")]);
        assert_eq!(host.cpu_model().as_deref(), Some("Arm implementer 0x41 part 0xd40"));
        assert!(!host.virtual_machine());
    }
}
