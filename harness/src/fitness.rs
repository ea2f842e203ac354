//! Is this machine fit to be measured now: the canary, work that is the same in every run, the load average, and what others had of
//! the processors.

mod others;

pub(crate) use others::Watch;

use std::time::{Duration, Instant};

use coldstart_decisions::{FITNESS_CODES, judge_fitness};
use coldstart_kernels::{Allocation, Device, Dtype, HostDevice, Kind, Matrix, MatrixMut, Ops, Result};
use coldstart_profiles::{CanaryReading, Caveat, Nanos, Profile};

use tokio_util::sync::CancellationToken;

use crate::host::Host;
use crate::telemetry::{GpuId, Library, look};
use crate::trial::{ChildLine, ChildSpec, run_child_with};
use crate::{DeviceName, clock};

/// What the canary's copy moves: far more than the caches hold.
pub const COPY_BYTES: usize = 64 << 20;
/// Rows, columns and depth of the canary's product.
const EDGE: usize = 512;
/// Operations of the canary's product: a multiplication and an addition for each of 512³ terms.
pub const GEMM_FLOPS: u64 = 2 * (EDGE as u64).pow(3);
/// Readings of each of the two; the best one stands. Noise only adds time, so the least is nearest to what the machine
/// can do, and the first one also pays for caches, clocks and threads that wake up.
const READINGS: u32 = 20;
/// A GPU that idled needs about this long at work until its clocks are up.
const CLOCKS_UP: Duration = Duration::from_millis(200);
/// A child that takes the canary is given up after this time.
const CHILD_TIMEOUT: Duration = Duration::from_secs(120);

/// Takes the canary's two readings on `device`; `when` is `before` or `after`.
///
/// Both clocks start behind a sync and stop behind a sync, on memory that was written before: `copy_ns` is 64 MiB from
/// one device buffer to another, `gemm_ns` the f32 product of two 512 × 512 matrices. About 0.3 s in all on two cores; on a GPU as
/// long, until its clocks are up.
pub fn canary<D: Ops>(device: &D, when: &str) -> Result<CanaryReading> {
    let _apart = device.keep_apart();
    Ok(CanaryReading { when: when.to_owned(), copy_ns: best_copy(device)?, gemm_ns: best_product(device)? })
}

fn best_copy<D: Ops>(device: &D) -> Result<Nanos> {
    // Of small pages, which lie elsewhere in every process, the copy takes up to a third longer in some than in others.
    let huge = Allocation { huge_pages: true };
    let (mut source, mut target) =
        (device.alloc_with(COPY_BYTES, huge)?, device.alloc_with(COPY_BYTES, huge)?);
    // Both are touched: fresh pages would be faulted in inside of the first copy.
    device.fill_pattern(&mut source, 0..COPY_BYTES, 1)?;
    device.fill_pattern(&mut target, 0..COPY_BYTES, 2)?;
    best_of(device, || device.copy(device.compute(), &source, 0..COPY_BYTES, &mut target, 0))
}

fn best_product<D: Ops>(device: &D) -> Result<Nanos> {
    let shape = [EDGE, EDGE];
    let bytes = EDGE * EDGE * Dtype::F32.size();
    let (mut x, mut w, mut y) = (device.alloc(bytes)?, device.alloc(bytes)?, device.alloc(bytes)?);
    for (buffer, seed) in [(&mut x, 1), (&mut w, 2), (&mut y, 3)] {
        device.fill_uniform(MatrixMut::new(buffer, Dtype::F32, shape)?, seed, 1.0)?;
    }
    best_of(device, || {
        let (x, w) = (Matrix::new(&x, Dtype::F32, shape)?, Matrix::new(&w, Dtype::F32, shape)?);
        device.linear(x, w, None, MatrixMut::new(&mut y, Dtype::F32, shape)?)
    })
}

/// The shortest of several readings on the host's clock, which every device has.
fn best_of<D: Device>(device: &D, mut work: impl FnMut() -> Result<()>) -> Result<Nanos> {
    let least = if device.describe()?.kind == Kind::Cuda { CLOCKS_UP } else { Duration::ZERO };
    let begin = Instant::now();
    let mut best = Nanos::from(device.time(&mut work)?.host);
    let mut readings = 1;
    while readings < READINGS || begin.elapsed() < least {
        best = best.min(Nanos::from(device.time(&mut work)?.host));
        readings += 1;
    }
    Ok(best)
}

