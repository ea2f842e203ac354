//! `deploy/coldstart-node`, which the pods of a cluster run: with the real program, in directories instead of volumes.

use std::path::Path;
use std::process::{Command, Stdio};

use coldstart_profiles::{Profile, RunState, exit};

use crate::support::{NO_ENGINE, Ran, Scratch, cache, signal, wait};

const RUN_ARGS: &str =
    "--device host --synthetic tiny --trials 3 --budget 20 --phases process_start,alloc,weights_load";

/// `coldstart-node` of the node `n1` of the class `a100`, with its volumes in `scratch`.
fn node(scratch: &Scratch, what: &str) -> Command {
    let program = Path::new(env!("CARGO_BIN_EXE_coldstart")).parent().unwrap();
    let mut path = program.as_os_str().to_owned();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let mut command = Command::new("sh");
    command
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/coldstart-node"))
        .arg(what)
        .env("PATH", path)
        .env("COLDSTART_CACHE", cache())
        .env("CLASS", "a100")
        .env("NODE_NAME", "n1")
        .env("RUN_ARGS", RUN_ARGS)
        .env("REFRESH", "0")
        .stdin(Stdio::null());
    for (name, below) in [("SHARED", "shared"), ("SCRATCH", "scratch"), ("FEATURES", "features")] {
        std::fs::create_dir_all(scratch.path(below)).unwrap();
        command.env(name, scratch.path(below));
    }
    command
}

fn run(command: &mut Command) -> Ran {
    Ran::of(command.output().unwrap())
}

fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_node_is_profiled_and_its_class_is_labelled() {
    let scratch = Scratch::new();
    let ran = run(&mut node(&scratch, "label"));
    assert!(ran.expect_code(1).stderr.contains("no profile of class a100"), "{}", ran.stderr);
    assert!(names(&scratch.path("features")).is_empty());

    // The second time over a profile that is there.
    for _ in 0..2 {
        run(&mut node(&scratch, "profile")).expect_code(exit::OK);
        assert_eq!(names(&scratch.path("shared/a100")), ["n1.json"]);
    }
    let profile = scratch.profile("shared/a100/n1.json");
    assert_eq!((profile.state, profile.target.host.name.as_str()), (RunState::Complete, "n1"));

    for name in ["n1", "n2"] {
        run(node(&scratch, "label").env("NODE_NAME", name)).expect_code(exit::OK);
        let features = std::fs::read_to_string(scratch.path("features/coldstart")).unwrap();
        assert!(
            features.contains("# n1.json of ") && features.contains("/weights-load-cold-ms="),
            "{features}"
        );
        std::fs::remove_file(scratch.path("features/coldstart")).unwrap();
    }

    // A phase that failed is in the profile, which is handed over; the pod fails all the same.
    let ran = run(node(&scratch, "profile").env("NODE_NAME", "n3").env("COLDSTART_EXE", "/bin/false"));
    ran.expect_code(exit::FAILED);
    assert_eq!(scratch.profile("shared/a100/n3.json").target.host.name, "n3");
}

#[test]
fn what_cannot_work_is_refused_before_anything_is_measured() {
    for (what, name, value, part) in [
        ("", "REFRESH", "0", "\"profile\" or \"label\""),
        ("profile", "CLASS", "", "CLASS is needed"),
        ("profile", "CLASS", "../a100", "not paths: ../a100"),
        ("profile", "NODE_NAME", ".n1", "not paths: .n1"),
        ("label", "REFRESH", "1h", "such as 3600: 1h"),
        ("label", "REFRESH", "08", "such as 3600: 08"),
        ("label", "REFRESH", "99999999999999999999", "such as 3600"),
        ("profile", "SHARED", "/proc/none", "/proc/none/a100 can't be written to by user "),
    ] {
        let scratch = Scratch::new();
        let ran = run(node(&scratch, what).env(name, value));
        assert!(ran.expect_code(exit::USAGE).stderr.contains(part), "{name}={value}: {}", ran.stderr);
        for below in ["shared", "scratch", "features"] {
            assert!(names(&scratch.path(below)).is_empty(), "{name}={value}: {below}");
        }
    }
}

#[test]
fn a_pod_that_is_stopped_stops_its_run_and_hands_nothing_over() {
    let scratch = Scratch::new();
    let long = format!("--device host --synthetic tiny --trials 5 --budget 30 --phases {NO_ENGINE}");
    let mut command = node(&scratch, "profile");
    let mut child =
        command.env("RUN_ARGS", long).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let path = scratch.path("scratch/profile.json");
    let begun = || Profile::read(&path).is_ok_and(|profile| !profile.done.is_empty());
    wait("a step", || begun() || child.try_wait().unwrap().is_some());
    signal(&child, "TERM");
    Ran::of(child.wait_with_output().unwrap()).expect_code(exit::INTERRUPTED);
    assert_eq!(scratch.profile("scratch/profile.json").state, RunState::Interrupted);
    assert!(names(&scratch.path("shared/a100")).is_empty());
}

#[test]
fn a_pod_that_labels_ends_when_it_is_told_to() {
    let scratch = Scratch::new();
    let mut command = node(&scratch, "label");
    let mut child = command.env("REFRESH", "600").stderr(Stdio::piped()).spawn().unwrap();
    // It has looked once, found nothing, and sleeps.
    let mut line = String::new();
    let said = child.stderr.take().unwrap();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(said), &mut line).unwrap();
    assert!(line.contains("no profile"), "{line}");
    signal(&child, "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// `node` with a program that is found before the one of that name, tells the script to stop, and then does what that one does.
fn stopped_by(scratch: &Scratch, what: &str, name: &str) -> Command {
    let mut command = node(scratch, what);
    let path = command.get_envs().find(|(name, _)| *name == "PATH").unwrap().1.unwrap().to_owned();
    let program = scratch.path("first").join(name);
    std::fs::create_dir_all(scratch.path("first")).unwrap();
    std::fs::write(&program, format!("#!/bin/sh\nkill -TERM $PPID\nPATH=${{PATH#*:}}\nexec {name} \"$@\"\n"))
        .unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut first = scratch.path("first").into_os_string();
    first.push(":");
    first.push(path);
    command.env("PATH", first);
    command
}

#[test]
fn a_pod_that_is_stopped_while_it_starts_something_stops_all_the_same() {
    // Before the run, which then never begins; and as it begins, with or without a handler of its own (143: without).
    for (first, codes) in [("touch", &[130][..]), ("coldstart", &[130, 143])] {
        let scratch = Scratch::new();
        let output = stopped_by(&scratch, "profile", first).output().unwrap();
        assert!(output.status.code().is_some_and(|code| codes.contains(&code)), "{first}: {output:?}");
        assert!(names(&scratch.path("shared/a100")).is_empty(), "{first}");
    }
    // In the moment in which it begins to pause.
    let scratch = Scratch::new();
    let output = stopped_by(&scratch, "label", "sleep").env("REFRESH", "600").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}
