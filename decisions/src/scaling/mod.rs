//! Kubernetes' HorizontalPodAutoscaler (autoscaling/v2) and KEDA's ScaledObject, as documented, as pure functions of their readings.
//!
//! Sources: kubernetes.io, *Horizontal Pod Autoscaling* (algorithm details, configurable scaling behavior) and KEP-853; keda.sh,
//! *ScaledObject specification* and *Scaling Deployments*. Where the pages leave a case open, the controllers' behaviour counts.

mod behavior;
mod hpa;
mod keda;
mod readiness;
mod reading;

pub use behavior::{Behavior, PolicyKind, ScalingPolicy, ScalingRules, SelectPolicy};
pub use hpa::{Hpa, HpaState};
pub use keda::{Keda, KedaState};
pub use readiness::{PodAge, PodMetric};
pub use reading::{PodReading, Reading, TargetKind};
