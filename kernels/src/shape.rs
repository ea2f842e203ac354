//! Checks of shapes on entry to an operation, the same on all devices.

use crate::view::Place;
use crate::{Attention, Error, KvShape, Result};

/// Fails the surrounding function with [`Error::Shape`] unless the condition holds.
macro_rules! require {
    ($op:expr, $ok:expr, $($what:tt)+) => {
        if !$ok {
            return Err(Error::Shape { op: $op, what: format!($($what)+) });
        }
    };
}

/// x `[m, k]`, w `[n, k]`, bias `[1, n]`, y `[m, n]`.
pub(crate) fn linear(x: &Place, w: &Place, bias: Option<&Place>, y: &Place) -> Result<()> {
    let op = "linear";
    require!(op, x.cols == w.cols, "x is {x} but w is {w}: both must have k columns");
    require!(
        op,
        y.rows == x.rows && y.cols == w.rows,
        "x is {x} and w is {w}, so y must be [m, n] but is {y}"
    );
    if let Some(bias) = bias {
        require!(op, bias.rows == 1 && bias.cols == w.rows, "w is {w}, so bias must be [1, n] but is {bias}");
    }
    Ok(())
}

/// Two matrices of one shape.
pub(crate) fn same(op: &'static str, [a, b]: [&'static str; 2], x: &Place, y: &Place) -> Result<()> {
    require!(op, x.rows == y.rows && x.cols == y.cols, "{a} is {x} but {b} is {y}: they must be the same");
    Ok(())
}

/// ids `[tokens]`, table `[vocabulary, hidden]`, y `[tokens, hidden]`.
pub(crate) fn embedding(op: &'static str, ids: usize, table: &Place, y: &Place) -> Result<()> {
    require!(
        op,
        y.rows == ids && y.cols == table.cols,
        "ids is [{ids}] and table {table}, so y must be [{ids}, {}] but is {y}",
        table.cols
    );
    Ok(())
}

/// x `[rows, groups·n]`, weight `[1, n]`.
pub(crate) fn grouped_norm(op: &'static str, x: &Place, weight: &Place) -> Result<()> {
    let fits = weight.rows == 1 && weight.cols > 0 && x.cols.is_multiple_of(weight.cols);
    require!(op, fits, "x is {x} but weight is {weight}: weight must be [1, n] with n dividing x's columns");
    Ok(())
}

/// x `[rows, n]`, weight and bias `[1, n]`.
pub(crate) fn layer_norm(op: &'static str, x: &Place, weight: &Place, bias: &Place) -> Result<()> {
    for (name, vector) in [("weight", weight), ("bias", bias)] {
        let fits = vector.rows == 1 && vector.cols == x.cols;
        require!(op, fits, "x is {x}, so {name} must be [1, {}] but is {vector}", x.cols);
    }
    Ok(())
}

/// positions `[tokens]`, inv_freq `[1, r]`, table `[tokens, 2·r]`.
pub(crate) fn rotary_table(positions: usize, inv_freq: &Place, table: &Place) -> Result<()> {
    let fits = inv_freq.rows == 1 && table.rows == positions && table.cols == 2 * inv_freq.cols;
    require!(
        "rotary_table",
        fits,
        "positions is [{positions}] and inv_freq {inv_freq}, so table must be [tokens, 2·r] but is {table}"
    );
    Ok(())
}

/// x `[tokens, heads·head_dim]`, table `[tokens, 2·r]`, 2·r ≤ head_dim.
pub(crate) fn rotary(x: &Place, head_dim: usize, table: &Place) -> Result<()> {
    let op = "rotary";
    require!(
        op,
        head_dim > 0 && x.cols.is_multiple_of(head_dim),
        "x is {x}: its columns must be heads of {head_dim}"
    );
    let fits = table.rows == x.rows && table.cols.is_multiple_of(2) && table.cols <= head_dim;
    require!(
        op,
        fits,
        "x is {x} with heads of {head_dim}, table is {table}: it must be [tokens, 2·r ≤ head_dim]"
    );
    Ok(())
}

