//! The operations of the host device: each checks its arguments and hands plain slices to the module that does it.

use std::ops::Range;

use super::cached::{self, Places, below, sequences};
use super::device::{HostDevice, part, part_mut};
use super::memory::HostBuffer;
use super::rows::{activation, activation_mut, any, indices, indices_mut, vector};
use super::{bytes, convert, elementwise, linear};
use crate::shape;
use crate::{
    Activation, Attention, Dtype, Error, Indices, IndicesMut, KvCache, Matrix, MatrixMut, Mismatch, Ops,
    Placement, Product, Ragged, Result,
};

type Read<'a> = Matrix<'a, HostBuffer>;
type Write<'a> = MatrixMut<'a, HostBuffer>;

impl HostDevice {
    fn embed(
        &self,
        op: &'static str,
        ids: Indices<'_, HostBuffer>,
        table: Read<'_>,
        y: Write<'_>,
        add: bool,
    ) -> Result<()> {
        shape::embedding(op, ids.len(), &table.place, &y.place)?;
        let ids = indices(&ids);
        below(op, "ids", ids, table.place.rows)?;
        let y = activation_mut(op, "y", y)?;
        elementwise::embedding(&self.pool, self.isa, ids, &any(&table), y, add);
        Ok(())
    }

    fn attend_cached(
        &self,
        op: &'static str,
        (q, y): (Read<'_>, Write<'_>),
        cache: &KvCache<HostBuffer>,
        batch: Option<Ragged<'_, HostBuffer>>,
        at: Placement<'_, HostBuffer>,
        attention: &Attention,
    ) -> Result<()> {
        let lens = [at.slots.len(), at.positions.len()];
        shape::cached_attention(op, &q.place, &cache.shape, lens, attention, &y.place)?;
        require_f32_cache(op, cache)?;
        let at = Places { slots: indices(&at.slots), positions: indices(&at.positions) };
        at.check(op, &cache.shape)?;
        let q = activation(op, "q", &q)?;
        let rows = match batch {
            None => (0..q.rows).map(|row| row..row + 1).collect(),
            Some(batch) => {
                shape::ragged(op, batch.starts.len())?;
                sequences(op, indices(&batch.starts), q.rows, batch.longest)?
            }
        };
        for sequence in &rows {
            at.check_sequence(op, sequence.clone())?;
        }
        cached::attend_cached(self, q, cache, &rows, &at, attention, activation_mut(op, "y", y)?);
        Ok(())
    }
}

fn require_f32_cache(op: &'static str, cache: &KvCache<HostBuffer>) -> Result<()> {
    match cache.shape.dtype {
        Dtype::F32 => Ok(()),
        found => Err(Error::Dtype { op, argument: "cache", found, expected: "F32" }),
    }
}

/// The host device has no graphs, so there is none of them.
#[derive(Debug, Clone, Copy)]
pub enum NoGraph {}

impl Ops for HostDevice {
    type Graph = NoGraph;

    fn record<E: From<Error>>(&self, _: impl FnOnce() -> Result<(), E>) -> Result<Option<NoGraph>, E> {
        Ok(None)
    }

    fn replay(&self, graph: &NoGraph) -> Result<()> {
        match *graph {}
    }

    fn activation_dtype(&self, _weights: Dtype) -> Dtype {
        Dtype::F32
    }

    fn gemm_name(&self) -> String {
        linear::name(self.isa)
    }

    fn products(&self) -> Vec<Product> {
        Vec::new()
    }

    fn embedding(&self, ids: Indices<'_, HostBuffer>, table: Read<'_>, y: Write<'_>) -> Result<()> {
        self.embed("embedding", ids, table, y, false)
    }

    fn add_embedding(&self, ids: Indices<'_, HostBuffer>, table: Read<'_>, y: Write<'_>) -> Result<()> {
        self.embed("add_embedding", ids, table, y, true)
    }

    fn linear(&self, x: Read<'_>, w: Read<'_>, bias: Option<Read<'_>>, y: Write<'_>) -> Result<()> {
        shape::linear(&x.place, &w.place, bias.as_ref().map(|bias| &bias.place), &y.place)?;
        let x = activation("linear", "x", &x)?;
        let y = activation_mut("linear", "y", y)?;
        let bias = bias.as_ref().map(vector);
        linear::linear(self, x, &any(&w), bias.as_deref(), y);
        Ok(())
    }

    fn rms_norm(&self, x: Read<'_>, weight: Read<'_>, eps: f32, y: Write<'_>) -> Result<()> {
        let op = "rms_norm";
        shape::grouped_norm(op, &x.place, &weight.place)?;
        shape::same(op, ["x", "y"], &x.place, &y.place)?;
        let (x, y) = (activation(op, "x", &x)?, activation_mut(op, "y", y)?);
        elementwise::rms_norm(&self.pool, self.isa, x, &vector(&weight), eps, y);
        Ok(())
    }

