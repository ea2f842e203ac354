//! What would make cold starts shorter, or their length matter less: the predicted cold start, its price, and the warm replicas
//! that are then needed.
//!
//! A mitigation takes times out of the measured cold start or exchanges them for other measured ones. One that needs a
//! measurement that is not there is not guessed at: it says which ([`Effect::Lacking`]).

mod predict;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;

use coldstart_profiles::{Nanos, Phase};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::basis::{Basis, Figure, Quantity};
use crate::cluster::{ClusterFacts, Prices};
use crate::measured::{ColdStart, Measured};

use predict::{Found, Lack, predict};

/// Hours of a month: 365 × 24 ÷ 12.
const HOURS_PER_MONTH: f64 = 730.0;

/// A way to make cold starts shorter, or their length matter less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MitigationKind {
    /// Replicas that are ready before the traffic is: it waits for no cold start.
    WarmStandby,
    /// The image with half of its bytes.
    SmallerImage,
    /// The image's layers compressed with zstd instead of gzip.
    ZstdImage,
    /// Weights in the page cache of the node before the replica starts.
    PreloadedStorage,
    /// Processes that wait with image, driver and context, and without weights.
    PreWarmedPool,
    /// The driver's cache of compiled kernels kept in the image or on the node.
    KeptJitCache,
    /// Reading the weights while driver and context come up.
    OverlapReadAndContext,
}

impl MitigationKind {
    /// Every kind.
    pub const ALL: [MitigationKind; 7] = [
        MitigationKind::WarmStandby,
        MitigationKind::SmallerImage,
        MitigationKind::ZstdImage,
        MitigationKind::PreloadedStorage,
        MitigationKind::PreWarmedPool,
        MitigationKind::KeptJitCache,
        MitigationKind::OverlapReadAndContext,
    ];

    /// The name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            MitigationKind::WarmStandby => "warm_standby",
            MitigationKind::SmallerImage => "smaller_image",
            MitigationKind::ZstdImage => "zstd_image",
            MitigationKind::PreloadedStorage => "preloaded_storage",
            MitigationKind::PreWarmedPool => "pre_warmed_pool",
            MitigationKind::KeptJitCache => "kept_jit_cache",
            MitigationKind::OverlapReadAndContext => "overlap_read_and_context",
        }
    }
}

/// One mitigation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Mitigation {
    /// Which.
    pub kind: MitigationKind,
    /// What it brings, or what is missing to say so.
    pub effect: Effect,
}

/// What a mitigation brings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Effect {
    /// It can be predicted.
    Predicted(Box<Prediction>),
    /// A measurement is missing.
    Lacking {
        /// Of which phase.
        phase: Phase,
        /// Why it is not there, and what would measure it.
        why: String,
    },
    /// It would change nothing here.
    Nothing {
        /// Why.
        why: String,
    },
}

/// What a mitigation is predicted to bring.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Prediction {
    /// The cold start that a request then waits for.
    pub cold_start_ns: Figure<Nanos>,
    /// By how much that is shorter.
    pub saves_ns: Figure<Nanos>,
    /// What it costs besides in a month.
    pub cost: Cost,
    /// Warm replicas beyond those that the present load needs, at C_hi less what is saved; `null` where no traffic was given.
    pub standby: Option<Figure<u32>>,
    /// Seconds of cold start saved for each unit of money in a month; `null` of what costs nothing or has no price.
    pub saves_s_per_cost: Option<Figure<f64>>,
}

/// What a mitigation costs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Cost {
    /// Nothing besides the work of making it.
    Free,
    /// So much in a month, in the currency of the prices.
    PerMonth {
        /// The price.
        amount: Figure<f64>,
    },
    /// A price is missing.
    Unpriced {
        /// Which, and by which flag it is given.
        why: String,
    },
}

/// What mitigations are judged by.
pub struct Question<'q> {
    /// The class of nodes.
    pub measured: &'q Measured,
    /// Its cold start.
    pub cold_start: &'q ColdStart,
    /// The cluster.
    pub cluster: &'q ClusterFacts,
    /// What things cost.
    pub prices: &'q Prices,
    /// Standby replicas for a cold start; `None` where no traffic was given.
    pub standby_for: &'q dyn Fn(Nanos) -> Option<Figure<u32>>,
}

