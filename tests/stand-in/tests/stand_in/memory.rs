//! Memory: poison, sizes, page-locking, several devices.

use coldstart_stand_in::this_test;

use crate::cuda::{
    Handle, alloc, cu, download, kernel, on_stand_in, open, pinned, report, stream, sync, upload,
};

#[test]
fn fresh_memory_is_poison() {
    on_stand_in(this_test!(), &[], || {
        open(0);
        for bytes in [4usize, 4096, 1 << 20, (9 << 20) + 4] {
            let x = alloc(bytes);
            assert!(
                x.is_multiple_of(256) && !x.is_multiple_of(512),
                "{x:#x} is aligned as a device does and no better"
            );
            let back = download::<u32>(x, bytes / 4);
            assert!(back.iter().all(|word| *word == u32::MAX), "{bytes} bytes");
        }
        assert!(pinned(1000).iter().all(|word| *word == u32::MAX));
    });
}

#[test]
fn memory_runs_out() {
    on_stand_in(this_test!(), &[("COLDSTART_STAND_IN_MEMORY_MB", "10")], || {
        open(0);
        let (mut free, mut total) = (0usize, 0usize);
        let mut info = || {
            assert_eq!(cu!(cuMemGetInfo_v2(&mut free => &mut usize, &mut total => &mut usize)), 0);
            (free, total)
        };
        assert_eq!(info(), (10 << 20, 10 << 20));
        let x = alloc(6 << 20);
        assert_eq!(info(), (4 << 20, 10 << 20));
        let mut y = 0u64;
        assert_eq!(cu!(cuMemAlloc_v2(&mut y => &mut u64, 5 << 20 => usize)), 2);
        assert_eq!(cu!(cuMemFree_v2(x => u64)), 0);
        assert_eq!(cu!(cuMemAlloc_v2(&mut y => &mut u64, 5 << 20 => usize)), 0);
        assert_eq!(cu!(cuMemFree_v2(x => u64)), 1, "freed twice");
    });
}

#[test]
fn copies_out_of_bounds_are_refused() {
    on_stand_in(this_test!(), &[], || {
        open(0);
        let (x, stream) = (alloc(100), stream());
        let bytes = [0u8; 200];
        for (to, count, code) in
            [(x, 100usize, 0), (x, 101, 1), (x + 90, 10, 0), (x + 90, 11, 1), (x - 1, 4, 1), (0, 4, 1)]
        {
            let got = cu!(cuMemcpyHtoDAsync_v2(to => u64, bytes.as_ptr() => *const u8, count => usize, stream => Handle));
            assert_eq!(got, code, "{count} bytes at {to:#x}");
        }
        assert_eq!(cu!(cuMemsetD8Async(x => u64, 0 => u8, 101 => usize, stream => Handle)), 1);
        assert_eq!(sync(stream), 0);
    });
}

#[test]
fn a_copy_to_memory_that_is_freed_before_it_runs() {
    on_stand_in(this_test!(), &[], || {
        open(0);
        let (first, second, x, from) = (stream(), stream(), alloc(64), pinned(16));
        let code =
            cu!(cuMemcpyHtoDAsync_v2(x => u64, from.as_ptr() => *const u32, 64 => usize, first => Handle));
        assert_eq!(code, 0);
        assert_eq!(cu!(cuMemFreeAsync(x => u64, second => Handle)), 0);
        // Whichever runs first: the free races with the copy.
        let codes = [sync(second), sync(first)];
        assert!(codes.contains(&719) || codes.contains(&700), "{codes:?} {}", report());
    });
}

#[test]
fn pinned_memory_outlives_its_copies() {
    on_stand_in(this_test!(), &[], || {
        open(0);
        let (stream, x, from) = (stream(), alloc(64), pinned(16));
        let code =
            cu!(cuMemcpyHtoDAsync_v2(x => u64, from.as_ptr() => *const u32, 64 => usize, stream => Handle));
        assert_eq!(code, 0);
        assert_eq!(cu!(cuMemFreeHost(from.as_mut_ptr() => *mut u32)), 719);
        assert!(report().contains("is given up before copy of 64 bytes"), "{}", report());
    });
}

