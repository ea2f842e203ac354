//! From the objects of a cluster to a profile.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use coldstart_profiles::{
    Bytes, ClusterTarget, DeviceTarget, HostTarget, ImageSource, ImageSpec, ImageTarget, LeftOutPod,
    ModelSpec, Nanos, Phase, Plan, Probe, Profile, RunState, SkippedPhase, Target, Tool,
};

use super::choose::{Candidate, Choice, Chosen, chosen};
use super::error::ClusterError;
use super::objects::{Event, Objects, Pod};
use super::timeline::{ColdStart, cold_start};

/// One file of objects.
#[derive(Debug, Clone, Copy)]
pub struct Source<'s> {
    /// Its name, for errors.
    pub name: &'s str,
    /// What it holds.
    pub text: &'s str,
}

/// The phases that pods tell of.
const SEEN: [Phase; 4] = [Phase::Scheduling, Phase::ImagePull, Phase::ContainerStart, Phase::Readiness];

/// Makes a profile of the cold starts of pods: each pod is a trial, also where several files hold it.
///
/// Stamps of whole seconds are taken at their lower end; a pull takes as long as the kubelet's message says. What lies between
/// the phases (making the sandbox, mounting volumes, init containers, other containers of the pod) stays unattributed.
///
/// # Errors
/// When a file holds no JSON or no pod, the pods have several images, models or GPUs of which none was chosen, one of them does not tell
/// which of its containers serves, or no pod tells of a cold start.
pub fn import(sources: &[Source<'_>], choice: &Choice, tool: Tool) -> Result<Profile, ClusterError> {
    let mut objects = Objects::default();
    for source in sources {
        objects.read(source.name, source.text)?;
    }
    let names = sources.iter().map(|source| source.name).collect::<Vec<_>>().join(", ");
    if objects.pods.is_empty() {
        return Err(ClusterError::NoPods { names });
    }
    let chosen = chosen(&objects, choice)?;
    let mut by_pod: BTreeMap<(&str, &str), Vec<&Event>> = BTreeMap::new();
    for event in &objects.events {
        by_pod.entry(event.pod()).or_default().push(event);
    }
    let mut seen: Vec<(&Pod, Result<ColdStart, String>)> = Vec::new();
    let mut places: BTreeMap<(&str, &str, &str), usize> = BTreeMap::new();
    for Candidate { pod, container, .. } in &chosen.pods {
        let key = (pod.metadata.namespace.as_str(), pod.metadata.name.as_str());
        let mut events = by_pod.get(&key).cloned().unwrap_or_default();
        events.retain(|event| event.is_about(&pod.metadata));
        let start = cold_start(pod, &events, &container.name);
        match places.entry(pod.metadata.identity()) {
            Entry::Vacant(place) => {
                place.insert(seen.len());
                seen.push((*pod, start));
            }
            Entry::Occupied(place) => {
                if let Some(first) = seen.get_mut(*place.get()).filter(|(_, first)| tells_more(&start, first))
                {
                    *first = (*pod, start);
                }
            }
        }
    }
    let (mut starts, mut left_out) = (Vec::new(), Vec::new());
    for (pod, start) in seen {
        match start {
            Ok(start) => starts.push((pod, start)),
            Err(why) => left_out.push(LeftOutPod { pod: pod.id(), why }),
        }
    }
    if let (true, Some(first)) = (starts.is_empty(), left_out.first()) {
        let first = format!("`{}`: {}", first.pod, first.why);
        return Err(ClusterError::NoColdStart { pods: left_out.len(), first });
    }
    starts.sort_by_key(|(_, start)| start.created);
    Ok(profile(&chosen, starts, left_out, &names, tool))
}

/// Whether another look at a pod that was seen before tells more of its start: a restart or a lost readiness hides it later on.
fn tells_more(again: &Result<ColdStart, String>, before: &Result<ColdStart, String>) -> bool {
    match (again, before) {
        (Ok(again), Ok(before)) => again.trace.total() < before.trace.total(),
        (Ok(_), Err(_)) => true,
        (Err(_), _) => false,
    }
}

fn profile(
    chosen: &Chosen<'_>,
    starts: Vec<(&Pod, ColdStart)>,
    left_out: Vec<LeftOutPod>,
    names: &str,
    tool: Tool,
) -> Profile {
    let trials = u32::try_from(starts.len()).unwrap_or(u32::MAX);
    let began = starts.first().map(|(_, start)| start.created.to_string()).unwrap_or_default();
    let target = target(chosen, &starts, trials, left_out);
    let mut profile = Profile::begin(tool, began, target, plan(&chosen.image, names, trials));
    profile.state = RunState::Complete;
    caveats(&mut profile, chosen, &starts);
    let traces = (0..).zip(starts).map(|(trial, (_, mut start))| {
        start.trace.trial = trial;
        start.trace
    });
    profile.traces = traces.collect();
    profile.derive();
    profile
}

/// Nothing was decided and nothing is to be done: it has all happened.
fn plan(image: &str, names: &str, trials: u32) -> Plan {
    let unseen = Phase::MACHINE.into_iter().filter(|phase| !SEEN.contains(phase));
    let why = "pods and events do not tell it: readiness holds all that the process did; measure with `coldstart run`";
    Plan {
        seed: 0,
        quick: false,
        budget_ns: Nanos::ZERO,
        device: "cluster".to_owned(),
        model: ModelSpec::Unknown { source: names.to_owned() },
        image: Some(ImageSpec {
            source: ImageSource::Reference,
            reference: image.to_owned(),
            synthetic: None,
        }),
        phases: SEEN.to_vec(),
        trials,
        trial_timeout_ns: Nanos::ZERO,
        strategy: String::new(),
        probe: Probe { memcpy_bytes_per_s: 0.0, gemm_flops_per_s: 0.0, read_bytes_per_s: 0.0, device: None },
        steps: Vec::new(),
        skipped: unseen.map(|phase| SkippedPhase { phase, why: why.to_owned() }).collect(),
    }
}

fn target(chosen: &Chosen<'_>, starts: &[(&Pod, ColdStart)], pods: u32, left_out: Vec<LeftOutPod>) -> Target {
    let container = chosen.pods.first().map_or("", |candidate| candidate.container.name.as_str());
    let first = starts.first().map(|(pod, _)| *pod);
    let gpus = first.and_then(|pod| pod.container(container)?.resources.gpus());
    let digest = first
        .and_then(|pod| pod.status.container_statuses.iter().find(|status| status.name == container))
        .and_then(|status| status.image_id.split_once("@").map(|(_, digest)| digest.to_owned()));
    let nodes: BTreeSet<&str> = starts.iter().filter_map(|(pod, _)| pod.spec.node_name.as_deref()).collect();
    Target {
        image: Some(ImageTarget {
            source: ImageSource::Reference,
            reference: chosen.image.clone(),
            digest,
            compressed_bytes: None,
            unpacked_bytes: None,
            layers: None,
        }),
        model: None,
        device: device(gpus, chosen.gpu.as_deref()),
        host: host(&nodes),
        engine: None,
        cluster: Some(ClusterTarget {
            image: chosen.image.clone(),
            container: container.to_owned(),
            nodes: nodes.into_iter().map(str::to_owned).collect(),
            pods,
            gpu_resource: gpus.map(|(resource, _)| resource.to_owned()),
            gpu_product: chosen.gpu.clone(),
            model: chosen.model.clone(),
            left_out,
        }),
    }
}

/// What a pod asks for, by its product where that is known.
fn device(gpus: Option<(&str, u32)>, product: Option<&str>) -> DeviceTarget {
    let name = gpus.map_or("no GPU asked for", |(resource, _)| product.unwrap_or(resource));
    DeviceTarget { count: gpus.map_or(0, |(_, count)| count), ..DeviceTarget::named("cluster", name) }
}

fn host(nodes: &BTreeSet<&str>) -> HostTarget {
    let name = match nodes.iter().next() {
        Some(node) if nodes.len() == 1 => (*node).to_owned(),
        _ => format!("{} nodes", nodes.len()),
    };
    let unknown = || "unknown".to_owned();
    HostTarget {
        name,
        os: unknown(),
        kernel: unknown(),
        arch: unknown(),
        cpu: unknown(),
        cores: 0,
        cores_online: None,
        memory_bytes: Bytes::ZERO,
        memory_limit_bytes: None,
        cpu_limit_millicores: None,
        governor: None,
    }
}

fn caveats(profile: &mut Profile, chosen: &Chosen<'_>, starts: &[(&Pod, ColdStart)]) {
    let uncertainty = starts.iter().map(|(_, start)| start.uncertainty).max().unwrap_or_default();
    profile.caveat(
        "coarse_stamps",
        format!(
            "a cluster cuts most of its stamps off to whole seconds: a total is off by up to {uncertainty}, a phase by what \
             its detail says; node and API server are taken to have one clock"
        ),
    );
    let silent = starts.iter().filter(|(_, start)| !start.has_events).count();
    if silent > 0 {
        profile.caveat(
            "events_gone",
            format!(
                "{silent} of {} pods have no event of their pull any more (a cluster keeps events for an hour): their pull \
                 and the start of their container are unattributed",
                starts.len()
            ),
        );
    }
    if let Some(text) = chosen.left() {
        profile.caveat("container_by_elimination", text);
    }
    if let Some(text) = chosen.unknown() {
        profile.caveat("pods_not_told_apart", text);
    }
    let left_out = profile.target.cluster.as_ref().map_or(&[][..], |cluster| &cluster.left_out);
    if let Some(first) = left_out.first() {
        let text = format!(
            "{} of {} pods are left out, the first of them `{}`: {}",
            left_out.len(),
            left_out.len() + starts.len(),
            first.pod,
            first.why
        );
        profile.caveat("pods_left_out", text);
    }
    profile.caveat(
        "last_change_of_readiness",
        "a pod tells only when it last became ready: one that has lost its readiness in between looks slower than it was",
    );
}
