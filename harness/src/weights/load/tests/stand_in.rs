//! Loads to the CUDA device on the stand-in driver, which finds reads and writes that nobody waited for, memory that was freed
//! too early, and fails where it is told to.

use coldstart_kernels::cuda::{CudaBuffer, CudaDevice};
use coldstart_kernels::{Device, Error as DeviceError};
use coldstart_profiles::Nanos;
use coldstart_stand_in::{in_process, this_test};

use super::*;
use crate::weights::limits;

/// Checked on the device, by its own checksums.
#[track_caller]
fn verified(device: &CudaDevice, model: &ModelFiles, buffer: CudaBuffer, case: &str) {
    let loaded = Loaded::<CudaDevice> { buffer, table: DeviceLayout::of(model).table().clone() };
    match verify(device, model, &loaded) {
        Ok(verified) => assert_eq!(verified.bytes, Bytes::new(model.bytes()), "{case}"),
        Err(error) => panic!("{case}: {error}"),
    }
}

#[test]
fn every_strategy_brings_every_byte_to_a_gpu() {
    in_process(this_test!(), &[], || {
        let dir = dir();
        let model = sharded(dir.path());
        let device = CudaDevice::open(0).unwrap();
        for strategy in Strategy::available(false) {
            for options in [
                OPTIONS,
                LoadOptions { threads: 1, chunk_bytes: 4096, slots: 1, streams: 3 },
                LoadOptions { threads: 4, chunk_bytes: 4096, slots: 4, streams: 1 },
                LoadOptions::default(),
            ] {
                let case = format!("{strategy} {options:?}");
                let (buffer, reading) = load(&device, &model, strategy, options).unwrap();
                plausible(strategy, false, &reading, &model);
                verified(&device, &model, buffer, &case);
            }
        }
        let error = load(&device, &model, Strategy::BufferedInPlace, OPTIONS).unwrap_err();
        assert!(matches!(error, WeightsError::NotHostMemory { .. }), "{error:?}");
    });
}

#[test]
fn the_check_on_the_device_finds_one_wrong_byte() {
    in_process(this_test!(), &[], || {
        let dir = dir();
        let model = sharded(dir.path());
        let device = CudaDevice::open(0).unwrap();
        let (mut buffer, _) = load(&device, &model, Strategy::Direct, OPTIONS).unwrap();
        let table = DeviceLayout::of(&model).table().clone();
        let at = table.require("f").unwrap().offset + 12_345;
        let mut byte = [0];
        device.download(device.compute(), &buffer, at, &mut byte).unwrap();
        device.upload(device.compute(), &[byte[0] ^ 1], &mut buffer, at).unwrap();
        device.sync().unwrap();
        let error = verify(&device, &model, &Loaded::<CudaDevice> { buffer, table }).unwrap_err();
        assert!(matches!(&error, WeightsError::Mismatch { tensor, .. } if tensor == "f"), "{error:?}");
    });
}

#[test]
fn a_driver_that_does_not_page_lock_mappings_refuses_with_its_code() {
    for environment in [
        ("COLDSTART_STAND_IN_READ_ONLY_REGISTER", "0"),
        ("COLDSTART_STAND_IN_FAULT", "cuMemHostRegister_v2:1+:801"),
    ] {
        in_process(this_test!(), &[environment], || {
            let dir = dir();
            let model = sharded(dir.path());
            let device = CudaDevice::open(0).unwrap();
            let error = load(&device, &model, Strategy::Registered, OPTIONS).unwrap_err();
            assert!(error.is_refusal(), "{error:?}");
            for part in ["CUDA_ERROR_NOT_SUPPORTED (801)", "safetensors", "`direct`"] {
                assert!(error.to_string().contains(part), "{error}");
            }
            // Nothing is broken by it.
            let (buffer, _) = load(&device, &model, Strategy::Direct, OPTIONS).unwrap();
            verified(&device, &model, buffer, "after a refusal");
        });
    }
}

#[test]
fn a_device_that_is_lost_in_the_middle_of_an_upload_ends_the_load() {
    for strategy in Strategy::available(false) {
        // The first copies of the device are those of the load: nothing else has run there.
        in_process(this_test!(), &[("COLDSTART_STAND_IN_FAULT", "copy:2:719")], || {
            let dir = dir();
            let model = sharded(dir.path());
            let device = CudaDevice::open(0).unwrap();
            let options = LoadOptions { threads: 2, chunk_bytes: 4096, slots: 2, streams: 2 };
            let error = load(&device, &model, strategy, options).unwrap_err();
            assert!(error.to_string().contains("CUDA_ERROR_LAUNCH_FAILED (719)"), "{strategy}: {error}");
            let lost = matches!(&error, WeightsError::Device { source, .. }
                if matches!(**source, DeviceError::DeviceLost { .. }));
            assert!(lost && !error.is_refusal(), "{strategy}: {error:?}");
        });
    }
}

