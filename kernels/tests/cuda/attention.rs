//! Attention and the KV cache, against the host device. Random shapes are in the crate's self-test; here are the shapes
//! that kernels could get wrong: around their tiles, heads of any size, views with gaps, parts without keys, and numbers in
//! device memory that are out of range.

use coldstart_kernels::{
    Attention, Device, Dtype, Error, HostDevice, Indices, KvCache, KvShape, Matrix, MatrixMut, Ops,
    Placement, Ragged, Result,
};
use coldstart_stand_in::this_test;

use crate::on_device;
use crate::support::{floats, numbers as indices, random, read_floats, self_test};

/// What y holds before: rows that are skipped, and gaps, keep it.
const UNTOUCHED: f32 = 7.0;

/// What a result may be off, values being below 1: weights and results are rounded to the format.
fn tolerance(dtype: Dtype) -> f32 {
    match dtype {
        Dtype::F32 => 1e-5,
        Dtype::F16 => 2e-3,
        Dtype::Bf16 => 1e-2,
    }
}

/// Sequences of a batch, and what attends to them.
#[derive(Debug, Clone)]
struct Case {
    layer: Attention,
    /// Positions that were there before, and new tokens.
    sequences: Vec<(usize, usize)>,
    /// Positions that the cache has beyond the longest sequence.
    spare: usize,
    /// Columns between the rows' ends and the next rows.
    gap: usize,
}

impl Case {
    fn new(head_dim: usize, kv_heads: usize, group: usize, sequences: &[(usize, usize)]) -> Case {
        let scale = 1.0 / (head_dim as f32).sqrt();
        let layer = Attention { query_heads: kv_heads * group, kv_heads, head_dim, scale, window: None };
        Case { layer, sequences: sequences.to_vec(), spare: 3, gap: 0 }
    }

    fn window(mut self, window: usize) -> Case {
        self.layer.window = Some(window);
        self
    }

    fn rows(&self) -> usize {
        self.sequences.iter().map(|(_, tokens)| tokens).sum()
    }

    fn starts(&self) -> Vec<u32> {
        let mut starts = vec![0];
        for (_, tokens) in &self.sequences {
            starts.push(starts[starts.len() - 1] + *tokens as u32);
        }
        starts
    }

    /// Slots and positions of all tokens from each sequence's `from` on; the last sequence is in slot 0.
    fn places(&self, from: impl Fn(usize) -> usize) -> [Vec<u32>; 2] {
        let mut places = [Vec::new(), Vec::new()];
        for (index, (past, tokens)) in self.sequences.iter().enumerate() {
            for position in from(*past)..past + tokens {
                places[0].push((self.sequences.len() - 1 - index) as u32);
                places[1].push(position as u32);
            }
        }
        places
    }

    /// A cache with all keys and values, written from columns of one matrix.
    fn cache<O: Ops>(&self, device: &O, dtype: Dtype, numbers: Dtype) -> Result<KvCache<O::Buffer>> {
        let Attention { kv_heads, head_dim, .. } = self.layer;
        let capacity =
            self.sequences.iter().map(|(past, tokens)| past + tokens).max().unwrap_or(0) + self.spare;
        let shape = KvShape { slots: self.sequences.len(), kv_heads, capacity, head_dim, dtype };
        let mut cache = KvCache::alloc(device, shape)?;
        let [slots, positions] = self.places(|_| 0);
        let (rows, cols) = (slots.len(), kv_heads * head_dim);
        let stride = 2 * cols + self.gap;
        let both = floats(device, dtype, &random(1, rows * stride, numbers));
        let both = Matrix::new(&both, dtype, [rows, stride])?;
        let (slots, positions) = (indices(device, &slots), indices(device, &positions));
        let at = Placement { slots: Indices::new(&slots, rows)?, positions: Indices::new(&positions, rows)? };
        device.kv_write(both.columns(0..cols)?, both.columns(cols..2 * cols)?, at, &mut cache)?;
        device.sync()?;
        Ok(cache)
    }

    /// Attention over the cache; all of y, gaps included. The numbers are those that `numbers` holds.
    fn causal<O: Ops>(&self, device: &O, dtype: Dtype, numbers: Dtype, how: How) -> Result<Vec<f32>> {
        let cache = self.cache(device, dtype, numbers)?;
        let [slots, positions] = self.places(|past| past);
        self.attend(device, dtype, numbers, how, &cache, [&slots, &positions], &self.starts())
    }

