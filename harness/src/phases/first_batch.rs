//! The phase `first_batch`: from the first forward pass enqueued, to its output read back.

use coldstart_kernels::Ops;
use coldstart_profiles::{ForwardPlan, Phase, Reading, Work};

use super::forward::{Began, Passes, forward_params, timed_reading};
use crate::model::ModelError;

/// Takes the first pass of a process. Nothing is warmed up before: that is the point.
///
/// # Errors
/// When the device fails.
pub(crate) fn first_batch<O: Ops>(
    passes: &mut Passes<'_, '_, O>,
    plan: &ForwardPlan,
    began: Began,
) -> Result<Reading, ModelError> {
    let begin = began.elapsed();
    let timed = passes.pass()?;
    let params = forward_params(plan.mode, plan.batch, plan.tokens);
    let work = Some(Work::Tokens(u64::from(plan.batch) * u64::from(plan.tokens)));
    Ok(Reading { work, ..timed_reading(Phase::FirstBatch, params, begin, &timed) })
}
