//! Launching our own kernels.

use super::choose::{Parameters, Plan};
use super::{Operand, Operands, address};
use crate::Result;
use crate::cuda::device::CudaDevice;
use crate::cuda::launch::Launch;
use crate::cuda::ops::{Read, Write};

/// Threads of a block of `sum_partials` and `add_bias`.
const THREADS: usize = 256;

/// Enqueues a product as it was planned.
pub(super) fn run(device: &CudaDevice, plan: &Plan, operands: &mut Operands<'_>) -> Result<()> {
    let Operands { x, w, bias, y } = operands;
    let launch = device.kernel(plan.kernel)?;
    let launch = match plan.parameters {
        Parameters::Few | Parameters::Tile | Parameters::TileF32 => launch.matrix(x).matrix(w),
        Parameters::FewOfAny | Parameters::TileOfAny => launch.any(x).any(w),
    };
    // A share is added up with the others, and the bias then.
    let launch = add(launch, bias.filter(|_| plan.grid[2] == 1));
    let launch = match plan.parameters {
        Parameters::Few | Parameters::Tile => launch.matrix_mut(y),
        Parameters::FewOfAny | Parameters::TileF32 | Parameters::TileOfAny => launch.any_mut(y),
    };
    match plan.parameters {
        Parameters::Few | Parameters::FewOfAny => launch.launch(plan.grid, block(plan), plan.shared),
        Parameters::Tile => tile(device, plan, launch, bias.as_ref(), y, aligned(y, 8)),
        Parameters::TileF32 | Parameters::TileOfAny => {
            tile(device, plan, launch, bias.as_ref(), y, aligned(y, 4))
        }
    }
}

fn block(plan: &Plan) -> [u32; 3] {
    [plan.threads, 1, 1]
}

fn add<'d>(launch: Launch<'d>, bias: Option<Read<'_>>) -> Launch<'d> {
    match bias {
        Some(bias) => launch.any(&bias),
        None => launch.no_matrix(),
    }
}

/// Whether all rows of y begin at multiples of so many numbers.
fn aligned(y: &Write<'_>, numbers: usize) -> bool {
    let place = &y.place;
    Operand::new(address(&y.as_ref()), place).aligned(place.rows, numbers * place.dtype.size())
}

/// Launches a tile, which may leave shares of sums to be added up.
fn tile(
    device: &CudaDevice,
    plan: &Plan,
    launch: Launch<'_>,
    bias: Option<&Read<'_>>,
    y: &mut Write<'_>,
    y_aligned: bool,
) -> Result<()> {
    let launch = launch.int(usize::from(y_aligned)).int(plan.share);
    let shares = plan.grid[2];
    if shares == 1 {
        return launch.address(0).launch(plan.grid, block(plan), plan.shared);
    }
    let (rows, fours) = (y.place.rows, y.place.cols.div_ceil(4));
    let partials = device.scratch(shares * rows * fours * 16)?;
    launch.address(partials).launch(plan.grid, block(plan), plan.shared)?;
    let sum = device.kernel("sum_partials")?.address(partials).int(shares);
    add(sum, bias.copied()).any_mut(y).int(usize::from(aligned(y, 4))).launch(
        [(rows * fours).div_ceil(THREADS), 1, 1],
        [THREADS as u32, 1, 1],
        0,
    )
}

/// y += bias.
pub(super) fn add_bias(device: &CudaDevice, bias: &Read<'_>, y: &mut Write<'_>) -> Result<()> {
    let blocks = (y.place.rows * y.place.cols).div_ceil(THREADS);
    let launch = device.kernel("add_bias")?.any(bias).any(&y.as_ref()).any_mut(y);
    launch.launch([blocks, 1, 1], [THREADS as u32, 1, 1], 0)
}
