//! The rules of the house that no compiler checks: which crate may name which, where `unsafe` may stand, how long a file
//! may get, and that the repository speaks of nothing but itself.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test, helpers included")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const PREFIX: &str = "coldstart-";
/// Files are split before they get this long.
const MOST_LINES: usize = 500;

/// Each crate with the crates of the workspace that it may name: harness → reports → decisions → profiles, and
/// harness → kernels. What stands further down the chain may be named directly.
fn arrows() -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    BTreeMap::from([
        (
            "coldstart",
            BTreeSet::from([
                "reports",
                "decisions",
                "profiles",
                "kernels",
                "stand-in",
                "stand-in-cublaslt",
                "stand-in-nvml",
            ]),
        ),
        ("reports", BTreeSet::from(["decisions", "profiles"])),
        ("decisions", BTreeSet::from(["profiles"])),
        ("profiles", BTreeSet::new()),
        ("kernels", BTreeSet::from(["stand-in", "stand-in-cublaslt"])),
        ("tests/stand-in", BTreeSet::from(["stand-in-cuda", "stand-in-nvml"])),
        ("tests/stand-in-cublaslt", BTreeSet::new()),
        ("tests/stand-in-cuda", BTreeSet::new()),
        ("tests/stand-in-nvml", BTreeSet::new()),
    ])
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn manifest(member: &str) -> (PathBuf, String) {
    let path = if member == "coldstart" { root().to_owned() } else { root().join(member) }.join("Cargo.toml");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    (path, text)
}

/// The names of all dependencies of a manifest, of every kind and target; `package =` renames are followed.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut table = String::new();
    for line in manifest.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if let Some(header) = line.strip_prefix('[') {
            table = header.trim_matches(['[', ']']).trim().to_owned();
            // [dependencies.name]
            let (parent, name) = table.rsplit_once('.').unwrap_or_default();
            if is_dependencies(parent) {
                names.insert(name.trim_matches(['"', '\'']).to_owned());
            }
        } else if let Some((key, value)) = line.split_once('=') {
            let key = key.trim();
            let key = key.strip_suffix(".workspace").unwrap_or(key);
            if is_dependencies(&table) {
                names.insert(renamed(value).unwrap_or(key).trim_matches('"').to_owned());
            } else if table.rsplit_once('.').is_some_and(|(parent, _)| is_dependencies(parent))
                && key == "package"
            {
                names.insert(value.trim().trim_matches('"').to_owned());
            }
        }
    }
    names
}

/// `[dependencies]`, `[dev-dependencies]`, `[build-dependencies]`, also below `[target.…]`; not `[workspace.dependencies]`,
/// which only names versions.
fn is_dependencies(table: &str) -> bool {
    let last = table.rsplit('.').next().unwrap_or_default();
    !table.starts_with("workspace")
        && matches!(last, "dependencies" | "dev-dependencies" | "build-dependencies")
}

/// The package in `{ package = "name", … }`.
fn renamed(value: &str) -> Option<&str> {
    let (_, rest) = value.split_once("package")?;
    rest.trim_start().strip_prefix('=')?.split('"').nth(1)
}

