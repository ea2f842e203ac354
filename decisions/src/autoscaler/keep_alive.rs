//! How long the last idle replica is worth keeping.

use coldstart_profiles::Nanos;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::behaviour::ceil_seconds;
use super::settings::Situation;
use crate::basis::{Basis, Figure, Quantity};
use crate::cluster::Prices;
use crate::traffic::Traffic;

/// Scaling to zero, and the idle time at which it begins to pay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KeepAlive {
    /// Requests that one cold start from zero makes miss: those that come so early in it that waiting for its end takes too long.
    pub misses: Figure<f64>,
    /// From the first request to zero replicas until the first answer: polling, provisioning and cold start.
    pub lead_time_ns: Figure<Nanos>,
    /// Idle for longer than this, a replica costs more than the cold start that it saves: the time of the replica that starts, and
    /// the misses meanwhile. `null` where a price is missing or idling is free.
    pub break_even_ns: Option<Figure<Nanos>>,
    /// KEDA's `cooldownPeriod`, in seconds: from the last activity until the last replica goes.
    pub cooldown_s: Figure<u32>,
    /// Of all requests, the share that pauses longer than the cool-down would make miss.
    pub missed_share: Figure<f64>,
    /// What follows.
    pub advice: Advice,
}

/// Whether to scale to zero.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "choice", rename_all = "snake_case")]
pub enum Advice {
    /// Remove the last replica once it was idle for the cool-down. Whatever the traffic, waiting for the break-even time costs at most
    /// twice what knowing the future would.
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

/// The usual cool-down of KEDA, in seconds.
const USUAL_COOLDOWN_S: u32 = 300;
/// Pauses that numbers let expect less often than once in so many seconds are none.
const DAY_S: f64 = 86_400.0;

/// Break-even idle time = lead time from zero + cost of the misses of one cold start ÷ cost of idling per second: the replica that
/// starts is paid for as well. Waiting for exactly that time is 2-competitive, as the ski-rental problem has it (Karlin et al., 1988).
///
/// The first request after a pause always waits for a whole cold start. Where that is more than the service level leaves, scaling to
/// zero is advised only while the requests that pauses make miss are fewer than the service level lets miss.
pub fn keep_alive(situation: &Situation<'_>, prices: &Prices, traffic: &Traffic) -> KeepAlive {
    let (cluster, cold) = (situation.cluster, situation.cold_start);
    let lead = cluster.scrape_interval_ns.saturating_add(cluster.provisioning_ns).saturating_add(cold.value);
    let lead_basis = Basis::of("polling interval + provisioning + C")
        .input("polling interval", Quantity::Nanos(cluster.scrape_interval_ns))
        .input("provisioning", Quantity::Nanos(cluster.provisioning_ns))
        .figure("C", Quantity::Nanos(cold.value), "lead_time.cold_start_ns", &cold.basis);
    let lead_time_ns = Figure::new(lead, lead_basis);
    let misses = misses(situation, &lead_time_ns, traffic);
    let break_even_ns = break_even(&misses, prices, &lead_time_ns);
    let cooldown_s = cooldown(situation, break_even_ns.as_ref(), &lead_time_ns);
    let idle = Nanos::from_secs(u64::from(cooldown_s.value));
    let pauses = Pauses::longer_than(idle, traffic);
    let missed_share = pauses.missed_share(&misses, &cooldown_s);
    let advice = advice(situation, prices, &pauses, (idle, &misses, &missed_share));
    KeepAlive { misses, lead_time_ns, break_even_ns, cooldown_s, missed_share, advice }
}

fn misses(situation: &Situation<'_>, lead: &Figure<Nanos>, traffic: &Traffic) -> Figure<f64> {
    let now = &situation.warm.now_per_s;
    let slack = slack(situation);
    // Those that come last still find the replica in time.
    let late = slack.map_or(Nanos::ZERO, |slack| lead.value.saturating_sub(slack));
    let after = after_pauses(traffic, late);
    let (misses, formula) = match after {
        _ if late == Nanos::ZERO => (0.0, "none: the lead time from zero is within S − T_hi(1)"),
        Some(misses) => (
            misses,
            "requests of the trace within (lead time from zero − (S − T_hi(1))) of the end of a pause over 300 s, on average",
        ),
        None => (
            (now.value * late.as_secs_f64()).max(1.0),
            "λ_now × (lead time from zero − (S − T_hi(1))), at least the first",
        ),
    };
    let basis = Basis::of(formula)
        .figure("λ_now", Quantity::PerSecond(now.value), "capacity.warm.now_per_s", &now.basis)
        .figure("lead time from zero", Quantity::Nanos(lead.value), "keep_alive.lead_time_ns", &lead.basis)
        .input(
            "S − T_hi(1)",
            slack.map_or(Quantity::Text("no bound on waiting".into()), Quantity::Nanos),
        )
        .caveat("what comes during the cold start queues behind it: the replay of the export counts who misses by that, too");
    Figure::new(misses, basis)
}

/// How many requests of a trace come within `late` of the first after a pause, on average over the pauses that KEDA's usual cool-down
/// would take for one; `None` without such pauses. The mean rate, pauses included, would be far too low.
fn after_pauses(traffic: &Traffic, late: Nanos) -> Option<f64> {
    let Traffic::Trace(trace) = traffic else { return None };
    let arrivals = trace.arrivals();
    let pause = u64::from(USUAL_COOLDOWN_S) * 1_000_000_000;
    let ends = arrivals.windows(2).enumerate().filter(|(_, pair)| pair[1].time_ns - pair[0].time_ns > pause);
    let (mut pauses, mut misses) = (0_u64, 0_u64);
    for (before, pair) in ends {
        let until = pair[1].time_ns.saturating_add(late.as_nanos());
        let after = arrivals.get(before + 1..).unwrap_or_default();
        pauses += 1;
        misses += after.partition_point(|arrival| arrival.time_ns <= until) as u64;
    }
    (pauses > 0).then(|| misses as f64 / pauses as f64)
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

fn break_even(misses: &Figure<f64>, prices: &Prices, lead: &Figure<Nanos>) -> Option<Figure<Nanos>> {
    let (hour, miss) = (prices.replica_hour.filter(|hour| *hour > 0.0)?, prices.miss?);
    let seconds = misses.value * miss / (hour / 3600.0);
    let basis =
        Basis::of("lead time from zero + misses × cost of a miss ÷ (price of a replica-hour ÷ 3600 s)")
            .figure(
                "lead time from zero",
                Quantity::Nanos(lead.value),
                "keep_alive.lead_time_ns",
                &lead.basis,
            )
            .figure("misses", Quantity::Number(misses.value), "keep_alive.misses", &misses.basis)
            .input("cost of a miss", Quantity::Number(miss))
            .input("price of a replica-hour", Quantity::Number(hour));
    Some(Figure::new(lead.value.saturating_add(Nanos::from_nanos_f64(seconds * 1e9)), basis))
}

/// A replica that starts, or works on its last request, must not be taken for an idle one.
fn cooldown(
    situation: &Situation<'_>,
    break_even: Option<&Figure<Nanos>>,
    lead: &Figure<Nanos>,
) -> Figure<u32> {
    let answer = Nanos::from_nanos_f64(situation.service.time_hi(1, situation.size));
    let busy = lead.value.saturating_add(answer);
    let basis =
        Basis::of("the largest of 300 s, lead time from zero + T_hi(1), and the break-even idle time")
            .figure(
                "lead time from zero",
                Quantity::Nanos(lead.value),
                "keep_alive.lead_time_ns",
                &lead.basis,
            )
            .input("T_hi(1)", Quantity::Nanos(answer));
    let (longest, basis) = match break_even {
        Some(time) => {
            let value = Quantity::Nanos(time.value);
            let basis = basis.figure("break-even", value, "keep_alive.break_even_ns", &time.basis);
            (busy.max(time.value), basis)
        }
        None => (busy, basis.input("break-even", Quantity::Text("not known without prices".into()))),
    };
    Figure::new(ceil_seconds(longest).max(USUAL_COOLDOWN_S), basis)
}

/// Pauses that are longer than a replica is kept.
struct Pauses {
    /// How many for each request: of a trace as it is, of numbers by Poisson arrivals.
    per_request: f64,
    /// How many a day.
    per_day: f64,
    /// The longest; of a trace only.
    longest: Option<Nanos>,
}

impl Pauses {
    fn longer_than(idle: Nanos, traffic: &Traffic) -> Self {
        let poisson = |per_s: f64| {
            let per_request = (-per_s * idle.as_secs_f64()).exp();
            Pauses { per_request, per_day: per_request * per_s * DAY_S, longest: None }
        };
        match traffic {
            Traffic::Steady(steady) => poisson(steady.rate_per_s),
            Traffic::Ramp(ramp) => poisson(ramp.base_per_s),
            Traffic::Trace(trace) => {
                let gaps = trace.arrivals().windows(2).map(|pair| pair[1].time_ns - pair[0].time_ns);
                let (mut count, mut longest) = (0_u64, 0);
                for gap in gaps {
                    count += u64::from(gap > idle.as_nanos());
                    longest = longest.max(gap);
                }
                Pauses {
                    per_request: count as f64 / trace.len() as f64,
                    per_day: count as f64 / (trace.duration_ns() as f64 / 1e9) * DAY_S,
                    longest: Some(Nanos::from_nanos(longest)),
                }
            }
        }
    }

    fn missed_share(&self, misses: &Figure<f64>, cooldown: &Figure<u32>) -> Figure<f64> {
        let basis = Basis::of("pauses longer than the cool-down, for each request × misses, at most 1")
            .input("pauses for each request", Quantity::Share(self.per_request))
            .figure("misses", Quantity::Number(misses.value), "keep_alive.misses", &misses.basis)
            .figure(
                "cool-down in seconds",
                Quantity::Count(u64::from(cooldown.value)),
                "keep_alive.cooldown_s",
                &cooldown.basis,
            );
        Figure::new((self.per_request * misses.value).min(1.0), basis)
    }
}

fn advice(
    situation: &Situation<'_>,
    prices: &Prices,
    pauses: &Pauses,
    (idle, misses, missed_share): (Nanos, &Figure<f64>, &Figure<f64>),
) -> Advice {
    let keep = |why: String| Advice::KeepOne { why };
    if prices.replica_hour.is_some_and(|hour| hour <= 0.0) {
        return keep("idling costs nothing".to_owned());
    }
    match pauses.longest {
        Some(longest) if longest <= idle => {
            return keep(format!(
                "the longest pause of the trace is {longest}, and the last replica goes after {idle} without requests"
            ));
        }
        None if pauses.per_day < 1.0 => {
            return keep(format!(
                "the last replica goes after {idle} without requests, and such pauses come less than once a day"
            ));
        }
        _ => {}
    }
    let allowed = 1.0 - situation.sla.percentile().fraction();
    if missed_share.value > allowed {
        return keep(format!(
            "each pause would make {:.0} requests miss, {:.1} % of all, and {:.1} % may",
            misses.value.ceil(),
            missed_share.value * 100.0,
            allowed * 100.0
        ));
    }
    let missing: Vec<&str> = [("--replica-hour", prices.replica_hour), ("--miss-cost", prices.miss)]
        .into_iter()
        .filter_map(|(flag, price)| price.is_none().then_some(flag))
        .collect();
    if missing.is_empty() {
        return Advice::ScaleToZero;
    }
    Advice::Unknown { why: format!("it takes a price: give {}", missing.join(" and ")) }
}
