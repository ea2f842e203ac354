//! What can run a model here: the host device, a CUDA driver, and the libraries around it.

use std::ffi::OsStr;
use std::path::PathBuf;

use coldstart_profiles::Check;
use rustix::fs::{Access, access};

use super::check::Area;
use super::loader::Loader;
use super::nvml;
use crate::host::Host;

pub(super) const AREA: Area = Area::Device;
/// NVIDIA's number in PCI configuration space.
const NVIDIA_VENDOR: &str = "0x10de";

pub(super) fn checks(host: &Host, ld_library_path: Option<&OsStr>) -> Vec<Check> {
    let loader = Loader::new(host, ld_library_path);
    let driver = Driver::look(host, &loader);
    let needed = driver.hardware();
    vec![
        host_device(host),
        cuda(&driver),
        nvml::check(host, &loader, needed),
        library(
            "cuBLASLt",
            &["libcublasLt.so", "libcublasLt.so.13", "libcublasLt.so.12"],
            &loader,
            needed,
            "matrix products but coldstart's own",
            "the CUDA toolkit or the package nvidia-cublas",
        ),
    ]
}

/// The processor as a device: always there; slow without wide vector instructions.
fn host_device(host: &Host) -> Check {
    let target = host.describe();
    let flags = host.field("/proc/cpuinfo", "flags").or_else(|| host.field("/proc/cpuinfo", "Features"));
    let flags = flags.unwrap_or_default();
    let has = |flag: &str| flags.split_whitespace().any(|other| other == flag);
    // Arm calls its vector unit asimd; every 64-bit core has one.
    let vectors = [("avx512f", "AVX-512"), ("avx2", "AVX2"), ("sve", "SVE"), ("asimd", "NEON")];
    let best = vectors.into_iter().find(|(flag, _)| has(flag)).map(|(_, name)| name);
    let found = format!(
        "{}, {} {} for this process, {}, {}",
        target.cpu,
        target.cores,
        if target.cores == 1 { "core" } else { "cores" },
        best.unwrap_or("no wide vector instructions"),
        target.memory_bytes
    );
    match best {
        Some(_) => AREA.ok("host device", found),
        None => AREA.limited("host device", found, "run on a processor with AVX2, AVX-512 or NEON"),
    }
}

/// What shows of a CUDA driver without loading it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Driver {
    /// NVIDIA display or compute devices on the PCI bus.
    pci: usize,
    /// The version of the loaded kernel module.
    version: Option<String>,
    /// `/dev/nvidia0` and so on, or `/dev/dxg` under WSL.
    nodes: Vec<String>,
    /// A node that has to be there and opened by this user, and why it can't be used.
    blocked: Option<String>,
    /// Product names by the driver.
    models: Vec<String>,
    /// Where libcuda is.
    library: Option<PathBuf>,
}

impl Driver {
    fn look(host: &Host, loader: &Loader<'_>) -> Self {
        let devices = host.names("/dev");
        let mut nodes: Vec<String> = devices
            .iter()
            .filter(|name| name.strip_prefix("nvidia").is_some_and(|number| number.parse::<u32>().is_ok()))
            .cloned()
            .collect();
        let wsl = devices.iter().any(|name| name == "dxg");
        let control: &[&str] = if wsl { &[] } else { &["nvidiactl", "nvidia-uvm"] };
        if wsl {
            nodes.push("dxg".to_owned());
        }
        let blocked = nodes.iter().map(String::as_str).chain(control.iter().copied()).find_map(|name| {
            let refused = access(host.path("/dev").join(name), Access::READ_OK | Access::WRITE_OK).err()?;
            Some(format!("/dev/{name}: {}", std::io::Error::from(refused)))
        });
        Driver {
            pci: host.names("/sys/bus/pci/devices").iter().filter(|name| is_nvidia(host, name)).count(),
            version: host.read("/proc/driver/nvidia/version").map(|text| module_version(&text)),
            blocked: blocked.filter(|_| !nodes.is_empty()),
            nodes,
            models: host
                .names("/proc/driver/nvidia/gpus")
                .iter()
                .filter_map(|gpu| host.field(format!("/proc/driver/nvidia/gpus/{gpu}/information"), "Model"))
                .collect(),
            library: loader.find(&["libcuda.so", "libcuda.so.1"]),
        }
    }

