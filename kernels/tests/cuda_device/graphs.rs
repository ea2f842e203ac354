//! Recording and replaying.

use coldstart_kernels::cuda::{CudaBuffer, CudaDevice};
use coldstart_kernels::{Device, Error, IndicesMut, Ops};

use crate::support::{on_stand_in, round_trip};

/// Adds `by` to both numbers of a buffer.
fn advance(device: &CudaDevice, buffer: &mut CudaBuffer, by: u32) -> Result<(), Error> {
    device.advance(IndicesMut::new(buffer, 2)?, by)
}

fn numbers(device: &CudaDevice, buffer: &CudaBuffer) -> [u32; 2] {
    let mut back = [0; 8];
    device.download(device.compute(), buffer, 0, &mut back).unwrap();
    let number = |at| u32::from_le_bytes(<[u8; 4]>::try_from(&back[at..at + 4]).unwrap());
    [number(0), number(4)]
}

fn counted(device: &CudaDevice) -> CudaBuffer {
    let mut buffer = device.alloc(8).unwrap();
    device.upload(device.compute(), &[1, 0, 0, 0, 10, 0, 0, 0], &mut buffer, 0).unwrap();
    buffer
}

#[test]
fn a_graph_reads_what_is_there_when_it_is_replayed() {
    on_stand_in(&[], || {
        let device = CudaDevice::open(0).unwrap();
        let mut buffer = counted(&device);
        let graph = device
            .record(|| {
                advance(&device, &mut buffer, 1)?;
                advance(&device, &mut buffer, 2)
            })
            .unwrap()
            .unwrap();
        assert_eq!(numbers(&device, &buffer), [1, 10], "recording runs nothing");
        device.replay(&graph).unwrap();
        device.replay(&graph).unwrap();
        assert_eq!(numbers(&device, &buffer), [7, 16]);
        advance(&device, &mut buffer, 100).unwrap();
        device.replay(&graph).unwrap();
        assert_eq!(numbers(&device, &buffer), [110, 119]);
        drop(graph);
        round_trip(&device);
    });
}

#[test]
fn a_body_that_fails_leaves_the_stream_usable() {
    on_stand_in(&[], || {
        let device = CudaDevice::open(0).unwrap();
        let mut buffer = counted(&device);
        let error = device
            .record(|| {
                advance(&device, &mut buffer, 1)?;
                Err::<(), _>(Error::NoKernel { name: "none" })
            })
            .unwrap_err();
        assert!(matches!(error, Error::NoKernel { .. }), "{error}");
        advance(&device, &mut buffer, 5).unwrap();
        assert_eq!(numbers(&device, &buffer), [6, 15]);
        assert!(device.record(|| advance(&device, &mut buffer, 1)).unwrap().is_some());
    });
}

#[test]
fn what_would_break_a_recording_is_refused_and_breaks_nothing() {
    on_stand_in(&[], || {
        let device = CudaDevice::open(0).unwrap();
        let mut buffer = counted(&device);
        let mut other = device.alloc(8).unwrap();
        let graph = device
            .record(|| {
                advance(&device, &mut buffer, 1)?;
                let mut eight = [0; 8];
                for refused in [
                    device.alloc(100).map(|_| ()),
                    device.sync(),
                    device.sync_stream(device.compute()),
                    device.mark().map(|_| ()),
                    device.upload(device.compute(), &[0; 8], &mut other, 0),
                    device.download(device.compute(), &other, 0, &mut eight),
                    device.record(|| Ok::<(), Error>(())).map(|_| ()),
                    // Their results are for the host, which has to wait for them.
                    device.checksum(&other, 0..8).map(|_| ()),
                    device.verify_pattern(&other, 0..8, 1).map(|_| ()),
                ] {
                    assert!(matches!(refused, Err(Error::Recording { .. })), "{refused:?}");
                }
                advance(&device, &mut buffer, 1)
            })
            .unwrap()
            .unwrap();
        device.replay(&graph).unwrap();
        assert_eq!(numbers(&device, &buffer), [3, 12]);
    });
}

#[test]
fn memory_dropped_while_recording_is_freed_afterwards() {
    on_stand_in(&[], || {
        let device = CudaDevice::open(0).unwrap();
        let mut buffer = counted(&device);
        let free = device.memory().unwrap().free;
        let other = device.alloc(32 << 20).unwrap();
        let graph = device
            .record(|| {
                drop(other);
                advance(&device, &mut buffer, 1)
            })
            .unwrap();
        assert_eq!(device.memory().unwrap().free, free);
        device.replay(&graph.unwrap()).unwrap();
        assert_eq!(numbers(&device, &buffer), [2, 11]);
    });
}

#[test]
fn a_copy_on_the_device_can_be_recorded() {
    on_stand_in(&[], || {
        let device = CudaDevice::open(0).unwrap();
        let (mut a, mut b) = (counted(&device), device.alloc(8).unwrap());
        let graph = device.record(|| device.copy(device.compute(), &a, 0..8, &mut b, 0)).unwrap().unwrap();
        advance(&device, &mut a, 1).unwrap();
        device.replay(&graph).unwrap();
        assert_eq!(numbers(&device, &b), [2, 11]);
    });
}
