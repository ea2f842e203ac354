//! A decoder at work: prefill, then one token after the other with a KV cache.

use std::ops::Range;

use coldstart_kernels::{Dtype, KvCache, KvShape, Ops};
use coldstart_profiles::Replay;

use super::batch::{Batch, DeviceBatch};
use super::config::DecoderConfig;
use super::decoder::{Decoder, DecoderWork, Tokens};
use super::error::ModelError;
use super::steps::{Next, Steps};
use super::workspace::{Capacity, Rows, download};
use crate::weights::TensorTable;

/// The seed of the keys and values that stand in for a context.
const CONTEXT_SEED: u64 = 0x636f_6e74_6578_7400;

/// A decoder on a device, with memory for batches of a fixed capacity. Nothing allocates after it was made.
#[derive(Debug)]
pub struct Generator<'a, O: Ops> {
    /// A recorded step names the buffers below: it goes before them.
    steps: Steps<O::Graph>,
    device: &'a O,
    weights: &'a O::Buffer,
    decoder: Decoder<O::Buffer>,
    capacity: Capacity,
    work: DecoderWork<O::Buffer>,
    /// One a layer.
    caches: Vec<KvCache<O::Buffer>>,
    prompt: DeviceBatch<O::Buffer>,
    step: DeviceBatch<O::Buffer>,
    /// How many tokens of each sequence are in the cache, or will be after the next step.
    lengths: Vec<u32>,
    /// The tokens that the last forward pass predicted, one a sequence.
    next: Vec<u32>,
    /// Whether the next step's tokens are on the device.
    fed: bool,
}

impl<'a, O: Ops> Generator<'a, O> {
    /// Finds the decoder's tensors and allocates its KV cache and activations: what
    /// [`bytes_needed`](Self::bytes_needed) says.
    ///
    /// # Errors
    /// When a tensor is missing or wrong, the capacity is empty or beyond the model's positions, or the device has not
    /// the memory.
    pub fn new(
        device: &'a O,
        config: &DecoderConfig,
        table: &TensorTable,
        weights: &'a O::Buffer,
        capacity: Capacity,
    ) -> Result<Self, ModelError> {
        capacity.check(true)?;
        if capacity.context > config.max_positions {
            let (asked, limit) = (capacity.context, config.max_positions);
            return Err(ModelError::TooLong { what: "context", asked, limit });
        }
        let decoder = Decoder::find(device, config, table)?;
        let shape = KvShape {
            slots: capacity.sequences,
            kv_heads: config.kv_heads,
            capacity: capacity.context,
            head_dim: config.head_dim,
            dtype: decoder.activation(),
        };
        let caches = (0..config.layers).map(|_| KvCache::alloc(device, shape)).collect::<Result<_, _>>()?;
        Ok(Self {
            work: DecoderWork::alloc(device, &decoder, capacity.rows(), capacity.sequences)?,
            prompt: DeviceBatch::alloc(device, capacity.tokens, capacity.sequences)?,
            step: DeviceBatch::alloc(device, capacity.sequences, capacity.sequences)?,
            lengths: Vec::with_capacity(capacity.sequences),
            next: Vec::with_capacity(capacity.sequences),
            fed: false,
            steps: Steps::Fresh,
            device,
            weights,
            decoder,
            capacity,
            caches,
        })
    }

    /// Bytes of device memory beside the weights that a generator of this capacity takes, with activations and KV
    /// cache of type `activation`: [`Ops::activation_dtype`] of the weights' type.
    pub fn bytes_needed(config: &DecoderConfig, activation: Dtype, capacity: &Capacity) -> u64 {
        config
            .kv_bytes(capacity.sequences, capacity.context, activation)
            .saturating_add(DecoderWork::<O::Buffer>::bytes(
                config,
                activation,
                capacity.rows(),
                capacity.sequences,
            ))
            .saturating_add(DeviceBatch::<O::Buffer>::bytes(capacity.tokens, capacity.sequences))
            .saturating_add(DeviceBatch::<O::Buffer>::bytes(capacity.sequences, capacity.sequences))
    }

    /// What config.json says.
    pub fn config(&self) -> &DecoderConfig {
        self.decoder.config()
    }

    /// The type of activations and of the KV cache.
    pub fn activation(&self) -> Dtype {
        self.decoder.activation()
    }