    /// Whether there is any sign of an NVIDIA device.
    fn hardware(&self) -> bool {
        self.pci > 0 || self.version.is_some() || !self.nodes.is_empty()
    }
}

/// Whether a PCI function is a display controller (class 03) or a processing accelerator (12) of NVIDIA.
fn is_nvidia(host: &Host, name: &str) -> bool {
    let read = |file: &str| host.read(format!("/sys/bus/pci/devices/{name}/{file}"));
    read("vendor").is_some_and(|vendor| vendor == NVIDIA_VENDOR)
        && read("class").is_some_and(|class| class.starts_with("0x03") || class.starts_with("0x12"))
}

/// The number in `NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug …`.
fn module_version(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let is_version =
        |word: &&str| word.contains('.') && word.split('.').all(|part| part.parse::<u32>().is_ok());
    line.split_whitespace().find(is_version).unwrap_or("unknown").to_owned()
}

/// The first thing that is missing between the bus and libcuda.
fn cuda(driver: &Driver) -> Check {
    let name = "CUDA driver";
    let gpus = match driver.models.as_slice() {
        [] => format!("{} × NVIDIA device", driver.nodes.len().max(driver.pci)),
        models => models.join(", "),
    };
    let wsl = driver.nodes.iter().any(|node| node == "dxg");
    let Some(library) = &driver.library else {
        return if driver.hardware() {
            AREA.missing(
                name,
                format!("{gpus}, but no libcuda.so.1 where the loader looks"),
                "install the driver's user-space libraries, in a container through the NVIDIA Container Toolkit with NVIDIA_DRIVER_CAPABILITIES=compute,utility",
            )
        } else {
            AREA.missing(
                name,
                "no NVIDIA device on the PCI bus, no /dev/nvidia*, no libcuda.so.1",
                "none is needed for the host device; to measure a GPU, run where one is",
            )
        };
    };
    let library = library.display();
    if !driver.hardware() {
        let found = format!("{library}, but no NVIDIA device and no kernel driver");
        return AREA.missing(
            name,
            found,
            "run on a machine with an NVIDIA GPU, in a container with `--gpus all`",
        );
    }
    if driver.version.is_none() && !wsl {
        let found = format!("{gpus}, but the kernel driver is not loaded");
        return AREA.missing(
            name,
            found,
            "install the NVIDIA kernel driver of this kernel and load it: `modprobe nvidia`",
        );
    }
    if driver.nodes.is_empty() {
        let found = format!("{gpus}, but no /dev/nvidia*");
        return AREA.missing(
            name,
            found,
            "start the container with `--gpus all`, or run nvidia-modprobe on the host",
        );
    }
    if let Some(blocked) = &driver.blocked {
        let remedy = "give this user access to the NVIDIA device files, or run nvidia-modprobe to make them";
        return AREA.missing(name, format!("{gpus}, but {blocked}"), remedy);
    }
    let version = driver.version.as_deref().map(|version| format!(", driver {version}")).unwrap_or_default();
    AREA.ok(name, format!("{gpus}{version}, {library}: `coldstart run --device cuda:0`"))
}

