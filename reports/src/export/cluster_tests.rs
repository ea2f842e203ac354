//! Exports for clusters against golden files and the rules of their consumers.

use coldstart_decisions::emulation::{InterpolationTables, LatencyModel};
use coldstart_profiles::{Fit, ImageSource, Nanos, Outcome, Phase, Profile};
use serde_json::Value;

use super::tests::assert_golden;
use super::{ExportSettings, Exported, Workload, export_target};
use crate::tests::scripted;

fn settings() -> ExportSettings {
    ExportSettings {
        workload: Some(Workload::parse("deployment/llama").unwrap()),
        namespace: Some("serving".to_owned()),
        container: Some("server".to_owned()),
        expires_at: Some("2026-12-01T00:00:00Z".to_owned()),
        model_name: Some("meta-llama/Llama-3.1-8B".to_owned()),
        model_uri: Some("hf://meta-llama/Llama-3.1-8B".to_owned()),
        node_groups: vec!["a100".to_owned()],
        node_selector: vec![("nvidia.com/gpu.product".to_owned(), "NVIDIA-A100-SXM4-80GB".to_owned())],
        parallelism: 4,
        ..ExportSettings::default()
    }
}

fn export(
    target: &str,
    profiles: &[(&str, &Profile)],
    settings: &ExportSettings,
) -> Result<Exported, String> {
    export_target(target).unwrap().of_profiles(profiles, settings).map_err(|error| error.to_string())
}

fn text(target: &str, profile: &Profile) -> String {
    match export(target, &[("a/b.json", profile)], &settings()).unwrap() {
        Exported::File(text) => text,
        Exported::Directory(files) => panic!("{target} is one file, not {files:?}"),
    }
}

fn json(target: &str, profile: &Profile) -> Value {
    serde_json::from_str(&text(target, profile)).unwrap()
}

fn refusal(target: &str, profile: &Profile, settings: &ExportSettings) -> String {
    export(target, &[("p.json", profile)], settings).unwrap_err()
}

/// A run whose image was the user's own.
fn with_an_image() -> Profile {
    let mut profile = scripted::complete();
    if let Some(image) = &mut profile.target.image {
        (image.source, image.reference) =
            (ImageSource::Reference, "registry.example.com/serve:1.4".to_owned());
    }
    for reading in profile.traces.iter_mut().flat_map(|trace| &mut trace.readings) {
        if reading.phase == Phase::ImagePull {
            reading.params =
                coldstart_profiles::Params::new().with("source", "registry").with("image", "serve");
        }
    }
    profile.derive();
    profile
}

/// A sweep that both simulators can be made of: four prompt lengths, three batches at two contexts.
fn swept() -> Profile {
    scripted::swept()
}

#[test]
fn golden_files() {
    let (complete, image, swept) = (scripted::complete(), with_an_image(), swept());
    for (target, profile, name) in [
        ("nfd", &complete, "export-nfd.txt"),
        ("node-affinity", &complete, "export-node-affinity.json"),
        ("probes", &complete, "export-probes.json"),
        ("kwok", &complete, "export-kwok.json"),
        ("image-pull-job", &image, "export-image-pull-job.json"),
        ("local-model-cache", &complete, "export-local-model-cache.json"),
        ("inference-sim", &swept, "export-inference-sim.yaml"),
    ] {
        assert_golden(name, &text(target, profile));
    }
    let Exported::Directory(files) = export("dynamo", &[("a/b.json", &swept)], &settings()).unwrap() else {
        panic!("several files")
    };
    for file in files {
        assert_golden(&format!("export-dynamo-{}", file.name), &file.contents);
    }
}

#[test]
fn features_are_labels_that_node_affinity_can_compare() {
    for profile in [scripted::complete(), scripted::on_a_gpu(), with_an_image()] {
        let text = text("nfd", &profile);
        assert!(text.len() < 64_000 && text.contains("# +expiry-time=2026-12-01T00:00:00Z\n"), "{text}");
        let mut names = std::collections::BTreeSet::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (key, value) = line.split_once('=').unwrap();
            let (prefix, name) = key.split_once('/').unwrap();
            assert!(names.insert(name.to_owned()), "{name} twice");
            assert_eq!(prefix, "coldstart-rs.github.io");
            for part in [name, value] {
                let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
                let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
                assert!(part.len() <= 63 && part.chars().all(plain), "{line}");
                assert!(edge(part.chars().next()) && edge(part.chars().last()), "{line}");
            }
            if name.ends_with("-ms") || name.ends_with("-per-s") || name.ends_with("-mb") {
                value.parse::<u64>().unwrap();
            }
        }
        assert!(names.contains("cold-start-process-ms"), "{names:?}");
    }
}