    #[expect(clippy::too_many_arguments, reason = "everything that a test may want to get wrong")]
    fn attend<O: Ops>(
        &self,
        device: &O,
        dtype: Dtype,
        numbers: Dtype,
        how: How,
        cache: &KvCache<O::Buffer>,
        [slots, positions]: [&[u32]; 2],
        starts: &[u32],
    ) -> Result<Vec<f32>> {
        let (rows, cols) = (self.rows(), self.layer.query_heads * self.layer.head_dim);
        let stride = cols + self.gap;
        let q = floats(device, dtype, &random(2, rows * stride, numbers));
        let mut y = floats(device, dtype, &vec![UNTOUCHED; rows * stride]);
        let (starts, slots, positions) =
            (indices(device, starts), indices(device, slots), indices(device, positions));
        let at = Placement { slots: Indices::new(&slots, rows)?, positions: Indices::new(&positions, rows)? };
        let view = Matrix::new(&q, dtype, [rows, stride])?.columns(0..cols)?;
        let into = MatrixMut::new(&mut y, dtype, [rows, stride])?.columns(0..cols)?;
        match how {
            How::Decode => device.attention_decode(view, cache, at, &self.layer, into)?,
            How::Prefill => {
                let longest = self.sequences.iter().map(|(_, tokens)| *tokens).max().unwrap_or(0);
                let starts = Indices::new(&starts, self.sequences.len() + 1)?;
                let batch = Ragged { starts, longest };
                device.attention_prefill(view, cache, batch, at, &self.layer, into)?;
            }
        }
        device.sync()?;
        Ok(read_floats(device, &y, dtype))
    }

    /// Attention within each sequence, everything in columns of one matrix.
    fn full<O: Ops>(&self, device: &O, dtype: Dtype, numbers: Dtype) -> Result<Vec<f32>> {
        let Attention { query_heads, kv_heads, head_dim, .. } = self.layer;
        let (rows, cols, kv) = (self.rows(), query_heads * head_dim, kv_heads * head_dim);
        let stride = cols + 2 * kv + self.gap;
        let fused = floats(device, dtype, &random(3, rows * stride, numbers));
        let fused = Matrix::new(&fused, dtype, [rows, stride])?;
        let [q, k, v] =
            [0..cols, cols..cols + kv, cols + kv..cols + 2 * kv].map(|range| fused.columns(range));
        let mut y = floats(device, dtype, &vec![UNTOUCHED; rows * (cols + self.gap)]);
        let starts = indices(device, &self.starts());
        let longest = self.sequences.iter().map(|(_, tokens)| *tokens).max().unwrap_or(0);
        let batch = Ragged { starts: Indices::new(&starts, self.sequences.len() + 1)?, longest };
        let into = MatrixMut::new(&mut y, dtype, [rows, cols + self.gap])?.columns(0..cols)?;
        device.attention_full(q?, k?, v?, batch, &self.layer, into)?;
        device.sync()?;
        Ok(read_floats(device, &y, dtype))
    }
}

#[derive(Debug, Clone, Copy)]
enum How {
    Prefill,
    Decode,
}

#[track_caller]
fn close(found: &[f32], expected: &[f32], dtype: Dtype, what: impl std::fmt::Debug) {
    assert_eq!(found.len(), expected.len());
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        let off = (found - expected).abs();
        assert!(off <= tolerance(dtype), "{dtype} {what:?}: [{at}] is {found}, expected {expected}");
    }
}

/// Compares prefill, the same with one token a sequence, decode and bidirectional attention with the host device.
fn check_all<O: Ops>(device: &O, host: &HostDevice, dtype: Dtype, case: &Case) -> Result<()> {
    let f32 = Dtype::F32;
    let expected = case.causal(host, f32, dtype, How::Prefill)?;
    close(&case.causal(device, dtype, dtype, How::Prefill)?, &expected, dtype, ("prefill", case));

    let mut last = case.clone();
    last.sequences.retain(|(past, tokens)| past + tokens > 0);
    last.sequences.iter_mut().for_each(|sequence| *sequence = (sequence.0 + sequence.1 - 1, 1));
    let expected = last.causal(host, f32, dtype, How::Decode)?;
    close(&last.causal(device, dtype, dtype, How::Decode)?, &expected, dtype, ("decode", &last));
    close(&last.causal(device, dtype, dtype, How::Prefill)?, &expected, dtype, ("one row", &last));

    if case.layer.window.is_none() {
        let expected = case.full(host, f32, dtype)?;
        close(&case.full(device, dtype, dtype)?, &expected, dtype, ("full", case));
    }
    Ok(())
}

