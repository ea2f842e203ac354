//! Does a device compute what it should? Every operation on random shapes, against the host device.
//!
//! This is what runs the first time that a new device, driver or kernel is at hand. Inputs are rounded to the device's
//! formats first and given to both, so that what is compared is the computing, not the rounding of inputs. Views have
//! gaps between their rows and odd offsets; what lies in the gaps must be the same afterwards.

mod attention;
mod bytes;
mod elementwise;
mod linear;
mod rows;
mod twins;

use std::time::{Duration, Instant};

use twins::Twins;

use crate::{Dtype, Ops, Result};

/// Cases of one operation, all shapes and formats together.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// The operation, as [`Ops`] names it.
    pub name: &'static str,
    /// How many cases were run; fewer than asked for after a failure.
    pub cases: usize,
    /// The largest error found, as a share of what is allowed; 0 for what must be equal to the bit.
    pub worst: f64,
    /// What was wrong with which case, and the seed that makes it again; `None` where all was right.
    pub failure: Option<String>,
    /// What the cases took, the host's part included.
    pub elapsed: Duration,
}

/// One case: makes operands, runs both, compares; gives the error as a share of what is allowed.
type Case<O> = fn(&mut Twins<'_, O>) -> Result<Found>;

/// What a case found.
enum Found {
    /// The largest error as a share of what is allowed, at most 1.
    Right(f64),
    /// What was wrong.
    Wrong(String),
}

/// Every operation, in the order of [`Ops`].
fn cases<O: Ops>() -> Vec<(&'static str, Case<O>)> {
    let mut cases = rows::cases();
    cases.extend(linear::cases());
    cases.extend(elementwise::cases());
    cases.extend(attention::cases());
    cases.extend(bytes::cases());
    cases
}

/// The names of all checks, in their order; the same for every device.
pub fn names() -> Vec<&'static str> {
    cases::<crate::HostDevice>().into_iter().map(|(name, _)| name).collect()
}

/// Runs `count` random cases of the operation `name`. A device whose activations can be of several formats is asked in
/// each. `None` where there is no such check.
///
/// # Errors
/// When the host device can't be made. What goes wrong on `device` is a failure of the check.
pub fn run<O: Ops>(device: &O, name: &str, seed: u64, count: usize) -> Result<Option<Check>> {
    let formats: Vec<Dtype> =
        Dtype::ALL.into_iter().filter(|dtype| device.activation_dtype(*dtype) == *dtype).collect();
    let mut twins = Twins::new(device)?;
    let found = cases().into_iter().enumerate().find(|(_, (case, _))| *case == name);
    Ok(found.map(|(index, case)| check(&mut twins, case, seed ^ (index as u64) << 32, count, &formats)))
}

/// All cases of one operation, until one fails.
fn check<O: Ops>(
    twins: &mut Twins<'_, O>,
    (name, case): (&'static str, Case<O>),
    seed: u64,
    count: usize,
    formats: &[Dtype],
) -> Check {
    let start = Instant::now();
    let mut check = Check { name, cases: 0, worst: 0.0, failure: None, elapsed: Duration::ZERO };
    for turn in 0..count.max(formats.len()) {
        let format = formats[turn % formats.len()];
        twins.begin(seed.wrapping_add(turn as u64), format);
        check.cases += 1;
        let wrong = match case(twins) {
            Ok(Found::Right(share)) => {
                check.worst = check.worst.max(share);
                continue;
            }
            Ok(Found::Wrong(what)) => what,
            Err(error) => format!("failed to {error}"),
        };
        check.failure = Some(format!("{format}, {}seed {}: {wrong}", twins.described(), twins.seed()));
        break;
    }
    check.elapsed = start.elapsed();
    check
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Device, HostDevice};

    #[test]
    fn the_host_device_agrees_with_itself() {
        let device = HostDevice::open(0).unwrap();
        let mut names = names();
        for name in &names {
            let check = run(&device, name, 1, 6).unwrap().unwrap();
            assert_eq!(check.failure, None, "{name}");
            assert!(check.cases == 6 && check.worst <= 1.0, "{check:?}");
        }
        assert_eq!(run(&device, "fft", 1, 6).unwrap(), None);
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count, "an operation is checked twice");
    }

    #[test]
    fn every_operation_has_a_check() {
        let source = include_str!("../ops.rs");
        let (_, operations) = source.split_once("pub trait Ops: Device {").unwrap();
        let missing: Vec<&str> = operations
            .lines()
            .filter_map(|line| line.strip_prefix("    fn ")?.split(['(', '<']).next())
            .filter(|name| !["activation_dtype", "gemm_name", "products", "record", "replay"].contains(name))
            .filter(|name| !cases::<HostDevice>().iter().any(|(case, _)| case == name))
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