#[test]
fn hostile_names_become_labels_or_none() {
    let mut profile = scripted::complete();
    for (source, label) in [
        ("meta-llama/Llama-3.1-8B", Some("meta-llama-Llama-3.1-8B".to_owned())),
        ("模型", None),
        ("", None),
        (
            "x\n# +expiry-time=1970-01-01T00:00:00Z\nevil.io/y=z",
            Some("x-expiry-time-1970-01-01T00-00-00Z-evil.io-y-z".to_owned()),
        ),
        (&"/long".repeat(40), Some(format!("{}lon", "long-".repeat(12)))),
    ] {
        profile.target.model.as_mut().unwrap().source = source.to_owned();
        let text = text("nfd", &profile);
        let found = text.lines().find_map(|line| line.strip_prefix("coldstart-rs.github.io/model="));
        assert_eq!(found, label.as_deref(), "{source:?}");
        assert!(text.contains("coldstart-rs.github.io/model-id="), "two models can always be told apart");
    }
    profile.started_at = "\u{1b}]0;x\n+expiry-time=".to_owned();
    assert!(!text("nfd", &profile).contains('\u{1b}'));
    for prefix in ["kubernetes.io", "node.kubernetes.io", "x.k8s.io", "nodots", "a b.c", ""] {
        let refused =
            refusal("nfd", &profile, &ExportSettings { label_prefix: prefix.to_owned(), ..settings() });
        assert!(refused.contains("--label-prefix"), "{prefix}: {refused}");
    }
}

#[test]
fn probes_wait_longer_than_the_longest_start() {
    let profile = scripted::complete();
    let patch = json("probes", &profile);
    let probe = &patch["spec"]["template"]["spec"]["containers"][0]["startupProbe"];
    let waits = probe["failureThreshold"].as_u64().unwrap() * probe["periodSeconds"].as_u64().unwrap();
    let deadline = patch["spec"]["progressDeadlineSeconds"].as_u64().unwrap();
    assert!(deadline >= waits.max(600), "its scheduling was not measured: {deadline}");
    assert!(probe["failureThreshold"].as_u64().unwrap() >= 2, "the first probe may come at once");
    let annotations = patch["metadata"]["annotations"].as_object().unwrap();
    for part in ["profile", "tool", "failure-threshold", "progress-deadline"] {
        assert!(annotations.contains_key(&format!("coldstart-rs.github.io/{part}")), "{annotations:?}");
    }
    let set = Workload::parse("sts/llama").unwrap();
    let patch =
        export("probes", &[("p", &profile)], &ExportSettings { workload: Some(set), ..settings() }).unwrap();
    let Exported::File(text) = patch else { panic!("one file") };
    assert!(!text.contains("\"progressDeadlineSeconds\""), "a StatefulSet has none");
}

#[test]
fn kwok_takes_durations_of_which_the_second_is_no_shorter() {
    for profile in [scripted::complete(), scripted::on_a_gpu()] {
        let patch = json("kwok", &profile);
        let annotations = &patch["spec"]["template"]["metadata"]["annotations"];
        let nanos = |key: &str| {
            let text = annotations[key].as_str().unwrap_or_else(|| panic!("{key}: {annotations}")).to_owned();
            let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap();
            let unit = match &text[digits..] {
                "ns" => 1,
                "us" => 1_000,
                "ms" => 1_000_000,
                "s" => 1_000_000_000,
                other => panic!("{other}"),
            };
            text[..digits].parse::<u64>().unwrap() * unit
        };
        let ready = "pod-ready.stage.kwok.x-k8s.io";
        assert!(nanos(&format!("{ready}/delay")) <= nanos(&format!("{ready}/jitter-delay")));
    }
}

