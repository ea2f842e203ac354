//! Which container of a pod serves.

use super::model::served;
use super::objects::{ContainerSpec, Pod};

/// What stands beside a server in many pods: meshes and their proxies, secrets, logs and metrics, mounts of buckets. By the name of a
/// container, or by the last part of its image's.
const SIDECARS: [&str; 28] = [
    "aws-otel-collector",
    "cloud-sql-proxy",
    "cloudsql-proxy",
    "config-reloader",
    "consul-dataplane",
    "daprd",
    "datadog-agent",
    "envoy",
    "envoy-sidecar",
    "filebeat",
    "fluent-bit",
    "fluentd",
    "gcs-fuse-csi-driver-sidecar-mounter",
    "gke-gcsfuse-sidecar",
    "istio-proxy",
    "k8s-sidecar",
    "kube-rbac-proxy",
    "kuma-sidecar",
    "linkerd-proxy",
    "oauth2-proxy",
    "opentelemetry-collector",
    "opentelemetry-collector-contrib",
    "otc-container",
    "otel-collector",
    "promtail",
    "proxyv2",
    "queue-proxy",
    "vault-agent",
];

/// The container that a pod is there for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Main<'o> {
    /// It alone asks for a GPU, or alone is told a model, or is alone.
    Told(&'o ContainerSpec),
    /// All others are known to stand beside servers.
    Left(&'o ContainerSpec),
    /// It may be any of several.
    Unclear,
}

/// The first that asks for a GPU; else the one that is told a model; else the one that is no sidecar. `None` for a pod without any.
pub(super) fn main_container(pod: &Pod) -> Option<Main<'_>> {
    let containers = &pod.spec.containers;
    if let Some(container) = containers.iter().find(|container| container.resources.gpus().is_some()) {
        return Some(Main::Told(container));
    }
    let only = |is: fn(&ContainerSpec) -> bool| {
        let mut fitting = containers.iter().filter(|container| is(container));
        fitting.next().filter(|_| fitting.next().is_none())
    };
    let told = only(|_| true).or_else(|| only(|container| served(container).is_some()));
    let left = || only(|container| !is_sidecar(container)).map(Main::Left);
    let unclear = (!containers.is_empty()).then_some(Main::Unclear);
    told.map(Main::Told).or_else(left).or(unclear)
}

fn is_sidecar(container: &ContainerSpec) -> bool {
    let image = container.image.rsplit('/').next().unwrap_or_default();
    let image = image.split([':', '@']).next().unwrap_or_default();
    SIDECARS.contains(&container.name.as_str()) || SIDECARS.contains(&image)
}

#[cfg(test)]
mod tests {
    use coldstart_profiles::{Profile, Tool};
    use serde_json::{Value, json};

    use super::super::{Choice, Source, import};

    const PODS: &str = include_str!("../../../tests/fixtures/cluster/pods-and-events.json");

    /// The fixture's pods (an envoy named `proxy` first, the `server` second) without GPUs, their containers changed.
    fn on_processors(change: impl Fn(&mut Vec<Value>)) -> String {
        let mut document: Value = serde_json::from_str(PODS).unwrap();
        for pod in document["items"].as_array_mut().unwrap().iter_mut().filter(|item| item["kind"] == "Pod") {
            let containers = pod["spec"]["containers"].as_array_mut().unwrap();
            for container in containers.iter_mut() {
                container["resources"] = json!({});
            }
            change(containers);
        }
        document.to_string()
    }

    fn of(text: &str, choice: &Choice) -> Result<Profile, String> {
        let tool = Tool { name: "coldstart".into(), version: "0".into(), method: 1 };
        import(&[Source { name: "pods.json", text }], choice, tool).map_err(|error| error.to_string())
    }

    fn choice(container: Option<&str>, image: Option<&str>) -> Choice {
        Choice {
            container: container.map(str::to_owned),
            image: image.map(str::to_owned),
            ..Choice::default()
        }
    }

    /// The container that a profile is of, and what is said of its choice.
    fn chosen(text: &str, choice: &Choice) -> (String, Option<String>) {
        let profile = of(text, choice).unwrap();
        let said = profile.caveats.iter().find(|caveat| caveat.code == "container_by_elimination");
        (profile.target.cluster.as_ref().unwrap().container.clone(), said.map(|caveat| caveat.text.clone()))
    }

    #[test]
    fn without_a_gpu_sidecars_leave_the_server_and_a_caveat_says_so() {
        let (container, said) = chosen(&on_processors(|_| {}), &Choice::default());
        assert_eq!(container, "server");
        let said = said.unwrap();
        for part in ["`server` is taken", "sidecars (`proxy`)", "`--container`"] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert_eq!(chosen(PODS, &Choice::default()), ("server".to_owned(), None), "its GPU tells");
        assert_eq!(chosen(&on_processors(|_| {}), &choice(Some("proxy"), None)).1, None, "it was asked for");
        let alone = on_processors(|containers| drop(containers.remove(1)));
        assert_eq!(chosen(&alone, &Choice::default()), ("proxy".to_owned(), None), "alone it is the one");
    }

    #[test]
    fn a_model_tells_the_server() {
        let text = on_processors(|containers| {
            containers[0]["image"] = json!("nginx:1");
            containers[1]["args"] = json!(["--model-id", "BAAI/bge-m3"]);
        });
        assert_eq!(chosen(&text, &Choice::default()), ("server".to_owned(), None));
    }

    #[test]
    fn where_nothing_tells_it_the_container_has_to_be_named() {
        for text in [
            on_processors(|containers| containers[0]["image"] = json!("nginx:1")),
            on_processors(|containers| {
                containers[0]["args"] = json!(["--model", "a"]);
                containers[0]["image"] = json!("nginx:1");
                containers[1]["args"] = json!(["--model", "b"]);
            }),
            on_processors(|containers| containers[1]["name"] = json!("queue-proxy")),
        ] {
            let error = of(&text, &Choice::default()).unwrap_err();
            for part in [
                "tell which container of pod `serving/llama",
                "`--container`",
                "`proxy (",
                "vllm-openai:v0.9.1)`",
            ] {
                assert!(error.contains(part), "{part}: {error}");
            }
        }
        let text = on_processors(|containers| containers[0]["image"] = json!("nginx:1"));
        assert_eq!(chosen(&text, &choice(Some("server"), None)), ("server".to_owned(), None));
        let image = "registry.example.com/serving/vllm-openai:v0.9.1";
        assert_eq!(chosen(&text, &choice(None, Some(image))), ("server".to_owned(), None));
        let error = of(&text, &choice(None, Some("redis"))).unwrap_err();
        assert_eq!(error, format!("find a pod with the image `redis`: there are `nginx:1`, `{image}`"));
        let asked = Choice { gpu: Some("NVIDIA-L4".to_owned()), ..Choice::default() };
        assert!(of(&text, &asked).unwrap_err().starts_with("find a pod with the GPU `NVIDIA-L4`"));
    }
}
