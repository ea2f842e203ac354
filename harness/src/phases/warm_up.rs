//! The phase `warm_up`: every pass after the first, until the times are steady. Where the steady state began is found
//! afterwards, by the analysis of the whole curve.

use coldstart_kernels::Ops;
use coldstart_profiles::{ForwardPlan, Nanos, Reading, StopLimits};

use super::forward::{Began, Passes};
use crate::model::ModelError;
use crate::sampling::{Series, until_steady};

/// A curve by both clocks.
pub(crate) struct Passed {
    /// By the host's clock.
    pub(crate) series: Series,
    /// The same passes by the device's own clock; empty on a device that has none.
    pub(crate) device_ns: Vec<Nanos>,
}

/// Continues the curve that `first` began. Begins count from the begin of the trace.
///
/// # Errors
/// When the device fails.
pub(crate) fn warm_up<O: Ops>(
    passes: &mut Passes<'_, '_, O>,
    plan: &ForwardPlan,
    first: &Reading,
    began: Began,
    resolution: Nanos,
) -> Result<Passed, ModelError> {
    let limits = StopLimits {
        max_iterations: plan.max_iterations as usize,
        ..StopLimits::within_budget(plan.max_time_ns)
    };
    let first_begin = began.0.saturating_add(first.begin_ns);
    let mut device_ns: Vec<Nanos> = first.device_ns.into_iter().collect();
    let mut series = until_steady(Some((first_begin, first.duration_ns)), limits, resolution, || {
        let timed = passes.pass()?;
        device_ns.extend(timed.device.map(Nanos::from));
        Ok::<_, ModelError>(timed.host.into())
    })?;
    for begin in &mut series.begins {
        *begin = begin.saturating_sub(began.0);
    }
    Ok(Passed { series, device_ns })
}
