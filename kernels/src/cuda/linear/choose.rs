//! Which of our own kernels runs a product, on how many blocks: a pure function of the shape, the formats, how operands lie
//! in memory, and the number of multiprocessors.

use super::Key;
use crate::Dtype;

/// Rows of x that the kernels of `gemv.cu` take at most: on tensor cores, and of other formats.
const FEW_ON_TENSOR_CORES: usize = 32;
const FEW: usize = 8;
/// Rows of w in a block of `gemv.cu`: on tensor cores, and in f32.
const W_ROWS: usize = 16;
const W_ROWS_F32: usize = 4;
/// Warps that a multiprocessor should have, so that enough of w is on its way.
const WARPS: usize = 16;

/// Bytes of partial sums that a split of k may take.
const MOST_PARTIALS: usize = 64 << 20;
/// Columns of k that a share must have, at least.
const LEAST_SHARE: usize = 256;
/// What one more launch takes, in seconds, and the rate at which partial sums are written and read again. Together with
/// the rates of [`Tile`] they are those of an H100; that they are right matters less than which is larger.
const LAUNCH: f64 = 2e-6;
const PARTIALS_PER_SECOND: f64 = 2.5e11;
/// Columns of k in a stage, at most.
const DEEPEST: usize = 32;
/// What a block takes beside its columns of k, in columns: filling the stages and writing the result.
const FIXED_COLUMNS: usize = 192;

/// A launch of one of our own kernels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) kernel: &'static str,
    pub(super) parameters: Parameters,
    pub(super) grid: [usize; 3],
    pub(super) threads: u32,
    /// Bytes of dynamic shared memory a block.
    pub(super) shared: usize,
    /// Columns of k that each of `grid[2]` shares sums up; tiles only.
    pub(super) share: usize,
}

impl Plan {
    /// Bytes of partial sums that the shares leave: f32, rows of y padded to fours.
    pub(super) fn partials(&self, key: &Key) -> usize {
        match self.grid[2] {
            1 => 0,
            shares => shares * key.m * key.n.next_multiple_of(4) * 4,
        }
    }

    /// The same in one share.
    pub(super) fn unsplit(self, key: &Key) -> Plan {
        let [blocks, one, _] = self.grid;
        Plan { grid: [blocks, one, 1], share: key.k.next_multiple_of(DEEPEST).max(DEEPEST), ..self }
    }
}

/// The parameters that a kernel has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Parameters {
    /// x, w, bias, y of the kernel's format.
    Few,
    /// The same of any formats.
    FewOfAny,
    /// x, w, y of the kernel's format, and the split of k.
    Tile,
    /// The same with y of any format.
    TileF32,
    /// The same of any formats.
    TileOfAny,
}

/// A kernel that makes `rows × cols` of y a block.
#[derive(Debug, Clone, Copy)]
struct Tile {
    kernel: &'static str,
    parameters: Parameters,
    rows: usize,
    cols: usize,
    threads: u32,
    shared: usize,
    /// Shares of k are multiples of it.
    depth: usize,
    /// Multiply-adds a second of a multiprocessor that has one block, and that has enough of them.
    alone: f64,
    full: f64,
}

/// Multiply-adds a second of a multiprocessor, by `mma` and in f32.
const TENSOR: f64 = 2.2e12;
const F32: f64 = 2.2e11;

impl Tile {
    /// A tile of `gemm.cu`; shared memory holds the stages, and later the result and the bias.
    const fn tensor(kernel: &'static str, [rows, cols]: [usize; 2], stages: usize, rates: [f64; 2]) -> Tile {
        let threads = if rows * cols == 128 * 256 { 256 } else { 128 };
        let (pipeline, result) = (stages * (rows + cols) * 32 * 2, rows * (cols + 8) * 2 + cols * 4);
        let shared = if pipeline > result { pipeline } else { result };
        let (alone, full) = (rates[0] * TENSOR, rates[1] * TENSOR);
        Tile { kernel, parameters: Parameters::Tile, rows, cols, threads, shared, depth: 32, alone, full }
    }

    /// A tile of `gemm_f32.cu`; shared memory holds two stages.
    const fn f32(kernel: &'static str, parameters: Parameters, side: usize, rates: [f64; 2]) -> Tile {
        let (alone, full) = (rates[0] * F32, rates[1] * F32);
        let shared = 2 * 16 * 2 * (side + 4) * 4;
        Tile { kernel, parameters, rows: side, cols: side, threads: 256, shared, depth: 16, alone, full }
    }

