//! The command line.

use std::path::PathBuf;

use super::calibrate::CalibrateArgs;
use super::describe::{CompletionsArgs, ManArgs};
use super::export::ExportArgs;
use super::gate::GateArgs;
use super::import::ImportSource;
use super::plan::PlanArgs;
use crate::self_test::Choice;
use clap::{Args, Parser, Subcommand, ValueEnum};

/// Measures how long a GPU inference replica takes to become useful on this machine, phase by phase, against what the
/// hardware allows, and how much traffic it then carries.
#[derive(Debug, Parser)]
#[command(
    name = "coldstart",
    version,
    max_term_width = 110,
    after_help = "Exit codes: 0 done · 1 gate: regression · 2 usage · 3 gate: cannot tell, machine unfit · 4 gate: no comparable baseline · \
                  5 a requested phase failed, a command that was run gave no whole profile, no plan meets the SLA · 6 internal error · 130 interrupted (the partial profile is written)"
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Print the result as JSON on stdout.
    #[arg(long, global = true, help_heading = "Every command")]
    pub json: bool,
    /// When to use colour: `auto` (on a terminal, unless NO_COLOR is set), `always`, or `never`.
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, value_name = "WHEN", hide_possible_values = true, help_heading = "Every command")]
    pub color: Color,
    /// Say more on stderr; twice for everything.
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Every command")]
    pub verbose: u8,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Measure this machine: every phase that it can show. Writes the profile and prints the tables.
    Run(Box<RunArgs>),
    /// Print profiles: one as tables, several side by side.
    Report(ReportArgs),
    /// Judge profiles against a baseline: slower, faster, the same, or nobody can tell. The answer is the exit code.
    Gate(Box<GateArgs>),
    /// Find out how much this machine differs from itself, and write thresholds for the gate.
    Calibrate(CalibrateArgs),
    /// Write profiles in the format of another tool.
    Export(Box<ExportArgs>),
    /// Make a profile of what others have seen: cold starts of a cluster, benchmarks.
    Import {
        /// Where it comes from.
        #[command(subcommand)]
        source: ImportSource,
    },
    /// Decide from profiles: warm replicas and autoscaler settings for a service level and traffic.
    Plan(Box<PlanArgs>),
    /// Say what can be measured here, what not, and what would have to change.
    Doctor(DoctorArgs),
    /// Print the JSON Schema of a profile, or of another file.
    Schema(SchemaArgs),
    /// Print completions for a shell.
    Completions(CompletionsArgs),
    /// Print the manual page, or write all of them.
    Man(ManArgs),
    /// One measurement in a fresh process; started by `run`.
    #[command(hide = true)]
    Trial {
        /// What to measure, as JSON.
        spec: String,
    },
}

