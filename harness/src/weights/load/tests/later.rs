//! Loads to a device that copies later: nothing is reused, reported or given back before its copies are done.

use std::sync::atomic::Ordering;

use coldstart_kernels::Device;
use coldstart_profiles::Nanos;

use super::late::{Late, LateBuffer};
use super::*;

fn load_late(
    device: &Late,
    model: &ModelFiles,
    strategy: Strategy,
    options: LoadOptions,
) -> Result<(LateBuffer, LoadReading), WeightsError> {
    let layout = DeviceLayout::of(model);
    let mut buffer = alloc_weights(device, &layout)?;
    let reading = load_weights(device, model, &layout, &mut buffer, strategy, options)?;
    Ok((buffer, reading))
}

#[track_caller]
fn arrived_late(model: &ModelFiles, buffer: &LateBuffer, case: &str) {
    arrived(model, &buffer.0.lock().unwrap(), case);
}

#[test]
fn what_is_copied_later_arrives() {
    let dir = dir();
    let model = sharded(dir.path());
    for strategy in Strategy::available(false) {
        for options in [
            OPTIONS,
            LoadOptions { threads: 1, chunk_bytes: 4096, slots: 1, streams: 3 },
            LoadOptions { threads: 3, chunk_bytes: 4096, slots: 5, streams: 1 },
            LoadOptions::default(),
        ] {
            let device = Late::open(0).unwrap();
            let case = format!("{strategy} {options:?}");
            let (buffer, reading) = load_late(&device, &model, strategy, options).unwrap();
            arrived_late(&model, &buffer, &case);
            plausible(strategy, false, &reading, &model);
            assert_eq!(reading.detail.copies as usize, device.copies.load(Ordering::Relaxed), "{case}");
        }
    }
}

#[test]
fn an_upload_lasts_until_the_device_is_done() {
    let dir = dir();
    vectors(&dir.path().join("model.safetensors"), &[("a", 64 * 1024)]);
    let model = open(dir.path());
    let options = LoadOptions { threads: 1, chunk_bytes: 4096, slots: 64, streams: 1 };
    for strategy in Strategy::available(false).filter(|strategy| *strategy != Strategy::PinnedWhole) {
        let device = Late::open(0).unwrap();
        let (_, reading) = load_late(&device, &model, strategy, options).unwrap();
        let detail = reading.detail;
        // Every copy takes 300 µs, one after the other, and the tensor is whole with the last.
        let least = Nanos::from_nanos(300_000 * 64);
        assert!(detail.upload_ns.unwrap() >= least, "{strategy}: {detail:?}");
        assert!(detail.first_tensor_ns.unwrap() >= least, "{strategy}: {detail:?}");
        assert!(reading.total >= detail.first_tensor_ns.unwrap(), "{strategy}");
    }
}

#[test]
fn registered_windows_are_bounded() {
    let dir = dir();
    let model = sharded(dir.path());
    let device = Late::open(0).unwrap();
    let options = LoadOptions { threads: 2, chunk_bytes: 4096, slots: 2, streams: 2 };
    let (_, reading) = load_late(&device, &model, Strategy::Registered, options).unwrap();
    let most = device.most_registered.load(Ordering::Relaxed);
    assert!((2..=4).contains(&most), "{most} at once");
    assert_eq!(reading.detail.pinned_bytes, Bytes::new(4 * 4096));
}

#[test]
fn small_tensors_do_not_become_small_copies() {
    let dir = dir();
    // Weights with a scale of one number each, as quantised models have them.
    let names: Vec<(String, usize)> = (0..400)
        .flat_map(|layer| [(format!("{layer:03}.weight"), 64), (format!("{layer:03}.scale"), 1)])
        .collect();
    let tensors: Vec<(&str, usize)> = names.iter().map(|(name, length)| (name.as_str(), *length)).collect();
    vectors(&dir.path().join("model.safetensors"), &tensors);
    let model = open(dir.path());
    let segments = DeviceLayout::of(&model).segments().len();
    assert_eq!(segments, 400, "each scale ends a segment");
    let options = LoadOptions { threads: 2, chunk_bytes: 64 << 10, slots: 2, streams: 2 };
    for strategy in [Strategy::Buffered, Strategy::Direct, Strategy::MmapStaged] {
        let device = Late::open(0).unwrap();
        let (buffer, reading) = load_late(&device, &model, strategy, options).unwrap();
        arrived_late(&model, &buffer, strategy.name());
        assert!(reading.detail.copies <= 4, "{strategy}: {} copies", reading.detail.copies);
    }
    // What lies in a mapping cannot be laid out anew.
    let (buffer, reading) =
        load_late(&Late::open(0).unwrap(), &model, Strategy::Registered, options).unwrap();
    arrived_late(&model, &buffer, "registered");
    assert!(reading.detail.copies >= segments as u64);
}

#[test]
fn a_device_that_is_lost_on_the_way_ends_the_load_with_its_error() {
    let dir = dir();
    let model = sharded(dir.path());
    for strategy in Strategy::available(false) {
        for lost_from in [0, 1] {
            let device = Late { lost_from, ..Late::open(0).unwrap() };
            let options = LoadOptions { threads: 3, chunk_bytes: 4096, slots: 2, streams: 2 };
            // `pinned-whole` copies each of the two files as one.
            let error = load_late(&device, &model, strategy, options).unwrap_err();
            assert!(error.to_string().contains("copy weights to the device"), "{strategy}: {error}");
            assert!(!error.is_refusal(), "{strategy}: {error:?}");
        }
    }
}

#[test]
fn several_devices_load_side_by_side() {
    let dir = dir();
    let model = sharded(dir.path());
    let layout = DeviceLayout::of(&model);
    for strategy in Strategy::available(false) {
        let devices = [Late::open(0).unwrap(), Late::open(0).unwrap(), Late::open(0).unwrap()];
        let mut buffers: Vec<_> =
            devices.iter().map(|device| alloc_weights(device, &layout).unwrap()).collect();
        let together = load_together(&devices, &model, &layout, &mut buffers, strategy, OPTIONS).unwrap();
        assert_eq!(together.loads.len(), 3);
        for (buffer, load) in buffers.iter().zip(&together.loads) {
            arrived_late(&model, buffer, strategy.name());
            plausible(strategy, false, load, &model);
            assert!(load.total <= together.total);
        }
    }
    let devices = [Late::open(0).unwrap(), Late { lost_from: 1, ..Late::open(0).unwrap() }];
    let mut buffers: Vec<_> = devices.iter().map(|device| alloc_weights(device, &layout).unwrap()).collect();
    let error =
        load_together(&devices, &model, &layout, &mut buffers, Strategy::Direct, OPTIONS).unwrap_err();
    assert!(matches!(&error, WeightsError::Together { device: 1, .. }), "{error:?}");
    assert!(error.to_string().contains("load device 1"), "{error}");
    arrived_late(&model, &buffers[0], "the device that is not lost");
}
