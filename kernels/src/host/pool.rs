//! The threads that the host's operations share.
//!
//! A decode step of a small model is a hundred operations of 10-500 µs each. A thread that has to be woken through the
//! kernel for each of them costs about 30 µs (measured with rayon on a 2-core VM), so idle workers here spin for a
//! moment before they sleep, as those of OpenMP and of the BLAS libraries do, and the calling thread works too.

use std::any::Any;
use std::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::{Error, Result};

/// How long an idle worker looks for work before it sleeps.
const SPIN: Duration = Duration::from_micros(200);

/// In `Shared::state`, below the epoch: whether workers may still enter the job, and how many are in it.
const OPEN: u64 = 1 << 31;
const ACTIVE: u64 = OPEN - 1;
const EPOCH_SHIFT: u32 = 32;

type Job = dyn Fn() + Sync;

/// A fixed set of threads that run one job at a time together with the caller.
#[derive(Debug)]
pub(super) struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    /// Held while a job runs; whoever finds it taken runs alone.
    running: Mutex<()>,
}

struct Shared {
    /// epoch « 32 | OPEN | number of workers inside the job.
    state: AtomicU64,
    /// The job of this epoch; written while the state is closed and nobody is inside.
    job: UnsafeCell<Option<*const Job>>,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    stop: AtomicBool,
    sleepers: AtomicUsize,
    lock: Mutex<()>,
    wake: Condvar,
}

// SAFETY: `job` is written only by the holder of `Pool::running` while the state is closed with no worker inside, and
// read only by workers that entered while it was open; the state's release and acquire order the two. What it points
// to is `Sync`.
unsafe impl Sync for Shared {}
// SAFETY: as above; the pointer is not tied to the thread that wrote it.
unsafe impl Send for Shared {}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("state", &self.state).finish_non_exhaustive()
    }
}

impl Pool {
    /// Starts `threads − 1` workers; the caller of [`run`](Pool::run) is the last of the `threads`.
    pub(super) fn new(threads: usize) -> Result<Pool> {
        let shared = Arc::new(Shared {
            state: AtomicU64::new(0),
            job: UnsafeCell::new(None),
            panic: Mutex::new(None),
            stop: AtomicBool::new(false),
            sleepers: AtomicUsize::new(0),
            lock: Mutex::new(()),
            wake: Condvar::new(),
        });
        let mut pool = Pool { shared, workers: Vec::new(), running: Mutex::new(()) };
        for index in 1..threads {
            let shared = Arc::clone(&pool.shared);
            let worker = std::thread::Builder::new()
                .name(format!("coldstart-host-{index}"))
                .spawn(move || shared.work())
                .map_err(|error| Error::Threads { threads, why: error.to_string() })?;
            pool.workers.push(worker);
        }
        Ok(pool)
    }

    /// How many threads work on a job, the caller's included.
    pub(super) fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// The workers, without the caller's thread.
    pub(super) fn workers(&self) -> &[JoinHandle<()>] {
        &self.workers
    }

    /// Calls `f` once for each of `0..tasks`, on all threads, and returns when all calls have. A job within a job, and a
    /// second one at the same time, run on their caller's thread alone. A panic of `f` is passed on to the caller.
    pub(super) fn run(&self, tasks: usize, f: impl Fn(usize) + Sync) {
        let guard = if tasks > 1 && !self.workers.is_empty() { self.running.try_lock().ok() } else { None };
        let Some(guard) = guard else {
            return (0..tasks).for_each(f);
        };
        let next = AtomicUsize::new(0);
        let body = || {
            loop {
                let task = next.fetch_add(1, Ordering::Relaxed);
                if task >= tasks {
                    break;
                }
                f(task);
            }
        };
        let outcome = self.shared.run_open(&body);
        drop(guard);
        if let Err(payload) = outcome {
            resume_unwind(payload);
        }
    }

    /// [`run`](Pool::run), but on the calling thread alone where all of it takes less than about 10 µs: handing it out
    /// would cost more. `nanos` is a rough estimate of the whole work on one thread.
    pub(super) fn run_sized(&self, nanos: usize, tasks: usize, f: impl Fn(usize) + Sync) {
        if nanos < 10_000 { (0..tasks).for_each(f) } else { self.run(tasks, f) }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        drop(lock(&self.shared.lock));
        self.shared.wake.notify_all();
        for worker in self.workers.drain(..) {
            // A worker catches the panics of jobs and has none of its own.
            let _ = worker.join();
        }
    }
}

