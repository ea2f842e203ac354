//! How much was done in a measured time, and how fast the hardware could have done it.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::key::Params;
use crate::measurement::Outcome;
use crate::units::{Bytes, Nanos};

/// The work behind one sample, in the unit that its rate is given in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// Bytes moved.
    Bytes(Bytes),
    /// Requests, sequences or images finished.
    Items(u64),
    /// Tokens read (prefill) or generated (decode).
    Tokens(u64),
    /// Floating-point operations; a multiply-add counts as two.
    Flops(u64),
}

impl Work {
    /// The amount in its own unit.
    pub const fn amount(self) -> u64 {
        match self {
            Work::Bytes(bytes) => bytes.get(),
            Work::Items(n) | Work::Tokens(n) | Work::Flops(n) => n,
        }
    }

    /// The unit of its rate: `bytes`, `items`, `tokens` or `flops`.
    pub const fn unit(self) -> &'static str {
        match self {
            Work::Bytes(_) => "bytes",
            Work::Items(_) => "items",
            Work::Tokens(_) => "tokens",
            Work::Flops(_) => "flops",
        }
    }

    /// Amount per second; `None` when no time passed.
    pub fn rate(self, time: Nanos) -> Option<f64> {
        (time > Nanos::ZERO).then(|| self.amount() as f64 / time.as_secs_f64())
    }

    /// The rate as people write it: `2.41 GB/s`, `138 GFLOP/s`, `412 tokens/s`; decimal prefixes, as data sheets do.
    pub fn display_rate(self, per_second: f64) -> String {
        let (value, prefix) = match per_second {
            v if v >= 999.5e9 => (v / 1e12, "T"),
            v if v >= 999.5e6 => (v / 1e9, "G"),
            v if v >= 999.5e3 => (v / 1e6, "M"),
            v if v >= 99_950.0 => (v / 1e3, "k"),
            v => (v, ""),
        };
        let digits = if value >= 99.95 {
            0
        } else if value >= 9.995 {
            1
        } else {
            2
        };
        match self {
            Work::Bytes(_) => format!("{value:.digits$} {prefix}B/s"),
            Work::Flops(_) => format!("{value:.digits$} {prefix}FLOP/s"),
            Work::Items(_) => format!("{value:.digits$} {prefix}items/s"),
            Work::Tokens(_) => format!("{value:.digits$} {prefix}tokens/s"),
        }
    }
}

/// What bounds a phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LimitKind {
    /// Raw O_DIRECT read of the model's files at the best queue depth, into fresh memory.
    DirectRead,
    /// Raw read of the model's files from the page cache, into fresh memory.
    CachedRead,
    /// Raw read of the model's files from the page cache into a ring of pinned memory that is made beforehand: what a load to a
    /// device with memory of its own can read at most where the CPU copies at all.
    CachedReadStaged,
    /// Reading a touched buffer that no cache holds, with all cores.
    MemoryRead,
    /// Copy between two touched buffers with all cores: bytes copied per second.
    Memcpy,
    /// Copy into fresh memory with all cores: first touch included.
    MemcpyFresh,
    /// Matrix products on the device, for each number format of `dtype=`. Host: 1024 × 1024 × 1024 in f32 with all cores.
    /// CUDA: square products of `edge=`, as large as pays.
    Gemm,
    /// gzip decompression on one core: unpacked bytes per second.
    InflateGzip,
    /// zstd decompression on one core: unpacked bytes per second.
    InflateZstd,
    /// SHA-256 on one core, as an engine verifies layers.
    Sha256,
    /// Copy from pinned host memory to the device, over the best of several chunk sizes and numbers of streams.
    HostToDevice,
    /// Copy from the device to pinned host memory, likewise.
    DeviceToHost,
    /// Copy within device memory: bytes read and bytes written, added up, per second.
    DeviceCopy,
    /// Reading device memory that no cache holds: what a decode step of one sequence is bound by.
    DeviceRead,
}

impl LimitKind {
    /// The name in JSON and tables.
    pub const fn name(self) -> &'static str {
        match self {
            LimitKind::DirectRead => "direct_read",
            LimitKind::CachedRead => "cached_read",
            LimitKind::CachedReadStaged => "cached_read_staged",
            LimitKind::MemoryRead => "memory_read",
            LimitKind::Memcpy => "memcpy",
            LimitKind::MemcpyFresh => "memcpy_fresh",
            LimitKind::Gemm => "gemm",
            LimitKind::InflateGzip => "inflate_gzip",
            LimitKind::InflateZstd => "inflate_zstd",
            LimitKind::Sha256 => "sha256",
            LimitKind::HostToDevice => "host_to_device",
            LimitKind::DeviceToHost => "device_to_host",
            LimitKind::DeviceCopy => "device_copy",
            LimitKind::DeviceRead => "device_read",
        }
    }
}

impl fmt::Display for LimitKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A limit as it was measured in this run: every reading kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LimitMeasurement {
    /// Which limit.
    pub kind: LimitKind,
    /// How the best reading was taken, such as `block=4MiB,depth=8`.
    pub params: Params,
    /// The work of each reading.
    pub work: Work,
    /// The readings, or why there are none.
    pub outcome: Outcome,
}

/// What the hardware allows for some work: the best reading of the limit in this run, scaled to that work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Limit {
    /// Which limit.
    pub kind: LimitKind,
    /// The work, in the unit of the measurement that it bounds.
    pub work: Work,
    /// The least time in which the hardware does that work.
    pub best_ns: Nanos,
}

impl Limit {
    /// The limit's rate in `work`'s unit per second.
    pub fn rate(&self) -> Option<f64> {
        self.work.rate(self.best_ns)
    }

    /// Achieved ÷ limit for `work` done in `time`. `None` when the units differ or no time passed.
    pub fn achieved(&self, work: Work, time: Nanos) -> Option<f64> {
        (work.unit() == self.work.unit()).then_some(())?;
        Some(work.rate(time)? / self.rate()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn achieved_is_a_ratio_of_rates() {
        let limit = Limit {
            kind: LimitKind::DirectRead,
            work: Work::Bytes(Bytes::new(1_000)),
            best_ns: Nanos::from_nanos(500),
        };
        assert_eq!(limit.achieved(Work::Bytes(Bytes::new(2_000)), Nanos::from_nanos(2_000)), Some(0.5));
        assert_eq!(limit.achieved(Work::Tokens(1), Nanos::from_nanos(1)), None);
        assert_eq!(limit.achieved(Work::Bytes(Bytes::new(1)), Nanos::ZERO), None);
    }

    #[test]
    fn rates_have_decimal_prefixes() {
        let bytes = Work::Bytes(Bytes::ZERO);
        assert_eq!(bytes.display_rate(2.414e9), "2.41 GB/s");
        assert_eq!(Work::Flops(1).display_rate(137.6e9), "138 GFLOP/s");
        assert_eq!(Work::Tokens(1).display_rate(412.3), "412 tokens/s");
        assert_eq!(Work::Tokens(1).display_rate(41_230.0), "41230 tokens/s");
    }
}