#[test]
fn random_shapes() {
    on_device(this_test!(), |device| {
        self_test(&device, &["kv_write", "attention_prefill", "attention_decode", "attention_full"], 24);
        Ok(())
    });
}

#[test]
fn heads_of_every_size_in_groups_of_every_size() {
    on_device(this_test!(), |device| {
        let host = HostDevice::open(0)?;
        // 20 and 33 are no multiple of 16 bytes; a group of 20 is more than one block of a decoded row takes.
        let shapes = [
            (8, 1),
            (20, 3),
            (33, 2),
            (40, 8),
            (64, 4),
            (64, 20),
            (80, 5),
            (96, 6),
            (128, 7),
            (128, 1),
            (256, 2),
        ];
        for (turn, (head_dim, group)) in shapes.into_iter().enumerate() {
            for dtype in Dtype::ALL {
                let mut case = Case::new(head_dim, 1 + turn % 2, group, &[(0, 35), (90, 9)]);
                case.gap = [0, 8, 3][turn % 3];
                check_all(&device, &host, dtype, &case)?;
            }
        }
        Ok(())
    });
}

#[test]
fn lengths_around_tiles() {
    on_device(this_test!(), |device| {
        let host = HostDevice::open(0)?;
        for (dtype, head_dim) in [(Dtype::Bf16, 64), (Dtype::F16, 128), (Dtype::F32, 64)] {
            for lengths in [&[1, 2, 63], &[64, 65, 1], &[127, 128, 129], &[31, 0, 33], &[300, 1, 2]] {
                let sequences: Vec<(usize, usize)> = lengths.iter().map(|length| (0, *length)).collect();
                check_all(&device, &host, dtype, &Case::new(head_dim, 1, 2, &sequences))?;
            }
        }
        Ok(())
    });
}

#[test]
fn windows_reach_as_far_back_as_they_say() {
    on_device(this_test!(), |device| {
        let host = HostDevice::open(0)?;
        for (dtype, head_dim) in [(Dtype::Bf16, 64), (Dtype::F16, 128), (Dtype::F32, 40)] {
            for window in [1, 2, 63, 64, 100, 10_000] {
                let case = Case::new(head_dim, 1, 4, &[(0, 70), (150, 40)]).window(window);
                check_all(&device, &host, dtype, &case)?;
            }
        }
        Ok(())
    });
}

#[test]
fn a_prompt_in_chunks_is_the_whole_prompt() {
    on_device(this_test!(), |device| {
        let whole = Case::new(64, 2, 2, &[(0, 150)]);
        let cols = whole.layer.query_heads * whole.layer.head_dim;
        let dtype = Dtype::Bf16;
        let cache = whole.cache(&device, dtype, dtype)?;
        let [slots, positions] = whole.places(|past| past);
        let expected = whole.attend(
            &device,
            dtype,
            dtype,
            How::Prefill,
            &cache,
            [&slots, &positions],
            &whole.starts(),
        )?;
        // The same queries, but as three sequences in one slot: what is a sequence is up to `starts`.
        let mut chunks = whole.clone();
        chunks.sequences = vec![(0, 50), (50, 1), (51, 99)];
        let found = chunks.attend(
            &device,
            dtype,
            dtype,
            How::Prefill,
            &cache,
            [&slots, &positions],
            &[0, 50, 51, 150],
        )?;
        assert_eq!(found.len(), 150 * cols);
        close(&found, &expected, dtype, "chunks");
        Ok(())
    });
}

#[test]
fn a_cache_much_larger_than_what_it_holds() {
    on_device(this_test!(), |device| {
        let host = HostDevice::open(0)?;
        for (dtype, head_dim) in [(Dtype::Bf16, 128), (Dtype::F32, 64)] {
            let mut case = Case::new(head_dim, 2, 4, &[(0, 5), (699, 1), (64, 1)]);
            case.spare = 5000;
            check_all(&device, &host, dtype, &case)?;
        }
        Ok(())
    });
}

