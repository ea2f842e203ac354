//! The coldstart profile format, and all arithmetic on it.
//!
//! No clock, GPU, Docker or network is touched here: profiles come in, numbers come out.

#![forbid(unsafe_code)]

mod doctor;
mod error;
pub mod exit;
mod format;
mod key;
mod load;
mod phase;
mod pull;
mod samples;
pub mod stats;
mod summary;
mod units;
pub mod warm_up;

pub use doctor::{Check, CheckStatus, DoctorReport};
pub use error::ProfileError;
pub use format::FormatVersion;
pub use key::{Clock, Key, Params};
pub use load::{AbsentPart, COLD_RESIDENCY_LIMIT, LoadDetail, PageCache, Residency, ResidencyMethod};
pub use phase::Phase;
pub use pull::{
    ContainerDetail, ExtractBound, InflateDetail, Interval, LayerDetail, LayerStatus, PullDetail,
    PullDialect, PullSource, PullStage, SizesFrom, StageTimes,
};
pub use samples::{Mark, Samples};
pub use summary::{Summary, Withheld, summarize};
pub use units::{Bytes, Nanos};
