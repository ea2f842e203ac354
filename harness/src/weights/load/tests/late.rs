//! A device that copies later, for tests: what is enqueued runs on a thread of its stream after a while, so that whoever
//! forgets to wait finds memory as it was before.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use coldstart_kernels::{
    Allocation, Description, Device, Error, HostDevice, HostMemory, Memory, MemoryInfo, Pinning, Result,
    Timed,
};
use memmap2::MmapMut;

use super::super::device::LoadDevice;

/// How long after its turn a copy runs.
const LATE: Duration = Duration::from_micros(300);

/// What is still to be done, and whoever waits for it.
#[derive(Debug, Default)]
pub(super) struct Pending(Mutex<usize>, Condvar);

impl Pending {
    fn add(&self) {
        *self.0.lock().unwrap() += 1;
    }

    fn done(&self) {
        *self.0.lock().unwrap() -= 1;
        self.1.notify_all();
    }

    fn wait(&self) {
        drop(self.1.wait_while(self.0.lock().unwrap(), |pending| *pending > 0).unwrap());
    }
}

type Work = Box<dyn FnOnce() + Send>;

/// A queue that one thread works off.
#[derive(Debug)]
pub(super) struct LateStream {
    queue: Mutex<Sender<Work>>,
}

impl LateStream {
    fn new() -> Self {
        let (sender, receiver) = channel::<Work>();
        thread::spawn(move || receiver.into_iter().for_each(|work| work()));
        LateStream { queue: Mutex::new(sender) }
    }

    fn enqueue(&self, all: &[Arc<Pending>], work: impl FnOnce() + Send + 'static) {
        all.iter().for_each(|pending| pending.add());
        let all = all.to_vec();
        let work = Box::new(move || {
            work();
            all.iter().for_each(|pending| pending.done());
        });
        self.queue.lock().unwrap().send(work).unwrap();
    }
}

/// Device memory that only copies reach.
#[derive(Debug)]
pub(super) struct LateBuffer(pub(super) Arc<Mutex<Vec<u8>>>);

impl Memory for LateBuffer {
    fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

/// Pinned memory: a mapped file, which a copy reads as it is when the copy runs.
#[derive(Debug)]
pub(super) struct LatePinned {
    map: MmapMut,
    file: Arc<File>,
    pending: Arc<Pending>,
    len: usize,
}

impl HostMemory for LatePinned {
    fn len(&self) -> usize {
        self.len
    }

    fn as_slice(&self) -> Result<&[u8]> {
        Ok(&self.map[..self.len])
    }

    fn as_mut_slice(&mut self) -> Result<&mut [u8]> {
        self.pending.wait();
        Ok(&mut self.map[..self.len])
    }
}

impl Drop for LatePinned {
    fn drop(&mut self) {
        self.pending.wait();
    }
}

/// Registered memory: what it held when it was registered, and how many are at once.
#[derive(Debug)]
pub(super) struct LateRegistered {
    bytes: Arc<Vec<u8>>,
    pending: Arc<Pending>,
    alive: Arc<AtomicUsize>,
}

impl Drop for LateRegistered {
    fn drop(&mut self) {
        self.pending.wait();
        self.alive.fetch_sub(1, Ordering::Relaxed);
    }
}

/// When a mark was passed.
#[derive(Debug, Clone)]
pub(super) struct LateMark(Arc<(Mutex<Option<Instant>>, Condvar)>);

impl LateMark {
    fn pass(&self) {
        *self.0.0.lock().unwrap() = Some(Instant::now());
        self.0.1.notify_all();
    }

    fn wait(&self) -> Instant {
        self.0.1.wait_while(self.0.0.lock().unwrap(), |at| at.is_none()).unwrap().unwrap()
    }
}

/// The device.
pub(super) struct Late {
    pub(super) host: HostDevice,
    pub(super) compute: LateStream,
    pub(super) pending: Arc<Pending>,
    /// Copies that were enqueued.
    pub(super) copies: AtomicUsize,
    /// Pieces of memory that are registered, and the most that were at once.
    pub(super) alive: Arc<AtomicUsize>,
    pub(super) most_registered: AtomicUsize,
    /// Whether it refuses to register.
    pub(super) refuses: bool,
    /// The copy, counted from 0, from which on all fail.
    pub(super) lost_from: usize,
}

impl LoadDevice for Late {
    fn host_bytes(_: &mut LateBuffer) -> Option<&mut [u8]> {
        None
    }
}

impl Late {
    /// A copy from `source`, which is asked for the bytes when it runs.
    fn later(
        &self,
        stream: &LateStream,
        (pending, target, offset): (&Arc<Pending>, &LateBuffer, usize),
        source: impl FnOnce() -> Vec<u8> + Send + 'static,
    ) -> Result<()> {
        let copy = self.copies.fetch_add(1, Ordering::Relaxed);
        if copy >= self.lost_from {
            return Err(lost("upload"));
        }
        let target = Arc::clone(&target.0);
        stream.enqueue(&[Arc::clone(pending), Arc::clone(&self.pending)], move || {
            thread::sleep(LATE);
            let bytes = source();
            target.lock().unwrap()[offset..offset + bytes.len()].copy_from_slice(&bytes);
        });
        Ok(())
    }
}

fn lost(action: &str) -> Error {
    Error::Os { action: action.to_owned(), source: std::io::Error::other("the device is lost") }
}

fn unsupported<T>() -> Result<T> {
    Err(Error::Os { action: "do that".to_owned(), source: std::io::ErrorKind::Unsupported.into() })
}

impl Device for Late {
    type Buffer = LateBuffer;
    type Pinned = LatePinned;
    type Stream = LateStream;
    type Registered<'m> = LateRegistered;
    type Mark = LateMark;

