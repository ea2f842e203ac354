//! The simulation beside formulas that are exact: run with `--nocapture` to see the tables.

use super::*;
use crate::queue::{erlang_c_mean_wait_ns, md1_mean_wait_ns, mg1_mean_wait_ns};

/// Not further from the formula than this.
const WITHIN: f64 = 0.02;
const SERVICE_NS: f64 = 1e9;

/// The mean wait of `requests` one at a time on `servers` with one queue, at `load` of what they can serve.
fn simulated_wait(variation: Variation, servers: u32, load: f64, requests: usize) -> f64 {
    let model = SingleForward { variation, ..SingleForward::by_hand(0.0, SERVICE_NS, 1) };
    let rate = load * f64::from(servers) / SERVICE_NS * 1e9;
    let warm_up_ns = (requests as f64 / 20.0 / rate * 1e9) as u64;
    let setup = Fixed { warm_up_ns, ..Fixed::new(servers, Dispatch::Shared, 11) };
    let arrivals = Poisson::new(rate, Sizes::One(RequestSize::ONE), 11).take(requests);
    fixed(&ServiceModel::SingleForward(model), &sla_ms(1_000), setup, arrivals).mean_wait_ns
}

fn row(name: &str, servers: u32, load: f64, exact: f64, found: f64) {
    let ratio = found / exact;
    println!(
        "{name:8} {servers:3} servers at {load:.2}: formula {:8.4} T, simulated {:8.4} T, ratio {ratio:.4}",
        exact / SERVICE_NS,
        found / SERVICE_NS
    );
    assert!((ratio - 1.0).abs() <= WITHIN, "{name} with {servers} at {load}: {ratio}");
}

#[test]
fn erlang_c_is_reproduced() {
    for (servers, load, requests) in [
        (1, 0.5, 1_000_000),
        (1, 0.7, 2_000_000),
        (2, 0.7, 1_500_000),
        (5, 0.8, 1_500_000),
        (16, 0.85, 1_500_000),
    ] {
        let rate = load * f64::from(servers);
        let exact = erlang_c_mean_wait_ns(servers, rate, SERVICE_NS).unwrap();
        row(
            "Erlang C",
            servers,
            load,
            exact,
            simulated_wait(Variation::Exponential, servers, load, requests),
        );
    }
}

#[test]
fn pollaczek_khinchine_is_reproduced() {
    for (load, requests) in [(0.3, 1_000_000), (0.6, 1_000_000), (0.8, 1_500_000)] {
        let exact = md1_mean_wait_ns(load, SERVICE_NS).unwrap();
        row("M/D/1", 1, load, exact, simulated_wait(Variation::Constant, 1, load, requests));
        // Three of four take 0.5 T, one takes 2.5 T: a mean of T, and a CV² of 0.75.
        let ratios = Variation::from_ratios([0.5, 0.5, 0.5, 2.5]);
        let exact = mg1_mean_wait_ns(load, SERVICE_NS, 0.75).unwrap();
        row("M/G/1", 1, load, exact, simulated_wait(ratios, 1, load, requests));
    }
}
