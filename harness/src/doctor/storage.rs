//! What the cache directory's file system allows: space, cold page caches, reads around the cache. Tried on one small
//! temporary file there, which is gone afterwards.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use coldstart_profiles::{Bytes, Check, PageCache, Residency};
use tempfile::NamedTempFile;

use super::check::Area;
use super::io;
use crate::host::{Host, free_disk};
use crate::weights::{WeightFile, page_cache};

const AREA: Area = Area::Storage;
/// Size of the file that things are tried on.
pub(super) const PROBE_BYTES: usize = 1 << 20;

/// `models`: the synthetic models with the sizes of their weights, ascending; the second is the default of a run.
pub(super) fn checks(
    host: &Host,
    cache_dir: &Path,
    models: &[(&str, Bytes)],
    default_model: Bytes,
) -> Vec<Check> {
    let place = Place::of(host, cache_dir);
    let mut checks = vec![];
    let probe = place.probe();
    checks.push(directory(&place, probe.as_ref().err(), models, default_model));
    match &probe {
        Ok(file) => {
            checks.push(eviction(file.path()));
            checks.push(direct(&place, file.path()));
            checks.push(ring(host, file.path()));
        }
        Err(_) => {
            let why = "not tried: no file can be written to the cache directory";
            for name in [EVICTION, DIRECT, RING] {
                checks.push(AREA.missing(name, why, WRITABLE));
            }
        }
    }
    checks
}

const EVICTION: &str = "page-cache eviction";
const DIRECT: &str = "O_DIRECT";
const RING: &str = "io_uring";
const WRITABLE: &str = "point COLDSTART_CACHE at a directory that can be written";

/// The cache directory, or what there is of the way to it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    /// What was asked for.
    wanted: PathBuf,
    /// The nearest directory above that exists, links resolved: the same file system, unless something is mounted later.
    existing: PathBuf,
    file_system: Option<String>,
}

impl Place {
    fn of(host: &Host, wanted: &Path) -> Self {
        let absolute = std::path::absolute(wanted).unwrap_or_else(|_| wanted.to_owned());
        let existing =
            absolute.ancestors().find_map(|dir| dir.canonicalize().ok()).unwrap_or_else(|| "/".into());
        let file_system = host.file_system(&existing);
        Place { wanted: absolute, existing, file_system }
    }

    /// A file with contents that no file system leaves out as a hole or compresses to nothing, written to the disk.
    fn probe(&self) -> std::io::Result<NamedTempFile> {
        let mut file = tempfile::Builder::new().prefix(".coldstart-doctor-").tempfile_in(&self.existing)?;
        file.write_all(&contents())?;
        file.as_file().sync_all()?;
        Ok(file)
    }
}

/// The probe's bytes: words that follow from their place.
pub(super) fn contents() -> Vec<u8> {
    let words = 0..(PROBE_BYTES / 8) as u64;
    words.flat_map(|word| coldstart_kernels::checksum::pattern(1, word).to_le_bytes()).collect()
}

/// Whether there is room and permission to write.
fn directory(
    place: &Place,
    refused: Option<&std::io::Error>,
    models: &[(&str, Bytes)],
    default_model: Bytes,
) -> Check {
    let name = "cache directory";
    let kind = place.file_system.as_deref().unwrap_or("unknown file system");
    let mut found = format!("{} on {kind}", place.wanted.display());
    if place.existing != place.wanted && !place.wanted.exists() {
        found += &format!(" (to be made below {})", place.existing.display());
    }
    if let Some(refused) = refused {
        return AREA.missing(name, format!("{found}: {refused}"), WRITABLE);
    }
    let free = match free_disk(&place.existing) {
        Ok(free) => free,
        Err(error) => return AREA.bounded(name, format!("{found}, free space unknown: {error}")),
    };
    judge_space(name, &format!("{found}, {free} free"), free, models, default_model)
}

fn judge_space(
    name: &str,
    found: &str,
    free: Bytes,
    models: &[(&str, Bytes)],
    default_model: Bytes,
) -> Check {
    let too_large: Vec<_> = models
        .iter()
        .filter(|(_, bytes)| *bytes > free)
        .map(|(name, bytes)| format!("{name} ({bytes})"))
        .collect();
    let remedy =
        format!("free space or move COLDSTART_CACHE for the synthetic models {}", too_large.join(", "));
    if too_large.is_empty() {
        AREA.ok(name, found)
    } else if free < default_model {
        AREA.missing(name, found, remedy)
    } else {
        AREA.limited(name, found, remedy)
    }
}