    /// How long it takes with k in so many shares, in seconds.
    fn seconds(&self, key: &Key, multiprocessors: usize, shares: usize) -> f64 {
        let blocks = self.blocks(key) * shares;
        let each = blocks.div_ceil(multiprocessors);
        let work = self.rows * self.cols * (self.share(key, shares) + FIXED_COLUMNS);
        let rate = self.full.min(self.alone * each as f64);
        let sums = match shares {
            1 => 0.0,
            _ => LAUNCH + (key.m * key.n * shares) as f64 / PARTIALS_PER_SECOND,
        };
        each as f64 * work as f64 / rate + sums
    }

    fn blocks(&self, key: &Key) -> usize {
        key.m.div_ceil(self.rows) * key.n.div_ceil(self.cols)
    }

    /// Columns of k a share.
    fn share(&self, key: &Key, shares: usize) -> usize {
        key.k.div_ceil(shares).next_multiple_of(self.depth).max(self.depth)
    }

    fn plan(&self, key: &Key, shares: usize) -> Plan {
        let share = self.share(key, shares);
        Plan {
            kernel: self.kernel,
            parameters: self.parameters,
            grid: [self.blocks(key), 1, key.k.div_ceil(share).max(1)],
            threads: self.threads,
            shared: self.shared,
            share,
        }
    }
}

const F16_TILES: [Tile; 3] = [
    Tile::tensor("gemm_128x256_f16", [128, 256], 4, [1.0, 1.0]),
    Tile::tensor("gemm_128x128_f16", [128, 128], 3, [0.65, 0.9]),
    Tile::tensor("gemm_64x64_f16", [64, 64], 4, [0.25, 0.6]),
];
const BF16_TILES: [Tile; 3] = [
    Tile::tensor("gemm_128x256_bf16", [128, 256], 4, [1.0, 1.0]),
    Tile::tensor("gemm_128x128_bf16", [128, 128], 3, [0.65, 0.9]),
    Tile::tensor("gemm_64x64_bf16", [64, 64], 4, [0.25, 0.6]),
];
const F16_UNALIGNED: [Tile; 1] = [Tile::tensor("gemm_unaligned_f16", [64, 64], 4, [0.1, 0.2])];
const BF16_UNALIGNED: [Tile; 1] = [Tile::tensor("gemm_unaligned_bf16", [64, 64], 4, [0.1, 0.2])];
const F32_TILES: [Tile; 2] = [
    Tile::f32("gemm_128x128_f32", Parameters::TileF32, 128, [0.7, 0.85]),
    Tile::f32("gemm_64x64_f32", Parameters::TileF32, 64, [0.35, 0.7]),
];
const ANY_TILES: [Tile; 1] = [Tile::f32("gemm_any", Parameters::TileOfAny, 64, [0.15, 0.3])];

/// How our own kernels run a product.
pub(super) fn plan(key: &Key, multiprocessors: usize) -> Plan {
    let one_format = key.x.dtype == key.w.dtype && key.x.dtype == key.y.dtype;
    let aligned = key.x.aligned(key.m, 16) && key.w.aligned(key.n, 16);
    let tiles: &[Tile] = match key.x.dtype {
        _ if !one_format => &ANY_TILES,
        Dtype::F32 if !aligned => &ANY_TILES,
        Dtype::F32 => &F32_TILES,
        Dtype::F16 if !aligned => &F16_UNALIGNED,
        Dtype::F16 => &F16_TILES,
        Dtype::Bf16 if !aligned => &BF16_UNALIGNED,
        Dtype::Bf16 => &BF16_TILES,
    };
    match key.x.dtype {
        Dtype::F16 | Dtype::Bf16 if one_format && aligned && key.m <= FEW_ON_TENSOR_CORES => {
            few_on_tensor_cores(key, multiprocessors)
        }
        Dtype::F32 if one_format && aligned && key.m <= FEW => few_f32(key, multiprocessors),
        _ if key.m <= FEW && (!one_format || !aligned) => few_of_any(key),
        _ => tile(key, multiprocessors, tiles),
    }
}

/// The tile and the split that should take the least time.
fn tile(key: &Key, multiprocessors: usize, tiles: &[Tile]) -> Plan {
    let fits = |shares: &usize| {
        *shares == 1
            || (key.k / shares >= LEAST_SHARE
                && shares * key.m * key.n.next_multiple_of(4) * 4 <= MOST_PARTIALS)
    };
    let splits = [1, 2, 3, 4, 6, 8, 12, 16];
    let ways =
        tiles.iter().flat_map(|tile| splits.iter().filter(|split| fits(split)).map(move |s| (tile, *s)));
    let best = ways.min_by(|(a, i), (b, j)| {
        a.seconds(key, multiprocessors, *i).total_cmp(&b.seconds(key, multiprocessors, *j))
    });
    let (tile, shares) = best.unwrap_or((&ANY_TILES[0], 1));
    tile.plan(key, shares)
}

