//! The functions, with the signatures of nvml.h.

use std::ffi::{CStr, c_char, c_int, c_uint, c_ulonglong, c_void};

use crate::state::{self, INSUFFICIENT_SIZE, INVALID_ARGUMENT, NOT_FOUND, SUCCESS, State, answer};

/// A GPU's handle: its index plus one as an address that nobody follows.
type Device = *mut c_void;

/// `nvmlUtilization_t`.
#[repr(C)]
struct Utilization {
    gpu: c_uint,
    memory: c_uint,
}

/// `nvmlMemory_v2_t`.
#[repr(C)]
struct Memory {
    version: c_uint,
    total: c_ulonglong,
    reserved: c_ulonglong,
    free: c_ulonglong,
    used: c_ulonglong,
}

/// `nvmlPciInfo_t`.
#[repr(C)]
struct PciInfo {
    bus_id_legacy: [c_char; 16],
    domain: c_uint,
    bus: c_uint,
    device: c_uint,
    pci_device_id: c_uint,
    pci_subsystem_id: c_uint,
    bus_id: [c_char; 32],
}

/// `nvmlProcessInfo_t`.
#[repr(C)]
struct Process {
    pid: c_uint,
    used_gpu_memory: c_ulonglong,
    gpu_instance_id: c_uint,
    compute_instance_id: c_uint,
}

/// Stores a result behind a caller's pointer.
fn put<T>(to: *mut T, value: T) -> u32 {
    if to.is_null() {
        return INVALID_ARGUMENT;
    }
    // SAFETY: nvml.h asks the caller for a pointer to a T that may be written.
    unsafe { to.write(value) };
    SUCCESS
}

/// Stores a C string in a caller's buffer.
fn put_text(to: *mut c_char, length: c_uint, text: &str) -> u32 {
    if to.is_null() {
        return INVALID_ARGUMENT;
    }
    if text.len() + 1 > length as usize {
        return INSUFFICIENT_SIZE;
    }
    // SAFETY: nvml.h asks the caller for `length` bytes that may be written, and the text and its end fit.
    unsafe {
        std::ptr::copy_nonoverlapping(text.as_ptr().cast(), to, text.len());
        to.add(text.len()).write(0);
    }
    SUCCESS
}

/// The text behind a caller's pointer.
fn text(from: *const c_char) -> String {
    if from.is_null() {
        return String::new();
    }
    // SAFETY: nvml.h asks the caller for a C string.
    unsafe { CStr::from_ptr(from) }.to_string_lossy().into_owned()
}

/// Text in a field of a struct.
fn field<const N: usize>(text: &str) -> [c_char; N] {
    let mut field = [0; N];
    for (to, from) in field.iter_mut().zip(text.bytes()).take(N - 1) {
        *to = from as c_char;
    }
    field
}

fn handle(index: u32) -> Device {
    std::ptr::without_provenance_mut(index as usize + 1)
}

/// The index behind a handle.
fn index(state: &State, device: Device) -> Option<u32> {
    let index = u32::try_from(device.addr()).ok()?.checked_sub(1)?;
    (u64::from(index) < state.settings.number("devices", 1)).then_some(index)
}

/// Answers a question about a GPU with `value`.
fn about<T>(function: &'static str, device: Device, to: *mut T, value: impl FnOnce(&State, u64) -> T) -> u32 {
    answer(function, |state, call| match index(state, device) {
        Some(_) => put(to, value(state, call)),
        None => INVALID_ARGUMENT,
    })
}

/// The GPU for which `is` holds.
fn find(function: &'static str, to: *mut Device, is: impl Fn(u32) -> bool) -> u32 {
    answer(function, |state, _| {
        let devices = state.settings.number("devices", 1) as u32;
        match (0..devices).find(|index| is(*index)) {
            Some(index) => put(to, handle(index)),
            None => NOT_FOUND,
        }
    })
}

/// Opens NVML.
#[unsafe(no_mangle)]
extern "C" fn nvmlInit_v2() -> u32 {
    state::open()
}

/// Closes NVML.
#[unsafe(no_mangle)]
extern "C" fn nvmlShutdown() -> u32 {
    state::close()
}

