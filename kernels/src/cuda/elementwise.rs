//! Operations on single numbers (`cuda/elementwise.cu`).

use super::device::CudaDevice;
use super::launch::{Launch, dtype_code, names, suffix};
use super::ops::{Read, Write};
use super::packs::{Operand, Spread, require_format};
use crate::{Activation, Result, shape};

impl Launch<'_> {
    /// Where a matrix begins and its stride.
    fn strided(self, operand: &Operand) -> Self {
        self.address(operand.address).long(operand.place.stride)
    }

    /// The same, with the format between them.
    fn any_strided(self, operand: &Operand) -> Self {
        let code = dtype_code(operand.place.dtype) as usize;
        self.address(operand.address).int(code).long(operand.place.stride)
    }

    fn extent(self, spread: &Spread) -> Self {
        self.long(spread.rows).long(spread.cols)
    }
}

pub(super) fn add(device: &CudaDevice, x: Read<'_>, y: Write<'_>) -> Result<()> {
    shape::same("add", ["x", "y"], &x.place, &y.place)?;
    let (x, y) = (Operand::new("x", &x), Operand::new("y", &y.as_ref()));
    let dtype = x.place.dtype;
    require_format("add", "in the format of x", dtype, &[y])?;
    let spread = Spread::over_elements(device, &[x, y]);
    let kernel = device.kernel(names!("add")[suffix(dtype)])?.strided(&x).strided(&y);
    spread.launch(kernel.extent(&spread).int(spread.wide.into()))
}

pub(super) fn silu_mul(device: &CudaDevice, gate: Read<'_>, up: Read<'_>, y: Write<'_>) -> Result<()> {
    let op = "silu_mul";
    shape::same(op, ["gate", "up"], &gate.place, &up.place)?;
    shape::same(op, ["gate", "y"], &gate.place, &y.place)?;
    let (gate, up) = (Operand::new("gate", &gate), Operand::new("up", &up));
    let y = Operand::new("y", &y.as_ref());
    let dtype = gate.place.dtype;
    require_format(op, "in the format of gate", dtype, &[up, y])?;
    let spread = Spread::over_elements(device, &[gate, up, y]);
    let kernel = device.kernel(names!("silu_mul")[suffix(dtype)])?;
    let kernel = kernel.strided(&gate).strided(&up).strided(&y);
    spread.launch(kernel.extent(&spread).int(spread.wide.into()))
}

/// The number that the kernel knows it by.
fn code(activation: Activation) -> usize {
    match activation {
        Activation::GeluErf => 0,
        Activation::GeluTanh => 1,
        Activation::Silu => 2,
        Activation::Relu => 3,
        Activation::Tanh => 4,
    }
}

pub(super) fn activate(device: &CudaDevice, x: Write<'_>, activation: Activation) -> Result<()> {
    let x = Operand::new("x", &x.as_ref());
    let spread = Spread::over_elements(device, &[x]);
    let kernel = device.kernel(names!("activate")[suffix(x.place.dtype)])?.strided(&x);
    spread.launch(kernel.extent(&spread).int(code(activation)).int(spread.wide.into()))
}

pub(super) fn convert(device: &CudaDevice, x: Read<'_>, y: Write<'_>) -> Result<()> {
    shape::same("convert", ["x", "y"], &x.place, &y.place)?;
    let (x, y) = (Operand::new("x", &x), Operand::new("y", &y.as_ref()));
    let spread = Spread::over_elements(device, &[x, y]);
    let kernel = device.kernel("convert")?.any_strided(&x).any_strided(&y);
    spread.launch(kernel.extent(&spread).int(spread.wide.into()))
}

pub(super) fn fill_uniform(device: &CudaDevice, y: Write<'_>, seed: u64, bound: f32) -> Result<()> {
    let y = Operand::new("y", &y.as_ref());
    let spread = Spread::over_elements(device, &[y]);
    let kernel = device.kernel("fill_uniform")?.any_strided(&y).extent(&spread);
    spread.launch(kernel.address(seed).float(bound).int(spread.wide.into()))
}
