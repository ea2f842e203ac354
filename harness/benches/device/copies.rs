//! Copies to, from and within the device: 64 MiB at a time, more than caches hold.

use coldstart_kernels::{HostMemory as _, Ops, Pinning};
use criterion::{Criterion, Throughput};

use crate::device_time::DeviceTime;
use crate::{Failure, must};

const BYTES: usize = 64 << 20;

pub(crate) fn benches<D: Ops>(
    c: &mut Criterion<DeviceTime<'_, D>>,
    device: &D,
    kind: &str,
) -> Result<(), Failure> {
    let stream = device.compute();
    let mut target = device.alloc(BYTES)?;
    let mut source = device.alloc(BYTES)?;
    device.fill_pattern(&mut source, 0..BYTES, 1)?;
    device.fill_pattern(&mut target, 0..BYTES, 2)?;
    // A mapping begins at a page, as memory that is to be registered must.
    let mut pageable = memmap2::MmapMut::map_anon(BYTES)?;
    pageable.fill(1);
    let mut pinned = device.pinned(BYTES, Pinning { touch: true, ..Pinning::default() })?;
    pinned.as_mut_slice()?.fill(1);

    let mut group = c.benchmark_group(format!("{kind}/copies"));
    group.sample_size(20).throughput(Throughput::Bytes(BYTES as u64));
    group.bench_function("pageable to device", |b| {
        b.iter(|| must(device.upload(stream, &pageable, &mut target, 0)));
    });
    group.bench_function("pinned to device", |b| {
        b.iter(|| must(device.upload_pinned(stream, &pinned, 0..BYTES, &mut target, 0)));
    });
    match device.register(&pageable) {
        Ok(registered) => {
            group.bench_function("registered to device", |b| {
                b.iter(|| must(device.upload_registered(stream, &registered, 0..BYTES, &mut target, 0)));
            });
        }
        Err(error) => eprintln!("skipped the upload of registered memory: failed to {error}"),
    }
    group.bench_function("device to pinned", |b| {
        b.iter(|| must(device.download_pinned(stream, &source, 0, &mut pinned, 0..BYTES)));
    });
    group.bench_function("device to device", |b| {
        b.iter(|| must(device.copy(stream, &source, 0..BYTES, &mut target, 0)));
    });
    group.finish();
    Ok(())
}
