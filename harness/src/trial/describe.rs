//! A look at a GPU, in a process of its own: the parent must not touch the driver, because an open handle keeps it
//! initialised, and every cold start after it would find it so.

use std::time::Instant;

use coldstart_kernels::cuda::{Context, CudaDevice, Driver, Facts, Loaded, flop_per_cycle};
use coldstart_kernels::{Description, Device as _, Dtype, Error, Ops as _};
use coldstart_profiles::{Bytes, CanaryReading, DeviceProbe, DeviceTarget, Nanos};
use serde::{Deserialize, Serialize};

use super::child::{ChildError, say};
use super::limit::product_rate;
use super::spec::ChildLine;
use crate::weights::limits;
use crate::{DeviceName, fitness};

/// What the first look copies.
const PROBE_BYTES: Bytes = Bytes::from_mib(16);

/// What was found under the name of a GPU.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Described {
    /// The GPU, ready for use.
    Present(Box<DeviceFacts>),
    /// No such GPU.
    Absent {
        /// What is missing: the driver, any GPU, or one of that number.
        why: String,
    },
}

/// A GPU that can be used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeviceFacts {
    /// What it is, for the profile.
    pub target: DeviceTarget,
    /// Memory that is free on it.
    pub free_bytes: Bytes,
    /// What it showed at a first look.
    pub probe: DeviceProbe,
    /// Operations per second of a product in bf16.
    pub gemm_flops_per_s: f64,
    /// The canary before the run; `None` on a stand-in, on which no time means anything.
    pub canary: Option<CanaryReading>,
}

/// Looks at the device and prints what it found.
pub(super) fn run(name: &DeviceName) -> Result<(), ChildError> {
    let begin = Instant::now();
    let described = match driver(name) {
        Ok(driver) => Described::Present(Box::new(look(name, driver, begin)?)),
        Err(Error::NoDevice { why, .. }) => Described::Absent { why },
        Err(error) => return Err(error.into()),
    };
    say(&ChildLine::Described(described));
    Ok(())
}

/// Takes the canary on the device and prints it.
pub(super) fn canary(name: &DeviceName, when: &str) -> Result<(), ChildError> {
    let Some(index) = name.gpus().first() else { return Ok(()) };
    say(&ChildLine::Canary(fitness::canary(&CudaDevice::open(*index)?, when)?));
    Ok(())
}

/// The driver, if it shows every GPU of this name.
fn driver(name: &DeviceName) -> Result<Driver, Error> {
    let Loaded { driver, .. } = Driver::load()?;
    let count = driver.devices()?;
    for index in name.gpus() {
        there_is(*index, count)?;
    }
    Ok(driver)
}

fn look(name: &DeviceName, driver: Driver, begin: Instant) -> Result<DeviceFacts, ChildError> {
    let first = name.gpus().first().copied().unwrap_or(0);
    let context = Context::create(driver, first)?;
    let open_ns = Nanos::from(begin.elapsed());
    let begin = Instant::now();
    let (device, _) = context.load_kernels()?;
    let kernels_ns = Nanos::from(begin.elapsed());
    let stand_in = driver.is_stand_in();
    let free_bytes = Bytes::new(device.memory()?.free);
    let probe = DeviceProbe {
        upload_bytes_per_s: limits::host_to_device(&device, PROBE_BYTES)?.rate(),
        memory_bytes_per_s: limits::device_copy(&device, PROBE_BYTES)?.rate(),
        open_ns,
        kernels_ns,
    };
    let gemm_flops_per_s = product_rate(&device, Dtype::Bf16)?;
    let canary = if stand_in { None } else { Some(fitness::canary(&device, "before")?) };
    // Last of all: what it takes of the device would be missing above.
    device.load_cublaslt().ok();
    let described = (device.describe()?, device.facts()?);
    let target = target(described, name.gpus().len(), device.gemm_name(), stand_in);
    Ok(DeviceFacts { target, free_bytes, probe, gemm_flops_per_s, canary })
}

/// That the driver shows a GPU of this number.
fn there_is(index: usize, count: usize) -> Result<(), Error> {
    if index < count {
        return Ok(());
    }
    let why = match count {
        0 => {
            "the driver shows no GPU (`nvidia-smi -L` lists them): is CUDA_VISIBLE_DEVICES empty?".to_owned()
        }
        1 => "the driver shows one GPU, cuda:0".to_owned(),
        _ => format!("the driver shows {count} GPUs, cuda:0 to cuda:{}", count - 1),
    };
    Err(Error::NoDevice { kind: coldstart_kernels::Kind::Cuda, index: Some(index), why })
}

fn target(
    (description, facts): (Description, Facts),
    count: usize,
    gemm: String,
    stand_in: bool,
) -> DeviceTarget {
    // Two transfers a cycle: every memory of a GPU of the last decade is counted in half of its transfers.
    let memory = facts.memory_clock_hz.zip(facts.memory_bus_bits);
    let per_cycle = |dtype: Dtype| {
        let operations = flop_per_cycle(&description.name, facts.capability, dtype)?;
        Some((dtype.to_string().to_lowercase(), operations))
    };
    let flop_per_cycle = Dtype::ALL.into_iter().filter_map(per_cycle).collect();
    DeviceTarget {
        kind: description.kind.to_string(),
        name: description.name,
        count: u32::try_from(count).unwrap_or(u32::MAX),
        memory_bytes: Bytes::new(description.memory_bytes),
        threads: None,
        multiprocessors: u32::try_from(description.compute_units).ok(),
        clock_hz: facts.clock_hz,
        flop_per_cycle,
        memory_bytes_per_s: memory.map(|(clock, bits)| 2 * clock * u64::from(bits) / 8),
        features: description.features,
        uuid: description.uuid,
        pci_bus_id: Some(bus_id(facts.pci)),
        driver: description.driver,
        gemm,
        stand_in,
    }
}

/// The place on the bus as CUDA and NVML write it: `0000:01:00.0`.
fn bus_id((domain, bus, device): (u32, u32, u32)) -> String {
    format!("{domain:04x}:{bus:02x}:{device:02x}.0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_on_the_bus() {
        assert_eq!(bus_id((0, 1, 0)), "0000:01:00.0");
        assert_eq!(bus_id((0x10, 0xe1, 3)), "0010:e1:03.0");
    }

    #[test]
    fn a_number_beyond_the_last_gpu_is_told() {
        assert!(there_is(1, 2).is_ok());
        for (index, count, says) in [(0, 0, "no GPU"), (1, 1, "one GPU, cuda:0"), (7, 2, "cuda:0 to cuda:1")]
        {
            let error = there_is(index, count).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
