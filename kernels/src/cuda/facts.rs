//! What a GPU is.

use std::ffi::CStr;
use std::fmt::Write;

use cudarc::driver::sys;
use cudarc::driver::sys::CUdevice_attribute as Attribute;

use super::primary::Primary;
use crate::{Description, Kind, Result};

/// What the driver says of a GPU, as far as its limits follow from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// The compute capability: (9, 0) is `sm_90`.
    pub capability: (u32, u32),
    /// Streaming multiprocessors; of a MIG slice, those of the slice.
    pub multiprocessors: usize,
    /// The highest clock of the multiprocessors, in Hz; `None` where the driver does not say.
    pub clock_hz: Option<u64>,
    /// The highest clock of the memory, in Hz; two bits a line and cycle are transferred.
    pub memory_clock_hz: Option<u64>,
    /// The width of the memory's bus, in bits.
    pub memory_bus_bits: Option<u32>,
    /// The size of the second-level cache, in bytes.
    pub l2_bytes: u64,
    /// The most shared memory that a block can have, in bytes.
    pub shared_bytes_per_block: u64,
    /// Where it is on the PCI bus: domain, bus, device.
    pub pci: (u32, u32, u32),
}

impl Facts {
    pub(super) fn of(primary: &Primary) -> Result<Facts> {
        let number =
            |attribute| -> Result<u64> { Ok(u64::try_from(primary.attribute(attribute)?).unwrap_or(0)) };
        let small =
            |attribute| -> Result<u32> { Ok(u32::try_from(primary.attribute(attribute)?).unwrap_or(0)) };
        let clock = |attribute| -> Result<Option<u64>> {
            Ok(Some(1000 * number(attribute)?).filter(|clock| *clock > 0))
        };
        Ok(Facts {
            capability: (
                small(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
                small(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
            ),
            multiprocessors: multiprocessors(primary)?,
            clock_hz: clock(Attribute::CU_DEVICE_ATTRIBUTE_CLOCK_RATE)?,
            memory_clock_hz: clock(Attribute::CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE)?,
            memory_bus_bits: Some(small(Attribute::CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH)?)
                .filter(|bits| *bits > 0),
            l2_bytes: number(Attribute::CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE)?,
            shared_bytes_per_block: number(Attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)?,
            pci: (
                small(Attribute::CU_DEVICE_ATTRIBUTE_PCI_DOMAIN_ID)?,
                small(Attribute::CU_DEVICE_ATTRIBUTE_PCI_BUS_ID)?,
                small(Attribute::CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID)?,
            ),
        })
    }
}

pub(super) fn multiprocessors(primary: &Primary) -> Result<usize> {
    let count = primary.attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?;
    Ok(usize::try_from(count).unwrap_or(1).max(1))
}

/// Whether the GPU reads pageable memory by the host's own page tables (Grace Hopper): an upload from it is then not staged
/// and may still be under way when the call returns.
pub(super) fn reads_pageable(primary: &Primary) -> Result<bool> {
    Ok(primary.attribute(Attribute::CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS_USES_HOST_PAGE_TABLES)? != 0)
}

/// The description of a device for the record.
pub(super) fn describe(primary: &Primary) -> Result<Description> {
    let facts = Facts::of(primary)?;
    let mut memory = 0;
    // SAFETY: `memory` is writable.
    primary.call(format_args!("ask for the device's memory"), || unsafe {
        sys::cuDeviceTotalMem_v2(&mut memory, primary.device)
    })?;
    let (major, minor) = facts.capability;
    let name = name(primary)?;
    Ok(Description {
        kind: Kind::Cuda,
        index: primary.index,
        memory_bytes: memory as u64,
        compute_units: facts.multiprocessors,
        features: vec![format!("sm_{major}{minor}")],
        uuid: Some(uuid(primary, &name)?),
        name,
        driver: Some(primary.driver.version()),
    })
}

fn name(primary: &Primary) -> Result<String> {
    let mut text = [0_u8; 256];
    // SAFETY: the text is writable, and one less than its length is said, so that a zero always remains.
    primary.call(format_args!("ask for the device's name"), || unsafe {
        sys::cuDeviceGetName(text.as_mut_ptr().cast(), 255, primary.device)
    })?;
    Ok(CStr::from_bytes_until_nul(&text).unwrap_or_default().to_string_lossy().trim().to_owned())
}

/// The name that nvidia-smi has for it: `GPU-…`, or `MIG-…` for a slice of one, which says so in its product name and has a
/// number of its own beside that of its GPU.
fn uuid(primary: &Primary, name: &str) -> Result<String> {
    let mut whole = sys::CUuuid { bytes: [0; 16] };
    let mut own = sys::CUuuid { bytes: [0; 16] };
    // SAFETY: `whole` is writable.
    primary.call(format_args!("ask for the device's UUID"), || unsafe {
        sys::cuDeviceGetUuid(&mut whole, primary.device)
    })?;
    // SAFETY: `own` is writable.
    primary.call(format_args!("ask for the device's UUID"), || unsafe {
        sys::cuDeviceGetUuid_v2(&mut own, primary.device)
    })?;
    let is_slice = own.bytes != whole.bytes || name.contains(" MIG ");
    let prefix = if is_slice { "MIG" } else { "GPU" };
    Ok(format!("{prefix}-{}", dashed(own.bytes.map(|byte| byte as u8))))
}

/// 16 bytes as 8-4-4-4-12 hexadecimal digits.
fn dashed(bytes: [u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_look_as_nvidia_smi_prints_them() {
        let bytes = [0xfe, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0xa, 0xb, 0xc, 0xd, 0xe, 0xf];
        assert_eq!(dashed(bytes), "fe010203-0405-0607-0809-0a0b0c0d0e0f");
    }
}
