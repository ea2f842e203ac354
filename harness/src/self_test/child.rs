//! The child's side: one check after the other on one device.

use std::time::Instant;

use coldstart_kernels::cuda::{CudaDevice, Driver};
use coldstart_kernels::{Device as _, HostDevice, Kind, Ops, self_test};
use coldstart_profiles::{Nanos, SelfTestLine, SelfTestStatus};

use super::{Choice, Item, SelfTestEvent, SelfTestSpec, Verdict, graph, timing, uploads};
use crate::trial::ChildError;
use crate::weights::LoadDevice;

/// Opens the device, runs the checks that are left, and hands each event to `say`.
///
/// # Errors
/// When there is no such device.
pub(crate) fn run(spec: &SelfTestSpec, say: &mut dyn FnMut(SelfTestEvent)) -> Result<(), ChildError> {
    let first = || Driver::load().and_then(|loaded| loaded.driver.devices()).ok().filter(|count| *count > 0);
    let index = match spec.device {
        Choice::Host => None,
        Choice::Auto => first().map(|_| 0),
        Choice::Cuda { index } => Some(index),
    };
    match index {
        None => on(&HostDevice::open(0)?, false, spec, say),
        Some(index) => {
            let stand_in = Driver::load()?.driver.is_stand_in();
            on(&CudaDevice::open(index)?, stand_in, spec, say)
        }
    }
}

fn on<D: LoadDevice + Ops>(
    device: &D,
    stand_in: bool,
    spec: &SelfTestSpec,
    say: &mut dyn FnMut(SelfTestEvent),
) -> Result<(), ChildError> {
    let description = device.describe()?;
    let driver = description.driver.map(|driver| format!(", driver {driver}")).unwrap_or_default();
    let features = description.features.join(" ");
    let described = format!("{} ({features}{driver})", description.name);
    say(SelfTestEvent::Opened { described, stand_in });
    for (index, item) in Item::all().into_iter().enumerate().skip(spec.skip) {
        say(SelfTestEvent::Begins { index });
        let begin = Instant::now();
        let verdict = match item {
            Item::Clocks if stand_in => Verdict::Skipped("the clock of a stand-in is computed".to_owned()),
            _ => check(device, item, spec),
        };
        let (status, found) = match verdict {
            Verdict::Passed(found) => (SelfTestStatus::Passed, found),
            Verdict::Failed(found) => (SelfTestStatus::Failed, found),
            Verdict::Skipped(found) => (SelfTestStatus::Skipped, found),
        };
        // A kernel that broke its context breaks everything after it: one that still answers has not.
        let lost =
            status == SelfTestStatus::Failed && description.kind == Kind::Cuda && device.sync().is_err();
        let line = SelfTestLine {
            area: item.area().to_owned(),
            name: item.to_string(),
            status,
            found,
            elapsed_ns: Nanos::from(begin.elapsed()),
        };
        say(SelfTestEvent::Ended { check: line, lost });
        if lost {
            break;
        }
    }
    Ok(())
}

fn check<D: LoadDevice + Ops>(device: &D, item: Item, spec: &SelfTestSpec) -> Verdict {
    match item {
        Item::Kernel(name) => kernel(device, name, spec),
        Item::Graph => graph::check(device),
        Item::Upload(strategy) => uploads::check(device, strategy, spec),
        Item::Clocks => timing::clocks(device),
        Item::DoubledCopy => timing::doubled_copy(device),
    }
}

fn kernel<O: Ops>(device: &O, name: &str, spec: &SelfTestSpec) -> Verdict {
    match self_test::run(device, name, spec.seed, spec.cases) {
        Ok(Some(check)) => match check.failure {
            None if check.worst > 0.0 => Verdict::Passed(format!(
                "{}, at most {:.0} % of the allowed error",
                cases(check.cases),
                check.worst * 100.0
            )),
            None => Verdict::Passed(format!("{}, equal to the bit", cases(check.cases))),
            Some(failure) => Verdict::Failed(failure),
        },
        Ok(None) => Verdict::Skipped("there is no such check".to_owned()),
        Err(error) => Verdict::Failed(format!("failed to {error}")),
    }
}

fn cases(count: usize) -> String {
    if count == 1 { "1 case".to_owned() } else { format!("{count} cases") }
}