/// Every mitigation, those first that bring most for their price: free ones by what they save, then the others by what
/// they save for it, then those without a price, then those that change nothing or can't be predicted.
pub fn mitigations(question: &Question<'_>) -> Vec<Mitigation> {
    let mut all: Vec<Mitigation> = MitigationKind::ALL
        .into_iter()
        .map(|kind| Mitigation { kind, effect: effect(question, kind) })
        .collect();
    all.sort_by(order);
    all
}

fn effect(question: &Question<'_>, kind: MitigationKind) -> Effect {
    let cold = question.cold_start.usual_ns();
    let Found { cold_start_ns, cost } = match predict(question, kind) {
        Ok(found) => found,
        Err(Lack::Measurement { phase, why }) => return Effect::Lacking { phase, why },
        Err(Lack::Effect { why }) => return Effect::Nothing { why },
    };
    let saves_basis = Basis::of("C − the cold start that is then waited for, at least 0")
        .input("C", Quantity::Nanos(cold.value))
        .resting_on(&cold.basis)
        .input("cold start", Quantity::Nanos(cold_start_ns.value))
        .resting_on(&cold_start_ns.basis);
    let saves_ns = Figure::new(cold.value.saturating_sub(cold_start_ns.value), saves_basis);
    let saves_s_per_cost = match &cost {
        Cost::PerMonth { amount } if amount.value > 0.0 => {
            let basis = Basis::of("seconds saved ÷ cost of a month")
                .input("saved", Quantity::Nanos(saves_ns.value))
                .resting_on(&saves_ns.basis)
                .input("cost of a month", Quantity::Number(amount.value))
                .resting_on(&amount.basis);
            Some(Figure::new(saves_ns.value.as_secs_f64() / amount.value, basis))
        }
        _ => None,
    };
    let standby = standby(question, kind, &saves_ns);
    Effect::Predicted(Box::new(Prediction { cold_start_ns, saves_ns, cost, standby, saves_s_per_cost }))
}

/// The standby that is then needed: of the cold start that the plan itself rests on, C_hi, less what is saved.
fn standby(question: &Question<'_>, kind: MitigationKind, saves: &Figure<Nanos>) -> Option<Figure<u32>> {
    let hi = &question.cold_start.hi_ns;
    // A standby does not change how long a replica takes, only who waits for it.
    let saved = if kind == MitigationKind::WarmStandby { Nanos::ZERO } else { saves.value };
    let Figure { value, basis } = (question.standby_for)(hi.value.saturating_sub(saved))?;
    let formula = format!("{}; C = C_hi − saved", basis.formula);
    let basis = Basis { formula, ..basis }
        .input("C_hi", Quantity::Nanos(hi.value))
        .input("saved", Quantity::Nanos(saved))
        .resting_on(&hi.basis)
        .resting_on(&saves.basis);
    Some(Figure::new(value, basis))
}

fn order(a: &Mitigation, b: &Mitigation) -> Ordering {
    place(a).cmp(&place(b)).then_with(|| by_benefit(a, b)).then(a.kind.cmp(&b.kind))
}

fn place(mitigation: &Mitigation) -> u8 {
    match &mitigation.effect {
        Effect::Predicted(prediction) => match prediction.cost {
            Cost::Free => 0,
            Cost::PerMonth { .. } => 1,
            Cost::Unpriced { .. } => 2,
        },
        Effect::Nothing { .. } => 3,
        Effect::Lacking { .. } => 4,
    }
}

/// Of two in one place; the larger benefit first.
fn by_benefit(a: &Mitigation, b: &Mitigation) -> Ordering {
    let benefit = |mitigation: &Mitigation| match &mitigation.effect {
        Effect::Predicted(prediction) => {
            let per_cost = prediction.saves_s_per_cost.as_ref().map(|figure| figure.value);
            per_cost.unwrap_or_else(|| prediction.saves_ns.value.as_secs_f64())
        }
        Effect::Nothing { .. } | Effect::Lacking { .. } => 0.0,
    };
    benefit(b).total_cmp(&benefit(a))
}
