//! What a reader of a plan must know before following it.

use coldstart_profiles::ForwardMode;
use coldstart_profiles::stats::FitQuality;

use super::alternatives::Alternatives;
use super::courses::Courses;
use super::inherited::of_profiles;
use super::places::{HIT_RATIO, USUAL_HIT_RATIO};
use super::request::TrafficSource;
use super::serving_plan::{Capacity, ServicePlan};
use crate::cluster::ClusterFacts;
use crate::locality::{Locality, StrategyOutcome};
use crate::measured::Distinct;
use crate::service::ServiceModel;
use crate::traffic::TrafficSummary;

/// Fewer requests carry no 99th percentile at 95 % confidence: n with 0.99ⁿ ≤ 0.05.
const LEAST_REQUESTS: u64 = 299;
/// Arrivals whose gaps vary more than this (CV²) make closed formulas optimistic.
const BURSTY: f64 = 1.5;
/// A fit that explains less of the variance than this is a poor one.
const LEAST_R_SQUARED: f64 = 0.9;
/// So is one that is off by more than this share of a point.
const LARGEST_RESIDUAL: f64 = 0.25;

/// So many files that were left out are named.
const MOST_NAMED: usize = 5;

/// What the caveats follow from.
pub(super) struct Known<'a> {
    /// All profiles, also those of other classes, and what of the files was there already.
    pub(super) distinct: &'a Distinct<'a>,
    pub(super) alternatives: &'a Alternatives<'a>,
    pub(super) locality: &'a Locality,
    pub(super) service: &'a ServicePlan,
    /// What was replayed.
    pub(super) courses: Option<&'a Courses>,
    /// What stood in for numbers in a replay, or why nothing did.
    pub(super) of_numbers: Option<&'a str>,
}

