//! The profile: everything that one run found out, and nothing that it did not.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ceiling::Ceiling;
use crate::format::FormatVersion;
use crate::measurement::{Measurement, Outcome};
use crate::phase::Phase;
use crate::plan::{Plan, SkippedPhase};
use crate::product::Product;
use crate::target::Target;
use crate::telemetry::Telemetry;
use crate::throughput::{Fits, ThroughputPoint, ThroughputTrial};
use crate::trace::{TotalKind, Trace};
use crate::units::Nanos;
use crate::warm_up::{TrialsAgreement, WarmUpCurve};
use crate::work::LimitMeasurement;
use crate::{Key, Params};

/// The program that wrote a profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tool {
    /// `coldstart`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The version of the measuring method: results of different versions are not compared.
    pub method: u32,
}

/// How far a run came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Steps are left; the file is what is known so far. `coldstart run --resume` continues it.
    Partial,
    /// The user stopped it. `coldstart run --resume` continues it.
    Interrupted,
    /// Every step was done.
    Complete,
}

/// One run on one machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Profile {
    /// The version of this format.
    pub format: FormatVersion,
    /// What wrote it.
    pub tool: Tool,
    /// When the run began (RFC 3339, UTC).
    pub started_at: String,
    /// Time spent on steps so far, over all sittings of a resumed run.
    pub elapsed_ns: Nanos,
    /// How far it came.
    pub state: RunState,
    /// Ids of the plan's steps that are done, whatever came out.
    pub done: Vec<String>,
    /// What was measured, and on what.
    pub target: Target,
    /// What was decided before the run.
    pub plan: Plan,
    /// Whether the machine was fit to be measured.
    pub fitness: Fitness,
    /// What turned out not to be measurable during the run, beside what the plan leaves out.
    pub skipped: Vec<SkippedPhase>,
    /// What this machine can't do at all: rows that would otherwise be missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<Refused>,
    /// Every trial, load and pull, with all of its readings.
    pub traces: Vec<Trace>,
    /// Every phase under every condition: the traces' readings by key, and the sweep.
    pub measurements: Vec<Measurement>,
    /// Totals of the traces that cover a whole cold start.
    pub totals: Vec<Total>,
    /// What the hardware allows.
    pub limits: Vec<LimitMeasurement>,
    /// What the device was sold as: theoretical lines above the limits.
    #[serde(default)]
    pub ceilings: Vec<Ceiling>,
    /// The warm-up of every whole trial, with its raw curve.
    pub warm_up: Vec<WarmUpCurve>,
    /// Whether the trials warmed up alike; `null` before the first.
    pub warm_up_agreement: Option<TrialsAgreement>,
    /// Rates of the sweep's points.
    pub throughput: Vec<ThroughputPoint>,
    /// The steady state of single processes, which the sweep's one process can't show the spread of.
    #[serde(default)]
    pub throughput_trials: Vec<ThroughputTrial>,
    /// Which implementation ran which matrix product in trials and in the sweep; empty on devices with only one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub products: Vec<Product>,
    /// Service times as functions of batch and tokens.
    pub fits: Fits,
    /// What the GPU's management library said during the run.
    #[serde(default)]
    pub telemetry: Telemetry,
    /// What a reader must know before trusting a number.
    pub caveats: Vec<Caveat>,
}

/// A measurement that the machine refused, whatever is measured with it: page-locking a mapping, for instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Refused {
    /// What would have been measured.
    pub key: Key,
    /// What the machine said.
    pub why: String,
}

/// The total of whole cold starts under one condition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Total {
    /// Which phases it chains.
    pub kind: TotalKind,
    /// Conditions of the traces.
    pub params: Params,
    /// The phase at whose end the clock stopped.
    pub ends_with: Phase,
    /// Totals of the trials.
    pub outcome: Outcome,
}

/// What may have disturbed the run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Fitness {
    /// Load average over a minute, before the first step; `null` where the kernel shows none.
    pub load_average_before: Option<f64>,
    /// The same after the last step.
    pub load_average_after: Option<f64>,
    /// A fixed copy and a fixed product, before and after the run.
    pub canary: Vec<CanaryReading>,
    /// Who had the run's processors while it measured; `null` where the kernel does not show it.
    #[serde(default)]
    pub contention: Option<Contention>,
}

