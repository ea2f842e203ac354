//! Asks how many replicas a rate takes, and remembers the answers.

use std::cell::RefCell;
use std::collections::BTreeMap;

use coldstart_profiles::Nanos;

use super::lead_time::LeadTime;
use super::warm::{SlaBound, Warm};
use crate::basis::{Basis, Figure, Quantity};
use crate::cluster::ClusterFacts;
use crate::measured::MeasuredError;
use crate::service::{RequestSize, ServiceError, ServiceModel, Sla};
use crate::simulate::{CapacityError, Dispatch, Load, MOST_REPLICAS, Search, meets, replicas_for};
use crate::traffic::{Traffic, TrafficError};

/// Why there is no plan. Messages complete "failed to …".
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The profiles.
    #[error(transparent)]
    Measured(#[from] MeasuredError),
    /// The service level or the service model.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// The traffic.
    #[error(transparent)]
    Traffic(#[from] TrafficError),
    /// No number of replicas.
    #[error(transparent)]
    Capacity(#[from] CapacityError),
    /// More traffic than there may be replicas for.
    #[error(
        "carry {peak_per_s:.2} requests per second with {most} {}: it takes {needed}: raise --max-replicas, or allow more time",
        if *most == 1 { "replica" } else { "replicas" }
    )]
    TooFewReplicas {
        /// λ_peak.
        peak_per_s: f64,
        /// What there may be.
        most: u32,
        /// What it takes.
        needed: u32,
    },
    /// A trace that takes more when it is replayed than there may be.
    #[error(
        "carry this trace with {most} {}: replayed, it takes {needed} that never change: raise --max-replicas, or allow more time",
        if *most == 1 { "replica" } else { "replicas" }
    )]
    TooFewForTrace {
        /// What there may be.
        most: u32,
        /// What it takes.
        needed: u32,
    },
    /// Requests of unknown length for a model whose service time is one of tokens.
    #[error(
        "plan a language model for requests of unknown length: give --tokens-in and --tokens-out, or a trace that has both"
    )]
    NoSizes,
    /// A window without a rate.
    #[error(
        "take rates over {window}: that holds fewer than the two scrapes of {scrape} that a rate is the difference of: {remedy}"
    )]
    QueryWindow {
        /// The window.
        window: Nanos,
        /// The scrape interval.
        scrape: Nanos,
        /// What to do about it.
        remedy: String,
    },
    /// A quantile that is none.
    #[error("plan at quantile {value}: give one above 0 and below 1, such as 0.99")]
    Quantile {
        /// What was asked for.
        value: f64,
    },
}

/// What the replicas have to carry, and how requests reach them.
#[derive(Debug, Clone, Copy)]
pub struct Demand<'a> {
    /// What arrives.
    pub traffic: &'a Traffic,
    /// The service level.
    pub sla: &'a Sla,
    /// The window of the rate.
    pub window: Nanos,
    /// The quantile of the growth, above 0 and below 1.
    pub quantile: f64,
    /// How requests are spread over replicas.
    pub dispatch: Dispatch,
    /// Seed of every simulation.
    pub seed: u64,
}

/// One service under one demand.
#[derive(Debug)]
pub struct Planner<'a> {
    demand: Demand<'a>,
    service: &'a ServiceModel,
    service_basis: &'a Basis,
    cluster: &'a ClusterFacts,
    known: RefCell<BTreeMap<u64, u32>>,
}

/// The answer for one cold start, as plain numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AtColdStart {
    /// L.
    pub lead_time_ns: Nanos,
    /// g(L).
    pub growth_per_s: f64,
    /// Warm replicas for the rate now.
    pub replicas_now: u32,
    /// Warm replicas at the peak.
    pub replicas_peak: u32,
    /// Those of them that stand by.
    pub standby: u32,
}