impl Known<'_> {
    /// Every caveat once, the gravest first.
    pub(super) fn caveats(&self, traffic: &TrafficSummary, capacity: &Capacity) -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        if self.alternatives.measured.stand_in() {
            all.push("STAND-IN: a stand-in driver was measured; no number means anything".to_owned());
        }
        let partial = self.alternatives.measured.profiles.iter().filter(|profile| !profile.complete);
        all.extend(partial.map(|profile| {
            format!("the profile {} is partial: continue it with `coldstart run --resume`", profile.name)
        }));
        all.extend(self.left_out());
        all.extend(self.distinct.said().iter().cloned());
        all.extend(self.alternatives.measured.pods.iter().flat_map(|pods| pods.differs.iter().cloned()));
        all.extend(self.nothing_meets());
        all.extend(self.too_few());
        all.extend(self.short_window());
        all.extend(self.extrapolated());
        all.extend(self.poor_fits());
        all.extend(self.assumed(capacity));
        all.extend(of_profiles(&self.distinct.named(), self.alternatives.measured));
        all.extend(bursty(traffic, self.courses.is_some()));
        all.extend(few_requests(traffic));
        all.extend(self.of_numbers.map(str::to_owned));
        if let TrafficSource::Trace { caveats, .. } = &self.alternatives.request.traffic_from {
            all.extend(caveats.iter().cloned());
        }
        let bases = [&self.alternatives.cold.hi_ns.basis, &self.service.basis, &capacity.bound.batch.basis];
        all.extend(bases.into_iter().flat_map(|basis| basis.caveats.iter().cloned()));
        let mut seen: Vec<String> = Vec::new();
        all.retain(|text| {
            let new = !seen.contains(text);
            seen.push(text.clone());
            new
        });
        all
    }

    /// Which files of a fleet were of no use.
    fn left_out(&self) -> impl Iterator<Item = String> {
        let left_out = &self.alternatives.request.left_out;
        let named = left_out.iter().take(MOST_NAMED).map(|file| {
            format!("{} is left out of the fleet, and its node not counted: {}", file.name, file.why)
        });
        let more = left_out.len().saturating_sub(MOST_NAMED);
        named.chain((more > 0).then(|| format!("and {more} more files are left out of the fleet")))
    }

    /// That of all that was replayed nothing meets the SLA.
    fn nothing_meets(&self) -> Option<String> {
        let courses = self.courses.filter(|courses| courses.cheapest.is_none())?;
        let best = courses.carried_out.iter().map(|course| course.attainment.value).fold(0.0, f64::max);
        Some(format!(
            "nothing that was replayed meets the SLA on this traffic: the best keeps {:.2} % within it: allow more time or more replicas",
            best * 100.0
        ))
    }

    /// That there may be fewer replicas than the busiest moment takes.
    fn too_few(&self) -> Option<String> {
        let most = self.alternatives.request.cluster.max_replicas?;
        let rate = self.alternatives.autoscaler.largest_per_s.value;
        let needed = self.alternatives.planner.replicas(rate).ok().filter(|needed| *needed > most)?;
        if self.courses.is_some_and(|courses| courses.cheapest.is_some()) {
            return Some(format!(
                "by the formula, which is safe, λ_max = {rate:.2} requests/s takes {needed} replicas: with --max-replicas {most} this trace \
                 meets the SLA all the same, replayed, and has no room to grow"
            ));
        }
        Some(format!(
            "the busiest moment of the traffic, λ_max = {rate:.2} requests/s, takes {needed} replicas: with --max-replicas {most} its \
             requests miss the SLA"
        ))
    }

    /// That a window is shorter than the usual one: that a lost scrape leaves no rate, or that requests are seen by no look.
    fn short_window(&self) -> Option<String> {
        let cluster = &self.alternatives.request.cluster;
        let (window, scrape, sync) =
            (cluster.query_window_ns, cluster.scrape_interval_ns, cluster.sync_interval_ns);
        let scrapes = cluster.scrapes_in_window();
        // Not the usual window itself, which is rounded up: one of 4.4 s does for scrapes of 1.1 s.
        let why = if scrapes < ClusterFacts::USUAL_SCRAPES {
            format!(
                "holds {scrapes} scrapes of {scrape}: one that is lost or late leaves no rate, or a wrong one, and the autoscaler waits"
            )
        } else if window < scrape.saturating_add(sync) {
            format!(
                "is shorter than a sync of {sync} and a scrape of {scrape}: requests fall between the windows of two looks of the \
                 autoscaler, which never sees them"
            )
        } else {
            return None;
        };
        Some(format!("the query window of {window} {why}: {}", cluster.window_remedy()))
    }

    /// That requests are longer than anything that was measured.
    fn extrapolated(&self) -> Option<String> {
        let ServiceModel::LanguageModel(_) = self.service.model else { return None };
        let size = self.service.size;
        let measured = |mode: ForwardMode| {
            let of_mode = self.alternatives.measured.service.points.iter().filter(|point| point.mode == mode);
            Some(of_mode.map(|point| point.tokens).max().unwrap_or(0))
        };
        let given = self.alternatives.request.by_hand.service.as_ref();
        let (known, remedy) = match given {
            Some(_) => ("given by hand", "give times of longer ones, or measure".to_owned()),
            None => ("measured", "measure".to_owned()),
        };
        let (prompt, step) = match given {
            Some(given) => given.longest(),
            None => (measured(ForwardMode::Prefill), measured(ForwardMode::Decode)),
        };
        let context = size.tokens_in.saturating_add(size.tokens_out);
        let beyond: Vec<String> = [
            ("its prompt", size.tokens_in, "prompt", prompt),
            ("its context at the end", context, "context", step),
        ]
        .into_iter()
        .filter_map(|(what, asked, kind, longest)| {
            let longest = longest.filter(|longest| asked > *longest)?;
            Some(format!("{what} has {asked} tokens, the longest {kind} that was {known} {longest}"))
        })
        .collect();
        (!beyond.is_empty()).then(|| {
            format!(
                "the mean request is beyond what was {known}, so that its times are extrapolated: {}: {remedy} with `coldstart run \
                 --prompts 64,{} --contexts 64,{context}`",
                beyond.join("; "),
                size.tokens_in
            )
        })
    }

    /// That service times lie far from the lines through them.
    fn poor_fits(&self) -> Vec<String> {
        let fits: Vec<(&str, Option<&FitQuality>)> = match &self.service.model {
            ServiceModel::SingleForward(model) => vec![("of batches", model.quality.as_ref())],
            ServiceModel::LanguageModel(model) => vec![
                ("of prefills", model.prefill.quality.as_ref()),
                ("of decode steps", model.decode.quality.as_ref()),
            ],
        };
        let poor = |quality: &&FitQuality| {
            quality.r_squared < LEAST_R_SQUARED || quality.largest_residual_ratio > LARGEST_RESIDUAL
        };
        let remedy = match self.alternatives.request.by_hand.service {
            Some(_) => {
                "give times of fewer batches and lengths, close to those that are served, or measure them"
            }
            None => "measure more points on a quiet machine",
        };
        let text = |(what, quality): (&str, Option<&FitQuality>)| {
            let quality = quality.filter(poor)?;
            Some(format!(
                "the times {what} fit their line badly (R² {:.3}, largest residual {:.0} %), and every number of replicas rests on it: \
                 {remedy} with `coldstart run --batches … --prompts … --contexts …`",
                quality.r_squared,
                quality.largest_residual_ratio * 100.0
            ))
        };
        fits.into_iter().filter_map(text).collect()
    }

    fn assumed(&self, capacity: &Capacity) -> Option<String> {
        let memory = &self.alternatives.measured.memory.basis;
        let bases =
            [&self.alternatives.cold.hi_ns.basis, &self.service.basis, &capacity.warm.standby.basis, memory];
        let compared = self.locality.strategies.iter().filter_map(|strategy| match &strategy.outcome {
            StrategyOutcome::Possible(figures) => Some(&figures.expected_ns.basis),
            StrategyOutcome::Impossible { .. } => None,
        });
        // Where no strategy is chosen nothing rests on what they come to.
        let compared = compared.filter(|_| self.locality.choice.is_some());
        let mut flags: Vec<&str> =
            bases.into_iter().chain(compared).flat_map(|basis| &basis.assumed).map(String::as_str).collect();
        flags.sort_unstable();
        flags.dedup();
        let told: Vec<String> = flags.into_iter().map(|flag| self.told(flag)).collect();
        (!told.is_empty()).then(|| format!("assumed, not measured: {}", told.join(", ")))
    }

    /// A flag, with its value where nobody gave one.
    fn told(&self, flag: &str) -> String {
        match flag {
            HIT_RATIO if self.alternatives.request.places.hit_ratio.is_none() => {
                format!("{flag} ({USUAL_HIT_RATIO}, its default)")
            }
            flag => flag.to_owned(),
        }
    }
}

