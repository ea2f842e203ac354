//! Which of the processes on a GPU are not ours.

use coldstart_profiles::{Bytes, GpuProcess};

use crate::host::Host;

/// A process as NVML lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    /// Its number, in the namespace of the driver's choice.
    pub(super) pid: u32,
    /// Device memory that it holds.
    pub(super) memory: Option<Bytes>,
}

/// The processes that are not ours. `own` is this process's number where it has a context on the GPU.
///
/// In a container NVML may count by the host's namespace. Then our own process stands in the list under a number that
/// means nothing here: it shows by our own number missing, and by others that `/proc` does not hold. One of those is us.
pub(super) fn foreign(seen: &[Seen], own: Option<u32>, host: &Host) -> Vec<GpuProcess> {
    let mut unlisted = own.is_some_and(|own| !seen.iter().any(|process| process.pid == own));
    let mut found = Vec::new();
    for process in seen.iter().filter(|process| Some(process.pid) != own) {
        let name = host.read(format!("/proc/{}/comm", process.pid));
        if name.is_none() && own.is_some() && !host.path(format!("/proc/{}", process.pid)).exists() {
            // Without a number that means something here, one of them is taken for us.
            if std::mem::take(&mut unlisted) {
                continue;
            }
            found.push(GpuProcess { pid: None, name: None, memory_bytes: process.memory });
            continue;
        }
        found.push(GpuProcess { pid: Some(process.pid), name, memory_bytes: process.memory });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tree::tree;

    fn seen(pids: &[u32]) -> Vec<Seen> {
        pids.iter().map(|pid| Seen { pid: *pid, memory: Some(Bytes::from_mib(64)) }).collect()
    }

    fn pids(found: &[GpuProcess]) -> Vec<Option<u32>> {
        found.iter().map(|process| process.pid).collect()
    }

    #[test]
    fn our_own_process_is_not_foreign_in_whatever_namespace() {
        let (_tree, host) =
            tree(&[("proc/10/comm", "coldstart\n"), ("proc/77/comm", "python3\n"), ("proc/78/status", "")]);
        for (listed, own, foreign_pids) in [
            (&[][..], Some(10), vec![]),
            (&[10], Some(10), vec![]),
            (&[10, 77], Some(10), vec![Some(77)]),
            // No context of ours: all are foreign.
            (&[10, 77], None, vec![Some(10), Some(77)]),
            (&[999_999], None, vec![Some(999_999)]),
            // The host's numbers: one of them is us.
            (&[999_999], Some(10), vec![]),
            (&[999_998, 999_999], Some(10), vec![None]),
            // Ours is not listed yet, and the other one is known here.
            (&[77], Some(10), vec![Some(77)]),
            // One that may not be read is still there.
            (&[10, 78], Some(10), vec![Some(78)]),
        ] {
            let found = foreign(&seen(listed), own, &host);
            assert_eq!(pids(&found), foreign_pids, "{listed:?} {own:?}");
        }
        let found = foreign(&seen(&[77, 78]), None, &host);
        assert_eq!((found[0].name.as_deref(), found[1].name.as_deref()), (Some("python3"), None));
        assert_eq!(found[0].memory_bytes, Some(Bytes::from_mib(64)));
    }
}
