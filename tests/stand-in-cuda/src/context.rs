//! Primary contexts.

use std::time::Duration;

use crate::abi::{Code, Handle, Out, Outcome, handle, number};
use crate::driver::{Driver, call, current_context, set_current_context};
use crate::stream::Stream;

impl Driver {
    fn make_context(&mut self, device: usize) -> Result<u64, Code> {
        if let Some(context) = self.devices[device].context {
            return Ok(context);
        }
        // A failure stays with the process: only a new one gets a sound context.
        if let Some(code) = self.devices[device].failed {
            return Err(code);
        }
        if self.config.compute_mode == 2 {
            return Err(Code::ERROR_DEVICE_UNAVAILABLE);
        }
        let context = self.new_handle();
        let stream = self.new_handle();
        let made = Stream::new(self, device, true);
        self.streams.insert(stream, made);
        let place = &mut self.devices[device];
        place.context = Some(context);
        place.default_stream = stream;
        self.sleep(Duration::from_millis(self.config.context_ms));
        Ok(context)
    }

    /// Ends the context: its work is run, then all that belongs to it is gone.
    fn end_context(&mut self, device: usize) -> Outcome {
        let drained = self.wait_for_device(device);
        self.streams.retain(|_, stream| stream.device != device);
        self.events.retain(|_, event| event.device != device);
        self.modules.retain(|_, module| module.device != device);
        self.functions.retain(|_, function| function.device != device);
        self.executables.retain(|_, executable| executable.device != device);
        self.ranges.free_all_of(device);
        let place = &mut self.devices[device];
        place.context = None;
        place.retained = 0;
        drained
    }
}

#[unsafe(no_mangle)]
extern "C" fn cuDevicePrimaryCtxRetain(context: Out<Handle>, device: i32) -> Code {
    call("cuDevicePrimaryCtxRetain", |driver| {
        let device = driver.device(device)?;
        let made = driver.make_context(device)?;
        context.set(handle(made))?;
        driver.devices[device].retained += 1;
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuDevicePrimaryCtxRelease_v2(device: i32) -> Code {
    call("cuDevicePrimaryCtxRelease_v2", |driver| {
        let device = driver.device(device)?;
        match driver.devices[device].retained {
            0 => Err(Code::ERROR_INVALID_CONTEXT),
            1 => driver.end_context(device),
            _ => {
                driver.devices[device].retained -= 1;
                Ok(())
            }
        }
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuDevicePrimaryCtxReset_v2(device: i32) -> Code {
    call("cuDevicePrimaryCtxReset_v2", |driver| {
        let device = driver.device(device)?;
        if driver.devices[device].context.is_some() { driver.end_context(device) } else { Ok(()) }
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuDevicePrimaryCtxGetState(device: i32, flags: Out<u32>, active: Out<i32>) -> Code {
    call("cuDevicePrimaryCtxGetState", |driver| {
        let device = driver.device(device)?;
        flags.set(driver.devices[device].flags)?;
        active.set(i32::from(driver.devices[device].context.is_some()))
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuDevicePrimaryCtxSetFlags_v2(device: i32, flags: u32) -> Code {
    call("cuDevicePrimaryCtxSetFlags_v2", |driver| {
        let device = driver.device(device)?;
        driver.devices[device].flags = flags;
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuCtxGetCurrent(context: Out<Handle>) -> Code {
    call("cuCtxGetCurrent", |driver| {
        driver.initialised()?;
        context.set(handle(current_context()))
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuCtxSetCurrent(context: Handle) -> Code {
    call("cuCtxSetCurrent", |driver| {
        driver.initialised()?;
        let context = number(context);
        if context != 0 && driver.device_of(context).is_none() {
            return Err(Code::ERROR_INVALID_CONTEXT);
        }
        set_current_context(context);
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuCtxPushCurrent_v2(context: Handle) -> Code {
    // No stack is kept: a push is a set.
    cuCtxSetCurrent(context)
}

#[unsafe(no_mangle)]
extern "C" fn cuCtxPopCurrent_v2(context: Out<Handle>) -> Code {
    call("cuCtxPopCurrent_v2", |driver| {
        driver.initialised()?;
        if current_context() == 0 {
            return Err(Code::ERROR_INVALID_CONTEXT);
        }
        context.set_if_wanted(handle(current_context()));
        set_current_context(0);
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuCtxGetDevice(device: Out<i32>) -> Code {
    call("cuCtxGetDevice", |driver| device.set(driver.current_whatever_state()? as i32))
}

#[unsafe(no_mangle)]
extern "C" fn cuCtxGetApiVersion(_context: Handle, version: Out<u32>) -> Code {
    call("cuCtxGetApiVersion", |driver| {
        driver.initialised()?;
        version.set(3020)
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuCtxGetStreamPriorityRange(least: Out<i32>, greatest: Out<i32>) -> Code {
    call("cuCtxGetStreamPriorityRange", |driver| {
        driver.current()?;
        least.set_if_wanted(0);
        greatest.set_if_wanted(-5);
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuCtxSynchronize() -> Code {
    call("cuCtxSynchronize", |driver| {
        let device = driver.current()?;
        driver.refuse_while_capturing(device)?;
        driver.wait_for_device(device)
    })
}
