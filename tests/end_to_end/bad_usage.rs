//! Flags, profiles and places that can't be used: one clear error each, and the documented exit code.

use std::path::Path;
use std::process::Command;

use coldstart_profiles::exit;

use crate::support::{Scratch, skip};

#[test]
fn flags() {
    let scratch = Scratch::new();
    let table: &[(&[&str], &[&str])] = &[
        (&["run", "--device", "tpu"], &["tpu", "auto, host and cuda"]),
        (&["run", "--device", "cuda:0,0"], &["cuda:0,0", "twice"]),
        (&["run", "--phases", "weights"], &["weights", "weights_load", "first_batch"]),
        (&["run", "--synthetic", "huge"], &["huge", "tiny", "8b"]),
        (&["run", "--synthetic", "tiny", "--strategies", "rdma"], &["rdma", "direct", "mmap"]),
        (
            &["run", "--synthetic", "tiny", "--phases", "driver_init"],
            &["driver_init", "the host device has none"],
        ),
        (
            &["run", "--synthetic", "tiny", "--phases", "warm_up", "--trials", "100", "--budget", "1"],
            &["--budget", "100 trials, 50 iterations"],
        ),
        (&["run", "--image", "Not An Image"], &["Not An Image", "repository"]),
        (&["run", "--trials", "0"], &["--trials"]),
        (&["run", "--image-compressibility", "2"], &["--image-compressibility", "from 0 to 1"]),
        (&["run", "--synthetic", "tiny", "--prompts", "16,100000"], &["prompts", "100000"]),
        (&["run", "--resume", "p.json", "--out", "q.json"], &["--resume", "--out"]),
        (&["run", "--resume", "p.json", "--dry-run"], &["--resume", "--dry-run"]),
        (&["run", "--no-such-flag"], &["--no-such-flag"]),
        (&["run", "--model", "a", "--synthetic", "tiny"], &["--model", "--synthetic"]),
        (&["frobnicate"], &["frobnicate"]),
    ];
    for (args, parts) in table {
        scratch.run(args).expect_error(exit::USAGE, parts);
    }
    assert!(!scratch.path("coldstart-profile.json").exists());
}

#[test]
fn help_names_the_exit_codes() {
    let scratch = Scratch::new();
    let help = scratch.run(&["--help"]);
    help.expect_code(exit::OK);
    assert!(help.stdout.contains("Exit codes") && help.stdout.contains("130"), "{}", help.stdout);
    for command in ["run", "report", "doctor", "schema"] {
        assert!(help.stdout.contains(command), "{}", help.stdout);
        scratch.run(&[command, "--help"]).expect_code(exit::OK);
    }
    assert!(!help.stdout.contains("trial "), "the hidden command is hidden");
}

#[test]
fn profiles() {
    let scratch = Scratch::new();
    scratch
        .run(&["report", "missing.json"])
        .expect_error(exit::USAGE, &["missing.json", "No such file", "coldstart run --out"]);
    std::fs::write(scratch.path("image.json"), b"\x89PNG\r\n").unwrap();
    scratch.run(&["report", "image.json"]).expect_error(exit::USAGE, &["image.json"]);
    std::fs::write(scratch.path("text.json"), "not json").unwrap();
    scratch.run(&["report", "text.json"]).expect_error(exit::USAGE, &["text.json", "coldstart run"]);
    std::fs::write(scratch.path("other.json"), "{\"name\": \"package\"}").unwrap();
    scratch.run(&["report", "other.json"]).expect_error(exit::USAGE, &["other.json", "no `format` version"]);
    scratch.run(&["run", "--resume", "other.json"]).expect_error(exit::USAGE, &["other.json"]);

    scratch
        .run(&["run", "--synthetic", "tiny", "--phases", "alloc", "--out", "p.json"])
        .expect_code(exit::OK);
    let text = std::fs::read_to_string(scratch.path("p.json")).unwrap();
    std::fs::write(scratch.path("newer.json"), text.replacen("\"major\": 1", "\"major\": 2", 1)).unwrap();
    scratch.run(&["report", "newer.json"]).expect_error(exit::USAGE, &["newer.json", "format 2", "format 1"]);
    std::fs::write(scratch.path("marked.json"), format!("\u{feff}{text}")).unwrap();
    scratch.run(&["report", "marked.json"]).expect_code(exit::OK);
    let wide: Vec<u8> = format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    std::fs::write(scratch.path("wide.json"), wide).unwrap();
    scratch.run(&["report", "wide.json"]).expect_code(exit::OK);
    let p50 = text.lines().find(|line| line.contains("\"p50_ns\"")).unwrap();
    std::fs::write(scratch.path("edited.json"), text.replacen(p50, "\"p50_ns\": 1,", 1)).unwrap();
    scratch
        .run(&["report", "edited.json"])
        .expect_error(exit::USAGE, &["edited.json", "does not follow from its samples", "measure again"]);
}

