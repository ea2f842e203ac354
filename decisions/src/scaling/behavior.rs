//! How fast replicas may be added and removed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `behavior` of an HPA.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Behavior {
    /// Adding replicas.
    pub scale_up: ScalingRules,
    /// Removing replicas.
    pub scale_down: ScalingRules,
}

/// One direction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScalingRules {
    /// Of the recommendations within it the safest counts: the least on the way up, the most on the way down. 0..=3600.
    pub stabilization_window_seconds: u32,
    /// Which policy counts.
    pub select_policy: SelectPolicy,
    /// What may change how fast; at least one.
    pub policies: Vec<ScalingPolicy>,
}

/// Which of several policies counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SelectPolicy {
    /// The one that allows the largest change.
    Max,
    /// The one that allows the smallest change.
    Min,
    /// No change in this direction.
    Disabled,
}

/// What a policy's value counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PolicyKind {
    /// Pods.
    Pods,
    /// Percent of the replicas at the start of the period.
    Percent,
}

/// At most so much change in so much time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScalingPolicy {
    /// What the value counts.
    pub kind: PolicyKind,
    /// Above zero.
    pub value: u32,
    /// 1..=1800.
    pub period_seconds: u32,
}

impl Default for Behavior {
    /// What Kubernetes does without a `behavior`: up by 4 pods or 100 % in 15 s, down by 100 % in 15 s after 300 s.
    fn default() -> Self {
        let percent = ScalingPolicy { kind: PolicyKind::Percent, value: 100, period_seconds: 15 };
        let pods = ScalingPolicy { kind: PolicyKind::Pods, value: 4, period_seconds: 15 };
        Behavior {
            scale_up: ScalingRules {
                stabilization_window_seconds: 0,
                select_policy: SelectPolicy::Max,
                policies: vec![percent, pods],
            },
            scale_down: ScalingRules {
                stabilization_window_seconds: 300,
                select_policy: SelectPolicy::Max,
                policies: vec![percent],
            },
        }
    }
}

impl ScalingRules {
    /// The most replicas that may be there now. `start` gives the replicas at the start of a period in seconds.
    pub(super) fn up_limit(&self, current: u32, start: impl Fn(u32) -> f64) -> u32 {
        let proposed = self.policies.iter().map(|policy| {
            let start = start(policy.period_seconds);
            match policy.kind {
                PolicyKind::Pods => start + f64::from(policy.value),
                PolicyKind::Percent => (start * (1.0 + f64::from(policy.value) / 100.0)).ceil(),
            }
        });
        let limit = match self.select_policy {
            SelectPolicy::Disabled => return current,
            SelectPolicy::Min => proposed.fold(f64::MAX, f64::min),
            SelectPolicy::Max => proposed.fold(0.0, f64::max),
        };
        // What was added within the period may already be more than a changed policy allows.
        (limit.clamp(0.0, f64::from(u32::MAX)) as u32).max(current)
    }

    /// The fewest replicas that may be there now.
    pub(super) fn down_limit(&self, current: u32, start: impl Fn(u32) -> f64) -> u32 {
        let proposed = self.policies.iter().map(|policy| {
            let start = start(policy.period_seconds);
            match policy.kind {
                PolicyKind::Pods => start - f64::from(policy.value),
                // Cut to a whole number: of 72 replicas 10 % are 8, not 7.
                PolicyKind::Percent => (start * (1.0 - f64::from(policy.value) / 100.0)).trunc(),
            }
        });
        let limit = match self.select_policy {
            SelectPolicy::Disabled => return current,
            // The smallest change leaves the most replicas.
            SelectPolicy::Min => proposed.fold(f64::MIN, f64::max),
            SelectPolicy::Max => proposed.fold(f64::MAX, f64::min),
        };
        (limit.clamp(0.0, f64::from(u32::MAX)) as u32).min(current)
    }
}
