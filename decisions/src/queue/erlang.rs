//! M/M/c: exponential service, nothing batched.

/// Erlang C: the chance that a request waits, with `servers` busy for `load` = λ·T on average (Erlang 1917).
///
/// By the recurrence of Erlang B, B(c) = a·B(c − 1) ÷ (c + a·B(c − 1)), which neither overflows nor cancels.
pub fn erlang_c(servers: u32, load: f64) -> Option<f64> {
    let c = f64::from(servers);
    if !(load >= 0.0 && load < c) {
        return None;
    }
    let blocked = (1..=servers).fold(1.0, |b, k| load * b / (f64::from(k) + load * b));
    Some(blocked / (1.0 - load / c * (1.0 - blocked)))
}

/// The mean wait of M/M/c: C ÷ (c·μ − λ).
pub fn erlang_c_mean_wait_ns(servers: u32, rate_per_s: f64, mean_service_ns: f64) -> Option<f64> {
    let load = rate_per_s * mean_service_ns / 1e9;
    Some(erlang_c(servers, load)? * mean_service_ns / (f64::from(servers) - load))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        // M/M/1: C = ρ, W = ρ·T ÷ (1 − ρ).
        assert!((erlang_c(1, 0.5).unwrap() - 0.5).abs() < 1e-12);
        assert!((erlang_c_mean_wait_ns(1, 0.8, 1e9).unwrap() - 4e9).abs() < 1.0);
        // M/M/2: C = 2ρ² ÷ (1 + ρ).
        assert!((erlang_c(2, 1.5).unwrap() - 2.0 * 0.5625 / 1.75).abs() < 1e-12);
        // Printed tables: 5 servers with 4 erlangs wait with a chance of 0.5541.
        assert!((erlang_c(5, 4.0).unwrap() - 0.5541).abs() < 5e-5);
        let large = erlang_c(5_000, 4_900.0).unwrap();
        assert!((0.0..0.2).contains(&large), "{large}");
        for (servers, load) in [(0, 0.0), (2, 2.0), (2, f64::NAN), (2, -1.0)] {
            assert_eq!(erlang_c(servers, load), None, "{servers} {load}");
        }
        assert_eq!(erlang_c(3, 0.0), Some(0.0));
    }
}
