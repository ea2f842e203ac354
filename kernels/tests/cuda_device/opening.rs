//! From no library to a device.

use std::time::Duration;

use coldstart_kernels::cuda::{Context, CudaDevice, Driver, Loading};
use coldstart_kernels::{Device, Error, Kind, Memory};

use crate::support::{self, on_stand_in, without_stand_in};

#[test]
fn no_library_is_an_error_that_says_what_was_looked_for() {
    without_stand_in(|| {
        let Err(error) = Driver::load() else { return println!("skipped: this machine has a CUDA driver") };
        assert!(matches!(error, Error::NoDevice { kind: Kind::Cuda, index: None, .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("libcuda.so.1") && text.contains("install the"), "{text}");
        assert!(CudaDevice::open(0).is_err());
    });
}

#[test]
fn the_three_steps_make_a_device() {
    on_stand_in(&[("INIT_MS", "30"), ("DEVICES", "2")], || {
        let loaded = Driver::load().unwrap();
        assert!(loaded.init >= Duration::from_millis(30), "{loaded:?}");
        assert!(loaded.open > Duration::ZERO, "{loaded:?}");
        let again = Driver::load().unwrap();
        assert!(again.open + again.init < Duration::from_millis(5), "{again:?}");
        let driver = loaded.driver;
        assert_eq!((driver.devices().unwrap(), driver.version().as_str()), (2, "12.4"));
        assert!(driver.is_stand_in());
        assert!(driver.library().contains("libcuda.so"), "{}", driver.library());

        let context = Context::create(driver, 1).unwrap();
        assert!(matches!(context.loading().unwrap(), Loading::Lazy | Loading::Eager));
        let (device, report) = context.load_kernels().unwrap();
        assert!(report.kernels > 0 && report.bytes > 1000, "{report:?}");
        assert!(report.load + report.resolve > Duration::ZERO, "{report:?}");
        let description = device.describe().unwrap();
        assert_eq!((description.kind, description.index), (Kind::Cuda, 1));
        assert_eq!(description.features, ["sm_90"]);
        assert_eq!(description.driver.as_deref(), Some("12.4"));
        assert_eq!(description.memory_bytes, device.memory().unwrap().total);
        let uuid = description.uuid.unwrap();
        assert!(uuid.starts_with("GPU-") && uuid.len() == 40, "{uuid}");
        assert!(!description.name.is_empty());
        let facts = device.facts().unwrap();
        assert_eq!((facts.capability, facts.multiprocessors), ((9, 0), description.compute_units));
        assert!(device.driver().is_stand_in());
    });
}

#[test]
fn a_slice_of_a_gpu_has_a_name_of_its_own() {
    on_stand_in(&[("MIG", "1")], || {
        let uuid = CudaDevice::open(0).unwrap().describe().unwrap().uuid.unwrap();
        assert!(uuid.starts_with("MIG-"), "{uuid}");
    });
}

#[test]
fn a_number_that_no_gpu_has_is_refused_with_how_many_there_are() {
    on_stand_in(&[("DEVICES", "2")], || {
        let error = CudaDevice::open(7).unwrap_err();
        assert!(matches!(error, Error::NoDevice { index: Some(7), .. }), "{error:?}");
        assert!(error.to_string().contains("2 GPUs"), "{error}");
    });
}

#[test]
fn what_is_on_a_device_outlives_it() {
    on_stand_in(&[], || {
        let device = CudaDevice::open(0).unwrap();
        let (stream, buffer) = (device.stream().unwrap(), device.alloc(100).unwrap());
        drop(device);
        assert_eq!(buffer.len(), 100);
        drop(stream);
        drop(buffer);
        // All is released: another device begins anew.
        let device = CudaDevice::open(0).unwrap();
        support::round_trip(&device);
    });
}
