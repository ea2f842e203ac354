//! The parts of a cluster's objects that tell of cold starts.
//!
//! Shapes: Kubernetes API reference, core/v1 `List`, `Pod`, `Node` and `Event`, events.k8s.io/v1 `Event`. Fields that are not named
//! here are skipped, and so is what other kinds hold in `spec` and `status`; one object type takes all kinds, so that no file is held
//! in memory twice.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::error::ClusterError;
use super::stamp::Stamp;

/// Any object: a pod, a node, an event of either API, a list, or something else.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Object<'t> {
    kind: Option<String>,
    #[serde(borrow)]
    items: Option<Document<'t>>,
    metadata: Option<Metadata>,
    // Pod
    #[serde(borrow)]
    spec: Option<&'t RawValue>,
    #[serde(borrow)]
    status: Option<&'t RawValue>,
    // Event of core/v1
    involved_object: Option<Reference>,
    reason: Option<String>,
    message: Option<String>,
    first_timestamp: Option<Stamp>,
    last_timestamp: Option<Stamp>,
    // Event of events.k8s.io/v1; core/v1 has eventTime, too
    regarding: Option<Reference>,
    note: Option<String>,
    event_time: Option<Stamp>,
    deprecated_first_timestamp: Option<Stamp>,
    deprecated_last_timestamp: Option<Stamp>,
}

/// What stands by itself in a text, or in a list: one object, nothing, or an array of such, as `jq -s` makes arrays of arrays.
#[derive(Debug, Default)]
struct Document<'t>(Vec<Object<'t>>);

// By hand: an untagged enum would copy the text that is borrowed, and forget where in it an error lies.
impl<'de: 't, 't> Deserialize<'de> for Document<'t> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Document<'t>, D::Error> {
        deserializer.deserialize_any(OneOrMany)
    }
}

struct OneOrMany;

impl<'t> Visitor<'t> for OneOrMany {
    type Value = Document<'t>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array of objects")
    }

    fn visit_map<A: MapAccess<'t>>(self, map: A) -> Result<Document<'t>, A::Error> {
        Ok(Document(vec![Object::deserialize(MapAccessDeserializer::new(map))?]))
    }

    fn visit_seq<A: SeqAccess<'t>>(self, mut items: A) -> Result<Document<'t>, A::Error> {
        let mut objects = Vec::new();
        while let Some(Document(more)) = items.next_element()? {
            objects.extend(more);
        }
        Ok(Document(objects))
    }

    fn visit_unit<E>(self) -> Result<Document<'t>, E> {
        Ok(Document::default())
    }
}

/// Some clients write `null` where Kubernetes leaves a field out.
fn or_null<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// The texts of a map such as labels: what has no text, as of `null`, tells nothing.
fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    let all: BTreeMap<String, Value> = or_null(deserializer)?;
    let text = |value| if let Value::String(text) = value { Some(text) } else { None };
    Ok(all.into_iter().filter_map(|(name, value)| Some((name, text(value)?))).collect())
}

/// Name and birth of an object.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Metadata {
    #[serde(deserialize_with = "or_null")]
    pub(super) name: String,
    #[serde(deserialize_with = "or_null")]
    pub(super) namespace: String,
    #[serde(deserialize_with = "or_null")]
    pub(super) uid: String,
    pub(super) creation_timestamp: Option<Stamp>,
    #[serde(deserialize_with = "texts")]
    labels: BTreeMap<String, String>,
}

impl Metadata {
    /// Namespace, name and uid: what makes two looks looks at one object.
    pub(super) fn identity(&self) -> (&str, &str, &str) {
        (&self.namespace, &self.name, &self.uid)
    }

    /// `namespace/name`.
    fn id(&self) -> String {
        match self.namespace.as_str() {
            "" => self.name.clone(),
            namespace => format!("{namespace}/{}", self.name),
        }
    }
}

/// What an event is about.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Reference {
    #[serde(deserialize_with = "or_null")]
    kind: String,
    #[serde(deserialize_with = "or_null")]
    namespace: String,
    #[serde(deserialize_with = "or_null")]
    name: String,
    #[serde(deserialize_with = "or_null")]
    uid: String,
    #[serde(deserialize_with = "or_null")]
    field_path: String,
}

/// The parts of a pod's specification that are looked at.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PodSpec {
    pub(super) node_name: Option<String>,
    #[serde(deserialize_with = "texts")]
    node_selector: BTreeMap<String, String>,
    #[serde(deserialize_with = "or_null")]
    pub(super) containers: Vec<ContainerSpec>,
}

