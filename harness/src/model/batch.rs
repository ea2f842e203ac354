//! The input of a forward pass: sequences of token ids, one after the other.

use std::iter::{once, repeat_n};
use std::ops::Range;

use coldstart_kernels::checksum::pattern;
use coldstart_kernels::{Device, Indices, Memory, Placement, Ragged};

use super::error::ModelError;

/// Sequences of token ids of any lengths, each with at least one token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    ids: Vec<u32>,
    /// `[sequences + 1]`: where each sequence begins in `ids`, and the end of the last.
    starts: Vec<u32>,
}

impl Batch {
    /// A batch of these sequences.
    ///
    /// # Errors
    /// When there is none, one is empty, or there are more tokens than a `u32` counts.
    pub fn new(sequences: &[impl AsRef<[u32]>]) -> Result<Self, ModelError> {
        if sequences.is_empty() || sequences.iter().any(|sequence| sequence.as_ref().is_empty()) {
            let why = "a batch needs sequences, and each at least one token".to_owned();
            return Err(ModelError::Invalid { why });
        }
        let ids: Vec<u32> = sequences.iter().flat_map(|sequence| sequence.as_ref()).copied().collect();
        if u32::try_from(ids.len()).is_err() {
            return Err(ModelError::TooLong { what: "tokens", asked: ids.len(), limit: u32::MAX as usize });
        }
        let starts = sequences.iter().scan(0u32, |end, sequence| {
            *end += sequence.as_ref().len() as u32; // fits, as their sum does
            Some(*end)
        });
        let starts = once(0).chain(starts).collect();
        Ok(Self { ids, starts })
    }

    /// `sequences` sequences of `length` tokens each, drawn evenly from a vocabulary of `vocab`; the same
    /// arguments give the same tokens on every machine.
    ///
    /// # Errors
    /// As for [`Batch::new`], and when the vocabulary is empty.
    pub fn synthetic(seed: u64, vocab: usize, sequences: usize, length: usize) -> Result<Self, ModelError> {
        let tokens = sequences.saturating_mul(length);
        if vocab == 0 || tokens == 0 {
            let why =
                format!("a batch of {sequences} sequences of {length} tokens out of {vocab} has no token");
            return Err(ModelError::Invalid { why });
        }
        if u32::try_from(tokens).is_err() {
            return Err(ModelError::TooLong { what: "tokens", asked: tokens, limit: u32::MAX as usize });
        }
        let ids = (0..tokens as u64).map(|i| (pattern(seed, i) % vocab as u64) as u32).collect();
        let starts = (0..=sequences).map(|i| (i * length) as u32).collect();
        Ok(Self { ids, starts })
    }

    /// Token ids of all sequences.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// How many sequences.
    pub fn sequences(&self) -> usize {
        self.starts.len() - 1
    }

    /// How many tokens in all.
    pub fn tokens(&self) -> usize {
        self.ids.len()
    }

    /// The tokens of each sequence.
    pub fn lengths(&self) -> impl Iterator<Item = usize> {
        self.starts.windows(2).map(|pair| (pair[1] - pair[0]) as usize)
    }

    /// The tokens of the longest sequence.
    pub fn longest(&self) -> usize {
        self.lengths().max().unwrap_or(0)
    }

    /// `[tokens]`: each token's place in its sequence.
    fn positions(&self) -> impl Iterator<Item = u32> {
        self.lengths().flat_map(|length| 0..length as u32)
    }

    /// `[tokens]`: the sequence that each token belongs to.
    fn slots(&self) -> impl Iterator<Item = u32> {
        self.lengths().enumerate().flat_map(|(slot, length)| repeat_n(slot as u32, length))
    }
}

/// A batch in device memory, in buffers that later batches reuse.
#[derive(Debug)]
pub(super) struct DeviceBatch<B> {
    ids: B,
    positions: B,
    slots: B,
    starts: B,
    most_tokens: usize,
    most_sequences: usize,
    tokens: usize,
    sequences: usize,
    longest: usize,
    /// The bytes of one array on their way to the device, kept so that a later upload allocates nothing.
    staging: Vec<u8>,
}

impl<B> DeviceBatch<B> {
    /// Room for so many tokens in so many sequences.
    pub(super) fn alloc<D: Device<Buffer = B>>(
        device: &D,
        most_tokens: usize,
        most_sequences: usize,
    ) -> Result<Self, ModelError> {
        let words = |n: usize| device.alloc(n.saturating_mul(4));
        Ok(Self {
            ids: words(most_tokens)?,
            positions: words(most_tokens)?,
            slots: words(most_tokens)?,
            starts: words(most_sequences.saturating_add(1))?,
            most_tokens,
            most_sequences,
            tokens: 0,
            sequences: 0,
            longest: 0,
            staging: Vec::with_capacity(most_tokens.max(most_sequences.saturating_add(1)).saturating_mul(4)),
        })
    }

    /// Bytes of device memory that this takes.
    pub(super) fn bytes(most_tokens: usize, most_sequences: usize) -> u64 {
        let words =
            (most_tokens as u64).saturating_mul(3).saturating_add(most_sequences as u64).saturating_add(1);
        words.saturating_mul(4)
    }

    /// Enqueues the copy of a batch to the device.
    pub(super) fn upload<D: Device<Buffer = B>>(
        &mut self,
        device: &D,
        batch: &Batch,
    ) -> Result<(), ModelError> {
        self.fits(batch.tokens(), batch.sequences())?;
        let Self { ids, positions, slots, starts, staging, .. } = self;
        write_words(device, staging, ids, batch.ids.iter().copied())?;
        write_words(device, staging, positions, batch.positions())?;
        write_words(device, staging, slots, batch.slots())?;
        write_words(device, staging, starts, batch.starts.iter().copied())?;
        (self.tokens, self.sequences, self.longest) = (batch.tokens(), batch.sequences(), batch.longest());
        Ok(())
    }