/// The words for a code.
#[unsafe(no_mangle)]
extern "C" fn nvmlErrorString(_code: u32) -> *const c_char {
    c"the stand-in says so".as_ptr()
}

/// The version of the driver.
#[unsafe(no_mangle)]
extern "C" fn nvmlSystemGetDriverVersion(version: *mut c_char, length: c_uint) -> u32 {
    answer("nvmlSystemGetDriverVersion", |_, _| put_text(version, length, "580.00.00-stand-in"))
}

/// The version of NVML.
#[unsafe(no_mangle)]
extern "C" fn nvmlSystemGetNVMLVersion(version: *mut c_char, length: c_uint) -> u32 {
    answer("nvmlSystemGetNVMLVersion", |_, _| put_text(version, length, "13.580.00.00-stand-in"))
}

/// How many GPUs there are.
#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetCount_v2(count: *mut c_uint) -> u32 {
    answer("nvmlDeviceGetCount_v2", |state, _| put(count, state.settings.number("devices", 1) as u32))
}

/// The GPU with a number.
#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetHandleByIndex_v2(number: c_uint, device: *mut Device) -> u32 {
    find("nvmlDeviceGetHandleByIndex_v2", device, |index| index == number)
}

/// The GPU with a UUID.
#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetHandleByUUID(uuid: *const c_char, device: *mut Device) -> u32 {
    let uuid = text(uuid);
    find("nvmlDeviceGetHandleByUUID", device, |index| crate::uuid(index) == uuid)
}

/// The GPU in a place on the bus; the domain may have four digits or eight.
#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetHandleByPciBusId_v2(bus_id: *const c_char, device: *mut Device) -> u32 {
    let bus_id = text(bus_id).to_lowercase();
    let short = bus_id.trim_start_matches('0');
    find("nvmlDeviceGetHandleByPciBusId_v2", device, |index| {
        crate::pci_bus_id(index).trim_start_matches('0') == short
    })
}

/// A GPU's number.
#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetIndex(device: Device, to: *mut c_uint) -> u32 {
    about("nvmlDeviceGetIndex", device, to, |state, _| index(state, device).unwrap_or(0))
}

/// A GPU's UUID.
#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetUUID(device: Device, to: *mut c_char, length: c_uint) -> u32 {
    answer("nvmlDeviceGetUUID", |state, _| match index(state, device) {
        Some(index) => put_text(to, length, &crate::uuid(index)),
        None => INVALID_ARGUMENT,
    })
}

/// A GPU's product name.
#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetName(device: Device, to: *mut c_char, length: c_uint) -> u32 {
    answer("nvmlDeviceGetName", |state, _| match index(state, device) {
        Some(_) => put_text(to, length, "coldstart stand-in"),
        None => INVALID_ARGUMENT,
    })
}

/// A GPU's place on the bus.
#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetPciInfo_v3(device: Device, to: *mut PciInfo) -> u32 {
    about("nvmlDeviceGetPciInfo_v3", device, to, |state, _| {
        let index = index(state, device).unwrap_or(0);
        PciInfo {
            bus_id_legacy: field(&crate::pci_bus_id(index)),
            domain: 0,
            bus: index + 1,
            device: 0,
            pci_device_id: 0,
            pci_subsystem_id: 0,
            bus_id: field(&format!("0000{}", crate::pci_bus_id(index))),
        }
    })
}

/// How busy a GPU and its memory are.
#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetUtilizationRates(device: Device, to: *mut Utilization) -> u32 {
    about("nvmlDeviceGetUtilizationRates", device, to, |state, _| Utilization {
        gpu: state.settings.number("gpu_percent", 97) as u32,
        memory: state.settings.number("memory_percent", 41) as u32,
    })
}

/// A GPU's memory.
#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetMemoryInfo_v2(device: Device, to: *mut Memory) -> u32 {
    answer("nvmlDeviceGetMemoryInfo_v2", |state, _| {
        if index(state, device).is_none() || to.is_null() {
            return INVALID_ARGUMENT;
        }
        // SAFETY: nvml.h asks the caller for a struct whose version is set.
        let version = unsafe { (*to).version };
        if version != (size_of::<Memory>() as u32 | 2 << 24) {
            return 25; // NVML_ERROR_ARGUMENT_VERSION_MISMATCH
        }
        let (total, reserved, used) = (80 << 30, 600 << 20, 6 << 30);
        put(to, Memory { version, total, reserved, free: total - reserved - used, used })
    })
}

