//! The bytes of a synthetic model: any range of any file, from the seed alone.

use std::collections::HashMap;

use coldstart_kernels::checksum::pattern;
use half::bf16;

use super::plan::{PlannedFile, PlannedTensor};

/// The seed of all synthetic models; a part of their version.
pub(super) const SEED: u64 = 0x00C0_1D57_A127;

/// Values that a table of quantiles holds: 8 KiB as bf16, which fits into the first cache.
const QUANTILES: usize = 4096;

/// Tables of values by their deviation's bits: shared by the tensors of a model.
#[derive(Debug, Default)]
pub(super) struct Tables(HashMap<u32, Vec<u16>>);

impl Tables {
    /// The tables that `file` needs.
    pub(super) fn of(file: &PlannedFile) -> Tables {
        let deviations = file.tensors.iter().filter_map(|tensor| tensor.deviation);
        Tables(deviations.map(|deviation| (deviation.to_bits(), quantiles(deviation))).collect())
    }

    /// Write the bytes of `file` from `begin` on into `target`; both are multiples of 8 except at the file's end.
    pub(super) fn fill(&self, file: &PlannedFile, begin: u64, target: &mut [u8]) {
        let end = begin + target.len() as u64;
        let header = file.header.get(begin as usize..).unwrap_or_default();
        let header = &header[..header.len().min(target.len())];
        target[..header.len()].copy_from_slice(header);
        let first = file.tensors.partition_point(|tensor| tensor.begin + tensor.bytes <= begin);
        for tensor in &file.tensors[first..] {
            if tensor.begin >= end {
                break;
            }
            let (from, to) = (tensor.begin.max(begin), (tensor.begin + tensor.bytes).min(end));
            let part = &mut target[(from - begin) as usize..(to - begin) as usize];
            self.fill_tensor(tensor, from - tensor.begin, part);
        }
    }

    /// Write the bytes of one tensor from its byte `skip` (a multiple of 8) on.
    fn fill_tensor(&self, tensor: &PlannedTensor, skip: u64, target: &mut [u8]) {
        let table = tensor.deviation.and_then(|deviation| self.0.get(&deviation.to_bits()));
        let Some(table) = table.and_then(|table| <&[u16; QUANTILES]>::try_from(table.as_slice()).ok()) else {
            let one = bf16::ONE.to_bits().to_le_bytes();
            target.as_chunks_mut::<2>().0.fill(one);
            return;
        };
        let seed = pattern(SEED, tensor.number);
        for (word, index) in target.as_chunks_mut::<8>().0.iter_mut().zip(skip / 8..) {
            let random = pattern(seed, index);
            let value =
                |lane: u32| u64::from(table[(random >> (16 * lane)) as usize % QUANTILES]) << (16 * lane);
            *word = (value(0) | value(1) | value(2) | value(3)).to_le_bytes();
        }
    }
}

/// Quantiles of the logistic distribution with this deviation, at the middle of equal shares: bell-shaped, in closed form,
/// and never beyond 5 deviations. Its quantile function is s·ln(p/(1−p)) with s = deviation·√3/π.
fn quantiles(deviation: f32) -> Vec<u16> {
    let scale = f64::from(deviation) * 3f64.sqrt() / std::f64::consts::PI;
    (0..QUANTILES)
        .map(|at| {
            let share = (at as f64 + 0.5) / QUANTILES as f64;
            bf16::from_f64(scale * (share / (1.0 - share)).ln()).to_bits()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::plan::Plan;
    use super::super::size::SyntheticSize;
    use super::*;

    #[test]
    fn any_cut_gives_the_same_bytes() {
        let plan = Plan::of(SyntheticSize::Tiny);
        let file = &plan.files[0];
        let tables = Tables::of(file);
        let mut whole = vec![0; file.size as usize];
        tables.fill(file, 0, &mut whole);
        for cut in [8usize, 4096, 65_536] {
            for begin in [0, 4096 - 8, 4096, 300_000, file.size as usize - cut] {
                let begin = begin / 8 * 8;
                let mut part = vec![0; cut.min(whole.len() - begin)];
                tables.fill(file, begin as u64, &mut part);
                assert!(part == whole[begin..begin + part.len()], "{cut} at {begin}");
            }
        }
    }

    #[test]
    fn values_have_their_deviation_and_norms_are_ones() {
        let plan = Plan::of(SyntheticSize::Tiny);
        let file = &plan.files[0];
        let mut whole = vec![0; file.size as usize];
        Tables::of(file).fill(file, 0, &mut whole);
        for tensor in &file.tensors {
            let bytes = &whole[tensor.begin as usize..(tensor.begin + tensor.bytes) as usize];
            let values: Vec<f64> =
                bytes.as_chunks::<2>().0.iter().map(|bytes| bf16::from_le_bytes(*bytes).to_f64()).collect();
            let Some(deviation) = tensor.deviation.map(f64::from) else {
                assert!(values.iter().all(|value| *value == 1.0), "{}", tensor.name);
                continue;
            };
            let n = values.len() as f64;
            let mean = values.iter().sum::<f64>() / n;
            let found = (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / n).sqrt();
            assert!((found / deviation - 1.0).abs() < 0.04, "{}: {found} for {deviation}", tensor.name);
            assert!(
                mean.abs() < 4.0 * deviation / n.sqrt() + 0.01 * deviation,
                "{}: mean {mean}",
                tensor.name
            );
            assert!(values.iter().all(|value| value.abs() <= 5.0 * deviation), "{}", tensor.name);
        }
        // No two tensors hold the same values.
        let of = |at: usize| &whole[file.tensors[at].begin as usize..][..256];
        assert_ne!(of(2), of(3));
    }
}