/// A percentile of fewer requests may be missed by none of them.
fn few_requests(traffic: &TrafficSummary) -> Option<String> {
    let TrafficSummary::Trace { requests, .. } = traffic else { return None };
    (*requests < LEAST_REQUESTS).then(|| {
        format!(
            "the trace has {requests} requests, and a 99th percentile takes {LEAST_REQUESTS}: its rates, growth and replays are of few: give a \
             longer one"
        )
    })
}

fn bursty(traffic: &TrafficSummary, replayed: bool) -> Option<String> {
    let TrafficSummary::Trace { cv_squared, .. } = traffic else { return None };
    let itself = match replayed {
        true => "what is replayed is the trace itself",
        false => "--simulate runs the trace itself",
    };
    (*cv_squared > BURSTY).then(|| {
        format!(
            "the trace is bursty (CV² of the gaps {cv_squared:.1}): replicas(λ) rests on Poisson arrivals, which are smoother; {itself}"
        )
    })
}

#[cfg(test)]
mod tests {
    use coldstart_profiles::Nanos;

    use super::*;

    /// What was replayed already is not recommended.
    #[test]
    fn bursts_are_replayed_or_could_be() {
        let traffic = |cv_squared: f64| TrafficSummary::Trace {
            requests: 1_000,
            duration_ns: Nanos::from_secs(100),
            mean_per_s: 10.0,
            median_per_s: 8.0,
            peak_per_s: 40.0,
            window_ns: Nanos::from_secs(10),
            cv_squared,
            longest_gap_ns: Nanos::from_secs(3),
            tokens_in: None,
            tokens_out: None,
        };
        let (replayed, not) = (bursty(&traffic(5.0), true).unwrap(), bursty(&traffic(5.0), false).unwrap());
        assert!(replayed.contains("what is replayed") && !replayed.contains("--simulate"), "{replayed}");
        assert!(not.contains("--simulate"), "{not}");
        assert_eq!(bursty(&traffic(1.0), true), None);
    }
}
