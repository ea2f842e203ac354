//! The operations of a transformer.

use std::fmt;
use std::ops::Range;

use crate::{Device, Dtype, Error, Indices, IndicesMut, KvCache, Matrix, MatrixMut, Product, Result};

/// A function that is applied to each element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Activation {
    /// x·(1 + erf(x/√2))/2, `gelu` of Hugging Face.
    GeluErf,
    /// x·(1 + tanh(√(2/π)·(x + 0.044715·x³)))/2, `gelu_new` and `gelu_pytorch_tanh` of Hugging Face.
    GeluTanh,
    /// x/(1 + e⁻ˣ), also called swish.
    Silu,
    /// max(x, 0).
    Relu,
    /// The hyperbolic tangent.
    Tanh,
}

/// Several sequences one after the other in the rows of a matrix; what starts and ends where is in device memory, so
/// that a recorded graph can be replayed with other lengths.
pub struct Ragged<'a, B> {
    /// `[sequences + 1]`: sequence s has rows `starts[s]..starts[s + 1]`. `starts[0]` is 0, none is below the one
    /// before, the last is at most the number of rows.
    pub starts: Indices<'a, B>,
    /// A bound on the rows of the longest sequence, known to the host: what a launch is sized for.
    pub longest: usize,
}

impl<B> Clone for Ragged<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<B> Copy for Ragged<'_, B> {}

impl<B> Ragged<'_, B> {
    /// How many sequences.
    pub fn sequences(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }
}

/// Where each row of a batch lives in a [`KvCache`]; both in device memory.
pub struct Placement<'a, B> {
    /// `[rows]`: the cache slot of the row's sequence.
    pub slots: Indices<'a, B>,
    /// `[rows]`: the row's position in its sequence, from 0.
    pub positions: Indices<'a, B>,
}

impl<B> Clone for Placement<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<B> Copy for Placement<'_, B> {}

/// The fixed numbers of an attention layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Attention {
    /// Query heads; a multiple of `kv_heads`. Query head h reads key-value head h / (query_heads / kv_heads).
    pub query_heads: usize,
    /// Key-value heads.
    pub kv_heads: usize,
    /// Numbers in a head's query, key or value.
    pub head_dim: usize,
    /// What scores are multiplied with before the softmax, usually 1/√head_dim.
    pub scale: f32,
    /// Causal only: attend to the last `window` positions, the own one included (Mistral's sliding window).
    pub window: Option<usize>,
}

/// Where memory first differs from the pattern that it should hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mismatch {
    /// The offset of the first wrong byte from the start of the range.
    pub first: usize,
    /// How many 8-byte words (the last may be shorter) are wrong.
    pub words: usize,
}

/// The operations that a transformer needs.
///
/// Each enqueues on [`compute`](Device::compute) and may return before it ran. Arguments are checked on entry: views
/// that do not fit fail with [`Error::Shape`](crate::Error::Shape) or [`Error::Dtype`](crate::Error::Dtype), which
/// name the operation and the shapes. Numbers read from device memory (ids, positions, slots, starts) are checked
/// where they are used: one that is out of range makes the host device fail with
/// [`Error::Index`](crate::Error::Index); an asynchronous device skips that row. Neither touches memory outside the views.
///
/// Shapes are `[rows, columns]`, row-major; a matrix may be a range of columns of a wider one. Activations are of
/// [`activation_dtype`](Ops::activation_dtype) unless it says otherwise; weights (also norm weights, biases and
/// embedding tables) may be of any [`Dtype`]. Sums run in f32 or better. Row vectors are `[1, n]`.
pub trait Ops: Device {
    /// Operations that were recorded once, to be enqueued again as one.
    type Graph: fmt::Debug + Send;

