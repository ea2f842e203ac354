//! Where the model should live, and what each mitigation would bring.

use coldstart_decisions::locality::{Locality, StrategyFigures, StrategyOutcome};
use coldstart_decisions::mitigations::{Cost, Effect, MitigationKind};
use coldstart_decisions::plan::ServingPlan;
use coldstart_profiles::Bytes;

use super::capacity::class;
use super::quantity::number;
use crate::grid::{Cell, Column, Grid};
use crate::style::{Style, Tone};
use crate::terminal::section;
use crate::text::{by_text, notes, paragraph};

/// Strategies with their expected starts, the choice, and the sizes at which another is better.
pub(super) fn locality(plan: &ServingPlan, style: &Style) -> String {
    let locality = &plan.locality;
    let computed = locality.choice.is_some();
    let one_reason = one_reason(locality).filter(|_| !computed);
    let mut body = String::new();
    if computed {
        body.push_str(&strategies(locality, style));
        body.push_str(&paragraph(style, Tone::Plain, &locality.why));
        body.push_str(&paragraph(style, Tone::Plain, &crossovers(locality)));
    } else {
        let why = one_reason.unwrap_or("rates of these places are missing");
        let text = format!("No way of keeping the weights can be computed: {why}.");
        body.push_str(&paragraph(style, Tone::Warn, &text));
    }
    let impossible = locality.strategies.iter().filter_map(|strategy| match &strategy.outcome {
        StrategyOutcome::Impossible { why } if computed => Some((strategy.strategy.name(), why.as_str())),
        StrategyOutcome::Impossible { .. } => None,
        StrategyOutcome::Possible(_) => None,
    });
    let missing = locality.missing.iter().filter(|_| one_reason.is_none());
    let missing = missing.map(|tier| (tier.tier.name(), tier.why.as_str()));
    body.push_str(&notes(style, Tone::Faint, impossible.chain(missing)));
    let loads = match locality.simultaneous.value {
        1 => "1 replica loads at a time".to_owned(),
        more => format!("{more} replicas load at once"),
    };
    let pull = locality.pull_ns.as_ref().filter(|_| computed);
    let pull = pull.map_or_else(String::new, |pull| format!(" · besides the image's pull of {}", pull.value));
    let aside = format!("{} of weights, {loads}{pull}", locality.model_bytes.value);
    section(style, "Where the model should live", &aside, &body)
}

fn strategies(locality: &Locality, style: &Style) -> String {
    let mut grid = Grid::new(
        style,
        [
            Column::text("strategy"),
            Column::number("hit"),
            Column::number("miss"),
            Column::number("expected"),
            Column::number("disk").drop(1),
            Column::number("per month").drop(0),
            Column::text("").wrap(),
        ],
    );
    for strategy in &locality.strategies {
        let name = strategy.strategy.name();
        let chosen = locality.choice == Some(strategy.strategy);
        let tone = if chosen { Tone::Strong } else { Tone::Plain };
        match &strategy.outcome {
            StrategyOutcome::Possible(figures) => grid.row([
                Cell::new(tone, name),
                Cell::new(tone, figures.hit_ns.value.to_string()),
                Cell::new(tone, figures.miss_ns.value.to_string()),
                Cell::new(tone, figures.expected_ns.value.to_string()),
                Cell::new(tone, figures.disk_bytes.map_or_else(String::new, |bytes| bytes.to_string())),
                Cell::new(tone, per_month(figures)),
                Cell::new(tone, if chosen { "the choice" } else { "" }),
            ]),
            StrategyOutcome::Impossible { .. } => {
                grid.row([Cell::new(Tone::Faint, name), "–".into(), "–".into(), "–".into()]);
            }
        }
    }
    grid.render()
}

/// What rules out every strategy alike; `None` where they have reasons of their own.
fn one_reason(locality: &Locality) -> Option<&str> {
    let mut reasons = locality.strategies.iter().map(|strategy| match &strategy.outcome {
        StrategyOutcome::Impossible { why } => Some(why.as_str()),
        StrategyOutcome::Possible(_) => None,
    });
    let first = reasons.next()??;
    reasons.all(|why| why == Some(first)).then_some(first)
}