/// A GPU's power in milliwatts.
#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetPowerUsage(device: Device, to: *mut c_uint) -> u32 {
    about("nvmlDeviceGetPowerUsage", device, to, |state, _| state.settings.number("power_mw", 250_000) as u32)
}

/// What a GPU's power is held to.
#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetEnforcedPowerLimit(device: Device, to: *mut c_uint) -> u32 {
    about("nvmlDeviceGetEnforcedPowerLimit", device, to, |_, _| 700_000)
}

/// A GPU's energy in millijoules.
#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetTotalEnergyConsumption(device: Device, to: *mut c_ulonglong) -> u32 {
    about("nvmlDeviceGetTotalEnergyConsumption", device, to, |state, _| state.energy_mj())
}

/// A GPU's temperature.
#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetTemperature(device: Device, _sensor: c_uint, to: *mut c_uint) -> u32 {
    about("nvmlDeviceGetTemperature", device, to, |state, _| {
        state.settings.number("temperature_c", 54) as u32
    })
}

/// A clock: `NVML_CLOCK_SM` is 1, `NVML_CLOCK_MEM` is 2.
fn clock(state: &State, which: c_uint) -> c_uint {
    match which {
        2 => state.settings.number("memory_clock_mhz", 2_619) as u32,
        _ => state.settings.number("sm_clock_mhz", 1_980) as u32,
    }
}

/// One of a GPU's clocks.
#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetClockInfo(device: Device, which: c_uint, to: *mut c_uint) -> u32 {
    about("nvmlDeviceGetClockInfo", device, to, |state, _| clock(state, which))
}

/// The most that one of a GPU's clocks does.
#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetMaxClockInfo(device: Device, which: c_uint, to: *mut c_uint) -> u32 {
    about("nvmlDeviceGetMaxClockInfo", device, to, |_, _| if which == 2 { 2_619 } else { 1_980 })
}

/// Why a GPU's clocks are not higher, by its older name.
#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetCurrentClocksThrottleReasons(device: Device, to: *mut c_ulonglong) -> u32 {
    about("nvmlDeviceGetCurrentClocksThrottleReasons", device, to, |state, call| {
        if call >= state.settings.number("throttle_from", u64::MAX) {
            state.settings.number("throttle", 64)
        } else {
            state.settings.number("clock_events", 0)
        }
    })
}

/// The generation of a GPU's link.
#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetCurrPcieLinkGeneration(device: Device, to: *mut c_uint) -> u32 {
    about("nvmlDeviceGetCurrPcieLinkGeneration", device, to, |state, _| {
        state.settings.pair("pcie", (5, 16)).0
    })
}

/// The lanes of a GPU's link.
#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetCurrPcieLinkWidth(device: Device, to: *mut c_uint) -> u32 {
    about("nvmlDeviceGetCurrPcieLinkWidth", device, to, |state, _| state.settings.pair("pcie", (5, 16)).1)
}

/// The generation that GPU and machine support.
#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetMaxPcieLinkGeneration(device: Device, to: *mut c_uint) -> u32 {
    about("nvmlDeviceGetMaxPcieLinkGeneration", device, to, |state, _| {
        state.settings.pair("pcie_max", (5, 16)).0
    })
}

/// The lanes that GPU and machine have.
#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetMaxPcieLinkWidth(device: Device, to: *mut c_uint) -> u32 {
    about("nvmlDeviceGetMaxPcieLinkWidth", device, to, |state, _| state.settings.pair("pcie_max", (5, 16)).1)
}

/// Whether the driver stays loaded.
#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetPersistenceMode(device: Device, to: *mut c_uint) -> u32 {
    about("nvmlDeviceGetPersistenceMode", device, to, |state, _| {
        state.settings.number("persistence", 1) as u32
    })
}

