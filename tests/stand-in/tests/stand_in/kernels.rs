//! Kernels with and without mistakes.

use coldstart_stand_in::this_test;

use crate::cuda::{
    Handle, Kernel, alloc, cu, download, kernel, on_stand_in, open, pinned, report, stream, sync, upload,
};

const ILLEGAL_ADDRESS: i32 = 700;
const LAUNCH_FAILED: i32 = 719;

/// Launches, waits: the code of the wait.
fn run(kernel: Kernel, blocks: u32, threads: u32, values: &[&dyn crate::cuda::Parameter]) -> i32 {
    let stream = stream();
    assert_eq!(kernel.launch(stream, blocks, threads, 0, values), 0, "{}", report());
    sync(stream)
}

/// Every later call of a broken context fails with what broke it.
fn assert_broken(code: i32) {
    assert_eq!(cu!(cuCtxSynchronize()), code);
    assert_eq!(cu!(cuMemAlloc_v2(&mut 0 => &mut u64, 16 => usize)), code);
}

#[test]
fn reads_past_the_end_are_found() {
    on_stand_in(this_test!(), &[], || {
        open(0);
        let copy = kernel("copy_numbers", &[8, 8, 4], 0);
        let (x, y) = (upload(&[7u32; 100]), alloc(500));
        assert_eq!(run(copy, 1, 128, &[&x, &y, &100]), 0);
        assert_eq!(download::<u32>(y, 101), [vec![7; 100], vec![u32::MAX]].concat());
        assert_eq!(run(copy, 1, 128, &[&x, &y, &101]), ILLEGAL_ADDRESS);
        let report = report();
        for word in [
            "`copy_numbers`",
            "block (0, 0, 0)",
            "thread (100, 0, 0)",
            "reads 4 bytes",
            "past the end of the 400 bytes",
        ] {
            assert!(report.contains(word), "{word}: {report}");
        }
        assert_broken(ILLEGAL_ADDRESS);
    });
}

#[test]
fn writes_past_the_end_are_found() {
    on_stand_in(this_test!(), &[], || {
        open(0);
        let copy = kernel("copy_numbers", &[8, 8, 4], 0);
        let (x, y) = (upload(&[7u32; 100]), alloc(398));
        assert_eq!(run(copy, 1, 128, &[&x, &y, &99]), 0);
        assert_eq!(run(copy, 1, 128, &[&x, &y, &100]), ILLEGAL_ADDRESS);
        assert!(report().contains("writes 4 bytes"), "{}", report());
    });
}

#[test]
fn use_after_free_is_found() {
    on_stand_in(this_test!(), &[], || {
        open(0);
        let copy = kernel("copy_numbers", &[8, 8, 4], 0);
        let (x, y) = (upload(&[7u32; 100]), alloc(400));
        assert_eq!(run(copy, 1, 128, &[&x, &y, &100]), 0);
        assert_eq!(cu!(cuMemFree_v2(x => u64)), 0);
        // What comes later does not get the same address.
        upload(&[8u32; 100]);
        assert_eq!(run(copy, 1, 128, &[&x, &y, &100]), ILLEGAL_ADDRESS);
        assert!(report().contains("which was freed"), "{}", report());
    });
}

#[test]
fn misaligned_reads_are_found() {
    on_stand_in(this_test!(), &[], || {
        open(0);
        let read = kernel("read_misaligned", &[8, 8], 0);
        let (x, y) = (upload(&[7u32; 100]), alloc(400));
        assert_eq!(run(read, 1, 1, &[&(x + 2), &y]), 0);
        assert_eq!(run(read, 1, 1, &[&x, &y]), 716);
    });
}

#[test]
fn barriers_that_not_all_reach_are_found() {
    for mode in ["0", "1", "2"] {
        on_stand_in(this_test!(), &[("MODE", mode)], || {
            open(0);
            let mode: i32 = std::env::var("MODE").unwrap().parse().unwrap();
            let barriers = kernel("barriers", &[8, 4], 0);
            let code = run(barriers, 2, 64, &[&alloc(256), &mode]);
            let (expected, words) = match mode {
                0 => (0, ""),
                1 => (LAUNCH_FAILED, "returned"),
                _ => (LAUNCH_FAILED, "waits at the one in line"),
            };
            assert_eq!(code, expected, "{}", report());
            assert!(report().contains(words), "{}", report());
        });
    }
}

