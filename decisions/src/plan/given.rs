//! What the numbers of a plan rest on that nothing computed: what was asked for, what arrived, and what the profiles were found on.

use super::request::TrafficSource;
use super::serving_plan::ServingPlan;
use crate::basis::{Basis, Quantity};
use crate::measured::ServiceByHand;

/// Numbers of the request, and the flags that they are given with.
const FLAGS: [(&str, &str); 25] = [
    ("sla.end_to_end_ns", "--slo-p99"),
    ("sla.ttft_ns", "--ttft"),
    ("sla.itl_ns", "--itl"),
    ("window_ns", "--window"),
    ("quantile", "--quantile"),
    ("cluster.scrape_interval_ns", "--scrape-interval"),
    ("cluster.sync_interval_ns", "--sync-interval"),
    ("cluster.provisioning_ns", "--provisioning"),
    ("cluster.nodes", "--nodes"),
    ("cluster.disk_per_node_bytes", "--disk-per-node"),
    ("cluster.max_replicas", "--max-replicas"),
    ("prices.replica_hour", "--replica-hour"),
    ("prices.disk_gb_month", "--disk-gb-month"),
    ("prices.registry_gb_month", "--registry-gb-month"),
    ("prices.miss", "--miss-cost"),
    ("by_hand.cold_p99_ns", "--assume-cold-p99"),
    ("by_hand.pull.image_bytes", "--image-bytes"),
    ("by_hand.pull.registry_bytes_per_s", "--registry-bandwidth"),
    ("by_hand.free_memory_bytes", "--free-memory"),
    ("by_hand.weights_bytes", "--weights"),
    ("by_hand.kv_bytes_per_token", "--kv-per-token"),
    ("places.shared_bytes_per_s", "--shared-bandwidth"),
    ("places.hit_ratio", "--hit-ratio"),
    ("max_batch", "--max-batch"),
    ("seed", "--seed"),
];

/// Lists of numbers of the request, and the flags that they are given with.
const LISTS: [(&str, &str); 3] = [
    ("by_hand.service.batches.", ServiceByHand::BATCHES),
    ("by_hand.service.prefill.", ServiceByHand::PREFILL),
    ("by_hand.service.decode.", ServiceByHand::DECODE),
];

/// The flags among them that have a default: without the others there is no number.
const WITH_DEFAULT: [&str; 6] =
    ["--window", "--quantile", "--scrape-interval", "--sync-interval", "--provisioning", "--seed"];

/// Numbers of a trace, and how they are counted.
const OF_TRACE: [(&str, &str); 8] = [
    ("requests", "counted"),
    ("duration_ns", "last arrival − first arrival"),
    ("mean_per_s", "(requests − 1) ÷ duration"),
    ("median_per_s", "the median of the rate over windows"),
    ("peak_per_s", "the largest rate of a window"),
    ("window_ns", "the window of the rates, as given with --window"),
    ("cv_squared", "variance ÷ mean² of the times between arrivals"),
    ("longest_gap_ns", "the longest time between two arrivals"),
];

/// Numbers of traffic that was given as such, and their flags.
const OF_NUMBERS: [(&str, &str); 6] = [
    ("rate_per_s", "--rate"),
    ("base_per_s", "--base"),
    ("peak_per_s", "--peak"),
    ("growth_per_s_per_s", "--ramp"),
    ("size.tokens_in", "--tokens-in"),
    ("size.tokens_out", "--tokens-out"),
];

/// What a number rests on that has no basis in the plan: a fact. `None` where it is none.
pub(super) fn basis(plan: &ServingPlan, field: &str) -> Option<Basis> {
    let (part, rest) = field.split_once('.')?;
    match part {
        "format" => Some(constant("the version of the plan's format that this program writes", plan)),
        "request" => of_request(plan, rest),
        "traffic" => of_traffic(plan, rest),
        "fleet" => of_fleet(plan, rest),
        _ => None,
    }
}

fn constant(formula: &str, plan: &ServingPlan) -> Basis {
    Basis::of(formula).input("coldstart", Quantity::Text(plan.tool_version.clone()))
}

fn known<'k>(table: &[(&'k str, &'k str)], field: &str) -> Option<&'k str> {
    table.iter().find(|(name, _)| *name == field).map(|(_, text)| *text)
}

fn of_request(plan: &ServingPlan, field: &str) -> Option<Basis> {
    let cluster = &plan.request.cluster;
    match field {
        "sla.permille" => return Some(constant("990: --slo-p99, --ttft and --itl hold for 99 of 100", plan)),
        "cluster.tolerance" => {
            return Some(constant("0.1: the horizontal pod autoscaler's own tolerance", plan));
        }
        "cluster.query_window_ns" => {
            let formula =
                "given with --query-window, else max(4 × scrape interval, scrape interval + sync interval)";
            let basis = Basis::of(formula)
                .input("scrape interval", Quantity::Nanos(cluster.scrape_interval_ns))
                .input("sync interval", Quantity::Nanos(cluster.sync_interval_ns));
            return Some(basis);
        }
        _ => {}
    }
    let of_list = || LISTS.iter().find(|(list, _)| field.starts_with(list)).map(|(_, flag)| *flag);
    let flag = known(&FLAGS, field).or_else(of_list)?;
    let basis = Basis::of(match WITH_DEFAULT.contains(&flag) {
        true => format!("given with {flag}, or its default"),
        false => format!("given with {flag}"),
    });
    Some(match field.starts_with("by_hand.") || field.starts_with("places.") {
        true => basis.assumed(flag),
        false => basis.input("flag", Quantity::Text(flag.to_owned())),
    })
}

fn of_traffic(plan: &ServingPlan, field: &str) -> Option<Basis> {
    let TrafficSource::Trace { name, .. } = &plan.request.traffic_from else {
        return numbers_given(field).or_else(|| trace_counted("the traffic that was given", field));
    };
    trace_counted(name, field)
}

fn numbers_given(field: &str) -> Option<Basis> {
    let flag = known(&OF_NUMBERS, field)?;
    Some(Basis::of(format!("given with {flag}")).input("flag", Quantity::Text(flag.to_owned())))
}

fn trace_counted(name: &str, field: &str) -> Option<Basis> {
    let formula = match known(&OF_TRACE, field) {
        Some(formula) => formula,
        None if field.starts_with("tokens_in.") => {
            "tokens of the prompts of the trace; percentiles by nearest rank"
        }
        None if field.starts_with("tokens_out.") => {
            "tokens of the answers of the trace; percentiles by nearest rank"
        }
        None => return None,
    };
    Some(Basis::of(formula).input("trace", Quantity::Text(name.to_owned())))
}

/// Facts that profiles tell of the model, and of the node that they were taken on.
fn of_fleet(plan: &ServingPlan, field: &str) -> Option<Basis> {
    let names: Vec<&str> = plan.fleet.names().collect();
    let told = |formula: &str| Basis::of(formula).input("profiles", Quantity::Text(names.join(", ")));
    if field == "model.bytes" {
        return Some(told("bytes of all tensors, by the headers of the model's files"));
    }
    let rest = field.strip_prefix("classes.")?;
    let (_, rest) = rest.split_once('.')?;
    match rest.split('.').next()? {
        "class" => Some(told("as the profiles of the class tell of their node and its devices")),
        "pods" => Some(told("counted by `coldstart import kubectl` in the pods of the cluster")),
        _ => None,
    }
}
