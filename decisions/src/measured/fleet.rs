//! Profiles by the class of their node.

use coldstart_profiles::{Nanos, Phase, Profile, TotalKind};
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
use super::pods::{PodFacts, alike, assign, pulled_bytes_per_s};
use super::service_fit::ServiceFits;
use super::startup::StartupTimes;
use crate::basis::{Basis, Figure, Quantity};

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
    /// The profiles of machines that it rests on.
    pub profiles: Vec<ProfileFacts>,
    /// The pods of a cluster that it rests on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pods: Vec<PodFacts>,
    /// The image; `null` where none was pulled.
    pub image: Option<ImageFacts>,
    /// Bytes per second of the pulls of the pods, where their nodes told the image's size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pulled_bytes_per_s: Option<Figure<f64>>,
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
    /// those of machines in the class of their device: they hold scheduling, the pull and the container as well.
    ///
    /// Pods alone do where the service times and the size of the model are given by hand.
    ///
    /// # Errors
    /// Without a profile, with profiles of several models, with one of a stand-in driver unless that is allowed, and with pods that ran
    /// on a device that no profile is of.
    pub fn of(
        profiles: &[NamedProfile<'_>],
        by_hand: &ByHand,
        allow_stand_in: bool,
    ) -> Result<Fleet, MeasuredError> {
        // Pods of a cluster tell of cold starts and of nothing else: those of machines say the rest.
        let (pods, machines): (Vec<NamedProfile<'_>>, Vec<NamedProfile<'_>>) =
            profiles.iter().copied().partition(|(_, profile)| profile.target.cluster.is_some());
        let Some((first_name, first)) = machines.first() else {
            return Fleet::of_pods(&pods, by_hand);
        };
        if by_hand.weights_bytes.is_some() {
            let why = format!("{first_name} tells the size of its model: leave it out");
            return Err(MeasuredError::ByHand { flag: "--weights", why });
        }
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
        if let Some(error) = machines.iter().find_map(|other| another_model(first_name, &model, *other)) {
            return Err(error);
        }
        let groups = by_class(&machines);
        let classes: Vec<NodeClass> = groups.iter().map(|(class, _)| class.clone()).collect();
        let pods = assign(&pods, &classes)?;
        let classes = groups.into_iter().zip(pods).map(|((class, group), pods)| {
            let of_class = Class { class, machines: group, pods, model: &model };
            of_class.measured(by_hand)
        });
        Ok(Fleet { classes: classes.collect::<Result<_, _>>()?, model: model.clone() })
    }

    /// Of cold starts of pods alone: what else it takes has to be given by hand.
    fn of_pods(pods: &[NamedProfile<'_>], by_hand: &ByHand) -> Result<Fleet, MeasuredError> {
        let (name, first) = pods.first().ok_or(MeasuredError::NoProfile)?;
        let (Some(_), Some(bytes)) = (&by_hand.service, by_hand.weights_bytes) else {
            return Err(MeasuredError::Missing {
                phase: Phase::Throughput,
                why: format!("{name} holds cold starts of pods only"),
                remedy: "give a profile of the model beside it, measured with `coldstart run` on such a node, or the size of the model with \
                         --weights and service times with --assume-batches, or with --assume-prefill and --assume-decode",
            });
        };
        alike(pods)?;
        let model = ModelFacts::of_pods(first, bytes);
        let classes = by_class(pods).into_iter().map(|(class, pods)| {
            let of_class = Class { class, machines: Vec::new(), pods, model: &model };
            of_class.measured(by_hand)
        });
        Ok(Fleet { classes: classes.collect::<Result<_, _>>()?, model: model.clone() })
    }

    /// The names of all profiles, each once.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let machines =
            self.classes.iter().flat_map(|class| &class.profiles).map(|profile| profile.name.as_str());
        let mut pods: Vec<&str> =
            self.classes.iter().flat_map(|class| &class.pods).map(|pods| pods.name.as_str()).collect();
        // Pods may fit several classes.
        pods.sort_unstable();
        pods.dedup();
        machines.chain(pods)
    }

    /// That the cold starts of the classes can't be compared, where they are of different kinds.
    pub fn kinds_differ(&self) -> Option<String> {
        let of = |class: &'_ Measured| Some((class.class.name.clone(), class.cold_starts.first()?.kind?));
        let kinds: Vec<(String, TotalKind)> = self.classes.iter().filter_map(of).collect();
        let (_, first) = kinds.first()?;
        kinds.iter().any(|(_, kind)| kind != first).then(|| {
            let told: Vec<String> =
                kinds.iter().map(|(class, kind)| format!("{class}: of a {}", kind.name())).collect();
            format!(
                "the cold starts of the classes are of different kinds, of which a pod's holds most and a process's least ({}): their \
                 lengths don't compare",
                told.join("; ")
            )
        })
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

/// Profiles by the class of their node, in the order in which each class was first met.
fn by_class<'p>(profiles: &[NamedProfile<'p>]) -> Vec<(NodeClass, Vec<NamedProfile<'p>>)> {
    let mut groups: Vec<(NodeClass, Vec<NamedProfile<'p>>)> = Vec::new();
    for named in profiles {
        let class = NodeClass::of(named.1);
        match groups.iter_mut().find(|(known, _)| known.is(&class)) {
            Some((_, group)) => group.push(*named),
            None => groups.push((class, vec![*named])),
        }
    }
    groups
}

/// That a profile is of another model than the first one; `None` where it is of the same.
fn another_model(
    first: &str,
    model: &ModelFacts,
    (name, profile): NamedProfile<'_>,
) -> Option<MeasuredError> {
    let other = ModelFacts::of(profile);
    if other.as_ref().is_some_and(|other| other.header_sha256 == model.header_sha256) {
        return None;
    }
    // Files may lie under one name, and be of two models.
    let one_name = other.as_ref().is_some_and(|other| other.source == model.source);
    let told = |of: &ModelFacts| match one_name {
        true => {
            format!("{} with headers {}", of.source, of.header_sha256.get(..12).unwrap_or(&of.header_sha256))
        }
        false => of.source.clone(),
    };
    Some(MeasuredError::SeveralModels {
        first: first.to_owned(),
        first_model: told(model),
        other: name.to_owned(),
        other_model: other.as_ref().map_or_else(|| "no model".to_owned(), told),
    })
}

/// The profiles of one class.
struct Class<'p, 'm> {
    class: NodeClass,
    machines: Vec<NamedProfile<'p>>,
    pods: Vec<NamedProfile<'p>>,
    model: &'m ModelFacts,
}

impl Class<'_, '_> {
    fn measured(self, by_hand: &ByHand) -> Result<Measured, MeasuredError> {
        let profiles: Vec<&Profile> = self.machines.iter().map(|(_, profile)| *profile).collect();
        let facts = self.pods.iter();
        let facts =
            facts.filter_map(|(name, pods)| PodFacts::of(name, pods, &self.class, self.model, &profiles));
        let pods: Vec<PodFacts> = facts.collect();
        let cold_starts = self.cold_starts(&profiles, &pods, by_hand);
        let of_pods: Vec<&Profile> = self.pods.iter().map(|(_, profile)| *profile).collect();
        let memory = MemoryFacts::of(if profiles.is_empty() { &of_pods } else { &profiles }, by_hand);
        let no_cold_start = match cold_starts.is_empty() {
            false => String::new(),
            true => why_missing(&profiles, Phase::WeightsLoad),
        };
        Ok(Measured {
            class: self.class,
            profiles: self.machines.iter().map(|(name, profile)| ProfileFacts::of(name, profile)).collect(),
            pods,
            image: ImageFacts::of(&profiles),
            pulled_bytes_per_s: pulled_bytes_per_s(&of_pods),
            cold_starts,
            no_cold_start,
            service: ServiceFits::of(&profiles),
            memory: memory.ok_or(MeasuredError::NoProfile)?,
            loads: load_rates(&profiles),
            startup: StartupTimes::of(&profiles),
            limits: limits(&profiles),
        })
    }

    /// Those of pods first, since they hold all that a cluster adds; then those of machines by their storage.
    fn cold_starts(&self, machines: &[&Profile], pods: &[PodFacts], by_hand: &ByHand) -> Vec<ColdStart> {
        let mut storages: Vec<String> = Vec::new();
        for storage in machines.iter().map(|profile| storage_of(profile)) {
            if !storages.contains(&storage) {
                storages.push(storage);
            }
        }
        let of_pods: Vec<&Profile> = self.pods.iter().map(|(_, profile)| *profile).collect();
        let of_cluster = ColdStart::of(&of_pods, IN_CLUSTER, by_hand).filter(|_| !of_pods.is_empty());
        let of_cluster = of_cluster.map(|cold| cold.of_pods(pods));
        let on_machines = storages.iter().filter_map(|storage| {
            let of: Vec<&Profile> =
                machines.iter().copied().filter(|profile| storage_of(profile) == *storage).collect();
            ColdStart::of(&of, storage, by_hand)
        });
        of_cluster.into_iter().chain(on_machines).collect()
    }
}

impl Measured {
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

    /// The cold start that tells how weights are loaded: this one, or of pods, which don't tell, the first that machines of the class had.
    pub fn loading<'m>(&'m self, cold: &'m ColdStart) -> &'m ColdStart {
        let on_machines =
            self.cold_starts.iter().find(|other| other.kind.is_some_and(|kind| kind != TotalKind::Pod));
        match cold.kind {
            Some(TotalKind::Pod) => on_machines.unwrap_or(cold),
            _ => cold,
        }
    }

    /// The load of weights within a cold start. Pods don't tell it from the rest of their readiness: it is taken to be as long as on
    /// machines of the class, and no longer than the readiness. `None` where nothing of it is known.
    pub fn load_within(&self, cold: &ColdStart) -> Option<Figure<Nanos>> {
        let own = cold.part(Phase::WeightsLoad).map(|part| part.median_ns.clone());
        let (None, Some(readiness)) = (&own, cold.part(Phase::Readiness)) else { return own };
        let machine = self.loading(cold).part(Phase::WeightsLoad).map(|part| &part.median_ns);
        let alone = self.loads.iter().filter(|load| load.page_cache == "cold").map(|load| &load.median_ns);
        let load = machine.or_else(|| alone.min_by_key(|load| load.value))?;
        let basis = Basis::of("min(load on a machine of the class, readiness of the pods)")
            .input("load on a machine of the class", Quantity::Nanos(load.value))
            .input("readiness of the pods", Quantity::Nanos(readiness.median_ns.value))
            .resting_on(&load.basis)
            .resting_on(&readiness.median_ns.basis)
            .caveat("pods don't tell how long their weights take: their engine may load them slower than coldstart does");
        Some(Figure::new(load.value.min(readiness.median_ns.value), basis))
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
