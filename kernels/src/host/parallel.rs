//! Output that is written by all threads at once, each its own part.

use std::marker::PhantomData;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use super::pool::Pool;
use super::rows::RowsMut;

/// Nanoseconds, roughly, that one thread takes for `elements` simple element operations in cache.
pub(super) fn element_nanos(elements: usize) -> usize {
    elements / 2
}

/// Calls `f(index, row)` for each row of `y`, on all threads where the work of `nanos` nanoseconds is worth it.
pub(super) fn each_row(pool: &Pool, nanos: usize, y: RowsMut<'_>, f: impl Fn(usize, &mut [f32]) + Sync) {
    let rows = y.rows;
    let tasks = rows.min(pool.threads() * 4);
    let shared = SharedRows::new(y);
    pool.run_sized(nanos, tasks, |task| {
        for row in share(rows, tasks, task) {
            // SAFETY: the shares of different tasks are disjoint, and one row is written at a time.
            f(row, unsafe { shared.part(row, 0..shared.cols) });
        }
    });
}

/// Calls `f(index, row of a, row of b)` for each row of two matrices with equally many rows.
pub(super) fn each_row_pair(
    pool: &Pool,
    nanos: usize,
    a: RowsMut<'_>,
    b: RowsMut<'_>,
    f: impl Fn(usize, &mut [f32], &mut [f32]) + Sync,
) {
    let rows = a.rows.min(b.rows);
    let tasks = rows.min(pool.threads() * 4);
    let (a, b) = (SharedRows::new(a), SharedRows::new(b));
    pool.run_sized(nanos, tasks, |task| {
        for row in share(rows, tasks, task) {
            // SAFETY: as in `each_row`, for each of the two.
            let (a, b) = unsafe { (a.part(row, 0..a.cols), b.part(row, 0..b.cols)) };
            f(row, a, b);
        }
    });
}

/// Calls `f(offset, piece)` for the pieces of `piece` elements that `data` is cut into; the last may be shorter.
pub(super) fn each_piece<T: Send>(
    pool: &Pool,
    data: &mut [T],
    piece: usize,
    f: impl Fn(usize, &mut [T]) + Sync,
) {
    let pieces: Vec<Mutex<&mut [T]>> = data.chunks_mut(piece.max(1)).map(Mutex::new).collect();
    pool.run(pieces.len(), |index| {
        let mut data = pieces[index].lock().unwrap_or_else(PoisonError::into_inner);
        f(index * piece, &mut data);
    });
}

/// Part `task` of `tasks` nearly equal parts of `0..total`.
pub(super) fn share(total: usize, tasks: usize, task: usize) -> Range<usize> {
    let (each, left) = (total / tasks.max(1), total % tasks.max(1));
    let start = task * each + task.min(left);
    start..start + each + usize::from(task < left)
}

/// A matrix that several threads write to, each to elements that no other touches.
pub(super) struct SharedRows<'a> {
    start: *mut f32,
    len: usize,
    pub(super) cols: usize,
    pub(super) stride: usize,
    borrowed: PhantomData<&'a mut [f32]>,
}

// SAFETY: it stands for an exclusive borrow; whoever writes through it promises disjoint parts (see `part`).
unsafe impl Sync for SharedRows<'_> {}

impl<'a> SharedRows<'a> {
    pub(super) fn new(y: RowsMut<'a>) -> Self {
        let RowsMut { data, cols, stride, .. } = y;
        SharedRows { start: data.as_mut_ptr(), len: data.len(), cols, stride, borrowed: PhantomData }
    }

    /// The elements `cols` of row `row`.
    ///
    /// # Safety
    /// As long as the slice is used nobody else may use any of its elements.
    #[expect(
        clippy::mut_from_ref,
        reason = "handing out disjoint parts of one borrow is what the type is for"
    )]
    pub(super) unsafe fn part(&self, row: usize, cols: Range<usize>) -> &mut [f32] {
        let start = row * self.stride + cols.start;
        assert!(cols.start <= cols.end && cols.end <= self.cols && start + cols.len() <= self.len);
        // SAFETY: inside the borrowed slice by the check above; exclusive by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start), cols.len()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_cover_everything_once() {
        for (total, tasks) in [(0, 1), (1, 4), (7, 3), (12, 4), (5, 5)] {
            let all: Vec<usize> = (0..tasks).flat_map(|task| share(total, tasks, task)).collect();
            assert_eq!(all, (0..total).collect::<Vec<_>>(), "{total} {tasks}");
        }
    }

    #[test]
    fn rows_with_gaps_keep_what_is_between() {
        let pool = Pool::new(3).unwrap();
        let mut data = vec![-1.0; 4 * 5 - 2];
        let y = RowsMut { data: &mut data, rows: 4, cols: 3, stride: 5 };
        each_row(&pool, usize::MAX, y, |index, row| row.fill(index as f32));
        for (at, value) in data.iter().enumerate() {
            assert_eq!(*value, if at % 5 < 3 { (at / 5) as f32 } else { -1.0 });
        }
    }

    #[test]
    fn pieces_know_where_they_start() {
        let pool = Pool::new(2).unwrap();
        let mut data = vec![0usize; 10];
        each_piece(&pool, &mut data, 4, |offset, piece| {
            piece.iter_mut().enumerate().for_each(|(at, value)| *value = offset + at);
        });
        assert_eq!(data, (0..10).collect::<Vec<_>>());
    }
}
