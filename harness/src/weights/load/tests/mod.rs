//! Every strategy, on every kind of device: all bytes arrive, and what is said about the load is true.

mod far;
mod late;
mod later;
mod stand_in;

use std::fs;
use std::path::Path;

use coldstart_kernels::{Device, HostDevice};
use coldstart_profiles::{Bytes, LoadDetail, Nanos, ResidencyMethod};

use super::*;
use crate::weights::files::testing::{index, raw_file, vectors};
use crate::weights::{DeviceLayout, ModelFiles, OpenOptions, Strategy, WeightsError};
use far::Far;

/// Small windows, so that a small model has many of them.
const OPTIONS: LoadOptions = LoadOptions { threads: 2, chunk_bytes: 8192, slots: 3, streams: 2 };

/// A directory on the disk that the build lies on: /tmp may be a tmpfs, which ignores O_DIRECT.
fn dir() -> tempfile::TempDir {
    tempfile::tempdir_in(concat!(env!("CARGO_MANIFEST_DIR"), "/target")).unwrap()
}

fn open(dir: &Path) -> ModelFiles {
    ModelFiles::open(dir, OpenOptions::default()).unwrap()
}

/// Two shards with tensors of odd sizes, some larger than a window, one empty.
fn sharded(dir: &Path) -> ModelFiles {
    let (one, two) = ("m-1.safetensors", "m-2.safetensors");
    vectors(&dir.join(one), &[("a", 3), ("b", 10_001), ("none", 0), ("c", 64), ("d", 4096)]);
    vectors(&dir.join(two), &[("e", 1), ("f", 7000), ("g", 2)]);
    index(dir, &[("a", one), ("g", two)]);
    open(dir)
}

fn load<D: LoadDevice>(
    device: &D,
    model: &ModelFiles,
    strategy: Strategy,
    options: LoadOptions,
) -> Result<(D::Buffer, LoadReading), WeightsError> {
    let layout = DeviceLayout::of(model);
    check_device_fits(device, &layout)?;
    let mut buffer = alloc_weights(device, &layout)?;
    let reading = load_weights(device, model, &layout, &mut buffer, strategy, options)?;
    Ok((buffer, reading))
}

#[track_caller]
fn arrived(model: &ModelFiles, buffer: &[u8], case: &str) {
    let layout = DeviceLayout::of(model);
    for tensor in model.tensors() {
        let file = fs::read(&model.files()[tensor.file].path).unwrap();
        let expected = &file[tensor.begin as usize..(tensor.begin + tensor.bytes) as usize];
        let placed = layout.table().require(&tensor.name).unwrap();
        let found = &buffer[placed.offset..placed.offset + placed.bytes];
        assert!(found == expected, "{case}: {}", tensor.name);
    }
}

/// What holds for every load. `host_memory`: the CPU could address the device's memory.
#[track_caller]
fn plausible(strategy: Strategy, host_memory: bool, reading: &LoadReading, model: &ModelFiles) {
    use Strategy::{Buffered, BufferedInPlace, Direct, Mmap, MmapStaged, PinnedWhole, Registered};
    let LoadReading { total, detail } = reading;
    let LoadDetail { pin_ns, read_ns, stage_ns, upload_ns, overlap_ns, first_tensor_ns, .. } = detail;
    assert_eq!(detail.loaded_bytes, Bytes::new(model.bytes()), "{strategy}");
    let pins = matches!(strategy, Buffered | Direct | MmapStaged | PinnedWhole | Registered);
    assert_eq!(detail.pinned_bytes > Bytes::ZERO, pins, "{strategy}");
    assert_eq!(*pin_ns > Nanos::ZERO, pins, "{strategy}");
    assert_eq!(read_ns.is_none(), strategy == Mmap, "{strategy}");
    assert_eq!(stage_ns.is_some(), strategy == MmapStaged, "{strategy}");
    assert_eq!(upload_ns.is_none(), strategy == BufferedInPlace, "{strategy}");
    let absent: Vec<_> = detail.absent.iter().map(|absent| absent.part.as_str()).collect();
    for (part, is_none) in
        [("read_ns", read_ns.is_none()), ("stage_ns", stage_ns.is_none()), ("upload_ns", upload_ns.is_none())]
    {
        assert_eq!(absent.contains(&part), is_none, "{strategy}: every null has its reason");
    }
    let (read, upload) = (read_ns.unwrap_or_default(), upload_ns.unwrap_or_default());
    assert!(read.saturating_add(upload).saturating_sub(*overlap_ns) <= *total, "{strategy}: {detail:?}");
    assert!(*overlap_ns <= read && *overlap_ns <= upload, "{strategy}: {detail:?}");
    assert!(first_tensor_ns.is_some_and(|first| first > Nanos::ZERO && first <= *total), "{strategy}");
    assert_ne!(detail.residency_before.method, ResidencyMethod::None);
    assert_eq!((detail.copies == 0, detail.streams == 0), (host_memory, host_memory), "{strategy}");
    assert!(detail.anonymous_growth_bytes.is_some());
}

#[test]
fn every_strategy_brings_every_byte() {
    let dir = dir();
    let model = sharded(dir.path());
    let device = HostDevice::open(0).unwrap();
    let far = Far(HostDevice::open(0).unwrap());
    for strategy in Strategy::ALL {
        let (buffer, reading) = load(&device, &model, strategy, OPTIONS).unwrap();
        arrived(&model, buffer.as_slice(), strategy.name());
        plausible(strategy, true, &reading, &model);
        if !strategy.needs_host_memory() {
            let (buffer, reading) = load(&far, &model, strategy, OPTIONS).unwrap();
            arrived(&model, buffer.as_slice(), &format!("{strategy} from afar"));
            plausible(strategy, false, &reading, &model);
        }
    }
    let error = load(&far, &model, Strategy::BufferedInPlace, OPTIONS).unwrap_err();
    assert!(matches!(error, WeightsError::NotHostMemory { .. }), "{error:?}");
}