impl Shared {
    /// Opens `body` to the workers, runs it here too, and returns when nobody is inside it any more.
    fn run_open(&self, body: &(dyn Fn() + Sync)) -> Result<(), Box<dyn Any + Send>> {
        // SAFETY: only the lifetime is erased. No worker reads the pointer before the state is opened below or enters
        // after it is closed, and this function does not return or unwind before the last one has left.
        let job: *const Job =
            unsafe { std::mem::transmute::<*const (dyn Fn() + Sync + '_), *const Job>(body) };
        // SAFETY: the caller holds `running` and the last job was closed and left, so nobody else looks at the cell.
        unsafe { *self.job.get() = Some(job) };
        let epoch = (self.state.load(Ordering::Relaxed) >> EPOCH_SHIFT).wrapping_add(1);
        self.state.store(epoch << EPOCH_SHIFT | OPEN, Ordering::SeqCst);
        if self.sleepers.load(Ordering::SeqCst) > 0 {
            drop(lock(&self.lock));
            self.wake.notify_all();
        }
        let own = catch_unwind(AssertUnwindSafe(body));
        self.state.fetch_and(!OPEN, Ordering::AcqRel);
        let mut turns = 0u32;
        while self.state.load(Ordering::Acquire) & ACTIVE != 0 {
            pause(&mut turns);
        }
        let theirs = lock(&self.panic).take();
        own?;
        theirs.map_or(Ok(()), Err)
    }

    /// The life of a worker.
    fn work(&self) {
        let mut seen = 0;
        while let Some(epoch) = self.next_epoch(seen) {
            seen = epoch;
            if !self.enter(epoch) {
                continue;
            }
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                // SAFETY: we entered while the job was open, so the cell was written before and not again until we leave.
                let job = unsafe { *self.job.get() };
                if let Some(job) = job {
                    // SAFETY: what it points to lives until we leave.
                    unsafe { (*job)() }
                }
            }));
            if let Err(payload) = outcome {
                lock(&self.panic).get_or_insert(payload);
            }
            self.state.fetch_sub(1, Ordering::Release);
        }
    }

    /// Counts the calling worker in, unless that job is closed already.
    fn enter(&self, epoch: u64) -> bool {
        let open = |state: u64| state >> EPOCH_SHIFT == epoch && state & OPEN != 0;
        let count_in = |state: u64| open(state).then_some(state + 1);
        self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, count_in).is_ok()
    }

    /// Waits for a job after the one of `seen`; `None` when the pool stops.
    fn next_epoch(&self, seen: u64) -> Option<u64> {
        let changed = || {
            let epoch = self.state.load(Ordering::SeqCst) >> EPOCH_SHIFT;
            (epoch != seen).then_some(epoch)
        };
        let started = Instant::now();
        let mut turns = 0;
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return None;
            }
            if let Some(epoch) = changed() {
                return Some(epoch);
            }
            pause(&mut turns);
            if turns.is_multiple_of(64) && started.elapsed() > SPIN {
                break;
            }
        }
        let mut guard = lock(&self.lock);
        self.sleepers.fetch_add(1, Ordering::SeqCst);
        while changed().is_none() && !self.stop.load(Ordering::SeqCst) {
            guard = self.wake.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
        self.sleepers.fetch_sub(1, Ordering::SeqCst);
        drop(guard);
        if self.stop.load(Ordering::SeqCst) { None } else { changed() }
    }
}

/// One turn of a spin loop; now and then it lets other threads have the core.
fn pause(turns: &mut u32) {
    *turns = turns.wrapping_add(1);
    if turns.is_multiple_of(256) { std::thread::yield_now() } else { std::hint::spin_loop() }
}

/// The locks guard nothing that a panic could leave half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_runs_once_and_before_run_returns() {
        for threads in [1, 2, 3, 7] {
            let pool = Pool::new(threads).unwrap();
            assert_eq!(pool.threads(), threads);
            for round in 0..300 {
                let tasks = round % 17;
                let counts: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
                pool.run(tasks, |task| {
                    counts[task].fetch_add(1, Ordering::Relaxed);
                });
                assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) == 1), "{threads} {round}");
                if round % 100 == 0 {
                    // Long enough for the workers to fall asleep.
                    std::thread::sleep(SPIN * 4);
                }
            }
        }
    }

    #[test]
    fn a_job_within_a_job_and_jobs_side_by_side_run_too() {
        let pool = Pool::new(3).unwrap();
        let count = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        pool.run(4, |_| {
                            pool.run(3, |_| {
                                count.fetch_add(1, Ordering::Relaxed);
                            });
                        });
                    }
                });
            }
        });
        assert_eq!(count.load(Ordering::Relaxed), 4 * 50 * 4 * 3);
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_pool_lives_on() {
        let pool = Pool::new(2).unwrap();
        for _ in 0..20 {
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                pool.run(64, |task| assert!(task != 40, "task forty"));
            }));
            assert!(outcome.is_err());
        }
        let count = AtomicUsize::new(0);
        pool.run(10, |_| {
            count.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(count.load(Ordering::Relaxed), 10);
    }
}
