//! Order: what waits for what, what shows where nobody waits, and the device's clock.

use coldstart_stand_in::this_test;

use crate::cuda::{
    Handle, alloc, cu, download, event, kernel, on_stand_in, open, pinned, report, stream, sync, upload,
};

const NOT_READY: i32 = 600;

fn up(to: u64, from: &[u32], stream: Handle) {
    let bytes = size_of_val(from);
    assert_eq!(
        cu!(cuMemcpyHtoDAsync_v2(to => u64, from.as_ptr() => *const u32, bytes => usize, stream => Handle)),
        0
    );
}

fn down(to: &mut [u32], from: u64, stream: Handle) {
    let bytes = size_of_val(to);
    assert_eq!(
        cu!(cuMemcpyDtoHAsync_v2(to.as_mut_ptr() => *mut u32, from => u64, bytes => usize, stream => Handle)),
        0
    );
}

fn record(event: Handle, stream: Handle) {
    assert_eq!(cu!(cuEventRecord(event => Handle, stream => Handle)), 0);
}

fn join(later: Handle, event: Handle) {
    assert_eq!(cu!(cuStreamWaitEvent(later => Handle, event => Handle, 0 => u32)), 0);
}

fn elapsed(start: Handle, end: Handle) -> f32 {
    let mut ms = f32::NAN;
    assert_eq!(cu!(cuEventElapsedTime(&mut ms => &mut f32, start => Handle, end => Handle)), 0);
    ms
}

#[test]
fn a_missing_wait_of_the_host_shows() {
    on_stand_in(this_test!(), &[], || {
        open(0);
        let stream = stream();
        let (x, target) = (upload(&[5u32; 8]), pinned(8));
        down(target, x, stream);
        assert_eq!(target, [u32::MAX; 8], "nobody has waited");
        assert_eq!(sync(stream), 0);
        assert_eq!(target, [5; 8]);
    });
}

/// Pinned memory is read when the copy runs, pageable memory when it is enqueued.
#[test]
fn pinned_memory_must_stay_as_it_is() {
    on_stand_in(this_test!(), &[], || {
        open(0);
        let stream = stream();
        let (from, x, y) = (pinned(8), alloc(32), alloc(32));
        let mut pageable = vec![1u32; 8];
        from.fill(1);
        up(x, from, stream);
        up(y, &pageable, stream);
        from.fill(2);
        pageable.fill(2);
        assert_eq!(sync(stream), 0);
        assert_eq!(download::<u32>(x, 8), [2; 8]);
        assert_eq!(download::<u32>(y, 8), [1; 8]);
    });
}

#[test]
fn a_race_between_streams_is_found() {
    for joined in ["yes", "no"] {
        on_stand_in(this_test!(), &[("JOINED", joined)], || {
            open(0);
            let joined = std::env::var("JOINED").unwrap() == "yes";
            let set = kernel("set", &[8, 4, 4], 0);
            let (first, second) = (stream(), stream());
            let (x, target) = (alloc(400), pinned(100));
            assert_eq!(set.launch(first, 1, 128, 0, &[&x, &100, &7u32]), 0);
            if joined {
                let event = event();
                record(event, first);
                join(second, event);
            }
            down(target, x, second);
            if joined {
                assert_eq!(sync(second), 0);
                assert_eq!(target, [7; 100], "the copy runs the kernel first");
                return;
            }
            // One of the two waits must notice.
            assert_eq!(sync(first).max(sync(second)), 719);
            let report = report();
            for words in ["a race", "kernel `set`", "copy of 400 bytes", "join the streams"] {
                assert!(report.contains(words), "{words}: {report}");
            }
        });
    }
}

#[test]
fn disjoint_parts_of_one_allocation_do_not_race() {
    on_stand_in(this_test!(), &[], || {
        open(0);
        let set = kernel("set", &[8, 4, 4], 0);
        let x = alloc(400);
        let streams: Vec<Handle> = (0..4).map(|_| stream()).collect();
        for (index, stream) in streams.iter().enumerate() {
            assert_eq!(set.launch(*stream, 1, 32, 0, &[&(x + 100 * index as u64), &25, &(index as u32)]), 0);
        }
        assert_eq!(cu!(cuCtxSynchronize()), 0, "{}", report());
        // After the host has waited everything is free to be used on any stream.
        assert_eq!(set.launch(streams[3], 1, 128, 0, &[&x, &100, &9u32]), 0);
        assert_eq!(sync(streams[3]), 0, "{}", report());
        assert_eq!(download::<u32>(x, 100), [9; 100]);
    });
}

