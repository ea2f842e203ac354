//! Sampling through a mapping, which needs no right to the file but that of reading it.
//!
//! A read fault makes the kernel map whatever is in memory around the page that was touched, out of its aligned 64 KiB, before it reads
//! that page (`do_fault_around` in mm/memory.c). What is mapped, `/proc/self/pagemap` tells everybody about their own process, and whether
//! the page itself had to be read is what the count of major faults says. So a window of 16 pages costs one read of one page at most.
//!
//! What this can't see: a page that somebody else is reading in at the moment counts as absent, and a file system that unpacks blocks
//! (squashfs) brings a whole one for the page that is read, of which only the part within the window is dropped again.

use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::ops::Range;
use std::os::fd::FromRawFd;
use std::os::unix::fs::FileExt;
use std::thread;

use memmap2::{Advice, Mmap, MmapOptions};

use super::exact::drop_range;
use super::{chance, page_size};

/// A window: what a fault maps around itself, unless somebody has set `fault_around_bytes` lower.
const WINDOW_BYTES: usize = 64 << 10;

/// The most windows of all files of a model together. Where whole windows are either resident or not, which is the worst, the standard
/// error of a share is at most 1.6 %; pages that alternate average out within each window.
pub(super) const WINDOWS: u64 = 1024;

/// How many threads look. Volumes on a network answer in about a millisecond: one after the other, the absent pages of 1024 windows
/// would take a second, each time that an eviction is checked.
const THREADS: u64 = 8;

/// Bytes of `span`, whose begin is a page's, that are resident, by what up to `most` windows spread over it show.
pub(super) fn by_fault_around(file: &File, span: &Range<u64>, most: u64) -> io::Result<u64> {
    let length = span.end - span.start;
    // SAFETY: no byte of the mapping is read but by the kernel, for whom a file that was cut is an error and no signal.
    let map = unsafe { MmapOptions::new().offset(span.start).len(length as usize).map(file) }?;
    // The kernel must not read on: what it brings would be in the next window.
    map.advise(Advice::Random)?;
    let pagemap = File::open("/proc/self/pagemap")?;
    let window = mapped_around(&pagemap)?;
    let view = View { map: &map, pagemap: &pagemap, seed: chance::seed() };
    let seen = look(view, Windows::of(&map, window, most));
    // Mapped pages can't be dropped.
    drop(map);
    let page = page_size() as u64;
    for pages in &seen.brought {
        drop_range(file, &(span.start + pages.start * page..span.start + pages.end * page));
    }
    match seen.error {
        Some(error) => Err(error),
        None => Ok((u128::from(length) * u128::from(seen.resident) / u128::from(seen.asked.max(1))) as u64),
    }
}

/// The windows of a mapping, from which some are taken. Places are pages of the mapping.
#[derive(Debug, Clone, Copy)]
struct Windows {
    /// The pages of a window.
    window: u64,
    /// Pages of the first window that lie before the mapping: windows are aligned by address.
    before: u64,
    /// The mapping's pages.
    pages: u64,
    /// How many there are.
    count: u64,
    /// How many are taken.
    taken: u64,
}

impl Windows {
    fn of(map: &Mmap, window: u64, most: u64) -> Self {
        let page = page_size();
        let pages = map.len().div_ceil(page) as u64;
        let before = (map.as_ptr().addr() / page) as u64 % window;
        let count = (before + pages).div_ceil(window);
        Windows { window, before, pages, count, taken: count.min(most.max(1)) }
    }

    /// The pages of the window that is taken from the `index`th of as many equal stretches.
    fn take(&self, index: u64, seed: u64) -> Range<u64> {
        let stretch = index * self.count / self.taken..(index + 1) * self.count / self.taken;
        let begin = chance::of(stretch, seed, index) * self.window;
        begin.saturating_sub(self.before)..(begin + self.window - self.before).min(self.pages)
    }
}

/// What windows have shown.
#[derive(Debug, Default)]
struct Seen {
    /// Pages that were asked about.
    asked: u64,
    /// Those that were there.
    resident: u64,
    /// Around each page that was read for it: pages which were absent before.
    brought: Vec<Range<u64>>,
    /// What ended the looking.
    error: Option<io::Error>,
}

/// All windows, a run of neighbours for each thread: what a large folio maps beyond its window is then seen by the thread that comes to it.
fn look(view: View<'_>, windows: Windows) -> Seen {
    let share = windows.taken.div_ceil(THREADS);
    let run = |thread: u64| {
        let mut seen = Seen::default();
        let mut share = thread * share..((thread + 1) * share).min(windows.taken);
        let looked = Touch::new().and_then(|mut touch| {
            share.try_for_each(|index| view.window(windows.take(index, view.seed), &mut touch, &mut seen))
        });
        seen.error = looked.err();
        seen
    };
    let threads = windows.taken.div_ceil(share.max(1));
    thread::scope(|scope| {
        let run = &run;
        let others: Vec<_> = (1..threads)
            .map(|thread| thread::Builder::new().spawn_scoped(scope, move || run(thread)))
            .collect();
        let mut all = run(0);
        for other in others {
            let other = other.and_then(|handle| {
                handle.join().map_err(|_| io::Error::other("a thread that looks at pages ended early"))
            });
            match other {
                Ok(seen) => {
                    all.asked += seen.asked;
                    all.resident += seen.resident;
                    all.brought.extend(seen.brought);
                    all.error = all.error.or(seen.error);
                }
                Err(error) => all.error = Some(error),
            }
        }
        all
    })
}

/// A mapping, and where one sees what of it is mapped.
#[derive(Clone, Copy)]
struct View<'a> {
    map: &'a [u8],
    pagemap: &'a File,
    seed: u64,
}

