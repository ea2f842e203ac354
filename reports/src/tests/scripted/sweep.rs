use coldstart_profiles::{
    Bytes, ForwardMode, Key, Measurement, Nanos, Outcome, Params, Phase, Profile, Samples, StopReason,
    SweepPoint, ThroughputPoint, ThroughputTrial, Work,
};

use super::{Noise, ms};

const FLOPS_PER_TOKEN: u64 = 500_000_000;
const WEIGHTS: u64 = 512 << 20;

/// Every point of the scripted sweep.
pub(crate) fn add(profile: &mut Profile, noise: &mut Noise) {
    add_points(profile, noise, super::target::points());
}

/// The smallest batches in five processes of their own.
pub(crate) fn add_processes(profile: &mut Profile, noise: &mut Noise) {
    let smallest: Vec<(Key, Nanos)> = (profile.sweep().iter())
        .filter_map(|series| series.points.first())
        .map(|(point, summary)| (point.key.clone(), summary.p50_ns))
        .collect();
    for trial in 0..5 {
        for (key, median) in &smallest {
            let median = median.as_millis_f64() * noise.factor(0.02);
            let samples = (0..12).map(|_| ms(median * noise.factor(0.01))).collect();
            profile.throughput_trials.push(ThroughputTrial {
                step: format!("steady-{trial}"),
                trial,
                key: key.clone(),
                outcome: Outcome::measured(Samples::new(samples).unwrap()),
            });
        }
    }
}

/// These points.
pub(crate) fn add_points(profile: &mut Profile, noise: &mut Noise, points: Vec<SweepPoint>) {
    for point in points {
        let (row, rates) = measured(&point, noise);
        profile.measurements.push(row);
        profile.throughput.push(rates);
    }
}

fn measured(point: &SweepPoint, noise: &mut Noise) -> (Measurement, ThroughputPoint) {
    let (batch, tokens) = (f64::from(point.batch), f64::from(point.tokens));
    let (millis, produced, n) = match point.mode {
        ForwardMode::Prefill | ForwardMode::Encode => (9.0 + 5.1 * batch * tokens / 1.0, batch * tokens, 60),
        ForwardMode::Decode => (33.0 + 1.9 * batch + 0.0021 * batch * tokens, batch, 320),
    };
    let samples: Vec<_> = (0..n).map(|_| ms(millis * noise.factor(0.03))).collect();
    let key = Key::host(
        Phase::Throughput,
        Params::new().with("mode", point.mode.name()).with("batch", point.batch).with("tokens", point.tokens),
    );
    let work = Work::Tokens(produced as u64);
    let outcome = Outcome::measured(Samples::new(samples).unwrap());
    let row = Measurement { key: key.clone(), work: Some(work), limit: None, outcome };
    let rates = ThroughputPoint {
        key,
        mode: point.mode,
        batch: point.batch,
        tokens: point.tokens,
        items_per_s: batch / millis * 1e3,
        tokens_per_s: produced / millis * 1e3,
        window_ns: coldstart_profiles::Nanos::from_secs(1),
        flops: produced as u64 * FLOPS_PER_TOKEN,
        read_bytes: Bytes::new(WEIGHTS),
        workspace_bytes: Bytes::new(u64::from(point.batch) * u64::from(point.tokens) * 48 * 1024),
        stop: if n > 300 { StopReason::SteadyInterval } else { StopReason::Budget },
        power_mw: None,
        energy_per_token_uj: None,
        utilisation_percent: None,
        dtype: Some("f32".into()),
        replay: None,
    };
    (row, rates)
}
