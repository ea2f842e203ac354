//! SHIM
use super::compose::Origin;
use crate::docker::Engine;
use crate::trial::*;
use crate::weights::ModelFiles;
use coldstart_profiles::*;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
pub struct Images {
    _e: Engine,
}
impl Images {
    pub async fn close(self) {}
    pub fn new(engine: Engine, _plan: &Plan) -> Self {
        Images { _e: engine }
    }
    pub(super) async fn pull(&self, _p: &mut Profile, _s: &Step, _t: u32, _c: &CancellationToken) {}
    pub(super) async fn container(
        &self,
        _s: &TrialSpec,
        _f: &ModelFiles,
        _t: Duration,
        _c: &CancellationToken,
    ) -> Result<Option<(Origin, TrialReport)>, (String, String)> {
        Ok(None)
    }
}