#[test]
fn every_command_names_the_remedy_for_a_file_that_it_cannot_use() {
    let scratch = Scratch::new();
    let profile = include_str!("../fixtures/profiles/profile-1.0.json");
    std::fs::write(scratch.path("p.json"), profile).unwrap();
    std::fs::write(scratch.path("cut.json"), profile.chars().take(profile.len() / 2).collect::<String>())
        .unwrap();
    std::fs::write(scratch.path("empty.json"), "").unwrap();
    std::fs::create_dir(scratch.path("directory")).unwrap();
    let commands = [
        "report",
        "gate p.json --baseline",
        "gate --baseline p.json",
        "export bmf",
        "calibrate p.json",
        "run --resume",
    ];
    for (file, part) in [
        ("none.json", ": "),
        ("cut.json", "cut off"),
        ("empty.json", "is empty"),
        ("directory", "profiles in it"),
    ] {
        for command in commands {
            let args: Vec<&str> = command.split(' ').chain([file]).collect();
            let ran = scratch.run(&args);
            assert!(
                ran.stderr.contains(file) && ran.stderr.contains(part),
                "{command} {file}: {}",
                ran.stderr
            );
        }
        for option in ["--rules", "--policy"] {
            let ran = scratch.run(&["gate", "p.json", "--baseline", "p.json", option, file]);
            let helps = ["correct the path", "coldstart calibrate", "coldstart schema rules", "give a file"];
            let helps = helps.iter().any(|help| ran.stderr.contains(help));
            assert!(helps || (option, file) == ("--rules", "empty.json"), "{option} {file}: {}", ran.stderr);
        }
    }
}

#[test]
fn places_that_cannot_be_written() {
    let scratch = Scratch::new();
    let ran =
        scratch.run(&["run", "--synthetic", "tiny", "--phases", "alloc", "--out", "no/such/dir/p.json"]);
    ran.expect_code(exit::USAGE);
    assert!(ran.stderr.contains("no/such/dir/p.json") && ran.stderr.contains("--out"), "{}", ran.stderr);
    // A file where the cache directory should be: also root can't write there.
    std::fs::write(scratch.path("cache"), "a file").unwrap();
    let output = scratch
        .coldstart(&["run", "--synthetic", "tiny", "--phases", "alloc"])
        .env("COLDSTART_CACHE", scratch.path("cache"))
        .output()
        .unwrap();
    crate::support::Ran::of(output).expect_error(exit::USAGE, &["cache"]);
    // A file system that nobody can write to.
    let output = scratch
        .coldstart(&["run", "--synthetic", "tiny", "--phases", "alloc"])
        .env("COLDSTART_CACHE", "/proc/coldstart")
        .output()
        .unwrap();
    crate::support::Ran::of(output).expect_error(exit::USAGE, &["/proc/coldstart"]);
}

/// A file system of `size` in memory, unmounted at the end.
struct Small(std::path::PathBuf);

impl Small {
    fn mount(path: &Path, size: &str) -> Option<Small> {
        std::fs::create_dir_all(path).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs", &path.display().to_string()])
            .output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Small(path.to_owned()));
        }
        skip("mount", "a file system can't be mounted here: not root");
        None
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn a_disk_that_is_full() {
    let scratch = Scratch::new();
    let Some(small) = Small::mount(&scratch.path("small"), "300k") else { return };
    let out = small.0.join("p.json").display().to_string();
    let cache = small.0.join("cache");
    let output = scratch
        .coldstart(&["run", "--synthetic", "tiny", "--phases", "alloc"])
        .env("COLDSTART_CACHE", &cache)
        .output()
        .unwrap();
    crate::support::Ran::of(output).expect_error(exit::USAGE, &[&cache.display().to_string()]);
    // Filled to the last block: the profile can't be begun.
    let _ = std::fs::write(small.0.join("fill"), vec![7_u8; 400 << 10]);
    let ran = scratch.run(&["run", "--synthetic", "tiny", "--phases", "alloc", "--out", &out]);
    ran.expect_code(exit::USAGE);
    assert!(ran.stderr.contains("p.json") && ran.stderr.contains("No space left"), "{}", ran.stderr);
    assert!(!Path::new(&out).exists(), "nothing half-written");
}

#[test]
fn output_into_a_closed_pipe() {
    let scratch = Scratch::new();
    let script = format!("{} schema | head -n 1", env!("CARGO_BIN_EXE_coldstart"));
    let output = Command::new("sh").args(["-c", &script]).current_dir(scratch.path(".")).output().unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
