//! Operations on single numbers.

use super::twins::Twins;
use super::{Case, Found};
use crate::{Activation, Dtype, Ops, Result};

pub(super) fn cases<O: Ops>() -> Vec<(&'static str, Case<O>)> {
    vec![
        ("add", add),
        ("silu_mul", silu_mul),
        ("activate", activate),
        ("convert", convert),
        ("fill_uniform", fill_uniform),
    ]
}

/// A shape for work that is the same for every element.
fn shape<O: Ops>(twins: &mut Twins<'_, O>) -> [usize; 2] {
    let shape = [twins.extent(70), twins.extent(1500)];
    twins.describe(format_args!("{shape:?}"));
    shape
}

fn add<O: Ops>(twins: &mut Twins<'_, O>) -> Result<Found> {
    let [rows, cols] = shape(twins);
    let (x, mut y) = (twins.activations(rows, cols)?, twins.activations(rows, cols)?);
    twins.host.add(x.host()?, y.host_mut()?)?;
    twins.device.add(x.device()?, y.device_mut()?)?;
    twins.compare(&y, 1, 1.0)
}

fn silu_mul<O: Ops>(twins: &mut Twins<'_, O>) -> Result<Found> {
    let [rows, cols] = shape(twins);
    let (gate, up) = (twins.activations(rows, cols)?, twins.activations(rows, cols)?);
    let mut y = twins.activations(rows, cols)?;
    twins.host.silu_mul(gate.host()?, up.host()?, y.host_mut()?)?;
    twins.device.silu_mul(gate.device()?, up.device()?, y.device_mut()?)?;
    twins.compare(&y, 4, 1.0)
}

fn activate<O: Ops>(twins: &mut Twins<'_, O>) -> Result<Found> {
    use Activation::{GeluErf, GeluTanh, Relu, Silu, Tanh};
    let [rows, cols] = shape(twins);
    let activation = twins.one_of(&[GeluErf, GeluTanh, Silu, Relu, Tanh]);
    twins.describe(format_args!("{activation:?} of [{rows}, {cols}]"));
    let mut x = twins.activations(rows, cols)?;
    twins.host.activate(x.host_mut()?, activation)?;
    twins.device.activate(x.device_mut()?, activation)?;
    twins.compare(&x, 4, 1.0)
}

fn convert<O: Ops>(twins: &mut Twins<'_, O>) -> Result<Found> {
    let [rows, cols] = shape(twins);
    let (from, to) = (twins.one_of(&Dtype::ALL), twins.one_of(&Dtype::ALL));
    twins.describe(format_args!("{from} to {to}, [{rows}, {cols}]"));
    let x = twins.of_format(rows, cols, from)?;
    let mut y = twins.of_format(rows, cols, to)?;
    twins.host.convert(x.host()?, y.host_mut()?)?;
    twins.device.convert(x.device()?, y.device_mut()?)?;
    twins.compare(&y, 0, 0.0)
}

fn fill_uniform<O: Ops>(twins: &mut Twins<'_, O>) -> Result<Found> {
    let [rows, cols] = shape(twins);
    let (format, seed) = (twins.one_of(&Dtype::ALL), twins.number(0, 1 << 40) as u64);
    let mut y = twins.of_format(rows, cols, format)?;
    twins.host.fill_uniform(y.host_mut()?, seed, 0.37)?;
    twins.device.fill_uniform(y.device_mut()?, seed, 0.37)?;
    twins.compare(&y, 0, 0.0)
}
