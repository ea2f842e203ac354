//! A pod's nodeAffinity (core/v1) for the labels that `nfd` gives its nodes.

use coldstart_decisions::locality::{NodeTime, affinity_weights};
use coldstart_decisions::measured::NodeClass;
use coldstart_decisions::rollout::serves;
use coldstart_decisions::{Basis, Figure};
use coldstart_profiles::{Key, Nanos, Phase, Profile, TotalKind, Waterfall};
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
    let (kind, groups) = groups(profiles)?;
    let times = groups.iter().map(|group| NodeTime { node: group.name(), start_ns: group.start_ns.clone() });
    let weights = affinity_weights(&times.collect::<Vec<_>>());
    let mut annotations =
        profiles.first().map_or_else(Annotations::default, |(name, profile)| Annotations::of(name, profile));
    for (index, weight) in weights.iter().enumerate() {
        annotations = annotations
            .with(&format!("affinity-weight-{index}"), &explained(weight.weight.value, &weight.weight.basis));
    }
    if let Some(text) = told_apart(&groups, kind) {
        annotations = annotations.with("told-apart", &text);
    }
    if let Some(text) = alike(&groups) {
        annotations = annotations.with("not-told-apart", &text);
    }
    let preferred: Vec<Value> = weights
        .iter()
        .filter_map(|weight| {
            let group = groups.iter().find(|group| group.name() == weight.node)?;
            let expressions = group.expressions(&settings.label_prefix, kind);
            Some(json!({"weight": weight.weight.value, "preference": {"matchExpressions": expressions}}))
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

/// Nodes with a device whose labels tell them from the others.
struct Group {
    device: String,
    /// Their classes: several where starts on them take as long as each other.
    classes: Vec<NodeClass>,
    /// The fastest start of a profile of theirs, as labels have it.
    least_ms: u64,
    /// The slowest: it speaks for all.
    start_ns: Figure<Nanos>,
    /// Where nodes with this device are of several groups: the label of their start is above this,
    above_ms: Option<u64>,
    /// and below this.
    below_ms: Option<u64>,
}

/// A time as `nfd` labels it.
fn millis(time: Nanos) -> u64 {
    time.as_millis_f64().round() as u64
}

impl Group {
    fn most_ms(&self) -> u64 {
        millis(self.start_ns.value)
    }

    /// Unlike those of all others: groups of one device lie apart.
    fn name(&self) -> String {
        match self.above_ms {
            None => self.device.clone(),
            Some(above) => format!("{} above {above} ms", self.device),
        }
    }

    /// Whether starts on both are of one class of nodes.
    fn is(&self, other: &Group) -> bool {
        let known = |class: &NodeClass| self.classes.iter().any(|of| of.is(class));
        self.device == other.device && other.classes.iter().any(known)
    }

    fn add(&mut self, other: Group) {
        self.least_ms = self.least_ms.min(other.least_ms);
        if self.start_ns.value < other.start_ns.value {
            self.start_ns = other.start_ns;
        }
        for class in other.classes {
            if !self.classes.iter().any(|known| known.is(&class)) {
                self.classes.push(class);
            }
        }
    }

    /// Its classes and what speaks for them.
    fn named(&self) -> String {
        let names: Vec<&str> = self.classes.iter().map(|class| class.name.as_str()).collect();
        format!("{} ({})", names.join(" and "), self.start_ns.value)
    }

    /// What a scheduler compares: whole numbers are what Gt and Lt read.
    fn expressions(&self, prefix: &str, kind: TotalKind) -> Vec<Value> {
        let device = json!({"key": format!("{prefix}/device"), "operator": "In", "values": [self.device]});
        let start = |operator: &str, bound: Option<u64>| {
            let (key, bound) = (format!("{prefix}/{}", start_label(kind)), bound?.to_string());
            Some(json!({"key": key, "operator": operator, "values": [bound]}))
        };
        [Some(device), start("Gt", self.above_ms), start("Lt", self.below_ms)].into_iter().flatten().collect()
    }
}

/// The label that says how long starts of a kind take.
fn start_label(kind: TotalKind) -> String {
    format!("cold-start-{}-ms", kind.name())
}

/// What `nfd`'s labels tell apart: devices, and of one device the classes of nodes on which starts take longer or shorter. Of several
/// nodes of a class the slowest speaks for it, and of classes whose starts take as long as each other, too.
fn groups(profiles: &Named<'_>) -> Result<(TotalKind, Vec<Group>), ExportError> {
    let mut classes: Vec<Group> = Vec::new();
    let mut kind = None;
    for (name, profile) in profiles {
        let Some(waterfall) = whole(profile, kind).filter(|waterfall| serves(waterfall.ends_with)) else {
            return Err(ExportError::missing(NAME, (name, profile), Phase::FirstBatch));
        };
        kind = Some(waterfall.kind);
        let device = super::nfd::device(profile).ok_or_else(|| no_label(name, profile))?;
        let key = Key::host(waterfall.ends_with, waterfall.params.clone());
        let basis = Basis::measured("median of the cold start", [key], waterfall.total.n);
        let start_ns = Figure::new(waterfall.total.p50_ns, basis);
        let least_ms = millis(start_ns.value);
        let classes_of = vec![NodeClass::of(profile)];
        let node = Group { device, classes: classes_of, least_ms, start_ns, above_ms: None, below_ms: None };
        match classes.iter_mut().find(|known| known.is(&node)) {
            Some(known) => known.add(node),
            None => classes.push(node),
        }
    }
    match kind {
        Some(kind) => Ok((kind, apart(classes))),
        None => Err(ExportError::TakesOne { target: NAME, given: 0 }),
    }
}

/// Bounds between the classes of one device; those between which there is no room become one.
fn apart(mut classes: Vec<Group>) -> Vec<Group> {
    classes.sort_by(|a, b| (&a.device, a.start_ns.value).cmp(&(&b.device, b.start_ns.value)));
    let mut groups: Vec<Group> = Vec::new();
    for mut class in classes {
        // One that reaches far down may join several.
        while let Some(last) =
            groups.pop_if(|last| last.device == class.device && class.least_ms <= last.most_ms())
        {
            class.add(last);
        }
        groups.push(class);
    }
    for at in 1..groups.len() {
        let [.., faster, slower] = &mut groups[..=at] else { continue };
        if faster.device == slower.device {
            let bound = faster.most_ms().midpoint(slower.least_ms + 1);
            (faster.below_ms, slower.above_ms) = (Some(bound), Some(bound.saturating_sub(1)));
        }
    }
    groups
}

/// By which label classes with one device are told apart; `None` where the device alone does.
fn told_apart(groups: &[Group], kind: TotalKind) -> Option<String> {
    let bounded = groups.iter().filter(|group| group.above_ms.or(group.below_ms).is_some());
    let named: Vec<String> = bounded.map(Group::named).collect();
    (!named.is_empty())
        .then(|| format!("by {}, for they have one device: {}", start_label(kind), named.join("; ")))
}

/// Classes with one device that no label tells apart; the slowest speaks for all.
fn alike(groups: &[Group]) -> Option<String> {
    let named: Vec<String> =
        groups.iter().filter(|group| group.classes.len() > 1).map(Group::named).collect();
    (!named.is_empty()).then(|| {
        format!(
            "no label tells these classes of nodes apart, of which the slowest speaks for all: {}",
            named.join("; ")
        )
    })
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
