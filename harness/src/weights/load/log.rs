//! When each thread read, staged and uploaded: intervals, and what follows from them.

use std::time::Instant;

use coldstart_kernels::Device;
use coldstart_profiles::Nanos;

use crate::weights::error::WeightsError;
use crate::weights::files::TensorEntry;

/// From and to, in nanoseconds since the load began.
pub(super) type Interval = (u64, u64);

/// What one thread did. `M` marks a moment on the device.
#[derive(Debug)]
pub(super) struct Log<M> {
    start: Instant,
    pub(super) pin: Vec<Interval>,
    pub(super) read: Vec<Interval>,
    pub(super) stage: Vec<Interval>,
    pub(super) upload: Vec<Interval>,
    /// Windows and when they were whole on the device.
    pub(super) done: Vec<(usize, u64)>,
    /// Windows whose copies the device does on its own.
    pub(super) enqueued: Vec<Enqueued<M>>,
    /// Copies enqueued.
    pub(super) copies: u64,
    /// What went otherwise than asked for.
    pub(super) remarks: Vec<String>,
}

/// A window whose copies were handed to the device.
#[derive(Debug)]
pub(super) struct Enqueued<M> {
    pub(super) window: usize,
    /// Before the first of them was.
    pub(super) from: u64,
    /// After the last of them on the device.
    pub(super) done: M,
}

/// One moment on the clocks of host and device.
#[derive(Debug)]
pub(super) struct Origin<M> {
    device: M,
    host: u64,
}

impl<M> Origin<M> {
    /// Mark the moment before the first copy. The device must be idle.
    pub(super) fn mark<D: Device<Mark = M>>(device: &D, start: Instant) -> Result<Self, WeightsError> {
        let mark = device.mark().map_err(WeightsError::device("mark the begin of a load"))?;
        Ok(Origin { device: mark, host: since(start) })
    }
}

fn since(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

impl<M> Log<M> {
    /// Nothing yet, for a load that began at `start`.
    pub(super) fn new(start: Instant) -> Self {
        Log {
            start,
            pin: Vec::new(),
            read: Vec::new(),
            stage: Vec::new(),
            upload: Vec::new(),
            done: Vec::new(),
            enqueued: Vec::new(),
            copies: 0,
            remarks: Vec::new(),
        }
    }

    /// Now.
    pub(super) fn now(&self) -> u64 {
        since(self.start)
    }

    /// Take over what another thread did.
    pub(super) fn merge(&mut self, other: Log<M>) {
        self.pin.extend(other.pin);
        self.read.extend(other.read);
        self.stage.extend(other.stage);
        self.upload.extend(other.upload);
        self.done.extend(other.done);
        self.enqueued.extend(other.enqueued);
        self.copies += other.copies;
        for remark in other.remarks {
            if !self.remarks.contains(&remark) {
                self.remarks.push(remark);
            }
        }
    }

    /// Ask the device when its copies were done, after all of them are. The load ended at `end`.
    ///
    /// A copy counts as under way from its being enqueued, since the host cannot see when the device takes it up. Where copies
    /// wait for each other that changes nothing about the time in which any is under way.
    pub(super) fn settle<D: Device<Mark = M>>(
        &mut self,
        device: &D,
        origin: &Origin<M>,
        end: u64,
    ) -> Result<(), WeightsError> {
        for Enqueued { window, from, done } in std::mem::take(&mut self.enqueued) {
            let elapsed = device
                .between(&origin.device, &done)
                .map_err(WeightsError::device("ask when a copy was done"))?;
            let elapsed = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
            // The two clocks agree to some microseconds.
            let done = origin.host.saturating_add(elapsed).clamp(from, end.max(from));
            self.upload.push((from, done));
            self.done.push((window, done));
        }
        Ok(())
    }

    /// When the first tensor was whole on the device. `windows`: file and range of each window, in order.
    pub(super) fn first_tensor(
        &self,
        tensors: &[TensorEntry],
        windows: &[(usize, std::ops::Range<u64>)],
    ) -> Option<Nanos> {
        let mut done = vec![u64::MAX; windows.len()];
        for (index, at) in &self.done {
            done[*index] = *at;
        }
        let whole = |tensor: &TensorEntry| {
            let first =
                windows.partition_point(|(file, range)| (*file, range.end) <= (tensor.file, tensor.begin));
            let end = tensor.begin + tensor.bytes;
            let last = windows.partition_point(|(file, range)| (*file, range.start) < (tensor.file, end));
            done.get(first..last)?.iter().max().copied()
        };
        let first = tensors.iter().filter(|tensor| tensor.bytes > 0).filter_map(whole).min()?;
        Some(Nanos::from_nanos(first))
    }
}
/// The union of intervals: ordered, disjoint.
pub(super) fn union(intervals: &[Interval]) -> Vec<Interval> {
    let mut ordered = intervals.to_vec();
    ordered.sort_unstable();
    let mut union: Vec<Interval> = Vec::new();
    for (from, to) in ordered {
        match union.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => union.push((from, to)),
        }
    }
    union
}

/// The length of disjoint intervals together.
pub(super) fn length(disjoint: &[Interval]) -> Nanos {
    Nanos::from_nanos(disjoint.iter().map(|(from, to)| to - from).sum())
}

/// How long both were under way. Both are unions.
pub(super) fn overlap(one: &[Interval], other: &[Interval]) -> Nanos {
    let (mut i, mut j, mut both) = (0, 0, 0);
    while let (Some(a), Some(b)) = (one.get(i), other.get(j)) {
        both += a.1.min(b.1).saturating_sub(a.0.max(b.0));
        if a.1 < b.1 {
            i += 1;
        } else {
            j += 1;
        }
    }
    Nanos::from_nanos(both)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unions_count_shared_time_once() {
        let read = union(&[(20, 30), (0, 10), (5, 12), (12, 13)]);
        assert_eq!(read, [(0, 13), (20, 30)]);
        assert_eq!(length(&read), Nanos::from_nanos(23));
        let upload = union(&[(10, 22), (25, 26), (40, 50)]);
        assert_eq!(overlap(&read, &upload), Nanos::from_nanos(3 + 2 + 1));
        assert_eq!(overlap(&upload, &read), Nanos::from_nanos(6));
        assert_eq!(overlap(&read, &[]), Nanos::ZERO);
    }

    #[test]
    fn the_first_tensor_needs_all_its_windows() {
        let tensor = |file, begin, bytes| TensorEntry {
            name: String::new(),
            dtype: safetensors::Dtype::U8,
            shape: vec![bytes as usize],
            file,
            begin,
            bytes,
        };
        let windows = [(0, 10..100), (0, 100..200), (0, 200..230), (1, 5..100)];
        let mut log = Log::<()>::new(Instant::now());
        log.done = vec![(1, 5), (0, 9), (2, 7), (3, 8)];
        let first = |tensors: &[TensorEntry]| log.first_tensor(tensors, &windows).map(Nanos::as_nanos);
        assert_eq!(first(&[tensor(0, 10, 100), tensor(0, 110, 110)]), Some(7));
        assert_eq!(first(&[tensor(0, 10, 90), tensor(0, 100, 130)]), Some(7));
        assert_eq!(first(&[tensor(0, 10, 91)]), Some(9));
        assert_eq!(first(&[tensor(0, 100, 0), tensor(1, 5, 95)]), Some(8));
        assert_eq!(first(&[tensor(0, 100, 0)]), None);
    }
}
