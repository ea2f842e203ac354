//! Profiles by the class of their node.

use coldstart_profiles::{Phase, Profile};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::by_hand::ByHand;
use super::cold_start::ColdStart;
use super::error::MeasuredError;
use super::facts::{
    ImageFacts, LimitRate, ModelFacts, NodeClass, ProfileFacts, limits, storage_of, why_missing,
};
use super::load_rate::{LoadRate, load_rates};
use super::memory::MemoryFacts;
use super::service_fit::ServiceFits;
use super::startup::StartupTimes;

/// The storage of cold starts that a cluster has had: its pods don't tell what it was.
const IN_CLUSTER: &str = "cluster";

/// A profile with the name to show it under, such as its file's.
pub type NamedProfile<'a> = (&'a str, &'a Profile);

/// Everything that planning rests on: one model on one or several classes of nodes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Fleet {
    /// The model.
    pub model: ModelFacts,
    /// The classes, in the order in which their first profile was given; never empty.
    pub classes: Vec<Measured>,
}

/// What the profiles of one class of nodes say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Measured {
    /// The class.
    pub class: NodeClass,
    /// The profiles that it rests on.
    pub profiles: Vec<ProfileFacts>,
    /// The image; `null` where none was pulled.
    pub image: Option<ImageFacts>,
    /// Cold starts, by the storage that the weights came from: that of the first profile first. Empty where none was measured
    /// and none given by hand.
    pub cold_starts: Vec<ColdStart>,
    /// Why there is no cold start; empty where there is one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub no_cold_start: String,
    /// Service times over batches and tokens.
    pub service: ServiceFits,
    /// Device memory.
    pub memory: MemoryFacts,
    /// Loads of the weights.
    pub loads: Vec<LoadRate>,
    /// The phases around the load.
    pub startup: StartupTimes,
    /// What the hardware allows.
    pub limits: Vec<LimitRate>,
}

