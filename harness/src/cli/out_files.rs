//! Files that a command is asked to write, checked before it does anything: a slip must not cost a profile.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use coldstart_profiles::{Profile, ProfileError};

use super::exit::CliError;

/// That no output is one of the inputs, holds a profile, or is named twice. Each output comes with its flag, where it is given. What is no file, such as a
/// pipe or `/dev/stdout`, can be written to.
pub(super) fn check<'a>(
    inputs: impl IntoIterator<Item = &'a Path>,
    outputs: &[(&str, Option<&Path>)],
) -> Result<(), CliError> {
    let inputs: Vec<&Path> = inputs.into_iter().collect();
    let outputs: Vec<(&str, &Path)> =
        outputs.iter().filter_map(|(flag, path)| Some((*flag, (*path)?))).collect();
    for (index, (flag, path)) in outputs.iter().enumerate() {
        let refuse = |why: String| Err(CliError::Usage(format!("write {flag} {}: {why}", path.display())));
        if let Some((other, _)) = outputs[..index].iter().find(|(_, other)| other == path) {
            return refuse(format!("it is given for {other} as well: give each its own file"));
        }
        if !std::fs::metadata(path).is_ok_and(|there| there.is_file()) {
            continue;
        }
        if inputs.iter().any(|input| same(input, path)) {
            return refuse("it is one of the files that are read: give another one".to_owned());
        }
        if holds_profile(path) {
            return refuse("a profile is there: give another file, or move it away first".to_owned());
        }
    }
    Ok(())
}

/// Whether two paths lead to one file, by links as well.
fn same(one: &Path, other: &Path) -> bool {
    match (std::fs::metadata(one), std::fs::metadata(other)) {
        (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
        _ => false,
    }
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
        let twice = refused(&[("--html", Some(&new)), ("--trace", Some(&new))]);
        assert!(twice.unwrap().contains("--html"));
        for path in [&input, &link] {
            let why = refused(&[("--html", Some(path))]).unwrap();
            assert!(why.contains("that are read"), "{why}");
        }
    }
}