/// Whether a file can be made cold, and whether that can be seen.
fn eviction(path: &Path) -> Check {
    let file = WeightFile { path: path.to_owned(), size: PROBE_BYTES as u64, data_begin: 0 };
    // Read through first: eviction of a file that was never cached would prove nothing.
    let before = page_cache::warm(std::slice::from_ref(&file));
    let after = page_cache::evict(std::slice::from_ref(&file));
    match (before, after) {
        (Ok(before), Ok(after)) => judge_eviction(&before, after.state, &after.residency),
        (Err(error), _) | (_, Err(error)) => AREA.missing(
            EVICTION,
            format!("failed to {error}"),
            "use a cache directory on a local disk; until then only warm loads are measured",
        ),
    }
}

fn judge_eviction(before: &Residency, state: PageCache, after: &Residency) -> Check {
    let elsewhere = "put the model and COLDSTART_CACHE on a local disk (ext4, xfs)";
    if state == PageCache::Memory {
        return AREA.missing(
            EVICTION,
            "the file system keeps its files in memory: nothing is ever cold",
            elsewhere,
        );
    }
    let (Some(from), Some(to)) = (before.fraction(), after.fraction()) else {
        let why = after.why.as_deref().or(before.why.as_deref()).unwrap_or("no reason was given");
        return AREA.limited(EVICTION, format!("whether it worked can't be seen: {why}"), elsewhere);
    };
    let found = format!("{:.0} % of a file resident before, {:.1} % after", from * 100.0, to * 100.0);
    if after.partial_reason().is_some() {
        AREA.missing(EVICTION, format!("{found}: loads can't be made cold"), elsewhere)
    } else if from <= 0.5 {
        AREA.limited(EVICTION, format!("{found}: the file was not cached in the first place"), elsewhere)
    } else {
        AREA.ok(EVICTION, found)
    }
}

/// Whether files can be read around the page cache.
fn direct(place: &Place, path: &Path) -> Check {
    let in_memory = matches!(place.file_system.as_deref(), Some("tmpfs" | "ramfs"));
    match io::direct_read(path) {
        Ok(()) if in_memory => {
            AREA.bounded(DIRECT, "accepted, but tmpfs only pretends: the read comes from memory")
        }
        Ok(()) => AREA.ok(DIRECT, format!("a read of {} at a 4096-byte boundary came back right", io::READ)),
        Err(error) => AREA.missing(
            DIRECT,
            format!("{} refuses it: {error}", place.file_system.as_deref().unwrap_or("the file system")),
            "use a file system with direct reads (ext4, xfs); until then loads go through the page cache",
        ),
    }
}

/// Whether several reads can be under way at once through io_uring.
fn ring(host: &Host, path: &Path) -> Check {
    match io::ring_read(path) {
        Ok(()) => AREA.ok(RING, format!("a ring was made and read {} through it", io::READ)),
        Err(error) => {
            let (found, remedy) =
                explain_ring(host.read("/proc/sys/kernel/io_uring_disabled").as_deref(), &error);
            AREA.missing(RING, found, remedy)
        }
    }
}

