//! What a verdict says of itself: who judged what, when, and by what.

use coldstart_profiles::{Profile, Tool};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::comparable::cut;
use super::recording::machine;
use super::verdict::Gate;

/// The version of the verdict's format that this program writes.
pub const VERDICT_VERSION: u32 = 1;

/// Who asks a gate, when, and by which names: nothing is decided by it, but the ages of baseline and calibration are told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Asked {
    /// The program.
    pub tool: Option<Tool>,
    /// When (RFC 3339, UTC).
    pub at: Option<String>,
    /// Names of the baseline's profiles, in their order; what has none is numbered.
    pub baseline: Vec<String>,
    /// Names of the new side's profiles.
    pub new: Vec<String>,
    /// Name of the rules.
    pub rules: Option<String>,
    /// Name of the policy.
    pub policy: Option<String>,
}

/// The name of one profile of a side, for a sentence; what has none is numbered.
pub(super) fn name_of(names: &[String], at: usize) -> String {
    names.get(at).map_or_else(|| format!("number {}", at + 1), |name| cut(name.clone()))
}

/// What was judged, against what, by what.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Sources {
    /// Profiles of the baseline.
    pub baseline: Vec<SourceProfile>,
    /// Profiles that were judged.
    pub new: Vec<SourceProfile>,
    /// The rules file; `null` without one: thresholds by phase, or the policy's.
    pub rules: Option<String>,
    /// The policy; `null` without one.
    pub policy: Option<SourcePolicy>,
}

/// A profile that took part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SourceProfile {
    /// Its file as it was given, or the command that made it.
    pub name: String,
    /// When its run began (RFC 3339, UTC).
    pub started_at: String,
    /// What wrote it.
    pub tool: Tool,
    /// The machine: processor, cores, device.
    pub machine: String,
    /// The model; `null` where none was loaded.
    pub model: Option<String>,
    /// Fresh processes for each cold measurement.
    pub trials: u32,
    /// Whether it is the short form of a run.
    pub quick: bool,
}

/// The policy that took part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SourcePolicy {
    /// Its file as it was given.
    pub name: String,
    /// When the newest of its runs began (RFC 3339, UTC).
    pub calibrated_at: String,
    /// How many runs it rests on.
    pub runs: usize,
    /// The machine that it was made on.
    pub machine: String,
}

impl Sources {
    pub(super) fn of(gate: &Gate<'_>) -> Sources {
        let profiles = |side: &str, profiles: &[&Profile], names: &[String]| {
            let named = profiles.iter().enumerate().map(|(at, profile)| {
                let name = names.get(at).cloned().unwrap_or_else(|| format!("{side} {}", at + 1));
                SourceProfile::of(profile, name)
            });
            named.collect()
        };
        let asked = gate.asked;
        Sources {
            baseline: profiles("baseline", gate.baseline, &asked.baseline),
            new: profiles("new", gate.new, &asked.new),
            rules: asked.rules.clone(),
            policy: gate.policy.map(|policy| SourcePolicy {
                name: asked.policy.clone().unwrap_or_else(|| "policy".to_owned()),
                calibrated_at: policy.calibrated_at.clone(),
                runs: policy.runs,
                machine: policy.machine.clone(),
            }),
        }
    }
}

impl SourceProfile {
    fn of(profile: &Profile, name: String) -> SourceProfile {
        SourceProfile {
            name: cut(name),
            started_at: profile.started_at.clone(),
            tool: profile.tool.clone(),
            machine: machine(profile),
            model: profile.target.model.as_ref().map(|model| cut(model.source.clone())),
            trials: profile.plan.trials,
            quick: profile.plan.quick,
        }
    }
}
