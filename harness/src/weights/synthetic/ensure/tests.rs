//! Synthetic models made, found, repaired and refused.

use std::os::unix::fs::FileExt;
use std::sync::Mutex;

use super::*;
use crate::weights::{ModelFiles, OpenOptions};

fn quiet(_: Progress) {}

fn tiny(cache: &Path) -> Result<Synthetic, WeightsError> {
    ensure(SyntheticSize::Tiny, cache, &quiet)
}

/// Everything in the weights file of a model.
fn bytes(model: &Synthetic) -> Vec<u8> {
    fs::read(model.dir.join("model.safetensors")).unwrap()
}

#[test]
fn made_once_then_found() {
    let cache = tempfile::tempdir().unwrap();
    let seen = Mutex::new(Vec::new());
    let note = |progress: Progress| seen.lock().unwrap().push(progress);
    let made = ensure(SyntheticSize::Tiny, cache.path(), &note).unwrap();
    assert_eq!(made.state, SyntheticState::Made);
    let model = ModelFiles::open(&made.dir, OpenOptions::default()).unwrap();
    assert_eq!(model.bytes(), 2 * 631_424);
    assert_eq!(model.files()[0].data_begin % 4096, 0);
    let config = model.read_small("config.json", 1 << 20).unwrap().unwrap();
    let config: serde_json::Value = serde_json::from_slice(&config).unwrap();
    assert_eq!(config["architectures"][0], "LlamaForCausalLM");
    assert_eq!(model.tensor("lm_head.weight").unwrap().shape, [1024, 128]);
    let seen = seen.into_inner().unwrap();
    assert_eq!(seen.first().unwrap().done, 0);
    assert_eq!(seen.last().unwrap().done, seen.last().unwrap().total);
    let again = tiny(cache.path()).unwrap();
    assert_eq!((again.state, again.written), (SyntheticState::Found, Bytes::ZERO));
    let names: Vec<_> = fs::read_dir(&made.dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 3, "no journal is left: {names:?}");
}

#[test]
fn two_caches_hold_the_same_bytes() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    assert!(bytes(&tiny(one.path()).unwrap()) == bytes(&tiny(other.path()).unwrap()));
}

#[test]
fn damage_is_found_and_repaired() {
    let cache = tempfile::tempdir().unwrap();
    let model = tiny(cache.path()).unwrap();
    let right = bytes(&model);
    let path = model.dir.join("model.safetensors");
    let open = || File::options().write(true).open(&path).unwrap();
    let damages: [(&str, &dyn Fn()); 6] = [
        ("a byte of the data", &|| open().write_all_at(&[0xA5], 500_001).unwrap()),
        ("a byte of the header", &|| open().write_all_at(b"X", 20).unwrap()),
        ("a truncated file", &|| open().set_len(700_000).unwrap()),
        ("a missing file", &|| fs::remove_file(&path).unwrap()),
        ("a broken manifest", &|| fs::write(model.dir.join(MANIFEST), "{").unwrap()),
        ("another config", &|| fs::write(model.dir.join("config.json"), "{}").unwrap()),
    ];
    for (damage, inflict) in damages {
        inflict();
        assert_ne!(tiny(cache.path()).unwrap().state, SyntheticState::Found, "{damage}");
        assert!(bytes(&model) == right, "{damage}");
        assert_eq!(tiny(cache.path()).unwrap().state, SyntheticState::Found, "{damage}");
    }
}

#[test]
fn touched_files_are_checked_in_full_and_kept() {
    let cache = tempfile::tempdir().unwrap();
    let model = tiny(cache.path()).unwrap();
    let path = model.dir.join("model.safetensors");
    let before = Manifest::read(&model.dir, &Plan::of(SyntheticSize::Tiny)).unwrap().unwrap();
    let file = File::options().write(true).open(&path).unwrap();
    file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(tiny(cache.path()).unwrap().state, SyntheticState::Found);
    let after = Manifest::read(&model.dir, &Plan::of(SyntheticSize::Tiny)).unwrap().unwrap();
    assert_ne!(before.files[0].stamp, after.files[0].stamp);
    assert_eq!(before.files[0].checksums, after.files[0].checksums);
}

