//! Which pods of the files, told apart by what makes their cold starts another thing: image, model, GPU.

use std::collections::BTreeSet;

use super::error::ClusterError;
use super::main_container::{Main, main_container};
use super::model::served;
use super::objects::{ContainerSpec, Objects, Pod};

/// A whole cluster's images are more than an error can name.
const MOST_LISTED: usize = 12;

/// Which pods of the files, and which of their containers.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// The container; without it the first that asks for a GPU, else the one that is told a model or is no sidecar; needed where nothing
    /// tells it.
    pub container: Option<String>,
    /// The container's image; needed where the pods have several.
    pub image: Option<String>,
    /// The model that it serves; needed where the pods serve several.
    pub model: Option<String>,
    /// The product of its GPUs; needed where the pods ran on several.
    pub gpu: Option<String>,
}

/// A pod with the container that counts, and what is told of it.
#[derive(Debug)]
pub(super) struct Candidate<'o> {
    pub(super) pod: &'o Pod,
    pub(super) container: &'o ContainerSpec,
    gpu: Option<&'o str>,
    model: Option<String>,
    /// Whether only the others of its pod speak for it: they are known sidecars.
    left: bool,
}

/// The pods that were chosen: of one image, and as far as is known of one model on one kind of GPU.
#[derive(Debug)]
pub(super) struct Chosen<'o> {
    pub(super) pods: Vec<Candidate<'o>>,
    pub(super) image: String,
    pub(super) model: Option<String>,
    pub(super) gpu: Option<String>,
}

pub(super) fn chosen<'o>(objects: &'o Objects, choice: &Choice) -> Result<Chosen<'o>, ClusterError> {
    let found: Result<Vec<_>, _> = objects.pods.iter().map(|pod| candidate(objects, pod, choice)).collect();
    let mut pods: Vec<Candidate<'o>> = found?.into_iter().flatten().collect();
    if pods.is_empty() {
        return Err(no_container(&objects.pods, choice));
    }
    let image = pick(
        ("image", "images", "--image"),
        choice.image.as_deref(),
        pods.iter().map(|pod| pod.container.image.as_str()),
    )?
    .unwrap_or_default();
    pods.retain(|pod| pod.container.image == image);
    let model = pick(
        ("model", "models", "--model"),
        choice.model.as_deref(),
        pods.iter().filter_map(|pod| pod.model.as_deref()),
    )?;
    // What tells nothing may be any of them, unless one was asked for.
    let fits = |told: Option<&str>, asked: &Option<String>| asked.is_none() || told == asked.as_deref();
    pods.retain(|pod| fits(pod.model.as_deref(), &choice.model));
    let gpus = pods.iter().filter_map(|pod| pod.gpu);
    let gpu = pick(("GPU", "kinds of GPU", "--gpu"), choice.gpu.as_deref(), gpus)?;
    pods.retain(|pod| fits(pod.gpu, &choice.gpu));
    Ok(Chosen { pods, image, model, gpu })
}

/// The pod with the container that counts; `None` where it has none that could be meant.
fn candidate<'o>(
    objects: &'o Objects,
    pod: &'o Pod,
    choice: &Choice,
) -> Result<Option<Candidate<'o>>, ClusterError> {
    let main = match &choice.container {
        Some(name) => pod.container(name).map(Main::Told),
        None => main_container(pod),
    };
    let (container, left) = match main {
        None => return Ok(None),
        Some(Main::Told(container)) => (container, false),
        Some(Main::Left(container)) => (container, true),
        Some(Main::Unclear) => match chosen_of(pod, choice)? {
            Some(container) => (container, false),
            None => return Ok(None),
        },
    };
    let (gpu, model) = (objects.gpu_product(pod, container), served(container));
    Ok(Some(Candidate { pod, container, gpu, model, left }))
}

/// Of a pod that does not tell which container serves: the one of the image or model that was asked for. Where something was asked for
/// that none of them has, the pod is not meant.
fn chosen_of<'o>(pod: &'o Pod, choice: &Choice) -> Result<Option<&'o ContainerSpec>, ClusterError> {
    let of = |is: &dyn Fn(&ContainerSpec) -> bool| pod.spec.containers.iter().find(|container| is(container));
    match (&choice.image, &choice.model, &choice.gpu) {
        (Some(image), ..) => Ok(of(&|container| container.image == *image)),
        (None, Some(model), _) => Ok(of(&|container| served(container).as_ref() == Some(model))),
        (None, None, Some(_)) => Ok(None),
        (None, None, None) => {
            let named = pod.spec.containers.iter();
            let named: Vec<String> =
                named.map(|container| format!("{} ({})", container.name, container.image)).collect();
            let there = listed(&named.iter().map(String::as_str).collect(), "no containers");
            Err(ClusterError::WhichContainer { pod: pod.id(), there })
        }
    }
}