    /// Records what `body` enqueues on the compute stream instead of running it. All buffers that it uses must live as long
    /// as the graph; numbers in device memory (ids, positions, slots) are read when it is replayed, so that one graph
    /// serves all steps of a decode loop. `body` must not wait for the device (as [`checksum`](Ops::checksum) and
    /// [`verify_pattern`](Ops::verify_pattern) do, whose results are for the host) nor allocate: what does is refused. `None`, without calling
    /// `body`, on a device that has no graphs (host).
    fn record<E: From<Error>>(&self, body: impl FnOnce() -> Result<(), E>) -> Result<Option<Self::Graph>, E>;

    /// Enqueues a recorded graph on the compute stream. The caller answers for its buffers being alive.
    fn replay(&self, graph: &Self::Graph) -> Result<()>;

    /// The format of activations and caches where the weights are of format `weights` (host: always f32).
    fn activation_dtype(&self, weights: Dtype) -> Dtype;

    /// The implementation of matrix products that [`linear`](Ops::linear) uses, for the record.
    fn gemm_name(&self) -> String;

    /// Every product that was enqueued or recorded so far, by shape and format, and what ran it; in the order in which they
    /// first came. Empty on a device with only one implementation (host).
    fn products(&self) -> Vec<Product>;

    /// y\[t\] = table\[ids\[t\]\]. `ids: [tokens]`, `table: [vocabulary, hidden]`, `y: [tokens, hidden]`.
    fn embedding(
        &self,
        ids: Indices<'_, Self::Buffer>,
        table: Matrix<'_, Self::Buffer>,
        y: MatrixMut<'_, Self::Buffer>,
    ) -> Result<()>;

    /// y\[t\] += table\[ids\[t\]\], for position and token-type embeddings. Shapes as in [`embedding`](Ops::embedding).
    fn add_embedding(
        &self,
        ids: Indices<'_, Self::Buffer>,
        table: Matrix<'_, Self::Buffer>,
        y: MatrixMut<'_, Self::Buffer>,
    ) -> Result<()>;

    /// y = x·wᵀ + bias. `x: [m, k]`, `w: [n, k]` (as `torch.nn.Linear` stores it), `bias: [1, n]`, `y: [m, n]`.
    /// [`flops::linear`](crate::flops::linear) counts its work.
    fn linear(
        &self,
        x: Matrix<'_, Self::Buffer>,
        w: Matrix<'_, Self::Buffer>,
        bias: Option<Matrix<'_, Self::Buffer>>,
        y: MatrixMut<'_, Self::Buffer>,
    ) -> Result<()>;

    /// y = x/√(mean(x²) + eps)·weight over each group of `weight.cols` columns. `x, y: [rows, groups·n]`,
    /// `weight: [1, n]`; one group is the usual norm, one group per head is the query and key norm of Qwen3.
    fn rms_norm(
        &self,
        x: Matrix<'_, Self::Buffer>,
        weight: Matrix<'_, Self::Buffer>,
        eps: f32,
        y: MatrixMut<'_, Self::Buffer>,
    ) -> Result<()>;

    /// [`rms_norm`](Ops::rms_norm) with y = x.
    fn rms_norm_in_place(
        &self,
        x: MatrixMut<'_, Self::Buffer>,
        weight: Matrix<'_, Self::Buffer>,
        eps: f32,
    ) -> Result<()>;

    /// residual += x, then y = rms_norm(residual): the step between two blocks of a pre-norm transformer.
    /// `residual, x, y: [rows, groups·n]`, `weight: [1, n]`.
    fn add_rms_norm(
        &self,
        residual: MatrixMut<'_, Self::Buffer>,
        x: Matrix<'_, Self::Buffer>,
        weight: Matrix<'_, Self::Buffer>,
        eps: f32,
        y: MatrixMut<'_, Self::Buffer>,
    ) -> Result<()>;