/// Warps a block: more where there are few blocks, and not more than `steps`, which they share.
fn warps(blocks: usize, multiprocessors: usize, steps: usize) -> usize {
    let wanted = (WARPS * multiprocessors).div_ceil(blocks).clamp(4, 16).next_power_of_two();
    wanted.min(steps.max(1).next_power_of_two())
}

fn few_on_tensor_cores(key: &Key, multiprocessors: usize) -> Plan {
    let names = match key.x.dtype {
        Dtype::F16 => ["gemv_8_f16", "gemv_16_f16", "gemv_32_f16"],
        _ => ["gemv_8_bf16", "gemv_16_bf16", "gemv_32_bf16"],
    };
    let (kernel, rows, step) = match key.m {
        ..=8 => (names[0], 8, 128),
        9..=16 => (names[1], 16, 128),
        _ => (names[2], 32, 64),
    };
    let blocks = key.n.div_ceil(W_ROWS);
    let warps = warps(blocks, multiprocessors, key.k.div_ceil(step));
    Plan {
        kernel,
        parameters: Parameters::Few,
        grid: [blocks, 1, 1],
        threads: 32 * warps as u32,
        shared: warps * rows * (W_ROWS + 4) * 4,
        share: 0,
    }
}

fn few_f32(key: &Key, multiprocessors: usize) -> Plan {
    let (kernel, rows, step) = match key.m {
        1 => ("gemv_1_f32", 1, 256),
        2..=4 => ("gemv_4_f32", 4, 256),
        _ => ("gemv_8_f32", 8, 128),
    };
    let blocks = key.n.div_ceil(W_ROWS_F32);
    let warps = warps(blocks, multiprocessors, key.k.div_ceil(step));
    Plan {
        kernel,
        parameters: Parameters::Few,
        grid: [blocks, 1, 1],
        threads: 32 * warps as u32,
        shared: warps * rows * W_ROWS_F32 * 4,
        share: 0,
    }
}

