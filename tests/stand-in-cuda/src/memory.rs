//! Device memory, page-locked host memory, and host memory that is registered.

use std::ffi::c_void;

use crate::abi::{Code, Handle, Out, Outcome, handle};
use crate::driver::{Driver, call};
use crate::queue::{End, Op};
use crate::ranges::Kind;
use crate::report::report;

const PAGE: u64 = 4096;
const READ_ONLY: u32 = 8;

impl Driver {
    fn allocate(&mut self, address: Out<u64>, bytes: usize) -> Outcome {
        let device = self.current()?;
        if bytes == 0 || address.is_null() {
            return Err(Code::ERROR_INVALID_VALUE);
        }
        let used = self.ranges.used(device);
        if used.saturating_add(bytes as u64) > self.config.memory_bytes {
            return Err(Code::ERROR_OUT_OF_MEMORY);
        }
        let made = self.ranges.allocate(bytes, Kind::Device(device), device);
        address.set(made.ok_or(Code::ERROR_OUT_OF_MEMORY)?)
    }

    fn allocate_host(&mut self, place: Out<*mut c_void>, bytes: usize, flags: u32) -> Outcome {
        let device = self.current()?;
        self.refuse_unsafe()?;
        if bytes == 0 || flags > 7 || place.is_null() {
            return Err(Code::ERROR_INVALID_VALUE);
        }
        let made = self.ranges.allocate(bytes, Kind::Pinned, device).ok_or(Code::ERROR_OUT_OF_MEMORY)?;
        place.set(made as *mut c_void)
    }

    /// Host memory must not go while a copy that waits in a queue uses it.
    fn refuse_while_used(&mut self, base: u64, size: u64) -> Outcome {
        let inside =
            |end: &End| matches!(end, End::Known(address) if *address >= base && *address - base < size);
        let user = self.streams.values().find_map(|stream| {
            stream
                .queue
                .iter()
                .find(|queued| matches!(&queued.op, Op::Copy { from, to, .. } if inside(from) || inside(to)))
                .map(|queued| (stream.device, queued.who.to_string()))
        });
        match user {
            Some((device, who)) => {
                let why = format!("page-locked memory at {base:#x} is given up before {who} has run");
                Err(self.break_context(device, Code::ERROR_LAUNCH_FAILED, &why))
            }
            None => Ok(()),
        }
    }

    fn free_host(&mut self, base: u64, wanted: impl Fn(Kind) -> bool, missing: Code) -> Outcome {
        self.current_whatever_state()?;
        let (kind, size) = self.ranges.at(base).map(|range| (range.kind, range.size)).ok_or(missing)?;
        if !wanted(kind) {
            return Err(missing);
        }
        self.refuse_while_used(base, size)?;
        self.ranges.free(base).ok_or(missing)?;
        self.current().map(|_| ())
    }
}

