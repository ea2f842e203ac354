//! The forward pass of the decoder families, written once on a device's operations.

use coldstart_kernels::{
    Attention, Dtype, Indices, IndicesMut, KvCache, Matrix, Memory, Ops, Placement, Ragged,
};

use super::config::DecoderConfig;
use super::error::ModelError;
use super::tensors::{Finder, Linear, Weight};
use super::workspace::{Rows, row_bytes};
use crate::weights::TensorTable;

/// A decoder whose tensors were found among the loaded weights.
#[derive(Debug)]
pub(super) struct Decoder<B> {
    config: DecoderConfig,
    embedding: Weight,
    layers: Vec<Layer>,
    norm: Weight,
    head: Weight,
    /// `[1, head_dim / 2]` of f32.
    inverse_frequencies: B,
    activation: Dtype,
}

#[derive(Debug)]
struct Layer {
    input_norm: Weight,
    query: Linear,
    key: Linear,
    value: Linear,
    query_norm: Option<Weight>,
    key_norm: Option<Weight>,
    output: Linear,
    mlp_norm: Weight,
    gate: Linear,
    up: Linear,
    down: Linear,
    attention: Attention,
}

impl Layer {
    fn find(config: &DecoderConfig, from: &Finder<'_>, index: usize) -> Result<Self, ModelError> {
        let (hidden, q, kv) = (config.hidden, config.q_width(), config.kv_width());
        let attention = from.under("self_attn.");
        let mlp = from.under("mlp.");
        let head_norm = |name| {
            if config.qk_norm { attention.vector(name, config.head_dim).map(Some) } else { Ok(None) }
        };
        Ok(Self {
            input_norm: from.vector("input_layernorm.weight", hidden)?,
            query: Linear::find(&attention, "q_proj", [q, hidden], config.qkv_bias)?,
            key: Linear::find(&attention, "k_proj", [kv, hidden], config.qkv_bias)?,
            value: Linear::find(&attention, "v_proj", [kv, hidden], config.qkv_bias)?,
            query_norm: head_norm("q_norm.weight")?,
            key_norm: head_norm("k_norm.weight")?,
            output: Linear::find(&attention, "o_proj", [hidden, q], config.output_bias)?,
            mlp_norm: from.vector("post_attention_layernorm.weight", hidden)?,
            gate: Linear::find(&mlp, "gate_proj", [config.intermediate, hidden], config.mlp_bias)?,
            up: Linear::find(&mlp, "up_proj", [config.intermediate, hidden], config.mlp_bias)?,
            down: Linear::find(&mlp, "down_proj", [hidden, config.intermediate], config.mlp_bias)?,
            attention: Attention {
                query_heads: config.heads,
                kv_heads: config.kv_heads,
                head_dim: config.head_dim,
                scale: (config.head_dim as f32).sqrt().recip(),
                window: config.windows[index],
            },
        })
    }

    /// Bytes of its projections and norms.
    fn bytes(&self) -> u64 {
        let linear = [self.query, self.key, self.value, self.output, self.gate, self.up, self.down];
        let norms = [Some(self.input_norm), Some(self.mlp_norm), self.query_norm, self.key_norm];
        let norms = norms.into_iter().flatten().map(Weight::bytes).fold(0, u64::saturating_add);
        linear.into_iter().map(Linear::bytes).fold(norms, u64::saturating_add)
    }
}

/// The activations of a decoder.
#[derive(Debug)]
pub(super) struct DecoderWork<B> {
    /// `[tokens, hidden]`: what every block adds to.
    residual: Rows<B>,
    /// `[tokens, hidden]`: the normed input of a block.
    normed: Rows<B>,
    /// `[tokens, q + kv + kv]`: queries, keys and values side by side.
    pub(super) qkv: Rows<B>,
    /// `[tokens, q]`: what attention gathered.
    attended: Rows<B>,
    /// `[tokens, hidden]`: the output of a block.
    branch: Rows<B>,
    /// `[tokens, 2 · intermediate]`: gate and up side by side.
    gate_up: Rows<B>,
    /// `[tokens, intermediate]`: silu(gate) · up.
    gated: Rows<B>,
    /// `[tokens, head_dim]` of f32: cosines and sines of each token's position.
    rotary: Rows<B>,
    /// `[sequences, hidden]`: the last token of each sequence.
    last: Rows<B>,
    /// `[sequences, vocab]`.
    pub(super) logits: Rows<B>,
    /// `[sequences]` of u32: the likeliest next token.
    pub(super) next: B,
}