#[test]
fn pull_jobs_wait_twice_as_long_as_the_largest_pull() {
    let profile = with_an_image();
    let job = json("image-pull-job", &profile);
    let summary =
        profile.of_phase(Phase::ImagePull).find_map(|row| Some(row.outcome.as_measured()?.1)).unwrap();
    let expected = (2.0 * summary.max_ns.as_secs_f64()).ceil() as u64;
    assert_eq!(job["spec"]["pullPolicy"]["timeoutSeconds"], expected);
    assert_eq!(job["spec"]["image"], "registry.example.com/serve:1.4");
    assert_eq!(job["metadata"]["name"], "pull-serve-1-4");
    assert_eq!(job["spec"]["selector"]["matchLabels"]["nvidia.com/gpu.product"], "NVIDIA-A100-SXM4-80GB");
    let why = refusal("image-pull-job", &scripted::complete(), &settings());
    assert!(why.contains("synthetic") && why.contains("--image REF"), "{why}");
}

#[test]
fn a_spread_is_bounded_by_what_a_simulator_reads() {
    let mut profile = swept();
    let Fit::Fitted { fit } = &mut profile.fits.prefill else { panic!("a fit") };
    (fit.alpha_ns, fit.beta_ns) = (40_990.0, 3_990.0);
    for measurement in &mut profile.measurements {
        let Outcome::Measured { summary, .. } = &mut measurement.outcome else { continue };
        (summary.mad_ns, summary.p50_ns) = (Nanos::from_secs(1), Nanos::from_nanos(43_990));
    }
    let yaml = text("inference-sim", &profile);
    // 30 % of 40 + 3 and of 43, and not of the 44.98 and 43.99 that they were cut off from.
    for line in [
        "prefill-overhead: \"40us\"",
        "prefill-time-per-token: \"3us\"",
        "prefill-time-std-dev: \"12us\"",
        "inter-token-latency: \"43us\"",
        "inter-token-latency-std-dev: \"12us\"",
    ] {
        assert!(yaml.lines().any(|found| found == line), "{line}: {yaml}");
    }
}

#[test]
fn simulators_get_what_they_check_for() {
    let profile = swept();
    let model = LatencyModel::of(&profile).unwrap();
    assert!(model.load_factor.value >= 1.0);
    assert!(
        model.inter_token_deviation_ns.as_nanos() as f64
            <= 0.3 * model.inter_token_ns.value.as_nanos() as f64
    );
    let yaml = text("inference-sim", &profile);
    for key in [
        "model: \"meta-llama/Llama-3.1-8B\"",
        "port: 8000",
        "latency-calculator: per-token",
        "max-num-seqs: ",
    ] {
        assert!(yaml.lines().any(|line| line.starts_with(key)), "{key}: {yaml}");
    }
    let Exported::Directory(files) = export("dynamo", &[("p", &profile)], &settings()).unwrap() else {
        panic!("several files")
    };
    let of = |name: &str| -> Value {
        serde_json::from_str(&files.iter().find(|file| file.name == name).unwrap().contents).unwrap()
    };
    let numbers = |value: &Value| -> Vec<f64> {
        value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
    };
    let (prefill, decode) = (of("prefill_raw_data.json"), of("decode_raw_data.json"));
    let lengths = numbers(&prefill["prefill_isl"]);
    assert!(lengths.len() >= 4 && lengths.is_sorted_by(|a, b| a < b), "{lengths:?}");
    for (table, columns) in [
        (&prefill, &["prefill_isl", "prefill_ttft", "prefill_thpt_per_gpu"][..]),
        (&decode, &["x_kv_usage", "y_context_length", "z_itl", "z_thpt_per_gpu"][..]),
    ] {
        let first = numbers(&table[columns[0]]).len();
        for column in columns {
            let values = numbers(&table[column]);
            assert!(values.len() == first && values.iter().all(|value| *value > 0.0), "{column}: {values:?}");
        }
    }
    assert!(numbers(&decode["x_kv_usage"]).iter().all(|share| *share <= 1.0));
    assert!(
        decode["max_kv_tokens"].as_u64().unwrap() > 0
            && of("engine_args.json")["startup_time"].as_f64().unwrap() > 0.0
    );
}

