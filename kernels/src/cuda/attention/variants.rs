//! The kernels that there are: once a format and a largest head dimension.

use crate::{Dtype, Error, Result};

/// A kernel of many rows a sequence.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rows {
    /// The largest head dimension that it takes.
    head_dim: usize,
    pub(super) name: &'static str,
    /// Query rows of a block.
    pub(super) tile: usize,
    pub(super) threads: u32,
    /// Bytes of dynamic shared memory.
    pub(super) shared: usize,
}

/// A kernel of one row a sequence.
#[derive(Debug, Clone, Copy)]
pub(super) struct Decode {
    head_dim: usize,
    pub(super) name: &'static str,
    pub(super) threads: u32,
    pub(super) shared: usize,
}

/// `prefill.cu`: tiles of queries, keys and values, rows 8 numbers longer than the head, and a number for each query.
const fn rows_16(name: &'static str, head_dim: usize, tile: usize, keys: usize) -> Rows {
    Rows { head_dim, name, tile, threads: 128, shared: (tile + 2 * keys) * (head_dim + 8) * 2 + tile * 4 }
}

/// `attention_f32.cu`: tiles of queries, keys and values, rows 4 numbers longer than the head, and the weights.
const fn rows_32(name: &'static str, head_dim: usize, tile: usize, keys: usize) -> Rows {
    let shared = ((tile + 2 * keys) * (head_dim + 4) + tile * (keys + 4)) * 4;
    Rows { head_dim, name, tile, threads: 256, shared }
}

/// `attention.cu`: 16 queries, and for each warp its stages of 16 keys and values.
const fn decode_16(name: &'static str, head_dim: usize, warps: usize, stages: usize) -> Decode {
    let shared = (16 + warps * stages * 32) * (head_dim + 8) * 2;
    Decode { head_dim, name, threads: warps as u32 * 32, shared }
}

/// `attention_f32.cu`, as for many rows.
const fn decode_32(name: &'static str, head_dim: usize, keys: usize) -> Decode {
    let Rows { threads, shared, .. } = rows_32(name, head_dim, 16, keys);
    Decode { head_dim, name, threads, shared }
}

const ROWS_F32: &[Rows] = &[
    rows_32("attention_rows_f32_64", 64, 64, 32),
    rows_32("attention_rows_f32_128", 128, 64, 32),
    rows_32("attention_rows_f32_256", 256, 32, 16),
];
const DECODE_F32: &[Decode] = &[
    decode_32("attention_decode_f32_64", 64, 32),
    decode_32("attention_decode_f32_128", 128, 32),
    decode_32("attention_decode_f32_256", 256, 32),
];
/// The kernels of a 16-bit format, which only differ in their names.
macro_rules! kernels_16 {
    ($rows:ident, $decode:ident, $format:literal) => {
        const $rows: &[Rows] = &[
            rows_16(concat!("attention_rows_", $format, "_64"), 64, 128, 64),
            rows_16(concat!("attention_rows_", $format, "_96"), 96, 128, 64),
            rows_16(concat!("attention_rows_", $format, "_128"), 128, 128, 48),
            rows_16(concat!("attention_rows_", $format, "_256"), 256, 64, 32),
        ];
        const $decode: &[Decode] = &[
            decode_16(concat!("attention_decode_", $format, "_64"), 64, 4, 4),
            decode_16(concat!("attention_decode_", $format, "_96"), 96, 4, 3),
            decode_16(concat!("attention_decode_", $format, "_128"), 128, 4, 2),
            decode_16(concat!("attention_decode_", $format, "_256"), 256, 2, 2),
        ];
    };
}
kernels_16!(ROWS_F16, DECODE_F16, "f16");
kernels_16!(ROWS_BF16, DECODE_BF16, "bf16");

impl Rows {
    /// The one for heads of `head_dim`.
    pub(super) fn of(op: &'static str, dtype: Dtype, head_dim: usize) -> Result<Rows> {
        let all = match dtype {
            Dtype::F32 => ROWS_F32,
            Dtype::F16 => ROWS_F16,
            Dtype::Bf16 => ROWS_BF16,
        };
        all.iter().find(|rows| head_dim <= rows.head_dim).copied().ok_or_else(|| too_large(op, head_dim))
    }
}

impl Decode {
    /// The one for heads of `head_dim`.
    pub(super) fn of(op: &'static str, dtype: Dtype, head_dim: usize) -> Result<Decode> {
        let all = match dtype {
            Dtype::F32 => DECODE_F32,
            Dtype::F16 => DECODE_F16,
            Dtype::Bf16 => DECODE_BF16,
        };
        all.iter().find(|decode| head_dim <= decode.head_dim).copied().ok_or_else(|| too_large(op, head_dim))
    }
}

fn too_large(op: &'static str, head_dim: usize) -> Error {
    Error::Shape { op, what: format!("a head has {head_dim} numbers, but kernels take 256 at most") }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a block may have on compute capability 8.6, 8.9 and 12.0, the least of those that the PTX is for.
    const SHARED: usize = 99 * 1024;

    #[test]
    fn shared_memory_fits_every_gpu() {
        for rows in [ROWS_F32, ROWS_F16, ROWS_BF16].concat() {
            assert!(rows.shared <= SHARED, "{rows:?}");
        }
        for decode in [DECODE_F32, DECODE_F16, DECODE_BF16].concat() {
            assert!(decode.shared <= SHARED, "{decode:?}");
        }
    }

    #[test]
    fn heads_take_the_smallest_kernel_that_holds_them() {
        for (head_dim, expected) in
            [(1, "64"), (64, "64"), (80, "96"), (128, "128"), (129, "256"), (256, "256")]
        {
            let name = Rows::of("test", Dtype::Bf16, head_dim).map(|rows| rows.name);
            assert_eq!(name.ok(), Some(format!("attention_rows_bf16_{expected}").as_str()));
        }
        let error = Decode::of("test", Dtype::F16, 257).unwrap_err();
        assert_eq!(error.to_string(), "run test: a head has 257 numbers, but kernels take 256 at most");
    }
}
