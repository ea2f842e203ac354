//! The coldstart profile format, and all arithmetic on it.
//!
//! No clock, GPU, Docker or network is touched here: profiles come in, numbers come out.

#![forbid(unsafe_code)]

mod assemble;
mod benchmark;
mod ceiling;
mod cluster;
mod distribution;
mod doctor;
mod error;
pub mod exit;
mod file;
mod format;
mod key;
mod load;
mod measurement;
mod mistaken;
mod phase;
mod plan;
mod product;
mod profile;
mod pull;
mod samples;
mod schema;
mod self_test;
mod startup;
pub mod stats;
mod summary;
mod sweep;
mod target;
mod telemetry;
mod text;
mod throughput;
mod trace;
mod typical;
mod units;
pub mod warm_up;
mod waterfall;
mod work;

pub use assemble::LOOSE;
pub use benchmark::Benchmark;
pub use ceiling::{Ceiling, CeilingHeight};
pub use cluster::{ClusterTarget, LeftOutPod, ObservedDetail};
pub use distribution::Distribution;
pub use doctor::{Check, CheckStatus, DoctorReport};
pub use error::{ProfileError, remedy_of_links, remedy_of_reading};
pub use file::{write_atomic, write_directory};
pub use format::FormatVersion;
pub use key::{Clock, Key, Params};
pub use load::{
    AbsentPart, COLD_RESIDENCY_LIMIT, DeviceLoad, LoadDetail, PageCache, Residency, ResidencyMethod,
    TogetherDetail,
};
pub use measurement::{Measurement, Outcome};
pub use phase::Phase;
pub use plan::{
    DeviceProbe, ForwardMode, ForwardPlan, ImageSpec, ModelSpec, Plan, Probe, SkippedPhase, Step, StepKind,
    SweepPoint, SyntheticImage,
};
pub use product::{Product, ProductGroup};
pub use profile::{CanaryReading, Caveat, Contention, Fitness, Profile, Refused, RunState, Tool, Total};
pub use pull::{
    ContainerDetail, ExtractBound, InflateDetail, Interval, LayerDetail, LayerStatus, PullDetail,
    PullDialect, PullSource, PullStage, SizesFrom, StageTimes,
};
pub use samples::{Mark, Samples};
pub use schema::profile_schema;
pub use self_test::{SelfTestLine, SelfTestReport, SelfTestStatus};
pub use startup::{DriverConditions, DriverDetail, JitCache, ModuleDetail, ModuleLoading};
pub use summary::{Summary, Withheld, summarize};
pub use sweep::{FittedAt, Knee, SteadyProcesses, SweepSeries};
pub use target::{DeviceTarget, EngineTarget, HostTarget, ImageSource, ImageTarget, ModelTarget, Target};
pub use telemetry::{
    ClockEvent, ClockEventCount, DriverState, Energy, EnergySource, GpuFacts, GpuLook, GpuProcess, PcieLink,
    Spread, THROTTLED_LIMIT, Telemetry, TelemetryOverview, TelemetrySample, TelemetryScope, TelemetrySummary,
    TelemetryTimeline, TelemetryWindow, Unread, WindowKind, pcie_bytes_per_s, summarize_telemetry,
    throttle_marks,
};
pub use text::{decoded, read_text, utf_16_without_mark, without_mark};
pub use throughput::{EncodeFit, Fit, Fits, Replay, ThroughputPoint, ThroughputTrial};
pub use trace::{AllocDetail, Detail, Reading, Scope, TotalKind, Trace, TraceEnd};
pub use typical::LoadParts;
pub use units::{Bytes, Nanos};
pub use warm_up::{
    StopLimits, StopReason, StopRule, TrialsAgreement, WarmUpAnalysis, WarmUpClass, WarmUpCurve,
};
pub use waterfall::{Waterfall, WaterfallPart};
pub use work::{Limit, LimitKind, LimitMeasurement, Work};
