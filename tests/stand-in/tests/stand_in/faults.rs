//! Failures on demand, and what a driver refuses.

use std::ffi::{CString, c_char};

use coldstart_stand_in::this_test;

use crate::cuda::{
    Handle, alloc, cu, kernel, on_older_driver, on_stand_in, open, pinned, ptx, stream, symbol, sync,
};

const FAULT: &str = "COLDSTART_STAND_IN_FAULT";

#[test]
fn no_device() {
    on_stand_in(this_test!(), &[("COLDSTART_STAND_IN_DEVICES", "0")], || {
        assert_eq!(cu!(cuInit(0 => u32)), 100);
        assert_eq!(cu!(cuDeviceGetCount(&mut 0 => &mut i32)), 3, "not initialised");
    });
}

#[test]
fn calls_fail_as_asked() {
    on_stand_in(this_test!(), &[(FAULT, "cuInit:1:803,cuDevicePrimaryCtxRetain:2:46")], || {
        assert_eq!(cu!(cuInit(0 => u32)), 803);
        open(0);
        let mut context: Handle = std::ptr::null_mut();
        assert_eq!(cu!(cuDevicePrimaryCtxRetain(&mut context => &mut Handle, 0 => i32)), 46);
    });
    on_stand_in(this_test!(), &[(FAULT, "cuMemAlloc_v2:3+:2")], || {
        open(0);
        let mut address = 0;
        let codes: Vec<i32> =
            (0..4).map(|_| cu!(cuMemAlloc_v2(&mut address => &mut u64, 16 => usize))).collect();
        assert_eq!(codes, [0, 0, 2, 2]);
    });
}

#[test]
fn work_fails_when_it_runs_and_for_good() {
    for (fault, code) in [("launch:2:719", 719), ("copy:2:999", 999), ("launch:2:214", 214)] {
        on_stand_in(this_test!(), &[(FAULT, fault), ("CODE", &code.to_string())], || {
            let code: i32 = std::env::var("CODE").unwrap().parse().unwrap();
            let first = open(0);
            let set = kernel("set", &[8, 4, 4], 0);
            let (stream, x, from) = (stream(), alloc(400), pinned(100));
            for round in 0..2 {
                assert_eq!(
                    set.launch(stream, 1, 128, 0, &[&x, &100, &1u32]),
                    0,
                    "the launch itself succeeds"
                );
                let copied = cu!(cuMemcpyHtoDAsync_v2(x => u64, from.as_ptr() => *const u32, 400 => usize, stream => Handle));
                assert_eq!(copied, 0);
                assert_eq!(sync(stream), if round == 0 { 0 } else { code });
            }
            assert_eq!(set.launch(stream, 1, 128, 0, &[&x, &100, &1u32]), code);
            assert_eq!(cu!(cuMemFree_v2(x => u64)), code);
            assert_eq!(cu!(cuCtxSynchronize()), code);
            // Not even a new context helps this process.
            cu!(cuDevicePrimaryCtxReset_v2(0 => i32));
            let mut second: Handle = std::ptr::null_mut();
            assert_eq!(cu!(cuDevicePrimaryCtxRetain(&mut second => &mut Handle, 0 => i32)), code);
            assert_eq!(cu!(cuCtxSetCurrent(first => Handle)), 201);
        });
    }
}

fn load(image: &CString, log: &mut [u8; 256]) -> (i32, usize) {
    let mut module: Handle = std::ptr::null_mut();
    let mut options = [5u32, 6];
    let mut values = [log.as_mut_ptr() as usize, log.len()];
    let code = cu!(cuModuleLoadDataEx(
        &mut module => &mut Handle, image.as_ptr() => *const c_char, 2 => u32,
        options.as_mut_ptr() => *mut u32, values.as_mut_ptr() => *mut usize
    ));
    (code, values[1])
}

#[test]
fn ptx_that_is_refused_leaves_a_log() {
    on_stand_in(
        this_test!(),
        &[(FAULT, "module:1:218"), ("COLDSTART_STAND_IN_JIT_LOG", "line 7: no")],
        || {
            open(0);
            let image = ptx("set", &[8, 4, 4], 0);
            let mut log = [1; 256];
            assert_eq!(load(&image, &mut log), (218, 11));
            assert_eq!(&log[..11], b"line 7: no\0");
            assert_eq!(load(&image, &mut log), (0, 0));
        },
    );
}

