//! Traffic: as numbers (a steady rate; base, peak and ramp) or as a trace of arrivals.

mod columns;
mod error;
mod lines;
mod poisson;
mod rates;
mod read;
mod source;
mod summary;
mod timestamps;
mod trace;

pub use error::TrafficError;
pub use poisson::Poisson;
pub use rates::RateSeries;
pub use read::{MOST_REQUESTS, TraceCaveat, TraceFile, TraceFormat, read};
pub use source::{Ramp, SLOWEST_PER_S, Steady, Traffic};
pub use summary::{Spread, TrafficSummary};
pub use timestamps::Unit;
pub use trace::{Arrival, Sizes, Trace};
