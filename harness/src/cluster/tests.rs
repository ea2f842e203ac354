//! Recorded shapes, exact to the digit; and files that are none.

use std::path::Path;

use coldstart_profiles::{Detail, Nanos, Phase, Profile, Reading, Tool, TotalKind, Trace};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Choice, ClusterError, Source, import};

const ONE_LIST: &str = include_str!("../../../tests/fixtures/cluster/pods-and-events.json");
const TWO_DOCUMENTS: &str = include_str!("../../../tests/fixtures/cluster/two-documents.json");

fn read(text: &str, choice: &Choice) -> Result<Profile, ClusterError> {
    let tool = Tool { name: "coldstart".into(), version: "0".into(), method: 1 };
    import(&[Source { name: "pods.json", text }], choice, tool)
}

fn imported(text: &str) -> Profile {
    read(text, &Choice::default()).unwrap()
}

/// Begin and time of each phase in milliseconds.
fn spans(trace: &Trace) -> Vec<(Phase, f64, f64)> {
    let readings = trace.readings.iter();
    readings
        .map(|reading| (reading.phase, reading.begin_ns.as_millis_f64(), reading.duration_ns.as_millis_f64()))
        .collect()
}

#[test]
fn pods_become_trials_of_four_phases() {
    let profile = imported(ONE_LIST);
    let cluster = profile.target.cluster.as_ref().unwrap();
    assert_eq!((cluster.pods, cluster.container.as_str()), (3, "server"), "the container with the GPU");
    assert_eq!(cluster.nodes, ["gpu-a", "gpu-b"]);
    let why: Vec<&str> = cluster.left_out.iter().map(|pod| pod.why.as_str()).collect();
    assert!(why[0].contains("restarted 2 times") && why[1].contains("ImagePullBackOff"), "{why:?}");
    assert_eq!((profile.target.device.name.as_str(), profile.target.device.count), ("nvidia.com/gpu", 1));
    assert!(profile.target.image.as_ref().unwrap().digest.as_ref().unwrap().starts_with("sha256:abab"));
    assert_eq!(profile.started_at, "2026-11-28T09:00:00Z");

    // The scheduler's event has microseconds; the pull took what its message says.
    assert_eq!(
        spans(&profile.traces[0]),
        [
            (Phase::Scheduling, 0.0, 412.345),
            (Phase::ImagePull, 3_000.0, 71_204.0),
            (Phase::ContainerStart, 74_204.0, 796.0),
            (Phase::Readiness, 75_000.0, 65_000.0),
        ]
    );
    let total = profile.traces[0].total().unwrap();
    assert_eq!(total, (Nanos::from_secs(140), Nanos::from_nanos(2_587_655_000)));
    let Some(Detail::Observed(pull)) = &profile.traces[0].readings[1].detail else { panic!("a pull") };
    assert_eq!(pull.uncertainty_ns, Nanos::from_millis(1));
    assert_eq!(pull.image_bytes.unwrap().get(), 8_751_234_567);
    let Some(Detail::Observed(ready)) = &profile.traces[0].readings[3].detail else { panic!("a readiness") };
    assert_eq!((ready.uncertainty_ns, ready.ends_with.as_str()), (Nanos::from_secs(1), "condition Ready"));

    // The second one waited 13 s for another pull of its node.
    assert_eq!(spans(&profile.traces[1])[1], (Phase::ImagePull, 15_000.0, 84_031.0));
    let Some(Detail::Observed(pull)) = &profile.traces[1].readings[1].detail else { panic!("a pull") };
    assert_eq!(pull.pulling_ns, Some(Nanos::from_millis(70_900)));

    // The third one found its image: another condition, never pooled with the others.
    assert_eq!(profile.traces[2].params.get("image"), Some("present"));
    assert!(profile.traces[2].reading(Phase::ImagePull).is_none());
    assert_eq!(profile.totals.len(), 2);
    assert!(profile.totals.iter().all(|total| total.kind == TotalKind::Pod));
    let whole = profile.waterfall(TotalKind::Pod).unwrap();
    assert_eq!((whole.params.get("image"), whole.total.n), (Some("pulled"), 2));
}

