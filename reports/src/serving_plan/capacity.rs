//! How one replica serves, how long a new one takes, and how many must be warm.

use coldstart_decisions::Figure;
use coldstart_decisions::measured::{ColdStart, Measured, PullTime};
use coldstart_decisions::plan::ServingPlan;
use coldstart_decisions::service::{LanguageModel, ServiceModel, SingleForward};
use coldstart_decisions::traffic::TrafficSummary;
use coldstart_profiles::{Bytes, Nanos};

use super::quantity::{counted, number};
use super::sentence::{levels, source};
use crate::grid::{Cell, Column, Grid};
use crate::style::{Style, Tone};
use crate::terminal::section;
use crate::text::paragraph;

/// The service model with its fit, and what one replica completes within the service level.
pub(super) fn service(plan: &ServingPlan, style: &Style) -> String {
    let bound = &plan.capacity.bound;
    let fit = match &plan.service.model {
        ServiceModel::SingleForward(model) => single(model),
        ServiceModel::LanguageModel(model) => language(model, plan),
    };
    let by_hand = plan.request.by_hand.service.as_ref().map(|_| "these times are given by hand".to_owned());
    let (level, rate, alone) = (levels(plan), number(bound.rate_per_s.value), bound.alone_hi_ns.value);
    let carries = match bound.sufficient {
        true => format!(
            "n* = {} within {level}: T(n*) = {}, so full batches complete {rate} requests/s within it; requests that come at random \
             leave gaps, so that the numbers below are simulated; one alone takes up to {alone}",
            bound.batch.value, bound.time_ns.value
        ),
        false => format!(
            "{level} leaves no time to wait for a batch: one after the other a replica completes {rate} requests/s, and one that finds it \
             busy may miss the level; one alone takes up to {alone}"
        ),
    };
    let body: String = fit
        .iter()
        .chain(&by_hand)
        .chain([&carries])
        .map(|line| paragraph(style, Tone::Plain, line))
        .collect();
    section(style, "One replica", "", &body)
}

fn single(model: &SingleForward) -> Vec<String> {
    let (alpha, beta) = (nanos(model.alpha_ns), nanos(model.beta_ns));
    vec![format!(
        "T(n) = {alpha} + {beta} · n{}, up to n = {}",
        quality(model.quality.as_ref()),
        model.max_batch
    )]
}

fn language(model: &LanguageModel, plan: &ServingPlan) -> Vec<String> {
    let size = plan.service.size;
    // Zero stands for what the profiles do not show; the plan's caveats say so.
    let cache = match model.kv_bytes_per_token {
        Bytes::ZERO => "the KV cache of a token is not known".to_owned(),
        bytes => format!("{bytes} of KV cache a token"),
    };
    vec![
        format!(
            "prefill: {} + {} a token{}",
            nanos(model.prefill.alpha_ns),
            nanos(model.prefill.beta_ns),
            quality(model.prefill.quality.as_ref())
        ),
        format!(
            "decode step: {} + {} a request + {} a token of context{}",
            nanos(model.decode.alpha_ns),
            nanos(model.decode.beta_ns),
            nanos(model.decode.gamma_ns),
            quality(model.decode.quality.as_ref())
        ),
        format!(
            "mean request: {} tokens in, {} out; at most {} at once, {cache}, {} free",
            size.tokens_in,
            size.tokens_out,
            plan.service.model.batch_limit(size),
            model.free_bytes
        ),
    ]
}

/// A fitted coefficient; extrapolated ones may be below zero.
pub(super) fn nanos(value: f64) -> String {
    let time = Nanos::from_nanos_f64(value.abs());
    if value < 0.0 { format!("−{time}") } else { time.to_string() }
}

fn quality(quality: Option<&coldstart_profiles::stats::FitQuality>) -> String {
    quality.map_or_else(String::new, |quality| {
        format!(
            " (R² {:.3}, largest residual {:.0} %)",
            quality.r_squared,
            quality.largest_residual_ratio * 100.0
        )
    })
}

