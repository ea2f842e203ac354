//! Why there is no driver or no GPU, from what can be seen without one.

use std::env;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::status;
use crate::DriverStatus;

/// Where the driver's kernel module says its version.
const MODULE: &str = "/proc/driver/nvidia/version";

/// What a process sees of the driver when it cannot use it.
#[derive(Debug, Default)]
struct Surroundings {
    /// The version of the loaded kernel module; `None` where it is not loaded.
    module: Option<String>,
    /// The GPUs' device nodes that cannot be opened, with the reason.
    closed: Vec<String>,
    /// How many of the device nodes `/dev/nvidia0`, … there are.
    nodes: usize,
    /// `CUDA_VISIBLE_DEVICES`, where it is set.
    visible: Option<String>,
    /// Where the loader looks first, where that is set.
    library_path: Option<String>,
}

impl Surroundings {
    fn of_this_process() -> Surroundings {
        let (nodes, closed) = device_nodes(Path::new("/dev"));
        Surroundings {
            module: fs::read_to_string(MODULE).ok().map(|text| module_version(&text)),
            closed,
            nodes,
            visible: env::var("CUDA_VISIBLE_DEVICES").ok(),
            library_path: env::var("LD_LIBRARY_PATH").ok().filter(|path| !path.is_empty()),
        }
    }
}

/// The version in the first line of `/proc/driver/nvidia/version`: its first word of digits and dots, such as `550.54.14`.
fn module_version(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let version = line
        .split_whitespace()
        .find(|word| word.contains('.') && word.chars().all(|c| c.is_ascii_digit() || c == '.'));
    version.unwrap_or("of an unknown version").to_owned()
}

/// How many GPU nodes there are in `directory`, and which of the driver's nodes cannot be opened, why, and whose they are.
fn device_nodes(directory: &Path) -> (usize, Vec<String>) {
    let mut names: Vec<String> = fs::read_dir(directory)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| {
            let rest = name.strip_prefix("nvidia");
            rest.is_some_and(|rest| rest == "ctl" || rest == "-uvm" || rest.parse::<u32>().is_ok())
        })
        .collect();
    names.sort();
    let gpus = names.iter().filter(|name| name.ends_with(|c: char| c.is_ascii_digit())).count();
    let closed = names
        .iter()
        .filter_map(|name| {
            let path = directory.join(name);
            let error = fs::OpenOptions::new().read(true).write(true).open(&path).err()?;
            Some(format!("{} ({})", path.display(), whose(&path, &error)))
        })
        .collect();
    (gpus, closed)
}

fn whose(path: &Path, error: &io::Error) -> String {
    let Ok(about) = fs::metadata(path) else { return error.to_string() };
    format!("{error}; mode {:03o}, owner {}, group {}", about.mode() & 0o777, about.uid(), about.gid())
}

/// Why no library was found, and what to do. `said` is what the loader said.
pub(super) fn no_library(said: &str) -> String {
    about_no_library(said, &Surroundings::of_this_process())
}

fn about_no_library(said: &str, seen: &Surroundings) -> String {
    let said = if said.is_empty() { "no library of that name".to_owned() } else { said.to_owned() };
    let first =
        seen.library_path.as_ref().map(|path| format!("LD_LIBRARY_PATH={path} and ")).unwrap_or_default();
    let looked = format!("no libcuda.so or libcuda.so.1 in {first}the system's directories ({said})");
    match &seen.module {
        Some(module) => format!(
            "{looked}, though the kernel module {module} is loaded: install the driver's libraries of that version, in a \
             container by NVIDIA_DRIVER_CAPABILITIES=compute,utility"
        ),
        None => format!(
            "{looked}, and no NVIDIA kernel module is loaded: install the NVIDIA driver, or start the container with \
             GPUs (docker run --gpus all)"
        ),
    }
}

/// Why `cuInit` failed, and what to do.
pub(super) fn no_init(status: &DriverStatus, library: &str) -> String {
    about_no_init(status, library, &Surroundings::of_this_process(), &by_whom())
}

/// The user and the groups that this process acts as.
fn by_whom() -> String {
    // SAFETY: both only read numbers of this process and cannot fail.
    let (user, group) = unsafe { (libc::geteuid(), libc::getegid()) };
    format!("user {user}, group {group}")
}

fn about_no_init(status: &DriverStatus, library: &str, seen: &Surroundings, whom: &str) -> String {
    let remedy = by_code(status, seen)
        .or_else(|| by_surroundings(seen, whom))
        .unwrap_or_else(|| by_what_is_left(status, seen));
    format!("cuInit of {library} answered {status}: {remedy}")
}