/// `12.0`, or with weights in the image `12.0 + 1.5 registry`; a price that was not given is left out.
fn per_month(figures: &StrategyFigures) -> String {
    match (figures.disk_cost_per_month, figures.registry_cost_per_month) {
        (Some(disk), Some(registry)) => format!("{} + {} registry", number(disk), number(registry)),
        (None, Some(registry)) => format!("{} registry", number(registry)),
        (disk, None) => disk.map_or_else(String::new, number),
    }
}

/// `below 1.80 GiB bake it into the image; from there on cache it on the nodes, with affinity`.
pub(crate) fn crossovers(locality: &Locality) -> String {
    let parts: Vec<String> = (locality.crossovers.iter())
        .map(|segment| match (segment.from_bytes, segment.below_bytes) {
            (Bytes::ZERO, None) => format!("at any size {}", segment.strategy.order()),
            (Bytes::ZERO, Some(below)) => format!("below {below} {}", segment.strategy.order()),
            (from, None) => format!("from {from} on {}", segment.strategy.order()),
            (from, Some(below)) => format!("from {from} to {below} {}", segment.strategy.order()),
        })
        .collect();
    parts.join("; ")
}

/// Every mitigation, the best for its price first.
pub(super) fn mitigations(plan: &ServingPlan, style: &Style) -> String {
    let mut grid = Grid::new(
        style,
        [
            Column::text("mitigation").wrap(),
            Column::number("cold start"),
            Column::number("saves"),
            Column::number("standby"),
            Column::text("a month").wrap(),
        ],
    );
    let mut others: Vec<(&str, &str)> = Vec::new();
    for mitigation in &plan.mitigations {
        let name = words(mitigation.kind);
        match &mitigation.effect {
            Effect::Predicted(found) => {
                let cost = match &found.cost {
                    Cost::Free => "free".to_owned(),
                    Cost::PerMonth { amount } => number(amount.value),
                    Cost::Unpriced { why } => format!("? {why}"),
                };
                grid.row([
                    name.into(),
                    found.cold_start_ns.value.to_string().into(),
                    found.saves_ns.value.to_string().into(),
                    found
                        .standby
                        .as_ref()
                        .map_or_else(|| "–".to_owned(), |count| count.value.to_string())
                        .into(),
                    cost.into(),
                ]);
            }
            Effect::Nothing { why } | Effect::Lacking { why, .. } => others.push((name, why)),
        }
    }
    let others = by_text(others.into_iter().map(|(name, why)| (name.to_owned(), why)));
    let others = others.iter().map(|(names, why)| (names.as_str(), *why));
    let body = format!("{}{}", grid.render(), notes(style, Tone::Faint, others));
    section(style, "What would help", &predicted_from(plan), &body)
}

/// What the mitigations are predicted from, and what of it is assumed.
fn predicted_from(plan: &ServingPlan) -> String {
    let cold = class(plan).and_then(|class| class.cold_starts.first());
    match cold.map(|cold| (cold, cold.usual_ns())) {
        Some((cold, usual)) if cold.is_by_hand() => {
            format!("predicted from the measured parts of a cold start of {}, which is assumed", usual.value)
        }
        Some((_, usual)) if usual.is_assumed() => {
            "predicted from the measured parts, and a pull that is assumed".to_owned()
        }
        _ => "predicted from the measured parts".to_owned(),
    }
}

fn words(kind: MitigationKind) -> &'static str {
    match kind {
        MitigationKind::WarmStandby => "warm standby",
        MitigationKind::SmallerImage => "half the image",
        MitigationKind::ZstdImage => "zstd image",
        MitigationKind::PreloadedStorage => "weights preloaded",
        MitigationKind::PreWarmedPool => "pre-warmed pool",
        MitigationKind::KeptJitCache => "kept JIT cache",
        MitigationKind::OverlapReadAndContext => "read beside context",
    }
}
