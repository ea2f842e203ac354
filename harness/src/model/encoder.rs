//! The forward pass of the BERT family, written once on a device's operations.

use coldstart_kernels::{Activation as Function, Attention, Dtype, Indices, Memory, Ops};

use super::batch::DeviceBatch;
use super::config::{Activation, EncoderConfig};
use super::error::ModelError;
use super::tensors::{Finder, Linear, Weight};
use super::workspace::{Rows, row_bytes};
use crate::weights::TensorTable;

/// An encoder whose tensors were found among the loaded weights.
#[derive(Debug)]
pub(super) struct Encoder {
    config: EncoderConfig,
    words: Weight,
    positions: Weight,
    types: Weight,
    norm: Norm,
    layers: Vec<Layer>,
    pooler: Option<Linear>,
    attention: Attention,
    activation: Dtype,
}

/// A LayerNorm.
#[derive(Clone, Copy, Debug)]
struct Norm {
    weight: Weight,
    bias: Weight,
}

impl Norm {
    fn find(from: &Finder<'_>, name: &str, n: usize) -> Result<Self, ModelError> {
        // Checkpoints converted from TensorFlow call them gamma and beta.
        let (weight, bias) =
            if from.has(&format!("{name}.gamma")) { ("gamma", "beta") } else { ("weight", "bias") };
        Ok(Self {
            weight: from.vector(&format!("{name}.{weight}"), n)?,
            bias: from.vector(&format!("{name}.{bias}"), n)?,
        })
    }
}

#[derive(Debug)]
struct Layer {
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    attention_norm: Norm,
    up: Linear,
    down: Linear,
    mlp_norm: Norm,
}

impl Layer {
    fn find(config: &EncoderConfig, from: &Finder<'_>) -> Result<Self, ModelError> {
        let (hidden, wide) = (config.hidden, config.intermediate);
        let square = |name| Linear::find(from, name, [hidden, hidden], true);
        Ok(Self {
            query: square("attention.self.query")?,
            key: square("attention.self.key")?,
            value: square("attention.self.value")?,
            output: square("attention.output.dense")?,
            attention_norm: Norm::find(from, "attention.output.LayerNorm", hidden)?,
            up: Linear::find(from, "intermediate.dense", [wide, hidden], true)?,
            down: Linear::find(from, "output.dense", [hidden, wide], true)?,
            mlp_norm: Norm::find(from, "output.LayerNorm", hidden)?,
        })
    }
}

/// The activations of an encoder.
#[derive(Debug)]
pub(super) struct EncoderWork<B> {
    /// `[tokens, hidden]`: the stream through the blocks, at the end the last hidden state.
    pub(super) states: Rows<B>,
    /// `[tokens, 3 · hidden]`: queries, keys and values side by side.
    qkv: Rows<B>,
    /// `[tokens, hidden]`: what attention gathered.
    attended: Rows<B>,
    /// `[tokens, hidden]`: the output of a block.
    branch: Rows<B>,
    /// `[tokens, intermediate]`.
    wide: Rows<B>,
    /// `[tokens]` of u32: token types, all 0.
    types: B,
}

impl<B: Memory> EncoderWork<B> {
    /// Room for `rows` tokens.
    pub(super) fn alloc<O: Ops<Buffer = B>>(
        device: &O,
        config: &EncoderConfig,
        dtype: Dtype,
        rows: usize,
    ) -> Result<Self, ModelError> {
        let tokens = |columns| Rows::alloc(device, rows, columns, dtype);
        let mut types = device.alloc(rows.saturating_mul(4))?;
        device.upload(device.compute(), &vec![0; rows * 4], &mut types, 0)?;
        Ok(Self {
            states: tokens(config.hidden)?,
            qkv: tokens(3 * config.hidden)?,
            attended: tokens(config.hidden)?,
            branch: tokens(config.hidden)?,
            wide: tokens(config.intermediate)?,
            types,
        })
    }

    /// Bytes that [`alloc`](Self::alloc) takes.
    pub(super) fn bytes(config: &EncoderConfig, dtype: Dtype, rows: usize) -> u64 {
        row_bytes(rows, 6 * config.hidden + config.intermediate, dtype).saturating_add(row_bytes(
            rows,
            1,
            Dtype::F32,
        ))
    }
}

