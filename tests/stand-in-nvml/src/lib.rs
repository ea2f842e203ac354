//! Plays the part of libnvidia-ml.so.1 in tests: GPUs that answer as they are told to, and fail when they are told to.
//!
//! Built as a library of C functions, the forty or so of NVML that nvml-wrapper calls for telemetry. [`install`] puts it into
//! a directory under the names by which a loader looks for it. Settings are `name=value`, separated by spaces or new lines;
//! they are read from the file `stand-in-nvml` beside the library, and from the environment variable
//! `COLDSTART_STAND_IN_NVML`, which counts for more:
//!
//! | setting | says | default |
//! |---|---|---|
//! | `devices` | how many GPUs | 1 |
//! | `power_mw` | power, which the energy counter follows | 250000 |
//! | `sm_clock_mhz`, `memory_clock_mhz` | clocks | 1980, 2619 |
//! | `gpu_percent`, `memory_percent` | use | 97, 41 |
//! | `temperature_c` | temperature | 54 |
//! | `clock_events` | bits of the clock events while nothing throttles | 0 |
//! | `throttle`, `throttle_from` | bits of clock events, from which query of them on (counted from 0) | 64, never |
//! | `pcie`, `pcie_max` | generation x lanes of the link now and at best | 5x16, 5x16 |
//! | `persistence`, `mig`, `ecc` | modes, 0 or 1 | 1, 0, 1 |
//! | `uncorrected_from` | from which query on one uncorrected memory error more is counted each time | never |
//! | `foreign` | a process besides ours | none |
//! | `own` | whether our process is listed: 0 no, 1 yes, 2 under a number of another namespace | where libcuda is loaded |
//! | `init_ms` | how long opening takes | 0 |
//! | `fail` | `function:code`, `function:code:n`: the function answers with the code, from its nth call on | none |

mod exports;
mod settings;
mod state;

use std::path::{Path, PathBuf};

/// The name of the file with settings beside the library.
pub const SETTINGS_FILE: &str = "stand-in-nvml";
/// The environment variable with settings.
pub const SETTINGS_VARIABLE: &str = "COLDSTART_STAND_IN_NVML";
/// The names under which a loader looks for NVML.
pub const LIBRARY_NAMES: [&str; 2] = ["libnvidia-ml.so.1", "libnvidia-ml.so"];

/// Puts the library and its settings into `directory`, and says where it is. Each directory holds a library of its own:
/// what is counted in one is not counted in another.
///
/// # Errors
/// When the library was not built beside the test, or the directory can't be written to.
pub fn install(directory: &Path, settings: &str) -> std::io::Result<PathBuf> {
    let built = std::env::current_exe()?.with_file_name("libcoldstart_stand_in_nvml.so");
    for name in LIBRARY_NAMES {
        std::fs::copy(&built, directory.join(name)).map_err(|error| {
            std::io::Error::new(error.kind(), format!("{} → {name}: {error}", built.display()))
        })?;
    }
    std::fs::write(directory.join(SETTINGS_FILE), settings)?;
    Ok(directory.join(LIBRARY_NAMES[0]))
}

/// The UUID of a GPU, the same as that of the CUDA stand-in: `coldstart-stand` and its number.
pub fn uuid(index: u32) -> String {
    format!("GPU-636f6c64-7374-6172-742d-7374616e64{index:02x}")
}

/// The PCI bus id of a GPU as CUDA writes it.
pub fn pci_bus_id(index: u32) -> String {
    format!("0000:{:02x}:00.0", index + 1)
}