    fn rms_norm_in_place(&self, x: Write<'_>, weight: Read<'_>, eps: f32) -> Result<()> {
        let op = "rms_norm_in_place";
        shape::grouped_norm(op, &x.place, &weight.place)?;
        let x = activation_mut(op, "x", x)?;
        elementwise::rms_norm_in_place(&self.pool, self.isa, x, &vector(&weight), eps);
        Ok(())
    }

    fn add_rms_norm(
        &self,
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
        let residual = activation_mut(op, "residual", residual)?;
        let (x, y) = (activation(op, "x", &x)?, activation_mut(op, "y", y)?);
        elementwise::add_rms_norm(&self.pool, self.isa, residual, x, (&vector(&weight), eps), y);
        Ok(())
    }

    fn layer_norm_in_place(&self, x: Write<'_>, weight: Read<'_>, bias: Read<'_>, eps: f32) -> Result<()> {
        let op = "layer_norm_in_place";
        shape::layer_norm(op, &x.place, &weight.place, &bias.place)?;
        let x = activation_mut(op, "x", x)?;
        elementwise::layer_norm(&self.pool, self.isa, x, None, (&vector(&weight), &vector(&bias)), eps);
        Ok(())
    }

    fn add_layer_norm(
        &self,
        residual: Write<'_>,
        x: Read<'_>,
        weight: Read<'_>,
        bias: Read<'_>,
        eps: f32,
    ) -> Result<()> {
        let op = "add_layer_norm";
        shape::layer_norm(op, &residual.place, &weight.place, &bias.place)?;
        shape::same(op, ["residual", "x"], &residual.place, &x.place)?;
        let (residual, x) = (activation_mut(op, "residual", residual)?, activation(op, "x", &x)?);
        let affine = (&*vector(&weight), &*vector(&bias));
        elementwise::layer_norm(&self.pool, self.isa, residual, Some(x), affine, eps);
        Ok(())
    }

    fn add(&self, x: Read<'_>, y: Write<'_>) -> Result<()> {
        shape::same("add", ["x", "y"], &x.place, &y.place)?;
        let (x, y) = (activation("add", "x", &x)?, activation_mut("add", "y", y)?);
        elementwise::add(&self.pool, self.isa, x, y);
        Ok(())
    }

    fn rotary_table(
        &self,
        positions: Indices<'_, HostBuffer>,
        inv_freq: Read<'_>,
        scaling: f32,
        table: Write<'_>,
    ) -> Result<()> {
        let op = "rotary_table";
        shape::rotary_table(positions.len(), &inv_freq.place, &table.place)?;
        let inv_freq = activation(op, "inv_freq", &inv_freq)?;
        let table = activation_mut(op, "table", table)?;
        elementwise::rotary_table(&self.pool, indices(&positions), inv_freq.data, scaling, table);
        Ok(())
    }

    fn rotary(&self, x: Write<'_>, head_dim: usize, table: Read<'_>) -> Result<()> {
        let op = "rotary";
        shape::rotary(&x.place, head_dim, &table.place)?;
        let (x, table) = (activation_mut(op, "x", x)?, activation(op, "table", &table)?);
        elementwise::rotary(&self.pool, self.isa, x, head_dim, table);
        Ok(())
    }

    fn kv_write(
        &self,
        k: Read<'_>,
        v: Read<'_>,
        at: Placement<'_, HostBuffer>,
        cache: &mut KvCache<HostBuffer>,
    ) -> Result<()> {
        let op = "kv_write";
        shape::kv_write(&k.place, &v.place, [at.slots.len(), at.positions.len()], &cache.shape)?;
        require_f32_cache(op, cache)?;
        let at = Places { slots: indices(&at.slots), positions: indices(&at.positions) };
        at.check(op, &cache.shape)?;
        cached::write(self, activation(op, "k", &k)?, activation(op, "v", &v)?, &at, cache);
        Ok(())
    }

    fn attention_prefill(
        &self,
        q: Read<'_>,
        cache: &KvCache<HostBuffer>,
        batch: Ragged<'_, HostBuffer>,
        at: Placement<'_, HostBuffer>,
        attention: &Attention,
        y: Write<'_>,
    ) -> Result<()> {
        self.attend_cached("attention_prefill", (q, y), cache, Some(batch), at, attention)
    }

    fn attention_decode(
        &self,
        q: Read<'_>,
        cache: &KvCache<HostBuffer>,
        at: Placement<'_, HostBuffer>,
        attention: &Attention,
        y: Write<'_>,
    ) -> Result<()> {
        self.attend_cached("attention_decode", (q, y), cache, None, at, attention)
    }

