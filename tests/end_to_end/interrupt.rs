//! Ctrl-C in the middle: nothing measured is lost, nothing is left behind, and the run can go on.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use coldstart_profiles::{Profile, RunState, exit};

use crate::support::{LONG_RUN, NO_ENGINE, Ran, Scratch, docker, engine, signal, wait, words};

fn done(path: &Path) -> usize {
    Profile::read(path).map_or(0, |profile| profile.done.len())
}

/// Processes with this text on their command line.
fn processes_with(text: &str) -> Vec<String> {
    let listed = Command::new("ps").args(["-eo", "pid,args"]).output().unwrap();
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    listed.lines().filter(|line| line.contains(text)).map(str::to_owned).collect()
}

#[test]
fn a_run_that_is_stopped_goes_on_where_it_was() {
    let scratch = Scratch::new();
    let args = words(LONG_RUN);
    let mut child = scratch.coldstart(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let path = scratch.path("p.json");
    wait("three steps", || done(&path) >= 3 || child.try_wait().unwrap().is_some());
    signal(&child, "INT");
    let ran = Ran::of(child.wait_with_output().unwrap());
    ran.expect_code(exit::INTERRUPTED);
    assert!(ran.stderr.contains("--resume"), "{}", ran.stderr);
    let partial = scratch.profile("p.json");
    assert_eq!(partial.state, RunState::Interrupted);
    assert!(partial.done.len() < partial.plan.steps.len());

    scratch.run(&["report", "p.json"]).expect_code(exit::OK);

    let ran = scratch.run(&["run", "--resume", "p.json"]);
    ran.expect_code(exit::OK);
    let whole = scratch.profile("p.json");
    assert_eq!(whole.state, RunState::Complete);
    assert_eq!(whole.plan, partial.plan);
    assert_eq!(whole.done.len(), whole.plan.steps.len());
    assert_eq!(whole.traces[..partial.traces.len()], partial.traces[..], "what was measured stays");
}

#[test]
fn ctrl_c_in_a_terminal_reaches_the_whole_group() {
    // A shell sends the signal to every process of the foreground group; children are in groups of their own.
    let scratch = Scratch::new();
    let args = words(LONG_RUN);
    let mut command = scratch.coldstart(&args);
    command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let path = scratch.path("p.json");
    wait("a step", || done(&path) >= 1);
    let group = format!("-{}", child.id());
    assert!(Command::new("kill").args(["-INT", "--", &group]).status().unwrap().success());
    Ran::of(child.wait_with_output().unwrap()).expect_code(exit::INTERRUPTED);
    assert_eq!(scratch.profile("p.json").state, RunState::Interrupted);
}

#[test]
fn a_terminal_that_is_gone_stops_the_run_as_ctrl_c_does() {
    let scratch = Scratch::new();
    let args = words(LONG_RUN);
    let mut child = scratch.coldstart(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let path = scratch.path("p.json");
    wait("a step", || done(&path) >= 1);
    // Nobody reads any more: what the run says from here on fails.
    drop((child.stdout.take(), child.stderr.take()));
    signal(&child, "HUP");
    assert_eq!(child.wait().unwrap().code(), Some(i32::from(exit::INTERRUPTED)));
    assert_eq!(scratch.profile("p.json").state, RunState::Interrupted);
}

#[test]
fn a_killed_run_takes_its_children_with_it_and_can_go_on() {
    let scratch = Scratch::new();
    let model = scratch.path("model");
    let copied =
        Command::new("cp").args(["-r", &tiny(&scratch), &model.display().to_string()]).status().unwrap();
    assert!(copied.success());
    let model = model.display().to_string();
    let args = [
        "run", "--model", &model, "--phases", NO_ENGINE, "--trials", "5", "--budget", "30", "--out", "p.json",
    ];
    let mut child = scratch.coldstart(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let path = scratch.path("p.json");
    wait("two steps", || done(&path) >= 2);
    signal(&child, "KILL");
    child.wait().unwrap();
    let of_ours = || processes_with(&model).into_iter().filter(|line| line.contains(" trial ")).count();
    wait("the children's end", || of_ours() == 0);
    assert_eq!(scratch.profile("p.json").state, RunState::Partial);
    scratch.run(&["run", "--resume", "p.json"]).expect_code(exit::OK);
    assert_eq!(scratch.profile("p.json").state, RunState::Complete);
}

/// The directory of the tiny synthetic model, made if need be.
fn tiny(scratch: &Scratch) -> String {
    let ran = scratch.run(&["run", "--synthetic", "tiny", "--phases", "alloc", "--dry-run", "--json"]);
    ran.expect_code(exit::OK);
    let plan: coldstart_profiles::Plan = serde_json::from_str(&ran.stdout).unwrap();
    plan.model.path().to_owned()
}

#[test]
fn ctrl_c_leaves_no_container_and_no_image() {
    let Some(_engine) = engine() else { return };
    let scratch = Scratch::new();
    let images = || docker(&["images", "--all", "--quiet", "--no-trunc"]);
    let containers = || docker(&["ps", "--all", "--quiet", "--filter", "label=dev.coldstart.run"]);
    let before = images();
    for at_least in [0, 1] {
        let args = [
            "run",
            "--synthetic",
            "tiny",
            "--phases",
            "image_pull,container_start",
            "--trials",
            "3",
            "--image-size",
            "64",
            "--out",
            "p.json",
        ];
        let mut child =
            scratch.coldstart(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let path = scratch.path("p.json");
        wait("a step", || path.exists() && done(&path) >= at_least || child.try_wait().unwrap().is_some());
        std::thread::sleep(Duration::from_millis(400));
        signal(&child, "INT");
        Ran::of(child.wait_with_output().unwrap()).expect_code(exit::INTERRUPTED);
        assert_eq!(containers(), "");
        assert_eq!(images(), before);
    }
}