/// The one value that there is, or the one that was asked for; `None` where no pod tells any.
fn pick<'v>(
    (one, several, flag): (&'static str, &'static str, &'static str),
    asked: Option<&str>,
    values: impl Iterator<Item = &'v str>,
) -> Result<Option<String>, ClusterError> {
    let values: BTreeSet<&str> = values.collect();
    match asked {
        Some(asked) if values.contains(asked) => Ok(Some(asked.to_owned())),
        Some(asked) => Err(ClusterError::NoSuch {
            what: format!("the {one} `{asked}`"),
            there: listed(&values, &format!("none that tell their {one}")),
        }),
        None if values.len() > 1 => Err(ClusterError::Several {
            n: values.len(),
            what: several,
            flag,
            there: listed(&values, "none"),
        }),
        None => Ok(values.first().map(|value| (*value).to_owned())),
    }
}

/// No pod has what was asked for.
fn no_container(pods: &[Pod], choice: &Choice) -> ClusterError {
    let containers = || pods.iter().flat_map(|pod| &pod.spec.containers);
    let (what, there) = match (&choice.container, &choice.image, &choice.model, &choice.gpu) {
        (Some(name), ..) => (format!("the container `{name}`"), None),
        (None, Some(image), ..) => {
            let images = containers().map(|of| of.image.as_str()).collect();
            (format!("the image `{image}`"), Some(listed(&images, "no containers")))
        }
        (None, None, Some(model), _) => {
            let models: Vec<String> = containers().filter_map(served).collect();
            let models = models.iter().map(String::as_str).collect();
            (format!("the model `{model}`"), Some(listed(&models, "none that tell their model")))
        }
        (None, None, None, Some(gpu)) => (format!("the GPU `{gpu}`"), None),
        (None, None, None, None) => ("a container".to_owned(), None),
    };
    let names = containers().map(|of| of.name.as_str()).collect();
    ClusterError::NoSuch { what, there: there.unwrap_or_else(|| listed(&names, "no containers")) }
}

fn listed(names: &BTreeSet<&str>, none: &str) -> String {
    let shown: Vec<String> = names.iter().take(MOST_LISTED).map(|name| format!("`{name}`")).collect();
    match names.len() {
        0 => none.to_owned(),
        n if n > shown.len() => format!("{} and {} more", shown.join(", "), n - shown.len()),
        _ => shown.join(", "),
    }
}

fn identities<'c>(pods: impl Iterator<Item = &'c Candidate<'c>>) -> BTreeSet<(&'c str, &'c str, &'c str)> {
    pods.map(|candidate| candidate.pod.metadata.identity()).collect()
}

impl Chosen<'_> {
    /// That the container was chosen by what the others are: sidecars.
    pub(super) fn left(&self) -> Option<String> {
        let of = self.pods.iter().find(|candidate| candidate.left)?;
        let others: BTreeSet<&str> = (of.pod.spec.containers.iter())
            .map(|container| container.name.as_str())
            .filter(|name| *name != of.container.name)
            .collect();
        Some(format!(
            "no container asks for a GPU or is told a model: `{}` is taken for the one that serves, since beside it stand only known \
             sidecars ({}): `--container` chooses another",
            of.container.name,
            listed(&others, "none")
        ))
    }

    /// What some of the pods don't tell, although others do: they are taken to be like those.
    pub(super) fn unknown(&self) -> Option<String> {
        // Several files may hold one pod, and one of them may tell what another doesn't.
        let all = identities(self.pods.iter());
        let silent = |told: fn(&Candidate<'_>) -> bool| {
            all.len() - identities(self.pods.iter().filter(|pod| told(pod))).len()
        };
        let parts: Vec<String> = [
            (&self.model, "model", silent(|pod| pod.model.is_some())),
            (&self.gpu, "GPU", silent(|pod| pod.gpu.is_some())),
        ]
        .into_iter()
        .filter_map(|(of_others, what, silent)| {
            let of_others = of_others.as_ref().filter(|_| silent > 0)?;
            Some(format!(
                "{silent} of {} pods don't tell their {what} and are taken to be of {of_others}",
                all.len()
            ))
        })
        .collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}