/// What keeps io_uring away: the kernel's switch, a seccomp profile, or the kernel's age.
fn explain_ring(disabled: Option<&str>, error: &std::io::Error) -> (String, &'static str) {
    match (disabled, error.raw_os_error()) {
        (Some(switch @ ("1" | "2")), _) => (
            format!("{error}: kernel.io_uring_disabled is {switch}"),
            "set it to 0: `sysctl kernel.io_uring_disabled=0`",
        ),
        (_, Some(libc::EPERM | libc::EACCES)) => (
            format!("{error}: a seccomp profile or security module forbids it"),
            "start the container with a seccomp profile that allows io_uring_setup, io_uring_enter and io_uring_register",
        ),
        (_, Some(libc::ENOSYS)) => {
            (format!("{error}: this kernel has no io_uring"), "use Linux 5.6 or later")
        }
        (_, Some(libc::ENOMEM)) => {
            (format!("{error}: not enough lockable memory"), "raise RLIMIT_MEMLOCK: `ulimit -l unlimited`")
        }
        _ => (error.to_string(), "read with `direct` instead, which needs no ring"),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Error;

    use coldstart_profiles::CheckStatus::{Limited, Missing, Ok};
    use coldstart_profiles::ResidencyMethod;

    use super::*;
    use crate::host::tree::tree;

    const MODELS: [(&str, Bytes); 3] =
        [("tiny", Bytes::from_mib(1)), ("small", Bytes::from_mib(100)), ("8b", Bytes::from_mib(16_000))];

    #[test]
    fn room_for_models() {
        for (free, status) in [(20_000, Ok), (1000, Limited), (50, Missing)] {
            let check = judge_space("cache directory", "found", Bytes::from_mib(free), &MODELS, MODELS[1].1);
            assert_eq!(check.status, status, "{check:?}");
            assert_eq!(check.remedy.is_some_and(|remedy| remedy.contains("8b (15.6 GiB)")), status != Ok);
        }
    }

    #[test]
    fn evictions() {
        let residency = |share: Option<u64>| Residency {
            resident_bytes: share.map(Bytes::new),
            total_bytes: Bytes::new(100),
            method: ResidencyMethod::Mincore,
            why: share.is_none().then(|| "nobody knows".to_owned()),
        };
        for (before, state, after, status, says) in [
            (Some(100), PageCache::Cold, Some(0), Ok, "100 % of a file resident before, 0.0 % after"),
            (Some(100), PageCache::Cold, Some(50), Missing, "50.0 % after"),
            (Some(0), PageCache::Cold, Some(0), Limited, "not cached in the first place"),
            (None, PageCache::Cold, None, Limited, "nobody knows"),
            (Some(100), PageCache::Memory, Some(100), Missing, "in memory"),
        ] {
            let check = judge_eviction(&residency(before), state, &residency(after));
            assert_eq!(check.status, status, "{check:?}");
            assert!(check.found.contains(says), "{check:?}");
        }
    }

    #[test]
    fn reasons_against_rings() {
        for (switch, code, says, remedy) in [
            (Some("2"), libc::EPERM, "io_uring_disabled is 2", "sysctl"),
            (Some("0"), libc::EPERM, "seccomp", "seccomp"),
            (None, libc::ENOSYS, "no io_uring", "5.6"),
            (None, libc::ENOMEM, "lockable", "RLIMIT_MEMLOCK"),
            (None, libc::EIO, "error", "instead"),
        ] {
            let (found, advice) = explain_ring(switch, &Error::from_raw_os_error(code));
            assert!(found.contains(says) && advice.contains(remedy), "{found}: {advice}");
        }
    }

    #[test]
    fn a_directory_that_is_not_there_yet_is_not_made() {
        let root = tempfile::tempdir().unwrap();
        let wanted = root.path().join("a/b");
        let found = checks(&Host::here(), &wanted, &MODELS[..1], MODELS[0].1);
        assert!(found[0].found.contains("to be made below"), "{found:?}");
        assert_eq!(found.len(), 4);
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0, "something was left behind");
    }

    #[test]
    fn memory_file_systems_are_told_apart() {
        let (_tree, host) = tree(&[]);
        let place = Place { wanted: "/x".into(), existing: "/x".into(), file_system: Some("tmpfs".into()) };
        let real = Place::of(&Host::here(), &std::env::temp_dir()).probe().unwrap();
        assert_eq!(direct(&place, real.path()).status, Limited);
        assert!(Place::of(&host, Path::new("/")).file_system.is_none());
        if Path::new("/dev/shm").is_dir() {
            let found = checks(&Host::here(), Path::new("/dev/shm"), &MODELS[..1], MODELS[0].1);
            assert_eq!((found[1].name.as_str(), found[1].status), (EVICTION, Missing), "{found:?}");
        }
    }

    #[test]
    fn what_cannot_be_written_is_missing_with_the_reason() {
        let found = checks(&Host::here(), Path::new("/proc/coldstart"), &MODELS, MODELS[1].1);
        assert!(found.iter().all(|check| check.status == Missing), "{found:?}");
        assert!(found[0].remedy.as_deref().unwrap().contains("COLDSTART_CACHE"));
    }
}
