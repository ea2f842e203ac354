//! The operations of a CUDA device: each goes to the module that checks its arguments and launches its kernels.

use std::ops::Range;

use super::device::CudaDevice;
use super::graph::CudaGraph;
use super::memory::CudaBuffer;
use super::{attention, bytes, elementwise, linear, rows};
use crate::{
    Activation, Attention, Dtype, Error, Indices, IndicesMut, KvCache, Matrix, MatrixMut, Mismatch, Ops,
    Placement, Product, Ragged, Result,
};

pub(super) type Read<'a> = Matrix<'a, CudaBuffer>;
pub(super) type Write<'a> = MatrixMut<'a, CudaBuffer>;

impl Ops for CudaDevice {
    type Graph = CudaGraph;

    fn record<E: From<Error>>(&self, body: impl FnOnce() -> Result<(), E>) -> Result<Option<CudaGraph>, E> {
        self.begin_record()?;
        let recorded = body();
        // The stream must leave its recording state also where the body failed.
        let graph = self.end_record();
        recorded?;
        Ok(Some(graph?))
    }

    fn replay(&self, graph: &CudaGraph) -> Result<()> {
        self.replay_graph(graph)
    }

    fn activation_dtype(&self, weights: Dtype) -> Dtype {
        weights
    }

    fn gemm_name(&self) -> String {
        linear::name(self)
    }

    fn products(&self) -> Vec<Product> {
        linear::products(self)
    }

    fn embedding(&self, ids: Indices<'_, CudaBuffer>, table: Read<'_>, y: Write<'_>) -> Result<()> {
        rows::embedding(self, ids, table, y)
    }

    fn add_embedding(&self, ids: Indices<'_, CudaBuffer>, table: Read<'_>, y: Write<'_>) -> Result<()> {
        rows::add_embedding(self, ids, table, y)
    }

    fn linear(&self, x: Read<'_>, w: Read<'_>, bias: Option<Read<'_>>, y: Write<'_>) -> Result<()> {
        linear::linear(self, x, w, bias, y)
    }

    fn rms_norm(&self, x: Read<'_>, weight: Read<'_>, eps: f32, y: Write<'_>) -> Result<()> {
        rows::rms_norm(self, x, weight, eps, y)
    }

    fn rms_norm_in_place(&self, x: Write<'_>, weight: Read<'_>, eps: f32) -> Result<()> {
        rows::rms_norm_in_place(self, x, weight, eps)
    }

    fn add_rms_norm(
        &self,
        residual: Write<'_>,
        x: Read<'_>,
        weight: Read<'_>,
        eps: f32,
        y: Write<'_>,
    ) -> Result<()> {
        rows::add_rms_norm(self, residual, x, weight, eps, y)
    }

    fn layer_norm_in_place(&self, x: Write<'_>, weight: Read<'_>, bias: Read<'_>, eps: f32) -> Result<()> {
        rows::layer_norm_in_place(self, x, weight, bias, eps)
    }

    fn add_layer_norm(
        &self,
        residual: Write<'_>,
        x: Read<'_>,
        weight: Read<'_>,
        bias: Read<'_>,
        eps: f32,
    ) -> Result<()> {
        rows::add_layer_norm(self, residual, x, weight, bias, eps)
    }

    fn add(&self, x: Read<'_>, y: Write<'_>) -> Result<()> {
        elementwise::add(self, x, y)
    }

    fn rotary_table(
        &self,
        positions: Indices<'_, CudaBuffer>,
        inv_freq: Read<'_>,
        scaling: f32,
        table: Write<'_>,
    ) -> Result<()> {
        rows::rotary_table(self, positions, inv_freq, scaling, table)
    }

    fn rotary(&self, x: Write<'_>, head_dim: usize, table: Read<'_>) -> Result<()> {
        rows::rotary(self, x, head_dim, table)
    }

    fn kv_write(
        &self,
        k: Read<'_>,
        v: Read<'_>,
        at: Placement<'_, CudaBuffer>,
        cache: &mut KvCache<CudaBuffer>,
    ) -> Result<()> {
        attention::kv_write(self, k, v, at, cache)
    }

    fn attention_prefill(
        &self,
        q: Read<'_>,
        cache: &KvCache<CudaBuffer>,
        batch: Ragged<'_, CudaBuffer>,
        at: Placement<'_, CudaBuffer>,
        attention: &Attention,
        y: Write<'_>,
    ) -> Result<()> {
        attention::attention_prefill(self, q, cache, batch, at, attention, y)
    }

    fn attention_decode(
        &self,
        q: Read<'_>,
        cache: &KvCache<CudaBuffer>,
        at: Placement<'_, CudaBuffer>,
        attention: &Attention,
        y: Write<'_>,
    ) -> Result<()> {
        attention::attention_decode(self, q, cache, at, attention, y)
    }

    fn attention_full(
        &self,
        q: Read<'_>,
        k: Read<'_>,
        v: Read<'_>,
        batch: Ragged<'_, CudaBuffer>,
        attention: &Attention,
        y: Write<'_>,
    ) -> Result<()> {
        attention::attention_full(self, q, k, v, batch, attention, y)
    }

    fn silu_mul(&self, gate: Read<'_>, up: Read<'_>, y: Write<'_>) -> Result<()> {
        elementwise::silu_mul(self, gate, up, y)
    }

    fn activate(&self, x: Write<'_>, activation: Activation) -> Result<()> {
        elementwise::activate(self, x, activation)
    }

    fn mean_pool(&self, x: Read<'_>, batch: Ragged<'_, CudaBuffer>, y: Write<'_>) -> Result<()> {
        rows::mean_pool(self, x, batch, y)
    }

    fn gather_rows(&self, x: Read<'_>, rows: Indices<'_, CudaBuffer>, y: Write<'_>) -> Result<()> {
        rows::gather_rows(self, x, rows, y)
    }

    fn last_rows(&self, x: Read<'_>, batch: Ragged<'_, CudaBuffer>, y: Write<'_>) -> Result<()> {
        rows::last_rows(self, x, batch, y)
    }

    fn argmax(&self, x: Read<'_>, y: IndicesMut<'_, CudaBuffer>) -> Result<()> {
        rows::argmax(self, x, y)
    }

    fn advance(&self, x: IndicesMut<'_, CudaBuffer>, by: u32) -> Result<()> {
        bytes::advance(self, x, by)
    }

    fn convert(&self, x: Read<'_>, y: Write<'_>) -> Result<()> {
        elementwise::convert(self, x, y)
    }

    fn fill_uniform(&self, y: Write<'_>, seed: u64, bound: f32) -> Result<()> {
        elementwise::fill_uniform(self, y, seed, bound)
    }

    fn fill_pattern(&self, memory: &mut CudaBuffer, range: Range<usize>, seed: u64) -> Result<()> {
        bytes::fill_pattern(self, memory, range, seed)
    }

    fn verify_pattern(
        &self,
        memory: &CudaBuffer,
        range: Range<usize>,
        seed: u64,
    ) -> Result<Option<Mismatch>> {
        bytes::verify_pattern(self, memory, range, seed)
    }

    fn checksum(&self, memory: &CudaBuffer, range: Range<usize>) -> Result<u64> {
        bytes::checksum(self, memory, range)
    }
}
