//! The device's clock.

use std::time::Duration;

use coldstart_kernels::{Device, Error, HostMemory as _, Memory as _, Pinning, Timed};

use super::Verdict;

/// What is copied: long against the cost of a launch and of an event.
const COPY_BYTES: usize = 64 << 20;
/// How often at least, and at most.
const TURNS: usize = 5;
const MOST_TURNS: usize = 40;
/// Copies in a row for the comparison of the clocks.
const COPIES: usize = 8;
/// The device's clock starts after the host's and ends before it; what lies between is a launch and a wait.
const LEAST_SHARE: f64 = 0.7;
/// Two clocks of one machine drift by far less than this.
const MOST_SHARE: f64 = 1.01;
/// A fixed cost shifts the factor below 2, noise in either direction.
const FACTORS: std::ops::RangeInclusive<f64> = 1.6..=2.5;

/// Whether events and the host's clock agree on how long copies take.
pub(super) fn clocks<D: Device>(device: &D) -> Verdict {
    match copies(device, COPY_BYTES, COPIES) {
        Ok(Timed { device: None, .. }) => {
            Verdict::Skipped("this device has no clock of its own: only the host's is used".to_owned())
        }
        Ok(Timed { device: Some(on_device), host, .. }) => {
            let share = on_device.as_secs_f64() / host.as_secs_f64().max(1e-9);
            let found = format!(
                "{:.3} ms by events, {:.3} ms by the host's clock: {share:.3}",
                on_device.as_secs_f64() * 1e3,
                host.as_secs_f64() * 1e3
            );
            match share {
                LEAST_SHARE..=MOST_SHARE => Verdict::Passed(found),
                _ => Verdict::Failed(format!("{found}, expected {LEAST_SHARE} to {MOST_SHARE}")),
            }
        }
        Err(error) => Verdict::Failed(format!("failed to {error}")),
    }
}

/// Whether twice the bytes take twice the time. The two are copied in turn, and the best of each counts, because other work
/// on the machine only ever slows a copy down; a busy machine gets more turns.
pub(super) fn doubled_copy<D: Device>(device: &D) -> Verdict {
    let (mut once, mut twice) = (Duration::MAX, Duration::MAX);
    let mut factor = 0.0;
    let mut own_clock = false;
    for turn in 1..=MOST_TURNS {
        let mut timed = |bytes| {
            let timed = copies(device, bytes, 1)?;
            own_clock |= timed.device.is_some();
            Ok::<_, Error>(timed.device.unwrap_or(timed.host))
        };
        match timed(COPY_BYTES).and_then(|short| Ok((short, timed(2 * COPY_BYTES)?))) {
            Ok((short, long)) => (once, twice) = (once.min(short), twice.min(long)),
            Err(error) => return Verdict::Failed(format!("failed to {error}")),
        }
        factor = twice.as_secs_f64() / once.as_secs_f64().max(1e-9);
        if turn >= TURNS && FACTORS.contains(&factor) {
            break;
        }
    }
    let found = format!(
        "{} MiB in {:.3} ms, twice that takes {factor:.2} times as long",
        COPY_BYTES >> 20,
        once.as_secs_f64() * 1e3
    );
    match (FACTORS.contains(&factor), own_clock) {
        (true, _) => Verdict::Passed(found),
        (false, true) => {
            Verdict::Failed(format!("{found}, expected {} to {}", FACTORS.start(), FACTORS.end()))
        }
        // The host's clock counts the other work on the machine as well: this says nothing about the device.
        (false, false) => Verdict::Skipped(format!("{found}: the machine is too busy to tell")),
    }
}

/// Uploads of pinned memory on the compute stream, timed together. The first copy of all is outside: it pays for first touches.
fn copies<D: Device>(device: &D, bytes: usize, count: usize) -> Result<Timed<()>, Error> {
    let mut buffer = device.alloc(bytes)?;
    let pinned = device.pinned(bytes, Pinning { touch: true, ..Pinning::default() })?;
    device.upload_pinned(device.compute(), &pinned, 0..pinned.len(), &mut buffer, 0)?;
    device.sync()?;
    debug_assert_eq!(buffer.len(), bytes);
    device.time(|| {
        for _ in 0..count {
            device.upload_pinned(device.compute(), &pinned, 0..bytes, &mut buffer, 0)?;
        }
        Ok::<_, Error>(())
    })
}
