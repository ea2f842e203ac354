//! The service model: how long one replica takes for a request or a batch, and how many it takes at once.
//!
//! Two kinds. A *single forward* (encoders) runs a batch of n to its end in T(n) = α + β·n. A *language model* runs
//! iterations: a prefill of T_pre(tokens) = α_p + β_p·tokens, then decode steps of T_dec(n, ctx) = α_d + β_d·n + γ·n·ctx for
//! the n requests that fit into the free memory. The coefficients come from measured sweeps; how well they fit travels with
//! them.

mod bound;
mod error;
mod language_model;
mod model;
mod single_forward;
mod sla;
mod tail;
mod variation;

pub use bound::Bound;
pub use error::ServiceError;
pub use language_model::{Decode, LanguageModel, Prefill};
pub use model::{RequestSize, ServiceModel};
pub use single_forward::SingleForward;
pub use sla::{Sla, SlaPart};
pub use tail::{Tail, TailPoint};
pub use variation::Variation;