#[test]
fn both_event_apis_and_documents_behind_each_other_say_the_same() {
    let (one, two) = (imported(ONE_LIST), imported(TWO_DOCUMENTS));
    assert_eq!(spans(&one.traces[0]), spans(&two.traces[0]));
    assert_eq!(spans(&one.traces[2]), spans(&two.traces[1]));
}

#[test]
fn what_was_imported_is_a_profile() {
    let profile = imported(ONE_LIST);
    let text = profile.to_json().unwrap();
    let again = Profile::from_json(&text, Path::new("x.json")).unwrap();
    assert_eq!(again, profile);
    for phase in Phase::ALL {
        assert!(profile.of_phase(phase).count() > 0, "{phase} has a row");
    }
    let codes: Vec<&str> = profile.caveats.iter().map(|caveat| caveat.code.as_str()).collect();
    assert_eq!(codes, ["coarse_stamps", "pods_left_out", "last_change_of_readiness"]);
}

/// The one pod of a changed fixture, or why it is left out.
fn changed(change: impl Fn(&mut Vec<Value>)) -> Result<Trace, String> {
    let mut document: Value = serde_json::from_str(ONE_LIST).unwrap();
    let items = document["items"].as_array_mut().unwrap();
    items.retain(|item| {
        let name = item["metadata"]["name"].as_str().unwrap();
        name.starts_with("llama-3-8b-5d9c7b6f4d-2x7lq")
    });
    change(items);
    match read(&document.to_string(), &Choice::default()) {
        Ok(profile) => Ok(profile.traces[0].clone()),
        Err(error) => Err(error.to_string()),
    }
}

fn event<'v>(items: &'v mut [Value], reason: &str) -> &'v mut Value {
    let about_server = |item: &&mut Value| {
        item["kind"] == "Event"
            && item["reason"] == reason
            && item["involvedObject"]["fieldPath"] == "spec.containers{server}"
    };
    items.iter_mut().find(about_server).unwrap()
}

#[test]
fn a_message_that_the_stamps_contradict_is_of_the_last_attempt() {
    let trace = changed(|items| {
        let message = r#"Successfully pulled image "x" in 5.5s (5.5s including waiting)"#;
        event(items, "Pulled")["message"] = json!(message);
    });
    let trace = trace.unwrap();
    assert_eq!(spans(&trace)[1], (Phase::ImagePull, 3_000.0, 71_000.0));
    let Some(Detail::Observed(pull)) = &trace.readings[1].detail else { panic!("a pull") };
    assert_eq!(pull.uncertainty_ns, Nanos::from_secs(1));
}

#[test]
fn events_expire_and_the_rest_still_counts() {
    let trace = changed(|items| items.retain(|item| item["kind"] == "Pod")).unwrap();
    assert_eq!(trace.params.get("image"), Some("unknown"));
    assert_eq!(
        spans(&trace),
        [(Phase::Scheduling, 0.0, 0.0), (Phase::Readiness, 75_000.0, 65_000.0)],
        "the condition PodScheduled has whole seconds"
    );
    let trace = changed(|items| items.retain(|item| item["reason"] != "Pulling")).unwrap();
    assert_eq!(spans(&trace)[1], (Phase::ImagePull, 2_796.0, 71_204.0), "counted back from its end");
}

#[test]
fn pods_without_a_cold_start_say_why() {
    let status = |items: &mut Vec<Value>, path: &str, value: Value| {
        *items[0]["status"].pointer_mut(path).unwrap() = value;
    };
    for (change, expected) in [
        (json!({"at": "/conditions/4/status", "to": "False"}), "it is not ready"),
        (
            json!({"at": "/conditions/4/lastTransitionTime", "to": "2026-11-28T09:00:50Z"}),
            "condition Ready lies 25.0 s before what precedes it",
        ),
        (json!({"at": "/containerStatuses/1/state", "to": {"running": {}}}), "no startedAt"),
        (json!({"at": "/containerStatuses/1/state", "to": {}}), "does not run"),
        (json!({"at": "/containerStatuses", "to": []}), "no status yet"),
    ] {
        let error = changed(|items| status(items, change["at"].as_str().unwrap(), change["to"].clone()));
        let error = error.unwrap_err();
        assert!(error.contains(expected), "{change}: {error}");
        assert!(error.starts_with("find a cold start in 1 pods: `serving/llama"), "{error}");
    }
    let error = changed(|items| items[0]["metadata"]["creationTimestamp"] = Value::Null).unwrap_err();
    assert!(error.contains("creationTimestamp"), "{error}");
}

