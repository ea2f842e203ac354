//! Cold starts of a cluster's pods beside profiles of machines: which class of nodes they are of, and what about them differs.

use coldstart_profiles::{Bytes, ClusterTarget, Detail, ImageSource, Key, Phase, Profile, Work};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::MeasuredError;
use super::facts::{ModelFacts, NodeClass};
use super::fleet::NamedProfile;
use crate::basis::{Basis, Figure};

/// Longer names are cut where they stand in a sentence.
const LONGEST_NAME: usize = 80;

/// Pods of a cluster whose cold starts a class is planned with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PodFacts {
    /// What their profile was called, such as its file.
    pub name: String,
    /// The image of their container.
    pub image: String,
    /// How many of them.
    pub pods: u32,
    /// The nodes that they ran on.
    pub nodes: Vec<String>,
    /// How many GPUs each of them has.
    pub gpus: u32,
    /// The product of those; `null` where it is not known.
    pub gpu: Option<String>,
    /// The model that they are told to serve; `null` where it is not known.
    pub model: Option<String>,
    /// In what they differ from the machines of the class, or may differ, as sentences; the gravest first.
    pub differs: Vec<String>,
}

/// How well pods fit a class of nodes; the better the less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    /// Both are of the same device.
    Same,
    /// Nothing says that they are not.
    Possible,
    /// A GPU is there that the pods did not ask for.
    Unlikely,
}

/// The pods of each class, in the classes' order: those that fit it best.
///
/// # Errors
/// When pods ran on a device that no class has, and when those of one class are of several images or models.
pub(super) fn assign<'p>(
    pods: &[NamedProfile<'p>],
    classes: &[NodeClass],
) -> Result<Vec<Vec<NamedProfile<'p>>>, MeasuredError> {
    let mut of_class: Vec<Vec<NamedProfile<'p>>> = vec![Vec::new(); classes.len()];
    for (name, profile) in pods {
        let Some(cluster) = &profile.target.cluster else { continue };
        let fits: Vec<Option<Fit>> = classes.iter().map(|class| fit(cluster, class)).collect();
        let Some(best) = fits.iter().flatten().min() else {
            return Err(MeasuredError::PodsElsewhere {
                name: (*name).to_owned(),
                device: device(cluster, profile.target.device.count),
                known: classes.iter().map(|class| class.name.clone()).collect(),
            });
        };
        for (fit, of) in fits.iter().zip(&mut of_class) {
            if fit.as_ref() == Some(best) {
                of.push((name, profile));
            }
        }
    }
    of_class.iter().try_for_each(|pods| alike(pods))?;
    Ok(of_class)
}

