//! Whether anything keeps the driver's state of a GPU alive.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use coldstart_profiles::DriverState;

use crate::host::Host;

/// The daemon that keeps the driver loaded, as `/proc/PID/comm` cuts its name off.
const DAEMON: &str = "nvidia-persiste";
/// The first process namespace of a kernel: it sees every process.
const FIRST_NAMESPACE: &str = "pid:[4026531836]";

/// Looks at the processes that have a GPU open; this one doesn't. `None` where not all of them can be seen, as in a container
/// that sees its own only.
///
/// `persistence` is persistence mode as the management library saw it, where it was asked. Without it, the mode that
/// `nvidia-smi -pm 1` sets without a daemon does not show.
pub(crate) fn state(host: &Host, persistence: Option<bool>) -> Option<DriverState> {
    let mut all_seen = namespace(host).is_none_or(|namespace| namespace == FIRST_NAMESPACE);
    let mut held = false;
    for process in host.names("/proc").iter().filter(|name| name.parse::<u32>().is_ok()) {
        if host.read(format!("/proc/{process}/comm")).as_deref() == Some(DAEMON) {
            return Some(DriverState::Persistent);
        }
        if process.parse() == Ok(std::process::id()) {
            continue;
        }
        match has_gpu_open(host, process) {
            Some(open) => held |= open,
            None => all_seen = false,
        }
    }
    match (persistence, held, all_seen) {
        (Some(true), ..) => Some(DriverState::Persistent),
        (_, true, _) => Some(DriverState::Held),
        (_, false, true) => Some(DriverState::Unloaded),
        (_, false, false) => None,
    }
}

/// The process namespace that this process is in.
fn namespace(host: &Host) -> Option<String> {
    let link = std::fs::read_link(host.path("/proc/self/ns/pid")).ok()?;
    Some(link.to_string_lossy().into_owned())
}

/// Whether a process has a GPU open; `None` where this user may not see that.
fn has_gpu_open(host: &Host, process: &str) -> Option<bool> {
    let directory = host.path(format!("/proc/{process}/fd"));
    let entries = match std::fs::read_dir(&directory) {
        Ok(entries) => entries,
        // It has ended meanwhile.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Some(false),
        Err(_) => return None,
    };
    let mut links = entries.flatten().filter_map(|entry| std::fs::read_link(entry.path()).ok());
    Some(links.any(|target| is_gpu(target.as_os_str())))
}

/// `/dev/nvidia0` and so on, and `/dev/dxg` under WSL. The control nodes alone initialise no GPU.
fn is_gpu(path: &OsStr) -> bool {
    let number = path.as_bytes().strip_prefix(b"/dev/nvidia");
    number.is_some_and(|number| !number.is_empty() && number.iter().all(u8::is_ascii_digit))
        || path.as_bytes() == b"/dev/dxg"
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::*;

    /// A machine whose processes (number, name) have these files open.
    fn machine(processes: &[(&str, &str, &[&str])], namespace: &str) -> (tempfile::TempDir, Host) {
        let root = tempfile::tempdir().unwrap();
        let proc = root.path().join("proc");
        for (process, comm, files) in processes {
            let directory = proc.join(process);
            fs::create_dir_all(directory.join("fd")).unwrap();
            fs::write(directory.join("comm"), format!("{comm}\n")).unwrap();
            for (number, target) in files.iter().enumerate() {
                symlink(target, directory.join("fd").join(number.to_string())).unwrap();
            }
        }
        fs::create_dir_all(proc.join("self/ns")).unwrap();
        symlink(namespace, proc.join("self/ns/pid")).unwrap();
        let host = Host::under(Path::new(root.path()));
        (root, host)
    }

    #[test]
    fn who_keeps_the_driver() {
        type Processes<'a> = &'a [(&'a str, &'a str, &'a [&'a str])];
        let table: &[(Processes<'_>, &str, Option<bool>, Option<DriverState>)] = &[
            (&[("1", "init", &["/dev/null"])], FIRST_NAMESPACE, None, Some(DriverState::Unloaded)),
            (&[("1", "init", &["/dev/null"])], "pid:[4026532001]", None, None),
            (
                &[("1", "init", &[]), ("77", "vllm", &["/tmp/x", "/dev/nvidia3"])],
                "x",
                None,
                Some(DriverState::Held),
            ),
            (&[("77", "vllm", &["/dev/nvidia0"])], FIRST_NAMESPACE, Some(false), Some(DriverState::Held)),
            (
                &[("9", "nvidia-persiste", &["/dev/nvidia0"])],
                FIRST_NAMESPACE,
                None,
                Some(DriverState::Persistent),
            ),
            (&[("1", "init", &[])], "pid:[4026532001]", Some(true), Some(DriverState::Persistent)),
            (
                &[("5", "smi", &["/dev/nvidiactl", "/dev/nvidia-uvm"])],
                FIRST_NAMESPACE,
                None,
                Some(DriverState::Unloaded),
            ),
            (&[("5", "wsl", &["/dev/dxg"])], FIRST_NAMESPACE, None, Some(DriverState::Held)),
        ];
        for (processes, namespace, persistence, expected) in table {
            let (_root, host) = machine(processes, namespace);
            assert_eq!(state(&host, *persistence), *expected, "{processes:?} {namespace}");
        }
    }

    #[test]
    fn a_process_that_hides_its_files_leaves_it_unknown() {
        let (root, host) = machine(&[("1", "init", &[])], FIRST_NAMESPACE);
        // A file where the directory should be: as unreadable as somebody else's.
        fs::create_dir_all(root.path().join("proc/8")).unwrap();
        fs::write(root.path().join("proc/8/fd"), "").unwrap();
        assert_eq!(state(&host, None), None);
    }
}