/// One container of a pod.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ContainerSpec {
    #[serde(deserialize_with = "or_null")]
    pub(super) name: String,
    #[serde(deserialize_with = "or_null")]
    pub(super) image: String,
    #[serde(deserialize_with = "or_null")]
    pub(super) resources: Resources,
    #[serde(deserialize_with = "or_null")]
    pub(super) command: Vec<String>,
    #[serde(deserialize_with = "or_null")]
    pub(super) args: Vec<String>,
    #[serde(deserialize_with = "or_null")]
    pub(super) env: Vec<Variable>,
}

/// A variable of a container's environment. One whose value comes from elsewhere has none here.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Variable {
    #[serde(deserialize_with = "or_null")]
    pub(super) name: String,
    pub(super) value: Option<String>,
}

/// What a container asks for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Resources {
    #[serde(deserialize_with = "or_null")]
    pub(super) limits: BTreeMap<String, Value>,
}

impl Resources {
    /// The GPUs that it asks for: the extended resource and how many.
    pub(super) fn gpus(&self) -> Option<(&str, u32)> {
        let is_gpu = |name: &str| {
            name.ends_with("/gpu") || name.starts_with("nvidia.com/mig-") || name.starts_with("gpu.")
        };
        let (name, count) = self.limits.iter().find(|(name, _)| is_gpu(name))?;
        let count = match count {
            Value::String(text) => text.parse().ok()?,
            Value::Number(number) => u32::try_from(number.as_u64()?).ok()?,
            _ => return None,
        };
        (count > 0).then_some((name, count))
    }
}

/// The parts of a pod's status that are looked at.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PodStatus {
    #[serde(deserialize_with = "or_null")]
    pub(super) conditions: Vec<Condition>,
    #[serde(deserialize_with = "or_null")]
    pub(super) container_statuses: Vec<ContainerStatus>,
}

/// One condition of a pod.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Condition {
    #[serde(rename = "type", deserialize_with = "or_null")]
    kind: String,
    #[serde(deserialize_with = "or_null")]
    status: String,
    last_transition_time: Option<Stamp>,
}

/// The state of one container.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ContainerStatus {
    #[serde(deserialize_with = "or_null")]
    pub(super) name: String,
    #[serde(deserialize_with = "or_null")]
    pub(super) restart_count: u32,
    #[serde(rename = "imageID", deserialize_with = "or_null")]
    pub(super) image_id: String,
    #[serde(deserialize_with = "or_null")]
    pub(super) state: ContainerState,
}

/// One of these is set.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ContainerState {
    pub(super) running: Option<Running>,
    pub(super) waiting: Option<Waiting>,
}

/// Since when a container runs.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Running {
    pub(super) started_at: Option<Stamp>,
}

/// Why a container does not run yet.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Waiting {
    #[serde(deserialize_with = "or_null")]
    pub(super) reason: String,
}

/// One pod.
#[derive(Debug)]
pub(super) struct Pod {
    pub(super) metadata: Metadata,
    pub(super) spec: PodSpec,
    pub(super) status: PodStatus,
}

impl Pod {
    /// `namespace/name`.
    pub(super) fn id(&self) -> String {
        self.metadata.id()
    }

    /// When a condition became true; `None` while it is not.
    pub(super) fn since(&self, condition: &str) -> Option<Stamp> {
        let found = self.status.conditions.iter().find(|found| found.kind == condition)?;
        found.last_transition_time.filter(|_| found.status == "True")
    }

    /// The container of that name.
    pub(super) fn container(&self, name: &str) -> Option<&ContainerSpec> {
        self.spec.containers.iter().find(|container| container.name == name)
    }
}

/// One event about a pod.
#[derive(Debug)]
pub(super) struct Event {
    namespace: String,
    name: String,
    uid: String,
    /// Such as `spec.containers{server}`; empty of what is about the whole pod.
    pub(super) field_path: String,
    pub(super) reason: String,
    pub(super) message: String,
    /// When it happened for the first time.
    pub(super) at: Option<Stamp>,
    /// When it happened for the last time.
    pub(super) last_at: Option<Stamp>,
}

impl Event {
    /// Namespace and name of its pod.
    pub(super) fn pod(&self) -> (&str, &str) {
        (&self.namespace, &self.name)
    }

    /// Whether it is about this pod, and not about an earlier one of the same name.
    pub(super) fn is_about(&self, pod: &Metadata) -> bool {
        self.pod() == (pod.namespace.as_str(), pod.name.as_str())
            && (self.uid == pod.uid || self.uid.is_empty() || pod.uid.is_empty())
    }
}