    /// Enqueues the copy of one token for each sequence, at its own position: the input of a decode step.
    pub(super) fn upload_step<D: Device<Buffer = B>>(
        &mut self,
        device: &D,
        tokens: &[u32],
        at: &[u32],
    ) -> Result<(), ModelError> {
        let n = tokens.len();
        self.fits(n, n)?;
        let Self { ids, positions, slots, staging, .. } = self;
        write_words(device, staging, ids, tokens.iter().copied())?;
        write_words(device, staging, positions, at.iter().copied())?;
        write_words(device, staging, slots, 0..n as u32)?;
        (self.tokens, self.sequences, self.longest) = (n, n, 1);
        Ok(())
    }

    /// Enqueues the copy of places alone, without tokens: positions `at` of one slot.
    pub(super) fn upload_places<D: Device<Buffer = B>>(
        &mut self,
        device: &D,
        slot: u32,
        at: Range<u32>,
    ) -> Result<(), ModelError> {
        let n = at.len();
        self.fits(n, 1)?;
        let Self { positions, slots, staging, .. } = self;
        write_words(device, staging, positions, at)?;
        write_words(device, staging, slots, repeat_n(slot, n))?;
        (self.tokens, self.sequences, self.longest) = (n, 1, n);
        Ok(())
    }

    fn fits(&self, tokens: usize, sequences: usize) -> Result<(), ModelError> {
        let within = |what, asked, limit| {
            if asked > limit { Err(ModelError::TooLong { what, asked, limit }) } else { Ok(()) }
        };
        within("tokens", tokens, self.most_tokens)?;
        within("sequences", sequences, self.most_sequences)
    }

    /// Rows of every activation.
    pub(super) fn tokens(&self) -> usize {
        self.tokens
    }

    /// How many sequences.
    pub(super) fn sequences(&self) -> usize {
        self.sequences
    }
}

impl<B: Memory> DeviceBatch<B> {
    /// `[tokens]`: token ids.
    pub(super) fn ids(&self) -> Result<Indices<'_, B>, ModelError> {
        Ok(Indices::new(&self.ids, self.tokens)?)
    }

    /// `[tokens]`: each token's place in its sequence.
    pub(super) fn positions(&self) -> Result<Indices<'_, B>, ModelError> {
        Ok(Indices::new(&self.positions, self.tokens)?)
    }

    /// The cache slot (the number of its sequence) and the position of each token.
    pub(super) fn placement(&self) -> Result<Placement<'_, B>, ModelError> {
        let slots = Indices::new(&self.slots, self.tokens)?;
        Ok(Placement { slots, positions: self.positions()? })
    }

    /// `[sequences]`: the row of each sequence's first token.
    pub(super) fn first_rows(&self) -> Result<Indices<'_, B>, ModelError> {
        Ok(Indices::new(&self.starts, self.sequences)?)
    }

    /// Where each sequence begins and ends.
    pub(super) fn ragged(&self) -> Result<Ragged<'_, B>, ModelError> {
        let starts = Indices::new(&self.starts, self.sequences + 1)?;
        Ok(Ragged { starts, longest: self.longest })
    }
}

/// Enqueues the copy of `u32` numbers to the beginning of a buffer.
pub(super) fn write_words<D: Device>(
    device: &D,
    staging: &mut Vec<u8>,
    target: &mut D::Buffer,
    words: impl Iterator<Item = u32>,
) -> Result<(), ModelError> {
    staging.clear();
    staging.extend(words.flat_map(u32::to_le_bytes));
    Ok(device.upload(device.compute(), staging, target, 0)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ragged_batches_know_where_each_token_stands() {
        let batch = Batch::new(&[vec![7, 8, 9], vec![5], vec![6, 4]]).unwrap();
        assert_eq!((batch.sequences(), batch.tokens(), batch.longest()), (3, 6, 3));
        assert_eq!(batch.starts, [0, 3, 4, 6]);
        assert_eq!(batch.positions().collect::<Vec<_>>(), [0, 1, 2, 0, 0, 1]);
        assert_eq!(batch.slots().collect::<Vec<_>>(), [0, 0, 0, 1, 2, 2]);
    }

    #[test]
    fn empty_batches_are_refused() {
        assert!(Batch::new(&[] as &[Vec<u32>]).is_err());
        assert!(Batch::new(&[vec![1], vec![]]).is_err());
        assert!(Batch::synthetic(1, 0, 1, 1).is_err());
        assert!(Batch::synthetic(1, 10, 0, 1).is_err());
        assert!(Batch::synthetic(1, 10, usize::MAX, 2).is_err());
    }

    #[test]
    fn synthetic_tokens_are_fixed_by_the_seed_and_cover_the_vocabulary() {
        let batch = Batch::synthetic(1, 16, 4, 100).unwrap();
        assert_eq!(batch, Batch::synthetic(1, 16, 4, 100).unwrap());
        assert_ne!(batch, Batch::synthetic(2, 16, 4, 100).unwrap());
        assert_eq!((batch.sequences(), batch.tokens(), batch.longest()), (4, 400, 100));
        assert!((0..16).all(|token| batch.ids().contains(&token)));
        assert!(batch.ids().iter().all(|&token| token < 16));
    }
}
