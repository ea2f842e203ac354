//! `coldstart plan`: what was typed, and where the answer goes.

use std::path::PathBuf;

use clap::{ArgGroup, Args, ValueEnum};
use coldstart_decisions::plan::{PlanRequest, ServingPlan, TrafficSource, explain, names};
use coldstart_decisions::service::{RequestSize, Sla};
use coldstart_decisions::simulate::Dispatch;
use coldstart_decisions::{ClusterFacts, Prices};
use coldstart_profiles::{Bytes, Nanos, exit, write_atomic};
use coldstart_reports as reports;

use super::by_hand::ByHandArgs;
use super::exit::CliError;
use super::{out_files, output};
use crate::planning::quantity::{duration, duration_or_zero, interval, price, quantile, rate, size};
use crate::planning::{Arrivals, Order, make};
use crate::say::say;

/// Options of `coldstart plan`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("sla").args(["slo_p99", "ttft", "itl"]).required(true).multiple(true))]
#[command(group = ArgGroup::new("traffic").args(["rate", "base", "trace"]).required(true))]
pub struct PlanArgs {
    /// Profiles of one model, and directories of them, also of one directory for each class. Nodes are told apart by their device.
    #[arg(required = true, value_name = "PROFILE|DIR")]
    pub profiles: Vec<PathBuf>,

    /// 99 of 100 requests are answered within this time, end to end: such as 100ms.
    #[arg(long, value_name = "TIME", value_parser = duration, allow_hyphen_values = true, help_heading = "Service level")]
    pub slo_p99: Option<Nanos>,
    /// 99 of 100 first tokens come within this time.
    #[arg(long, value_name = "TIME", value_parser = duration, allow_hyphen_values = true, help_heading = "Service level")]
    pub ttft: Option<Nanos>,
    /// 99 of 100 tokens follow the one before them within this time.
    #[arg(long, value_name = "TIME", value_parser = duration, allow_hyphen_values = true, help_heading = "Service level")]
    pub itl: Option<Nanos>,

    /// Requests per second, always the same.
    #[arg(long, value_name = "RPS", value_parser = rate, allow_hyphen_values = true, help_heading = "Traffic")]
    pub rate: Option<f64>,
    /// Requests per second before they climb.
    #[arg(long, value_name = "RPS", value_parser = rate, requires_all = ["peak", "ramp"], allow_hyphen_values = true, help_heading = "Traffic")]
    pub base: Option<f64>,
    /// Requests per second at the top.
    #[arg(long, value_name = "RPS", value_parser = rate, requires = "base", allow_hyphen_values = true, help_heading = "Traffic")]
    pub peak: Option<f64>,
    /// By how many requests per second they climb each second.
    #[arg(long, value_name = "RPS/S", value_parser = rate, requires = "base", allow_hyphen_values = true, help_heading = "Traffic")]
    pub ramp: Option<f64>,
    /// Arrivals from a file: CSV or JSON lines of time[,tokens in,tokens out], such as the Azure LLM inference traces.
    #[arg(long, value_name = "FILE", help_heading = "Traffic")]
    pub trace: Option<PathBuf>,
    /// Tokens of every prompt; a trace that says its own keeps them.
    #[arg(long, value_name = "N", requires = "tokens_out", value_parser = clap::value_parser!(u32).range(1..=10_000_000), allow_hyphen_values = true, help_heading = "Traffic")]
    pub tokens_in: Option<u32>,
    /// Tokens of every answer; a trace that says its own keeps them.
    #[arg(long, value_name = "N", requires = "tokens_in", value_parser = clap::value_parser!(u32).range(1..=10_000_000), allow_hyphen_values = true, help_heading = "Traffic")]
    pub tokens_out: Option<u32>,
    /// Rates are over windows of this length.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration, allow_hyphen_values = true, help_heading = "Traffic")]
    pub window: Nanos,
    /// The quantile of the growth within the lead time that is planned for.
    #[arg(long, value_name = "Q", default_value = "0.99", value_parser = quantile, allow_hyphen_values = true, help_heading = "Traffic")]
    pub quantile: f64,

