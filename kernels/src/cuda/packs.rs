//! How operations on rows are spread over threads.
//!
//! A thread takes eight neighbouring columns at a time, 16 bytes in the 16-bit formats, where every row and every piece
//! of one begins at a multiple of 16 bytes, and one column where not. The kernels do both; here it is decided.

use super::device::CudaDevice;
use super::launch::Launch;
use super::ops::Read;
use crate::view::Place;
use crate::{Dtype, Error, Result};

/// The columns that a thread takes at a time.
const PACK: usize = 8;

/// The threads of a block, and of a block where there is little to do, so that more multiprocessors have a share.
const THREADS: usize = 256;
const FEW_THREADS: usize = 64;

/// A matrix as a kernel sees it.
#[derive(Clone, Copy)]
pub(super) struct Operand {
    pub(super) name: &'static str,
    /// Of element [0, 0].
    pub(super) address: u64,
    pub(super) place: Place,
}

impl Operand {
    pub(super) fn new(name: &'static str, matrix: &Read<'_>) -> Operand {
        let address = matrix.buffer.address() + matrix.place.offset as u64;
        Operand { name, address, place: matrix.place }
    }

    /// Whether every row begins at a multiple of 16 bytes.
    fn aligned(&self) -> bool {
        let Place { rows, stride, dtype, .. } = self.place;
        self.address.is_multiple_of(16) && (rows <= 1 || (stride * dtype.size()).is_multiple_of(16))
    }

    /// Whether its rows follow each other without gaps.
    fn gapless(&self) -> bool {
        self.place.rows <= 1 || self.place.stride == self.place.cols
    }
}

/// Fails unless `found` and all `others` are of one format.
pub(super) fn require_format(
    op: &'static str,
    expected: &'static str,
    dtype: Dtype,
    operands: &[Operand],
) -> Result<()> {
    match operands.iter().find(|operand| operand.place.dtype != dtype) {
        None => Ok(()),
        Some(Operand { name, place, .. }) => {
            Err(Error::Dtype { op, argument: name, found: place.dtype, expected })
        }
    }
}

/// Whether all operands can be taken eight columns at a time, in pieces of `piece` columns (a row, a head, a group).
pub(super) fn wide(operands: &[Operand], piece: usize) -> bool {
    piece.is_multiple_of(PACK) && operands.iter().all(Operand::aligned)
}

/// So many packs are `cols` columns.
pub(super) fn packs(cols: usize, wide: bool) -> usize {
    if wide { cols / PACK } else { cols }
}

/// The work of one launch: `rows` times `cols`, by `blocks` blocks of `[columns, rows]` threads.
pub(super) struct Spread {
    pub(super) rows: usize,
    pub(super) cols: usize,
    pub(super) wide: bool,
    blocks: usize,
    block: [u32; 3],
}

impl Spread {
    /// For each row of `cols` columns.
    pub(super) fn over_rows(device: &CudaDevice, [rows, cols]: [usize; 2], wide: bool) -> Spread {
        let packs = packs(cols, wide);
        let multiprocessors = device.multiprocessors();
        let plenty = rows.saturating_mul(packs) >= 1024 * multiprocessors;
        let threads = if plenty { THREADS } else { FEW_THREADS };
        let x = packs.next_power_of_two().min(threads);
        let y = threads / x;
        let tasks = rows.div_ceil(y).saturating_mul(packs.div_ceil(x));
        let blocks = tasks.min(16 * multiprocessors);
        Spread { rows, cols, wide, blocks, block: [x as u32, y as u32, 1] }
    }

    /// For elements that have nothing to do with each other, in operands of one shape: one long row where none has gaps.
    pub(super) fn over_elements(device: &CudaDevice, operands: &[Operand]) -> Spread {
        let [rows, cols] = operands.first().map_or([0, 0], |first| [first.place.rows, first.place.cols]);
        let shape = if operands.iter().all(Operand::gapless) { [1, rows * cols] } else { [rows, cols] };
        let aligned = match shape {
            [1, _] => operands.iter().all(|operand| operand.address.is_multiple_of(16)),
            _ => operands.iter().all(Operand::aligned),
        };
        Spread::over_rows(device, shape, aligned && shape[1].is_multiple_of(PACK))
    }

    /// Launches with all arguments pushed; nothing where there is nothing to do.
    pub(super) fn launch(&self, kernel: Launch<'_>) -> Result<()> {
        kernel.launch([self.blocks, 1, 1], self.block, 0)
    }
}
