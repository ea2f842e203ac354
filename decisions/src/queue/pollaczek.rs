//! One server, any service time.

/// The mean wait of M/G/1: λ·(the mean of T²) ÷ (2·(1 − ρ)) = ρ·T·(1 + CV²) ÷ (2·(1 − ρ)) (Pollaczek 1930, Khinchine 1932).
pub fn mg1_mean_wait_ns(rate_per_s: f64, mean_service_ns: f64, cv_squared: f64) -> Option<f64> {
    let load = rate_per_s * mean_service_ns / 1e9;
    let means = (0.0..1.0).contains(&load) && cv_squared >= 0.0 && mean_service_ns >= 0.0;
    means.then(|| load * mean_service_ns * (1.0 + cv_squared) / (2.0 * (1.0 - load)))
}

/// The mean wait of M/D/1: M/G/1 with equal service times.
pub fn md1_mean_wait_ns(rate_per_s: f64, service_ns: f64) -> Option<f64> {
    mg1_mean_wait_ns(rate_per_s, service_ns, 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::erlang_c_mean_wait_ns;

    #[test]
    fn exponential_service_is_erlang_with_one_server() {
        for rate in [0.0, 0.1, 0.5, 0.9, 0.99] {
            let (general, erlang) = (mg1_mean_wait_ns(rate, 1e9, 1.0), erlang_c_mean_wait_ns(1, rate, 1e9));
            assert!((general.unwrap() - erlang.unwrap()).abs() < 1e-3, "{rate}");
            assert_eq!(md1_mean_wait_ns(rate, 1e9).unwrap() * 2.0, general.unwrap());
        }
        assert_eq!((mg1_mean_wait_ns(1.0, 1e9, 1.0), mg1_mean_wait_ns(0.5, 1e9, -1.0)), (None, None));
    }
}
