//! Copies and fills.

use std::ffi::c_void;
use std::sync::Arc;

use crate::abi::{Code, Handle, Outcome, bytes_at, number};
use crate::driver::{Driver, call};
use crate::queue::{End, Op};
use crate::ranges::Kind;
use crate::report::report;

/// The default stream.
const DEFAULT: Handle = std::ptr::null_mut();

impl Driver {
    /// Memory of a device, or host memory that devices can use.
    fn device_end(&self, address: u64, bytes: usize) -> Result<End, Code> {
        match self.ranges.whole(address, bytes) {
            Ok(_) => Ok(End::Known(address)),
            Err(why) => {
                report(&format!("a copy or memset: {why}"));
                Err(Code::ERROR_INVALID_VALUE)
            }
        }
    }

    /// Host memory: page-locked, or any other.
    fn host_end(&self, address: u64, bytes: usize, written: bool) -> Result<End, Code> {
        let Some(range) = self.ranges.holding(address) else {
            return if address == 0 { Err(Code::ERROR_INVALID_VALUE) } else { Ok(End::Pageable(address)) };
        };
        match range.kind {
            Kind::Device(_) => {
                report(&format!("{address:#x} is memory of a device, not of the host"));
                return Err(Code::ERROR_INVALID_VALUE);
            }
            Kind::Registered { read_only: true } if written => {
                report(&format!("{address:#x} was registered for reading only"));
                return Err(Code::ERROR_INVALID_VALUE);
            }
            _ => {}
        }
        self.device_end(address, bytes)
    }

    /// Enqueues a copy. What is pageable is staged now, or, where it is written to, waited for, unless a graph is made.
    fn enqueue_copy(&mut self, stream: u64, from: End, to: End, bytes: usize) -> Outcome {
        let capturing = self.stream_mut(stream)?.capture.is_some();
        let waits = matches!(to, End::Pageable(_)) && !capturing;
        let from = match from {
            End::Pageable(address) if !capturing => End::Staged(Arc::new(bytes_at(address, bytes))),
            other => other,
        };
        self.enqueue(stream, Op::Copy { from, to, bytes })?;
        if waits { self.wait_for_stream(stream) } else { Ok(()) }
    }

    fn upload(&mut self, to: u64, from: *const c_void, bytes: usize, stream: Handle) -> Outcome {
        let stream = self.stream(stream)?;
        if bytes == 0 {
            return Ok(());
        }
        let from = self.host_end(from as u64, bytes, false)?;
        let to = self.device_end(to, bytes)?;
        self.enqueue_copy(stream, from, to, bytes)
    }

    fn download(&mut self, to: *mut c_void, from: u64, bytes: usize, stream: Handle) -> Outcome {
        let stream = self.stream(stream)?;
        if bytes == 0 {
            return Ok(());
        }
        let to = self.host_end(to as u64, bytes, true)?;
        let from = self.device_end(from, bytes)?;
        self.enqueue_copy(stream, from, to, bytes)
    }

    fn move_within(&mut self, to: u64, from: u64, bytes: usize, stream: Handle) -> Outcome {
        let stream = self.stream(stream)?;
        if bytes == 0 {
            return Ok(());
        }
        let from = self.device_end(from, bytes)?;
        let to = self.device_end(to, bytes)?;
        self.enqueue_copy(stream, from, to, bytes)
    }

    /// A copy between any two addresses.
    fn move_any(&mut self, to: u64, from: u64, bytes: usize, stream: Handle) -> Outcome {
        let known = |address| self.ranges.holding(address).is_some();
        match (known(from), known(to)) {
            (true, true) => self.move_within(to, from, bytes, stream),
            (true, false) => self.download(to as *mut c_void, from, bytes, stream),
            (false, _) => self.upload(to, from as *const c_void, bytes, stream),
        }
    }

    fn fill(&mut self, to: u64, word: u32, width: usize, count: usize, stream: Handle) -> Outcome {
        let stream = self.stream(stream)?;
        if count == 0 {
            return Ok(());
        }
        if !to.is_multiple_of(width as u64) {
            return Err(Code::ERROR_INVALID_VALUE);
        }
        let bytes = count.checked_mul(width).ok_or(Code::ERROR_INVALID_VALUE)?;
        self.device_end(to, bytes)?;
        self.enqueue(stream, Op::Fill { to, word, width, count })
    }

    /// Waits for the default stream.
    fn wait_for_default(&mut self) -> Outcome {
        let stream = self.stream(DEFAULT)?;
        self.wait_for_stream(stream)
    }
}

#[unsafe(no_mangle)]
extern "C" fn cuMemcpyHtoDAsync_v2(to: u64, from: *const c_void, bytes: usize, stream: Handle) -> Code {
    call("cuMemcpyHtoDAsync_v2", |driver| driver.upload(to, from, bytes, stream))
}