#[test]
fn only_what_a_wait_needs_is_run() {
    on_stand_in(this_test!(), &[], || {
        open(0);
        let (first, second) = (stream(), stream());
        let (x, a, b) = (upload(&[1u32; 4]), pinned(4), pinned(4));
        down(a, x, first);
        let event = event();
        record(event, first);
        down(b, x, first);
        assert_eq!(cu!(cuEventSynchronize(event => Handle)), 0);
        assert_eq!((a[0], b[0]), (1, u32::MAX));
        assert_eq!(sync(second), 0);
        assert_eq!(b[0], u32::MAX);
        assert_eq!(sync(first), 0);
        assert_eq!(b[0], 1);
    });
}

#[test]
fn queries_end() {
    on_stand_in(this_test!(), &[], || {
        open(0);
        let stream = stream();
        let (x, a, event) = (upload(&[1u32; 4]), pinned(4), event());
        down(a, x, stream);
        record(event, stream);
        assert_eq!(cu!(cuEventQuery(event => Handle)), NOT_READY);
        let mut ms = 0.0;
        assert_eq!(cu!(cuEventElapsedTime(&mut ms => &mut f32, event => Handle, event => Handle)), NOT_READY);
        let mut queries = 0;
        while cu!(cuEventQuery(event => Handle)) == NOT_READY {
            queries += 1;
            assert!(queries < 1_000_000, "never ready");
        }
        assert_eq!(a[0], 1);
        assert_eq!(cu!(cuStreamQuery(stream => Handle)), 0);
    });
}

#[test]
fn the_default_stream_waits_for_blocking_streams() {
    on_stand_in(this_test!(), &[], || {
        open(0);
        let set = kernel("set", &[8, 4, 4], 0);
        let mut blocking: Handle = std::ptr::null_mut();
        assert_eq!(cu!(cuStreamCreate(&mut blocking => &mut Handle, 0 => u32)), 0);
        let x = alloc(400);
        let default: Handle = std::ptr::null_mut();
        for (stream, value) in [(blocking, 1u32), (default, 2), (blocking, 3)] {
            assert_eq!(set.launch(stream, 1, 128, 0, &[&x, &100, &value]), 0);
        }
        assert_eq!(sync(blocking), 0, "{}", report());
        assert_eq!(download::<u32>(x, 100), [3; 100]);
    });
}

/// The clock shows what the modelled hardware takes, in every run the same.
#[test]
fn device_times_are_modelled() {
    on_stand_in(this_test!(), &[("COLDSTART_STAND_IN_PINNED_GBPS", "2")], || {
        open(0);
        let stream = stream();
        let numbers = 1 << 20;
        let (x, from) = (alloc(4 * numbers), pinned(numbers));
        let (start, middle, end) = (event(), event(), event());
        // The best of some: a busy machine may pause the host for so long that it shows.
        let mut best = (f32::MAX, f32::MAX);
        for _ in 0..5 {
            let host = std::time::Instant::now();
            record(start, stream);
            up(x, from, stream);
            record(middle, stream);
            up(x, &from[..numbers / 2], stream);
            record(end, stream);
            assert_eq!(sync(stream), 0);
            let host = host.elapsed().as_secs_f32() * 1e3;
            let (whole, half) = (elapsed(start, middle), elapsed(middle, end));
            assert!(host >= whole + half, "{host} ms on the host, {} on the device", whole + half);
            best = (best.0.min(whole), best.1.min(half));
        }
        assert!((best.0 - 2.0992).abs() < 0.001, "{} ms for 4 MiB at 2 GB/s and 2 µs", best.0);
        assert!((best.1 - 1.0506).abs() < 0.001, "{} ms for 2 MiB", best.1);
    });
}