#[test]
fn any_window_and_any_number_of_threads_will_do() {
    let dir = dir();
    let model = sharded(dir.path());
    let device = HostDevice::open(0).unwrap();
    for strategy in Strategy::ALL {
        for (threads, chunk_bytes, slots) in [(1, 1, 1), (4, 4096, 2), (0, 1 << 20, 4), (7, 12_288, 1)] {
            let options = LoadOptions { threads, chunk_bytes, slots, streams: 0 };
            let (buffer, _) = load(&device, &model, strategy, options).unwrap();
            arrived(&model, buffer.as_slice(), &format!("{strategy} {options:?}"));
        }
    }
}

#[test]
fn direct_reads_work_without_io_uring() {
    let dir = dir();
    let model = sharded(dir.path());
    let device = HostDevice::open(0).unwrap();
    let layout = DeviceLayout::of(&model);
    let mut buffer = alloc_weights(&device, &layout).unwrap();
    let asked = (Strategy::Direct, OPTIONS);
    let mut plan = run::Prepared::of::<HostDevice>(&model, &layout, &mut buffer, asked, 1).unwrap();
    plan.reads = reads::Reads::DirectPread;
    let (_, reading) = run::load_prepared(&device, plan, &mut buffer).unwrap();
    arrived(&model, buffer.as_slice(), "direct pread");
    assert_eq!(reading.detail.reads_by, "pread");
}

#[test]
fn direct_reads_leave_the_page_cache_cold() {
    let dir = dir();
    raw_file(
        &dir.path().join("model.safetensors"),
        r#"{"a":{"dtype":"U8","shape":[1000000],"data_offsets":[0,1000000]}}"#,
        1_000_000,
    );
    let model = open(dir.path());
    let evicted = crate::weights::page_cache::evict(model.files()).unwrap();
    if evicted.residency.method == ResidencyMethod::Tmpfs {
        eprintln!("SKIPPED: the build directory is in memory");
        return;
    }
    let device = HostDevice::open(0).unwrap();
    let cold = |strategy| load(&device, &model, strategy, OPTIONS).unwrap().1.detail.residency_before;
    assert_eq!(cold(Strategy::Direct).partial_reason(), None);
    assert_eq!(cold(Strategy::Buffered).partial_reason(), None, "the direct load left nothing behind");
    assert!(cold(Strategy::Buffered).partial_reason().is_some(), "the buffered load did");
}

#[test]
fn a_file_that_shrinks_is_found() {
    for strategy in Strategy::ALL {
        let dir = dir();
        let model = sharded(dir.path());
        let file = fs::File::options().write(true).open(&model.files()[1].path).unwrap();
        file.set_len(model.files()[1].size - 1).unwrap();
        let device = HostDevice::open(0).unwrap();
        let error = load(&device, &model, strategy, OPTIONS).unwrap_err();
        assert!(matches!(error, WeightsError::Changed { .. }), "{strategy}: {error:?}");
        fs::remove_file(&model.files()[1].path).unwrap();
        let error = load(&device, &model, strategy, OPTIONS).unwrap_err().to_string();
        assert!(error.contains("m-2.safetensors"), "{strategy}: {error}");
    }
}

#[test]
fn the_check_finds_one_wrong_byte() {
    let dir = dir();
    let model = sharded(dir.path());
    let device = HostDevice::open(0).unwrap();
    let (buffer, _) = load(&device, &model, Strategy::Buffered, OPTIONS).unwrap();
    let table = DeviceLayout::of(&model).table().clone();
    let mut loaded = Loaded::<HostDevice> { buffer, table };
    let verified = verify(&device, &model, &loaded).unwrap();
    assert_eq!((verified.tensors, verified.bytes), (8, Bytes::new(model.bytes())));
    let at = loaded.table.require("f").unwrap().offset + 12_345;
    loaded.buffer.as_mut_slice()[at] ^= 1;
    let error = verify(&device, &model, &loaded).unwrap_err();
    assert!(matches!(&error, WeightsError::Mismatch { tensor, .. } if tensor == "f"), "{error:?}");
    for part in ["`f`", "m-2.safetensors", "do not use its timings"] {
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn a_buffer_of_another_model_is_refused() {
    let dir = dir();
    let model = sharded(dir.path());
    let device = HostDevice::open(0).unwrap();
    let mut small = device.alloc(100).unwrap();
    let layout = DeviceLayout::of(&model);
    let error = load_weights(&device, &model, &layout, &mut small, Strategy::Mmap, OPTIONS).unwrap_err();
    assert!(error.to_string().contains("into a buffer of 100 B"), "{error}");
}

#[test]
fn a_model_larger_than_memory_is_refused_before_it_is_allocated() {
    let dir = dir();
    // Sparse: eight tebibytes in the header, next to nothing on disk.
    let bytes = 8u64 << 40;
    let header = format!(r#"{{"a":{{"dtype":"U8","shape":[{bytes}],"data_offsets":[0,{bytes}]}}}}"#);
    let path = dir.path().join("model.safetensors");
    raw_file(&path, &header, 0);
    fs::File::options().write(true).open(&path).unwrap().set_len(8 + header.len() as u64 + bytes).unwrap();
    let model = open(dir.path());
    let error = load(&HostDevice::open(0).unwrap(), &model, Strategy::Mmap, OPTIONS).unwrap_err();
    assert!(matches!(error, WeightsError::TooLarge { .. }), "{error:?}");
    assert!(error.to_string().contains("8.00 TiB"), "{error}");
}
