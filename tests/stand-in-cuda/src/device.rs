//! Initialisation, devices and their attributes.

use std::ffi::c_char;
use std::time::Duration;

use crate::abi::{Code, Out, write_text};
use crate::config::Config;
use crate::driver::call;

#[unsafe(no_mangle)]
extern "C" fn cuInit(flags: u32) -> Code {
    call("cuInit", |driver| {
        if flags != 0 {
            return Err(Code::ERROR_INVALID_VALUE);
        }
        if driver.devices.is_empty() {
            return Err(Code::ERROR_NO_DEVICE);
        }
        if !driver.initialised {
            driver.sleep(Duration::from_millis(driver.config.init_ms));
        }
        driver.initialised = true;
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuDriverGetVersion(version: Out<i32>) -> Code {
    call("cuDriverGetVersion", |driver| version.set(driver.config.driver_version))
}

#[unsafe(no_mangle)]
extern "C" fn cuDeviceGetCount(count: Out<i32>) -> Code {
    call("cuDeviceGetCount", |driver| {
        driver.initialised()?;
        count.set(driver.devices.len() as i32)
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuDeviceGet(device: Out<i32>, ordinal: i32) -> Code {
    call("cuDeviceGet", |driver| {
        let index = driver.device(ordinal)?;
        device.set(index as i32)
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuDeviceGetName(name: *mut c_char, len: i32, device: i32) -> Code {
    call("cuDeviceGetName", |driver| {
        driver.device(device)?;
        if name.is_null() || len <= 0 {
            return Err(Code::ERROR_INVALID_VALUE);
        }
        let mig = if driver.config.mig { " MIG 1g.10gb" } else { "" };
        write_text(name, len as usize, &format!("{}{mig}", driver.config.name));
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuDeviceTotalMem_v2(bytes: Out<usize>, device: i32) -> Code {
    call("cuDeviceTotalMem_v2", |driver| {
        driver.device(device)?;
        bytes.set(driver.config.memory_bytes as usize)
    })
}

/// The 16 bytes of device `index`: "coldstart-stand" and its number.
fn uuid(index: usize) -> [u8; 16] {
    let mut bytes = *b"coldstart-stand\0";
    bytes[15] = index as u8;
    bytes
}

#[unsafe(no_mangle)]
extern "C" fn cuDeviceGetUuid(place: Out<[u8; 16]>, device: i32) -> Code {
    call("cuDeviceGetUuid", |driver| {
        let index = driver.device(device)?;
        place.set(uuid(index))
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuDeviceGetUuid_v2(place: Out<[u8; 16]>, device: i32) -> Code {
    call("cuDeviceGetUuid_v2", |driver| {
        let index = driver.device(device)?;
        place.set(uuid(index))
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuDeviceGetPCIBusId(place: *mut c_char, len: i32, device: i32) -> Code {
    call("cuDeviceGetPCIBusId", |driver| {
        let index = driver.device(device)?;
        if place.is_null() || len < 13 {
            return Err(Code::ERROR_INVALID_VALUE);
        }
        write_text(place, len as usize, &format!("0000:{:02X}:00.0", index + 1));
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuDeviceGetAttribute(value: Out<i32>, attribute: i32, device: i32) -> Code {
    call("cuDeviceGetAttribute", |driver| {
        let index = driver.device(device)?;
        value.set(attribute_of(&driver.config, index, attribute).ok_or(Code::ERROR_INVALID_VALUE)?)
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuDeviceCanAccessPeer(can: Out<i32>, device: i32, peer: i32) -> Code {
    call("cuDeviceCanAccessPeer", |driver| {
        driver.device(device)?;
        driver.device(peer)?;
        can.set(0)
    })
}

/// `CU_DEVICE_ATTRIBUTE_*` by number; what a stand-in has no part in is 0, what `cuda.h` does not know is `None`.
fn attribute_of(config: &Config, index: usize, attribute: i32) -> Option<i32> {
    Some(match attribute {
        1 => 1024,                                   // MAX_THREADS_PER_BLOCK
        2 | 3 => 1024,                               // MAX_BLOCK_DIM_X, Y
        4 => 64,                                     // MAX_BLOCK_DIM_Z
        5 => i32::MAX,                               // MAX_GRID_DIM_X
        6 | 7 => 65_535,                             // MAX_GRID_DIM_Y, Z
        8 => 49_152,                                 // MAX_SHARED_MEMORY_PER_BLOCK
        9 => 65_536,                                 // TOTAL_CONSTANT_MEMORY
        10 => 32,                                    // WARP_SIZE
        11 => i32::MAX,                              // MAX_PITCH
        12 | 82 => 65_536,                           // MAX_REGISTERS_PER_BLOCK, MULTIPROCESSOR
        13 => 1_500_000,                             // CLOCK_RATE, kHz
        14 => 512,                                   // TEXTURE_ALIGNMENT
        15 | 19 | 31 | 41 => 1, // GPU_OVERLAP, CAN_MAP_HOST_MEMORY, CONCURRENT_KERNELS, UNIFIED_ADDRESSING
        16 => config.multiprocessors, // MULTIPROCESSOR_COUNT
        20 => config.compute_mode, // COMPUTE_MODE
        32 => i32::from(config.ecc), // ECC_ENABLED
        33 => index as i32 + 1, // PCI_BUS_ID
        34 | 50 => 0,           // PCI_DEVICE_ID, PCI_DOMAIN_ID
        36 => 2_000_000,        // MEMORY_CLOCK_RATE, kHz
        37 => 2048,             // GLOBAL_MEMORY_BUS_WIDTH, bits
        38 => 32 << 20,         // L2_CACHE_SIZE
        39 => 2048,             // MAX_THREADS_PER_MULTIPROCESSOR
        40 => 3,                // ASYNC_ENGINE_COUNT
        75 => config.capability.0, // COMPUTE_CAPABILITY_MAJOR
        76 => config.capability.1, // COMPUTE_CAPABILITY_MINOR
        78..=80 => 1,           // STREAM_PRIORITIES, GLOBAL_L1, LOCAL_L1
        81 => config.shared_optin() + 1024, // MAX_SHARED_MEMORY_PER_MULTIPROCESSOR
        90 | 91 | 95 => 1,      // COMPUTE_PREEMPTION, HOST_POINTER_FOR_REGISTERED_MEM, COOPERATIVE_LAUNCH
        97 => config.shared_optin(), // MAX_SHARED_MEMORY_PER_BLOCK_OPTIN
        99 => 1,                // HOST_REGISTER_SUPPORTED
        106 => 32,              // MAX_BLOCKS_PER_MULTIPROCESSOR
        111 => 1024,            // RESERVED_SHARED_MEMORY_PER_BLOCK
        113 => i32::from(config.read_only_register), // READ_ONLY_HOST_REGISTER_SUPPORTED
        115 => 1,               // MEMORY_POOLS_SUPPORTED
        known if (1..=150).contains(&known) => 0,
        _ => return None,
    })
}