impl View<'_> {
    /// Pages are touched until all of the window is mapped, or one had to be read: the rest is absent then. The first fault maps what is
    /// there; others are needed where a large folio has been mapped from the window before, or a folio was left out for a mark
    /// of the readahead.
    fn window(&self, pages: Range<u64>, touch: &mut Touch, seen: &mut Seen) -> io::Result<()> {
        let total = pages.end - pages.start;
        for round in 0..=total {
            let unmapped = self.unmapped(&pages)?;
            let Some(page) = pick(&unmapped, self.seed, pages.start + round) else { break };
            if touch.had_to_read(self.map, page)? {
                // Before the fault nothing was mapped; what still isn't now was absent.
                let absent = self.unmapped(&pages)?;
                seen.brought.push(run_around(&absent, page));
                seen.asked += total;
                seen.resident += total.saturating_sub(absent.len() as u64 + 1);
                return Ok(());
            }
            if round == total {
                // Faults that leave nothing mapped: this is no pagemap as Linux has it.
                return Err(io::Error::new(
                    io::ErrorKind::Unsupported,
                    "/proc/self/pagemap shows nothing mapped",
                ));
            }
        }
        seen.asked += total;
        seen.resident += total;
        Ok(())
    }

    /// Those of `pages` that are not mapped.
    fn unmapped(&self, pages: &Range<u64>) -> io::Result<Vec<u64>> {
        const PRESENT: u64 = 1 << 63;
        const ENTRY: usize = size_of::<u64>();
        let first = self.map.as_ptr().addr() as u64 / page_size() as u64 + pages.start;
        let mut entries = vec![0; (pages.end - pages.start) as usize * ENTRY];
        self.pagemap.read_exact_at(&mut entries, first * ENTRY as u64)?;
        let (entries, _) = entries.as_chunks::<ENTRY>();
        let states = pages.clone().zip(entries);
        Ok(states
            .filter(|(_, entry)| u64::from_ne_bytes(**entry) & PRESENT == 0)
            .map(|(page, _)| page)
            .collect())
    }
}

/// One of `pages`.
fn pick(pages: &[u64], seed: u64, index: u64) -> Option<u64> {
    pages.get(chance::of(0..pages.len() as u64, !seed, index) as usize).copied()
}

/// `page` and its neighbours in `pages`, which are in order, as far as there is no gap.
fn run_around(pages: &[u64], page: u64) -> Range<u64> {
    let mut run = page..page + 1;
    for at in pages.iter().rev().filter(|at| **at < page) {
        if at + 1 == run.start {
            run.start = *at;
        }
    }
    for at in pages.iter().filter(|at| **at > page) {
        if *at == run.end {
            run.end += 1;
        }
    }
    run
}

/// Touches pages of a mapping by letting the kernel read them, into a pipe: where the file has been cut it answers EFAULT, while a
/// read of our own would end the process by SIGBUS.
struct Touch {
    reader: PipeReader,
    writer: PipeWriter,
}

impl Touch {
    fn new() -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        Ok(Touch { reader, writer })
    }

    /// Whether the page was absent.
    fn had_to_read(&mut self, map: &[u8], page: u64) -> io::Result<bool> {
        let at = page as usize * page_size();
        let byte = map.get(at..=at).ok_or(io::ErrorKind::InvalidInput)?;
        let before = major_faults()?;
        self.writer.write_all(byte)?;
        let read = major_faults()? != before;
        self.reader.read_exact(&mut [0])?;
        Ok(read)
    }
}

/// How many faults of this thread had to wait for storage so far.
fn major_faults() -> io::Result<libc::c_long> {
    // SAFETY: rusage is a plain C struct for which all-zero bytes are a valid value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: `usage` is a valid place to write to.
    if unsafe { libc::getrusage(libc::RUSAGE_THREAD, &mut usage) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(usage.ru_majflt)
}

/// How many pages a fault of this kernel maps around itself, a window at most: tried with memory of our own, all of it resident. With
/// pages of 64 KiB it is one, and windows of one page are sampled.
fn mapped_around(pagemap: &File) -> io::Result<u64> {
    let (page, window) = (page_size(), (WINDOW_BYTES / page_size()).max(1) as u64);
    let mut file = memory()?;
    // Twice a window, so that a whole one lies in it however it is mapped.
    file.write_all(&vec![1; 2 * window as usize * page])?;
    // SAFETY: the file is in memory, and nobody else has it.
    let map = unsafe { MmapOptions::new().map(&file) }?;
    map.advise(Advice::Random)?;
    let begin = (map.as_ptr().addr() / page) as u64 % window;
    let pages = (window - begin) % window..(window - begin) % window + window;
    Touch::new()?.had_to_read(&map, pages.start)?;
    let mapped = window - View { map: &map, pagemap, seed: 0 }.unmapped(&pages)?.len() as u64;
    match mapped {
        0 => Err(io::Error::new(io::ErrorKind::Unsupported, "/proc/self/pagemap shows nothing mapped")),
        mapped => Ok(1 << mapped.ilog2()),
    }
}

/// An empty file in memory.
fn memory() -> io::Result<File> {
    let make = |flags| {
        // SAFETY: the name is NUL-terminated and static.
        unsafe { libc::memfd_create(c"coldstart-pages".as_ptr(), flags) }
    };
    // Some systems refuse memory that could be made executable; before Linux 6.3 nobody knows that flag.
    let fd = match make(libc::MFD_CLOEXEC | libc::MFD_NOEXEC_SEAL) {
        -1 => make(libc::MFD_CLOEXEC),
        fd => fd,
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just made, and nothing else owns it.
    Ok(unsafe { File::from_raw_fd(fd) })
}
