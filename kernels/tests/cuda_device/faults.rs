//! What goes wrong with drivers and devices, and what is said then.

use coldstart_kernels::cuda::{Context, CudaDevice, Driver};
use coldstart_kernels::{Device, Error, HostMemory, IndicesMut, Kind, Ops, Pinning};

use crate::support::{on_stand_in, on_stand_in_without, round_trip};

fn no_device(error: &Error, parts: &[&str]) {
    assert!(matches!(error, Error::NoDevice { kind: Kind::Cuda, .. }), "{error:?}");
    says(error, parts);
}

fn says(error: &Error, parts: &[&str]) {
    let text = error.to_string();
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

fn lost(error: &Error, parts: &[&str]) {
    assert!(matches!(error, Error::DeviceLost { index: 0, .. }), "{error:?}");
    says(error, parts);
    says(error, &["lost for this process", "start a new one"]);
}

#[test]
fn no_gpu() {
    on_stand_in(&[("FAULT", "cuInit:1+:100")], || {
        no_device(&Driver::load().unwrap_err(), &["cuInit", "CUDA_ERROR_NO_DEVICE (100)", "libcuda.so"]);
        no_device(&CudaDevice::open(0).unwrap_err(), &["CUDA_ERROR_NO_DEVICE (100)"]);
    });
}

#[test]
fn another_release_than_the_kernel_module() {
    on_stand_in(&[("FAULT", "cuInit:1+:803")], || {
        no_device(&Driver::load().unwrap_err(), &["SYSTEM_DRIVER_MISMATCH (803)", "different releases"]);
    });
}

#[test]
fn the_stub_of_the_toolkit() {
    on_stand_in(&[("FAULT", "cuInit:1+:34")], || {
        no_device(&Driver::load().unwrap_err(), &["STUB_LIBRARY (34)", "LD_LIBRARY_PATH"]);
    });
}

#[test]
fn a_status_without_a_name() {
    on_stand_in(&[("FAULT", "cuInit:1:12345")], || {
        no_device(&Driver::load().unwrap_err(), &["no name for (12345)"]);
        // What failed once may work the next time.
        round_trip(&CudaDevice::open(0).unwrap());
    });
}

#[test]
fn a_missing_function_is_named_with_the_version() {
    on_stand_in_without("cuGraphUpload", || {
        let error = Driver::load().unwrap_err();
        assert!(matches!(error, Error::MissingSymbol { symbol: "cuGraphUpload", .. }), "{error:?}");
        says(&error, &["cuGraphUpload", "CUDA 12.4", "libcuda.so", "R535"]);
    });
}

#[test]
fn a_gpu_that_another_process_has() {
    on_stand_in(&[("FAULT", "cuDevicePrimaryCtxRetain:1:46"), ("COMPUTE_MODE", "3")], || {
        let driver = Driver::load().unwrap().driver;
        no_device(
            &Context::create(driver, 0).unwrap_err(),
            &["EXCLUSIVE_PROCESS", "nvidia-smi -i 0 -c DEFAULT"],
        );
        round_trip(&CudaDevice::open(0).unwrap());
    });
}

#[test]
fn no_memory_for_a_context() {
    on_stand_in(&[("FAULT", "cuDevicePrimaryCtxRetain:1:2")], || {
        no_device(&CudaDevice::open(0).unwrap_err(), &["OUT_OF_MEMORY (2)", "no memory for a context"]);
    });
}

#[test]
fn a_gpu_that_fails_to_answer() {
    on_stand_in(&[("FAULT", "cuCtxSynchronize:1:999")], || {
        no_device(&CudaDevice::open(0).unwrap_err(), &["CUDA_ERROR_UNKNOWN (999)", "Xid"]);
    });
}

#[test]
fn out_of_memory_says_needed_and_free() {
    on_stand_in(&[("MEMORY_MB", "100")], || {
        let device = CudaDevice::open(0).unwrap();
        let kept = device.alloc(40 << 20).unwrap();
        let error = device.alloc(90 << 20).unwrap_err();
        let free = device.memory().unwrap().free;
        let Error::OutOfMemory { requested, free: said, .. } = error else { panic!("{error:?}") };
        assert_eq!((requested, said), (90 << 20, free));
        drop(kept);
        device.alloc(50 << 20).unwrap();
    });
}

#[test]
fn no_memory_to_pin() {
    on_stand_in(&[("FAULT", "cuMemHostAlloc:1:2")], || {
        let device = CudaDevice::open(0).unwrap();
        let error = device.pinned(1 << 20, Pinning::default()).unwrap_err();
        assert!(matches!(error, Error::OutOfMemory { requested: 1_048_576, .. }), "{error:?}");
        says(&error, &["pinned host memory"]);
        device.pinned(1 << 20, Pinning::default()).unwrap();
    });
}

#[test]
fn a_device_that_is_lost_in_the_middle_of_an_upload() {
    on_stand_in(&[("FAULT", "copy:3:719")], || {
        let device = CudaDevice::open(0).unwrap();
        let stream = device.stream().unwrap();
        let mut buffer = device.alloc(1 << 20).unwrap();
        let mut pinned = device.pinned(1 << 20, Pinning::default()).unwrap();
        pinned.as_mut_slice().unwrap().fill(1);
        let mut enqueue = || {
            for part in 0..8 {
                let range = part << 17..(part + 1) << 17;
                device.upload_pinned(&stream, &pinned, range.clone(), &mut buffer, range.start)?;
            }
            device.sync()
        };
        lost(&enqueue().unwrap_err(), &["CUDA_ERROR_LAUNCH_FAILED (719)", "CUDA device 0"]);
        // Whatever is tried from here on says the same, and drops are silent.
        lost(&device.sync().unwrap_err(), &["(719)"]);
        lost(&device.alloc(10).unwrap_err(), &["(719)"]);
        lost(&pinned.as_mut_slice().unwrap_err(), &["(719)"]);
        lost(&device.download(&stream, &buffer, 0, &mut [0; 8]).unwrap_err(), &["(719)"]);
        drop((pinned, buffer, stream));
        lost(&device.memory().unwrap_err(), &["(719)"]);
    });
}

#[test]
fn memory_errors_lose_the_device() {
    on_stand_in(&[("FAULT", "cuMemcpyHtoDAsync_v2:1:214")], || {
        let device = CudaDevice::open(0).unwrap();
        let mut buffer = device.alloc(16).unwrap();
        lost(
            &device.upload(device.compute(), &[1; 16], &mut buffer, 0).unwrap_err(),
            &["upload 16 bytes", "ECC_UNCORRECTABLE (214)"],
        );
        lost(&device.sync().unwrap_err(), &["(214)"]);
    });
}

#[test]
fn a_kernel_that_fails_is_heard_of_at_the_next_wait() {
    on_stand_in(&[("FAULT", "launch:1:700")], || {
        let device = CudaDevice::open(0).unwrap();
        let mut buffer = device.alloc(16).unwrap();
        let result = device.advance(IndicesMut::new(&mut buffer, 4).unwrap(), 1).and_then(|()| device.sync());
        lost(&result.unwrap_err(), &["ILLEGAL_ADDRESS (700)"]);
    });
}

#[test]
fn a_launch_that_is_refused_names_the_kernel() {
    on_stand_in(&[("FAULT", "cuLaunchKernel:1:701")], || {
        let device = CudaDevice::open(0).unwrap();
        let mut buffer = device.alloc(16).unwrap();
        let error = device.advance(IndicesMut::new(&mut buffer, 4).unwrap(), 1).unwrap_err();
        assert!(matches!(error, Error::Cuda { .. }), "{error:?}");
        says(&error, &["launch advance on [1, 1, 1] blocks", "LAUNCH_OUT_OF_RESOURCES (701)", "registers"]);
        round_trip(&device);
    });
}

#[test]
fn refused_kernels_show_what_the_compiler_said() {
    on_stand_in(&[("FAULT", "cuModuleLoadDataEx:1:218"), ("JIT_LOG", "ptxas fatal: line 7")], || {
        let error = CudaDevice::open(0).unwrap_err();
        assert!(matches!(error, Error::KernelsRefused { .. }), "{error:?}");
        says(&error, &[".cu", "CUDA 12.4", "INVALID_PTX (218)", "ptxas fatal: line 7"]);
        round_trip(&CudaDevice::open(0).unwrap());
    });
}

#[test]
fn a_driver_that_is_too_old_for_the_kernels() {
    on_stand_in(&[("DRIVER_VERSION", "12010"), ("FAULT", "cuModuleLoadDataEx:1+:222")], || {
        let error = CudaDevice::open(0).unwrap_err();
        assert!(matches!(error, Error::DriverTooOld { .. }), "{error:?}");
        says(&error, &["the driver has CUDA 12.1", "need 12.2", "R535"]);
    });
}

#[test]
fn a_compiler_that_is_missing_has_a_remedy() {
    on_stand_in(&[("FAULT", "cuModuleLoadDataEx:1:221")], || {
        says(
            &CudaDevice::open(0).unwrap_err(),
            &["JIT_COMPILER_NOT_FOUND (221)", "libnvidia-ptxjitcompiler"],
        );
    });
}

#[test]
fn a_failed_drop_is_heard_of_at_the_next_call() {
    on_stand_in(&[("FAULT", "cuMemFree_v2:1:1")], || {
        let device = CudaDevice::open(0).unwrap();
        drop(device.alloc(100).unwrap());
        let error = device.sync().unwrap_err();
        assert!(matches!(error, Error::Cuda { .. }), "{error:?}");
        says(&error, &["free device memory", "INVALID_VALUE (1)"]);
        round_trip(&device);
    });
}

#[test]
fn a_copy_that_no_event_follows_is_waited_for() {
    on_stand_in(&[("FAULT", "cuEventCreate:1:2"), ("PINNED_GBPS", "0.05")], || {
        let device = CudaDevice::open(0).unwrap();
        let mut pinned = device.pinned(1 << 20, Pinning::default()).unwrap();
        pinned.as_mut_slice().unwrap().fill(3);
        let mut buffer = device.alloc(1 << 20).unwrap();
        let error = device.upload_pinned(device.compute(), &pinned, 0..1 << 20, &mut buffer, 0).unwrap_err();
        says(&error, &["make an event", "OUT_OF_MEMORY (2)"]);
        // Nothing remembers the copy, so it is done.
        pinned.as_mut_slice().unwrap().fill(4);
        let mut back = vec![0; 1 << 20];
        device.download(device.compute(), &buffer, 0, &mut back).unwrap();
        assert!(back.iter().all(|byte| *byte == 3));
    });
}

#[test]
fn a_graph_that_fails_to_instantiate_leaves_the_stream_usable() {
    on_stand_in(&[("FAULT", "cuGraphInstantiateWithFlags:1:2,cuStreamBeginCapture_v2:2:900")], || {
        let device = CudaDevice::open(0).unwrap();
        let mut buffer = device.alloc(8).unwrap();
        device.upload(device.compute(), &[0; 8], &mut buffer, 0).unwrap();
        let mut record = || device.record(|| device.advance(IndicesMut::new(&mut buffer, 2)?, 1));
        says(&record().unwrap_err(), &["instantiate a graph"]);
        says(&record().unwrap_err(), &["begin to record a graph"]);
        let graph = record().unwrap().unwrap();
        device.replay(&graph).unwrap();
        round_trip(&device);
    });
}