    fn attention_full(
        &self,
        q: Read<'_>,
        k: Read<'_>,
        v: Read<'_>,
        batch: Ragged<'_, HostBuffer>,
        attention: &Attention,
        y: Write<'_>,
    ) -> Result<()> {
        let op = "attention_full";
        shape::full_attention(&q.place, &k.place, &v.place, attention, &y.place)?;
        shape::ragged(op, batch.starts.len())?;
        let q = activation(op, "q", &q)?;
        let kv = [activation(op, "k", &k)?, activation(op, "v", &v)?];
        let rows = sequences(op, indices(&batch.starts), q.rows, batch.longest)?;
        cached::attend_full(self, q, kv, &rows, attention, activation_mut(op, "y", y)?);
        Ok(())
    }

    fn silu_mul(&self, gate: Read<'_>, up: Read<'_>, y: Write<'_>) -> Result<()> {
        let op = "silu_mul";
        shape::same(op, ["gate", "up"], &gate.place, &up.place)?;
        shape::same(op, ["gate", "y"], &gate.place, &y.place)?;
        let (gate, up) = (activation(op, "gate", &gate)?, activation(op, "up", &up)?);
        elementwise::silu_mul(&self.pool, self.isa, gate, up, activation_mut(op, "y", y)?);
        Ok(())
    }

    fn activate(&self, x: Write<'_>, activation: Activation) -> Result<()> {
        elementwise::activate(&self.pool, self.isa, activation_mut("activate", "x", x)?, activation);
        Ok(())
    }

    fn mean_pool(&self, x: Read<'_>, batch: Ragged<'_, HostBuffer>, y: Write<'_>) -> Result<()> {
        let op = "mean_pool";
        shape::pooled(op, &x.place, batch.starts.len(), &y.place)?;
        let (x, y) = (activation(op, "x", &x)?, activation_mut(op, "y", y)?);
        let rows = sequences(op, indices(&batch.starts), x.rows, batch.longest)?;
        elementwise::mean_pool(&self.pool, self.isa, x, &rows, y);
        Ok(())
    }

    fn gather_rows(&self, x: Read<'_>, rows: Indices<'_, HostBuffer>, y: Write<'_>) -> Result<()> {
        let op = "gather_rows";
        shape::gather(&x.place, rows.len(), &y.place)?;
        let rows = indices(&rows);
        below(op, "rows", rows, x.place.rows)?;
        let (_, y) = (activation(op, "x", &x)?, activation_mut(op, "y", y)?);
        elementwise::embedding(&self.pool, self.isa, rows, &any(&x), y, false);
        Ok(())
    }

    fn last_rows(&self, x: Read<'_>, batch: Ragged<'_, HostBuffer>, y: Write<'_>) -> Result<()> {
        let op = "last_rows";
        shape::pooled(op, &x.place, batch.starts.len(), &y.place)?;
        let (_, y) = (activation(op, "x", &x)?, activation_mut(op, "y", y)?);
        let starts = indices(&batch.starts);
        let rows = sequences(op, starts, x.place.rows, batch.longest)?;
        if let Some(at) = rows.iter().position(Range::is_empty) {
            let (value, limit) = (starts[at].into(), starts[at + 1].into());
            return Err(Error::Index { op, argument: "starts", at, value, limit });
        }
        let last: Vec<u32> = starts[1..].iter().map(|end| end - 1).collect();
        elementwise::embedding(&self.pool, self.isa, &last, &any(&x), y, false);
        Ok(())
    }

    fn argmax(&self, x: Read<'_>, y: IndicesMut<'_, HostBuffer>) -> Result<()> {
        shape::argmax(&x.place, y.len())?;
        let x = activation("argmax", "x", &x)?;
        let y = indices_mut(y);
        elementwise::argmax(&self.pool, self.isa, x, y);
        Ok(())
    }

    fn advance(&self, x: IndicesMut<'_, HostBuffer>, by: u32) -> Result<()> {
        indices_mut(x).iter_mut().for_each(|x| *x = x.wrapping_add(by));
        Ok(())
    }

    fn convert(&self, x: Read<'_>, y: Write<'_>) -> Result<()> {
        shape::same("convert", ["x", "y"], &x.place, &y.place)?;
        convert::convert(self, &any(&x), y);
        Ok(())
    }

    fn fill_uniform(&self, y: Write<'_>, seed: u64, bound: f32) -> Result<()> {
        convert::fill_uniform(self, y, seed, bound);
        Ok(())
    }

    fn fill_pattern(&self, memory: &mut HostBuffer, range: Range<usize>, seed: u64) -> Result<()> {
        let memory = part_mut("memory to be filled", memory.as_mut_slice(), range)?;
        bytes::fill(&self.pool, memory, seed);
        Ok(())
    }

    fn verify_pattern(
        &self,
        memory: &HostBuffer,
        range: Range<usize>,
        seed: u64,
    ) -> Result<Option<Mismatch>> {
        let memory = part("memory to be verified", memory.as_slice(), range)?;
        Ok(bytes::verify(&self.pool, memory, seed))
    }

    fn checksum(&self, memory: &HostBuffer, range: Range<usize>) -> Result<u64> {
        let memory = part("memory to be summed", memory.as_slice(), range)?;
        Ok(bytes::sum(&self.pool, self.isa, memory))
    }
}
