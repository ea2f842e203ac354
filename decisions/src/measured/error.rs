//! Why profiles can't be planned with.

use coldstart_profiles::Phase;

/// Why profiles can't be planned with. Messages complete "failed to …".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MeasuredError {
    /// No profile at all.
    #[error("plan without a profile: give one that `coldstart run` wrote, or a directory of them")]
    NoProfile,
    /// Profiles of several models.
    #[error(
        "plan with profiles of different models: {first} measured {first_model}, {other} measured {other_model}: give profiles of one model"
    )]
    SeveralModels {
        /// The first profile's name.
        first: String,
        /// Its model.
        first_model: String,
        /// The name of one that differs.
        other: String,
        /// Its model.
        other_model: String,
    },
    /// A profile of a stand-in driver.
    #[error(
        "plan with {name}: it was measured on a stand-in driver, so no number means anything: allow it with --allow-stand-in"
    )]
    StandIn {
        /// The profile's name.
        name: String,
    },
    /// A phase that the answer needs was not measured.
    #[error("plan without {phase} ({why}): {remedy}")]
    Missing {
        /// The phase.
        phase: Phase,
        /// Why the profile has none.
        why: String,
        /// What to do.
        remedy: &'static str,
    },
    /// Values given by hand that can't be.
    #[error("use the values of {flag}: {why}")]
    ByHand {
        /// The flag that they are given with.
        flag: &'static str,
        /// What is wrong with them.
        why: String,
    },
    /// A class of nodes that no profile is of.
    #[error("plan for node class `{asked}`: the profiles are of {}", known.join(", "))]
    UnknownClass {
        /// What was asked for.
        asked: String,
        /// What there is.
        known: Vec<String>,
    },
    /// Pods that ran on a device that no profile is of.
    #[error(
        "plan with {name}: its pods ran on {device}, and the profiles are of {}: profile such a node with `coldstart run`, or leave \
         {name} out",
        known.join(", ")
    )]
    PodsElsewhere {
        /// The profile's name.
        name: String,
        /// What the pods ran on.
        device: String,
        /// The classes of the profiles.
        known: Vec<String>,
    },
    /// Pods of several images or models.
    #[error(
        "plan with pods of different kinds: {first} holds those of {first_what}, {other} those of {other_what}: give pods of one"
    )]
    SeveralPods {
        /// The first profile's name.
        first: String,
        /// Its image or model.
        first_what: String,
        /// The name of one that differs.
        other: String,
        /// Its image or model.
        other_what: String,
    },
}
