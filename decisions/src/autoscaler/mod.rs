//! What the autoscaler should watch, and how it should act: targets with their derivation, behaviour, limits, and the idle time
//! after which a last replica is not worth its price.

mod behaviour;
mod keep_alive;
mod pressure;
mod settings;
mod signal;
mod target;
#[cfg(test)]
mod tests;
mod wanted;

pub use behaviour::{Behaviour, PodsPolicy};
pub use keep_alive::{Advice, KeepAlive, keep_alive};
pub use settings::{Autoscaler, Situation};
pub use signal::{MetricType, Signal};
pub use target::{Hopeless, Target, Usability};
pub(crate) use wanted::Line;
pub use wanted::Wanted;
