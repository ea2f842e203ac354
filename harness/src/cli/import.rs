//! `coldstart import`: what others have seen, as a profile.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use coldstart_profiles::{Profile, decoded, exit, read_text};
use coldstart_reports as reports;

use super::exit::CliError;
use super::{out_files, output};
use crate::cluster::{self, ClusterError};
use crate::import::criterion;
use crate::resolve;
use crate::run::Store;
use crate::say::say;

/// Where it comes from.
#[derive(Debug, Subcommand)]
pub enum ImportSource {
    /// Pods and events, as `kubectl get pod,event,node -o json` prints them: scheduling, image pull, container start, readiness.
    Kubectl(KubectlArgs),
    /// Benchmarks that `cargo bench` measured with criterion: one run is one profile, and counts as one trial in a gate.
    Criterion(CriterionArgs),
}

/// Options of `coldstart import kubectl`.
#[derive(Debug, Args)]
pub struct KubectlArgs {
    /// What kubectl printed; `-` for stdin. Pods, events and nodes may lie in several files; nodes tell which GPU it was.
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// The container whose start counts; by default the first of a pod that asks for a GPU, else the one that is told a model or is no
    /// known sidecar; needed where nothing tells it.
    #[arg(long, value_name = "NAME")]
    pub container: Option<String>,
    /// Only pods whose container has this image; needed where there are several.
    #[arg(long, value_name = "REF")]
    pub image: Option<String>,
    /// Only pods whose container is told to serve this model; needed where there are several.
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,
    /// Only pods that ran on this kind of GPU, as their nodes are labelled; needed where there are several.
    #[arg(long, value_name = "PRODUCT")]
    pub gpu: Option<String>,
    /// Where the profile goes. A profile that is there is kept as `*.prev.json`, `*.prev-2.json`, …; another file is not touched.
    #[arg(long, value_name = "FILE", default_value = "coldstart-cluster-profile.json")]
    pub out: PathBuf,
}

/// Options of `coldstart import criterion`.
#[derive(Debug, Args)]
pub struct CriterionArgs {
    /// What criterion wrote.
    #[arg(value_name = "DIR", default_value = "target/criterion")]
    pub directory: PathBuf,
    /// Which measurement: `new` is the latest, others are those of `--save-baseline`.
    #[arg(long, value_name = "NAME", default_value = "new")]
    pub saved: String,
    /// Where the profile goes. A profile that is there is kept as `*.prev.json`, `*.prev-2.json`, …; another file is not touched.
    #[arg(long, value_name = "FILE", default_value = "coldstart-criterion.json")]
    pub out: PathBuf,
}

/// `coldstart import`.
pub(super) fn import(source: ImportSource, json: bool, style: &reports::Style) -> Result<u8, CliError> {
    let (read, out) = match &source {
        ImportSource::Kubectl(args) => (args.files.as_slice(), &args.out),
        ImportSource::Criterion(args) => (std::slice::from_ref(&args.directory), &args.out),
    };
    out_files::apart(read.iter().map(PathBuf::as_path), &[("--out", Some(out))])?;
    let profile = match &source {
        ImportSource::Kubectl(args) => of_kubectl(args)?,
        ImportSource::Criterion(args) => of_criterion(args)?,
    };
    let store = Store::create(out)?;
    if let Some(kept) = store.kept() {
        say(format_args!("the profile that was in {} is now {}", store.path().display(), kept.display()));
    }
    store.save(&profile)?;
    match json {
        true => output::print_json(&profile.to_json()?)?,
        false => output::print(&reports::terminal(&profile, style))?,
    }
    say(format_args!("the profile is in {}", store.path().display()));
    Ok(exit::OK)
}

fn of_criterion(args: &CriterionArgs) -> Result<Profile, CliError> {
    criterion(&args.directory, &args.saved).map_err(|error| CliError::Usage(error.to_string()))
}

fn of_kubectl(args: &KubectlArgs) -> Result<Profile, CliError> {
    let texts = args.files.iter().map(|path| read(path)).collect::<Result<Vec<_>, _>>()?;
    let sources: Vec<cluster::Source<'_>> =
        texts.iter().map(|(name, text)| cluster::Source { name, text }).collect();
    let choice = cluster::Choice {
        container: args.container.clone(),
        image: args.image.clone(),
        model: args.model.clone(),
        gpu: args.gpu.clone(),
    };
    Ok(cluster::import(&sources, &choice, resolve::tool())?)
}

/// The name of a file and what it holds.
fn read(path: &Path) -> Result<(String, String), ClusterError> {
    let (name, text) = if path == Path::new("-") {
        let mut bytes = Vec::new();
        let read = std::io::stdin().read_to_end(&mut bytes);
        ("stdin".to_owned(), read.and_then(|_| decoded(bytes)))
    } else {
        (path.display().to_string(), read_text(path))
    };
    match text {
        Ok(text) => Ok((name, text)),
        Err(source) => Err(ClusterError::Read { name, source }),
    }
}
