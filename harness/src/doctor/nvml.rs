//! Whether the GPU's management library can be asked for telemetry.

use coldstart_profiles::{Check, GpuFacts};

use super::devices::{AREA, library};
use super::loader::Loader;
use crate::host::Host;
use crate::telemetry::{Library, TelemetryError, survey};

const NAME: &str = "NVML";
const FILES: [&str; 1] = ["libnvidia-ml.so.1"];

/// Opens NVML, asks every GPU once, and closes it: what a GPU does not tell is found out by asking.
pub(super) fn check(host: &Host, loader: &Loader<'_>, needed: bool) -> Check {
    let Some(path) = loader.find(&FILES) else {
        return library(
            NAME,
            &FILES,
            loader,
            needed,
            "telemetry (memory, power, clocks)",
            "the NVIDIA driver",
        );
    };
    let found = path.display();
    match survey(&Library::File(host.path(&path).into_os_string())) {
        Ok(gpus) if gpus.is_empty() => AREA.missing(
            NAME,
            format!("{found}, but it shows no GPU"),
            "start the container with `--gpus all`",
        ),
        Ok(gpus) => match gaps(&gpus) {
            None => AREA
                .ok(NAME, format!("{found}: power, energy, clocks, use and PCIe link of {}", names(&gpus))),
            Some(gaps) => AREA
                .bounded(NAME, format!("{found}: telemetry of {}, which does not tell {gaps}", names(&gpus))),
        },
        Err(error) => {
            let (what, remedy) = reason(&error);
            AREA.missing(NAME, format!("{found}, but failed to {what}"), remedy)
        }
    }
}

fn names(gpus: &[GpuFacts]) -> String {
    let name = |gpu: &GpuFacts| gpu.name.clone().unwrap_or_else(|| "a GPU without a name".to_owned());
    gpus.iter().map(name).collect::<Vec<_>>().join(", ")
}

/// What telemetry rests on and a GPU does not tell, such as its energy; splitting and ECC are not for every GPU.
fn gaps(gpus: &[GpuFacts]) -> Option<String> {
    let optional = ["mig_mode", "ecc_enabled", "ecc_errors"];
    let mut gaps: Vec<String> = (gpus.iter().flat_map(|gpu| &gpu.unread))
        .filter(|unread| !optional.contains(&unread.what.as_str()))
        .map(|unread| format!("{} ({})", unread.what, unread.why))
        .collect();
    gaps.sort_unstable();
    gaps.dedup();
    (!gaps.is_empty()).then(|| gaps.join(", "))
}

/// The message, and the remedy that it ends in.
fn reason(error: &TelemetryError) -> (String, String) {
    let (text, remedy) = (error.to_string(), error.remedy().unwrap_or("look into the kernel's log for NVRM"));
    let what = text.strip_suffix(remedy).and_then(|what| what.strip_suffix(": ")).unwrap_or(&text);
    (what.to_owned(), remedy.to_owned())
}

#[cfg(test)]
mod tests {
    use coldstart_profiles::CheckStatus;
    use coldstart_stand_in_nvml::install;

    use super::*;
    use crate::host::tree::tree;

    fn checked(settings: &str) -> Check {
        let (root, host) = tree(&[("usr/lib/empty", "")]);
        install(&root.path().join("usr/lib"), settings).unwrap();
        check(&host, &Loader::new(&host, None), true)
    }

    #[test]
    fn what_a_gpu_tells_is_found_out_by_asking() {
        for (settings, status, says) in [
            ("devices=2", CheckStatus::Ok, "PCIe link of coldstart stand-in, coldstart stand-in"),
            ("fail=nvmlDeviceGetMigMode:3", CheckStatus::Ok, "/usr/lib/libnvidia-ml.so.1"),
            (
                "fail=nvmlDeviceGetTotalEnergyConsumption:3",
                CheckStatus::Limited,
                "does not tell energy_mj (the req",
            ),
            ("devices=0", CheckStatus::Missing, "shows no GPU"),
            ("fail=nvmlInit_v2:4", CheckStatus::Missing, "but failed to begin with NVML: the current user"),
            ("fail=nvmlInit_v2:9", CheckStatus::Missing, "NVIDIA driver is not loaded"),
            ("fail=nvmlDeviceGetHandleByIndex_v2:15", CheckStatus::Missing, "find GPU 0 in NVML"),
        ] {
            let check = checked(settings);
            assert_eq!(check.status, status, "{check:?}");
            assert!(check.found.contains(says), "{says}: {check:?}");
            assert_eq!(check.remedy.is_some(), status == CheckStatus::Missing, "{check:?}");
        }
    }

    #[test]
    fn a_file_that_is_no_library_is_told() {
        let (_root, host) = tree(&[("usr/lib/libnvidia-ml.so.1", "")]);
        let check = check(&host, &Loader::new(&host, None), true);
        assert_eq!(check.status, CheckStatus::Missing);
        assert!(check.found.contains("failed to open NVML"), "{check:?}");
        assert!(check.remedy.unwrap().contains("NVIDIA Container Toolkit"));
    }
}