impl Fleet {
    /// Gathers profiles of one model by the class of their node. Cold starts of pods that were imported from a cluster come before
    /// those of machines, in every class: they hold scheduling, the pull and the container as well.
    ///
    /// # Errors
    /// Without a profile, with profiles of several models, and with one of a stand-in driver unless that is allowed.
    pub fn of(
        profiles: &[NamedProfile<'_>],
        by_hand: &ByHand,
        allow_stand_in: bool,
    ) -> Result<Fleet, MeasuredError> {
        // Pods of a cluster tell of cold starts and of nothing else: those of machines say the rest.
        let (pods, machines): (Vec<NamedProfile<'_>>, Vec<NamedProfile<'_>>) =
            profiles.iter().copied().partition(|(_, profile)| profile.target.cluster.is_some());
        let (first_name, first) = match (machines.first(), pods.first()) {
            (Some(first), _) => first,
            (None, None) => return Err(MeasuredError::NoProfile),
            (None, Some((name, _))) => {
                return Err(MeasuredError::Missing {
                    phase: Phase::Throughput,
                    why: format!("{name} holds cold starts of pods only"),
                    remedy: "give a profile of the model beside it, measured with `coldstart run` on such a node",
                });
            }
        };
        if let Some((name, _)) = profiles.iter().find(|(_, profile)| profile.target.device.stand_in)
            && !allow_stand_in
        {
            return Err(MeasuredError::StandIn { name: (*name).to_owned() });
        }
        let model = ModelFacts::of(first).ok_or_else(|| MeasuredError::Missing {
            phase: Phase::WeightsLoad,
            why: format!("{first_name} measured no model"),
            remedy: "measure one with `coldstart run --model DIR`",
        })?;
        for (name, profile) in &machines {
            let other = ModelFacts::of(profile);
            if other.as_ref().is_none_or(|other| other.header_sha256 != model.header_sha256) {
                let other_model = other.map_or_else(|| "no model".to_owned(), |other| other.source);
                return Err(MeasuredError::SeveralModels {
                    first: (*first_name).to_owned(),
                    first_model: model.source.clone(),
                    other: (*name).to_owned(),
                    other_model,
                });
            }
        }
        let mut groups: Vec<(NodeClass, Vec<NamedProfile<'_>>)> = Vec::new();
        for named in &machines {
            let class = NodeClass::of(named.1);
            match groups.iter_mut().find(|(known, _)| known.is(&class)) {
                Some((_, group)) => group.push(*named),
                None => groups.push((class, vec![*named])),
            }
        }
        let classes = groups.into_iter().map(|(class, group)| Measured::of(class, &group, &pods, by_hand));
        Ok(Fleet { model, classes: classes.collect::<Result<_, _>>()? })
    }

    /// The class of this name; the first one without a name.
    ///
    /// # Errors
    /// When no profile is of it.
    pub fn class(&self, name: Option<&str>) -> Result<&Measured, MeasuredError> {
        let found = match name {
            None => self.classes.first(),
            Some(name) => self.classes.iter().find(|measured| measured.class.name == name),
        };
        found.ok_or_else(|| match name {
            None => MeasuredError::NoProfile,
            Some(asked) => MeasuredError::UnknownClass {
                asked: asked.to_owned(),
                known: self.classes.iter().map(|measured| measured.class.name.clone()).collect(),
            },
        })
    }
}

impl Measured {
    fn of(
        class: NodeClass,
        named: &[NamedProfile<'_>],
        pods: &[NamedProfile<'_>],
        by_hand: &ByHand,
    ) -> Result<Self, MeasuredError> {
        let profiles: Vec<&Profile> = named.iter().map(|(_, profile)| *profile).collect();
        let mut storages: Vec<String> = profiles.iter().map(|profile| storage_of(profile)).collect();
        let mut seen = Vec::new();
        storages.retain(|storage| {
            let new = !seen.contains(storage);
            seen.push(storage.clone());
            new
        });
        // What pods took holds all that a cluster adds: it comes first.
        let of_pods: Vec<&Profile> = pods.iter().map(|(_, profile)| *profile).collect();
        let of_cluster = ColdStart::of(&of_pods, IN_CLUSTER, by_hand).filter(|_| !of_pods.is_empty());
        let on_machines = storages.iter().filter_map(|storage| {
            let of: Vec<&Profile> =
                profiles.iter().copied().filter(|profile| storage_of(profile) == *storage).collect();
            ColdStart::of(&of, storage, by_hand)
        });
        let cold_starts: Vec<ColdStart> = of_cluster.into_iter().chain(on_machines).collect();
        let no_cold_start = match cold_starts.is_empty() {
            false => String::new(),
            true => why_missing(&profiles, Phase::WeightsLoad),
        };
        Ok(Measured {
            class,
            profiles: named
                .iter()
                .chain(pods)
                .map(|(name, profile)| ProfileFacts::of(name, profile))
                .collect(),
            image: ImageFacts::of(&profiles),
            cold_starts,
            no_cold_start,
            service: ServiceFits::of(&profiles),
            memory: MemoryFacts::of(&profiles, by_hand).ok_or(MeasuredError::NoProfile)?,
            loads: load_rates(&profiles),
            startup: StartupTimes::of(&profiles),
            limits: limits(&profiles),
        })
    }

    /// The cold start that plans rest on: from the storage of the first profile.
    ///
    /// # Errors
    /// When none was measured and none given by hand: names the phase that is missing.
    pub fn cold_start(&self) -> Result<&ColdStart, MeasuredError> {
        self.cold_starts.first().ok_or_else(|| MeasuredError::Missing {
            phase: Phase::FirstBatch,
            why: format!("no whole cold start was measured; weights_load: {}", self.no_cold_start),
            remedy: "measure all phases with `coldstart run`, or give the cold start with --assume-cold-p99",
        })
    }

    /// Whether every profile is of a run that came to its end.
    pub fn complete(&self) -> bool {
        self.profiles.iter().all(|profile| profile.complete)
    }

    /// Whether any profile is of a stand-in driver.
    pub fn stand_in(&self) -> bool {
        self.profiles.iter().any(|profile| profile.stand_in)
    }
}