#[test]
fn what_is_out_of_range_is_skipped() {
    on_device(this_test!(), |device| {
        for dtype in Dtype::ALL {
            let mut case = Case::new(64, 1, 2, &[(4, 1), (9, 1), (2, 1)]);
            case.spare = 200;
            let cache = case.cache(&device, dtype, dtype)?;
            let capacity = cache.shape().capacity as u32;
            let cols = case.layer.query_heads * case.layer.head_dim;
            let right = [case.places(|past| past), [case.starts(), Vec::new()]];
            let [[slots, positions], [starts, _]] = &right;
            let ask = |how, slots: &[u32], positions: &[u32], starts: &[u32]| {
                case.attend(&device, dtype, dtype, how, &cache, [slots, positions], starts)
            };
            let expected = ask(How::Decode, slots, positions, starts)?;
            assert!(expected.iter().all(|y| *y != UNTOUCHED));
            let skipped = |found: &[f32], rows: &[usize], how: How| {
                for row in 0..3 {
                    let (found, expected) = (&found[row * cols..][..cols], &expected[row * cols..][..cols]);
                    match rows.contains(&row) {
                        true => assert!(
                            found.iter().all(|y| *y == UNTOUCHED),
                            "{dtype} {how:?}: row {row} was written"
                        ),
                        false => close(found, expected, dtype, (how, row)),
                    }
                }
            };
            for how in [How::Decode, How::Prefill] {
                skipped(&ask(how, &[2, 3, u32::MAX], positions, starts)?, &[1, 2], how);
                skipped(&ask(how, slots, &[capacity, 9, u32::MAX], starts)?, &[0, 2], how);
            }
            for starts in [[0, 1, 2, 4], [0, 1, 0, u32::MAX]] {
                let found = ask(How::Prefill, slots, positions, &starts)?;
                skipped(&found, if starts[2] == 2 { &[2] } else { &[1, 2] }, How::Prefill);
            }
            // The rows of a sequence that runs over the end of the cache: the first is still inside.
            let mut end = case.clone();
            end.sequences = vec![(0, 3)];
            let positions = [capacity - 1, capacity, capacity + 1];
            let full = Case { sequences: vec![(0, capacity as usize)], spare: 0, ..case.clone() };
            let full = full.cache(&device, dtype, dtype)?;
            let y = end.attend(&device, dtype, dtype, How::Prefill, &full, [&[0; 3], &positions], &[0, 3])?;
            assert!(y[..cols].iter().all(|y| y.abs() <= 1.0) && y[cols..].iter().all(|y| *y == UNTOUCHED));
        }
        Ok(())
    });
}

#[test]
fn what_is_written_out_of_range_is_dropped() {
    on_device(this_test!(), |device| {
        let case = Case::new(64, 2, 1, &[(0, 2), (0, 2)]);
        for dtype in Dtype::ALL {
            let mut cache = case.cache(&device, dtype, dtype)?;
            let ask = |cache: &KvCache<_>| {
                case.attend(&device, dtype, dtype, How::Decode, cache, [&[0, 0, 1, 1], &[0, 1, 0, 1]], &[0])
            };
            let before = ask(&cache)?;
            let rows = floats(&device, dtype, &vec![0.5; 4 * 128]);
            let rows = Matrix::new(&rows, dtype, [4, 128])?;
            let slots = indices(&device, &[2, u32::MAX, 0, 1]);
            let positions = indices(&device, &[0, 1, cache.shape().capacity as u32, u32::MAX]);
            let at = Placement { slots: Indices::new(&slots, 4)?, positions: Indices::new(&positions, 4)? };
            device.kv_write(rows, rows, at, &mut cache)?;
            assert_eq!(ask(&cache)?, before, "{dtype}");
        }
        Ok(())
    });
}

#[test]
fn what_no_kernel_takes_is_refused() {
    on_device(this_test!(), |device| {
        let wide = Case::new(257, 1, 1, &[(0, 1)]);
        for how in [How::Prefill, How::Decode] {
            let error = wide.causal(&device, Dtype::F16, Dtype::F16, how).unwrap_err();
            assert!(matches!(&error, Error::Shape { what, .. } if what.contains("256 at most")), "{error}");
        }
        let case = Case::new(64, 1, 1, &[(0, 1)]);
        let cache = case.cache(&device, Dtype::F16, Dtype::F16)?;
        let error = case
            .attend(&device, Dtype::Bf16, Dtype::Bf16, How::Decode, &cache, [&[0], &[0]], &[0])
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "run attention_decode: q is BF16, but must be in the format of the cache: convert it first"
        );
        Ok(())
    });
}