/// Whether a GPU is split.
#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetMigMode(device: Device, to: *mut c_uint, pending: *mut c_uint) -> u32 {
    let mode = |state: &State, _| state.settings.number("mig", 0) as u32;
    match about("nvmlDeviceGetMigMode", device, to, mode) {
        SUCCESS => about("nvmlDeviceGetMigMode", device, pending, mode),
        code => code,
    }
}

/// Whether a GPU's memory is protected.
#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetEccMode(device: Device, to: *mut c_uint, pending: *mut c_uint) -> u32 {
    let mode = |state: &State, _| state.settings.number("ecc", 1) as u32;
    match about("nvmlDeviceGetEccMode", device, to, mode) {
        SUCCESS => about("nvmlDeviceGetEccMode", device, pending, mode),
        code => code,
    }
}

/// Memory errors: of kind 1 those that could not be corrected.
#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetTotalEccErrors(
    device: Device,
    kind: c_uint,
    _counter: c_uint,
    to: *mut c_ulonglong,
) -> u32 {
    about("nvmlDeviceGetTotalEccErrors", device, to, |state, call| match kind {
        1 => 3 + call.saturating_sub(state.settings.number("uncorrected_from", u64::MAX)),
        _ => 11,
    })
}

/// Whether this process has the CUDA driver loaded, be it a stand-in: who has not has no context on a GPU.
fn has_driver() -> bool {
    [c"libcuda.so.1", c"libcuda.so"].iter().any(|name| {
        // SAFETY: the name is a C string, and RTLD_NOLOAD loads nothing.
        let library = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOLOAD | libc::RTLD_LAZY) };
        // SAFETY: a handle that dlopen has just given is given back.
        !library.is_null() && unsafe { libc::dlclose(library) } == 0
    })
}

/// The number that our process has where `own` says so.
fn own(state: &State) -> Option<c_uint> {
    match state.settings.number("own", u64::MAX) {
        0 => None,
        1 => Some(std::process::id()),
        u64::MAX => has_driver().then(std::process::id),
        // Above the largest number that a kernel hands out.
        _ => Some(1 << 23 | std::process::id()),
    }
}

/// Processes with a context on a GPU.
#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetComputeRunningProcesses_v3(
    device: Device,
    count: *mut c_uint,
    to: *mut Process,
) -> u32 {
    answer("nvmlDeviceGetComputeRunningProcesses_v3", |state, _| {
        if index(state, device).is_none() || count.is_null() {
            return INVALID_ARGUMENT;
        }
        let foreign = c_uint::try_from(state.settings.number("foreign", 0)).ok().filter(|pid| *pid > 0);
        let pids: Vec<c_uint> = own(state).into_iter().chain(foreign).collect();
        // SAFETY: nvml.h asks the caller for a pointer to the size of its buffer, which may be written.
        let room = unsafe { count.replace(pids.len() as c_uint) };
        if pids.len() > room as usize {
            return INSUFFICIENT_SIZE;
        }
        for (place, pid) in pids.into_iter().enumerate() {
            let process = Process {
                pid,
                used_gpu_memory: 1 << 30,
                gpu_instance_id: c_uint::MAX,
                compute_instance_id: c_uint::MAX,
            };
            // SAFETY: the buffer has room for as many processes as there are.
            put(unsafe { to.add(place) }, process);
        }
        SUCCESS
    })
}

/// Processes that draw: there are none.
#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetGraphicsRunningProcesses_v3(
    device: Device,
    count: *mut c_uint,
    _to: *mut Process,
) -> u32 {
    about("nvmlDeviceGetGraphicsRunningProcesses_v3", device, count, |_, _| 0)
}

/// Whether a handle is that of an instance of a GPU.
#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceIsMigDeviceHandle(device: Device, to: *mut c_uint) -> u32 {
    about("nvmlDeviceIsMigDeviceHandle", device, to, |_, _| 0)
}

/// Compute capability.
#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetCudaComputeCapability(
    device: Device,
    major: *mut c_int,
    minor: *mut c_int,
) -> u32 {
    match about("nvmlDeviceGetCudaComputeCapability", device, major, |_, _| 8) {
        SUCCESS => put(minor, 0),
        code => code,
    }
}
