//! Loading the weights of a synthetic model from the page cache into fresh device memory, by every strategy: files are read
//! and copied by the host, so it is the host's clock that counts.

use coldstart::weights::{
    DeviceLayout, LoadDevice, LoadOptions, Strategy, alloc_weights, load_weights, page_cache,
};
use criterion::{BatchSize, Criterion, Throughput};

use crate::forward::model;
use crate::{Failure, must};

pub(crate) fn benches<D: LoadDevice>(c: &mut Criterion, device: &D, kind: &str) -> Result<(), Failure> {
    let (_cache, files, name) = model()?;
    let layout = DeviceLayout::of(&files);
    let host_memory = D::host_bytes(&mut alloc_weights(device, &layout)?).is_some();
    let mut group = c.benchmark_group(format!("{kind}/weights_load of {name}, warm"));
    group.sample_size(20).throughput(Throughput::BytesDecimal(files.bytes()));
    for strategy in Strategy::available(host_memory).filter(|strategy| !strategy.bypasses_page_cache()) {
        page_cache::warm(files.files())?;
        // Some need what a machine may lack: they are tried before they are timed.
        let mut buffer = alloc_weights(device, &layout)?;
        let tried = load_weights(device, &files, &layout, &mut buffer, strategy, LoadOptions::default());
        drop(buffer);
        if let Err(error) = tried {
            eprintln!("skipped `{strategy}`: failed to {error}");
            continue;
        }
        // Where there are streams, the ring's copies take turns on so many of them.
        let streams: &[usize] =
            if strategy == Strategy::Buffered && !host_memory { &[1, 2, 4] } else { &[0] };
        for streams in streams.iter().copied() {
            let options = LoadOptions { streams, ..LoadOptions::default() };
            let name = match streams {
                0 => strategy.name().to_owned(),
                streams => format!("{strategy} on {streams} streams"),
            };
            group.bench_function(name, |b| {
                b.iter_batched_ref(
                    || must(alloc_weights(device, &layout)),
                    |buffer| {
                        must(load_weights(device, &files, &layout, buffer, strategy, options));
                    },
                    BatchSize::PerIteration,
                );
            });
        }
    }
    group.finish();
    Ok(())
}