impl<B: Memory> DecoderWork<B> {
    /// Room for `rows` tokens of `sequences` sequences.
    pub(super) fn alloc<O: Ops<Buffer = B>>(
        device: &O,
        decoder: &Decoder<B>,
        rows: usize,
        sequences: usize,
    ) -> Result<Self, ModelError> {
        let (config, dtype) = (&decoder.config, decoder.activation);
        let tokens = |columns| Rows::alloc(device, rows, columns, dtype);
        Ok(Self {
            residual: tokens(config.hidden)?,
            normed: tokens(config.hidden)?,
            qkv: tokens(config.q_width() + 2 * config.kv_width())?,
            attended: tokens(config.q_width())?,
            branch: tokens(config.hidden)?,
            gate_up: tokens(2 * config.intermediate)?,
            gated: tokens(config.intermediate)?,
            rotary: Rows::alloc(device, rows, config.head_dim, Dtype::F32)?,
            last: Rows::alloc(device, sequences, config.hidden, dtype)?,
            logits: Rows::alloc(device, sequences, config.vocab, dtype)?,
            next: device.alloc(sequences.saturating_mul(4))?,
        })
    }

    /// Bytes that [`alloc`](Self::alloc) takes.
    pub(super) fn bytes(config: &DecoderConfig, dtype: Dtype, rows: usize, sequences: usize) -> u64 {
        let per_token =
            3 * config.hidden + 2 * config.q_width() + 2 * config.kv_width() + 3 * config.intermediate;
        row_bytes(rows, per_token, dtype)
            .saturating_add(row_bytes(rows, config.head_dim, Dtype::F32))
            .saturating_add(row_bytes(sequences, config.hidden + config.vocab, dtype))
            .saturating_add(row_bytes(sequences, 1, Dtype::F32))
    }
}

/// The tokens of one forward pass.
pub(super) struct Tokens<'a, B> {
    /// How many.
    pub(super) rows: usize,
    /// How many sequences.
    pub(super) sequences: usize,
    /// `[rows]`: their ids.
    pub(super) ids: Indices<'a, B>,
    /// `[rows]`: their cache slots and positions.
    pub(super) at: Placement<'a, B>,
    /// How the rows belong to sequences; `None` where each sequence has one row.
    pub(super) ragged: Option<Ragged<'a, B>>,
}

impl<B: Memory> Decoder<B> {
    /// Finds and checks every tensor.
    ///
    /// # Errors
    /// The first tensor that is missing or has another shape or type than config.json implies.
    pub(super) fn find<O: Ops<Buffer = B>>(
        device: &O,
        config: &DecoderConfig,
        table: &TensorTable,
    ) -> Result<Self, ModelError> {
        let model = Finder::new(table, "model.");
        let embedding = model.matrix("embed_tokens.weight", config.vocab, config.hidden)?;
        let layers = (0..config.layers)
            .map(|index| Layer::find(config, &model.under(&format!("layers.{index}.")), index))
            .collect::<Result<Vec<_>, _>>()?;
        let norm = model.vector("norm.weight", config.hidden)?;
        let head = if config.tied {
            embedding
        } else {
            Finder::new(table, "").matrix("lm_head.weight", config.vocab, config.hidden)?
        };
        let frequencies = config.rope.inverse_frequencies(config.head_dim);
        let mut inverse_frequencies = device.alloc(frequencies.len() * 4)?;
        device.upload(device.compute(), bytemuck::cast_slice(&frequencies), &mut inverse_frequencies, 0)?;
        // The embedding's type stands for the model's: what projections are stored in follows it in every family.
        let activation = device.activation_dtype(embedding.dtype());
        Ok(Self { config: config.clone(), embedding, layers, norm, head, inverse_frequencies, activation })
    }

    /// What config.json says.
    pub(super) fn config(&self) -> &DecoderConfig {
        &self.config
    }

    /// The type of activations and of the KV cache.
    pub(super) fn activation(&self) -> Dtype {
        self.activation
    }

    /// Bytes that a decode step must move at least: every weight once, of the embedding only the rows looked up unless
    /// it is the output projection too, and the keys and values of the context. Activations stay in caches.
    pub(super) fn decode_bytes(&self, sequences: usize, context: usize) -> u64 {
        let layers = self.layers.iter().map(Layer::bytes).fold(0u64, u64::saturating_add);
        layers
            .saturating_add(self.norm.bytes())
            .saturating_add(self.head.bytes())
            .saturating_add(self.embedding.row_bytes().saturating_mul(sequences as u64))
            .saturating_add(self.config.kv_traffic(sequences, context, self.activation))
    }

    /// Enqueues a forward pass: writes keys and values of all tokens to `caches`, then the logits and the likeliest
    /// next token of each sequence to `work`.
    pub(super) fn forward<O: Ops<Buffer = B>>(
        &self,
        device: &O,
        weights: &B,
        tokens: &Tokens<'_, B>,
        work: &mut DecoderWork<B>,
        caches: &mut [KvCache<B>],
    ) -> Result<(), ModelError> {
        let n = tokens.rows;
        let eps = self.config.norm_eps;
        device.embedding(tokens.ids, self.embedding.of(weights)?, work.residual.view_mut(n)?)?;
        let frequencies = Matrix::new(&self.inverse_frequencies, Dtype::F32, [1, self.config.head_dim / 2])?;
        device.rotary_table(tokens.at.positions, frequencies, 1.0, work.rotary.view_mut(n)?)?;
        let first = self.layers.first().map_or(self.norm, |layer| layer.input_norm);
        device.rms_norm(work.residual.view(n)?, first.of(weights)?, eps, work.normed.view_mut(n)?)?;
        for (index, (layer, cache)) in self.layers.iter().zip(caches).enumerate() {
            self.attend(device, weights, layer, tokens, work, cache)?;
            add_and_norm(device, weights, work, n, layer.mlp_norm, eps)?;
            self.mlp(device, weights, layer, n, work)?;
            let next = self.layers.get(index + 1).map_or(self.norm, |next| next.input_norm);
            add_and_norm(device, weights, work, n, next, eps)?;
        }
        self.predict(device, weights, tokens, work)
    }