#[unsafe(no_mangle)]
extern "C" fn cuMemcpyHtoD_v2(to: u64, from: *const c_void, bytes: usize) -> Code {
    call("cuMemcpyHtoD_v2", |driver| {
        // From pageable memory it returns when the bytes are staged; only from page-locked memory when they have arrived.
        driver.current()?;
        driver.refuse_unsafe()?;
        let pinned = driver.ranges.holding(from as u64).is_some();
        driver.wait_for_default()?;
        driver.upload(to, from, bytes, DEFAULT)?;
        if pinned { driver.wait_for_default() } else { Ok(()) }
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuMemcpyDtoHAsync_v2(to: *mut c_void, from: u64, bytes: usize, stream: Handle) -> Code {
    call("cuMemcpyDtoHAsync_v2", |driver| driver.download(to, from, bytes, stream))
}

#[unsafe(no_mangle)]
extern "C" fn cuMemcpyDtoH_v2(to: *mut c_void, from: u64, bytes: usize) -> Code {
    call("cuMemcpyDtoH_v2", |driver| {
        driver.current()?;
        driver.refuse_unsafe()?;
        driver.download(to, from, bytes, DEFAULT)?;
        driver.wait_for_default()
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuMemcpyDtoDAsync_v2(to: u64, from: u64, bytes: usize, stream: Handle) -> Code {
    call("cuMemcpyDtoDAsync_v2", |driver| driver.move_within(to, from, bytes, stream))
}

#[unsafe(no_mangle)]
extern "C" fn cuMemcpyDtoD_v2(to: u64, from: u64, bytes: usize) -> Code {
    // The host does not wait for a copy within a device.
    call("cuMemcpyDtoD_v2", |driver| driver.move_within(to, from, bytes, DEFAULT))
}

#[unsafe(no_mangle)]
extern "C" fn cuMemcpyAsync(to: u64, from: u64, bytes: usize, stream: Handle) -> Code {
    call("cuMemcpyAsync", |driver| driver.move_any(to, from, bytes, stream))
}

#[unsafe(no_mangle)]
extern "C" fn cuMemcpy(to: u64, from: u64, bytes: usize) -> Code {
    call("cuMemcpy", |driver| {
        driver.move_any(to, from, bytes, DEFAULT)?;
        driver.wait_for_default()
    })
}

fn peer(
    driver: &mut Driver,
    contexts: [Handle; 2],
    to: u64,
    from: u64,
    bytes: usize,
    stream: Handle,
) -> Outcome {
    for (context, address) in contexts.into_iter().zip([to, from]) {
        let device = driver.device_of(number(context)).ok_or(Code::ERROR_INVALID_CONTEXT)?;
        let range = driver.ranges.holding(address).ok_or(Code::ERROR_INVALID_VALUE)?;
        if range.kind != Kind::Device(device) {
            return Err(Code::ERROR_INVALID_VALUE);
        }
    }
    driver.move_within(to, from, bytes, stream)
}

#[unsafe(no_mangle)]
extern "C" fn cuMemcpyPeerAsync(
    to: u64,
    to_context: Handle,
    from: u64,
    from_context: Handle,
    bytes: usize,
    stream: Handle,
) -> Code {
    call("cuMemcpyPeerAsync", |driver| peer(driver, [to_context, from_context], to, from, bytes, stream))
}

#[unsafe(no_mangle)]
extern "C" fn cuMemcpyPeer(
    to: u64,
    to_context: Handle,
    from: u64,
    from_context: Handle,
    bytes: usize,
) -> Code {
    call("cuMemcpyPeer", |driver| peer(driver, [to_context, from_context], to, from, bytes, DEFAULT))
}

#[unsafe(no_mangle)]
extern "C" fn cuMemsetD8Async(to: u64, byte: u8, count: usize, stream: Handle) -> Code {
    call("cuMemsetD8Async", |driver| driver.fill(to, u32::from(byte), 1, count, stream))
}

#[unsafe(no_mangle)]
extern "C" fn cuMemsetD16Async(to: u64, word: u16, count: usize, stream: Handle) -> Code {
    call("cuMemsetD16Async", |driver| driver.fill(to, u32::from(word), 2, count, stream))
}

#[unsafe(no_mangle)]
extern "C" fn cuMemsetD32Async(to: u64, word: u32, count: usize, stream: Handle) -> Code {
    call("cuMemsetD32Async", |driver| driver.fill(to, word, 4, count, stream))
}

#[unsafe(no_mangle)]
extern "C" fn cuMemsetD8_v2(to: u64, byte: u8, count: usize) -> Code {
    call("cuMemsetD8_v2", |driver| driver.fill(to, u32::from(byte), 1, count, DEFAULT))
}

#[unsafe(no_mangle)]
extern "C" fn cuMemsetD16_v2(to: u64, word: u16, count: usize) -> Code {
    call("cuMemsetD16_v2", |driver| driver.fill(to, u32::from(word), 2, count, DEFAULT))
}

#[unsafe(no_mangle)]
extern "C" fn cuMemsetD32_v2(to: u64, word: u32, count: usize) -> Code {
    call("cuMemsetD32_v2", |driver| driver.fill(to, word, 4, count, DEFAULT))
}
