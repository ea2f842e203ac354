//! Refusing a model that does not fit, before anything is allocated.

use coldstart_profiles::Bytes;

use super::error::WeightsError;
use crate::host::Host;

/// How much host memory can be taken, and what bounds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Available {
    /// The bytes.
    pub bytes: Bytes,
    /// What bounds them, such as `MemAvailable of the host`.
    pub bound_by: &'static str,
}

/// Refuse what does not fit. `needed` and `available` count the same memory.
pub fn check_fits(what: &'static str, needed: Bytes, available: Available) -> Result<(), WeightsError> {
    if needed <= available.bytes {
        return Ok(());
    }
    Err(WeightsError::TooLarge { what, needed, available: available.bytes, bound_by: available.bound_by })
}

/// The host memory that this process can still take: `MemAvailable`, or less where its control groups leave less.
/// Where the kernel shows neither, nothing bounds it.
pub fn available_host_memory() -> Available {
    let unbounded = Available { bytes: Bytes::new(u64::MAX), bound_by: "nothing that the kernel shows" };
    Host::here().available_memory().map_or(unbounded, |available| Available {
        bytes: available.bytes,
        bound_by: if available.bound_by_cgroup {
            "the memory limit of the cgroup"
        } else {
            "MemAvailable of the host"
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn too_large_names_both_sizes() {
        let available = Available { bytes: Bytes::new(4 * GIB), bound_by: "the memory limit of the cgroup" };
        assert!(check_fits("weights", Bytes::new(4 * GIB), available).is_ok());
        let error = check_fits("weights", Bytes::new(16 * GIB), available).unwrap_err().to_string();
        for part in ["16.0 GiB", "4.00 GiB", "cgroup", "smaller model"] {
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn this_machine_has_some() {
        assert!(available_host_memory().bytes > Bytes::from_mib(64));
    }
}
