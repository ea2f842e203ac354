//! Operations on rows.

use super::twins::Twins;
use super::{Case, Found};
use crate::{Ops, Ragged, Result};

pub(super) fn cases<O: Ops>() -> Vec<(&'static str, Case<O>)> {
    vec![
        ("embedding", embedding),
        ("add_embedding", add_embedding),
        ("rms_norm", rms_norm),
        ("rms_norm_in_place", rms_norm_in_place),
        ("add_rms_norm", add_rms_norm),
        ("layer_norm_in_place", layer_norm_in_place),
        ("add_layer_norm", add_layer_norm),
        ("rotary_table", rotary_table),
        ("rotary", rotary),
        ("mean_pool", mean_pool),
        ("gather_rows", gather_rows),
        ("last_rows", last_rows),
        ("argmax", argmax),
    ]
}

const EPS: f32 = 1e-5;

fn embedding<O: Ops>(twins: &mut Twins<'_, O>) -> Result<Found> {
    embed(twins, false)
}

fn add_embedding<O: Ops>(twins: &mut Twins<'_, O>) -> Result<Found> {
    embed(twins, true)
}

fn embed<O: Ops>(twins: &mut Twins<'_, O>, add: bool) -> Result<Found> {
    let (tokens, vocabulary, hidden) = (twins.extent(50), twins.extent(200), twins.extent(1100));
    let (ids, table) = (twins.numbers_below(tokens, vocabulary)?, twins.weights(vocabulary, hidden)?);
    twins.describe(format_args!("{tokens} of [{vocabulary}, {hidden}] in {}", table.device()?.dtype()));
    let mut y = twins.activations(tokens, hidden)?;
    if add {
        twins.host.add_embedding(ids.host()?, table.host()?, y.host_mut()?)?;
        twins.device.add_embedding(ids.device()?, table.device()?, y.device_mut()?)?;
    } else {
        twins.host.embedding(ids.host()?, table.host()?, y.host_mut()?)?;
        twins.device.embedding(ids.device()?, table.device()?, y.device_mut()?)?;
    }
    twins.compare(&y, 1, 1.0)
}

/// Rows of groups of n columns.
fn grouped<O: Ops>(twins: &mut Twins<'_, O>) -> [usize; 3] {
    let (rows, groups) = (twins.extent(40), twins.one_of(&[1, 1, 2, 8]));
    let n = twins.extent(3000 / groups);
    twins.describe(format_args!("[{rows}, {groups}·{n}]"));
    [rows, groups, n]
}

fn rms_norm<O: Ops>(twins: &mut Twins<'_, O>) -> Result<Found> {
    let [rows, groups, n] = grouped(twins);
    let (x, weight) = (twins.activations(rows, groups * n)?, twins.weights(1, n)?);
    let mut y = twins.activations(rows, groups * n)?;
    twins.host.rms_norm(x.host()?, weight.host()?, EPS, y.host_mut()?)?;
    twins.device.rms_norm(x.device()?, weight.device()?, EPS, y.device_mut()?)?;
    twins.compare(&y, n, 2.0)
}

fn rms_norm_in_place<O: Ops>(twins: &mut Twins<'_, O>) -> Result<Found> {
    let [rows, groups, n] = grouped(twins);
    let (mut x, weight) = (twins.activations(rows, groups * n)?, twins.weights(1, n)?);
    twins.host.rms_norm_in_place(x.host_mut()?, weight.host()?, EPS)?;
    twins.device.rms_norm_in_place(x.device_mut()?, weight.device()?, EPS)?;
    twins.compare(&x, n, 2.0)
}

fn add_rms_norm<O: Ops>(twins: &mut Twins<'_, O>) -> Result<Found> {
    let [rows, groups, n] = grouped(twins);
    let (mut residual, x) = (twins.activations(rows, groups * n)?, twins.activations(rows, groups * n)?);
    let (weight, mut y) = (twins.weights(1, n)?, twins.activations(rows, groups * n)?);
    twins.host.add_rms_norm(residual.host_mut()?, x.host()?, weight.host()?, EPS, y.host_mut()?)?;
    let device = twins.device;
    device.add_rms_norm(residual.device_mut()?, x.device()?, weight.device()?, EPS, y.device_mut()?)?;
    match twins.compare(&residual, 1, 1.0)? {
        // The sum may be rounded before it is normalised.
        Found::Right(_) => twins.compare(&y, n, 6.0),
        wrong => Ok(wrong),
    }
}

fn layer_norm_in_place<O: Ops>(twins: &mut Twins<'_, O>) -> Result<Found> {
    let (rows, n) = (twins.extent(40), twins.number(2, 3000));
    twins.describe(format_args!("[{rows}, {n}]"));
    let mut x = twins.activations(rows, n)?;
    let (weight, bias) = (twins.weights(1, n)?, twins.weights(1, n)?);
    twins.host.layer_norm_in_place(x.host_mut()?, weight.host()?, bias.host()?, EPS)?;
    twins.device.layer_norm_in_place(x.device_mut()?, weight.device()?, bias.device()?, EPS)?;
    twins.compare(&x, n, 2.0)
}