impl<'a> Planner<'a> {
    /// Checks the demand against the service.
    ///
    /// # Errors
    /// When the service level is none, or no number of replicas can meet it; when the quantile is none; when a rate is none; when the
    /// query window is too short for one.
    pub fn new(
        demand: Demand<'a>,
        service: &'a ServiceModel,
        service_basis: &'a Basis,
        cluster: &'a ClusterFacts,
    ) -> Result<Self, PlanError> {
        demand.traffic.check()?;
        if !(demand.quantile > 0.0 && demand.quantile < 1.0) {
            return Err(PlanError::Quantile { value: demand.quantile });
        }
        if cluster.scrapes_in_window() < ClusterFacts::LEAST_SCRAPES {
            return Err(PlanError::QueryWindow {
                window: cluster.query_window_ns,
                scrape: cluster.scrape_interval_ns,
                remedy: cluster.window_remedy(),
            });
        }
        demand.traffic.sizes().can_meet(service, demand.sla)?;
        Ok(Planner { demand, service, service_basis, cluster, known: RefCell::default() })
    }

    /// What it was made for.
    pub fn demand(&self) -> &Demand<'a> {
        &self.demand
    }

    /// How a replica serves.
    pub(crate) fn service(&self) -> &'a ServiceModel {
        self.service
    }

    /// The mean size of a request.
    pub fn size(&self) -> RequestSize {
        self.demand.traffic.sizes().mean()
    }

    /// replicas(λ): the smallest number whose simulated percentile meets the service level; at least 1.
    ///
    /// # Errors
    /// When no number does.
    pub fn replicas(&self, rate_per_s: f64) -> Result<u32, PlanError> {
        if rate_per_s <= 0.0 {
            return Ok(1);
        }
        if let Some(known) = self.known.borrow().get(&rate_per_s.to_bits()) {
            return Ok(*known);
        }
        let load = Load::Poisson { rate_per_s, sizes: self.demand.traffic.sizes() };
        let found = replicas_for(self.service, self.demand.sla, load, self.search())?.replicas;
        self.known.borrow_mut().insert(rate_per_s.to_bits(), found);
        Ok(found)
    }

    /// As many as there may be.
    pub(crate) fn max_replicas(&self) -> Option<u32> {
        self.cluster.max_replicas
    }

    /// How numbers of replicas are searched.
    pub(crate) fn search(&self) -> Search {
        Search::new(self.demand.dispatch, self.demand.sla, self.demand.seed, MOST_REPLICAS)
    }

    /// The sufficient bound for one replica.
    pub fn bound(&self) -> SlaBound {
        let (size, sla) = (self.size(), self.demand.sla);
        let bound = self.service.bound(sla, size);
        let rule = match self.service {
            ServiceModel::SingleForward(_) => "n* = the largest n with 2·T_hi(n) ≤ S",
            ServiceModel::LanguageModel(_) => {
                "n* = the largest n with T_hi(n) ≤ S, n·T_pre ≤ TTFT and T_pre + T_dec(n) ≤ ITL, at the mean request"
            }
        };
        let mut n = Basis::of(rule).resting_on(self.service_basis);
        for (part, asked) in sla.bounds() {
            n = n.input(&part.to_string(), Quantity::Nanos(asked));
        }
        if let ServiceModel::LanguageModel(_) = self.service {
            n = n
                .input("tokens in", Quantity::Count(u64::from(size.tokens_in)))
                .input("tokens out", Quantity::Count(u64::from(size.tokens_out)));
        }
        if !bound.sufficient {
            n = n.caveat("no batch meets it, so the batch of 1 stands in: a request that waits for another misses the SLA");
        }
        let batch = Quantity::Count(u64::from(bound.batch));
        let of_n = |formula: &str| Basis::of(formula).figure("n*", batch.clone(), "capacity.bound.batch", &n);
        let time = Nanos::from_nanos_f64(bound.time_ns);
        let rate = of_n("μ_SLA = n* ÷ T(n*)").input("T(n*)", Quantity::Nanos(time));
        let service = |formula: &str| Basis::of(formula).resting_on(self.service_basis);
        SlaBound {
            time_ns: Figure::new(time, of_n("T(n*) by the service model")),
            time_hi_ns: Figure::new(
                Nanos::from_nanos_f64(bound.time_hi_ns),
                of_n("T_hi(n*) by the service model"),
            ),
            rate_per_s: Figure::new(bound.rate_per_s, rate),
            sufficient: bound.sufficient,
            alone_hi_ns: Figure::new(
                Nanos::from_nanos_f64(self.service.time_hi(1, size)),
                service("T_hi(1) by the service model, at the mean request"),
            ),
            most_per_s: Figure::new(self.service.most_per_s(size), service("the largest n ÷ T(n)")),
            batch: Figure::new(bound.batch, n),
        }
    }

    /// Warm replicas for a lead time.
    ///
    /// # Errors
    /// When no number of replicas does, or it takes more than there may be.
    pub fn warm(&self, lead: &LeadTime) -> Result<Warm, PlanError> {
        let (traffic, demand) = (self.demand.traffic, &self.demand);
        let now_per_s = Figure::new(traffic.now_per_s(), now_basis(traffic));
        let now = Quantity::PerSecond(now_per_s.value);
        let growth = Basis::of(growth_rule(traffic))
            .figure("L", Quantity::Nanos(lead.total_ns.value), "lead_time.total_ns", &lead.total_ns.basis)
            .input("window", Quantity::Nanos(demand.window))
            .input("quantile", Quantity::Share(demand.quantile));
        let growth_per_s =
            Figure::new(traffic.growth_per_s(lead.total_ns.value, demand.quantile, demand.window), growth);
        let peak = Basis::of("λ_peak = λ_now + g(L)")
            .figure("λ_now", now.clone(), "capacity.warm.now_per_s", &now_per_s.basis)
            .figure(
                "g(L)",
                Quantity::PerSecond(growth_per_s.value),
                "capacity.warm.growth_per_s",
                &growth_per_s.basis,
            );
        let peak_per_s = Figure::new(now_per_s.value + growth_per_s.value, peak);
        let replicas_now = self.replicas(now_per_s.value)?;
        let replicas_peak = self.replicas(peak_per_s.value)?;
        if let Some(most) = self.cluster.max_replicas.filter(|most| *most < replicas_peak)
            && !self.carries(most)
        {
            // Either number is enough: the smaller is what is told, with what it is a number of.
            return Err(match self.fixed().filter(|fixed| *fixed <= replicas_peak) {
                Some(needed) => PlanError::TooFewForTrace { most, needed },
                None => {
                    PlanError::TooFewReplicas { peak_per_s: peak_per_s.value, most, needed: replicas_peak }
                }
            });
        }
        let of_rate = |symbol: &str, rate: &Figure<f64>, field: &str| {
            self.replicas_basis().figure(symbol, Quantity::PerSecond(rate.value), field, &rate.basis)
        };
        let replicas_now =
            self.there_are(replicas_now, of_rate("λ_now", &now_per_s, "capacity.warm.now_per_s"));
        let replicas_peak =
            self.there_are(replicas_peak, of_rate("λ_peak", &peak_per_s, "capacity.warm.peak_per_s"));
        let count = |figure: &Figure<u32>| Quantity::Count(u64::from(figure.value));
        let standby = Basis::of("standby = max(0, replicas(λ_peak) − replicas(λ_now))")
            .figure(
                "replicas(λ_peak)",
                count(&replicas_peak),
                "capacity.warm.replicas_peak",
                &replicas_peak.basis,
            )
            .figure(
                "replicas(λ_now)",
                count(&replicas_now),
                "capacity.warm.replicas_now",
                &replicas_now.basis,
            );
        let standby = Figure::new(replicas_peak.value.saturating_sub(replicas_now.value), standby);
        Ok(Warm { now_per_s, growth_per_s, peak_per_s, replicas_now, replicas_peak, standby })
    }

    /// Whether so many replicas that never change meet the SLA on the trace itself: a formula that asks for more is safe, not right.
    pub(crate) fn carries(&self, replicas: u32) -> bool {
        let Traffic::Trace(trace) = self.demand.traffic else { return false };
        meets(self.service, self.demand.sla, Load::Trace(trace), self.search(), replicas)
    }

    /// The fewest that never change and meet the SLA on the trace itself; `None` without one, and where none do.
    fn fixed(&self) -> Option<u32> {
        let Traffic::Trace(trace) = self.demand.traffic else { return None };
        let found = replicas_for(self.service, self.demand.sla, Load::Trace(trace), self.search());
        found.ok().map(|found| found.replicas)
    }

    /// So many replicas, or as many as there may be.
    fn there_are(&self, replicas: u32, basis: Basis) -> Figure<u32> {
        match self.cluster.max_replicas.filter(|most| *most < replicas) {
            None => Figure::new(replicas, basis),
            Some(most) => Figure::new(
                most,
                basis
                    .input("--max-replicas", Quantity::Count(u64::from(most)))
                    .caveat(format!("by the formula {replicas}, but there may be {most}: they meet the SLA on the trace, replayed")),
            ),
        }
    }

    /// The answer for another cold start, as plain numbers.
    ///
    /// # Errors
    /// When no number of replicas does.
    pub fn at_cold_start(&self, cold_start: Nanos) -> Result<AtColdStart, PlanError> {
        let cluster = self.cluster;
        let lead_time_ns =
            cluster.detection_ns().saturating_add(cluster.provisioning_ns).saturating_add(cold_start);
        let (traffic, demand) = (self.demand.traffic, &self.demand);
        let growth_per_s = traffic.growth_per_s(lead_time_ns, demand.quantile, demand.window);
        let now = traffic.now_per_s();
        let most = cluster.max_replicas.unwrap_or(u32::MAX);
        let there_are = |rate: f64| self.replicas(rate).map(|replicas| replicas.min(most));
        let (replicas_now, replicas_peak) = (there_are(now)?, there_are(now + growth_per_s)?);
        Ok(AtColdStart {
            lead_time_ns,
            growth_per_s,
            replicas_now,
            replicas_peak,
            standby: replicas_peak.saturating_sub(replicas_now),
        })
    }

    /// What every number of replicas rests on.
    pub(crate) fn replicas_basis(&self) -> Basis {
        let basis = Basis::of(format!(
            "replicas(λ) = the smallest number whose simulated p{} meets the SLA",
            f64::from(self.demand.sla.permille) / 10.0
        ));
        basis
            .input("dispatch", Quantity::Text(self.demand.dispatch.to_string()))
            .input("seed", Quantity::Count(self.demand.seed))
            .resting_on(self.service_basis)
    }
}

fn now_basis(traffic: &Traffic) -> Basis {
    match traffic {
        Traffic::Steady(steady) => Basis::of("λ_now = the rate that was given")
            .input("--rate", Quantity::PerSecond(steady.rate_per_s)),
        Traffic::Ramp(ramp) => Basis::of("λ_now = the base rate that was given")
            .input("--base", Quantity::PerSecond(ramp.base_per_s)),
        Traffic::Trace(trace) => Basis::of("λ_now = the mean rate of the trace: (requests − 1) ÷ duration")
            .input("requests", Quantity::Count(trace.len() as u64))
            .input("duration", Quantity::Nanos(Nanos::from_nanos(trace.duration_ns()))),
    }
}

fn growth_rule(traffic: &Traffic) -> &'static str {
    match traffic {
        Traffic::Steady(_) => "g(L) = 0: a steady rate does not grow",
        Traffic::Ramp(_) => "g(L) = ramp · L, up to the peak",
        Traffic::Trace(_) => {
            "g(L) = the quantile over t of max over u ≤ L of rate(t + u) − rate(t), in windows of the trace, at least 0"
        }
    }
}