fn few_of_any(key: &Key) -> Plan {
    Plan {
        kernel: "gemv_any",
        parameters: Parameters::FewOfAny,
        grid: [key.n.div_ceil(4), 1, 1],
        threads: 128,
        shared: 0,
        share: 0,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::super::Operand;
    use super::*;
    use crate::cuda::ptx;

    const H100: usize = 132;

    fn key(m: usize, n: usize, k: usize, dtypes: [Dtype; 3]) -> Key {
        let [x, w, y] = dtypes.map(|dtype| Operand { dtype, stride: 0, alignment: 256 });
        let [x, w, y] = [Operand { stride: k, ..x }, Operand { stride: k, ..w }, Operand { stride: n, ..y }];
        Key { m, n, k, x, w, y, bias: None, only: None }
    }

    fn kernel(m: usize, n: usize, k: usize, dtype: Dtype) -> &'static str {
        plan(&key(m, n, k, [dtype; 3]), H100).kernel
    }

    #[test]
    fn shapes_of_a_model_get_the_kernels_that_are_made_for_them() {
        for (m, kernel_expected) in [
            (1, "gemv_8_bf16"),
            (8, "gemv_8_bf16"),
            (9, "gemv_16_bf16"),
            (32, "gemv_32_bf16"),
            (64, "gemm_64x64_bf16"),
            (2048, "gemm_128x256_bf16"),
        ] {
            assert_eq!(kernel(m, 4096, 4096, Dtype::Bf16), kernel_expected, "m = {m}");
        }
        assert_eq!(kernel(1, 4096, 4096, Dtype::F32), "gemv_1_f32");
        assert_eq!(kernel(3, 4096, 4096, Dtype::F32), "gemv_4_f32");
        assert_eq!(kernel(7, 4096, 4096, Dtype::F32), "gemv_8_f32");
        assert_eq!(kernel(100, 384, 384, Dtype::F32), "gemm_64x64_f32");
        assert_eq!(kernel(4096, 4096, 4096, Dtype::F32), "gemm_128x128_f32");
        let [x, w] = [Dtype::Bf16, Dtype::F32];
        assert_eq!(plan(&key(1, 64, 64, [x, w, x]), H100).kernel, "gemv_any");
        assert_eq!(plan(&key(9, 64, 64, [x, w, x]), H100).kernel, "gemm_any");
        assert_eq!(plan(&key(9, 64, 64, [x, x, w]), H100).kernel, "gemm_any");
    }

    #[test]
    fn rows_that_are_not_aligned_go_where_they_may_be() {
        assert_eq!(kernel(1, 10, 33, Dtype::F16), "gemv_any");
        assert_eq!(kernel(9, 10, 33, Dtype::F16), "gemm_unaligned_f16");
        assert_eq!(kernel(9, 10, 33, Dtype::F32), "gemm_any");
        // A stride makes up for it.
        let mut strided = key(9, 10, 33, [Dtype::F16; 3]);
        (strided.x.stride, strided.w.stride) = (40, 48);
        assert_eq!(plan(&strided, H100).kernel, "gemv_16_f16");
        strided.w.alignment = 8;
        assert_eq!(plan(&strided, H100).kernel, "gemm_unaligned_f16");
    }

    #[test]
    fn deep_sums_of_small_results_are_split_and_large_results_are_not() {
        let deep = plan(&key(64, 1024, 14336, [Dtype::F16; 3]), H100);
        assert!(deep.grid[2] > 1 && deep.grid[0] * deep.grid[2] >= H100, "{deep:?}");
        assert_eq!(plan(&key(4096, 4096, 14336, [Dtype::F16; 3]), H100).grid[2], 1);
        assert_eq!(plan(&key(64, 1024, 256, [Dtype::F16; 3]), H100).grid[2], 1);
    }

    #[test]
    fn sums_of_nothing_have_one_empty_share() {
        for dtypes in [[Dtype::F16; 3], [Dtype::F32; 3], [Dtype::F32, Dtype::F16, Dtype::F32]] {
            for m in [1, 9, 40] {
                let plan = plan(&key(m, 10, 0, dtypes), H100);
                assert_eq!(plan.grid[2], 1, "{plan:?}");
            }
        }
    }

    #[test]
    fn few_rows_have_the_warps_that_the_memory_needs() {
        for (n, k, warps_expected) in [(4096, 4096, 16), (128_256, 4096, 4), (8192, 4096, 8), (4096, 128, 1)]
        {
            let plan = plan(&key(1, n, k, [Dtype::Bf16; 3]), H100);
            assert_eq!(plan.threads / 32, warps_expected, "{n} × {k}: {plan:?}");
        }
    }

    #[test]
    fn every_kernel_that_is_chosen_exists() {
        let exist: BTreeSet<&str> = ptx::ALL.iter().flat_map(ptx::Source::kernels).collect();
        let tiles = [&F16_TILES[..], &BF16_TILES, &F16_UNALIGNED, &BF16_UNALIGNED, &F32_TILES, &ANY_TILES];
        let mut chosen: BTreeSet<&str> = tiles.into_iter().flatten().map(|tile| tile.kernel).collect();
        for dtype in Dtype::ALL {
            chosen.extend([1, 3, 8, 12, 20].map(|m| kernel(m, 8, 8, dtype)));
        }
        let missing: Vec<_> = chosen.difference(&exist).collect();
        assert!(missing.is_empty(), "{missing:?}");
        assert!(chosen.len() >= 19, "{chosen:?}");
    }

    proptest! {
        /// Blocks cover y, shares cover k, and the memory that is asked for is there on every GPU.
        #[test]
        fn plans_cover_the_product(
            m in 1_usize..5000, n in 1_usize..40_000, k in 0_usize..20_000,
            dtypes in [0_usize..3, 0..3, 0..3], alignment in 1_u32..9, count in 1_usize..200,
        ) {
            let mut key = key(m, n, k, dtypes.map(|at| Dtype::ALL[at]));
            key.w.alignment = 1 << alignment;
            let plan = plan(&key, count);
            let [blocks, one, shares] = plan.grid;
            prop_assert!(one == 1 && blocks > 0 && plan.threads.is_multiple_of(32));
            prop_assert!(plan.shared <= 99 << 10, "{:?}", plan);
            match plan.parameters {
                Parameters::Few | Parameters::FewOfAny => {
                    let rows = if plan.kernel.ends_with("16") && plan.kernel.starts_with("gemv") { 16 } else { 4 };
                    prop_assert!(shares == 1 && blocks == n.div_ceil(rows));
                    prop_assert!(m <= 32);
                }
                _ => {
                    prop_assert!(shares * plan.share >= k);
                    prop_assert!(shares == 1 || (shares - 1) * plan.share < k, "an empty share: {:?}", plan);
                    prop_assert!(plan.share.is_multiple_of(16));
                    prop_assert!(shares == 1 || shares * m * n.next_multiple_of(4) * 4 <= MOST_PARTIALS);
                }
            }
        }
    }
}