#[test]
fn containers_and_images_are_chosen() {
    let choice = |container: Option<&str>, image: Option<&str>| Choice {
        container: container.map(str::to_owned),
        image: image.map(str::to_owned),
        ..Choice::default()
    };
    let proxy = read(ONE_LIST, &choice(Some("proxy"), None)).unwrap();
    assert_eq!(proxy.target.cluster.as_ref().unwrap().image, "envoyproxy/envoy:v1.31.0");
    assert_eq!(proxy.target.device.count, 0, "it asks for no GPU");
    let missing = read(ONE_LIST, &choice(Some("main"), None)).unwrap_err().to_string();
    assert_eq!(missing, "find a pod with the container `main`: there are `proxy`, `server`");
    let missing = read(ONE_LIST, &choice(None, Some("nginx"))).unwrap_err().to_string();
    assert!(missing.contains("vllm-openai:v0.9.1"), "{missing}");
    let two = ONE_LIST.replacen(
        "serving/vllm-openai:v0.9.1\",\n                        \"imagePullPolicy",
        "serving/vllm-openai:v0.9.2\",\n                        \"imagePullPolicy",
        1,
    );
    assert_ne!(two, ONE_LIST);
    let several = read(&two, &Choice::default()).unwrap_err().to_string();
    assert!(
        several.starts_with("make one profile of pods with 2 images: choose one with `--image`"),
        "{several}"
    );
    let new = "registry.example.com/serving/vllm-openai:v0.9.2";
    assert_eq!(read(&two, &choice(None, Some(new))).unwrap().traces.len(), 1);
}

/// The fixture with these two pods' containers told other models, and nodes with these labels.
fn told(models: [Option<&str>; 2], nodes: &[(&str, &str, &str)]) -> String {
    let mut document: Value = serde_json::from_str(ONE_LIST).unwrap();
    let items = document["items"].as_array_mut().unwrap();
    let names = ["llama-3-8b-5d9c7b6f4d-2x7lq", "llama-3-8b-5d9c7b6f4d-8k2mw"];
    for (name, model) in names.into_iter().zip(models) {
        let pod = items.iter_mut().find(|item| item["metadata"]["name"] == name).unwrap();
        pod["spec"]["containers"][1]["args"] = model.map_or(json!([]), |model| json!(["--model", model]));
    }
    items.extend(nodes.iter().map(|(name, label, product)| {
        json!({"kind": "Node", "metadata": {"name": name, "labels": {*label: product}}})
    }));
    document.to_string()
}

#[test]
fn nodes_tell_the_gpu_and_arguments_the_model() {
    let cluster = |text: &str| imported(text).target.cluster.unwrap();
    let nothing = cluster(&told([None, None], &[]));
    assert_eq!((nothing.gpu_product, nothing.model), (None, None));
    assert_eq!(nothing.gpu_resource.as_deref(), Some("nvidia.com/gpu"));
    let label = "nvidia.com/gpu.product";
    let (a, b, c) =
        (("gpu-a", label, "NVIDIA-L4"), ("gpu-b", label, "NVIDIA-L4-SHARED"), ("gpu-c", label, "NVIDIA-L4"));
    let profile = imported(&told([Some("meta-llama/Llama-3-8B"), Some("meta-llama/Llama-3-8B")], &[a, b, c]));
    assert_eq!((profile.target.device.name.as_str(), profile.target.device.count), ("NVIDIA-L4", 1));
    let cluster = profile.target.cluster.as_ref().unwrap();
    assert_eq!(cluster.gpu_product.as_deref(), Some("NVIDIA-L4"));
    assert_eq!(cluster.model.as_deref(), Some("meta-llama/Llama-3-8B"));
    let caveat = profile.caveats.iter().find(|caveat| caveat.code == "pods_not_told_apart").unwrap();
    assert!(caveat.text.starts_with("3 of 5 pods don't tell their model"), "{caveat:?}");
}