    fn open(index: usize) -> Result<Self> {
        Ok(Late {
            host: HostDevice::open(index)?,
            compute: LateStream::new(),
            pending: Arc::default(),
            copies: AtomicUsize::new(0),
            alive: Arc::default(),
            most_registered: AtomicUsize::new(0),
            refuses: false,
            lost_from: usize::MAX,
        })
    }

    fn describe(&self) -> Result<Description> {
        self.host.describe()
    }

    fn memory(&self) -> Result<MemoryInfo> {
        self.host.memory()
    }

    fn alloc_with(&self, bytes: usize, _: Allocation) -> Result<LateBuffer> {
        Ok(LateBuffer(Arc::new(Mutex::new(vec![0xAB; bytes]))))
    }

    fn pinned(&self, bytes: usize, _: Pinning) -> Result<LatePinned> {
        let file = tempfile::tempfile().unwrap();
        file.set_len(bytes.max(1) as u64).unwrap();
        // SAFETY: the file has no name and nobody else writes to it or shortens it.
        let map = unsafe { MmapMut::map_mut(&file) }.unwrap();
        Ok(LatePinned { map, file: Arc::new(file), pending: Arc::default(), len: bytes })
    }

    fn register(&self, memory: &[u8]) -> Result<LateRegistered> {
        if self.refuses {
            return Err(lost("register"));
        }
        assert!(memory.as_ptr().addr().is_multiple_of(4096), "memory that begins at a page");
        let alive = self.alive.fetch_add(1, Ordering::Relaxed) + 1;
        self.most_registered.fetch_max(alive, Ordering::Relaxed);
        let bytes = Arc::new(memory.to_vec());
        Ok(LateRegistered { bytes, pending: Arc::default(), alive: Arc::clone(&self.alive) })
    }

    fn stream(&self) -> Result<LateStream> {
        Ok(LateStream::new())
    }

    fn compute(&self) -> &LateStream {
        &self.compute
    }

    fn join(&self, later: &LateStream, earlier: &LateStream) -> Result<()> {
        let mark = LateMark(Arc::default());
        let passed = mark.clone();
        earlier.enqueue(&[], move || passed.pass());
        later.enqueue(&[], move || {
            mark.wait();
        });
        Ok(())
    }

    fn upload(
        &self,
        stream: &LateStream,
        source: &[u8],
        target: &mut LateBuffer,
        offset: usize,
    ) -> Result<()> {
        let staged = source.to_vec();
        self.later(stream, (&Arc::default(), target, offset), move || staged)
    }

    fn upload_pinned(
        &self,
        stream: &LateStream,
        source: &LatePinned,
        range: Range<usize>,
        target: &mut LateBuffer,
        offset: usize,
    ) -> Result<()> {
        let file = Arc::clone(&source.file);
        self.later(stream, (&source.pending, target, offset), move || {
            let mut bytes = vec![0; range.len()];
            file.read_exact_at(&mut bytes, range.start as u64).unwrap();
            bytes
        })
    }

    fn upload_registered(
        &self,
        stream: &LateStream,
        source: &LateRegistered,
        range: Range<usize>,
        target: &mut LateBuffer,
        offset: usize,
    ) -> Result<()> {
        let bytes = Arc::clone(&source.bytes);
        self.later(stream, (&source.pending, target, offset), move || bytes[range].to_vec())
    }

    fn download(&self, _: &LateStream, _: &LateBuffer, _: usize, _: &mut [u8]) -> Result<()> {
        unsupported()
    }

    fn download_pinned(
        &self,
        _: &LateStream,
        _: &LateBuffer,
        _: usize,
        _: &mut LatePinned,
        _: Range<usize>,
    ) -> Result<()> {
        unsupported()
    }

    fn copy(
        &self,
        _: &LateStream,
        _: &LateBuffer,
        _: Range<usize>,
        _: &mut LateBuffer,
        _: usize,
    ) -> Result<()> {
        unsupported()
    }

    fn sync_stream(&self, _: &LateStream) -> Result<()> {
        unsupported()
    }

    fn sync(&self) -> Result<()> {
        self.pending.wait();
        Ok(())
    }

    fn time<T, E: From<Error>>(&self, body: impl FnOnce() -> Result<T, E>) -> Result<Timed<T>, E> {
        self.host.time(body)
    }

    fn mark(&self) -> Result<LateMark> {
        let mark = LateMark(Arc::default());
        let passed = mark.clone();
        self.compute.enqueue(&[Arc::clone(&self.pending)], move || passed.pass());
        Ok(mark)
    }

    fn between(&self, from: &LateMark, to: &LateMark) -> Result<Duration> {
        Ok(to.wait().duration_since(from.wait()))
    }
}
