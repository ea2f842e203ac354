//! Operations on rows: embeddings, norms, rotary embedding, pooling, argmax (`cuda/rows.cu`).

use super::device::CudaDevice;
use super::launch::{names, suffix};
use super::memory::CudaBuffer;
use super::ops::{Read, Write};
use super::packs::{Operand, Spread, packs, require_format, wide};
use crate::{Dtype, Indices, IndicesMut, Ragged, Result, shape};

pub(super) fn embedding(
    device: &CudaDevice,
    ids: Indices<'_, CudaBuffer>,
    table: Read<'_>,
    y: Write<'_>,
) -> Result<()> {
    shape::embedding("embedding", ids.len(), &table.place, &y.place)?;
    copy_rows(device, ids, table, y, How::Copy)
}

pub(super) fn add_embedding(
    device: &CudaDevice,
    ids: Indices<'_, CudaBuffer>,
    table: Read<'_>,
    y: Write<'_>,
) -> Result<()> {
    shape::embedding("add_embedding", ids.len(), &table.place, &y.place)?;
    copy_rows(device, ids, table, y, How::Add)
}

pub(super) fn gather_rows(
    device: &CudaDevice,
    x: Read<'_>,
    rows: Indices<'_, CudaBuffer>,
    y: Write<'_>,
) -> Result<()> {
    shape::gather(&x.place, rows.len(), &y.place)?;
    let target = Operand::new("y", &y.as_ref());
    require_format("gather_rows", "in the format of x", x.dtype(), &[target])?;
    copy_rows(device, rows, x, y, How::Copy)
}

pub(super) fn last_rows(
    device: &CudaDevice,
    x: Read<'_>,
    batch: Ragged<'_, CudaBuffer>,
    y: Write<'_>,
) -> Result<()> {
    let op = "last_rows";
    shape::pooled(op, &x.place, batch.starts.len(), &y.place)?;
    require_format(op, "in the format of x", x.dtype(), &[Operand::new("y", &y.as_ref())])?;
    copy_rows(device, batch.starts, x, y, How::Last)
}

/// What becomes of the rows that `copy_rows` reads.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    /// Row places\[t\] becomes row t.
    Copy,
    /// It is added to row t.
    Add,
    /// The last row of sequence places\[t\]..places\[t + 1\] becomes row t.
    Last,
}

fn copy_rows(
    device: &CudaDevice,
    places: Indices<'_, CudaBuffer>,
    x: Read<'_>,
    y: Write<'_>,
    how: How,
) -> Result<()> {
    let wide = wide(&[Operand::new("x", &x), Operand::new("y", &y.as_ref())], x.place.cols);
    let spread = Spread::over_rows(device, y.shape(), wide);
    let kernel = device.kernel(names!("copy_rows")[suffix(y.dtype())])?.indices(&places);
    let kernel = kernel.int((how == How::Last).into()).any(&x).matrix_mut(&y);
    spread.launch(kernel.int((how == How::Add).into()).int(wide.into()))
}

/// The most threads of a block of a norm, and how many packs a thread keeps in registers: as in the kernels.
const NORMING: usize = 512;
const KEPT: usize = 2;
/// Threads that a multiprocessor runs at once.
const RESIDENT: usize = 2048;

/// Who takes a row, or a group of one: so many neighbouring threads (0: all of a block), blocks of so many threads.
struct Team {
    lanes: usize,
    threads: usize,
}

impl Team {
    fn new(packs: usize) -> Team {
        let members = packs.div_ceil(KEPT);
        match members {
            0..=32 => Team { lanes: members.next_power_of_two(), threads: 256 },
            _ => Team { lanes: 0, threads: members.next_multiple_of(32).min(NORMING) },
        }
    }

    /// Teams of a block.
    fn count(&self) -> usize {
        self.threads.checked_div(self.lanes).unwrap_or(1)
    }

    fn block(&self) -> [u32; 3] {
        [self.threads as u32, 1, 1]
    }
}

