//! Files that a command is asked to write, checked before it does anything: a slip must not cost a profile.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use coldstart_profiles::{Profile, ProfileError};

use super::exit::CliError;

/// That no output is one of the inputs, holds a profile, is named twice, or lies where nothing can be written. Each output comes with
/// its flag, where it is given. What is no file, such as a pipe or `/dev/stdout`, can be written to.
pub(super) fn check<'a>(
    inputs: impl IntoIterator<Item = &'a Path>,
    outputs: &[(&str, Option<&Path>)],
) -> Result<(), CliError> {
    apart(inputs, outputs)?;
    match given(outputs).find(|(_, path)| is_file(path) && holds_profile(path)) {
        None => Ok(()),
        Some(output) => Err(refusal(output, "a profile is there: give another file, or move it away first")),
    }
}

/// The same for commands that move a profile aside which is already there.
pub(super) fn apart<'a>(
    inputs: impl IntoIterator<Item = &'a Path>,
    outputs: &[(&str, Option<&Path>)],
) -> Result<(), CliError> {
    let inputs: Vec<&Path> = inputs.into_iter().collect();
    let outputs: Vec<(&str, &Path)> = given(outputs).collect();
    for (index, output) in outputs.iter().enumerate() {
        let (_, path) = *output;
        if let Some((other, _)) = outputs[..index].iter().find(|(_, other)| same(other, path)) {
            let why = format!("it is given for {other} as well: give each its own file");
            return Err(refusal(*output, &why));
        }
        if is_file(path) && inputs.iter().any(|input| same(input, path)) {
            return Err(refusal(*output, "it is one of the files that are read: give another one"));
        }
        if let Some(why) = not_writable(path) {
            return Err(refusal(*output, &why));
        }
    }
    Ok(())
}

fn given<'a>(outputs: &[(&'a str, Option<&'a Path>)]) -> impl Iterator<Item = (&'a str, &'a Path)> {
    outputs.iter().filter_map(|(flag, path)| Some((*flag, (*path)?)))
}

fn refusal((flag, path): (&str, &Path), why: &str) -> CliError {
    CliError::Usage(format!("write {flag} {}: {why}", path.display()))
}

fn is_file(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|there| there.is_file())
}

/// Why nothing can be put there, as far as that can be told without trying; a command that computes for a while says it first.
fn not_writable(path: &Path) -> Option<String> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    match std::fs::metadata(parent) {
        Ok(there) if there.is_dir() => {}
        Ok(_) => return Some(format!("{} is no directory", parent.display())),
        Err(error) => return Some(format!("its directory {}: {error}: make it first", parent.display())),
    }
    if path.is_dir() {
        return Some("it is a directory: give a file".to_owned());
    }
    // Of a device or a pipe the directory does not matter.
    let asked = if path.exists() && !is_file(path) { path } else { parent };
    let access = rustix::fs::access(asked, rustix::fs::Access::WRITE_OK);
    access.err().map(|error| format!("{}: {error}", asked.display()))
}

/// Whether two paths lead to one file, by links as well, or will.
fn same(one: &Path, other: &Path) -> bool {
    match (std::fs::metadata(one), std::fs::metadata(other)) {
        (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()) && !device(&one),
        (Err(_), Err(_)) => place(one) == place(other),
        _ => false,
    }
}

/// What several outputs can go to: `/dev/null`, a terminal.
fn device(there: &std::fs::Metadata) -> bool {
    !there.is_file() && !there.is_dir()
}

/// Where a file that is not there yet will be.
fn place(path: &Path) -> PathBuf {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let parent = std::fs::canonicalize(parent).unwrap_or_else(|_| parent.to_owned());
    path.file_name().map_or(parent.clone(), |name| parent.join(name))
}

/// Also one of another version, or one that was edited.
fn holds_profile(path: &Path) -> bool {
    matches!(Profile::read(path), Ok(_) | Err(ProfileError::OtherMajor { .. } | ProfileError::Edited { .. }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_and_outputs_are_kept_apart() {
        let scratch = tempfile::tempdir().unwrap();
        let at = |name: &str| scratch.path().join(name);
        let (input, link, other, new) = (at("in.json"), at("link"), at("other"), at("new"));
        std::fs::write(&input, "{}").unwrap();
        std::fs::write(&other, "{}").unwrap();
        std::os::unix::fs::symlink(&input, &link).unwrap();
        let refused = |outputs: &[(&str, Option<&Path>)]| match check([input.as_path()], outputs) {
            Err(CliError::Usage(why)) => Some(why),
            _ => None,
        };
        assert_eq!(refused(&[("--html", Some(&new)), ("--trace", Some(&other)), ("--junit", None)]), None);
        assert_eq!(refused(&[("--html", Some(Path::new("/dev/null")))]), None);
        let around = at(".").join("new");
        for again in [&new, &around] {
            let twice = refused(&[("--html", Some(&new)), ("--trace", Some(again))]);
            assert!(twice.unwrap().contains("--html"));
        }
        let devices = [("--html", Some(Path::new("/dev/null"))), ("--trace", Some(Path::new("/dev/null")))];
        assert_eq!(refused(&devices), None);
        for (path, part) in [
            (at("no/such/file"), "make it first"),
            (input.join("file"), "directory"),
            (at("."), "give a file"),
        ] {
            let why = refused(&[("--html", Some(&path))]).unwrap();
            assert!(why.contains(part), "{why}");
        }
        for path in [&input, &link] {
            let why = refused(&[("--html", Some(path))]).unwrap();
            assert!(why.contains("that are read"), "{why}");
        }
    }
}