/// k and v `[rows, kv_heads·head_dim]`, slots and positions `[rows]`.
pub(crate) fn kv_write(k: &Place, v: &Place, [slots, positions]: [usize; 2], cache: &KvShape) -> Result<()> {
    let op = "kv_write";
    same(op, ["k", "v"], k, v)?;
    let cols = cache.kv_heads * cache.head_dim;
    require!(op, k.cols == cols, "k is {k} but the cache holds {cols} numbers a position: {cache:?}");
    placement(op, "k", k, [slots, positions])
}

/// slots and positions `[rows]`.
fn placement(op: &'static str, name: &str, x: &Place, [slots, positions]: [usize; 2]) -> Result<()> {
    let fits = slots == x.rows && positions == x.rows;
    require!(
        op,
        fits,
        "{name} is {x} but slots is [{slots}] and positions [{positions}]: one a row is needed"
    );
    Ok(())
}

/// q and y `[rows, query_heads·head_dim]`, a cache of these heads.
pub(crate) fn cached_attention(
    op: &'static str,
    q: &Place,
    cache: &KvShape,
    at: [usize; 2],
    attention: &Attention,
    y: &Place,
) -> Result<()> {
    heads(op, q, attention, y)?;
    placement(op, "q", q, at)?;
    let fits = cache.kv_heads == attention.kv_heads && cache.head_dim == attention.head_dim;
    require!(op, fits, "the cache is {cache:?} but the layer {attention:?}: heads must agree");
    require!(op, attention.window != Some(0), "window is 0: a token attends to itself at least");
    Ok(())
}

/// q and y `[rows, query_heads·head_dim]`, k and v `[rows, kv_heads·head_dim]`.
pub(crate) fn full_attention(
    q: &Place,
    k: &Place,
    v: &Place,
    attention: &Attention,
    y: &Place,
) -> Result<()> {
    let op = "attention_full";
    heads(op, q, attention, y)?;
    same(op, ["k", "v"], k, v)?;
    let cols = attention.kv_heads * attention.head_dim;
    require!(op, k.rows == q.rows && k.cols == cols, "q is {q}, k is {k}: k must be [rows, {cols}]");
    require!(
        op,
        attention.window.is_none(),
        "a window of {:?} is for causal attention only",
        attention.window
    );
    Ok(())
}

fn heads(op: &'static str, q: &Place, attention: &Attention, y: &Place) -> Result<()> {
    same(op, ["q", "y"], q, y)?;
    let Attention { query_heads, kv_heads, head_dim, .. } = *attention;
    let grouped = kv_heads > 0 && head_dim > 0 && query_heads > 0 && query_heads.is_multiple_of(kv_heads);
    require!(op, grouped, "{query_heads} query heads over {kv_heads} key-value heads of {head_dim}");
    require!(op, q.cols == query_heads * head_dim, "q is {q} but has {query_heads} heads of {head_dim}");
    Ok(())
}

/// x `[rows, n]`, starts `[sequences + 1]`, y `[sequences, n]`.
pub(crate) fn pooled(op: &'static str, x: &Place, starts: usize, y: &Place) -> Result<()> {
    ragged(op, starts)?;
    let fits = y.rows == starts - 1 && y.cols == x.cols;
    require!(op, fits, "x is {x} with {} sequences, but y is {y}: it must be [sequences, n]", starts - 1);
    Ok(())
}

/// starts `[sequences + 1]`.
pub(crate) fn ragged(op: &'static str, starts: usize) -> Result<()> {
    require!(op, starts > 0, "starts is [0]: it must be [sequences + 1]");
    Ok(())
}

/// x `[rows, n]`, rows `[m]`, y `[m, n]`.
pub(crate) fn gather(x: &Place, rows: usize, y: &Place) -> Result<()> {
    let fits = y.rows == rows && y.cols == x.cols;
    require!("gather_rows", fits, "x is {x} and rows [{rows}], but y is {y}: it must be [m, n]");
    Ok(())
}

/// x `[m, n ≥ 1]`, y `[m]`.
pub(crate) fn argmax(x: &Place, y: usize) -> Result<()> {
    require!("argmax", x.rows == y && x.cols > 0, "x is {x} but y is [{y}]: they must be [m, n ≥ 1] and [m]");
    Ok(())
}
