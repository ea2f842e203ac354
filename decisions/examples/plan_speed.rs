//! How long a plan takes: `cargo run --release -p coldstart-decisions --example plan_speed -- PROFILE TRACE SECONDS [plan]`.
//!
//! PROFILE is what `coldstart run` wrote, TRACE a file of arrivals, SECONDS the p99 to be met. With `plan` at the end no policies are
//! simulated, as without `--simulate`: for traces of millions of requests.

#![expect(clippy::print_stdout, reason = "an example that prints figures")]

use std::error::Error;
use std::fs::File;
use std::path::Path;
use std::time::Instant;

use coldstart_decisions::measured::ByHand;
use coldstart_decisions::plan::{PlacesRequest, PlanRequest, TrafficSource, make_plan};
use coldstart_decisions::service::Sla;
use coldstart_decisions::simulate::Dispatch;
use coldstart_decisions::traffic::{MOST_REQUESTS, Traffic, read};
use coldstart_decisions::{ClusterFacts, Prices};
use coldstart_profiles::{Nanos, Profile};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [profile, trace, seconds, rest @ ..] = arguments.as_slice() else {
        return Err("give PROFILE TRACE SECONDS, and `plan` to leave out policies".into());
    };
    let both: &[bool] = if rest.is_empty() { &[false, true] } else { &[false] };
    let profile = Profile::read(Path::new(profile))?;
    let started = Instant::now();
    let trace = read(File::open(trace)?, MOST_REQUESTS)?.trace;
    let reading = started.elapsed();
    let traffic = Traffic::Trace(trace);
    for simulate in both.iter().copied() {
        let request = PlanRequest {
            sla: Sla::p99(Nanos::from_secs(seconds.parse()?)),
            traffic_from: TrafficSource::Numbers,
            window_ns: Nanos::from_secs(10),
            quantile: 0.99,
            dispatch: Dispatch::LeastLoaded,
            cluster: ClusterFacts::default(),
            prices: Prices::default(),
            by_hand: ByHand::default(),
            places: PlacesRequest::default(),
            max_batch: None,
            node_class: None,
            allow_stand_in: false,
            left_out: Vec::new(),
            simulate,
            seed: 1,
        };
        let started = Instant::now();
        let plan = make_plan(&[("profile", &profile)], &traffic, request, "example")?;
        println!(
            "{}: {:.3} s and {:.3} s to read the trace; {} replicas now, {} at the peak",
            if simulate { "plan with policies" } else { "plan" },
            started.elapsed().as_secs_f64(),
            reading.as_secs_f64(),
            plan.capacity.warm.replicas_now.value,
            plan.capacity.warm.replicas_peak.value
        );
    }
    Ok(())
}
