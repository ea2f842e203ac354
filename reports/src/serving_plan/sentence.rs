//! The answer in one sentence.

use coldstart_decisions::autoscaler::Signal;
use coldstart_decisions::plan::{Course, Courses, ServingPlan, TrafficSource};
use coldstart_decisions::service::SlaPart;
use coldstart_decisions::traffic::TrafficSummary;

use super::quantity::{counted, number};

/// What the plan is for.
pub(crate) fn title(plan: &ServingPlan) -> String {
    format!("Plan for {} on {}", plan.fleet.model.source, plan.node_class)
}

/// `p99 100 ms, cold start 60.0 s: keep 4 warm, 2 of them standby, to survive growth of 5.0 requests/s within 75.0 s, as the ramp has
/// it.` Of what was replayed first the cheapest that meets the service level: `7 replicas, always: 6.81 replica-hours for this traffic.
/// Following the rate, keep 7 warm at its mean and 10 at its peak, 1 of them standby, with which this trace, replayed, meets the level:
/// carried out exactly that takes 7.61; `--signal plan` takes 7.18.`
pub(crate) fn sentence(plan: &ServingPlan) -> String {
    let cold = plan.lead_time.cold_start_ns.value;
    format!("{}, cold start {cold}: {}.", levels(plan), cheapest(plan).unwrap_or_else(|| keeping(plan)))
}

/// The cheapest of what was replayed, and what the others take.
fn cheapest(plan: &ServingPlan) -> Option<String> {
    let courses = plan.courses.as_ref()?;
    let best = courses.cheapest.as_ref()?;
    let hours = |course: &Course| number(course.replica_hours.value);
    let mut text = match best.export {
        None => format!(
            "{}, always: {} replica-hours for this traffic",
            counted(best.min_replicas.value, "replica"),
            hours(best)
        ),
        Some(signal) => {
            let (tool, least) = match best.to_zero {
                true => ("keda", "none in pauses".to_owned()),
                false => ("hpa|keda", format!("{} at least", best.min_replicas.value)),
            };
            format!(
                "scale with `coldstart export {tool} --signal {}`, {least}: {} replica-hours for this traffic",
                signal.flag(),
                hours(best)
            )
        }
    };
    let fixed = courses.carried_out.iter().find(|course| course.export.is_none());
    if let Some(fixed) = fixed.filter(|_| best.export.is_some()) {
        let count = fixed.min_replicas.value;
        let would = if fixed.fewest.is_some() { "best be" } else { "have to be" };
        text.push_str(&format!(
            ", where a number that never changes would {would} {count} and take {}",
            hours(fixed)
        ));
    }
    text.push_str(&following(plan, courses, best).unwrap_or_default());
    Some(text)
}

/// What following the rate takes: exactly, and as an autoscaler does it.
fn following(plan: &ServingPlan, courses: &Courses, best: &Course) -> Option<String> {
    let exactly = courses.exactly.as_ref()?;
    let export = courses.of_export(Signal::Plan).filter(|course| course.name != best.name);
    let export = export.map_or_else(String::new, |course| {
        let misses = if course.meets { "" } else { ", and misses the level" };
        format!("; `--signal plan` takes {}{misses}", number(course.replica_hours.value))
    });
    let (keep, takes) = (keeping(plan), number(exactly.replica_hours.value));
    let misses = if exactly.meets { "" } else { ", and misses the level" };
    Some(format!(". Following the rate, {keep}: carried out exactly that takes {takes}{misses}{export}"))
}

/// How many to keep: as the replay of the trace found it, else by the formula.
fn keeping(plan: &ServingPlan) -> String {
    let (capacity, limit) = (&plan.capacity, plan.request.cluster.max_replicas);
    let standby = capacity.standby().value;
    let (keep, wanted) = (capacity.kept(limit).value, capacity.kept(None).value);
    let most = capacity.replayed_peak.as_ref().map(|peak| peak.value.saturating_add(standby));
    let most = most.filter(|most| *most > keep && keep == wanted);
    let most = most.map_or_else(String::new, |most| format!(" at its mean and {most} at its peak"));
    let standing = match standby {
        _ if keep < wanted => "all that there may be".to_owned(),
        0 => "none of them standby".to_owned(),
        _ => format!("{standby} of them standby"),
    };
    // A growth is what the formula's standby is for; that of a replay is the least that did on the trace.
    let purpose = match capacity.replayed_standby {
        Some(_) => "with which this trace, replayed, meets the level".to_owned(),
        None => growth(plan),
    };
    format!("keep {keep} warm{most}, {standing}, {purpose}")
}

/// What the formula's standby is for.
fn growth(plan: &ServingPlan) -> String {
    let warm = &plan.capacity.warm;
    let survive = || {
        let (growth, lead) = (number(warm.growth_per_s.value), plan.lead_time.total_ns.value);
        format!("to survive growth of {growth} requests/s within {lead}")
    };
    match plan.traffic {
        TrafficSummary::Steady(_) => format!("at a steady {} requests/s", number(warm.now_per_s.value)),
        TrafficSummary::Ramp(_) => format!("{}, as the ramp has it", survive()),
        TrafficSummary::Trace { .. } => {
            format!("{}, the {} percentile of this trace", survive(), ordinal(plan.request.quantile))
        }
    }
}

/// `p99 100 ms`, `p99 TTFT 2.00 s and ITL 50.0 ms`.
pub(super) fn levels(plan: &ServingPlan) -> String {
    let bounds = plan.request.sla.bounds().map(|(part, bound)| match part {
        SlaPart::EndToEnd => bound.to_string(),
        SlaPart::Ttft => format!("TTFT {bound}"),
        SlaPart::Itl => format!("ITL {bound}"),
    });
    let bounds: Vec<String> = bounds.collect();
    format!("p{} {}", number_plain(f64::from(plan.request.sla.permille) / 10.0), bounds.join(" and "))
}

/// Where the traffic comes from.
pub(super) fn source(plan: &ServingPlan) -> String {
    match &plan.request.traffic_from {
        TrafficSource::Numbers => "numbers given".to_owned(),
        TrafficSource::Trace { name, .. } => name.rsplit('/').next().unwrap_or(name).to_owned(),
    }
}

/// `99th`, `99.9th`, `90th`.
fn ordinal(quantile: f64) -> String {
    let percent = number_plain(quantile * 100.0);
    let ending = match (
        percent.ends_with("11") || percent.ends_with("12") || percent.ends_with("13"),
        percent.chars().last(),
    ) {
        (true, _) => "th",
        (false, Some('1')) => "st",
        (false, Some('2')) => "nd",
        (false, Some('3')) => "rd",
        _ => "th",
    };
    format!("{percent}{ending}")
}

/// A number without needless zeros.
fn number_plain(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinals() {
        for (quantile, text) in
            [(0.99, "99th"), (0.999, "99.9th"), (0.5, "50th"), (0.91, "91st"), (0.13, "13th")]
        {
            assert_eq!(ordinal(quantile), text);
        }
    }
}