/// L by its parts.
pub(super) fn lead_time(plan: &ServingPlan, style: &Style) -> String {
    let lead = &plan.lead_time;
    let cluster = &plan.request.cluster;
    let mut grid =
        Grid::new(style, [Column::text("part"), Column::number("time"), Column::text("from").wrap()]);
    let mut row = |tone: Tone, part: &str, time: Nanos, from: String| {
        grid.row([Cell::new(tone, part), Cell::new(tone, time.to_string()), Cell::new(Tone::Faint, from)]);
    };
    let detection = format!(
        "scrape interval {} + query window {} ÷ 2 + sync interval {}",
        cluster.scrape_interval_ns, cluster.query_window_ns, cluster.sync_interval_ns
    );
    row(Tone::Plain, "detection", lead.detection_ns.value, detection);
    if lead.provisioning_ns.value > Nanos::ZERO {
        row(Tone::Plain, "provisioning", lead.provisioning_ns.value, "given".to_owned());
    }
    let cold = class(plan).and_then(|class| class.cold_starts.first());
    let median = cold.map_or_else(String::new, |cold| format!("; median {}", cold.median_ns.value));
    row(
        Tone::Plain,
        "cold start",
        lead.cold_start_ns.value,
        format!("{}{median}", lead.cold_start_ns.basis.formula),
    );
    for part in cold.map(ColdStart::parts_shown).unwrap_or_default() {
        row(Tone::Faint, &part.0, part.1, part.2);
    }
    grid.rule();
    let total = lead.total_ns.value.to_string();
    grid.row([Cell::new(Tone::Strong, "L"), Cell::new(Tone::Strong, total)]);
    section(
        style,
        "Lead time",
        "from a growth of the traffic until a new replica carries its part",
        &grid.render(),
    )
}

/// What of a cold start stands in the table.
trait PartsShown {
    fn parts_shown(&self) -> Vec<(String, Nanos, String)>;
}

impl PartsShown for ColdStart {
    fn parts_shown(&self) -> Vec<(String, Nanos, String)> {
        let mut rows: Vec<(String, Nanos, String)> = (self.parts.iter())
            .map(|part| {
                let assumed = part.median_ns.is_assumed()
                    || matches!(&self.pull, PullTime::Assumed { .. })
                        && part.phase == coldstart_profiles::Phase::ImagePull;
                let note =
                    if assumed { "assumed".to_owned() } else { format!("median; up to {}", part.max_ns) };
                (format!("· {}", part.phase), part.median_ns.value, note)
            })
            .collect();
        if !rows.is_empty() {
            rows.push(("· unattributed".to_owned(), self.unattributed_ns, "median".to_owned()));
        }
        rows
    }
}

/// Replicas now, at the peak, and the standby.
pub(super) fn warm(plan: &ServingPlan, style: &Style) -> String {
    let warm = &plan.capacity.warm;
    let mut grid = Grid::new(
        style,
        [Column::text(""), Column::number("requests/s"), Column::number("replicas"), Column::text("").wrap()],
    );
    grid.row([
        "now".into(),
        number(warm.now_per_s.value).into(),
        warm.replicas_now.value.to_string().into(),
        Cell::new(Tone::Faint, source(plan)),
    ]);
    let lead = plan.lead_time.total_ns.value;
    let within = match plan.traffic {
        TrafficSummary::Trace { .. } => format!("growth within {lead} at quantile {}", plan.request.quantile),
        TrafficSummary::Ramp(_) => format!("what the ramp grows by within {lead}, up to its peak"),
        TrafficSummary::Steady(_) => "a steady rate does not grow".to_owned(),
    };
    grid.row([
        "growth".into(),
        number(warm.growth_per_s.value).into(),
        format!("+{}", warm.standby.value).into(),
        Cell::new(Tone::Faint, format!("standby: {within}")),
    ]);
    grid.rule();
    let cost = plan.capacity.cost_per_hour.as_ref();
    let cost = cost.map_or_else(String::new, |cost| format!("{} an hour", number(cost.value)));
    // The price is that of what is kept: of the replayed standby where there is one.
    let replayed = plan.capacity.replayed_standby.as_ref();
    grid.row([
        Cell::new(Tone::Strong, "warm"),
        Cell::new(Tone::Strong, number(warm.peak_per_s.value)),
        Cell::new(Tone::Strong, warm.replicas_peak.value.to_string()),
        Cell::new(Tone::Faint, if replayed.is_none() { cost.clone() } else { String::new() }),
    ]);
    if let Some(replayed) = replayed {
        let why = "standing by, beyond replicas(rate) as it changes: the fewest that meet the SLA on this trace, replayed";
        let why = if cost.is_empty() { why.to_owned() } else { format!("{why}; {cost} at the mean rate") };
        grid.row([
            Cell::new(Tone::Good, "replayed"),
            Cell::default(),
            Cell::new(Tone::Good, format!("+{}", replayed.value)),
            Cell::new(Tone::Faint, why),
        ]);
    }
    if let Some(peak) = &plan.capacity.replayed_peak {
        grid.row([
            "peak".into(),
            Cell::default(),
            peak.value.to_string().into(),
            Cell::new(Tone::Faint, "the most that replicas(rate) came to, without the standby"),
        ]);
    }
    if let Some(fixed) = &plan.capacity.fixed_replicas {
        grid.row([
            "fixed".into(),
            Cell::default(),
            fixed.value.to_string().into(),
            Cell::new(Tone::Faint, "the fewest that meet the SLA on this trace without ever changing"),
        ]);
    }
    section(style, "Warm replicas", &format!("dispatch {}", plan.request.dispatch), &grid.render())
}