/// What helps where the code alone says what is wrong, whatever else can be seen.
fn by_code(status: &DriverStatus, seen: &Surroundings) -> Option<String> {
    let remedy = match status.code {
        status::STUB_LIBRARY => {
            "this is the stub for linking from the CUDA toolkit: take its directory off LD_LIBRARY_PATH"
        }
        status::SYSTEM_DRIVER_MISMATCH => {
            let module = seen.module.as_deref().unwrap_or("of an unknown version");
            return Some(format!(
                "the library and the kernel module {module} are of different releases: reboot or reload the module after \
                 an upgrade, restart the container, or take a cuda-compat directory off LD_LIBRARY_PATH"
            ));
        }
        status::COMPAT_NOT_SUPPORTED => {
            "this GPU takes no newer library than its kernel module: take the cuda-compat directory off LD_LIBRARY_PATH"
        }
        status::SYSTEM_NOT_READY => {
            "on machines with NVSwitch the service nvidia-fabricmanager must run, in the driver's version"
        }
        805..=809 => {
            "the MPS server does not take this process: look at its log, or stop it (echo quit | nvidia-cuda-mps-control)"
        }
        _ => return None,
    };
    Some(remedy.to_owned())
}

/// What helps where the code may mean several things, and what can be seen of the machine tells which.
fn by_surroundings(seen: &Surroundings, whom: &str) -> Option<String> {
    if seen.visible.as_deref().is_some_and(|list| list.is_empty() || list.starts_with('-')) {
        Some("CUDA_VISIBLE_DEVICES hides all GPUs: unset it".to_owned())
    } else if seen.module.is_none() {
        Some(format!(
            "{MODULE} is missing, so the kernel module is not loaded: run modprobe nvidia, and see dmesg"
        ))
    } else if !seen.closed.is_empty() {
        let nodes = seen.closed.join(", ");
        Some(format!(
            "{whom} cannot open {nodes}: add the user to that group, or give the container the devices"
        ))
    } else {
        (seen.nodes == 0).then(|| {
            "there is no /dev/nvidia0: run nvidia-modprobe -c0 -u, or start the container with GPUs \
             (docker run --gpus all)"
                .to_owned()
        })
    }
}

/// What is left to look at where nothing that can be seen is wrong.
fn by_what_is_left(status: &DriverStatus, seen: &Surroundings) -> String {
    match status.code {
        status::NO_DEVICE => {
            let visible = match &seen.visible {
                Some(list) => format!("CUDA_VISIBLE_DEVICES={list} selects none, "),
                None => String::new(),
            };
            format!(
                "{visible}no GPU answers, or MIG is on without a compute instance: compare nvidia-smi -L, make one by \
                 nvidia-smi mig -cgi … -C"
            )
        }
        status::OPERATING_SYSTEM | status::UNKNOWN => {
            "the kernel's log (dmesg, lines with NVRM) says more; nvidia-uvm may have to be loaded (nvidia-modprobe -u)"
                .to_owned()
        }
        _ => "compare nvidia-smi, and see dmesg".to_owned(),
    }
}

/// Why GPU number `index` cannot be had where there are `count`.
pub(super) fn no_such_gpu(index: usize, count: usize) -> String {
    let visible = env::var("CUDA_VISIBLE_DEVICES").ok();
    let shown = visible.map(|list| format!(" under CUDA_VISIBLE_DEVICES={list}")).unwrap_or_default();
    match count {
        0 => format!("the driver shows no GPU{shown}: nvidia-smi -L lists those of the machine"),
        1 => format!(
            "the driver shows 1 GPU{shown}, number 0; there is no number {index}: nvidia-smi -L lists them"
        ),
        _ => format!(
            "the driver shows {count} GPUs{shown}, numbers 0 to {}; there is no number {index}: nvidia-smi -L lists them",
            count - 1
        ),
    }
}