/// A page-aligned place of this many pages.
fn pages(count: usize, rights: i32) -> *mut u8 {
    // SAFETY: a new mapping.
    let place = unsafe {
        libc::mmap(std::ptr::null_mut(), count * 4096, rights, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)
    };
    assert_ne!(place, libc::MAP_FAILED);
    place.cast()
}

#[test]
fn registered_memory() {
    on_stand_in(this_test!(), &[], || {
        open(0);
        let register = |place: *mut u8, bytes: usize, flags: u32| cu!(cuMemHostRegister_v2(place => *mut u8, bytes => usize, flags => u32));
        let unregister = |place: *mut u8| cu!(cuMemHostUnregister(place => *mut u8));
        let writable = pages(4, libc::PROT_READ | libc::PROT_WRITE);
        let read_only = pages(4, libc::PROT_READ);
        assert_eq!(register(writable.wrapping_add(1), 4096, 0), 1, "not at the start of a page");
        assert_eq!(register(writable, 5000, 0), 0);
        assert_eq!(register(writable.wrapping_add(4096), 4096, 0), 712, "its second page is registered");
        assert_eq!(register(read_only, 4096, 0), 1, "can't be written to");
        assert_eq!(register(read_only, 4096, 8), 0);
        assert_eq!(unregister(writable.wrapping_add(4096)), 713);

        // It is used when the copy runs, like pinned memory, and a kernel must not write to what is read only.
        let (stream, x) = (stream(), alloc(4096));
        assert_eq!(
            cu!(cuMemcpyHtoDAsync_v2(x => u64, writable => *mut u8, 4096 => usize, stream => Handle)),
            0
        );
        // SAFETY: our own pages.
        unsafe { writable.write(9) };
        assert_eq!(sync(stream), 0);
        assert_eq!(download::<u8>(x, 2), [9, 0]);
        assert_eq!(unregister(writable), 0);
        let write = kernel("write_first", &[8], 0);
        assert_eq!(write.launch(stream, 1, 1, 0, &[&(read_only as u64)]), 0);
        assert_eq!(sync(stream), 700);
        assert!(report().contains("registered for reading only"), "{}", report());
    });
}

#[test]
fn registering_for_reading_can_be_unsupported() {
    on_stand_in(this_test!(), &[("COLDSTART_STAND_IN_READ_ONLY_REGISTER", "0")], || {
        open(0);
        let mut supported = -1;
        assert_eq!(cu!(cuDeviceGetAttribute(&mut supported => &mut i32, 113 => i32, 0 => i32)), 0);
        assert_eq!(supported, 0);
        let place = pages(1, libc::PROT_READ);
        assert_eq!(cu!(cuMemHostRegister_v2(place => *mut u8, 4096 => usize, 8 => u32)), 801);
    });
}

#[test]
fn devices_are_apart() {
    on_stand_in(this_test!(), &[("COLDSTART_STAND_IN_DEVICES", "2")], || {
        let first = open(0);
        let x = upload(&[3u32; 25]);
        let set = kernel("set", &[8, 4, 4], 0);
        let own_stream = stream();
        let second = open(1);
        let y = alloc(100);
        // Handles belong to their context.
        assert_eq!(set.launch(own_stream, 1, 32, 0, &[&x, &25, &1u32]), 400);
        let code = cu!(cuMemcpyPeer(y => u64, second => Handle, x => u64, first => Handle, 100 => usize));
        assert_eq!(code, 0);
        assert_eq!(download::<u32>(y, 25), [3; 25]);
        // A kernel on the second device must not touch memory of the first.
        let set = kernel("set", &[8, 4, 4], 0);
        let stream = stream();
        assert_eq!(set.launch(stream, 1, 32, 0, &[&x, &25, &1u32]), 0);
        assert_eq!(sync(stream), 700);
        // The first device is none the worse.
        assert_eq!(cu!(cuCtxSetCurrent(first => Handle)), 0);
        assert_eq!(download::<u32>(x, 25), [3; 25]);
    });
}
