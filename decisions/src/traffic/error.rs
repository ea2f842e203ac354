//! What can be wrong with traffic.

/// Why a trace could not be read, or traffic is none. Messages complete "failed to …".
#[derive(Debug, thiserror::Error)]
pub enum TrafficError {
    /// The reader failed.
    #[error("read the trace at line {line}: {source}")]
    Io {
        /// The line that was being read.
        line: u64,
        /// Why.
        source: std::io::Error,
    },
    /// A line that says no request.
    #[error("read line {line} of the trace: {what}")]
    Line {
        /// The line, counted from 1.
        line: u64,
        /// What is wrong with it, and the remedy.
        what: String,
    },
    /// No request at all.
    #[error(
        "read the trace: it has no requests: give lines of timestamp[,tokens in,tokens out], or JSON objects"
    )]
    Empty,
    /// A rate needs two moments.
    #[error("use the trace: {requests} {} no rate: give requests at different times", if *.requests == 1 { "request has" } else { "requests at one instant have" })]
    NoRate {
        /// How many requests it has.
        requests: u64,
    },
    /// More than is kept in memory.
    #[error(
        "read line {line} of the trace: more than {most} requests: cut the file to a window, such as its busiest day"
    )]
    TooMany {
        /// The first line too many.
        line: u64,
        /// How many are kept.
        most: u64,
    },
    /// A number that is no rate, ramp or window.
    #[error("use the traffic: {what} is {value}: give {remedy}")]
    Number {
        /// Which number.
        what: &'static str,
        /// Its value.
        value: f64,
        /// What would do.
        remedy: &'static str,
    },
}