/// Why the context was refused, and what to do. `mode` is the GPU's compute mode, where it is known.
pub(super) fn no_context(status: &DriverStatus, index: usize, mode: Option<i32>) -> String {
    let remedy = match (status.code, mode) {
        (_, Some(2)) => format!("its compute mode is PROHIBITED: nvidia-smi -i {index} -c DEFAULT"),
        (status::DEVICE_UNAVAILABLE, Some(3)) => format!(
            "its compute mode is EXCLUSIVE_PROCESS and another process has it: end that (nvidia-smi), or nvidia-smi -i \
             {index} -c DEFAULT"
        ),
        (status::DEVICE_UNAVAILABLE, _) => "another process has it to itself, or it is being reset: see nvidia-smi".to_owned(),
        (status::OUT_OF_MEMORY, _) => {
            "other processes left no memory for a context on it: end them (nvidia-smi lists them) or take another GPU"
                .to_owned()
        }
        (status::INVALID_DEVICE, _) => "if MIG is on, it needs a compute instance: nvidia-smi mig -cgi … -C".to_owned(),
        (214, _) => "its memory has uncorrectable errors: reset it (nvidia-smi -r), and see nvidia-smi -q -d ECC".to_owned(),
        _ => "compare nvidia-smi, and see the lines with Xid in dmesg".to_owned(),
    };
    format!("the driver refused a context with {status}: {remedy}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u32) -> DriverStatus {
        DriverStatus { code, name: "CUDA_ERROR", text: "" }
    }

    fn healthy() -> Surroundings {
        Surroundings { module: Some("550.54.14".to_owned()), nodes: 1, ..Surroundings::default() }
    }

    #[test]
    fn the_module_says_its_version() {
        for (text, version) in [
            (
                "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May 12 19:39:15 UTC 2024\nGCC",
                "535.183.01",
            ),
            (
                "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build  (dvs-builder)",
                "580.65.06",
            ),
            ("", "of an unknown version"),
        ] {
            assert_eq!(module_version(text), version);
        }
    }

    #[test]
    fn a_missing_library_is_told_from_a_missing_driver() {
        let seen = Surroundings { library_path: Some("/x".to_owned()), ..healthy() };
        let why = about_no_library("libcuda.so.1: cannot open", &seen);
        assert!(
            why.contains("LD_LIBRARY_PATH=/x")
                && why.contains("550.54.14")
                && why.contains("compute,utility"),
            "{why}"
        );
        let why = about_no_library("", &Surroundings::default());
        assert!(why.contains("no NVIDIA kernel module") && why.contains("--gpus all"), "{why}");
    }

    #[test]
    fn each_cause_has_its_remedy() {
        let denied =
            Surroundings { closed: vec!["/dev/nvidia0 (Permission denied)".to_owned()], ..healthy() };
        let hidden = Surroundings { visible: Some(String::new()), ..healthy() };
        let picked = Surroundings { visible: Some("7".to_owned()), ..healthy() };
        for (code, seen, part) in [
            (34, healthy(), "stub"),
            (100, Surroundings::default(), "modprobe nvidia"),
            (100, healthy(), "MIG"),
            (100, hidden, "unset it"),
            (100, picked, "CUDA_VISIBLE_DEVICES=7"),
            (100, Surroundings { nodes: 0, ..healthy() }, "/dev/nvidia0"),
            (304, denied, "user 1000, group 1000 cannot open /dev/nvidia0 (Permission denied)"),
            (304, healthy(), "NVRM"),
            (802, healthy(), "fabricmanager"),
            (803, healthy(), "550.54.14"),
            (804, healthy(), "cuda-compat"),
            (807, healthy(), "MPS"),
            (999, healthy(), "nvidia-uvm"),
        ] {
            let why = about_no_init(&status(code), "/lib/libcuda.so.1", &seen, "user 1000, group 1000");
            assert!(why.contains(part) && why.contains("/lib/libcuda.so.1"), "{code}: {why}");
        }
    }

    #[test]
    fn contexts_that_were_refused_have_a_remedy() {
        for (code, mode, part) in [
            (46, Some(3), "EXCLUSIVE_PROCESS"),
            (46, Some(0), "to itself"),
            (101, Some(2), "-i 1 -c DEFAULT"),
            (101, Some(0), "MIG"),
            (2, None, "no memory"),
            (999, None, "Xid"),
        ] {
            let why = no_context(&status(code), 1, mode);
            assert!(why.contains(part), "{code}: {why}");
        }
        assert!(no_such_gpu(4, 2).contains("numbers 0 to 1"));
    }

    #[test]
    fn nodes_that_cannot_be_opened_are_named() {
        let directory = std::env::temp_dir().join(format!("coldstart-nodes-{}", std::process::id()));
        fs::create_dir_all(directory.join("nvidia1")).unwrap();
        for name in ["nvidia0", "nvidiactl", "nvidia-uvm", "nvidia-caps", "null"] {
            fs::write(directory.join(name), "").unwrap();
        }
        // A directory stands for a node that may not be opened, since root may open any file.
        let (gpus, closed) = device_nodes(&directory);
        fs::remove_dir_all(&directory).unwrap();
        assert_eq!((gpus, closed.len()), (2, 1), "{closed:?}");
        assert!(closed[0].contains("nvidia1 (Is a directory") && closed[0].contains("owner"), "{closed:?}");
    }
}
