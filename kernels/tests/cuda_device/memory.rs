//! Memory and copies.

use std::fs::File;
use std::io::Write;

use coldstart_kernels::cuda::CudaDevice;
use coldstart_kernels::{Device, Error, HostMemory, Memory, Pinning};
use memmap2::{Mmap, MmapMut};

use crate::support::{bytes, on_stand_in, read};

#[test]
fn memory_is_taken_and_given_back() {
    on_stand_in(&[], || {
        let device = CudaDevice::open(0).unwrap();
        let before = device.memory().unwrap();
        assert!(before.free > 0 && before.free <= before.total);
        let buffer = device.alloc(64 << 20).unwrap();
        assert_eq!(buffer.len(), 64 << 20);
        assert!(device.memory().unwrap().free + (64 << 20) <= before.free);
        drop(buffer);
        assert_eq!(device.memory().unwrap().free, before.free);
        let none = device.alloc(0).unwrap();
        assert!(none.is_empty());
    });
}

#[test]
fn copies_arrive_and_stay_inside() {
    on_stand_in(&[], || {
        let device = CudaDevice::open(0).unwrap();
        let stream = device.stream().unwrap();
        let bytes = bytes(1_000_003, 0);
        let mut a = device.alloc(bytes.len() + 100).unwrap();
        let mut b = device.alloc(bytes.len()).unwrap();
        device.upload(&stream, &bytes, &mut a, 100).unwrap();
        device.copy(&stream, &a, 100..a.len(), &mut b, 0).unwrap();
        let mut pinned = device.pinned(bytes.len(), Pinning::default()).unwrap();
        device.download_pinned(&stream, &b, 0, &mut pinned, 0..bytes.len()).unwrap();
        assert_eq!(pinned.as_slice().unwrap(), bytes);
        device.upload_pinned(&stream, &pinned, 1..3, &mut a, 0).unwrap();
        let mut back = [0; 2];
        device.download(&stream, &a, 0, &mut back).unwrap();
        assert_eq!(back, bytes[1..3]);

        for error in [
            device.upload(&stream, &bytes, &mut a, 101).unwrap_err(),
            device.upload(&stream, &[1], &mut a, usize::MAX).unwrap_err(),
            device.copy(&stream, &a, 5..a.len() + 1, &mut b, 0).unwrap_err(),
            device.copy(&stream, &a, 0..a.len(), &mut b, 0).unwrap_err(),
            device.upload_pinned(&stream, &pinned, 0..bytes.len() + 1, &mut a, 0).unwrap_err(),
            device.upload_pinned(&stream, &pinned, 0..2, &mut b, bytes.len() - 1).unwrap_err(),
            device.download(&stream, &b, b.len(), &mut back).unwrap_err(),
            device.download_pinned(&stream, &b, 0, &mut pinned, 1..bytes.len() + 1).unwrap_err(),
        ] {
            assert!(matches!(error, Error::View { .. }), "{error}");
        }
        // Nothing of nothing goes everywhere, and no byte moved.
        device.upload(&stream, &[], &mut a, bytes.len() + 100).unwrap();
        device.upload_pinned(&stream, &pinned, 0..0, &mut b, bytes.len()).unwrap();
        device.download(&stream, &b, bytes.len(), &mut []).unwrap();
        device.copy(&stream, &a, 3..3, &mut b, 0).unwrap();
        assert_eq!(read(&device, &b), bytes);
    });
}

/// A stream that is busy for a while, so that what is enqueued on it has certainly not happened yet.
const SLOW: &[(&str, &str)] = &[("PINNED_GBPS", "0.05"), ("DEVICE_GBPS", "0.1")];

#[test]
fn pinned_memory_waits_before_it_is_written() {
    on_stand_in(SLOW, || {
        let device = CudaDevice::open(0).unwrap();
        let streams = [device.stream().unwrap(), device.stream().unwrap()];
        let len = 2 << 20;
        let mut buffers = [device.alloc(len).unwrap(), device.alloc(len).unwrap()];
        let mut pinned = device.pinned(len, Pinning { write_combined: true, ..Pinning::default() }).unwrap();
        for round in 0..4_u8 {
            pinned.as_mut_slice().unwrap().fill(round);
            for (stream, buffer) in streams.iter().zip(&mut buffers) {
                device.upload_pinned(stream, &pinned, 0..len / 2, buffer, 0).unwrap();
                device.upload_pinned(stream, &pinned, len / 2..len, buffer, len / 2).unwrap();
            }
            // Had this not waited, the buffers would hold it.
            pinned.as_mut_slice().unwrap().fill(0xEE);
            for buffer in &buffers {
                assert!(read(&device, buffer).iter().all(|byte| *byte == round), "round {round}");
            }
        }
    });
}