/// Without the barrier some thread reads what another has not written yet, whatever the order of threads.
#[test]
fn a_missing_barrier_shows() {
    on_stand_in(this_test!(), &[], || {
        open(0);
        let reverse = kernel("reverse", &[8, 4], 256);
        let y = alloc(64 * 4 * 4);
        let expected: Vec<u32> =
            (0..4).flat_map(|block| (0..64).rev().map(move |i| block * 64 + i)).collect();
        assert_eq!(run(reverse, 4, 64, &[&y, &1]), 0);
        assert_eq!(download::<u32>(y, 256), expected);
        assert_eq!(run(reverse, 4, 64, &[&y, &0]), 0);
        let wrong = download::<u32>(y, 256);
        for block in 0..4 {
            let block = block * 64..block * 64 + 64;
            assert!(wrong[block.clone()].contains(&u32::MAX), "{block:?}");
        }
    });
}

#[test]
fn shared_memory_is_fresh_in_every_block() {
    on_stand_in(this_test!(), &[("COLDSTART_STAND_IN_THREADS", "2")], || {
        open(0);
        let fresh = kernel("fresh_shared", &[8], 128);
        let y = alloc(50 * 64 * 4);
        let stream = stream();
        for _ in 0..2 {
            assert_eq!(fresh.launch(stream, 50, 32, 128, &[&y]), 0);
            assert_eq!(sync(stream), 0);
            assert_eq!(download::<u32>(y, 50 * 64), [u32::MAX; 50 * 64]);
        }
    });
}

#[test]
fn lanes_that_do_not_come_are_found() {
    for mode in ["0", "1", "2", "3"] {
        on_stand_in(this_test!(), &[("MODE", mode)], || {
            open(0);
            let mode: i32 = std::env::var("MODE").unwrap().parse().unwrap();
            let lanes = kernel("lanes", &[8, 4], 0);
            let y = alloc(128);
            let code = run(lanes, 1, 32, &[&y, &mode]);
            let (expected, words) = match mode {
                0 => (0, ""),
                1 => (LAUNCH_FAILED, "have returned or never were"),
                2 => (LAUNCH_FAILED, "reads lane 20, which the mask 0xffff does not name"),
                _ => (LAUNCH_FAILED, "__syncwarp"),
            };
            assert_eq!(code, expected, "{}", report());
            assert!(report().contains(words), "{}", report());
            if mode == 0 {
                assert_eq!(download::<u32>(y, 32), [496; 32]);
            }
        });
    }
}

#[test]
fn asynchronous_copies_arrive_at_the_wait() {
    on_stand_in(this_test!(), &[], || {
        open(0);
        let copy = kernel("copy_through", &[8, 8, 4, 4], 512);
        let numbers: Vec<u32> = (0..128).collect();
        let (x, y) = (upload(&numbers), alloc(512));
        assert_eq!(run(copy, 1, 32, &[&x, &y, &16, &0]), 0);
        assert_eq!(download::<u32>(y, 128), numbers);
        // Of 8 bytes the rest is zero.
        assert_eq!(run(copy, 1, 32, &[&x, &y, &8, &0]), 0);
        assert_eq!(download::<u32>(y, 8), [0, 1, 0, 0, 4, 5, 0, 0]);
        for mode in [1, 2] {
            assert_eq!(run(copy, 1, 32, &[&x, &y, &16, &mode]), 0);
            assert_eq!(download::<u32>(y, 128), [u32::MAX; 128], "mode {mode}");
        }
        // With 0 bytes the source may be anywhere.
        assert_eq!(run(copy, 1, 32, &[&0u64, &y, &0, &0]), 0);
        assert_eq!(download::<u32>(y, 128), [0; 128]);
    });
}

#[test]
fn parameters_arrive() {
    on_stand_in(this_test!(), &[], || {
        open(0);
        let parameters = kernel("parameters", &[8, 24, 4, 8, 4], 0);
        let y = alloc(24);
        let matrix = (0u64, 3i32, 4i32, 5i64);
        assert_eq!(run(parameters, 1, 1, &[&y, &matrix, &1.5f32, &(6i64 << 32), &7u32]), 0);
        assert_eq!(download::<u32>(y, 6), [3, 4, 5, 1.5f32.to_bits(), 6, 7]);
    });
}