/// A library that only has to be where the loader looks; nobody needs it on a machine without a GPU.
pub(super) fn library(
    name: &str,
    files: &[&str],
    loader: &Loader<'_>,
    needed: bool,
    for_what: &str,
    from: &str,
) -> Check {
    match loader.find(files) {
        Some(path) => AREA.ok(name, path.display().to_string()),
        None if needed => AREA.missing(
            name,
            format!("no {} where the loader looks: no {for_what}", files.last().copied().unwrap_or_default()),
            format!("install {from}, or name its directory in LD_LIBRARY_PATH"),
        ),
        None => AREA.missing(
            name,
            format!("no {}", files.last().copied().unwrap_or_default()),
            format!("none is needed without a GPU; with one, install {from}"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use coldstart_profiles::CheckStatus;

    use super::*;
    use crate::host::tree::tree;

    const PCI: [(&str, &str); 2] = [
        ("sys/bus/pci/devices/0000:01:00.0/vendor", "0x10de\n"),
        ("sys/bus/pci/devices/0000:01:00.0/class", "0x030200\n"),
    ];
    const MODULE: (&str, &str) = (
        "proc/driver/nvidia/version",
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023\nGCC version: 12.2.0\n",
    );
    const NODES: [(&str, &str); 3] = [("dev/nvidia0", ""), ("dev/nvidiactl", ""), ("dev/nvidia-uvm", "")];
    const LIBRARY: (&str, &str) = ("usr/lib64/libcuda.so.1", "");
    const GPU: (&str, &str) =
        ("proc/driver/nvidia/gpus/0000:01:00.0/information", "Model: \t\t NVIDIA H100 80GB HBM3\nIRQ: 1\n");

    fn cuda_on(files: &[(&str, &str)]) -> Check {
        let (_tree, host) = tree(files);
        checks(&host, None).into_iter().find(|check| check.name == "CUDA driver").unwrap()
    }

    #[test]
    fn the_first_gap_is_named() {
        let all: Vec<_> = [&PCI[..], &[MODULE], &NODES, &[LIBRARY, GPU]].concat();
        let without =
            |gone: &str| all.iter().filter(|(path, _)| !path.starts_with(gone)).copied().collect::<Vec<_>>();
        for (files, status, says) in [
            (vec![], CheckStatus::Missing, "no NVIDIA device"),
            (vec![LIBRARY], CheckStatus::Missing, "/usr/lib64/libcuda.so.1, but no NVIDIA device"),
            ([&PCI[..], &[LIBRARY]].concat(), CheckStatus::Missing, "kernel driver is not loaded"),
            (without("dev"), CheckStatus::Missing, "H100 80GB HBM3, but no /dev/nvidia*"),
            (without("dev/nvidia-uvm"), CheckStatus::Missing, "/dev/nvidia-uvm: No such file"),
            (without("usr"), CheckStatus::Missing, "no libcuda.so.1 where the loader looks"),
            (
                all.clone(),
                CheckStatus::Ok,
                "NVIDIA H100 80GB HBM3, driver 535.104.05, /usr/lib64/libcuda.so.1",
            ),
            (vec![("dev/dxg", ""), LIBRARY], CheckStatus::Ok, "1 × NVIDIA device, /usr/lib64/libcuda.so.1"),
        ] {
            let check = cuda_on(&files);
            assert_eq!(check.status, status, "{check:?}");
            assert!(check.found.contains(says), "{says}: {check:?}");
            assert_eq!(check.remedy.is_some(), status != CheckStatus::Ok);
        }
    }

    #[test]
    fn other_makers_and_other_functions_are_no_gpu() {
        let audio = [("sys/bus/pci/devices/a/vendor", "0x10de"), ("sys/bus/pci/devices/a/class", "0x040300")];
        let other = [("sys/bus/pci/devices/a/vendor", "0x1002"), ("sys/bus/pci/devices/a/class", "0x030000")];
        for files in [audio, other] {
            assert!(cuda_on(&files).found.starts_with("no NVIDIA device"));
        }
    }

    #[test]
    fn libraries_are_missed_loudly_only_with_a_gpu() {
        let (_tree, host) = tree(&[("usr/lib/libcublasLt.so.12", "")]);
        let found = checks(&host, None);
        let by_name = |name: &str| found.iter().find(|check| check.name == name).unwrap();
        assert_eq!(by_name("cuBLASLt").status, CheckStatus::Ok);
        assert_eq!(by_name("cuBLASLt").found, "/usr/lib/libcublasLt.so.12");
        assert!(by_name("NVML").remedy.as_deref().unwrap().contains("without a GPU"));
        let (_tree, host) = tree(&NODES);
        let found = checks(&host, None);
        let nvml = found.iter().find(|check| check.name == "NVML").unwrap();
        assert!(nvml.found.contains("no telemetry"), "{nvml:?}");
    }

    #[test]
    fn vector_instructions_make_the_host_device() {
        for (flags, status, says) in [
            ("fpu avx2 avx512f", CheckStatus::Ok, "AVX-512"),
            ("fpu avx2 avx512fx", CheckStatus::Ok, "AVX2"),
            ("fpu sse2", CheckStatus::Limited, "no wide vector instructions"),
        ] {
            let text = format!("model name: Some CPU\nflags: {flags}\n");
            let (_tree, host) =
                tree(&[("proc/cpuinfo", &text), ("proc/self/status", "Cpus_allowed_list:\t0-3\n")]);
            let check = host_device(&host);
            assert_eq!(check.status, status, "{check:?}");
            assert!(check.found.starts_with("Some CPU, ") && check.found.contains(says), "{check:?}");
        }
    }
}