/// y = rms_norm(x), or residual += x and y = rms_norm(residual). x and y may be the same matrix.
fn norm(
    device: &CudaDevice,
    x: Read<'_>,
    residual: Option<&Write<'_>>,
    weight: Read<'_>,
    eps: f32,
    y: &Write<'_>,
) -> Result<()> {
    let n = weight.place.cols;
    let mut operands =
        vec![Operand::new("x", &x), Operand::new("weight", &weight), Operand::new("y", &y.as_ref())];
    operands.extend(residual.map(|residual| Operand::new("residual", &residual.as_ref())));
    let wide = wide(&operands, n);
    let team = Team::new(packs(n, wide));
    let groups = y.place.rows.saturating_mul(y.place.cols / n);
    let blocks = groups.div_ceil(team.count()).min(RESIDENT / team.threads * device.multiprocessors());
    let kernel = device.kernel(names!("rms_norm")[suffix(x.dtype())])?;
    let kernel = match residual {
        Some(residual) => kernel.matrix(&residual.as_ref()).matrix(&x).matrix_mut(residual),
        None => kernel.matrix(&x).no_matrix().no_matrix(),
    };
    let kernel = kernel.matrix_mut(y).any(&weight).float(eps).int(groups);
    let kernel = kernel.int(team.lanes).int(wide.into());
    kernel.launch([blocks, 1, 1], team.block(), 0)
}

pub(super) fn rms_norm(
    device: &CudaDevice,
    x: Read<'_>,
    weight: Read<'_>,
    eps: f32,
    y: Write<'_>,
) -> Result<()> {
    let op = "rms_norm";
    shape::grouped_norm(op, &x.place, &weight.place)?;
    shape::same(op, ["x", "y"], &x.place, &y.place)?;
    require_format(op, "in the format of x", x.dtype(), &[Operand::new("y", &y.as_ref())])?;
    norm(device, x, None, weight, eps, &y)
}

pub(super) fn rms_norm_in_place(device: &CudaDevice, x: Write<'_>, weight: Read<'_>, eps: f32) -> Result<()> {
    shape::grouped_norm("rms_norm_in_place", &x.place, &weight.place)?;
    norm(device, x.as_ref(), None, weight, eps, &x)
}

pub(super) fn add_rms_norm(
    device: &CudaDevice,
    residual: Write<'_>,
    x: Read<'_>,
    weight: Read<'_>,
    eps: f32,
    y: Write<'_>,
) -> Result<()> {
    let op = "add_rms_norm";
    shape::grouped_norm(op, &x.place, &weight.place)?;
    shape::same(op, ["residual", "x"], &residual.place, &x.place)?;
    shape::same(op, ["x", "y"], &x.place, &y.place)?;
    let others = [Operand::new("x", &x), Operand::new("y", &y.as_ref())];
    require_format(op, "in the format of residual", residual.dtype(), &others)?;
    norm(device, x, Some(&residual), weight, eps, &y)
}

pub(super) fn layer_norm_in_place(
    device: &CudaDevice,
    x: Write<'_>,
    weight: Read<'_>,
    bias: Read<'_>,
    eps: f32,
) -> Result<()> {
    shape::layer_norm("layer_norm_in_place", &x.place, &weight.place, &bias.place)?;
    layer_norm(device, &x, None, [weight, bias], eps)
}

pub(super) fn add_layer_norm(
    device: &CudaDevice,
    residual: Write<'_>,
    x: Read<'_>,
    weight: Read<'_>,
    bias: Read<'_>,
    eps: f32,
) -> Result<()> {
    let op = "add_layer_norm";
    shape::layer_norm(op, &residual.place, &weight.place, &bias.place)?;
    shape::same(op, ["residual", "x"], &residual.place, &x.place)?;
    require_format(op, "in the format of residual", residual.dtype(), &[Operand::new("x", &x)])?;
    layer_norm(device, &residual, Some(x), [weight, bias], eps)
}