/// A look at the GPU before the first step, by [`GpuLook::when`](coldstart_profiles::GpuLook).
pub(crate) const BEFORE: &str = "before";

/// Notes the load average before the first step, where it is not noted yet, who uses the GPU, and a caveat where other work
/// shows. The canary before the run was taken with the first look at the device. Gives the time, on the monotonic clock, at
/// which the GPU's management library was closed again.
pub fn before(profile: &mut Profile) -> Option<Nanos> {
    if profile.fitness.load_average_before.is_none() {
        profile.fitness.load_average_before = Host::here().load_average();
    }
    let looked = look_at_gpu(profile, BEFORE);
    judge(profile);
    looked
}

/// Looks at the GPU while no child uses it, and says when that ended. A library that does not answer is a reason.
fn look_at_gpu(profile: &mut Profile, when: &str) -> Option<Nanos> {
    let gpu = GpuId::of(&profile.target.device)?;
    profile.telemetry.looks.retain(|look| look.when != when);
    match look(&Library::System, &gpu, when) {
        Ok(look) => profile.telemetry.looks.push(look),
        Err(error) => {
            profile.telemetry.skipped.get_or_insert(format!("failed to {error}"));
        }
    }
    Some(clock::monotonic())
}

/// Notes the load average and the canary after the last step, and a caveat where the canary moved by more than 5 %.
/// `environment` is that of a child on a GPU.
pub async fn after(profile: &mut Profile, environment: &[(String, String)], cancel: &CancellationToken) {
    profile.fitness.load_average_after = Host::here().load_average();
    profile.fitness.canary.retain(|reading| reading.when != "after");
    // Without a canary before the run there is nothing to compare with.
    if profile.fitness.canary.iter().any(|reading| reading.when == "before") {
        match take(profile, "after", environment, cancel).await {
            Ok(reading) => profile.fitness.canary.push(reading),
            Err(why) => profile.caveat("no_canary", format!("no canary after the run: {why}")),
        }
    }
    look_at_gpu(profile, "after");
    judge(profile);
}

/// One canary on the profile's device; on a GPU in a child, which alone opens it.
async fn take(
    profile: &Profile,
    when: &str,
    environment: &[(String, String)],
    cancel: &CancellationToken,
) -> Result<CanaryReading, String> {
    let name: DeviceName = profile.plan.device.parse()?;
    if !name.is_cuda() {
        let reading = HostDevice::open(0).and_then(|device| canary(&device, when));
        return reading.map_err(|error| format!("failed to {error}"));
    }
    let spec = ChildSpec::Canary { device: name, when: when.to_owned() };
    let output = run_child_with(&spec, environment, CHILD_TIMEOUT, cancel, |_| {}).await;
    let output = output.map_err(|failure| failure.why)?;
    let reading = output.lines.into_iter().find_map(|line| match line {
        ChildLine::Canary(reading) => Some(reading),
        _ => None,
    });
    reading.ok_or_else(|| "the child ended well but said nothing".to_owned())
}

/// Enters what speaks against the machine, in place of what did before.
fn judge(profile: &mut Profile) {
    profile.caveats.retain(|caveat| !FITNESS_CODES.contains(&caveat.code.as_str()));
    for Caveat { code, text } in judge_fitness(profile) {
        profile.caveat(&code, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_canary_sings_on_this_machine() {
        let device = HostDevice::open(0).unwrap();
        let reading = canary(&device, "before").unwrap();
        assert_eq!(reading.when, "before");
        // 64 MiB at a thousand GiB/s and 2·512³ operations at 100 TFLOP/s are out of a host's reach; a second is too slow
        // for anything that is not emulated.
        for (took, least) in [(reading.copy_ns, 62_000), (reading.gemm_ns, 2_600)] {
            assert!((least..1_000_000_000).contains(&took.as_nanos()), "{reading:?}");
        }
    }
}