#[test]
fn too_small_a_sweep_is_refused_with_what_would_do() {
    let profile = scripted::complete();
    let why = refusal("dynamo", &profile, &settings());
    assert!(why.contains("`throughput`") && why.contains("--prompts"), "{why}");
    let mut encoder = swept();
    encoder.throughput.retain(|point| point.mode != coldstart_profiles::ForwardMode::Decode);
    encoder.derive();
    let why = refusal("inference-sim", &encoder, &settings());
    assert!(why.contains("decode steps") && why.contains("`throughput`"), "{why}");
    let fleet_of = |profile: &Profile| {
        let fleet =
            coldstart_decisions::measured::Fleet::of(&[("p", profile)], &Default::default(), true).unwrap();
        fleet.classes[0].memory.clone()
    };
    let mut flat = swept();
    flat.throughput
        .retain(|point| point.tokens == 128 || point.mode != coldstart_profiles::ForwardMode::Decode);
    flat.derive();
    assert!(
        InterpolationTables::of(&flat, &fleet_of(&flat)).unwrap_err().why.contains("line"),
        "one context"
    );
}

#[test]
fn what_is_missing_is_named() {
    let (complete, empty) = (scripted::complete(), scripted::empty());
    for (target, phase) in [
        ("nfd", "weights_load"),
        ("node-affinity", "first_batch"),
        ("probes", "first_batch"),
        ("kwok", "first_batch"),
        ("image-pull-job", "image_pull"),
        ("dynamo", "throughput"),
        ("inference-sim", "throughput"),
    ] {
        let why = refusal(target, &empty, &settings());
        assert!(why.starts_with(&format!("export p.json as {target}: ")), "{why}");
        assert!(why.contains(phase), "{target}: {why}");
    }
    let mut nameless = complete.clone();
    nameless.target.model = None;
    assert!(refusal("local-model-cache", &nameless, &settings()).contains("weights_load"));
    for (target, flag) in [("probes", "--workload"), ("local-model-cache", "--model-uri")] {
        assert!(refusal(target, &complete, &ExportSettings::default()).contains(flag), "{target}");
    }
    let no_container = ExportSettings { container: None, ..settings() };
    assert!(refusal("probes", &complete, &no_container).contains("--container"));
    let no_group = ExportSettings { node_groups: vec!["Not A Name".to_owned()], ..settings() };
    assert!(refusal("local-model-cache", &complete, &no_group).contains("--node-groups"));
}

/// Pods on nodes that may tell their GPU.
fn pods(product: Option<&str>) -> Profile {
    let mut profile = scripted::complete();
    profile.target.model = None;
    profile.target.device.name = product.unwrap_or("nvidia.com/gpu").to_owned();
    profile.target.cluster = Some(coldstart_profiles::ClusterTarget {
        image: "serve:1".to_owned(),
        container: "server".to_owned(),
        nodes: vec!["a".to_owned()],
        pods: 3,
        gpu_resource: Some("nvidia.com/gpu".to_owned()),
        gpu_product: product.map(str::to_owned),
        model: None,
        left_out: Vec::new(),
    });
    profile
}

#[test]
fn pods_are_labelled_with_the_gpu_of_their_nodes_or_with_none() {
    assert!(text("nfd", &pods(Some("NVIDIA-L4"))).contains("/device=NVIDIA-L4\n"));
    let unknown = pods(None);
    assert!(!text("nfd", &unknown).contains("/device="), "what they ask for is no device");
    assert!(text("nfd", &unknown).contains("/cold-start-"));
    let why = refusal("node-affinity", &unknown, &settings());
    assert!(why.contains("which GPU") && why.contains("pod,event,node"), "{why}");
    assert!(text("node-affinity", &pods(Some("NVIDIA-L4"))).contains("NVIDIA-L4"));
}

/// What helps is what `export` takes, and not a flag of `plan`.
#[test]
fn pods_alone_are_told_what_the_tables_need() {
    let why = refusal("dynamo", &pods(Some("NVIDIA-L4")), &settings());
    assert!(why.contains("cold starts of pods only") && why.contains("coldstart run --model DIR"), "{why}");
    assert!(!why.contains("--weights") && !why.contains("--assume"), "{why}");
}