    /// `normed` → `branch`: the attention block.
    fn attend<O: Ops<Buffer = B>>(
        &self,
        device: &O,
        weights: &B,
        layer: &Layer,
        tokens: &Tokens<'_, B>,
        work: &mut DecoderWork<B>,
        cache: &mut KvCache<B>,
    ) -> Result<(), ModelError> {
        let n = tokens.rows;
        let (q, kv) = (self.config.q_width(), self.config.kv_width());
        let (queries, keys, values) = (0..q, q..q + kv, q + kv..q + 2 * kv);
        let x = work.normed.view(n)?;
        layer.query.apply(device, weights, x, work.qkv.view_mut(n)?.columns(queries.clone())?)?;
        layer.key.apply(device, weights, x, work.qkv.view_mut(n)?.columns(keys.clone())?)?;
        layer.value.apply(device, weights, x, work.qkv.view_mut(n)?.columns(values.clone())?)?;
        for (norm, columns) in [(layer.query_norm, &queries), (layer.key_norm, &keys)] {
            if let Some(norm) = norm {
                let heads = work.qkv.view_mut(n)?.columns(columns.clone())?;
                device.rms_norm_in_place(heads, norm.of(weights)?, self.config.norm_eps)?;
            }
        }
        // Queries and keys lie side by side and turn alike.
        let turned = work.qkv.view_mut(n)?.columns(0..q + kv)?;
        device.rotary(turned, self.config.head_dim, work.rotary.view(n)?)?;
        let qkv = work.qkv.view(n)?;
        device.kv_write(qkv.columns(keys)?, qkv.columns(values)?, tokens.at, cache)?;
        let (queries, attended) = (qkv.columns(queries)?, work.attended.view_mut(n)?);
        match tokens.ragged {
            Some(batch) => {
                device.attention_prefill(queries, cache, batch, tokens.at, &layer.attention, attended)?;
            }
            None => device.attention_decode(queries, cache, tokens.at, &layer.attention, attended)?,
        }
        layer.output.apply(device, weights, work.attended.view(n)?, work.branch.view_mut(n)?)
    }

    /// `normed` → `branch`: the gated MLP.
    fn mlp<O: Ops<Buffer = B>>(
        &self,
        device: &O,
        weights: &B,
        layer: &Layer,
        n: usize,
        work: &mut DecoderWork<B>,
    ) -> Result<(), ModelError> {
        let width = self.config.intermediate;
        let x = work.normed.view(n)?;
        layer.gate.apply(device, weights, x, work.gate_up.view_mut(n)?.columns(0..width)?)?;
        layer.up.apply(device, weights, x, work.gate_up.view_mut(n)?.columns(width..2 * width)?)?;
        let both = work.gate_up.view(n)?;
        let (gate, up) = (both.columns(0..width)?, both.columns(width..2 * width)?);
        device.silu_mul(gate, up, work.gated.view_mut(n)?)?;
        layer.down.apply(device, weights, work.gated.view(n)?, work.branch.view_mut(n)?)
    }

    /// `normed` → `logits` and `next`, for the last token of each sequence only.
    fn predict<O: Ops<Buffer = B>>(
        &self,
        device: &O,
        weights: &B,
        tokens: &Tokens<'_, B>,
        work: &mut DecoderWork<B>,
    ) -> Result<(), ModelError> {
        let sequences = tokens.sequences;
        let x = match tokens.ragged {
            Some(batch) => {
                device.last_rows(work.normed.view(tokens.rows)?, batch, work.last.view_mut(sequences)?)?;
                work.last.view(sequences)?
            }
            None => work.normed.view(sequences)?,
        };
        device.linear(x, self.head.of(weights)?, None, work.logits.view_mut(sequences)?)?;
        Ok(device.argmax(work.logits.view(sequences)?, IndicesMut::new(&mut work.next, sequences)?)?)
    }
}

/// `residual += branch`, `normed = norm(residual)`: the step between two blocks.
fn add_and_norm<O: Ops>(
    device: &O,
    weights: &O::Buffer,
    work: &mut DecoderWork<O::Buffer>,
    n: usize,
    norm: Weight,
    eps: f32,
) -> Result<(), ModelError> {
    let (residual, branch) = (work.residual.view_mut(n)?, work.branch.view(n)?);
    Ok(device.add_rms_norm(residual, branch, norm.of(weights)?, eps, work.normed.view_mut(n)?)?)
}