/// The labels that tell the product of a node's GPUs: of NVIDIA's GPU feature discovery, of GKE, of Karpenter on AWS.
const GPU_PRODUCT: [&str; 3] =
    ["nvidia.com/gpu.product", "cloud.google.com/gke-accelerator", "karpenter.k8s.aws/instance-gpu-name"];

fn product(labels: &BTreeMap<String, String>) -> Option<&str> {
    let found = GPU_PRODUCT.iter().find_map(|label| labels.get(*label))?;
    // A GPU that pods share in turns is labelled with its product and this.
    let product = found.strip_suffix("-SHARED").unwrap_or(found);
    (!product.is_empty()).then_some(product)
}

/// The pods, events and nodes of some files.
#[derive(Debug, Default)]
pub(super) struct Objects {
    pub(super) pods: Vec<Pod>,
    pub(super) events: Vec<Event>,
    /// Labels of nodes by their names.
    nodes: BTreeMap<String, BTreeMap<String, String>>,
}

impl Objects {
    /// Adds what a text holds: one document or several behind each other, arrays, lists and lists of lists included.
    pub(super) fn read(&mut self, name: &str, text: &str) -> Result<(), ClusterError> {
        let no_json = |source| ClusterError::Json { name: name.to_owned(), source };
        for document in serde_json::Deserializer::from_str(text).into_iter::<Document<'_>>() {
            let Document(objects) = document.map_err(no_json)?;
            objects.into_iter().try_for_each(|object| self.add(name, object))?;
        }
        Ok(())
    }

    /// The product of the GPUs that a pod's container asks for: by its node's labels, else by what the pod selects nodes by.
    pub(super) fn gpu_product<'o>(&'o self, pod: &'o Pod, container: &ContainerSpec) -> Option<&'o str> {
        container.resources.gpus()?;
        let node = pod.spec.node_name.as_deref().and_then(|name| self.nodes.get(name));
        node.and_then(product).or_else(|| product(&pod.spec.node_selector))
    }

    fn add(&mut self, name: &str, mut object: Object<'_>) -> Result<(), ClusterError> {
        if let Some(Document(items)) = object.items.take() {
            // What the API server itself lists has its kind in the list's, as in `PodList`.
            let kind = object.kind.as_deref().and_then(|kind| kind.strip_suffix("List"));
            return items.into_iter().try_for_each(|mut item| {
                item.kind = item.kind.or_else(|| kind.map(str::to_owned));
                self.add(name, item)
            });
        }
        match object.kind.as_deref() {
            Some("Pod") => {
                let metadata = object.metadata.unwrap_or_default();
                let of = |part| (name, &metadata, part);
                let (spec, status) = (part(of("spec"), object.spec)?, part(of("status"), object.status)?);
                self.pods.push(Pod { metadata, spec, status });
            }
            Some("Event") => self.events.extend(event(object)),
            Some("Node") => self.nodes.extend(object.metadata.map(|node| (node.name, node.labels))),
            Some("Status") => {
                let said = object.message.or(object.reason).unwrap_or_else(|| "nothing more".to_owned());
                return Err(ClusterError::Refused { name: name.to_owned(), said });
            }
            _ => {}
        }
        Ok(())
    }
}

/// A part of a pod; its default where it is missing.
fn part<'t, T: Default + Deserialize<'t>>(
    (name, pod, part): (&str, &Metadata, &'static str),
    text: Option<&'t RawValue>,
) -> Result<T, ClusterError> {
    let read = text.map(|text| serde_json::from_str(text.get())).transpose();
    let read =
        read.map_err(|source| ClusterError::Pod { name: name.to_owned(), pod: pod.id(), part, source })?;
    Ok(read.unwrap_or_default())
}

/// An event about a pod, whichever API it comes from.
fn event(object: Object<'_>) -> Option<Event> {
    let about = object.involved_object.or(object.regarding).filter(|about| about.kind == "Pod")?;
    let first = object.first_timestamp.or(object.deprecated_first_timestamp);
    let last = object.last_timestamp.or(object.deprecated_last_timestamp);
    // The finer of what is told. The API server's own time of the object is the last resort.
    let at = object.event_time.or(first).or(last).or(object.metadata.and_then(|of| of.creation_timestamp));
    Some(Event {
        namespace: about.namespace,
        name: about.name,
        uid: about.uid,
        field_path: about.field_path,
        reason: object.reason.unwrap_or_default(),
        message: object.message.or(object.note).unwrap_or_default(),
        at,
        last_at: last.or(at),
    })
}