#[test]
fn a_copy_that_the_driver_refuses_ends_the_load() {
    for strategy in Strategy::available(false) {
        in_process(this_test!(), &[("COLDSTART_STAND_IN_FAULT", "cuMemcpyHtoDAsync_v2:2+:1")], || {
            let dir = dir();
            let model = sharded(dir.path());
            let device = CudaDevice::open(0).unwrap();
            let error = load(&device, &model, strategy, OPTIONS).unwrap_err();
            assert!(error.to_string().contains("copy weights to the device"), "{strategy}: {error}");
        });
    }
}

#[test]
fn pinned_memory_that_cannot_be_had_is_named() {
    for strategy in [Strategy::Buffered, Strategy::Direct, Strategy::PinnedWhole, Strategy::MmapStaged] {
        in_process(this_test!(), &[("COLDSTART_STAND_IN_FAULT", "cuMemHostAlloc:1+:2")], || {
            let dir = dir();
            let model = sharded(dir.path());
            let device = CudaDevice::open(0).unwrap();
            let error = load(&device, &model, strategy, OPTIONS).unwrap_err();
            assert!(error.to_string().contains("of pinned host memory"), "{strategy}: {error}");
        });
    }
}

#[test]
fn a_model_that_the_gpu_has_no_room_for_is_refused_with_both_sizes() {
    in_process(this_test!(), &[("COLDSTART_STAND_IN_MEMORY_MB", "64")], || {
        let dir = dir();
        let header = r#"{"a":{"dtype":"U8","shape":[100000000],"data_offsets":[0,100000000]}}"#;
        raw_file(&dir.path().join("model.safetensors"), header, 100_000_000);
        let model = open(dir.path());
        let device = CudaDevice::open(0).unwrap();
        let error = load(&device, &model, Strategy::Direct, OPTIONS).unwrap_err();
        assert!(matches!(error, WeightsError::TooLarge { .. }), "{error:?}");
        let error = error.to_string();
        assert!(error.contains("95.4 MiB") && error.contains("the free memory of the device"), "{error}");
        // Somebody else may take it between the question and the allocation.
        let error = alloc_weights(&device, &DeviceLayout::of(&model)).unwrap_err().to_string();
        assert!(error.contains("100000000") && error.contains("bytes free"), "{error}");
    });
}

#[test]
fn a_slow_copy_is_seen_as_one() {
    // 0.05 GB/s on every stream: 20 ns a byte.
    let environment =
        [("COLDSTART_STAND_IN_PINNED_GBPS", "0.05"), ("COLDSTART_STAND_IN_PAGEABLE_GBPS", "0.05")];
    in_process(this_test!(), &environment, || {
        let dir = dir();
        vectors(&dir.path().join("model.safetensors"), &[("a", 512 * 1024)]);
        let model = open(dir.path());
        let device = CudaDevice::open(0).unwrap();
        let options = LoadOptions { threads: 2, chunk_bytes: 64 << 10, slots: 4, streams: 1 };
        let least = Nanos::from_nanos(model.bytes() * 20 * 9 / 10);
        for strategy in Strategy::available(false) {
            let (_, reading) = load(&device, &model, strategy, options).unwrap();
            let detail = &reading.detail;
            assert!(detail.upload_ns.unwrap() >= least, "{strategy}: {detail:?}");
            assert!(detail.first_tensor_ns.unwrap() >= least, "{strategy}: {detail:?}");
            assert!(reading.total >= least, "{strategy}: {reading:?}");
        }
    });
}

#[test]
fn two_gpus_load_side_by_side() {
    in_process(this_test!(), &[("COLDSTART_STAND_IN_DEVICES", "2")], || {
        let dir = dir();
        let model = sharded(dir.path());
        let layout = DeviceLayout::of(&model);
        let devices = [CudaDevice::open(0).unwrap(), CudaDevice::open(1).unwrap()];
        for strategy in Strategy::available(false) {
            let mut buffers: Vec<_> =
                devices.iter().map(|device| alloc_weights(device, &layout).unwrap()).collect();
            let together = load_together(&devices, &model, &layout, &mut buffers, strategy, OPTIONS).unwrap();
            for ((device, buffer), load) in devices.iter().zip(buffers).zip(&together.loads) {
                plausible(strategy, false, load, &model);
                verified(device, &model, buffer, strategy.name());
                assert!(load.total <= together.total);
            }
        }
    });
}

#[test]
fn copies_have_limits_on_a_gpu() {
    in_process(this_test!(), &[("COLDSTART_STAND_IN_PINNED_GBPS", "2")], || {
        let device = CudaDevice::open(0).unwrap();
        let bytes = Bytes::from_mib(2);
        for readings in
            [limits::host_to_device(&device, bytes).unwrap(), limits::device_to_host(&device, bytes).unwrap()]
        {
            assert_eq!(readings.work, bytes);
            // The stand-in gives every stream a link of its own.
            assert!(readings.rate() < 4.0 * 2.1e9, "faster than the links: {readings:?}");
        }
        let within = limits::device_copy(&device, bytes).unwrap();
        assert_eq!(within.work, Bytes::from_mib(4));
        assert!(within.best() > Nanos::ZERO);
    });
}