/// That pods are of one image and one model: cold starts of several are of nothing.
pub(super) fn alike(pods: &[NamedProfile<'_>]) -> Result<(), MeasuredError> {
    let told = |profile: &Profile| {
        let cluster = profile.target.cluster.as_ref();
        [cluster.map(|cluster| cluster.image.clone()), cluster.and_then(|cluster| cluster.model.clone())]
    };
    let Some(((first_name, first), rest)) = pods.split_first() else { return Ok(()) };
    for (name, other) in rest {
        for (a, b) in told(first).into_iter().zip(told(other)) {
            if let (Some(a), Some(b)) = (a, b)
                && a != b
            {
                return Err(MeasuredError::SeveralPods {
                    first: (*first_name).to_owned(),
                    first_what: a,
                    other: (*name).to_owned(),
                    other_what: b,
                });
            }
        }
    }
    Ok(())
}

fn fit(cluster: &ClusterTarget, class: &NodeClass) -> Option<Fit> {
    let on_host = class.on_host();
    match (&cluster.gpu_resource, &cluster.gpu_product) {
        (None, _) => Some(if on_host { Fit::Possible } else { Fit::Unlikely }),
        (Some(_), _) if on_host => None,
        (Some(_), None) => Some(Fit::Possible),
        (Some(_), Some(product)) => is_product(product, &class.device_name).then_some(Fit::Same),
    }
}

/// Whether a label names this device: every word of it is one of the device's name. Labels spell names with dashes, and those of
/// clouds leave parts of them out: `nvidia-h100-80gb` is an `NVIDIA H100 80GB HBM3`.
fn is_product(label: &str, device: &str) -> bool {
    let words = |text: &str| -> Vec<String> {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        words.map(str::to_ascii_lowercase).filter(|word| word != "nvidia" && word != "tesla").collect()
    };
    let (label, device) = (words(label), words(device));
    !label.is_empty() && label.iter().all(|word| device.contains(word))
}

/// What pods ran on: `2 × NVIDIA-L4`, `a GPU (nvidia.com/gpu)`.
fn device(cluster: &ClusterTarget, count: u32) -> String {
    let times = if count > 1 { format!("{count} × ") } else { String::new() };
    match (&cluster.gpu_product, &cluster.gpu_resource) {
        (Some(product), _) => format!("{times}{}", short(product)),
        (None, Some(resource)) => format!("{times}a GPU ({})", short(resource)),
        (None, None) => "no GPU".to_owned(),
    }
}

impl PodFacts {
    /// The pods of a profile beside the class and the model that they are planned with; `None` of a profile without pods.
    pub(super) fn of(
        name: &str,
        profile: &Profile,
        class: &NodeClass,
        model: &ModelFacts,
        machines: &[&Profile],
    ) -> Option<Self> {
        let cluster = profile.target.cluster.as_ref()?;
        let gpus = profile.target.device.count;
        // Beside no machine there is nothing that they could differ from.
        let differs = match machines {
            [] => [None, None, None],
            _ => [
                other_model(cluster, model),
                other_image(cluster, machines),
                other_device(cluster, gpus, class),
            ],
        };
        Some(PodFacts {
            name: name.to_owned(),
            image: cluster.image.clone(),
            pods: cluster.pods,
            nodes: cluster.nodes.clone(),
            gpus,
            gpu: cluster.gpu_product.clone(),
            model: cluster.model.clone(),
            differs: differs.into_iter().flatten().map(|what| format!("{}: {what}", short(name))).collect(),
        })
    }

    /// Who they are: `serve:1.4 on NVIDIA-L4`.
    pub(super) fn who(&self) -> String {
        match &self.gpu {
            Some(gpu) => format!("{} on {}", short(&self.image), short(gpu)),
            None => short(&self.image),
        }
    }
}

fn other_model(cluster: &ClusterTarget, model: &ModelFacts) -> Option<String> {
    let source = short(&model.source);
    let Some(served) = &cluster.model else {
        return Some(format!("its pods don't tell which model they load; it is taken to be {source}"));
    };
    // One is named by its organisation, the other by its directory.
    let last =
        |name: &str| name.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    (last(served) != last(&model.source)).then(|| {
        format!(
            "its pods serve {}, the profiles measured {source}: their cold starts are those of another model, unless both are the same \
             under two names",
            short(served)
        )
    })
}

fn other_image(cluster: &ClusterTarget, machines: &[&Profile]) -> Option<String> {
    let images = machines.iter().filter_map(|profile| profile.target.image.as_ref());
    let other = images.into_iter().find(|image| image.source == ImageSource::Reference)?;
    (other.reference != cluster.image).then(|| {
        format!(
            "its pods run {}, the profiles pulled {}: what is said of the image is of the latter",
            short(&cluster.image),
            short(&other.reference)
        )
    })
}

fn other_device(cluster: &ClusterTarget, gpus: u32, class: &NodeClass) -> Option<String> {
    let on_host = class.on_host();
    let class_name = short(&class.name);
    match (&cluster.gpu_resource, &cluster.gpu_product) {
        (Some(_), None) => Some(format!(
            "its pods don't tell which GPU they ran on; it is taken to be {class_name}: import what `kubectl get pod,event,node -o \
             json` prints"
        )),
        (Some(_), Some(_)) if gpus != class.devices => Some(format!(
            "its pods have {gpus} GPUs each, a replica of the profiles {}: their weights load another way",
            class.devices
        )),
        (Some(_), Some(_)) => None,
        (None, _) if on_host => {
            Some(format!("its pods don't tell which CPU they ran on; it is taken to be {class_name}"))
        }
        (None, _) => Some(format!("its pods ask for no GPU, the profiles are of {class_name}")),
    }
}

/// Bytes per second of the pulls of pods whose image's size their node told; `None` without such a pull.
pub(super) fn pulled_bytes_per_s(pods: &[&Profile]) -> Option<Figure<f64>> {
    let (mut keys, mut bytes, mut times) = (Vec::new(), 0_u64, Vec::new());
    let readings = pods.iter().flat_map(|profile| &profile.traces).flat_map(|trace| &trace.readings);
    for reading in readings.filter(|reading| reading.phase == Phase::ImagePull) {
        let Some(Detail::Observed(observed)) = &reading.detail else { continue };
        let Some(image) = observed.image_bytes else { continue };
        keys.push(Key::host(Phase::ImagePull, reading.params.clone()));
        bytes = bytes.saturating_add(image.get());
        // What a pull waited for others of its node is not the registry's.
        times.push(observed.pulling_ns.unwrap_or(reading.duration_ns));
    }
    let n = times.len();
    let rate = Work::Bytes(Bytes::new(bytes)).rate(times.into_iter().sum()).filter(|rate| *rate > 0.0)?;
    let basis = Basis::measured("size of the image ÷ time of the pulls of pods, summed", keys, n).caveat(
        "the size is that of the compressed image under containerd, and of the unpacked one under CRI-O: the registry is slower then",
    );
    Some(Figure::new(rate, basis))
}

/// A name as it stands in a sentence.
pub(crate) fn short(name: &str) -> String {
    match name.char_indices().nth(LONGEST_NAME) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::is_product;

    #[test]
    fn labels_of_products_are_names_of_devices() {
        for (label, device, same) in [
            ("NVIDIA-A100-SXM4-80GB", "NVIDIA A100-SXM4-80GB", true),
            ("NVIDIA-A100-SXM4-80GB", "NVIDIA A100-SXM4-40GB", false),
            ("nvidia-h100-80gb", "NVIDIA H100 80GB HBM3", true),
            ("nvidia-tesla-t4", "Tesla T4", true),
            ("a10", "NVIDIA A100-SXM4-80GB", false),
            ("l4", "NVIDIA L4", true),
            ("l4", "NVIDIA L40S", false),
            ("NVIDIA-A100-SXM4-80GB-MIG-1g.10gb", "NVIDIA A100-SXM4-80GB", false),
            ("nvidia", "NVIDIA L4", false),
            ("", "NVIDIA L4", false),
        ] {
            assert_eq!(is_product(label, device), same, "{label} {device}");
        }
    }
}
