//! The CUDA device on the stand-in driver: opening it (its kernels too), moving bytes.

use coldstart_kernels::Device;
use coldstart_kernels::cuda::CudaDevice;
use coldstart_stand_in::{in_process, this_test};

#[test]
fn bytes_go_there_and_back() {
    in_process(this_test!(), &[], || {
        let device = CudaDevice::open(0).unwrap();
        let numbers: Vec<u8> = (0..40u32).flat_map(u32::to_le_bytes).collect();
        let mut buffer = device.alloc(numbers.len()).unwrap();
        device.upload(device.compute(), &numbers, &mut buffer, 0).unwrap();
        let mut copy = device.alloc(numbers.len()).unwrap();
        device.copy(device.compute(), &buffer, 0..numbers.len(), &mut copy, 0).unwrap();
        let mut back = vec![0; numbers.len()];
        device.download(device.compute(), &copy, 0, &mut back).unwrap();
        assert_eq!(back, numbers);
    });
}