    /// x = (x − mean(x))/√(var(x) + eps)·weight + bias over each row, in place. `x: [rows, n]`, `weight, bias: [1, n]`.
    fn layer_norm_in_place(
        &self,
        x: MatrixMut<'_, Self::Buffer>,
        weight: Matrix<'_, Self::Buffer>,
        bias: Matrix<'_, Self::Buffer>,
        eps: f32,
    ) -> Result<()>;

    /// residual = layer_norm(residual + x): the step between two blocks of a post-norm transformer (BERT). Shapes as in
    /// [`layer_norm_in_place`](Ops::layer_norm_in_place), `x: [rows, n]`.
    fn add_layer_norm(
        &self,
        residual: MatrixMut<'_, Self::Buffer>,
        x: Matrix<'_, Self::Buffer>,
        weight: Matrix<'_, Self::Buffer>,
        bias: Matrix<'_, Self::Buffer>,
        eps: f32,
    ) -> Result<()>;

    /// y += x. `x, y: [rows, n]`.
    fn add(&self, x: Matrix<'_, Self::Buffer>, y: MatrixMut<'_, Self::Buffer>) -> Result<()>;

    /// The cosines and sines that [`rotary`](Ops::rotary) turns by, once a forward pass:
    /// `table[t] = scaling·(cos(positions[t]·inv_freq) ‖ sin(positions[t]·inv_freq))`. `inv_freq: [1, r]` of f32,
    /// `table: [tokens, 2·r]` of f32 on every device. `scaling` is the attention factor of YaRN and the like, else 1.
    fn rotary_table(
        &self,
        positions: Indices<'_, Self::Buffer>,
        inv_freq: Matrix<'_, Self::Buffer>,
        scaling: f32,
        table: MatrixMut<'_, Self::Buffer>,
    ) -> Result<()>;

    /// Rotary embedding, in place, half-split as in Hugging Face's Llama (GPT-NeoX): in each head, column i < r and
    /// column i + r turn together; columns from 2·r on stay. `x: [tokens, heads·head_dim]`, `table: [tokens, 2·r]` of f32
    /// with 2·r ≤ head_dim.
    fn rotary(
        &self,
        x: MatrixMut<'_, Self::Buffer>,
        head_dim: usize,
        table: Matrix<'_, Self::Buffer>,
    ) -> Result<()>;

    /// Writes each row's keys and values to its place in the cache. `k, v: [rows, kv_heads·head_dim]`. No two rows may have
    /// the same place.
    fn kv_write(
        &self,
        k: Matrix<'_, Self::Buffer>,
        v: Matrix<'_, Self::Buffer>,
        at: Placement<'_, Self::Buffer>,
        cache: &mut KvCache<Self::Buffer>,
    ) -> Result<()>;

    /// Causal attention over the cache for several tokens a sequence: the row at position p attends to positions 0..=p
    /// of its slot (the last `window` of them), which [`kv_write`](Ops::kv_write) has written before. The rows of one
    /// sequence share a slot and have consecutive positions, from any first one on (a prompt in chunks).
    /// `q, y: [rows, query_heads·head_dim]`.
    fn attention_prefill(
        &self,
        q: Matrix<'_, Self::Buffer>,
        cache: &KvCache<Self::Buffer>,
        batch: Ragged<'_, Self::Buffer>,
        at: Placement<'_, Self::Buffer>,
        attention: &Attention,
        y: MatrixMut<'_, Self::Buffer>,
    ) -> Result<()>;

    /// The same for one token a sequence. All that changes from step to step is in device memory.
    fn attention_decode(
        &self,
        q: Matrix<'_, Self::Buffer>,
        cache: &KvCache<Self::Buffer>,
        at: Placement<'_, Self::Buffer>,
        attention: &Attention,
        y: MatrixMut<'_, Self::Buffer>,
    ) -> Result<()>;

