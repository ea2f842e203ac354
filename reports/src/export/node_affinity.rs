//! A pod's nodeAffinity (core/v1) for the labels that `nfd` gives its nodes.

use coldstart_decisions::locality::{NodeTime, affinity_weights};
use coldstart_decisions::rollout::serves;
use coldstart_decisions::{Basis, Figure};
use coldstart_profiles::{Key, Phase, Profile, TotalKind, Waterfall};
use serde_json::{Value, json};

use super::kubernetes::{Annotations, explained, is_label_prefix, manifest};
use super::{ExportError, ExportSettings, Exported, Named};

const NAME: &str = "node-affinity";

/// A patch for a workload: nodes on which starts are quick are preferred, by the weights that follow from their times. Nothing is
/// required: a slow node is better than none.
pub(super) fn export(profiles: &Named<'_>, settings: &ExportSettings) -> Result<Exported, ExportError> {
    if !is_label_prefix(&settings.label_prefix) {
        let profile = profiles.first().map_or_else(String::new, |(name, _)| super::error::cut(name));
        let why = format!(
            "the prefix `{}` is no DNS name of your own: give one with --label-prefix",
            settings.label_prefix
        );
        return Err(ExportError::Refused { target: NAME, profile, why });
    }
    let weights = affinity_weights(&classes(profiles)?);
    let mut annotations =
        profiles.first().map_or_else(Annotations::default, |(name, profile)| Annotations::of(name, profile));
    for (index, weight) in weights.iter().enumerate() {
        annotations = annotations
            .with(&format!("affinity-weight-{index}"), &explained(weight.weight.value, &weight.weight.basis));
    }
    let preferred: Vec<Value> = weights
        .iter()
        .map(|weight| {
            json!({
                "weight": weight.weight.value,
                "preference": {"matchExpressions": [{
                    "key": format!("{}/device", settings.label_prefix),
                    "operator": "In",
                    "values": [weight.node],
                }]},
            })
        })
        .collect();
    let patch = json!({"spec": {"template": {
        "metadata": {"annotations": annotations.into_value()},
        "spec": {"affinity": {"nodeAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": preferred,
        }}},
    }}});
    Ok(Exported::File(manifest(&patch)))
}

/// How long a start takes on each class of nodes, by the label of its device. Of several nodes of a class the slowest speaks for it.
fn classes(profiles: &Named<'_>) -> Result<Vec<NodeTime>, ExportError> {
    let mut classes: Vec<NodeTime> = Vec::new();
    let mut kind = None;
    for (name, profile) in profiles {
        let Some(waterfall) = whole(profile, kind).filter(|waterfall| serves(waterfall.ends_with)) else {
            return Err(ExportError::missing(NAME, (name, profile), Phase::FirstBatch));
        };
        kind = Some(waterfall.kind);
        let node = super::nfd::device(profile).ok_or_else(|| no_label(name, profile))?;
        let key = Key::host(waterfall.ends_with, waterfall.params.clone());
        let basis = Basis::measured("median of the cold start", [key], waterfall.total.n);
        let start_ns = Figure::new(waterfall.total.p50_ns, basis);
        match classes.iter_mut().find(|known| known.node == node) {
            Some(known) if known.start_ns.value < start_ns.value => known.start_ns = start_ns,
            Some(_) => {}
            None => classes.push(NodeTime { node, start_ns }),
        }
    }
    match classes.is_empty() {
        true => Err(ExportError::TakesOne { target: NAME, given: 0 }),
        false => Ok(classes),
    }
}

/// Nodes that no label tells from others.
fn no_label(name: &str, profile: &Profile) -> ExportError {
    let why = match profile.target.cluster {
        Some(_) => {
            "its pods don't tell which GPU they ran on: import what `kubectl get pod,event,node -o json` prints"
        }
        None => "its device has no name that a label can have: label the nodes by hand",
    };
    ExportError::Refused { target: NAME, profile: super::error::cut(name), why: why.to_owned() }
}

/// The whole cold start of a profile: of the kind that the others have, where there is one already.
fn whole(profile: &Profile, kind: Option<TotalKind>) -> Option<Waterfall<'_>> {
    match kind {
        Some(kind) => profile.waterfall(kind),
        None => [TotalKind::Container, TotalKind::Process, TotalKind::Pod]
            .into_iter()
            .find_map(|kind| profile.waterfall(kind)),
    }
}