#[test]
fn manifests_are_read_right() {
    let text = "
        [workspace.dependencies]
        ignored = \"1\"
        [dependencies]
        a.workspace = true # named b in a comment
        b = { version = \"1\" }
        c = { package = \"coldstart-kernels\", path = \"../kernels\" }
        [dependencies.d]
        version = \"1\"
        [target.'cfg(unix)'.dev-dependencies]
        e = \"1\"
        [dependencies.f]
        package = \"coldstart-reports\"
        [features]
        g = []
    ";
    let names = dependencies(text);
    let expected = ["a", "b", "coldstart-kernels", "coldstart-reports", "d", "e", "f"];
    assert_eq!(names, expected.map(str::to_owned).into());
}

#[test]
fn arrows_between_crates_point_down() {
    let allowed = arrows();
    let members: BTreeSet<&str> = allowed.keys().copied().filter(|member| *member != "coldstart").collect();
    let (_, workspace) = manifest("coldstart");
    let listed =
        workspace.lines().find_map(|line| line.strip_prefix("members = [")).expect("a list of members");
    let listed: BTreeSet<&str> = listed.split('"').skip(1).step_by(2).collect();
    assert_eq!(listed, members, "a crate without a place in the house");

    for (member, allowed) in &allowed {
        let (path, text) = manifest(member);
        let names = dependencies(&text);
        let named: BTreeSet<&str> = names.iter().filter_map(|name| name.strip_prefix(PREFIX)).collect();
        let wrong: Vec<_> = named.difference(allowed).collect();
        assert!(wrong.is_empty(), "{} names {wrong:?}", path.display());
        assert!(
            *member == "coldstart" || !names.contains("coldstart"),
            "{} names the program",
            path.display()
        );
        assert!(
            *member == "kernels" || !names.contains("cudarc"),
            "{} names cudarc: only kernels may",
            path.display()
        );
    }
    let harness = dependencies(&manifest("coldstart").1);
    assert!(
        harness.contains("coldstart-profiles") && harness.contains("coldstart-kernels"),
        "nothing was read"
    );
}

#[test]
fn no_unsafe_above_the_devices() {
    for member in ["profiles", "decisions", "reports"] {
        let path = root().join(member).join("src/lib.rs");
        let text = fs::read_to_string(&path).unwrap();
        assert!(
            text.lines().any(|line| line.trim() == "#![forbid(unsafe_code)]"),
            "{} does not forbid unsafe code",
            path.display()
        );
    }
}

/// The files that git tracks; where the sources came without git, the files that a package would hold.
fn tracked() -> Vec<PathBuf> {
    let output = Command::new("git").arg("-C").arg(root()).args(["ls-files", "-z"]).output();
    match output {
        Ok(output) if output.status.success() && !output.stdout.is_empty() => {
            let names = String::from_utf8(output.stdout).expect("file names in UTF-8");
            names.split_terminator('\0').map(|name| root().join(name)).filter(|path| path.is_file()).collect()
        }
        _ => walk(root()),
    }
}

fn walk(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let hidden = path.file_name().is_some_and(|name| name == "target" || name == ".git");
        if path.is_dir() && !hidden {
            files.extend(walk(&path));
        } else if path.is_file() {
            files.push(path);
        }
    }
    files
}

#[test]
fn files_hold_one_concept() {
    let sources: Vec<PathBuf> = tracked()
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .filter(|path| path.components().any(|part| part.as_os_str() == "src"))
        .collect();
    assert!(sources.len() > 20, "only {} sources were found", sources.len());
    let too_long: Vec<String> = sources
        .iter()
        .map(|path| (path, fs::read_to_string(path).unwrap().lines().count()))
        .filter(|(_, lines)| *lines > MOST_LINES)
        .map(|(path, lines)| format!("{} has {lines} lines", path.display()))
        .collect();
    assert!(too_long.is_empty(), "over {MOST_LINES} lines: {too_long:?}");
}

#[test]
fn the_repository_speaks_of_nothing_but_itself() {
    // Put together here, so that this file does not hold them.
    let foreign = [
        ["..", "/shared"].concat(),
        ["/wo", "rk/"].concat(),
        ["DESIGN", ".md"].concat(),
        ["METHOD", ".md"].concat(),
    ];
    let mut found = Vec::new();
    let files = tracked();
    assert!(files.len() > 20, "only {} files were found", files.len());
    for path in files {
        // Binary fixtures have no lines to speak with.
        let Ok(text) = fs::read_to_string(&path) else { continue };
        for (number, line) in text.lines().enumerate() {
            if let Some(word) = foreign.iter().find(|word| line.contains(word.as_str())) {
                found.push(format!("{}:{}: {word}", path.display(), number + 1));
            }
        }
    }
    assert!(found.is_empty(), "places outside of the repository are named: {found:#?}");
}