/// x = layer_norm(x + delta).
fn layer_norm(
    device: &CudaDevice,
    x: &Write<'_>,
    delta: Option<Read<'_>>,
    [weight, bias]: [Read<'_>; 2],
    eps: f32,
) -> Result<()> {
    let [rows, cols] = x.shape();
    if cols == 0 {
        return Ok(());
    }
    let mut operands =
        vec![Operand::new("x", &x.as_ref()), Operand::new("weight", &weight), Operand::new("bias", &bias)];
    operands.extend(delta.iter().map(|delta| Operand::new("delta", delta)));
    let wide = wide(&operands, cols);
    let team = Team::new(packs(cols, wide));
    let kernel = device.kernel(names!("layer_norm")[suffix(x.dtype())])?.matrix_mut(x);
    let kernel = match &delta {
        Some(delta) => kernel.matrix(delta),
        None => kernel.no_matrix(),
    };
    let kernel = kernel.any(&weight).any(&bias).float(eps).int(team.lanes).int(wide.into());
    kernel.launch([rows.div_ceil(team.count()), 1, 1], team.block(), 0)
}

/// Threads of a block of the kernels below.
const THREADS: u32 = 256;

pub(super) fn rotary_table(
    device: &CudaDevice,
    positions: Indices<'_, CudaBuffer>,
    inv_freq: Read<'_>,
    scaling: f32,
    table: Write<'_>,
) -> Result<()> {
    let op = "rotary_table";
    shape::rotary_table(positions.len(), &inv_freq.place, &table.place)?;
    let operands = [Operand::new("inv_freq", &inv_freq), Operand::new("table", &table.as_ref())];
    require_format(op, "F32", Dtype::F32, &operands)?;
    let angles = table.place.rows.saturating_mul(inv_freq.place.cols);
    let blocks = angles.div_ceil(THREADS as usize).min(16 * device.multiprocessors());
    let kernel = device.kernel("rotary_table")?.indices(&positions).matrix(&inv_freq);
    kernel.float(scaling).matrix_mut(&table).launch([blocks, 1, 1], [THREADS, 1, 1], 0)
}

pub(super) fn rotary(device: &CudaDevice, x: Write<'_>, head_dim: usize, table: Read<'_>) -> Result<()> {
    let op = "rotary";
    shape::rotary(&x.place, head_dim, &table.place)?;
    let turns = Operand::new("table", &table);
    require_format(op, "F32", Dtype::F32, &[turns])?;
    // Of each head, the first r columns and the next r.
    let r = table.place.cols / 2;
    let pieces = head_dim.is_multiple_of(8);
    let wide = pieces && wide(&[Operand::new("x", &x.as_ref()), turns], r);
    let [rows, cols] = x.shape();
    let spread = Spread::over_rows(device, [rows, cols / head_dim * r], wide);
    let kernel = device.kernel(names!("rotary")[suffix(x.dtype())])?.matrix_mut(&x).matrix(&table);
    spread.launch(kernel.int(head_dim).int(wide.into()))
}

pub(super) fn mean_pool(
    device: &CudaDevice,
    x: Read<'_>,
    batch: Ragged<'_, CudaBuffer>,
    y: Write<'_>,
) -> Result<()> {
    let op = "mean_pool";
    shape::pooled(op, &x.place, batch.starts.len(), &y.place)?;
    let (source, target) = (Operand::new("x", &x), Operand::new("y", &y.as_ref()));
    require_format(op, "in the format of x", x.dtype(), &[target])?;
    let [sequences, cols] = y.shape();
    let wide = wide(&[source], cols);
    // The columns that a block takes.
    let columns = if wide { 64 } else { 32 };
    let tasks = sequences.saturating_mul(cols.div_ceil(columns));
    let kernel = device.kernel(names!("mean_pool")[suffix(x.dtype())])?.matrix(&x);
    let kernel = kernel.indices(&batch.starts).matrix_mut(&y).int(wide.into());
    kernel.launch([tasks.min(16 * device.multiprocessors()), 1, 1], [THREADS, 1, 1], 0)
}

pub(super) fn argmax(device: &CudaDevice, x: Read<'_>, y: IndicesMut<'_, CudaBuffer>) -> Result<()> {
    shape::argmax(&x.place, y.len())?;
    let [rows, cols] = x.shape();
    if rows == 0 {
        return Ok(());
    }
    let wide = wide(&[Operand::new("x", &x)], cols);
    // So many blocks a row that all multiprocessors are busy, where each thread still has something to do.
    let enough = (2 * device.multiprocessors()).div_ceil(rows);
    let splits = packs(cols, wide).div_ceil(THREADS as usize).min(enough);
    let blocks = |tasks: usize| tasks.min(16 * device.multiprocessors());
    let partial = if splits > 1 { device.scratch(rows * splits * 8)? } else { 0 };
    let kernel = device.kernel(names!("argmax")[suffix(x.dtype())])?.matrix(&x).address(partial);
    let kernel = kernel.indices_mut(&y).int(splits).int(wide.into());
    kernel.launch([blocks(rows.saturating_mul(splits)), 1, 1], [THREADS, 1, 1], 0)?;
    if splits == 1 {
        return Ok(());
    }
    let kernel = device.kernel("argmax_rows")?.address(partial).indices_mut(&y).int(rows).int(splits);
    kernel.launch([blocks(rows.div_ceil(THREADS as usize / 32)), 1, 1], [THREADS, 1, 1], 0)
}