#[unsafe(no_mangle)]
extern "C" fn cuMemGetInfo_v2(free: Out<usize>, total: Out<usize>) -> Code {
    call("cuMemGetInfo_v2", |driver| {
        let device = driver.current()?;
        let all = driver.config.memory_bytes;
        free.set(all.saturating_sub(driver.ranges.used(device)) as usize)?;
        total.set(all as usize)
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuMemAlloc_v2(address: Out<u64>, bytes: usize) -> Code {
    call("cuMemAlloc_v2", |driver| {
        driver.current()?;
        driver.refuse_unsafe()?;
        driver.allocate(address, bytes)
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuMemFree_v2(address: u64) -> Code {
    call("cuMemFree_v2", |driver| {
        if address == 0 {
            return Ok(());
        }
        let device = driver.current_whatever_state()?;
        driver.refuse_unsafe()?;
        let range = driver.ranges.at(address).filter(|range| matches!(range.kind, Kind::Device(_)));
        let owner = range.map(|range| range.owner).ok_or_else(|| {
            report(&format!("cuMemFree of {address:#x}, where no allocation begins"));
            Code::ERROR_INVALID_VALUE
        })?;
        // Like the real driver: all work of the device is done before memory goes.
        let drained = driver.wait_for_device(owner);
        driver.ranges.free(address);
        drained?;
        if owner == device { driver.current().map(|_| ()) } else { Ok(()) }
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuMemAllocAsync(address: Out<u64>, bytes: usize, stream: Handle) -> Code {
    call("cuMemAllocAsync", |driver| {
        let stream = driver.stream(stream)?;
        driver.refuse_on_capturing(stream)?;
        driver.allocate(address, bytes)
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuMemFreeAsync(address: u64, stream: Handle) -> Code {
    call("cuMemFreeAsync", |driver| {
        let stream = driver.stream(stream)?;
        if address == 0 {
            return Ok(());
        }
        driver.ranges.at(address).ok_or(Code::ERROR_INVALID_VALUE)?;
        driver.enqueue(stream, Op::Free(address))
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuMemHostAlloc(place: Out<*mut c_void>, bytes: usize, flags: u32) -> Code {
    call("cuMemHostAlloc", |driver| driver.allocate_host(place, bytes, flags))
}

#[unsafe(no_mangle)]
extern "C" fn cuMemAllocHost_v2(place: Out<*mut c_void>, bytes: usize) -> Code {
    call("cuMemAllocHost_v2", |driver| driver.allocate_host(place, bytes, 0))
}

#[unsafe(no_mangle)]
extern "C" fn cuMemFreeHost(place: *mut c_void) -> Code {
    call("cuMemFreeHost", |driver| {
        driver.free_host(place as u64, |kind| kind == Kind::Pinned, Code::ERROR_INVALID_VALUE)
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuMemHostGetDevicePointer_v2(address: Out<u64>, place: *mut c_void, _flags: u32) -> Code {
    call("cuMemHostGetDevicePointer_v2", |driver| {
        driver.current()?;
        let range =
            driver.ranges.holding(place as u64).filter(|range| !matches!(range.kind, Kind::Device(_)));
        range.ok_or(Code::ERROR_INVALID_VALUE)?;
        address.set(place as u64)
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuMemHostGetFlags(flags: Out<u32>, place: *mut c_void) -> Code {
    call("cuMemHostGetFlags", |driver| {
        driver.current()?;
        driver.ranges.holding(place as u64).ok_or(Code::ERROR_INVALID_VALUE)?;
        flags.set(3)
    })
}

/// Whether `size` bytes from `base` on are mapped in this process, and all of them for writing.
fn mapped(base: u64, size: u64) -> Option<bool> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let (mut at, mut writable) = (base, true);
    for line in maps.lines() {
        let mut words = line.split(' ');
        let (low, high) = words.next()?.split_once('-')?;
        let (low, high) = (u64::from_str_radix(low, 16).ok()?, u64::from_str_radix(high, 16).ok()?);
        let rights = words.next()?;
        if low <= at && at < high {
            if !rights.starts_with('r') {
                return None;
            }
            writable &= rights.contains('w');
            at = high;
        }
        if at >= base + size {
            return Some(writable);
        }
    }
    None
}

#[unsafe(no_mangle)]
extern "C" fn cuMemHostRegister_v2(place: *mut c_void, bytes: usize, flags: u32) -> Code {
    call("cuMemHostRegister_v2", |driver| {
        let device = driver.current()?;
        driver.refuse_unsafe()?;
        driver.faults.happens("register")?;
        let (base, read_only) = (place as u64, flags & READ_ONLY != 0);
        if base == 0 || bytes == 0 || flags > 15 {
            return Err(Code::ERROR_INVALID_VALUE);
        }
        if base % PAGE != 0 {
            report(&format!("cuMemHostRegister of {base:#x}, which is not at the start of a page"));
            return Err(Code::ERROR_INVALID_VALUE);
        }
        if read_only && !driver.config.read_only_register {
            return Err(Code::ERROR_NOT_SUPPORTED);
        }
        if driver.ranges.touches_host(base, (bytes as u64).next_multiple_of(PAGE)) {
            return Err(Code::ERROR_HOST_MEMORY_ALREADY_REGISTERED);
        }
        match mapped(base, bytes as u64) {
            Some(writable) if writable || read_only => {}
            found => {
                let what = if found.is_some() { "mapped for reading only" } else { "not mapped" };
                report(&format!("cuMemHostRegister of {bytes} bytes at {base:#x}, which are {what}"));
                return Err(Code::ERROR_INVALID_VALUE);
            }
        }
        driver.ranges.register(base, bytes as u64, read_only, device);
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuMemHostUnregister(place: *mut c_void) -> Code {
    call("cuMemHostUnregister", |driver| {
        let registered = |kind| matches!(kind, Kind::Registered { .. });
        driver.free_host(place as u64, registered, Code::ERROR_HOST_MEMORY_NOT_REGISTERED)
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuMemGetAddressRange_v2(base: Out<u64>, size: Out<usize>, address: u64) -> Code {
    call("cuMemGetAddressRange_v2", |driver| {
        driver.current()?;
        let range = driver.ranges.holding(address).ok_or(Code::ERROR_INVALID_VALUE)?;
        base.set_if_wanted(range.base);
        size.set_if_wanted(range.size as usize);
        Ok(())
    })
}

/// `CU_POINTER_ATTRIBUTE_*`: context, memory type, device pointer, host pointer, device ordinal.
#[unsafe(no_mangle)]
extern "C" fn cuPointerGetAttribute(value: *mut c_void, attribute: i32, address: u64) -> Code {
    call("cuPointerGetAttribute", |driver| {
        driver.current()?;
        let range = driver.ranges.holding(address).ok_or(Code::ERROR_INVALID_VALUE)?;
        let (kind, owner) = (range.kind, range.owner);
        let on_device = matches!(kind, Kind::Device(_));
        let (word, int, pointer) = (Out::<u64>::at(value), Out::<i32>::at(value), Out::<Handle>::at(value));
        match attribute {
            1 => pointer.set(handle(driver.devices[owner].context.unwrap_or(0))),
            2 => int.set(if on_device { 2 } else { 1 }),
            3 => word.set(address),
            4 if !on_device => word.set(address),
            9 => int.set(owner as i32),
            _ => Err(Code::ERROR_INVALID_VALUE),
        }
    })
}