/// Processor time during the measuring steps, over those processors that the run could use. Steps in which a container engine works for
/// the run are not watched: its processes would count as others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Contention {
    /// How many processors were watched.
    pub processors: u32,
    /// All of it: processors times the time that went by.
    pub watched_ns: Nanos,
    /// Time in which processes ran, the run's own among them; without interrupts.
    pub busy_ns: Nanos,
    /// Time of the run's own processes.
    pub own_ns: Nanos,
    /// Time that a hypervisor gave to others while processes wanted to run; zero where it does not tell.
    pub stolen_ns: Nanos,
}

impl Contention {
    /// Both spans together.
    #[must_use]
    pub fn plus(self, other: Contention) -> Contention {
        Contention {
            processors: self.processors.max(other.processors),
            watched_ns: self.watched_ns.saturating_add(other.watched_ns),
            busy_ns: self.busy_ns.saturating_add(other.busy_ns),
            own_ns: self.own_ns.saturating_add(other.own_ns),
            stolen_ns: self.stolen_ns.saturating_add(other.stolen_ns),
        }
    }

    /// The share of the time, 0 to 1, that processes of others had; `None` where under five seconds went by: the kernel counts in
    /// steps of 10 ms, and what it counts for all processes it finds by looking at each step.
    pub fn others(&self) -> Option<f64> {
        self.share(self.busy_ns.saturating_sub(self.own_ns))
    }

    /// How many processors the run had on average; `None` as for [`others`](Self::others).
    pub fn own_processors(&self) -> Option<f64> {
        Some(self.share(self.own_ns)? * f64::from(self.processors))
    }

    /// The share of the time, 0 to 1, that a hypervisor gave to others; `None` as for [`others`](Self::others).
    pub fn stolen(&self) -> Option<f64> {
        self.share(self.stolen_ns)
    }

    fn share(&self, part: Nanos) -> Option<f64> {
        let watched = self.watched_ns.as_secs_f64();
        (self.processors > 0 && watched / f64::from(self.processors) >= 5.0)
            .then(|| (part.as_secs_f64() / watched).min(1.0))
    }
}

/// One reading of the canary: work that is the same in every run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CanaryReading {
    /// `before` or `after`.
    pub when: String,
    /// 64 MiB copied between touched buffers, best of several.
    pub copy_ns: Nanos,
    /// A product of 512 × 512 × 512 in f32, best of several.
    pub gemm_ns: Nanos,
}

/// What a reader must know before trusting a number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Caveat {
    /// Stable name for programs, such as `limit_not_tight`.
    pub code: String,
    /// The sentence for people.
    pub text: String,
}

impl Profile {
    /// A run that is about to begin: nothing is measured yet.
    pub fn begin(tool: Tool, started_at: String, target: Target, plan: Plan) -> Self {
        Profile {
            format: FormatVersion::CURRENT,
            tool,
            started_at,
            elapsed_ns: Nanos::ZERO,
            state: RunState::Partial,
            done: Vec::new(),
            target,
            plan,
            fitness: Fitness::default(),
            skipped: Vec::new(),
            refused: Vec::new(),
            traces: Vec::new(),
            measurements: Vec::new(),
            totals: Vec::new(),
            limits: Vec::new(),
            ceilings: Vec::new(),
            warm_up: Vec::new(),
            warm_up_agreement: None,
            throughput: Vec::new(),
            throughput_trials: Vec::new(),
            products: Vec::new(),
            fits: Fits::default(),
            telemetry: Telemetry::default(),
            caveats: Vec::new(),
        }
    }

    /// The measurement under `key`.
    pub fn measurement(&self, key: &Key) -> Option<&Measurement> {
        self.measurements.iter().find(|measurement| measurement.key == *key)
    }

    /// All measurements of a phase.
    pub fn of_phase(&self, phase: Phase) -> impl Iterator<Item = &Measurement> {
        self.measurements.iter().filter(move |measurement| measurement.key.phase == phase)
    }

    /// Adds a caveat once.
    pub fn caveat(&mut self, code: &str, text: impl Into<String>) {
        let caveat = Caveat { code: code.to_owned(), text: text.into() };
        if !self.caveats.contains(&caveat) {
            self.caveats.push(caveat);
        }
    }
}
