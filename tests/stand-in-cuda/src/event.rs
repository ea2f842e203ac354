//! Events: marks in streams, with the device's time.

use std::sync::Arc;

use crate::abi::{Code, Handle, Out, Outcome, handle, number};
use crate::driver::{Driver, call};
use crate::queue::Point;

const DISABLE_TIMING: u32 = 2;

/// A mark.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) device: usize,
    flags: u32,
    /// The moment that it was recorded at last.
    point: Option<Arc<Point>>,
    /// The capture that it was recorded in last, and the stream and place in it.
    pub(crate) captured: Option<(u64, u64)>,
}

impl Driver {
    fn event(&mut self, event: Handle) -> Result<&mut Event, Code> {
        let device = self.current()?;
        match self.events.get_mut(&number(event)) {
            Some(found) if found.device == device => Ok(found),
            // A wait may name an event of another device.
            Some(_) | None => Err(Code::ERROR_INVALID_HANDLE),
        }
    }

    /// Waits for a moment.
    fn wait_for_point(&mut self, point: &Point) -> Outcome {
        let since = self.clock.now();
        self.run(point.stream, point.epoch)?;
        self.host.join(&point.knowledge);
        let nap = self.clock.waited(since, point.reached().unwrap_or(since));
        self.sleep(nap);
        Ok(())
    }
}

#[unsafe(no_mangle)]
extern "C" fn cuEventCreate(event: Out<Handle>, flags: u32) -> Code {
    call("cuEventCreate", |driver| {
        let device = driver.current()?;
        if flags > 7 {
            return Err(Code::ERROR_INVALID_VALUE);
        }
        let made = driver.new_handle();
        event.set(handle(made))?;
        driver.events.insert(made, Event { device, flags, point: None, captured: None });
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuEventDestroy_v2(event: Handle) -> Code {
    call("cuEventDestroy_v2", |driver| {
        driver.initialised()?;
        driver.events.remove(&number(event)).ok_or(Code::ERROR_INVALID_HANDLE)?;
        driver.current().map(|_| ())
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuEventRecord(event: Handle, stream: Handle) -> Code {
    call("cuEventRecord", |driver| {
        driver.event(event)?;
        let stream = driver.stream(stream)?;
        if driver.stream_mut(stream)?.capture.is_some() {
            let captured = driver.capture_mark(stream)?;
            let event = driver.event(event)?;
            event.captured = Some(captured);
            event.point = None;
            return Ok(());
        }
        let point = driver.mark(stream)?;
        let event = driver.event(event)?;
        event.captured = None;
        event.point = Some(point);
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuEventQuery(event: Handle) -> Code {
    call("cuEventQuery", |driver| {
        let event = driver.event(event)?;
        if event.captured.is_some() {
            return Err(Code::ERROR_CAPTURED_EVENT);
        }
        let Some(point) = event.point.clone() else { return Ok(()) };
        if driver.streams.contains_key(&point.stream) {
            // A stream that has not run so far may do so now.
            let reached = point.reached();
            driver.poll(point.stream, point.epoch, reached)?;
        }
        if point.reached().is_some_and(|time| time > driver.clock.now()) {
            return Err(Code::ERROR_NOT_READY);
        }
        driver.host.join(&point.knowledge);
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuEventSynchronize(event: Handle) -> Code {
    call("cuEventSynchronize", |driver| {
        let event = driver.event(event)?;
        if event.captured.is_some() {
            return Err(Code::ERROR_CAPTURED_EVENT);
        }
        match event.point.clone() {
            Some(point) => driver.wait_for_point(&point),
            None => Ok(()),
        }
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamWaitEvent(stream: Handle, event: Handle, _flags: u32) -> Code {
    call("cuStreamWaitEvent", |driver| {
        let stream = driver.stream(stream)?;
        // The event may be of another device.
        let event = driver.events.get(&number(event)).ok_or(Code::ERROR_INVALID_HANDLE)?;
        let (captured, point) = (event.captured, event.point.clone());
        let capturing = driver.stream_mut(stream)?.capture.is_some();
        match (captured, point) {
            (Some(captured), _) => driver.capture_wait(stream, captured),
            (None, Some(_)) if capturing => Err(Code::ERROR_STREAM_CAPTURE_ISOLATION),
            (None, Some(point)) => driver.push_wait(stream, point),
            // An event that was never recorded is no event to wait for.
            (None, None) => Ok(()),
        }
    })
}

fn elapsed(driver: &mut Driver, ms: Out<f32>, start: Handle, end: Handle) -> Outcome {
    let mut times = [0; 2];
    for (time, event) in times.iter_mut().zip([start, end]) {
        let event = driver.event(event)?;
        if event.captured.is_some() {
            return Err(Code::ERROR_CAPTURED_EVENT);
        }
        let point = event.point.clone().ok_or(Code::ERROR_INVALID_HANDLE)?;
        if event.flags & DISABLE_TIMING != 0 {
            return Err(Code::ERROR_INVALID_HANDLE);
        }
        *time = point.reached().filter(|time| *time <= driver.clock.now()).ok_or(Code::ERROR_NOT_READY)?;
    }
    ms.set(((times[1] as f64 - times[0] as f64) / 1e6) as f32)
}

#[unsafe(no_mangle)]
extern "C" fn cuEventElapsedTime(ms: Out<f32>, start: Handle, end: Handle) -> Code {
    call("cuEventElapsedTime", |driver| elapsed(driver, ms, start, end))
}

#[unsafe(no_mangle)]
extern "C" fn cuEventElapsedTime_v2(ms: Out<f32>, start: Handle, end: Handle) -> Code {
    call("cuEventElapsedTime_v2", |driver| elapsed(driver, ms, start, end))
}
