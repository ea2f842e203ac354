//! Pulls and containers on the real engine of this machine.

use coldstart_profiles::{Detail, Phase, TotalKind, exit};

use crate::support::{Scratch, docker, engine};

#[test]
fn a_synthetic_image_is_pulled_cold_and_removed() {
    let Some(_engine) = engine() else { return };
    let scratch = Scratch::new();
    let before = docker(&["images", "--all", "--quiet", "--no-trunc"]);
    let args = [
        "run",
        "--synthetic",
        "tiny",
        "--phases",
        "image_pull",
        "--pull-trials",
        "3",
        "--image-size",
        "16",
        "--image-layers",
        "3",
    ];
    scratch.run(&args).expect_code(exit::OK);
    let profile = scratch.profile("coldstart-profile.json");
    let pulls: Vec<_> = profile.traces.iter().filter(|trace| trace.total_kind == TotalKind::Pull).collect();
    assert_eq!(pulls.len(), 3);
    let mut digests = Vec::new();
    for pull in pulls {
        let Some(Detail::Pull(detail)) = &pull.readings[0].detail else { panic!("{pull:?}") };
        assert_eq!(detail.layers.len(), 3);
        assert_eq!(detail.cold_fraction, Some(1.0), "nothing already existed");
        assert!(detail.layers.iter().all(|layer| layer.extract.is_some()), "{detail:#?}");
        assert_eq!(detail.critical_path.sum(), detail.total_ns);
        digests.push(detail.digest.clone());
    }
    digests.sort();
    digests.dedup();
    assert_eq!(digests.len(), 3, "every trial has new contents");
    assert_eq!(
        docker(&["images", "--all", "--quiet", "--no-trunc"]),
        before,
        "only what the run made is gone"
    );
    assert!(profile.totals.is_empty(), "a synthetic pull is part of no total");
}

#[test]
fn zstd_layers_are_skipped_where_the_engine_cannot_take_them() {
    let Some(_engine) = engine() else { return };
    let version = docker(&["version", "--format", "{{.Server.Version}}"]);
    let major: u32 = version.split('.').next().and_then(|major| major.trim().parse().ok()).unwrap();
    let scratch = Scratch::new();
    let args = [
        "run",
        "--synthetic",
        "tiny",
        "--phases",
        "image_pull,alloc",
        "--trials",
        "3",
        "--image-size",
        "16",
        "--image-codec",
        "zstd",
    ];
    scratch.run(&args).expect_code(exit::OK);
    let profile = scratch.profile("coldstart-profile.json");
    let row = profile.of_phase(Phase::ImagePull).next().unwrap();
    if major < 23 {
        let text = format!("{:?}", row.outcome);
        assert!(text.contains("Skipped") && text.contains("23.0"), "{text}");
    } else {
        assert!(row.outcome.as_measured().is_some(), "{row:?}");
    }
}

#[test]
fn a_container_start_is_timed_from_the_create_request() {
    let Some(_engine) = engine() else { return };
    let scratch = Scratch::new();
    let args = [
        "run",
        "--synthetic",
        "tiny",
        "--phases",
        "container_start,alloc,weights_load,first_batch",
        "--trials",
        "3",
    ];
    scratch.run(&args).expect_code(exit::OK);
    let profile = scratch.profile("coldstart-profile.json");
    let containers: Vec<_> =
        profile.traces.iter().filter(|trace| trace.total_kind == TotalKind::Container).collect();
    assert_eq!(containers.len(), 3);
    for trace in containers {
        let first = &trace.readings[0];
        assert_eq!(first.phase, Phase::ContainerStart);
        let Some(Detail::Container(detail)) = &first.detail else { panic!("{first:?}") };
        assert!(detail.create_ns.saturating_add(detail.start_ns) <= first.duration_ns);
        assert!(trace.reading(Phase::WeightsLoad).is_some(), "the program inside loads the model");
        let (total, unattributed) = trace.total().unwrap();
        assert_eq!(trace.parts_ns().saturating_add(unattributed), total);
    }
    assert!(profile.totals.iter().any(|total| total.kind == TotalKind::Container));
    assert_eq!(docker(&["ps", "--all", "--quiet", "--filter", "label=dev.coldstart.run"]), "");
}

#[test]
fn without_an_engine_pulls_are_skipped_with_the_reason() {
    let scratch = Scratch::new();
    let args =
        ["run", "--synthetic", "tiny", "--phases", "image_pull,container_start,alloc", "--trials", "3"];
    let output = scratch.coldstart(&args).env("DOCKER_HOST", "unix:///nowhere/docker.sock").output().unwrap();
    crate::support::Ran::of(output).expect_code(exit::OK);
    let profile = scratch.profile("coldstart-profile.json");
    for phase in [Phase::ImagePull, Phase::ContainerStart] {
        let text = format!("{:?}", profile.of_phase(phase).next().unwrap().outcome);
        assert!(text.contains("Skipped") && text.contains("/nowhere/docker.sock"), "{text}");
    }
}

#[test]
fn an_image_that_is_there_is_not_pulled_over() {
    let Some(_engine) = engine() else { return };
    let scratch = Scratch::new();
    std::fs::create_dir(scratch.path("root")).unwrap();
    std::fs::write(scratch.path("root/file"), "contents").unwrap();
    let name = format!("coldstart-test/present-{}:1", std::process::id());
    let tar = scratch.path("root.tar").display().to_string();
    let packed = std::process::Command::new("tar")
        .args(["-C", &scratch.path("root").display().to_string(), "-cf", &tar, "."])
        .status()
        .unwrap();
    assert!(packed.success());
    let id = docker(&["import", &tar, &name]);
    let ran = scratch.run(&["run", "--synthetic", "tiny", "--phases", "image_pull", "--image", &name]);
    let still = docker(&["images", "--quiet", "--no-trunc", &name]);
    docker(&["rmi", &name]);
    ran.expect_code(exit::FAILED);
    assert!(ran.stdout.contains(&name) && ran.stdout.contains("present"), "{}\n{}", ran.stdout, ran.stderr);
    assert_eq!(still.trim(), id.trim(), "it is still there");
}
