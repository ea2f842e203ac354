//! What a GPU could multiply at most in a cycle.

use crate::Dtype;

/// Floating-point operations of one multiprocessor in a cycle for products of `dtype`, a multiply-add being two: dense (without
/// sparsity), with sums in f32, on tensor cores for 16-bit formats. `None` where they are not known for this compute
/// capability. `name` is what the driver calls the GPU.
///
/// Times multiprocessors and clock it is the peak of a data sheet; the clock that a driver names is the highest, and data
/// sheets count tensor cores at a lower one: an H100 has 1.98 GHz, its sheet's 989 TFLOP/s are at 1.83 GHz.
///
/// They follow from NVIDIA's architecture white papers and data sheets (A100, H100, GA10x, Ada, Blackwell): the rate that they
/// state, divided by multiprocessors and boost clock. In f32 it is two for each CUDA core. GeForce GPUs multiply 16-bit
/// numbers at half the rate of their professional siblings when sums are in f32.
pub fn flop_per_cycle(name: &str, capability: (u32, u32), dtype: Dtype) -> Option<u32> {
    let halved = if name.contains("GeForce") { 2 } else { 1 };
    let [f32, f16] = match capability {
        (8, 0) => [128, 2048],
        (8, 6 | 9) | (12, 0) => [256, 1024 / halved],
        (9, 0) => [256, 4096],
        (10, 0 | 3) => [256, 8192],
        _ => return None,
    };
    Some(if dtype == Dtype::F32 { f32 } else { f16 })
}

#[cfg(test)]
mod tests {
    use super::*;

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
            for (dtype, expected) in [(Dtype::F16, f16), (Dtype::Bf16, f16), (Dtype::F32, f32)] {
                let operations = f64::from(flop_per_cycle(name, capability, dtype).unwrap());
                let found = operations * f64::from(multiprocessors) * f64::from(mhz) / 1e6;
                assert!((found / expected - 1.0).abs() < 0.005, "{name} {dtype}: {found}, {expected}");
            }
        }
    }

    #[test]
    fn what_is_not_known_is_none() {
        assert_eq!(flop_per_cycle("x", (13, 0), Dtype::F16), None);
    }
}