#[test]
fn pods_of_several_models_or_gpus_are_never_one_profile() {
    let label = "cloud.google.com/gke-accelerator";
    let nodes = [("gpu-a", label, "nvidia-l4"), ("gpu-b", label, "nvidia-h100-80gb")];
    let two = told([Some("a"), Some("b")], &nodes);
    let refused = |choice: &Choice| read(&two, choice).unwrap_err().to_string();
    assert_eq!(
        refused(&Choice::default()),
        "make one profile of pods with 2 models: choose one with `--model`: `a`, `b`"
    );
    let asked = |text: &str| Some(text.to_owned());
    let of_a = Choice { model: asked("a"), ..Choice::default() };
    let profile = read(&two, &of_a).unwrap();
    assert_eq!((profile.traces.len(), profile.target.device.name.as_str()), (1, "nvidia-l4"));
    assert!(
        refused(&Choice { model: asked("c"), ..Choice::default() })
            .contains("the model `c`: there are `a`, `b`")
    );
    let same = told([None, None], &nodes);
    let error = read(&same, &Choice::default()).unwrap_err().to_string();
    assert!(
        error.contains("2 kinds of GPU") && error.contains("--gpu") && error.contains("`nvidia-l4`"),
        "{error}"
    );
    let of_l4 = Choice { gpu: asked("nvidia-l4"), ..Choice::default() };
    let profile = read(&same, &of_l4).unwrap();
    assert_eq!(profile.target.cluster.as_ref().unwrap().nodes, ["gpu-a"]);
    let error = read(&same, &Choice { gpu: asked("T4"), ..Choice::default() }).unwrap_err().to_string();
    assert!(
        error.starts_with("find a pod with the GPU `T4`: there are `nvidia-h100-80gb`, `nvidia-l4`"),
        "{error}"
    );
    let untold = told([None, None], &[]);
    let error = read(&untold, &of_l4).unwrap_err().to_string();
    assert!(error.contains("none that tell their GPU"), "{error}");
}