/// What the answer becomes with another cold start.
pub(super) fn sensitivity(plan: &ServingPlan, style: &Style) -> String {
    let mut grid = Grid::new(
        style,
        [
            Column::text("cold start"),
            Column::number(""),
            Column::number("lead time"),
            Column::number("growth/s"),
            Column::number("warm"),
            Column::number("standby"),
        ],
    );
    for row in &plan.capacity.sensitivity {
        let name = match row.factor {
            f if f < 1.0 => "half",
            f if f > 1.0 => "twice",
            _ if plan.lead_time.cold_start_ns.is_assumed() => "as assumed",
            _ => "as measured",
        };
        let tone = if row.factor == 1.0 { Tone::Strong } else { Tone::Plain };
        grid.row(
            [
                name.to_owned(),
                row.cold_start_ns.to_string(),
                row.lead_time_ns.to_string(),
                number(row.growth_per_s),
                row.warm.value.to_string(),
                row.standby.value.to_string(),
            ]
            .map(|text| Cell::new(tone, text)),
        );
    }
    section(style, "If the cold start were another", "", &grid.render())
}

/// Every class of the fleet; nothing for one.
pub(super) fn classes(plan: &ServingPlan, style: &Style) -> String {
    if plan.classes.len() < 2 {
        return String::new();
    }
    let mut grid = Grid::new(
        style,
        [
            Column::text("class").wrap(),
            Column::number("nodes").drop(0),
            Column::number("cold start"),
            Column::number("slow end").drop(1),
            Column::number("req/s each"),
            Column::number("warm"),
            Column::number("standby"),
            Column::number("fixed"),
            Column::text("").wrap(),
        ],
    );
    let dash = || "–".to_owned();
    let count = |figure: Option<&Figure<u32>>| figure.map_or_else(dash, |count| count.value.to_string());
    // Of a trace what its replays say, of numbers the formula.
    let replayed = plan.classes.iter().any(|class| class.fixed_replicas.is_some());
    for class in &plan.classes {
        let tone = if class.node_class == plan.node_class { Tone::Strong } else { Tone::Plain };
        let cells = [
            class.node_class.clone(),
            class.nodes.value.to_string(),
            class.cold_median_ns.as_ref().map_or_else(dash, |time| time.value.to_string()),
            class.cold_hi_ns.as_ref().map_or_else(dash, |time| time.value.to_string()),
            class.rate_per_s.as_ref().map_or_else(dash, |rate| number(rate.value)),
            count(class.replicas_peak.as_ref()),
            count(class.replayed_standby.as_ref().or(class.standby.as_ref())),
            match replayed {
                true => count(class.fixed_replicas.as_ref()),
                false => String::new(),
            },
            class.why.clone().unwrap_or_default(),
        ];
        grid.row(cells.map(|text| Cell::new(tone, text)));
    }
    let nodes: usize = plan.classes.iter().map(|class| class.nodes.value).sum();
    let aside = counted(u32::try_from(nodes).unwrap_or(u32::MAX), "node");
    section(style, "The fleet", &format!("all traffic on one class of nodes · {aside}"), &grid.render())
}

/// The class that the plan is for.
pub(super) fn class(plan: &ServingPlan) -> Option<&Measured> {
    plan.fleet.classes.iter().find(|measured| measured.class.name == plan.node_class)
}