    /// What this was made for.
    pub fn capacity(&self) -> Capacity {
        self.capacity
    }

    /// Bytes that a decode step of `sequences` sequences at `context` positions must move at least: every weight once
    /// (of the embedding only the rows looked up, unless it is the output projection too), and the context's keys and
    /// values. Activations are assumed to stay in caches.
    pub fn decode_bytes(&self, sequences: usize, context: usize) -> u64 {
        self.decoder.decode_bytes(sequences, context)
    }

    /// Runs a batch of prompts from position 0 and reads back the likeliest next token of each: upload of the ids,
    /// the whole forward pass, argmax, download. Time it as a whole.
    ///
    /// # Errors
    /// When the batch is beyond the capacity, an id beyond the vocabulary, or the device failed.
    pub fn prefill(&mut self, batch: &Batch) -> Result<&[u32], ModelError> {
        self.holds(batch.longest())?;
        self.fed = false;
        self.prompt.upload(self.device, batch)?;
        let tokens = Tokens {
            rows: batch.tokens(),
            sequences: batch.sequences(),
            ids: self.prompt.ids()?,
            at: self.prompt.placement()?,
            ragged: Some(self.prompt.ragged()?),
        };
        self.decoder.forward(self.device, self.weights, &tokens, &mut self.work, &mut self.caches)?;
        self.lengths.clear();
        self.lengths.extend(batch.lengths().map(|length| length as u32)); // the capacity fits a u32
        self.read_next(batch.sequences())
    }

    /// Puts the next token of each sequence in place, behind the ones that it has. [`decode_step`](Self::decode_step)
    /// then runs them. Not a part of what is timed.
    ///
    /// # Errors
    /// When there is not one token for each sequence of the batch, or the cache is full.
    pub fn feed(&mut self, tokens: &[u32]) -> Result<(), ModelError> {
        if tokens.is_empty() || tokens.len() != self.lengths.len() {
            let why = format!("{} tokens were fed to a batch of {}", tokens.len(), self.lengths.len());
            return Err(ModelError::Invalid { why });
        }
        self.holds(self.lengths.iter().max().map_or(0, |length| *length as usize + 1))?;
        self.step.upload_step(self.device, tokens, &self.lengths)?;
        self.lengths.iter_mut().for_each(|length| *length += 1);
        self.fed = true;
        Ok(())
    }

    /// [`feed`](Self::feed)s what the last forward pass predicted: greedy generation.
    ///
    /// # Errors
    /// As for [`feed`](Self::feed).
    pub fn feed_predicted(&mut self) -> Result<(), ModelError> {
        let next = std::mem::take(&mut self.next);
        let fed = self.feed(&next);
        self.next = next;
        fed
    }

    /// Prepares [`decode_step`](Self::decode_step) for `sequences` sequences whose new token is the last of `context`
    /// positions. The keys and values of the earlier ones are uniform noise instead of a prompt's: what a step costs
    /// does not depend on them, and a long context costs no prefill. Not a part of what is timed.
    ///
    /// # Errors
    /// When this is beyond the capacity, or the device failed.
    pub fn prepare_decode(&mut self, sequences: usize, context: usize) -> Result<(), ModelError> {
        self.holds(context)?;
        if context == 0 {
            return Err(ModelError::Invalid {
                why: "a decode step needs a context of at least 1".to_owned(),
            });
        }
        let ids = Batch::synthetic(CONTEXT_SEED, self.config().vocab, sequences, 1)?;
        if sequences > self.capacity.sequences {
            let (asked, limit) = (sequences, self.capacity.sequences);
            return Err(ModelError::TooLong { what: "sequences", asked, limit });
        }
        let past = (context - 1) as u32; // the capacity fits a u32
        for slot in 0..sequences as u32 {
            let mut begin = 0;
            while begin < past {
                let end = past.min(begin.saturating_add(self.capacity.tokens as u32));
                self.fill_context(slot, begin..end)?;
                begin = end;
            }
        }
        self.lengths.clear();
        self.lengths.resize(sequences, past);
        self.feed(ids.ids())
    }

