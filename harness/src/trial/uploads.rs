//! One load of the weights to several GPUs at once.

use coldstart_kernels::cuda::CudaDevice;
use coldstart_kernels::{Device as _, Error};
use coldstart_profiles::{Detail, Reading};

use super::child::{ChildError, open_model};
use super::spec::TrialSpec;
use crate::phases::{self, Began, Files};
use crate::weights::{DeviceLayout, Loaded, alloc_weights, check_device_fits, verify};

/// Opens every GPU and takes the one reading. What it takes to get there is measured with one GPU.
pub(super) fn take(spec: &TrialSpec, began: Began) -> Result<Reading, ChildError> {
    let numbers = spec.subject.device.gpus();
    let open = |number: &usize| CudaDevice::open(*number);
    let devices = numbers.iter().map(open).collect::<Result<Vec<_>, Error>>()?;
    let model = open_model(&spec.subject)?;
    let layout = DeviceLayout::of(&model);
    let mut buffers = Vec::with_capacity(devices.len());
    for device in &devices {
        check_device_fits(device, &layout)?;
        buffers.push(alloc_weights(device, &layout)?);
    }
    let files = Files { model: &model, layout: &layout };
    let how = (spec.strategy.parse()?, spec.page_cache);
    let mut reading = phases::uploads((&devices, numbers), &files, &mut buffers, how, began)?;
    if spec.verify {
        let mut verified = Vec::with_capacity(devices.len());
        for (device, buffer) in devices.iter().zip(buffers) {
            let loaded = Loaded { buffer, table: layout.table().clone() };
            verified.push(verify(device, &model, &loaded)?.bytes);
        }
        if let Some(Detail::Together(together)) = &mut reading.detail {
            for (share, bytes) in together.devices.iter_mut().zip(verified) {
                share.load.verified_bytes = Some(bytes);
            }
        }
    }
    Ok(reading)
}
