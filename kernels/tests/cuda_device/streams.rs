//! Streams, clocks, threads, several devices.

use std::thread;
use std::time::Duration;

use coldstart_kernels::cuda::CudaDevice;
use coldstart_kernels::{Device, Error, HostMemory, Pinning};

use crate::support::{bytes, on_stand_in, read, round_trip};

#[test]
fn a_stream_waits_for_the_one_that_it_was_joined_to() {
    on_stand_in(&[("PINNED_GBPS", "0.05")], || {
        let device = CudaDevice::open(0).unwrap();
        let (first, second) = (device.stream().unwrap(), device.stream().unwrap());
        let expected = bytes(1 << 20, 1);
        let mut pinned = device.pinned(expected.len(), Pinning::default()).unwrap();
        pinned.as_mut_slice().unwrap().copy_from_slice(&expected);
        let (mut a, mut b) = (device.alloc(expected.len()).unwrap(), device.alloc(expected.len()).unwrap());
        device.upload_pinned(&first, &pinned, 0..expected.len(), &mut a, 0).unwrap();
        device.join(&second, &first).unwrap();
        device.copy(&second, &a, 0..expected.len(), &mut b, 0).unwrap();
        device.join(device.compute(), &second).unwrap();
        let mut back = vec![0; expected.len()];
        device.download(device.compute(), &b, 0, &mut back).unwrap();
        assert_eq!(back, expected);
        device.sync_stream(&first).unwrap();
        // Destroyed while it has work: the work is done all the same.
        device.upload_pinned(&first, &pinned, 0..expected.len(), &mut b, 0).unwrap();
        drop(first);
        device.sync().unwrap();
        assert_eq!(read(&device, &b), expected);
    });
}

#[test]
fn both_clocks_are_read() {
    on_stand_in(&[("PINNED_GBPS", "1")], || {
        let device = CudaDevice::open(0).unwrap();
        let mut pinned = device.pinned(10 << 20, Pinning::default()).unwrap();
        pinned.as_mut_slice().unwrap().fill(1);
        let mut buffer = device.alloc(10 << 20).unwrap();
        let timed = device
            .time(|| device.upload_pinned(device.compute(), &pinned, 0..10 << 20, &mut buffer, 0).map(|()| 5))
            .unwrap();
        assert_eq!(timed.value, 5);
        // 10 MiB at 1 GB/s.
        let on_device = timed.device.unwrap();
        assert!(on_device > Duration::from_millis(9) && on_device < Duration::from_millis(60), "{timed:?}");
        assert!(timed.host > Duration::ZERO, "{timed:?}");
        let error = device.time(|| Err::<(), _>(Error::NoKernel { name: "none" })).unwrap_err();
        assert!(matches!(error, Error::NoKernel { .. }), "{error}");
        round_trip(&device);
    });
}

#[test]
fn marks_are_apart_by_the_work_between_them() {
    on_stand_in(&[("PINNED_GBPS", "1")], || {
        let device = CudaDevice::open(0).unwrap();
        let mut pinned = device.pinned(10 << 20, Pinning::default()).unwrap();
        pinned.as_mut_slice().unwrap().fill(1);
        let mut buffer = device.alloc(10 << 20).unwrap();
        let mut marks = vec![device.mark().unwrap()];
        for size in [5 << 20, 10 << 20] {
            device.upload_pinned(device.compute(), &pinned, 0..size, &mut buffer, 0).unwrap();
            marks.push(device.mark().unwrap());
        }
        let half = device.between(&marks[0], &marks[1]).unwrap();
        let whole = device.between(&marks[1], &marks[2]).unwrap();
        assert!(half > Duration::from_millis(4) && whole > half * 3 / 2, "{half:?} {whole:?}");
        let error = device.between(&marks[2], &marks[0]).unwrap_err();
        assert!(error.to_string().contains("before the first"), "{error}");
    });
}

#[test]
fn threads_share_a_device() {
    on_stand_in(&[], || {
        let device = CudaDevice::open(0).unwrap();
        thread::scope(|scope| {
            for thread in 0..4 {
                let device = &device;
                scope.spawn(move || {
                    let stream = device.stream().unwrap();
                    for round in 0..10 {
                        let expected = bytes(10_000 + round, thread);
                        let mut buffer = device.alloc(expected.len()).unwrap();
                        device.upload(&stream, &expected, &mut buffer, 0).unwrap();
                        let mut back = vec![0; expected.len()];
                        device.download(&stream, &buffer, 0, &mut back).unwrap();
                        assert_eq!(back, expected);
                    }
                });
            }
        });
        device.sync().unwrap();
    });
}

#[test]
fn devices_work_side_by_side_and_share_pinned_memory() {
    on_stand_in(&[("DEVICES", "3"), ("PINNED_GBPS", "0.5")], || {
        let devices: Vec<CudaDevice> = (0..3).map(|index| CudaDevice::open(index).unwrap()).collect();
        let expected = bytes(1 << 20, 5);
        let mut pinned = devices[0].pinned(expected.len(), Pinning::default()).unwrap();
        pinned.as_mut_slice().unwrap().copy_from_slice(&expected);
        // One thread goes from one device to the other and back.
        let mut buffers: Vec<_> =
            devices.iter().map(|device| device.alloc(expected.len()).unwrap()).collect();
        for _ in 0..2 {
            for (device, buffer) in devices.iter().zip(&mut buffers) {
                device.upload_pinned(device.compute(), &pinned, 0..expected.len(), buffer, 0).unwrap();
            }
        }
        pinned.as_mut_slice().unwrap().fill(0);
        for (device, buffer) in devices.iter().zip(&buffers) {
            assert_eq!(read(device, buffer), expected);
        }
        // One thread a device.
        thread::scope(|scope| {
            for device in &devices {
                scope.spawn(move || (0..5).for_each(|_| round_trip(device)));
            }
        });
        let uuids: Vec<_> = devices.iter().map(|device| device.describe().unwrap().uuid).collect();
        assert!(uuids[0] != uuids[1] && uuids[1] != uuids[2], "{uuids:?}");
    });
}

#[test]
fn work_of_another_device_is_refused() {
    on_stand_in(&[("DEVICES", "2")], || {
        let (one, two) = (CudaDevice::open(0).unwrap(), CudaDevice::open(1).unwrap());
        let mark = one.mark().unwrap();
        assert!(two.between(&mark, &two.mark().unwrap()).is_err());
        round_trip(&one);
        round_trip(&two);
    });
}