    /// Bidirectional attention within each sequence of a batch (encoders); `attention.window` must be `None`.
    /// `q, y: [rows, query_heads·head_dim]`, `k, v: [rows, kv_heads·head_dim]`.
    fn attention_full(
        &self,
        q: Matrix<'_, Self::Buffer>,
        k: Matrix<'_, Self::Buffer>,
        v: Matrix<'_, Self::Buffer>,
        batch: Ragged<'_, Self::Buffer>,
        attention: &Attention,
        y: MatrixMut<'_, Self::Buffer>,
    ) -> Result<()>;

    /// y = silu(gate)·up, the gated feed-forward of Llama. All `[rows, n]`; `gate` and `up` may lie in one matrix.
    fn silu_mul(
        &self,
        gate: Matrix<'_, Self::Buffer>,
        up: Matrix<'_, Self::Buffer>,
        y: MatrixMut<'_, Self::Buffer>,
    ) -> Result<()>;

    /// x = activation(x), in place.
    fn activate(&self, x: MatrixMut<'_, Self::Buffer>, activation: Activation) -> Result<()>;

    /// y\[s\] = mean of the rows of sequence s; of none, zero. `x: [rows, n]`, `y: [sequences, n]`.
    fn mean_pool(
        &self,
        x: Matrix<'_, Self::Buffer>,
        batch: Ragged<'_, Self::Buffer>,
        y: MatrixMut<'_, Self::Buffer>,
    ) -> Result<()>;

    /// y\[i\] = x\[rows\[i\]\]. `rows: [m]`, `y: [m, n]`.
    fn gather_rows(
        &self,
        x: Matrix<'_, Self::Buffer>,
        rows: Indices<'_, Self::Buffer>,
        y: MatrixMut<'_, Self::Buffer>,
    ) -> Result<()>;

    /// y\[s\] = the last row of sequence s, which must have one. `x: [rows, n]`, `y: [sequences, n]`.
    fn last_rows(
        &self,
        x: Matrix<'_, Self::Buffer>,
        batch: Ragged<'_, Self::Buffer>,
        y: MatrixMut<'_, Self::Buffer>,
    ) -> Result<()>;

    /// y\[i\] = the column of the largest element of row i, the first of equals; NaN counts as least. `x: [m, n]` with
    /// n ≥ 1, `y: [m]`.
    fn argmax(&self, x: Matrix<'_, Self::Buffer>, y: IndicesMut<'_, Self::Buffer>) -> Result<()>;

    /// Adds `by` to each number, wrapping: moves the positions of a decode loop on without the host.
    fn advance(&self, x: IndicesMut<'_, Self::Buffer>, by: u32) -> Result<()>;

    /// y = x in the format of y, rounded to nearest even. The two may be of any format. `x, y: [rows, n]`.
    fn convert(&self, x: Matrix<'_, Self::Buffer>, y: MatrixMut<'_, Self::Buffer>) -> Result<()>;

    /// Fills with numbers uniform in [−bound, bound), the same on every device for one seed:
    /// [`checksum::uniform`](crate::checksum::uniform) of row·columns + column. y of any format.
    fn fill_uniform(&self, y: MatrixMut<'_, Self::Buffer>, seed: u64, bound: f32) -> Result<()>;

    /// Fills `range` of a buffer with the pattern of `seed`: 8-byte little-endian words
    /// [`checksum::pattern`](crate::checksum::pattern)`(seed, i)`, i from 0 at the start of the range; the last is cut.
    fn fill_pattern(&self, memory: &mut Self::Buffer, range: Range<usize>, seed: u64) -> Result<()>;

    /// Compares `range` with the pattern of `seed`; `None` where all is as it should be. Waits for the device.
    fn verify_pattern(
        &self,
        memory: &Self::Buffer,
        range: Range<usize>,
        seed: u64,
    ) -> Result<Option<Mismatch>>;

    /// [`checksum::of`](crate::checksum::of) of the bytes in `range`. Waits for the device.
    fn checksum(&self, memory: &Self::Buffer, range: Range<usize>) -> Result<u64>;
}