    /// Between two scrapes of a replica's metrics.
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = interval, allow_hyphen_values = true, help_heading = "Cluster")]
    pub scrape_interval: Nanos,
    /// The window of the queries that the autoscaler reads: without, four scrapes, and at least one sync and one scrape.
    #[arg(long, value_name = "TIME", value_parser = interval, allow_hyphen_values = true, help_heading = "Cluster")]
    pub query_window: Option<Nanos>,
    /// Between two looks of the autoscaler.
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = interval, allow_hyphen_values = true, help_heading = "Cluster")]
    pub sync_interval: Nanos,
    /// Until a new node is there; 0s where nodes are there already.
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = duration_or_zero, allow_hyphen_values = true, help_heading = "Cluster")]
    pub provisioning: Nanos,
    /// Number of nodes.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000), allow_hyphen_values = true, help_heading = "Cluster")]
    pub nodes: Option<u32>,
    /// Disk of one node for models and images: such as 500GB.
    #[arg(long, value_name = "SIZE", value_parser = size, allow_hyphen_values = true, help_heading = "Cluster")]
    pub disk_per_node: Option<Bytes>,
    /// The most replicas that there can be.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000), allow_hyphen_values = true, help_heading = "Cluster")]
    pub max_replicas: Option<u32>,
    /// Which replica gets a request.
    #[arg(long, value_enum, value_name = "HOW", default_value_t = DispatchArg::LeastLoaded, help_heading = "Cluster")]
    pub dispatch: DispatchArg,
    /// The class of nodes to plan for: that of the first profile without.
    #[arg(long, value_name = "NAME", help_heading = "Cluster")]
    pub node_class: Option<String>,

    /// Price of one replica for one hour.
    #[arg(long, value_name = "MONEY", value_parser = price, allow_hyphen_values = true, help_heading = "Prices, in any one currency")]
    pub replica_hour: Option<f64>,
    /// Price of a gigabyte on a node's disk for a month.
    #[arg(long, value_name = "MONEY", value_parser = price, allow_hyphen_values = true, help_heading = "Prices, in any one currency")]
    pub disk_gb_month: Option<f64>,
    /// Price of a gigabyte in the registry for a month: of weights that are baked into the image.
    #[arg(long, value_name = "MONEY", value_parser = price, allow_hyphen_values = true, help_heading = "Prices, in any one currency")]
    pub registry_gb_month: Option<f64>,
    /// Cost of a request that misses the service level.
    #[arg(long, value_name = "MONEY", value_parser = price, allow_hyphen_values = true, help_heading = "Prices, in any one currency")]
    pub miss_cost: Option<f64>,

    #[command(flatten)]
    pub by_hand: ByHandArgs,

    /// Simulate the plan and its alternatives on the traffic.
    #[arg(long, help_heading = "Result")]
    pub simulate: bool,
    /// Seed of every simulation.
    #[arg(long, value_name = "N", default_value_t = 1, allow_hyphen_values = true, help_heading = "Result")]
    pub seed: u64,
    /// Say where the number in this field of the plan comes from; `list` names the fields.
    #[arg(long, value_name = "FIELD", help_heading = "Result")]
    pub explain: Option<String>,
    /// Write the plan as JSON: what `coldstart export` takes.
    #[arg(long, value_name = "FILE", help_heading = "Result")]
    pub out: Option<PathBuf>,
    /// Write one HTML file with plots; simulates.
    #[arg(long, value_name = "FILE", help_heading = "Result")]
    pub html: Option<PathBuf>,
    /// Print markdown, such as for $GITHUB_STEP_SUMMARY.
    #[arg(long, conflicts_with_all = ["json", "explain"], help_heading = "Result")]
    pub markdown: bool,
}

/// Which replica gets a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DispatchArg {
    /// One queue for all.
    Shared,
    /// The one with the fewest requests.
    LeastLoaded,
    /// Any.
    Random,
}

/// `coldstart plan`.
pub(super) fn plan(args: PlanArgs, json: bool, style: &reports::Style) -> Result<u8, CliError> {
    let read = args.profiles.iter().chain(&args.trace).map(PathBuf::as_path);
    out_files::check(read, &[("--out", args.out.as_deref()), ("--html", args.html.as_deref())])?;
    let plan = make(order(&args))?;
    let as_json =
        || -> Result<String, CliError> { Ok(format!("{}\n", serde_json::to_string_pretty(&plan)?)) };
    let explained = args.explain.as_deref().map(|field| explained(&plan, field, json, style)).transpose()?;
    if let Some(path) = &args.html {
        write_atomic(path, reports::serving_plan_html(&plan).map_err(CliError::Internal)?.as_bytes())?;
        say(format_args!("the page is in {}", path.display()));
    }
    if let Some(path) = &args.out {
        write_atomic(path, as_json()?.as_bytes())?;
        say(format_args!("the plan is in {}", path.display()));
    }
    match (explained, json, args.markdown) {
        (Some(text), true, _) => output::print_json(&text)?,
        (Some(text), false, _) => output::print(&text)?,
        (None, true, _) => output::print_json(&as_json()?)?,
        (None, false, true) => output::print(&reports::serving_plan_markdown(&plan))?,
        (None, false, false) => output::print(&reports::serving_plan(&plan, style))?,
    }
    Ok(exit::OK)
}

