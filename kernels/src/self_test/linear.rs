//! Matrix products.

use super::twins::Twins;
use super::{Case, Found};
use crate::{Ops, Result};

pub(super) fn cases<O: Ops>() -> Vec<(&'static str, Case<O>)> {
    vec![("linear", linear)]
}

/// Shapes of every path: one row, a few rows, many; short and deep sums; odd everything.
fn linear<O: Ops>(twins: &mut Twins<'_, O>) -> Result<Found> {
    let m = match twins.number(0, 3) {
        0 => 1,
        1 => twins.number(2, 17),
        _ => twins.extent(150),
    };
    let (n, k) = (twins.extent(300), twins.extent(700));
    let (x, w) = (twins.activations(m, k)?, twins.weights(n, k)?);
    let bias = if twins.coin() { Some(twins.weights(1, n)?) } else { None };
    twins.describe(format_args!(
        "[{m}, {k}] by [{n}, {k}]ᵀ of {}, bias {}",
        w.device()?.dtype(),
        bias.is_some()
    ));
    let mut y = twins.activations(m, n)?;
    let on_host = bias.as_ref().map(|bias| bias.host()).transpose()?;
    let on_device = bias.as_ref().map(|bias| bias.device()).transpose()?;
    twins.host.linear(x.host()?, w.host()?, on_host, y.host_mut()?)?;
    twins.device.linear(x.device()?, w.device()?, on_device, y.device_mut()?)?;
    twins.compare(&y, k, 2.0)
}