/// Options of `coldstart run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The device: `auto`, `host`, or `cuda[:N[,M…]]`. `auto` takes the first CUDA device, else the host. Of several GPUs all
    /// take uploads, and the first everything else.
    #[arg(long, default_value = "auto", value_name = "DEVICE", help_heading = "What to measure")]
    pub device: String,
    /// A model: a directory with config.json and safetensors (one file, or shards with an index), or one safetensors file.
    #[arg(long, value_name = "DIR", conflicts_with = "synthetic", help_heading = "What to measure")]
    pub model: Option<PathBuf>,
    /// A model of random weights, made once in the cache directory: tiny, small, 1b or 8b. `small` without `--model`.
    #[arg(long, value_name = "SIZE", help_heading = "What to measure")]
    pub synthetic: Option<String>,
    /// Follow links that lead out of the model's directory.
    #[arg(long, help_heading = "What to measure")]
    pub follow_symlinks: bool,
    /// Pull this image instead of a synthetic one; it must not be present, and is removed again.
    #[arg(long, value_name = "REF", help_heading = "What to measure")]
    pub image: Option<String>,
    /// Only these phases, such as `weights_load,first_batch`; `all` without.
    #[arg(long, value_name = "LIST", value_delimiter = ',', help_heading = "What to measure")]
    pub phases: Vec<String>,
    /// Only these ways of loading the weights, the first one in whole trials.
    #[arg(long, value_name = "LIST", value_delimiter = ',', help_heading = "What to measure")]
    pub strategies: Vec<String>,

    /// The short form, 3 trials and two ways of loading: under 20 s on two cores, about a minute on a GPU.
    #[arg(long, help_heading = "How much")]
    pub quick: bool,
    /// Time for all measurements together: by default 90 s, 20 s with `--quick`, on a GPU 600 s and 60 s. Where the least
    /// counts, or what was named (`--trials`), take longer than that, the plan says so before it starts; less than they take is
    /// refused. Making a synthetic model the first time is not counted.
    #[arg(long, value_name = "SECONDS", help_heading = "How much")]
    pub budget: Option<u64>,
    /// Fresh processes for each cold measurement.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000), help_heading = "How much")]
    pub trials: Option<u32>,
    /// Pulls of the image: with `--image` one, else as many as trials.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100), help_heading = "How much")]
    pub pull_trials: Option<u32>,
    /// Batch sizes of the throughput sweep.
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=4096), help_heading = "How much")]
    pub batches: Vec<u32>,
    /// Prompt lengths of the throughput sweep, in tokens.
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=1_000_000), help_heading = "How much")]
    pub prompts: Vec<u32>,
    /// Tokens in the cache at each decode step of the throughput sweep.
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=1_000_000), help_heading = "How much")]
    pub contexts: Vec<u32>,
    /// A trial that takes longer than this and thrice its share of the budget is killed and counts as failed.
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..), help_heading = "How much")]
    pub trial_timeout: u64,
    /// Seed of the order of steps and of synthetic contents.
    #[arg(long, value_name = "N", default_value_t = 42, help_heading = "How much")]
    pub seed: u64,

    /// Unpacked size of the synthetic image.
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=65_536), help_heading = "Synthetic image")]
    pub image_size: Option<u64>,
    /// Layers of the synthetic image.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=120), help_heading = "Synthetic image")]
    pub image_layers: u32,
    /// Share of the synthetic image's bytes that compression removes, 0 to 1.
    #[arg(long, value_name = "SHARE", default_value_t = 0.5, value_parser = share, help_heading = "Synthetic image")]
    pub image_compressibility: f64,
    /// Compression of the synthetic image's layers.
    #[arg(long, value_enum, default_value_t = Codec::Gzip, value_name = "CODEC", help_heading = "Synthetic image")]
    pub image_codec: Codec,

    /// Where the profile goes. A profile that is there is kept as `*.prev.json`, `*.prev-2.json`, …; another file is not touched.
    #[arg(long, value_name = "FILE", default_value = "coldstart-profile.json", help_heading = "Result")]
    pub out: PathBuf,
    /// Continue the run of this partial profile with its plan.
    #[arg(long, value_name = "FILE", help_heading = "Result", conflicts_with_all = [
        "model", "synthetic", "image", "phases", "strategies", "quick", "budget", "trials", "pull_trials", "batches", "prompts", "contexts",
        "device", "follow_symlinks", "trial_timeout", "seed", "image_size", "image_layers", "image_compressibility", "image_codec", "out", "dry_run",
    ])]
    pub resume: Option<PathBuf>,
    /// Show the plan and its estimated time, and stop.
    #[arg(long, help_heading = "Result")]
    pub dry_run: bool,
}

/// Compression of layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Codec {
    /// Every engine takes it.
    Gzip,
    /// Engines from 23.0 on take it.
    Zstd,
}

/// Options of `coldstart report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Profiles that `coldstart run` wrote.
    #[arg(required = true, value_name = "PROFILE")]
    pub profiles: Vec<PathBuf>,
    /// Write one HTML file with plots: nothing in it is fetched from anywhere.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub html: Option<PathBuf>,
    /// Print markdown, such as for $GITHUB_STEP_SUMMARY.
    #[arg(long, conflicts_with = "json", help_heading = "Output")]
    pub markdown: bool,
    /// Write the traces of one profile as Chrome trace events, which Perfetto (ui.perfetto.dev) opens.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub trace: Option<PathBuf>,
}

/// Options of `coldstart schema`.
#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// Of which file.
    #[arg(value_enum, value_name = "FILE", default_value_t = Schema::Profile)]
    pub of: Schema,
}

/// Files with a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Schema {
    /// What `plan` writes.
    Plan,
    /// What `run` writes.
    Profile,
    /// What `gate --verdict` and `gate --json` write.
    Verdict,
    /// What `calibrate` writes.
    Policy,
    /// What `gate --history --json` writes.
    History,
    /// What `gate --rules` reads, as TOML.
    Rules,
}

/// Options of `coldstart doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Test a device instead: every kernel against the host, every way of loading, its clock. Run it the first time that a
    /// GPU is at hand; it takes less than a minute.
    #[arg(long)]
    pub self_test: bool,
    /// The device to test: `auto`, `host`, `cuda` or `cuda:N`. `auto` takes the first CUDA device, else the host.
    #[arg(long, default_value = "auto", value_name = "DEVICE", requires = "self_test")]
    pub device: Choice,
    /// Seed of the random shapes and numbers of the self-test; a failure names the one that makes it again.
    #[arg(long, default_value_t = 1, value_name = "N", requires = "self_test")]
    pub seed: u64,
    /// Random cases of each kernel.
    #[arg(long, default_value_t = 48, value_name = "N", requires = "self_test", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub cases: u32,
}

/// A share, 0 to 1.
fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("give a number from 0 to 1".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
