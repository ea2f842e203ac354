//! A model that belongs to somebody else: whether it is in the page cache has to be found out without a right to it.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use coldstart_profiles::{Detail, LoadDetail, Profile, ResidencyMethod, exit};

use crate::support::{Ran, Scratch, skip};

/// Who owns nothing: `nobody` on most systems.
const NOBODY: u32 = 65534;

/// 8 MiB of weights in two files and nothing else.
fn write_model(dir: &Path) {
    let half = 4 << 20;
    for (file, tensor) in [("a.safetensors", "a"), ("b.safetensors", "b")] {
        let header =
            format!(r#"{{"{tensor}":{{"dtype":"F32","shape":[{}],"data_offsets":[0,{half}]}}}}"#, half / 4);
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend(vec![0; half]);
        fs::write(dir.join(file), bytes).unwrap();
    }
    let index = r#"{"weight_map":{"a":"a.safetensors","b":"b.safetensors"}}"#;
    fs::write(dir.join("model.safetensors.index.json"), index).unwrap();
}

fn loads(profile: &Profile) -> Vec<(String, LoadDetail)> {
    let readings = profile.traces.iter().flat_map(|trace| &trace.readings);
    readings
        .filter_map(|reading| match &reading.detail {
            Some(Detail::Load(load)) => {
                Some((reading.params.get("page_cache").unwrap().to_owned(), load.clone()))
            }
            _ => None,
        })
        .collect()
}

#[test]
fn loads_of_somebody_elses_model_know_what_was_cached() {
    let scratch = Scratch::new();
    let place = scratch.path("");
    if fs::metadata(&place).unwrap().uid() != 0 {
        return skip("root", "nobody else's files can be read here: not root");
    }
    // In the build directory, since /tmp may be a tmpfs.
    let model = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    write_model(model.path());
    for path in [&place, model.path()] {
        fs::set_permissions(path, Permissions::from_mode(0o777)).unwrap();
    }
    let as_nobody = |mut command: Command| Ran::of(command.uid(NOBODY).gid(NOBODY).output().unwrap());
    let path = model.path().to_str().unwrap();
    let mut look = Command::new("test");
    look.args(["-r", path, "-a", "-x", env!("CARGO_BIN_EXE_coldstart")]);
    if as_nobody(look).code != Some(0) {
        return skip("root", "the build directory can't be read by others");
    }
    let args = ["run", "--model", path, "--phases", "alloc,weights_load", "--trials", "3", "--out", "p.json"];
    let mut run = scratch.coldstart(&args);
    run.env("COLDSTART_CACHE", scratch.path("cache")).env("HOME", &place);
    as_nobody(run).expect_code(exit::OK);

    let loads = loads(&scratch.profile("p.json"));
    if loads.iter().any(|(_, load)| load.residency_before.method == ResidencyMethod::Tmpfs) {
        return skip("root", "the build directory is in memory");
    }
    assert!(loads.iter().any(|(state, _)| state == "cold") && loads.iter().any(|(state, _)| state == "warm"));
    for (state, load) in &loads {
        let residency = &load.residency_before;
        let ways = [ResidencyMethod::Cachestat, ResidencyMethod::FaultAround];
        assert!(ways.contains(&residency.method), "{residency:?}");
        let fraction = residency.fraction().unwrap();
        let expected = if state == "cold" { 0.0..=0.01 } else { 0.98..=1.0 };
        assert!(expected.contains(&fraction), "{state}, {residency:?}");
        assert_eq!(residency.why.is_some(), residency.method == ResidencyMethod::FaultAround);
    }
}