#[test]
fn all_threads_of_all_blocks_run_once() {
    on_stand_in(this_test!(), &[("COLDSTART_STAND_IN_THREADS", "3")], || {
        open(0);
        let count = kernel("count", &[8], 0);
        let total = upload(&[0u32, 0]);
        assert_eq!(run(count, 1000, 77, &[&total]), 0);
        assert_eq!(download::<u32>(total, 2), [77_000, 76_999]);
    });
}

#[test]
fn a_kernel_that_waits_forever_times_out() {
    on_stand_in(this_test!(), &[("COLDSTART_STAND_IN_DEADLINE_MS", "200")], || {
        open(0);
        let wait = kernel("wait_for", &[8], 0);
        let flag = pinned(1);
        let address = flag.as_ptr() as u64;
        let stream = stream();
        flag[0] = 0;
        assert_eq!(wait.launch(stream, 1, 1, 0, &[&address]), 0);
        // It has not begun: the host can let it go.
        flag[0] = 1;
        assert_eq!(sync(stream), 0);
        flag[0] = 0;
        assert_eq!(wait.launch(stream, 1, 1, 0, &[&address]), 0);
        assert_eq!(sync(stream), 702);
    });
}

#[test]
fn launches_that_no_device_takes_are_refused() {
    on_stand_in(this_test!(), &[], || {
        open(0);
        let set = kernel("set", &[8, 4, 4], 0);
        let y = alloc(400);
        let values: [&dyn crate::cuda::Parameter; 3] = [&y, &0, &1u32];
        let stream = stream();
        for (blocks, threads, shared, code) in [
            (1, 1024, 0, 0),
            (0, 32, 0, 1),
            (1, 0, 0, 1),
            (1, 1025, 0, 1),
            (1 << 31, 32, 0, 1),
            (1, 32, 49_152, 0),
            (1, 32, 49_153, 1),
        ] {
            assert_eq!(
                set.launch(stream, blocks, threads, shared, &values),
                code,
                "{blocks} {threads} {shared}"
            );
        }
        let most = 232_448;
        assert_eq!(cu!(cuFuncSetAttribute(set.0 => Handle, 8 => i32, most + 1 => i32)), 1);
        assert_eq!(cu!(cuFuncSetAttribute(set.0 => Handle, 8 => i32, most => i32)), 0);
        assert_eq!(set.launch(stream, 1, 32, most as u32, &values), 0);
        assert_eq!(sync(stream), 0, "none of them has broken anything");
    });
}

#[test]
fn writes_behind_dynamic_shared_memory_are_found() {
    on_stand_in(this_test!(), &[], || {
        open(0);
        let write = kernel("write_shared", &[8, 4], 0);
        let (y, stream) = (alloc(128), stream());
        assert_eq!(write.launch(stream, 3, 32, 1024, &[&y, &224]), 0);
        assert_eq!(sync(stream), 0, "{}", report());
        assert_eq!(write.launch(stream, 3, 32, 1024, &[&y, &225]), 0);
        assert_eq!(sync(stream), ILLEGAL_ADDRESS);
        assert!(report().contains("behind the 1024 bytes of dynamic shared memory"), "{}", report());
    });
}

#[test]
fn stacks_that_overflow_are_found() {
    on_stand_in(this_test!(), &[], || {
        open(0);
        let deep = kernel("go_deep", &[8, 4], 0);
        let y = alloc(4);
        assert_eq!(run(deep, 1, 1, &[&y, &20]), 0, "{}", report());
        assert_eq!(run(deep, 1, 1, &[&y, &10_000]), LAUNCH_FAILED);
        assert!(report().contains("has overflown its stack"), "{}", report());
    });
}

#[test]
#[ignore = "fails, as `sanitizers_see_kernels` wants it to"]
fn undefined_behaviour() {
    on_stand_in(this_test!(), &[], || {
        open(0);
        assert_eq!(run(kernel("shift_by", &[8, 4], 0), 1, 1, &[&alloc(4), &40]), 0);
    });
}

#[test]
fn sanitizers_see_kernels() {
    if coldstart_stand_in::unless_missing(crate::cuda::kernels()).is_none() {
        return;
    }
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["kernels::undefined_behaviour", "--exact", "--ignored"])
        .env("COLDSTART_STAND_IN_SANITIZE", "undefined")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && told.contains("shift exponent 40 is too large"), "{told}");
}