impl Encoder {
    /// Finds and checks every tensor. The pooler may be missing.
    ///
    /// # Errors
    /// The first tensor that is missing or has another shape or type than config.json implies.
    pub(super) fn find<O: Ops>(
        device: &O,
        config: &EncoderConfig,
        table: &TensorTable,
    ) -> Result<Self, ModelError> {
        // Models with a head on top keep the encoder under "bert.".
        let prefix = if table.get("bert.embeddings.word_embeddings.weight").is_some() { "bert." } else { "" };
        let model = Finder::new(table, prefix);
        let embeddings = model.under("embeddings.");
        let hidden = config.hidden;
        let words = embeddings.matrix("word_embeddings.weight", config.vocab, hidden)?;
        let layers = (0..config.layers)
            .map(|index| Layer::find(config, &model.under(&format!("encoder.layer.{index}."))))
            .collect::<Result<Vec<_>, _>>()?;
        let pooler = if model.has("pooler.dense.weight") {
            Some(Linear::find(&model, "pooler.dense", [hidden, hidden], true)?)
        } else {
            None
        };
        Ok(Self {
            words,
            positions: embeddings.matrix("position_embeddings.weight", config.max_positions, hidden)?,
            types: embeddings.matrix("token_type_embeddings.weight", config.type_vocab, hidden)?,
            norm: Norm::find(&embeddings, "LayerNorm", hidden)?,
            layers,
            pooler,
            attention: Attention {
                query_heads: config.heads,
                kv_heads: config.heads,
                head_dim: config.head_dim(),
                scale: (config.head_dim() as f32).sqrt().recip(),
                window: None,
            },
            activation: device.activation_dtype(words.dtype()),
            config: config.clone(),
        })
    }

    /// What config.json says.
    pub(super) fn config(&self) -> &EncoderConfig {
        &self.config
    }

    /// The type of activations.
    pub(super) fn activation(&self) -> Dtype {
        self.activation
    }

    /// The projection of the first token's state, where the model has one.
    pub(super) fn pooler(&self) -> Option<Linear> {
        self.pooler
    }

    /// Enqueues a forward pass: leaves the last hidden state in `work.states`.
    pub(super) fn forward<O: Ops>(
        &self,
        device: &O,
        weights: &O::Buffer,
        batch: &DeviceBatch<O::Buffer>,
        work: &mut EncoderWork<O::Buffer>,
    ) -> Result<(), ModelError> {
        let n = batch.tokens();
        device.embedding(batch.ids()?, self.words.of(weights)?, work.states.view_mut(n)?)?;
        let types = Indices::new(&work.types, n)?;
        device.add_embedding(types, self.types.of(weights)?, work.states.view_mut(n)?)?;
        device.add_embedding(batch.positions()?, self.positions.of(weights)?, work.states.view_mut(n)?)?;
        let (weight, bias) = (self.norm.weight.of(weights)?, self.norm.bias.of(weights)?);
        device.layer_norm_in_place(work.states.view_mut(n)?, weight, bias, self.config.norm_eps)?;
        for layer in &self.layers {
            self.attend(device, weights, layer, batch, work)?;
            self.add_and_norm(device, weights, layer.attention_norm, n, work)?;
            self.mlp(device, weights, layer, n, work)?;
            self.add_and_norm(device, weights, layer.mlp_norm, n, work)?;
        }
        Ok(())
    }

    /// `states` → `branch`: the attention block.
    fn attend<O: Ops>(
        &self,
        device: &O,
        weights: &O::Buffer,
        layer: &Layer,
        batch: &DeviceBatch<O::Buffer>,
        work: &mut EncoderWork<O::Buffer>,
    ) -> Result<(), ModelError> {
        let (n, hidden) = (batch.tokens(), self.config.hidden);
        let x = work.states.view(n)?;
        for (index, projection) in [layer.query, layer.key, layer.value].into_iter().enumerate() {
            let columns = index * hidden..(index + 1) * hidden;
            projection.apply(device, weights, x, work.qkv.view_mut(n)?.columns(columns)?)?;
        }
        let qkv = work.qkv.view(n)?;
        device.attention_full(
            qkv.columns(0..hidden)?,
            qkv.columns(hidden..2 * hidden)?,
            qkv.columns(2 * hidden..3 * hidden)?,
            batch.ragged()?,
            &self.attention,
            work.attended.view_mut(n)?,
        )?;
        layer.output.apply(device, weights, work.attended.view(n)?, work.branch.view_mut(n)?)
    }

    /// `states` → `branch`: the MLP.
    fn mlp<O: Ops>(
        &self,
        device: &O,
        weights: &O::Buffer,
        layer: &Layer,
        n: usize,
        work: &mut EncoderWork<O::Buffer>,
    ) -> Result<(), ModelError> {
        layer.up.apply(device, weights, work.states.view(n)?, work.wide.view_mut(n)?)?;
        let function = match self.config.activation {
            Activation::Gelu => Function::GeluErf,
            Activation::GeluTanh => Function::GeluTanh,
        };
        device.activate(work.wide.view_mut(n)?, function)?;
        layer.down.apply(device, weights, work.wide.view(n)?, work.branch.view_mut(n)?)
    }

    /// `states = norm(states + branch)`: the end of a block.
    fn add_and_norm<O: Ops>(
        &self,
        device: &O,
        weights: &O::Buffer,
        norm: Norm,
        n: usize,
        work: &mut EncoderWork<O::Buffer>,
    ) -> Result<(), ModelError> {
        let (weight, bias) = (norm.weight.of(weights)?, norm.bias.of(weights)?);
        let states = work.states.view_mut(n)?;
        Ok(device.add_layer_norm(states, work.branch.view(n)?, weight, bias, self.config.norm_eps)?)
    }
}
