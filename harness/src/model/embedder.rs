//! An encoder at work: one embedding for each sequence of a batch.

use coldstart_kernels::{Activation as Function, Dtype, Matrix, Ops};

use super::batch::{Batch, DeviceBatch};
use super::config::EncoderConfig;
use super::encoder::{Encoder, EncoderWork};
use super::error::ModelError;
use super::workspace::{Capacity, Rows, download, row_bytes};
use crate::weights::TensorTable;

/// How the states of a sequence's tokens become one embedding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// Their mean.
    Mean,
    /// Their mean divided by its L2 norm, as sentence-transformers does for all-MiniLM-L6-v2.
    UnitMean,
    /// BERT's pooler: tanh of a projection of the first token's state.
    Pooler,
}

/// An encoder on a device, with memory for batches of a fixed capacity. Nothing allocates after it was made.
#[derive(Debug)]
pub struct Embedder<'a, O: Ops> {
    device: &'a O,
    weights: &'a O::Buffer,
    encoder: Encoder,
    capacity: Capacity,
    work: EncoderWork<O::Buffer>,
    batch: DeviceBatch<O::Buffer>,
    /// `[sequences, hidden]`: pooled states.
    pooled: Rows<O::Buffer>,
    /// `[sequences, hidden]`: what becomes the embedding.
    finished: Rows<O::Buffer>,
    /// `[sequences, hidden]` of f32: the embedding.
    output: Rows<O::Buffer>,
    /// `[1, hidden]` of f32: 1/√hidden, which makes an RMSNorm a division by the L2 norm.
    unit: O::Buffer,
    embeddings: Vec<f32>,
}

impl<'a, O: Ops> Embedder<'a, O> {
    /// Finds the encoder's tensors and allocates its activations: what [`bytes_needed`](Self::bytes_needed) says.
    ///
    /// # Errors
    /// When a tensor is missing or wrong, the capacity is empty, or the device has not the memory.
    pub fn new(
        device: &'a O,
        config: &EncoderConfig,
        table: &TensorTable,
        weights: &'a O::Buffer,
        capacity: Capacity,
    ) -> Result<Self, ModelError> {
        capacity.check(false)?;
        let encoder = Encoder::find(device, config, table)?;
        let (dtype, hidden) = (encoder.activation(), config.hidden);
        let root = vec![(hidden as f32).sqrt().recip(); hidden];
        let mut unit = device.alloc(hidden * 4)?;
        device.upload(device.compute(), bytemuck::cast_slice(&root), &mut unit, 0)?;
        Ok(Self {
            work: EncoderWork::alloc(device, config, dtype, capacity.tokens)?,
            batch: DeviceBatch::alloc(device, capacity.tokens, capacity.sequences)?,
            pooled: Rows::alloc(device, capacity.sequences, hidden, dtype)?,
            finished: Rows::alloc(device, capacity.sequences, hidden, dtype)?,
            output: Rows::alloc(device, capacity.sequences, hidden, Dtype::F32)?,
            unit,
            embeddings: Vec::with_capacity(capacity.sequences * hidden),
            device,
            weights,
            encoder,
            capacity,
        })
    }

    /// Bytes of device memory beside the weights that an embedder of this capacity takes, with activations of type
    /// `activation`: [`Ops::activation_dtype`] of the weights' type.
    pub fn bytes_needed(config: &EncoderConfig, activation: Dtype, capacity: &Capacity) -> u64 {
        EncoderWork::<O::Buffer>::bytes(config, activation, capacity.tokens)
            .saturating_add(DeviceBatch::<O::Buffer>::bytes(capacity.tokens, capacity.sequences))
            .saturating_add(row_bytes(2 * capacity.sequences, config.hidden, activation))
            .saturating_add(row_bytes(capacity.sequences.saturating_add(1), config.hidden, Dtype::F32))
    }

    /// What config.json says.
    pub fn config(&self) -> &EncoderConfig {
        self.encoder.config()
    }

    /// The type of activations.
    pub fn activation(&self) -> Dtype {
        self.encoder.activation()
    }

    /// What this was made for.
    pub fn capacity(&self) -> Capacity {
        self.capacity
    }

    /// Whether [`Pooling::Pooler`] can be asked for.
    pub fn has_pooler(&self) -> bool {
        self.encoder.pooler().is_some()
    }

    /// Encodes a batch and reads back its embeddings, `[sequences, hidden]` in f32: upload of the ids, the whole
    /// forward pass, pooling, download. Time it as a whole.
    ///
    /// # Errors
    /// When the batch is beyond the capacity or the model's positions, an id beyond the vocabulary, the model has no
    /// pooler and it was asked for, or the device failed.
    pub fn encode(&mut self, batch: &Batch, pooling: Pooling) -> Result<&[f32], ModelError> {
        let (asked, limit) = (batch.longest(), self.config().max_positions);
        if asked > limit {
            return Err(ModelError::TooLong { what: "sequence length", asked, limit });
        }
        self.batch.upload(self.device, batch)?;
        self.encoder.forward(self.device, self.weights, &self.batch, &mut self.work)?;
        self.pool(pooling)?;
        self.embeddings.resize(batch.sequences() * self.encoder.config().hidden, 0.0);
        download(self.device, self.output.buffer(), &mut self.embeddings)?;
        Ok(&self.embeddings)
    }

    /// `states` → `output`.
    fn pool(&mut self, pooling: Pooling) -> Result<(), ModelError> {
        let (n, device) = (self.batch.sequences(), self.device);
        let states = self.work.states.view(self.batch.tokens())?;
        match pooling {
            Pooling::Mean => device.mean_pool(states, self.batch.ragged()?, self.finished.view_mut(n)?)?,
            Pooling::UnitMean => {
                device.mean_pool(states, self.batch.ragged()?, self.pooled.view_mut(n)?)?;
                let unit = Matrix::new(&self.unit, Dtype::F32, [1, self.encoder.config().hidden])?;
                // x/√(mean(x²))·1/√hidden = x/‖x‖; the smallest ε that f32 holds only keeps a zero row zero.
                device.rms_norm(self.pooled.view(n)?, unit, f32::MIN_POSITIVE, self.finished.view_mut(n)?)?;
            }
            Pooling::Pooler => {
                let Some(pooler) = self.encoder.pooler() else {
                    let why = "the model has no pooler: take its mean".to_owned();
                    return Err(ModelError::Invalid { why });
                };
                device.gather_rows(states, self.batch.first_rows()?, self.pooled.view_mut(n)?)?;
                pooler.apply(device, self.weights, self.pooled.view(n)?, self.finished.view_mut(n)?)?;
                device.activate(self.finished.view_mut(n)?, Function::Tanh)?;
            }
        }
        Ok(device.convert(self.finished.view(n)?, self.output.view_mut(n)?)?)
    }

    /// The last hidden state of the last batch, `[tokens, hidden]`, as f32. For checks; it allocates.
    ///
    /// # Errors
    /// When the device failed.
    pub fn states(&self) -> Result<Vec<f32>, ModelError> {
        let rows = self.batch.tokens();
        let mut converted = Rows::alloc(self.device, rows, self.config().hidden, Dtype::F32)?;
        self.device.convert(self.work.states.view(rows)?, converted.view_mut(rows)?)?;
        let mut out = vec![0.0; rows * self.config().hidden];
        download(self.device, converted.buffer(), &mut out)?;
        Ok(out)
    }
}
