//! `coldstart import kubectl`: a cluster's objects in, a profile out, or one clear error and nothing.

use coldstart_profiles::{Phase, Profile, TotalKind, exit};

use crate::support::{Scratch, words};

fn fixture(name: &str) -> String {
    format!("{}/tests/fixtures/cluster/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn pods_become_a_profile_that_every_command_reads() {
    let scratch = Scratch::new();
    let ran = scratch.run(&["import", "kubectl", &fixture("pods-and-events.json"), "--out", "pods.json"]);
    let ran = ran.expect_code(exit::OK);
    for part in [
        "Cold start of pods of registry.example.com/serving/vllm-openai:v0.9.1",
        "3 pods",
        "readiness",
        "left out",
    ] {
        assert!(ran.stdout.contains(part), "{part}: {}", ran.stdout);
    }
    let profile = Profile::read(&scratch.path("pods.json")).unwrap();
    assert_eq!(profile.waterfall(TotalKind::Pod).unwrap().ends_with, Phase::Readiness);
    for line in [
        "report pods.json",
        "report pods.json pods.json",
        "report pods.json --markdown",
        "report pods.json --html p.html",
        "export prometheus pods.json",
    ] {
        scratch.run(&words(line)).expect_code(exit::OK);
    }
    let ran = scratch.run(&words("run --resume pods.json"));
    assert!(ran.expect_code(exit::USAGE).stderr.contains("imported from"), "{}", ran.stderr);
}

#[test]
fn stdin_and_json() {
    let scratch = Scratch::new();
    let mut command = scratch.coldstart(&words("import kubectl - --json --out pods.json"));
    command.stdin(std::fs::File::open(fixture("two-documents.json")).unwrap());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(printed, std::fs::read_to_string(scratch.path("pods.json")).unwrap());
}

/// As Windows PowerShell writes what is redirected with `>`.
#[test]
fn text_in_utf_16_and_with_a_byte_order_mark_is_read_as_it_is() {
    let scratch = Scratch::new();
    let text = std::fs::read_to_string(fixture("pods-and-events.json")).unwrap();
    let text = text.replace('\n', "\r\n");
    let units = || std::iter::once(0xfeff).chain(text.encode_utf16());
    std::fs::write(scratch.path("le.json"), units().flat_map(u16::to_le_bytes).collect::<Vec<u8>>()).unwrap();
    std::fs::write(scratch.path("be.json"), units().flat_map(u16::to_be_bytes).collect::<Vec<u8>>()).unwrap();
    std::fs::write(scratch.path("bom.json"), format!("\u{feff}{text}")).unwrap();
    std::fs::write(scratch.path("plain.json"), &text).unwrap();
    let traces = |name: &str| {
        let line = format!("import kubectl {name} --out p-{name}");
        scratch.run(&words(&line)).expect_code(exit::OK);
        Profile::read(&scratch.path(&format!("p-{name}"))).unwrap().traces
    };
    let plain = traces("plain.json");
    assert!(!plain.is_empty());
    for name in ["le.json", "be.json", "bom.json"] {
        assert_eq!(traces(name), plain, "{name}");
    }
    let mut command = scratch.coldstart(&words("import kubectl - --out p-stdin.json"));
    command.stdin(std::fs::File::open(scratch.path("le.json")).unwrap());
    assert!(command.output().unwrap().status.success());
    // A profile that went the same way.
    let profile = std::fs::read_to_string(scratch.path("p-plain.json")).unwrap();
    let units = std::iter::once(0xfeff).chain(profile.encode_utf16()).flat_map(u16::to_le_bytes);
    std::fs::write(scratch.path("wide.json"), units.collect::<Vec<u8>>()).unwrap();
    assert_eq!(Profile::read(&scratch.path("wide.json")).unwrap().traces, plain);
}

#[test]
fn what_is_no_cluster_is_refused_and_nothing_is_written() {
    let scratch = Scratch::new();
    std::fs::write(scratch.path("empty.json"), "").unwrap();
    std::fs::write(scratch.path("text"), "No resources found in default namespace.\n").unwrap();
    std::fs::write(scratch.path("latin1"), b"{\"kind\": \"caf\xe9\"}").unwrap();
    std::fs::write(scratch.path("cut-utf-16"), [0xff, 0xfe, b'{']).unwrap();
    std::fs::write(scratch.path("no-mark"), b"{\0\"\0k\0i\0n\0d\0\"\0").unwrap();
    std::os::unix::fs::symlink("loop", scratch.path("loop")).unwrap();
    let good = fixture("pods-and-events.json");
    let text = std::fs::read_to_string(&good).unwrap();
    std::fs::write(scratch.path("cut.json"), &text[..text.len() / 2]).unwrap();
    for (args, part) in [
        (vec!["none.json"], "none.json"),
        (vec!["empty.json"], "find a pod in empty.json"),
        (vec!["text"], "kubectl get pod,event,node -o json"),
        (vec!["latin1"], "iconv -f ENCODING -t UTF-8"),
        (vec!["cut-utf-16"], "UTF-16 is cut off"),
        (vec!["no-mark"], "without a byte order mark: convert it with `iconv -f UTF-16LE -t UTF-8`"),
        (vec!["loop"], "links in this path lead in a circle"),
        (vec!["cut.json"], "EOF while parsing"),
        (vec![good.as_str(), "--container", "main"], "`proxy`, `server`"),
        (vec![good.as_str(), "--image", "nginx"], "vllm-openai:v0.9.1"),
        (vec![], "FILE"),
    ] {
        let mut line = vec!["import", "kubectl", "--out", "pods.json"];
        line.extend(args);
        let ran = scratch.run(&line);
        assert!(ran.expect_code(exit::USAGE).stderr.contains(part), "{line:?}: {}", ran.stderr);
        assert!(!scratch.path("pods.json").exists(), "{line:?}");
    }
    scratch.run(&words("import")).expect_code(exit::USAGE);
}