#[test]
fn an_attempt_that_was_cut_short_goes_on() {
    let cache = tempfile::tempdir().unwrap();
    let work = cache.path().join("models/synthetic-small-v1.partial");
    fs::create_dir_all(&work).unwrap();
    let plan = Plan::of(SyntheticSize::Small);
    let tables = super::super::fill::Tables::of(&plan.files[0]);
    let mut chunk = vec![0; CHUNK_BYTES as usize];
    let data = File::create(work.join("model.safetensors")).unwrap();
    let mut journal = String::new();
    // Three chunks are there, one of them not as the journal says; the last line was cut off.
    for at in [0, 1, 5] {
        tables.fill(&plan.files[0], at * CHUNK_BYTES, &mut chunk);
        journal += &journal_line(at as usize, checksum::of(&chunk));
        chunk[77] ^= u8::from(at == 1);
        data.write_all_at(&chunk, at * CHUNK_BYTES).unwrap();
    }
    journal += "6 0123";
    fs::write(journal_path(&work, "model.safetensors"), journal).unwrap();
    let made = ensure(SyntheticSize::Small, cache.path(), &quiet).unwrap();
    assert_eq!(made.state, SyntheticState::Completed);
    assert_eq!(made.written.get(), plan.bytes() - 2 * CHUNK_BYTES, "two chunks were kept");
    for at in [1, 6] {
        tables.fill(&plan.files[0], at * CHUNK_BYTES, &mut chunk);
        let mut found = vec![0; CHUNK_BYTES as usize];
        let file = File::open(made.dir.join("model.safetensors")).unwrap();
        file.read_exact_at(&mut found, at * CHUNK_BYTES).unwrap();
        assert!(found == chunk, "chunk {at}");
    }
    assert_eq!(ensure(SyntheticSize::Small, cache.path(), &quiet).unwrap().state, SyntheticState::Found);
}

#[test]
fn two_at_once_make_it_once() {
    let cache = tempfile::tempdir().unwrap();
    let states: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| tiny(cache.path()).unwrap().state)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(states.iter().filter(|state| **state == SyntheticState::Made).count(), 1, "{states:?}");
    assert_eq!(states.iter().filter(|state| **state == SyntheticState::Found).count(), 3, "{states:?}");
}

#[test]
fn unusable_cache_directories_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "x").unwrap();
    // A file in the directory's place, and a place where not even root can write.
    for cache in [file.as_path(), Path::new("/proc/coldstart-cache")] {
        let error = tiny(cache).unwrap_err();
        assert!(matches!(error, WeightsError::NoCache { .. }), "{error:?}");
        let error = error.to_string();
        for part in ["use the cache directory", cache.to_str().unwrap(), "COLDSTART_CACHE"] {
            assert!(error.contains(part), "`{part}` is missing in: {error}");
        }
    }
}

/// A tmpfs of its own for one test; `None` where this user may not mount.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(kib: u64) -> Option<SmallDisk> {
        let dir = tempfile::tempdir().unwrap();
        let size = format!("size={kib}k");
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(dir.path())
            .output();
        match mounted {
            Ok(output) if output.status.success() => Some(SmallDisk(dir)),
            _ => {
                eprintln!("SKIPPED: mounting a tmpfs needs root");
                None
            }
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(self.0.path()).status();
    }
}

#[test]
fn too_little_space_is_said_before_anything_is_written() {
    let Some(disk) = SmallDisk::mount(4096) else { return };
    let error = tiny(disk.0.path()).unwrap_err();
    let WeightsError::NoSpace { needed, free, .. } = &error else { panic!("{error:?}") };
    assert!(needed > free && free.get() > 0, "{error}");
    let error = error.to_string();
    for part in ["synthetic weights", "are free there", "COLDSTART_CACHE"] {
        assert!(error.contains(part), "`{part}` is missing in: {error}");
    }
}

#[test]
fn a_disk_that_fills_up_on_the_way_is_said_and_work_is_kept() {
    let Some(disk) = SmallDisk::mount(40 << 10) else { return };
    let plan = Plan::of(SyntheticSize::Small);
    let part = Part::open(disk.0.path(), &plan.files[0]).unwrap();
    let written = AtomicU64::new(0);
    let error = part.complete(&written, plan.bytes(), &quiet).unwrap_err();
    assert!(is_full(&error), "{error:?}");
    // What was written before is found again.
    let part = Part::open(disk.0.path(), &plan.files[0]).unwrap();
    assert!(part.missing_bytes() <= plan.bytes() - written.into_inner() + CHUNK_BYTES);
    assert!(part.missing_bytes() < plan.bytes());
}

#[test]
fn the_cache_directory_follows_the_environment() {
    let dir = |set: &[(&str, &str)]| {
        let set = set.to_vec();
        cache_dir_of(move |name| set.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into()))
    };
    let (own, xdg, home) = (("COLDSTART_CACHE", "/c"), ("XDG_CACHE_HOME", "/x"), ("HOME", "/h"));
    for (set, expected) in [
        (&[own, xdg, home][..], "/c"),
        (&[xdg, home], "/x/coldstart"),
        (&[("XDG_CACHE_HOME", "relative"), home], "/h/.cache/coldstart"),
        (&[home], "/h/.cache/coldstart"),
    ] {
        assert_eq!(dir(set).unwrap(), Path::new(expected));
    }
    assert!(dir(&[]).unwrap_err().to_string().contains("HOME is set"));
}
