//! Profiles and traces from files.

use std::fs::File;
use std::path::{Path, PathBuf};

use coldstart_decisions::plan::{LeftOutProfile, PlanFormat, ServingPlan};
use coldstart_decisions::traffic::{MOST_REQUESTS, TraceFile, TrafficError, read};
use coldstart_profiles::{Profile, ProfileError, read_text};

use crate::say::say;

/// Why the files of a plan can't be used. Messages complete "failed to …".
#[derive(Debug, thiserror::Error)]
pub enum PlanFiles {
    /// A profile.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// A file or directory that can't be opened.
    #[error("read {}: {source}{}", path.display(), coldstart_profiles::remedy_of_reading(source))]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A directory without profiles.
    #[error("plan with {}: it holds no profile (*.json that `coldstart run` wrote)", path.display())]
    EmptyDirectory {
        /// Which.
        path: PathBuf,
    },
    /// A directory whose profiles are all broken.
    #[error("plan with {}: none of its profiles can be used; the first: {why}", path.display())]
    NoneUsable {
        /// Which.
        path: PathBuf,
        /// What is wrong with the first of them.
        why: String,
    },
    /// A file that is no plan.
    #[error("read {} as a plan: {source}: give what `coldstart plan --json` printed", path.display())]
    NoPlan {
        /// Which.
        path: PathBuf,
        /// Where and why reading ended.
        source: serde_json::Error,
    },
    /// A plan in the place of a profile.
    #[error(
        "read {}: this is a plan, not a profile: give what `coldstart run` wrote; `coldstart export` takes plans",
        path.display()
    )]
    PlanAsProfile {
        /// Which.
        path: PathBuf,
    },
    /// A plan of another version.
    #[error("read {}: it is a plan of format {found}, and this coldstart reads {}: plan again", path.display(), PlanFormat::CURRENT.plan_major)]
    OtherMajor {
        /// Which.
        path: PathBuf,
        /// Its major version.
        found: u32,
    },
    /// A trace.
    #[error("{source} ({})", path.display())]
    Trace {
        /// Its file.
        path: PathBuf,
        /// What is wrong with it.
        source: TrafficError,
    },
}

/// Profiles by their names, and what a directory holds that is none.
#[derive(Debug, Default)]
pub struct Profiles {
    /// Each with the name to show it under.
    pub named: Vec<(String, Profile)>,
    /// Profiles that can't be used: a broken one of one node does not spoil those of the others.
    pub left_out: Vec<LeftOutProfile>,
}

/// Reads profiles: files as they are named, and of a directory every `*.json` in it and in the directories right below it (as
/// `deploy/` leaves them: a directory for each class of nodes), in the order of their names. What a directory holds beside them is left
/// out, and said so.
///
/// # Errors
/// When a file that was named can't be read or is no profile, or a directory holds none.
pub fn read_profiles(paths: &[PathBuf]) -> Result<Profiles, PlanFiles> {
    let mut profiles = Profiles::default();
    for path in paths {
        if path.is_dir() {
            read_directory(path, &mut profiles)?;
        } else {
            let profile = Profile::read(path);
            if profile.is_err() && is_plan(path) {
                return Err(PlanFiles::PlanAsProfile { path: path.clone() });
            }
            profiles.named.push((path.display().to_string(), profile?));
        }
    }
    Ok(profiles)
}

fn read_directory(path: &Path, profiles: &mut Profiles) -> Result<(), PlanFiles> {
    let mut files = entries(path)?;
    for directory in files.clone().iter().filter(|file| file.is_dir()) {
        files.extend(entries(directory)?);
    }
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json") && file.is_file());
    files.sort();
    let before = profiles.named.len();
    let (mut others, mut left_out) = (Vec::new(), Vec::new());
    for file in files {
        let name = file.display().to_string();
        let why = match Profile::read(&file) {
            Ok(profile) if is_of_a_model(&profile) => {
                profiles.named.push((name, profile));
                continue;
            }
            Ok(_) => {
                "it measured no model: measure that node again with `coldstart run --model DIR`".to_owned()
            }
            Err(ProfileError::NotAProfile { .. }) => {
                others.push(name);
                continue;
            }
            Err(error) => format!("failed to {error}"),
        };
        left_out.push(LeftOutProfile { name, why: cut(why) });
    }
    if profiles.named.len() == before {
        let path = path.to_owned();
        return Err(match left_out.into_iter().next() {
            Some(LeftOutProfile { why, .. }) => PlanFiles::NoneUsable { path, why },
            None => PlanFiles::EmptyDirectory { path },
        });
    }
    for name in others {
        say(format_args!("left out {name}: it is JSON, but no profile"));
    }
    for LeftOutProfile { name, why } in &left_out {
        say(format_args!("left out {name}: {why}"));
    }
    profiles.left_out.append(&mut left_out);
    Ok(())
}

/// Why a file is left out is kept in the plan, and quotes the file: of that only so much.
const LONGEST_WHY: usize = 300;

fn cut(why: String) -> String {
    match why.char_indices().nth(LONGEST_WHY) {
        Some((end, _)) => format!("{}… (cut)", &why[..end]),
        None => why,
    }
}

/// Whether a profile can stand beside those of a model: it is of one, or of pods, which don't always tell theirs.
fn is_of_a_model(profile: &Profile) -> bool {
    profile.target.model.is_some() || profile.target.cluster.is_some()
}

fn entries(directory: &Path) -> Result<Vec<PathBuf>, PlanFiles> {
    let io = |source| PlanFiles::Io { path: directory.to_owned(), source };
    let entries = std::fs::read_dir(directory).map_err(io)?;
    entries.map(|entry| Ok(entry.map_err(io)?.path())).collect()
}

/// The part of a plan that tells it from other JSON.
#[derive(serde::Deserialize)]
struct Versioned {
    format: PlanFormat,
}

fn is_plan(path: &Path) -> bool {
    read_text(path).is_ok_and(|text| serde_json::from_str::<Versioned>(&text).is_ok())
}

/// Reads a plan that `coldstart plan --json` printed.
///
/// # Errors
/// When it can't be read, is no plan, or one of another major version of the format.
pub fn read_plan(path: &Path) -> Result<ServingPlan, PlanFiles> {
    let text = read_text(path).map_err(|source| PlanFiles::Io { path: path.to_owned(), source })?;
    let json = |source| PlanFiles::NoPlan { path: path.to_owned(), source };
    let Versioned { format } = serde_json::from_str(&text).map_err(json)?;
    if format.plan_major != PlanFormat::CURRENT.plan_major {
        return Err(PlanFiles::OtherMajor { path: path.to_owned(), found: format.plan_major });
    }
    serde_json::from_str(&text).map_err(json)
}

/// Reads a trace of at most ten million requests.
///
/// # Errors
/// When it can't be opened, or is no trace: names the line.
pub fn read_trace(path: &Path) -> Result<TraceFile, PlanFiles> {
    let file = File::open(path).map_err(|source| PlanFiles::Io { path: path.to_owned(), source })?;
    read(file, MOST_REQUESTS).map_err(|source| PlanFiles::Trace { path: path.to_owned(), source })
}