#[test]
fn names_that_a_cluster_refuses_are_refused_by_their_flag() {
    let profile = scripted::complete();
    let with = |change: &dyn Fn(&mut ExportSettings)| {
        let mut settings = settings();
        change(&mut settings);
        settings
    };
    let long = "n".repeat(64);
    for (settings, flag) in [
        (with(&|settings| settings.namespace = Some("My Space".to_owned())), "--namespace"),
        (with(&|settings| settings.namespace = Some("a.b".to_owned())), "--namespace"),
        (with(&|settings| settings.container = Some(long.clone())), "--container"),
        (
            with(&|settings| settings.node_selector = vec![("k".to_owned(), "NVIDIA L4".to_owned())]),
            "--node-selector",
        ),
        (
            with(&|settings| settings.node_selector = vec![("a/b/c".to_owned(), "x".to_owned())]),
            "--node-selector",
        ),
        (with(&|settings| settings.health_path = "health".to_owned()), "--health-path"),
        (with(&|settings| settings.health_path = "/a b".to_owned()), "--health-path"),
        (with(&|settings| settings.api_version = Some("v1alpha1".to_owned())), "--api-version"),
        (with(&|settings| settings.metric_selector = "namespace=serving".to_owned()), "--metric-selector"),
        (with(&|settings| settings.request_metric = Some("up{a=b}".to_owned())), "--request-metric"),
        (with(&|settings| settings.prometheus = "notaurl".to_owned()), "--prometheus"),
        (with(&|settings| settings.model_uri = Some("llama".to_owned())), "--model-uri"),
    ] {
        for target in ["probes", "local-model-cache", "nfd"] {
            let why = refusal(target, &profile, &settings);
            assert!(why.contains(&format!("{flag} takes")), "{target}: {why}");
        }
    }
    let mut hostile = with_an_image();
    hostile.target.image.as_mut().unwrap().reference = "serve:1\nimage: other".to_owned();
    assert!(refusal("image-pull-job", &hostile, &settings()).contains("no reference of an image"));
}

#[test]
fn names_of_models_with_slashes_of_any_script_and_any_length_make_objects_that_a_cluster_takes() {
    let long = "a/B_c.".repeat(34);
    for name in
        ["meta-llama/Llama-3.1-8B", &long, "模型/名字-ü", "", "-", "a\nb: c", "𝕏".repeat(100).as_str()]
    {
        let (mut complete, mut swept) = (with_an_image(), swept());
        for profile in [&mut complete, &mut swept] {
            profile.target.model.as_mut().unwrap().source = name.to_owned();
        }
        // A place without white space; nothing is left of its name where there is none.
        let place: String = name.chars().filter(|c| !c.is_whitespace()).collect();
        let settings =
            ExportSettings { model_name: None, model_uri: Some(format!("hf://x/{place}")), ..settings() };
        for target in super::EXPORT_TARGETS.iter().filter(|target| !target.takes_plan()) {
            let profile = if ["dynamo", "inference-sim"].contains(&target.name) { &swept } else { &complete };
            let made = export(target.name, &[("p.json", profile)], &settings);
            let Exported::File(text) = made.unwrap_or_else(|why| panic!("{}: {why}", target.name)) else {
                continue;
            };
            if let Ok(object) = serde_json::from_str::<Value>(&text) {
                kept(target.name, &object);
            }
        }
    }
}

/// The rules of names, labels and annotations in whatever objects of a cluster there are.
fn kept(target: &str, object: &Value) {
    match object {
        Value::Object(map) => {
            if let Some(Value::Object(annotations)) = map.get("annotations") {
                let bytes: usize =
                    annotations.iter().map(|(key, value)| key.len() + value.as_str().unwrap().len()).sum();
                assert!(bytes < 256 * 1024, "{target}: {bytes} bytes of annotations");
                for key in annotations.keys() {
                    assert!(super::kubernetes::is_label_key(key), "{target}: {key}");
                }
            }
            if let Some(name) = map.get("metadata").and_then(|metadata| metadata.get("name")) {
                assert!(super::kubernetes::is_object_name(name.as_str().unwrap()), "{target}: {name}");
            }
            for value in map.get("values").and_then(Value::as_array).into_iter().flatten() {
                assert!(super::kubernetes::is_label_value(value.as_str().unwrap()), "{target}: {value}");
            }
            map.values().for_each(|value| kept(target, value));
        }
        Value::Array(list) => list.iter().for_each(|value| kept(target, value)),
        _ => {}
    }
}

#[test]
fn workloads_are_read() {
    for (text, kind) in
        [("llama", "Deployment"), ("deploy/llama", "Deployment"), ("StatefulSet/llama", "StatefulSet")]
    {
        let workload = Workload::parse(text).unwrap();
        assert_eq!((workload.kind.as_str(), workload.name.as_str()), (kind, "llama"));
    }
    for text in ["", "pod/x", "deployment/", "deployment/A", "deployment/a/b"] {
        assert!(Workload::parse(text).is_err(), "{text}");
    }
}