    /// Writes noise to positions `at` of one slot in every layer.
    fn fill_context(&mut self, slot: u32, at: Range<u32>) -> Result<(), ModelError> {
        let (rows, begin) = (at.len(), self.config().q_width());
        let end = begin + 2 * self.config().kv_width();
        let middle = begin + self.config().kv_width();
        let seed = CONTEXT_SEED ^ (u64::from(slot) << 32) ^ u64::from(at.start);
        self.prompt.upload_places(self.device, slot, at)?;
        self.device.fill_uniform(self.work.qkv.view_mut(rows)?.columns(begin..end)?, seed, 1.0)?;
        let noise = self.work.qkv.view(rows)?;
        for cache in &mut self.caches {
            let (keys, values) = (noise.columns(begin..middle)?, noise.columns(middle..end)?);
            self.device.kv_write(keys, values, self.prompt.placement()?, cache)?;
        }
        Ok(())
    }

    /// Runs one token of each sequence and reads back the likeliest next ones: the whole forward pass, argmax,
    /// download. Time it as a whole. Calling it again repeats the step at the same positions, with the same result.
    ///
    /// On a device with graphs the second step of a batch size is recorded, and replayed from then on; a device that
    /// refuses to record goes on kernel by kernel ([`replay`](Self::replay) says so).
    ///
    /// # Errors
    /// When nothing was fed, an id is beyond the vocabulary, or the device failed.
    pub fn decode_step(&mut self) -> Result<&[u32], ModelError> {
        if !self.fed {
            let why = "a decode step needs tokens: feed them, or prepare a context, first".to_owned();
            return Err(ModelError::Invalid { why });
        }
        let sequences = self.step.sequences();
        match self.steps.next(sequences) {
            Next::Replay(graph) => self.device.replay(graph)?,
            Next::Run => self.run_step(sequences)?,
            Next::Record => self.record_step(sequences)?,
        }
        self.read_next(sequences)
    }

    /// How decode steps ran; `None` on a device without graphs, and before the second step.
    pub fn replay(&self) -> Option<Replay> {
        self.steps.replay()
    }

    /// Enqueues the kernels of one step.
    fn run_step(&mut self, sequences: usize) -> Result<(), ModelError> {
        self.enqueue_step(sequences)?;
        self.steps.ran(sequences);
        Ok(())
    }

    /// Records one step and enqueues it; where the device refuses, its kernels.
    fn record_step(&mut self, sequences: usize) -> Result<(), ModelError> {
        let device = self.device;
        match device.record(|| self.enqueue_step(sequences)) {
            Ok(Some(graph)) => {
                device.replay(&graph)?;
                self.steps = Steps::Recorded(sequences, graph);
                Ok(())
            }
            refused => {
                self.steps = Steps::Eager(refused.err().map(|error| format!("failed to {error}")));
                self.run_step(sequences)
            }
        }
    }

    fn enqueue_step(&mut self, sequences: usize) -> Result<(), ModelError> {
        let tokens = Tokens {
            rows: sequences,
            sequences,
            ids: self.step.ids()?,
            at: self.step.placement()?,
            ragged: None,
        };
        self.decoder.forward(self.device, self.weights, &tokens, &mut self.work, &mut self.caches)
    }

    /// The logits of the last forward pass, `[sequences, vocab]`, as f32. For checks; it allocates.
    ///
    /// # Errors
    /// When the device failed.
    pub fn logits(&self) -> Result<Vec<f32>, ModelError> {
        let logits = self.work.logits.view(self.next.len())?;
        let shape = logits.shape();
        let mut converted = Rows::alloc(self.device, shape[0], shape[1], Dtype::F32)?;
        self.device.convert(logits, converted.view_mut(shape[0])?)?;
        let mut out = vec![0.0; shape[0] * shape[1]];
        download(self.device, converted.buffer(), &mut out)?;
        Ok(out)
    }

    fn read_next(&mut self, sequences: usize) -> Result<&[u32], ModelError> {
        self.next.resize(sequences, 0);
        download(self.device, &self.work.next, &mut self.next)?;
        Ok(&self.next)
    }

    fn holds(&self, positions: usize) -> Result<(), ModelError> {
        if positions > self.capacity.context {
            let (asked, limit) = (positions, self.capacity.context);
            return Err(ModelError::TooLong { what: "context", asked, limit });
        }
        Ok(())
    }
}
