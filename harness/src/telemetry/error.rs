//! Why NVML says nothing.

use nvml_wrapper::error::NvmlError;

/// Why there is no telemetry. Messages complete "failed to …".
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// There is no library, or it is none.
    #[error("open NVML: {why}: {INSTALL}")]
    Library {
        /// What the loader said.
        why: String,
    },
    /// The library is there and does not want to begin.
    #[error("begin with NVML: {source}{}", tail(.source))]
    Init {
        /// What it said.
        source: NvmlError,
    },
    /// It does not know the GPU.
    #[error("find {gpu} in NVML: {source}{}", tail(.source))]
    NotFound {
        /// The GPU.
        gpu: String,
        /// What it said.
        source: NvmlError,
    },
    /// Nothing tells which GPU is meant.
    #[error("find the GPU in NVML: its driver tells neither its place on the bus nor its UUID")]
    Nameless,
    /// The sampling thread could not be started.
    #[error("start a thread that samples: {0}")]
    Thread(std::io::Error),
    /// The sampling thread does not answer.
    #[error("sample the GPU: NVML has not answered for {seconds} s")]
    Silent {
        /// How long it was waited for.
        seconds: u64,
    },
}

/// What helps, where something is known to.
const fn remedy(source: &NvmlError) -> Option<&'static str> {
    Some(match source {
        NvmlError::DriverNotLoaded => "load the kernel driver with `modprobe nvidia`",
        NvmlError::NoPermission => "give this user access to /dev/nvidiactl and /dev/nvidia*",
        NvmlError::LibRmVersionMismatch => {
            "the library is not of the loaded kernel driver: restart the machine after an update of the driver"
        }
        NvmlError::GpuLost | NvmlError::ResetRequired => "reset the GPU, or restart the machine",
        _ => return None,
    })
}

/// The remedy behind a colon.
fn tail(source: &NvmlError) -> String {
    remedy(source).map(|remedy| format!(": {remedy}")).unwrap_or_default()
}

const INSTALL: &str = "install the driver's user-space libraries, in a container through the NVIDIA Container Toolkit with NVIDIA_DRIVER_CAPABILITIES=compute,utility";

impl TelemetryError {
    /// What helps, where something is known to. Messages end in it.
    pub const fn remedy(&self) -> Option<&'static str> {
        match self {
            TelemetryError::Library { .. } => Some(INSTALL),
            TelemetryError::Init { source } | TelemetryError::NotFound { source, .. } => remedy(source),
            TelemetryError::Nameless | TelemetryError::Thread(_) | TelemetryError::Silent { .. } => None,
        }
    }

    pub(super) fn init(source: NvmlError) -> Self {
        match source {
            NvmlError::LibloadingError(error) => TelemetryError::Library { why: error.to_string() },
            NvmlError::FailedToLoadSymbol(why) => TelemetryError::Library { why },
            source => TelemetryError::Init { source },
        }
    }
}
