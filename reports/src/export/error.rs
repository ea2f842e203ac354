//! Why a profile can't be written in another tool's format.

use coldstart_profiles::{Outcome, Phase, Profile};

/// Why an export was refused. Messages complete "failed to …".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    /// The target needs a phase that the profile has no measurement of.
    #[error(
        "export {profile} as {target}: it has no `{phase}` ({why}): measure it with `coldstart run --phases {phase}`"
    )]
    MissingPhase {
        /// The target's name.
        target: &'static str,
        /// The profile's name.
        profile: String,
        /// What is missing.
        phase: Phase,
        /// What the profile says about it.
        why: String,
    },
    /// The target needs something of a phase that the profile's measurements of it do not hold.
    #[error("export {profile} as {target}: too little is known of its `{phase}`: {why}")]
    Lacks {
        /// The target's name.
        target: &'static str,
        /// The profile's name.
        profile: String,
        /// The phase.
        phase: Phase,
        /// What is missing, and after a colon what would measure it.
        why: String,
    },
    /// The target is made of a plan.
    #[error(
        "export a profile as {target}: it is made of a plan: give the JSON that `coldstart plan --json` prints"
    )]
    TakesPlan {
        /// The target's name.
        target: &'static str,
    },
    /// The target is made of profiles.
    #[error("export a plan as {target}: it is made of a profile: give one that `coldstart run` wrote")]
    TakesProfile {
        /// The target's name.
        target: &'static str,
    },
    /// The target needs a name or address of the cluster.
    #[error("export as {target}: it needs a name that no profile holds: give {flag}")]
    NeedsFlag {
        /// The target's name.
        target: &'static str,
        /// The flag, with an example.
        flag: &'static str,
    },
    /// A name that the consumer would refuse.
    #[error("export as {target}: `{given}` is no {what}: {flag} takes {rule}")]
    BadName {
        /// The target's name.
        target: &'static str,
        /// The flag that it was given with.
        flag: &'static str,
        /// What was given.
        given: String,
        /// What it should be.
        what: &'static str,
        /// What that looks like.
        rule: &'static str,
    },
    /// The profile has no measurement at all.
    #[error("export {profile} as {target}: nothing was measured in it: measure with `coldstart run`")]
    Empty {
        /// The target's name.
        target: &'static str,
        /// The profile's name.
        profile: String,
    },
    /// The target describes one profile.
    #[error("export {given} profiles as {target}: it holds one: give one at a time")]
    TakesOne {
        /// The target's name.
        target: &'static str,
        /// How many were given.
        given: usize,
    },
    /// Two things that the target could not tell apart.
    #[error("export as {target}: it would hold `{what}` twice: {remedy}")]
    Twice {
        /// The target's name.
        target: &'static str,
        /// What there are two of.
        what: String,
        /// How to avoid that.
        remedy: &'static str,
    },
    /// A rule of the consumer that can't be met.
    #[error("export {profile} as {target}: {why}")]
    Refused {
        /// The target's name.
        target: &'static str,
        /// The profile's name.
        profile: String,
        /// Which rule, and after a colon what would help.
        why: String,
    },
}

impl ExportError {
    /// That `target` needs `phase`, with what the profile says about why it is not there.
    pub fn missing(target: &'static str, (name, profile): (&str, &Profile), phase: Phase) -> Self {
        let told = profile.of_phase(phase).find_map(|row| match &row.outcome {
            Outcome::Skipped { why } => Some(format!("skipped: {}", cut(why))),
            Outcome::Failed { why } => Some(format!("failed: {}", cut(why))),
            Outcome::Measured { .. } => None,
        });
        let skipped = || {
            let all = profile.plan.skipped.iter().chain(&profile.skipped);
            let told = all.filter(|skipped| skipped.phase == phase).map(|skipped| cut(&skipped.why));
            told.map(|why| format!("skipped: {why}")).next()
        };
        ExportError::MissingPhase {
            target,
            profile: cut(name),
            phase,
            why: told.or_else(skipped).unwrap_or_else(|| "it was not asked for".to_owned()),
        }
    }
}

/// Text of a profile or path for an error message: harmless on a terminal, and short.
pub(super) fn cut(text: &str) -> String {
    crate::style::PLAIN.clean(text)
}
