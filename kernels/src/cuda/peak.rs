//! What a GPU could multiply at most, from its multiprocessors and clock.

use super::facts::Facts;
use crate::Dtype;

/// The peak rate of matrix products: multiprocessors × clock × operations a cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peak {
    /// Floating-point operations a second; a multiply-add is two.
    pub flop_per_s: u64,
    /// Multiprocessors.
    pub multiprocessors: usize,
    /// Their highest clock, in Hz. Under load a GPU runs below it, and data sheets count tensor cores at a lower one: an H100
    /// has 1.98 GHz, its sheet's 989 TFLOP/s are at 1.83 GHz.
    pub clock_hz: u64,
    /// Operations of one multiprocessor in a cycle: dense (without sparsity), sums in f32, on tensor cores for 16-bit formats.
    pub flop_per_cycle: u32,
}

/// The peak of products of `dtype` on a GPU of that name and those facts, or why it is not known.
///
/// Operations a cycle follow from NVIDIA's architecture white papers and data sheets (A100, H100, GA10x, Ada, Blackwell): the
/// rate that they state, divided by multiprocessors and boost clock. In f32 it is two for each CUDA core. GeForce GPUs
/// multiply 16-bit numbers at half the rate of their professional siblings when sums are in f32.
pub fn peak(name: &str, facts: &Facts, dtype: Dtype) -> Result<Peak, String> {
    let (major, minor) = facts.capability;
    let halved = if name.contains("GeForce") { 2 } else { 1 };
    let [f32, f16] = match (major, minor) {
        (8, 0) => [128, 2048],
        (8, 6 | 9) | (12, 0) => [256, 1024 / halved],
        (9, 0) => [256, 4096],
        (10, 0) => [256, 8192],
        _ => {
            return Err(format!(
                "operations a cycle of compute capability {major}.{minor} are not known here"
            ));
        }
    };
    let flop_per_cycle = if dtype == Dtype::F32 { f32 } else { f16 };
    let Some(clock_hz) = facts.clock_hz else {
        return Err("the driver does not say what the clock is".to_owned());
    };
    let flop_per_s = clock_hz * facts.multiprocessors as u64 * u64::from(flop_per_cycle);
    Ok(Peak { flop_per_s, multiprocessors: facts.multiprocessors, clock_hz, flop_per_cycle })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(capability: (u32, u32), multiprocessors: usize, mhz: Option<u64>) -> Facts {
        Facts {
            capability,
            multiprocessors,
            clock_hz: mhz.map(|mhz| mhz * 1_000_000),
            memory_clock_hz: None,
            memory_bus_bits: None,
            l2_bytes: 0,
            shared_bytes_per_block: 0,
            pci: (0, 0, 0),
        }
    }

    /// What data sheets say, in TFLOP/s, at the clock that they say it for.
    #[test]
    fn peaks_are_those_of_the_data_sheets() {
        for (name, capability, multiprocessors, mhz, f16, f32) in [
            ("NVIDIA A100-SXM4-80GB", (8, 0), 108, 1410, 312.0, 19.5),
            ("NVIDIA RTX A6000", (8, 6), 84, 1800, 154.8, 38.7),
            ("NVIDIA GeForce RTX 3090", (8, 6), 82, 1695, 71.2, 35.6),
            ("NVIDIA GeForce RTX 4090", (8, 9), 128, 2520, 165.2, 82.6),
            ("NVIDIA L40S", (8, 9), 142, 2520, 366.0, 91.6),
            ("NVIDIA H100 80GB HBM3", (9, 0), 132, 1830, 989.4, 61.8),
            ("NVIDIA B200", (10, 0), 148, 1860, 2250.0, 70.5),
            ("NVIDIA GeForce RTX 5090", (12, 0), 170, 2407, 209.5, 104.8),
        ] {
            let facts = facts(capability, multiprocessors, Some(mhz));
            for (dtype, expected) in [(Dtype::F16, f16), (Dtype::Bf16, f16), (Dtype::F32, f32)] {
                let peak = peak(name, &facts, dtype).unwrap();
                let found = peak.flop_per_s as f64 / 1e12;
                assert!((found / expected - 1.0).abs() < 0.005, "{name} {dtype}: {found}, {expected}");
            }
        }
    }

    #[test]
    fn what_is_not_known_is_said() {
        let unknown = peak("x", &facts((13, 0), 1, Some(1000)), Dtype::F16).unwrap_err();
        assert!(unknown.contains("13.0"), "{unknown}");
        let silent = peak("x", &facts((9, 0), 1, None), Dtype::F16).unwrap_err();
        assert!(silent.contains("clock"), "{silent}");
    }
}
