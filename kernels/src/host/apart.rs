//! Threads on CPUs of their own.
//!
//! The kernel of a virtual machine can't tell an idle virtual CPU from one that its host has taken away, and then wakes a
//! worker on the CPU of the thread that woke it, where both share one CPU until the load is balanced. On a VM with two
//! CPUs the first forward pass of a process took once or twice the time for that alone, in half of all processes each.
//! Inference runtimes keep their threads on fixed CPUs for the same reason (ONNX Runtime does unless told otherwise).

use std::io;
use std::marker::PhantomData;
use std::os::unix::thread::JoinHandleExt as _;
use std::thread::JoinHandle;

/// Keeps the thread that made it, and a device's own threads, each on a CPU of its own until it is dropped.
///
/// Nothing is kept apart where there is nothing to gain or no way to do it: with one thread, with more or fewer CPUs than
/// threads (the kernel chooses better among those), on devices that don't compute on CPUs, and where the system refuses.
///
/// Threads that the caller starts meanwhile inherit its one CPU.
#[derive(Debug, Default)]
#[must_use = "threads are kept apart only as long as this lives"]
pub struct Apart<'d> {
    /// Every thread, with what it may run on again afterwards; empty where nothing is kept apart.
    before: Vec<(libc::pthread_t, CpuSet)>,
    /// The device's threads are joined when it is dropped; the caller's is the one that this value stays on.
    bound: PhantomData<(&'d (), *const ())>,
}

impl<'d> Apart<'d> {
    /// Keeps nothing apart.
    pub fn nothing() -> Self {
        Self::default()
    }

    /// Whether threads are kept apart.
    pub fn is_active(&self) -> bool {
        !self.before.is_empty()
    }

    /// The calling thread stays where it is; `workers` go to the other CPUs.
    pub(super) fn keep(workers: &'d [JoinHandle<()>]) -> Self {
        Self::try_keep(workers).unwrap_or_default()
    }

    fn try_keep(workers: &'d [JoinHandle<()>]) -> io::Result<Self> {
        let caller = this_thread();
        let mut cpus = CpuSet::of(caller)?.cpus();
        if workers.is_empty() || cpus.len() != workers.len() + 1 {
            return Ok(Self::nothing());
        }
        let here = this_cpu()?;
        cpus.retain(|cpu| *cpu != here);
        if cpus.len() != workers.len() {
            return Ok(Self::nothing()); // moved off its CPUs in between
        }
        let workers = workers.iter().map(JoinHandle::as_pthread_t);
        let mut apart = Self::nothing();
        for (thread, cpu) in [(caller, here)].into_iter().chain(workers.zip(cpus)) {
            let before = CpuSet::of(thread)?;
            CpuSet::one(cpu).apply(thread)?;
            // Where a later one is refused, dropping it releases those that were kept.
            apart.before.push((thread, before));
        }
        Ok(apart)
    }
}

impl Drop for Apart<'_> {
    fn drop(&mut self) {
        for (thread, before) in &self.before {
            // What was allowed before is allowed still, unless an administrator has just changed it.
            let _ = before.apply(*thread);
        }
    }
}

/// A set of CPUs.
#[derive(Clone, Copy)]
struct CpuSet(libc::cpu_set_t);

impl CpuSet {
    fn one(cpu: usize) -> Self {
        // SAFETY: all zeroes is the empty set.
        let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
        // SAFETY: a CPU out of range is ignored or panics; it never writes outside of the set.
        unsafe { libc::CPU_SET(cpu, &mut set) };
        Self(set)
    }

    /// What a thread of this process may run on.
    fn of(thread: libc::pthread_t) -> io::Result<Self> {
        // SAFETY: all zeroes is the empty set.
        let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
        // SAFETY: the thread has not been joined, and the set is of the size that is said.
        let status = unsafe { libc::pthread_getaffinity_np(thread, size_of_val(&set), &mut set) };
        if status == 0 { Ok(Self(set)) } else { Err(io::Error::from_raw_os_error(status)) }
    }

    fn apply(&self, thread: libc::pthread_t) -> io::Result<()> {
        // SAFETY: as above; the set is only read.
        let status = unsafe { libc::pthread_setaffinity_np(thread, size_of_val(&self.0), &self.0) };
        if status == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(status)) }
    }

    fn cpus(&self) -> Vec<usize> {
        // SAFETY: the CPU is within the set.
        (0..libc::CPU_SETSIZE as usize).filter(|cpu| unsafe { libc::CPU_ISSET(*cpu, &self.0) }).collect()
    }
}

impl std::fmt::Debug for CpuSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.cpus()).finish()
    }
}

fn this_thread() -> libc::pthread_t {
    // SAFETY: always succeeds.
    unsafe { libc::pthread_self() }
}

fn this_cpu() -> io::Result<usize> {
    // SAFETY: reads nothing of ours.
    usize::try_from(unsafe { libc::sched_getcpu() }).map_err(|_| io::Error::last_os_error())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::HostDevice;

    fn own() -> Vec<usize> {
        CpuSet::of(this_thread()).unwrap().cpus()
    }

    /// Every CPU that a thread of the device ran on, the caller's among them.
    fn seen(device: &HostDevice) -> Vec<usize> {
        let seen = Mutex::new(Vec::new());
        device.pool.run(device.threads() * 64, |_| {
            seen.lock().unwrap().push(this_cpu().unwrap());
            std::thread::sleep(std::time::Duration::from_micros(200));
        });
        let mut seen = seen.into_inner().unwrap();
        seen.sort_unstable();
        seen.dedup();
        seen
    }

    #[test]
    fn every_thread_has_a_cpu_of_its_own_until_it_is_dropped() {
        let before = own();
        let device = HostDevice::with_threads(before.len()).unwrap();
        let apart = Apart::keep(device.pool.workers());
        assert_eq!(apart.is_active(), before.len() > 1);
        if apart.is_active() {
            assert_eq!(own().len(), 1);
            let mut kept: Vec<usize> = own();
            for worker in device.pool.workers() {
                let cpus = CpuSet::of(worker.as_pthread_t()).unwrap().cpus();
                assert_eq!(cpus.len(), 1, "{cpus:?}");
                kept.extend(cpus);
            }
            kept.sort_unstable();
            assert_eq!(kept, before);
            assert_eq!(seen(&device), before);
        }
        drop(apart);
        assert_eq!(own(), before);
        for worker in device.pool.workers() {
            assert_eq!(CpuSet::of(worker.as_pthread_t()).unwrap().cpus(), before);
        }
    }

    #[test]
    fn nothing_is_kept_apart_where_threads_and_cpus_do_not_match() {
        let before = own();
        for threads in [1, before.len() + 1, before.len() + 2] {
            let device = HostDevice::with_threads(threads).unwrap();
            let apart = Apart::keep(device.pool.workers());
            assert!(!apart.is_active() || threads == before.len(), "{threads}");
            drop(apart);
            assert_eq!(own(), before);
        }
    }
}
