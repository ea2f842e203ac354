//! How long the last idle replica is worth keeping.

use coldstart_profiles::Nanos;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::settings::Situation;
use crate::basis::{Basis, Figure, Quantity};
use crate::cluster::Prices;

/// Scaling to zero, and the idle time at which it begins to pay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KeepAlive {
    /// Requests that one cold start from zero makes miss: those that come so early in it that waiting for its end takes too long.
    pub misses: Figure<f64>,
    /// From the first request to zero replicas until the first answer: polling, provisioning and cold start.
    pub lead_time_ns: Figure<Nanos>,
    /// Idle for longer than this, a replica costs more than the misses of the cold start that it saves; `null` where a price is
    /// missing or idling is free.
    pub break_even_ns: Option<Figure<Nanos>>,
    /// What follows.
    pub advice: Advice,
}

/// Whether to scale to zero.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "choice", rename_all = "snake_case")]
pub enum Advice {
    /// Remove the last replica once it was idle for the break-even time. Whatever the traffic, this costs at most twice what
    /// knowing the future would.
    ScaleToZero,
    /// Keep one.
    KeepOne {
        /// Why.
        why: String,
    },
    /// It can't be said.
    Unknown {
        /// What is missing.
        why: String,
    },
}

/// Break-even idle time = cost of the misses of one cold start ÷ cost of idling per second. Waiting for exactly that time is
/// 2-competitive, as the ski-rental problem has it (Karlin et al., 1988). `longest_gap` is the longest pause of a trace.
pub fn keep_alive(situation: &Situation<'_>, prices: &Prices, longest_gap: Option<Nanos>) -> KeepAlive {
    let (cluster, cold) = (situation.cluster, situation.cold_start);
    let lead = cluster.scrape_interval_ns.saturating_add(cluster.provisioning_ns).saturating_add(cold.value);
    let lead_basis = Basis::of("polling interval + provisioning + C")
        .input("polling interval", Quantity::Nanos(cluster.scrape_interval_ns))
        .input("provisioning", Quantity::Nanos(cluster.provisioning_ns))
        .figure("C", Quantity::Nanos(cold.value), "lead_time.cold_start_ns", &cold.basis);
    let now = &situation.warm.now_per_s;
    // Those that come last still find the replica in time.
    let late = slack(situation).map_or(Nanos::ZERO, |slack| lead.saturating_sub(slack));
    let misses = if late == Nanos::ZERO { 0.0 } else { (now.value * late.as_secs_f64()).max(1.0) };
    let misses_basis = Basis::of(
        "λ_now × (lead time from zero − (S − T_hi(1))), at least the first; 0 where that is not above zero",
    )
    .figure("λ_now", Quantity::PerSecond(now.value), "capacity.warm.now_per_s", &now.basis)
    .figure("lead time from zero", Quantity::Nanos(lead), "keep_alive.lead_time_ns", &lead_basis)
    .input(
        "S − T_hi(1)",
        slack(situation).map_or(Quantity::Text("no bound on waiting".into()), Quantity::Nanos),
    );
    let misses = Figure::new(misses, misses_basis);
    let (break_even_ns, advice) = break_even(&misses, prices, longest_gap);
    KeepAlive { misses, lead_time_ns: Figure::new(lead, lead_basis), break_even_ns, advice }
}

/// How long a request may wait before it is served alone, and is still in time by every bound that waiting counts for; `None` where no
/// bound does.
fn slack(situation: &Situation<'_>) -> Option<Nanos> {
    let (service, sla, size) = (situation.service, situation.sla, situation.size);
    let left = |bound: Nanos, takes: f64| bound.saturating_sub(Nanos::from_nanos_f64(takes));
    let whole = sla.end_to_end_ns.map(|bound| left(bound, service.time_hi(1, size)));
    let first = sla.ttft_ns.map(|bound| left(bound, service.ttft_hi(size)));
    whole.into_iter().chain(first).min()
}

fn break_even(
    misses: &Figure<f64>,
    prices: &Prices,
    longest_gap: Option<Nanos>,
) -> (Option<Figure<Nanos>>, Advice) {
    let (Some(hour), Some(miss)) = (prices.replica_hour, prices.miss) else {
        let missing: Vec<&str> = [("--replica-hour", prices.replica_hour), ("--miss-cost", prices.miss)]
            .into_iter()
            .filter_map(|(flag, price)| price.is_none().then_some(flag))
            .collect();
        return (None, Advice::Unknown { why: format!("it takes a price: give {}", missing.join(" and ")) });
    };
    if hour <= 0.0 {
        return (None, Advice::KeepOne { why: "idling costs nothing".to_owned() });
    }
    let seconds = misses.value * miss / (hour / 3600.0);
    let break_even = Nanos::from_nanos_f64(seconds * 1e9);
    let basis = Basis::of("misses × cost of a miss ÷ (price of a replica-hour ÷ 3600 s)")
        .figure("misses", Quantity::Number(misses.value), "keep_alive.misses", &misses.basis)
        .input("cost of a miss", Quantity::Number(miss))
        .input("price of a replica-hour", Quantity::Number(hour));
    let advice = match longest_gap {
        Some(gap) if gap < break_even => Advice::KeepOne {
            why: format!(
                "the longest pause of the trace is {gap}, shorter than the break-even of {break_even}"
            ),
        },
        _ => Advice::ScaleToZero,
    };
    (Some(Figure::new(break_even, basis)), advice)
}