#[test]
fn files_that_are_none_get_one_clear_error() {
    for (text, expected) in [
        ("", "find a pod in pods.json"),
        ("{}", "find a pod in pods.json"),
        (r#"{"kind":"List","items":[]}"#, "find a pod"),
        (
            r#"{"kind":"List","items":[{"kind":"Pod"}]}"#,
            "find a pod with a container: there are no containers",
        ),
        ("[]", "find a pod in pods.json"),
        (r#"[{"kind":"Pod"}]"#, "find a pod with a container"),
        ("[1]", "read pods.json as objects of a cluster"),
        (
            "{}\n[{},\n7]",
            "invalid type: integer `7`, expected an object or an array of objects at line 3 column 1",
        ),
        ("[]\n[{\"kind\":\"Pod\"}", "EOF while parsing a list at line 2 column 15"),
        ("[][", "EOF while parsing a list at line 1 column 3"),
        ("[] pods", "at line 1 column 4"),
        (
            "{\"items\":[]}\n[{\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\"},\"spec\":1}]",
            "read the spec of pod `a` in pods.json",
        ),
        ("42", "invalid type: integer `42`, expected an object or an array of objects at line 1 column 2"),
        ("42", "read pods.json as objects of a cluster"),
        (
            r#"{"kind":"Status","status":"Failure","message":"pods is forbidden"}"#,
            "the cluster's answer is an error: pods is forbidden",
        ),
        ("apiVersion: v1\nkind: Pod", "read pods.json as objects of a cluster"),
        ("No resources found in default namespace.", "read pods.json as objects of a cluster"),
        (r#"{"kind":"Pod","metadata":{"creationTimestamp":"yesterday"}}"#, "no time of RFC 3339"),
        (
            r#"{"kind":"Pod","metadata":{"name":"a","namespace":"b"},"status":{"containerStatuses":{}}}"#,
            "read the status of pod `b/a` in pods.json: invalid type",
        ),
    ] {
        let error = read(text, &Choice::default()).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
    let deep = "{\"items\":[".repeat(100_000);
    assert!(read(&deep, &Choice::default()).unwrap_err().to_string().contains("recursion limit"));
}

/// The items with `null` wherever what they tell of cold starts lets a client write it.
fn with_nulls(items: &[Value]) -> Vec<Value> {
    const POD: [&str; 11] = [
        "/spec/nodeSelector",
        // Another container than the one that counts, and a condition that nothing begins or ends with.
        "/spec/containers/0/name",
        "/spec/containers/0/image",
        "/spec/containers/0/args",
        "/status/conditions/2/type",
        "/status/conditions/2/status",
        "/status/containerStatuses/0/name",
        "/status/containerStatuses/0/restartCount",
        "/status/containerStatuses/0/imageID",
        "/status/containerStatuses/0/state",
        "/spec/containers/1/env",
    ];
    let null = |item: &mut Value, path: &str| {
        let (parent, field) = path.rsplit_once('/').unwrap();
        item.pointer_mut(parent).unwrap()[field] = Value::Null;
    };
    let mut items = items.to_vec();
    for item in &mut items {
        null(item, "/metadata/labels");
        match item["kind"].as_str().unwrap() {
            "Pod" => POD.iter().for_each(|path| null(item, path)),
            _ => null(item, "/metadata/uid"),
        }
        match item["reason"].as_str() {
            Some("Scheduled") => null(item, "/involvedObject/fieldPath"),
            Some("Pulled") => null(item, "/involvedObject/uid"),
            _ => {}
        }
        if item.pointer("/status/containerStatuses/1/restartCount") == Some(&json!(0)) {
            null(item, "/status/containerStatuses/1/restartCount");
        }
    }
    let nothing = json!({"kind": null, "namespace": null, "name": null, "uid": null, "fieldPath": null});
    items.push(json!({"kind": "Event", "involvedObject": nothing}));
    items.push(json!({"kind": "Node", "metadata": {"name": null, "namespace": null, "labels": null}}));
    items
}

#[test]
fn a_container_that_waits_for_null_does_not_run() {
    let error = changed(|items| {
        items[0]["status"]["containerStatuses"][1]["state"] = json!({"waiting": {"reason": null}});
    });
    assert!(error.unwrap_err().contains("does not run"));
}

#[test]
fn what_means_the_same_is_read_the_same() {
    let all: Value = serde_json::from_str(ONE_LIST).unwrap();
    let items = all["items"].as_array().unwrap();
    let of_kind = |kind: &str| -> Vec<Value> {
        let of_kind = items.iter().filter(|item| item["kind"] == kind).cloned();
        of_kind
            .map(|mut item| {
                item.as_object_mut().unwrap().remove("kind");
                item
            })
            .collect()
    };
    let (pods, events) = (of_kind("Pod"), of_kind("Event"));
    let raw = format!(
        "{}{}",
        json!({"kind": "PodList", "items": pods}),
        json!({"kind": "EventList", "items": events})
    );
    let nulls = with_nulls(items);
    let mut others = items.clone();
    others
        .push(json!({"kind": "Thing", "spec": {"containers": 1, "nodeSelector": {"a": {}}}, "status": "ok"}));
    // Twice: of two looks at a cluster.
    let twice = format!("{ONE_LIST}{ONE_LIST}");
    // Values of labels that no string is, as other clients write them; of nodes and selectors as well.
    let mut odd = items.clone();
    for item in &mut odd {
        item["metadata"]["labels"] = json!({"a": null, "b": 7, "c": {"d": []}});
        if item["kind"] == "Pod" {
            item["spec"]["nodeSelector"] = json!({"x": null});
        }
    }
    // `jq -s` of lists and of arrays, and nothing among them.
    let nested = json!([[null, [items[..7]]], [{"kind": "List", "items": [null, &items[7..]]}], []]);
    // Arrays in front of documents, behind them and behind each other.
    let parts: Vec<String> = items.chunks(7).map(|part| json!(part).to_string()).collect();
    let list = json!({"kind": "List", "items": &items[7..]});
    for text in [
        json!(items).to_string(),
        parts.join("\n"),
        format!("{}\n{list}", parts[0]),
        format!("{list}[]{}", parts[0]),
        json!(odd).to_string(),
        nested.to_string(),
        format!("null\n{ONE_LIST}"),
        raw,
        json!(nulls).to_string(),
        json!(others).to_string(),
        twice,
    ] {
        assert_eq!(imported(&text), imported(ONE_LIST), "{:.200}", text);
    }
}

#[test]
fn of_two_looks_at_a_pod_the_one_that_tells_of_its_start_counts() {
    let mut later: Value = serde_json::from_str(ONE_LIST).unwrap();
    for pod in later["items"].as_array_mut().unwrap().iter_mut().filter(|item| item["kind"] == "Pod") {
        pod["status"]["containerStatuses"][1]["restartCount"] = json!(7);
    }
    for text in [format!("{ONE_LIST}{later}"), format!("{later}{ONE_LIST}")] {
        let profile = imported(&text);
        assert_eq!(profile.traces, imported(ONE_LIST).traces);
        assert_eq!(profile.target.cluster.unwrap().left_out.len(), 2);
    }
}

#[test]
fn a_pod_that_several_files_hold_is_counted_once_among_the_untold() {
    let (all, one) = (told([Some("a"), Some("a")], &[]), told([Some("a"), None], &[]));
    // The same twice; and a pod whose other look tells it.
    for text in [all.clone(), format!("{all}{all}"), format!("{one}{all}"), format!("{all}{one}")] {
        let caveats = imported(&text).caveats;
        let caveat = caveats.iter().find(|caveat| caveat.code == "pods_not_told_apart").unwrap();
        assert!(caveat.text.starts_with("3 of 5 pods don't tell their model"), "{caveat:?}");
    }
}

#[test]
fn an_error_names_some_of_many() {
    let pods: Vec<Value> = (0..40)
        .map(|n| json!({"kind": "Pod", "spec": {"containers": [{"name": "s", "image": format!("i:{n}")}]}}))
        .collect();
    let error = read(&json!(pods).to_string(), &Choice::default()).unwrap_err().to_string();
    assert!(error.contains("40 images") && error.ends_with(" and 28 more"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn cut_files_are_refused_and_never_break_anything(at in 1..ONE_LIST.len() - 2) {
        let cut = ONE_LIST.is_char_boundary(at).then(|| &ONE_LIST[..at]);
        if let Some(cut) = cut {
            let refused = matches!(read(cut, &Choice::default()), Err(ClusterError::Json { .. }));
            prop_assert!(refused);
        }
    }

    #[test]
    fn any_stamps_give_a_consistent_profile_or_a_reason(
        shifts in prop::collection::vec(-200i64..200, 6), took in 0u64..200_000,
    ) {
        let at = |base: i64, shift: i64| {
            let stamp = jiff::Timestamp::from_second(1_795_856_400 + base + shift).unwrap();
            json!(stamp.to_string())
        };
        let change = |items: &mut Vec<Value>| {
            items[0]["metadata"]["creationTimestamp"] = at(0, shifts[0]);
            items[0]["status"]["conditions"][4]["lastTransitionTime"] = at(140, shifts[1]);
            items[0]["status"]["containerStatuses"][1]["state"]["running"]["startedAt"] = at(75, shifts[2]);
            event(items, "Pulling")["firstTimestamp"] = at(3, shifts[3]);
            event(items, "Pulled")["lastTimestamp"] = at(74, shifts[4]);
            event(items, "Pulled")["message"] =
                json!(format!("Successfully pulled image \"x\" in {took}ms ({took}ms including waiting)"));
        };
        let mut document: Value = serde_json::from_str(ONE_LIST).unwrap();
        change(document["items"].as_array_mut().unwrap());
        let profile = imported(&document.to_string());
        prop_assert!(Profile::from_json(&profile.to_json().unwrap(), Path::new("x")).is_ok());
        for trace in &profile.traces {
            let (total, rest) = trace.total().unwrap();
            prop_assert_eq!(trace.parts_ns().saturating_add(rest), total);
            let end = |reading: &Reading| reading.begin_ns.saturating_add(reading.duration_ns);
            let in_turn = trace.readings.windows(2).all(|pair| end(&pair[0]) <= pair[1].begin_ns);
            prop_assert!(in_turn, "{:?}", trace.readings);
        }
    }
}