fn add_layer_norm<O: Ops>(twins: &mut Twins<'_, O>) -> Result<Found> {
    let (rows, n) = (twins.extent(40), twins.number(8, 3000));
    twins.describe(format_args!("[{rows}, {n}]"));
    let (mut residual, x) = (twins.activations(rows, n)?, twins.activations(rows, n)?);
    let (weight, bias) = (twins.weights(1, n)?, twins.weights(1, n)?);
    twins.host.add_layer_norm(residual.host_mut()?, x.host()?, weight.host()?, bias.host()?, EPS)?;
    let device = twins.device;
    device.add_layer_norm(residual.device_mut()?, x.device()?, weight.device()?, bias.device()?, EPS)?;
    twins.compare(&residual, n, 6.0)
}

fn rotary_table<O: Ops>(twins: &mut Twins<'_, O>) -> Result<Found> {
    let (tokens, r) = (twins.extent(60), twins.one_of(&[4, 20, 32, 40, 64]));
    twins.describe(format_args!("{tokens} tokens, {r} frequencies"));
    let positions = twins.numbers_below(tokens, 131_072)?;
    let (inv_freq, mut table) = (twins.f32s(1, r)?, twins.f32s(tokens, 2 * r)?);
    twins.host.rotary_table(positions.host()?, inv_freq.host()?, 1.1, table.host_mut()?)?;
    twins.device.rotary_table(positions.device()?, inv_freq.device()?, 1.1, table.device_mut()?)?;
    twins.compare(&table, 1, 0.0)
}

fn rotary<O: Ops>(twins: &mut Twins<'_, O>) -> Result<Found> {
    let (tokens, heads) = (twins.extent(40), twins.number(1, 9));
    let head_dim = twins.one_of(&[8, 64, 80, 96, 128]);
    let r = if twins.coin() { head_dim / 2 } else { head_dim / 4 };
    twins.describe(format_args!("{tokens} tokens, {heads} heads of {head_dim}, {r} turned"));
    let (mut x, table) = (twins.activations(tokens, heads * head_dim)?, twins.f32s(tokens, 2 * r)?);
    twins.host.rotary(x.host_mut()?, head_dim, table.host()?)?;
    twins.device.rotary(x.device_mut()?, head_dim, table.device()?)?;
    twins.compare(&x, 2, 1.0)
}

/// Sequences of these lengths: where each starts, the rows in all, the longest.
fn starts(lengths: &[usize]) -> (Vec<u32>, usize, usize) {
    let mut starts = vec![0];
    let mut rows = 0;
    for length in lengths {
        rows += length;
        starts.push(rows as u32);
    }
    (starts, rows, lengths.iter().copied().max().unwrap_or(0))
}

fn mean_pool<O: Ops>(twins: &mut Twins<'_, O>) -> Result<Found> {
    let mut lengths = twins.lengths(1, 60);
    if twins.coin() {
        lengths.push(0);
    }
    pool(twins, &lengths, true)
}

fn last_rows<O: Ops>(twins: &mut Twins<'_, O>) -> Result<Found> {
    let lengths = twins.lengths(1, 60);
    pool(twins, &lengths, false)
}

fn pool<O: Ops>(twins: &mut Twins<'_, O>, lengths: &[usize], mean: bool) -> Result<Found> {
    let (places, rows, longest) = starts(lengths);
    let n = twins.extent(1200);
    twins.describe(format_args!("lengths {lengths:?} of {n} columns"));
    let (x, starts) = (twins.activations(rows, n)?, twins.numbers(&places)?);
    let mut y = twins.activations(lengths.len(), n)?;
    let on_host = Ragged { starts: starts.host()?, longest };
    let on_device = Ragged { starts: starts.device()?, longest };
    if mean {
        twins.host.mean_pool(x.host()?, on_host, y.host_mut()?)?;
        twins.device.mean_pool(x.device()?, on_device, y.device_mut()?)?;
    } else {
        twins.host.last_rows(x.host()?, on_host, y.host_mut()?)?;
        twins.device.last_rows(x.device()?, on_device, y.device_mut()?)?;
    }
    twins.compare(&y, if mean { longest } else { 0 }, 1.0)
}

fn gather_rows<O: Ops>(twins: &mut Twins<'_, O>) -> Result<Found> {
    let (from, to, n) = (twins.extent(60), twins.extent(60), twins.extent(1200));
    twins.describe(format_args!("{to} of [{from}, {n}]"));
    let (x, rows) = (twins.activations(from, n)?, twins.numbers_below(to, from)?);
    let mut y = twins.activations(to, n)?;
    twins.host.gather_rows(x.host()?, rows.host()?, y.host_mut()?)?;
    twins.device.gather_rows(x.device()?, rows.device()?, y.device_mut()?)?;
    twins.compare(&y, 0, 0.0)
}

fn argmax<O: Ops>(twins: &mut Twins<'_, O>) -> Result<Found> {
    let (rows, cols) = (twins.extent(9), twins.extent(40_000));
    twins.describe(format_args!("[{rows}, {cols}]"));
    let x = twins.activations(rows, cols)?;
    let mut y = twins.numbers(&vec![u32::MAX; x.shape()[0]])?;
    twins.host.argmax(x.host()?, y.host_mut()?)?;
    twins.device.argmax(x.device()?, y.device_mut()?)?;
    twins.equal_numbers(&y)
}