#[test]
fn ptx_for_other_drivers_and_devices() {
    on_stand_in(
        this_test!(),
        &[("COLDSTART_STAND_IN_DRIVER_VERSION", "12020"), ("COLDSTART_STAND_IN_CAPABILITY", "8.0")],
        || {
            open(0);
            let with = |version: &str, target: &str| {
                let text = ptx("set", &[8, 4, 4], 0).into_string().unwrap();
                CString::new(text.replace("8.0", version).replace("sm_80", target)).unwrap()
            };
            let mut log = [0; 256];
            for (version, target, code) in
                [("8.2", "sm_80", 0), ("8.3", "sm_80", 222), ("7.0", "sm_70", 0), ("8.2", "sm_90a", 209)]
            {
                assert_eq!(load(&with(version, target), &mut log).0, code, "{version} {target}");
            }
            assert_eq!(load(&CString::new("not PTX").unwrap(), &mut log).0, 200);
        },
    );
}

#[test]
fn kernels_are_compiled_once_a_cache() {
    let cache = std::env::temp_dir().join(format!("coldstart-stand-in-test-{}", std::process::id()));
    let path = cache.to_str().unwrap();
    for (loading, run) in [("EAGER", 0), ("EAGER", 1), ("LAZY", 2)] {
        if run != 1 {
            let _ = std::fs::remove_dir_all(&cache);
        }
        let run = run.to_string();
        let environment = [
            ("CUDA_CACHE_PATH", path),
            ("CUDA_MODULE_LOADING", loading),
            ("COLDSTART_STAND_IN_JIT_US_PER_KERNEL", "50000"),
            ("RUN", &run),
        ];
        on_stand_in(this_test!(), &environment, || {
            open(0);
            let image = ptx("set", &[8, 4, 4], 0);
            let (mut module, mut function): (Handle, Handle) = (std::ptr::null_mut(), std::ptr::null_mut());
            // The first module opens the kernels that are compiled for the host.
            load(&ptx("twice", &[8, 8, 4], 0), &mut [0; 256]);
            let start = std::time::Instant::now();
            assert_eq!(cu!(cuModuleLoadData(&mut module => &mut Handle, image.as_ptr() => *const c_char)), 0);
            let loaded = start.elapsed().as_millis() >= 50;
            let start = std::time::Instant::now();
            let name = c"set".as_ptr();
            assert_eq!(
                cu!(cuModuleGetFunction(&mut function => &mut Handle, module => Handle, name => *const c_char)),
                0
            );
            let resolved = start.elapsed().as_millis() >= 50;
            let expected = [(true, false), (false, false), (false, true)];
            let run: usize = std::env::var("RUN").unwrap().parse().unwrap();
            assert_eq!((loaded, resolved), expected[run], "time for compiling in the load, in the lookup");
            let mut mode = 0;
            assert_eq!(cu!(cuModuleGetLoadingMode(&mut mode => &mut i32)), 0);
            assert_eq!(mode, if run == 2 { 2 } else { 1 });
        });
    }
    let _ = std::fs::remove_dir_all(&cache);
}

#[test]
fn an_older_driver_lacks_an_entry_point() {
    on_older_driver(this_test!(), "cuFuncLoad", || {
        assert!(symbol("cuFuncLoad").is_null());
        assert!(!symbol("cuFuncGetAttribute").is_null());
        open(0);
    });
}

#[test]
fn devices_that_let_nobody_in() {
    on_stand_in(this_test!(), &[("COLDSTART_STAND_IN_COMPUTE_MODE", "2")], || {
        assert_eq!(cu!(cuInit(0 => u32)), 0);
        let mut context: Handle = std::ptr::null_mut();
        assert_eq!(cu!(cuDevicePrimaryCtxRetain(&mut context => &mut Handle, 0 => i32)), 46);
    });
}

#[test]
fn texts_of_codes() {
    on_stand_in(this_test!(), &[], || {
        let mut text: *const c_char = std::ptr::null();
        assert_eq!(cu!(cuGetErrorName(719 => i32, &mut text => &mut *const c_char)), 0);
        // SAFETY: a static C string of the driver's.
        assert_eq!(unsafe { std::ffi::CStr::from_ptr(text) }, c"CUDA_ERROR_LAUNCH_FAILED");
        assert_eq!(cu!(cuGetErrorString(12_345 => i32, &mut text => &mut *const c_char)), 1);
        assert!(text.is_null());
        let mut table: Handle = 1 as Handle;
        assert_eq!(cu!(cuGetExportTable(&mut table => &mut Handle, std::ptr::null() => *const u8)), 500);
        assert!(table.is_null(), "NVRTC calls it without a look at the code");
    });
}