/// What one field rests on; of a field that is none the one that may have been meant.
fn explained(
    plan: &ServingPlan,
    field: &str,
    json: bool,
    style: &reports::Style,
) -> Result<String, CliError> {
    let all = names(plan)?;
    if field == "list" && json {
        return Ok(format!("{}\n", serde_json::to_string_pretty(&all)?));
    }
    if field == "list" {
        return Ok(all.iter().map(|name| format!("{name}\n")).collect());
    }
    let found = explain(plan, field)?;
    if found.is_empty() {
        let names: Vec<&str> = all.iter().map(String::as_str).collect();
        let meant =
            closest(field, &names).map_or_else(String::new, |name| format!("did you mean `{name}`? "));
        return Err(CliError::Usage(format!(
            "explain `{field}`: the plan has no such field: {meant}`--explain list` names all of them"
        )));
    }
    Ok(match json {
        true => format!("{}\n", serde_json::to_string_pretty(&found)?),
        false => reports::explanation(&found, style),
    })
}

/// Less alike than this, a name is not what was meant.
const ALIKE: f64 = 0.5;

/// The name that is most like `asked`, as a whole or from one of its dots on.
fn closest<'n>(asked: &str, names: &[&'n str]) -> Option<&'n str> {
    let likeness = |name: &str| {
        let ends = name.match_indices('.').map(|(at, _)| &name[at + 1..]).chain([name]);
        ends.map(|end| strsim::normalized_damerau_levenshtein(asked, end)).fold(0.0, f64::max)
    };
    let likely = names.iter().map(|name| (likeness(name), *name)).filter(|(alike, _)| *alike >= ALIKE);
    likely.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| name)
}

fn order(args: &PlanArgs) -> Order {
    let arrivals = match (args.rate, args.base, args.peak, args.ramp, &args.trace) {
        (Some(rate), ..) => Arrivals::Rate(rate),
        (_, Some(base_per_s), Some(peak_per_s), Some(growth_per_s_per_s), _) => {
            Arrivals::Ramp { base_per_s, peak_per_s, growth_per_s_per_s }
        }
        // The group of arguments makes sure that one of the three is there.
        (.., trace) => Arrivals::Trace(trace.clone().unwrap_or_default()),
    };
    Order {
        profiles: args.profiles.clone(),
        arrivals,
        size: args
            .tokens_in
            .zip(args.tokens_out)
            .map(|(tokens_in, tokens_out)| RequestSize { tokens_in, tokens_out }),
        request: PlanRequest {
            sla: Sla { end_to_end_ns: args.slo_p99, ttft_ns: args.ttft, itl_ns: args.itl, permille: 990 },
            traffic_from: TrafficSource::Numbers,
            window_ns: args.window,
            quantile: args.quantile,
            dispatch: match args.dispatch {
                DispatchArg::Shared => Dispatch::Shared,
                DispatchArg::LeastLoaded => Dispatch::LeastLoaded,
                DispatchArg::Random => Dispatch::Random,
            },
            cluster: cluster(args),
            prices: Prices {
                replica_hour: args.replica_hour,
                disk_gb_month: args.disk_gb_month,
                registry_gb_month: args.registry_gb_month,
                miss: args.miss_cost,
            },
            by_hand: args.by_hand.values(),
            places: args.by_hand.places(),
            max_batch: args.by_hand.max_batch,
            node_class: args.node_class.clone(),
            allow_stand_in: args.by_hand.allow_stand_in,
            left_out: Vec::new(),
            simulate: args.simulate || args.html.is_some(),
            seed: args.seed,
        },
    }
}

fn cluster(args: &PlanArgs) -> ClusterFacts {
    ClusterFacts {
        scrape_interval_ns: args.scrape_interval,
        query_window_ns: args
            .query_window
            .unwrap_or_else(|| ClusterFacts::usual_window_ns(args.scrape_interval, args.sync_interval)),
        sync_interval_ns: args.sync_interval,
        provisioning_ns: args.provisioning,
        nodes: args.nodes,
        disk_per_node_bytes: args.disk_per_node,
        max_replicas: args.max_replicas,
        ..ClusterFacts::default()
    }
}