#[test]
fn pinned_memory_waits_before_it_is_read_or_freed() {
    on_stand_in(SLOW, || {
        let device = CudaDevice::open(0).unwrap();
        let stream = device.stream().unwrap();
        let expected = bytes(2 << 20, 3);
        let mut buffer = device.alloc(expected.len()).unwrap();
        device.upload(&stream, &expected, &mut buffer, 0).unwrap();
        let mut pinned = device.pinned(expected.len(), Pinning::default()).unwrap();
        device.download_pinned(&stream, &buffer, 0, &mut pinned, 0..expected.len()).unwrap();
        assert_eq!(pinned.as_slice().unwrap(), expected);
        // Dropped while it is copied from: the copy still arrives.
        device.upload_pinned(&stream, &pinned, 0..expected.len(), &mut buffer, 0).unwrap();
        drop(pinned);
        assert_eq!(read(&device, &buffer), expected);
        device.sync().unwrap();
    });
}

#[test]
fn a_slice_of_pinned_memory_is_waited_for() {
    on_stand_in(SLOW, || {
        let device = CudaDevice::open(0).unwrap();
        let stream = device.stream().unwrap();
        let mut pinned = device.pinned(1 << 20, Pinning::default()).unwrap();
        pinned.as_mut_slice().unwrap().fill(7);
        let mut buffer = device.alloc(1 << 20).unwrap();
        // To the driver this is pinned memory, whatever type it has here.
        device.upload(&stream, &pinned.as_slice().unwrap()[..1 << 20], &mut buffer, 0).unwrap();
        pinned.as_mut_slice().unwrap().fill(8);
        assert!(read(&device, &buffer).iter().all(|byte| *byte == 7));
    });
}

#[test]
fn freed_memory_waits_for_its_work() {
    on_stand_in(SLOW, || {
        let device = CudaDevice::open(0).unwrap();
        let stream = device.stream().unwrap();
        let mut pinned = device.pinned(1 << 20, Pinning::default()).unwrap();
        pinned.as_mut_slice().unwrap().fill(1);
        for _ in 0..3 {
            let mut buffer = device.alloc(1 << 20).unwrap();
            device.upload_pinned(&stream, &pinned, 0..1 << 20, &mut buffer, 0).unwrap();
        }
        device.sync().unwrap();
    });
}

/// A read-only mapping of a fresh file.
fn mapped(contents: &[u8]) -> Mmap {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(contents).unwrap();
    file.sync_all().unwrap();
    map(&file)
}

fn map(file: &File) -> Mmap {
    // SAFETY: nobody else has the file, which has no name.
    unsafe { Mmap::map(file) }.unwrap()
}

#[test]
fn a_mapped_file_is_registered_and_uploaded() {
    on_stand_in(SLOW, || {
        let device = CudaDevice::open(0).unwrap();
        let stream = device.stream().unwrap();
        let expected = bytes(300_001, 9);
        let mapped = mapped(&expected);
        let mut buffer = device.alloc(expected.len()).unwrap();
        let registered = device.register(&mapped).unwrap();
        assert_eq!(registered.len(), expected.len());
        device.upload_registered(&stream, &registered, 0..200_000, &mut buffer, 0).unwrap();
        device
            .upload_registered(&stream, &registered, 200_000..expected.len(), &mut buffer, 200_000)
            .unwrap();
        let outside = device.upload_registered(&stream, &registered, 1..expected.len() + 1, &mut buffer, 0);
        assert!(matches!(outside, Err(Error::View { .. })), "{outside:?}");
        let again = device.register(&mapped).unwrap_err();
        assert!(again.to_string().contains("HOST_MEMORY_ALREADY_REGISTERED (712)"), "{again}");
        drop(registered);
        assert_eq!(read(&device, &buffer), expected);
        // Unlocked, it can be locked again.
        drop(device.register(&mapped).unwrap());
        assert!(device.register(&[]).unwrap().is_empty());
    });
}

#[test]
fn memory_that_does_not_begin_at_a_page_is_not_registered() {
    on_stand_in(&[], || {
        let device = CudaDevice::open(0).unwrap();
        let memory = MmapMut::map_anon(3 * 4096).unwrap();
        let error = device.register(&memory[1..]).unwrap_err();
        assert!(matches!(error, Error::View { .. }), "{error}");
        drop(device.register(&memory[4096..]).unwrap());
    });
}

#[test]
fn a_system_that_cannot_register_read_only_memory_says_so() {
    on_stand_in(&[("READ_ONLY_REGISTER", "0")], || {
        let device = CudaDevice::open(0).unwrap();
        let error = device.register(&mapped(&[1; 5000])).unwrap_err();
        assert!(error.to_string().contains("CUDA_ERROR_NOT_SUPPORTED (801)"), "{error}");
        assert!(error.to_string().contains("pinned staging"), "{error}");
        device.sync().unwrap();
    });
}
