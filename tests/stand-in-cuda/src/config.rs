//! What the stand-in is told by its environment. README.md has the list.

use std::env;
use std::path::PathBuf;
use std::str::FromStr;

/// How this driver and its devices are.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) devices: usize,
    pub(crate) name: String,
    pub(crate) capability: (i32, i32),
    pub(crate) driver_version: i32,
    pub(crate) memory_bytes: u64,
    pub(crate) multiprocessors: i32,
    /// Whether memory can be registered for reading only.
    pub(crate) read_only_register: bool,
    pub(crate) ecc: bool,
    /// Whether a device is a slice of one (MIG).
    pub(crate) mig: bool,
    /// `CU_COMPUTEMODE`: 0 default, 2 prohibited, 3 exclusive process.
    pub(crate) compute_mode: i32,
    pub(crate) init_ms: u64,
    pub(crate) context_ms: u64,
    pub(crate) jit_us_per_kernel: u64,
    pub(crate) pinned_gbps: f64,
    pub(crate) pageable_gbps: f64,
    pub(crate) device_gbps: f64,
    pub(crate) seed: u64,
    pub(crate) threads: u32,
    pub(crate) deadline_ms: u32,
    /// Whether unordered accesses are looked for.
    pub(crate) races: bool,
    /// Libraries with kernels; empty = the one beside the driver.
    pub(crate) kernels: Vec<PathBuf>,
    pub(crate) faults: String,
    /// What the log of a rejected PTX says.
    pub(crate) jit_log: String,
}

const PREFIX: &str = "COLDSTART_STAND_IN_";

fn value<T: FromStr>(name: &str, default: T) -> T {
    let full = format!("{PREFIX}{name}");
    match env::var(&full) {
        Ok(text) => text.trim().parse().unwrap_or_else(|_| {
            eprintln!("stand-in: {full}={text} is not understood");
            default
        }),
        Err(_) => default,
    }
}

impl Config {
    /// As the environment says.
    pub(crate) fn from_env() -> Config {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let capability: f64 = value("CAPABILITY", 9.0);
        let tenths = (capability * 10.0).round() as i32;
        Config {
            devices: value("DEVICES", 1),
            name: value("NAME", "coldstart stand-in".to_owned()),
            capability: (tenths / 10, tenths % 10),
            driver_version: value("DRIVER_VERSION", 12040),
            memory_bytes: value::<u64>("MEMORY_MB", 8192) << 20,
            multiprocessors: value("MULTIPROCESSORS", 4),
            read_only_register: value("READ_ONLY_REGISTER", 1) != 0,
            ecc: value("ECC", 1) != 0,
            mig: value("MIG", 0) != 0,
            compute_mode: value("COMPUTE_MODE", 0),
            init_ms: value("INIT_MS", 5),
            context_ms: value("CONTEXT_MS", 20),
            jit_us_per_kernel: value("JIT_US_PER_KERNEL", 500),
            pinned_gbps: value("PINNED_GBPS", 25.0),
            pageable_gbps: value("PAGEABLE_GBPS", 6.0),
            device_gbps: value("DEVICE_GBPS", 1000.0),
            seed: value("SEED", 1),
            threads: value("THREADS", cores.min(4) as u32).max(1),
            deadline_ms: value("DEADLINE_MS", 30_000),
            races: value("RACES", 1) != 0,
            kernels: env::var_os("COLDSTART_STAND_IN_KERNELS")
                .map(|list| env::split_paths(&list).collect())
                .unwrap_or_default(),
            faults: value("FAULT", String::new()),
            jit_log: value("JIT_LOG", "ptxas fatal   : Unresolved extern function 'stand_in'".to_owned()),
        }
    }

    /// Shared memory that a block can have where the function asks for it, in bytes.
    pub(crate) fn shared_optin(&self) -> i32 {
        match self.capability {
            (8, 0) | (8, 7) => 166_912,
            (8, _) | (12, _) => 101_376,
            (major, _) if major >= 9 => 232_448,
            _ => 65_536,
        }
    }
}
