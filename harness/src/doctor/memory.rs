//! Memory: what fits, what may be locked, how large its pages may be.

use coldstart_profiles::{Bytes, Check};

use super::check::Area;
use crate::host::{AvailableMemory, Host};

const AREA: Area = Area::Host;
/// The staging ring of a loader, all of which a driver page-locks.
const RING: Bytes = Bytes::from_mib(256);
/// The capability that lifts RLIMIT_MEMLOCK, by its number in capabilities(7).
const CAP_IPC_LOCK: u32 = 14;

pub(super) fn checks(host: &Host, models: &[(&str, Bytes)]) -> Vec<Check> {
    vec![models_that_fit(host.available_memory(), models), locked(host), huge_pages(host)]
}

/// Which synthetic models this process has the memory for.
fn models_that_fit(available: Option<AvailableMemory>, models: &[(&str, Bytes)]) -> Check {
    let name = "memory";
    let Some(available) = available else {
        return AREA.bounded(name, "the kernel does not show how much memory is available");
    };
    let bound = if available.bound_by_cgroup { ", bound by the control group" } else { "" };
    let found = format!("{} available{bound}", available.bytes);
    let (fitting, too_large): (Vec<_>, Vec<_>) =
        models.iter().copied().partition(|(_, bytes)| *bytes <= available.bytes);
    let names =
        |models: &[(&str, Bytes)]| models.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    let sizes =
        too_large.iter().map(|(name, bytes)| format!("{name} {bytes}")).collect::<Vec<_>>().join(", ");
    let remedy = format!("more memory for the weights of {sizes}");
    match (fitting.as_slice(), too_large.as_slice()) {
        (fitting, []) => AREA.ok(name, format!("{found}: room for the synthetic models {}", names(fitting))),
        ([], _) => AREA.missing(name, format!("{found}: room for none of the synthetic models"), remedy),
        (fitting, _) => {
            AREA.limited(name, format!("{found}: room for the synthetic models {}", names(fitting)), remedy)
        }
    }
}

/// How much memory this process may lock: pinned memory and registered buffers count towards it.
fn locked(host: &Host) -> Check {
    let name = "locked memory";
    let limits = host.read("/proc/self/limits").unwrap_or_default();
    let soft =
        limits.lines().find_map(|line| line.strip_prefix("Max locked memory")?.split_whitespace().next());
    let remedy =
        "raise it: `ulimit -l unlimited`, LimitMEMLOCK=infinity, or `docker run --ulimit memlock=-1`";
    let Some(soft) = soft else { return AREA.bounded(name, "the kernel does not show the limit") };
    if soft == "unlimited" {
        return AREA.ok(name, "no limit");
    }
    let Ok(bytes) = soft.parse().map(Bytes::new) else {
        return AREA.bounded(name, format!("the limit reads `{soft}`"));
    };
    if may_lock_anyway(host) {
        AREA.ok(name, format!("limit {bytes}, which CAP_IPC_LOCK lifts for this process"))
    } else if bytes >= RING {
        AREA.ok(name, format!("limit {bytes}"))
    } else {
        AREA.limited(name, format!("limit {bytes}, less than a staging ring of {RING}"), remedy)
    }
}

fn may_lock_anyway(host: &Host) -> bool {
    let effective = host.field("/proc/self/status", "CapEff");
    effective
        .and_then(|mask| u64::from_str_radix(&mask, 16).ok())
        .is_some_and(|mask| mask & (1 << CAP_IPC_LOCK) != 0)
}

/// Whether memory can be asked for in huge pages, which cut the page faults of a first touch by 512.
fn huge_pages(host: &Host) -> Check {
    let name = "transparent huge pages";
    let file = "/sys/kernel/mm/transparent_hugepage/enabled";
    let text = host.read(file).unwrap_or_default();
    let chosen = text.split_once('[').and_then(|(_, rest)| rest.split_once(']')).map(|(chosen, _)| chosen);
    match chosen {
        Some(chosen @ ("always" | "madvise")) => AREA.ok(name, chosen),
        Some(chosen) => AREA.limited(
            name,
            format!("{chosen}: first touches of weights pay for every 4 KiB"),
            format!("write madvise to {file}"),
        ),
        None => AREA.limited(name, "this kernel has none", "use a kernel with CONFIG_TRANSPARENT_HUGEPAGE"),
    }
}

#[cfg(test)]
mod tests {
    use coldstart_profiles::CheckStatus::{self, Limited, Missing, Ok};

    use super::*;
    use crate::host::tree::tree;

    #[test]
    fn models_against_memory() {
        let models = [("tiny", Bytes::from_mib(2)), ("8b", Bytes::from_mib(16_000))];
        let available =
            |mib, bound_by_cgroup| Some(AvailableMemory { bytes: Bytes::from_mib(mib), bound_by_cgroup });
        for (memory, status, says) in [
            (available(32_000, false), Ok, "room for the synthetic models tiny, 8b"),
            (
                available(100, true),
                Limited,
                "100 MiB available, bound by the control group: room for the synthetic models tiny",
            ),
            (available(1, false), Missing, "room for none"),
            (None, Limited, "does not show"),
        ] {
            let check = models_that_fit(memory, &models);
            assert_eq!(check.status, status, "{check:?}");
            assert!(check.found.contains(says), "{check:?}");
        }
        let remedy = models_that_fit(available(100, false), &models).remedy.unwrap();
        assert!(remedy.contains("8b 15.6 GiB") && !remedy.contains("tiny"), "{remedy}");
    }

    #[test]
    fn limits_on_locked_memory() {
        let limits = |soft: &str| {
            format!(
                "Limit                     Soft Limit           Hard Limit           Units\nMax locked memory         {soft}              8388608              bytes\n"
            )
        };
        for (soft, capabilities, status) in [
            ("8388608", "0000000000000000", Limited),
            ("8388608", "000001ffffffffff", Ok),
            ("8388608", "0000000000004000", Ok),
            ("268435456", "0000000000000000", Ok),
            ("unlimited", "0000000000000000", Ok),
            ("much", "0000000000000000", Limited),
        ] {
            let status_file = format!("CapEff:\t{capabilities}\n");
            let (_tree, host) =
                tree(&[("proc/self/limits", &limits(soft)), ("proc/self/status", &status_file)]);
            assert_eq!(locked(&host).status, status, "{soft} {capabilities}");
        }
        let (_tree, host) = tree(&[]);
        assert_eq!(locked(&host).status, CheckStatus::Limited);
    }

    #[test]
    fn huge_page_settings() {
        for (text, status) in [
            ("always [madvise] never\n", Ok),
            ("[always] madvise never\n", Ok),
            ("always madvise [never]\n", Limited),
            ("\n", Limited),
        ] {
            let (_tree, host) = tree(&[("sys/kernel/mm/transparent_hugepage/enabled", text)]);
            assert_eq!(huge_pages(&host).status, status, "{text}");
        }
    }
}
