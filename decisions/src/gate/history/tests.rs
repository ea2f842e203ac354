//! Histories of known truth.

use std::f64::consts::TAU;
use std::path::Path;

use coldstart_profiles::{CanaryReading, Nanos, Outcome, Phase, Profile, Samples};
use proptest::prelude::*;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

use super::super::series::Series;
use super::divide::divide;
use super::*;

/// A standard normal draw (Box & Muller 1958).
fn normal(random: &mut ChaCha8Rng) -> f64 {
    let radius = (-2.0 * (1.0 - random.random::<f64>()).ln()).sqrt();
    radius * (TAU * random.random::<f64>()).cos()
}

/// Logarithms of a level with noise of this size, a tenth of them disturbed by up to half as much again.
fn noise(seed: u64, count: usize, size: f64) -> Vec<f64> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    (0..count)
        .map(|_| {
            let spike =
                if random.random::<f64>() < 0.1 { random.random_range(1.0..1.5f64).ln() } else { 0.0 };
            size * normal(&mut random) + spike
        })
        .collect()
}

#[test]
fn a_history_without_a_change_has_one_as_rarely_as_it_says() {
    // A bound of 5 %; of 400 series 20 are expected, with a standard deviation of 4.4.
    for count in [12, 40, 90] {
        let searches = windows(count, 50).len() as f64;
        let wrong =
            (0..400).filter(|seed| !divide(&noise(*seed, count, 0.03), 50, 0.05 / searches).is_empty());
        let wrong = wrong.count();
        assert!(wrong <= 33, "{wrong} of 400 series of {count} runs");
    }
}

#[test]
fn a_step_of_thrice_the_noise_is_found_where_it_is() {
    let (mut found, mut near) = (0, 0);
    for seed in 0..100 {
        let mut values = noise(1_000 + seed, 60, 0.03);
        values[35..].iter_mut().for_each(|value| *value += 1.1f64.ln());
        let splits = divide(&values, 50, 0.002);
        found += usize::from(!splits.is_empty());
        near += usize::from(splits.iter().any(|split| split.at.abs_diff(35) <= 2));
    }
    assert!(found >= 90 && near >= 80, "{found} found, {near} of them within two runs");
}

/// The profile that a run wrote, begun on that day, with `phase` at `level` and the canary at `canary`.
fn nightly(day: u64, phase: Phase, level: f64, canary: f64) -> Profile {
    let text = include_str!("../../../../tests/fixtures/profiles/profile-1.0.json");
    let mut profile = Profile::from_json(text, Path::new("profile-1.0.json")).unwrap();
    profile.started_at = format!("2026-{:02}-{:02}T03:00:00Z", 1 + day / 28, 1 + day % 28);
    let nanos = |value: f64| Nanos::from_nanos_f64(value * 1e6);
    let reading = CanaryReading { when: "before".to_owned(), copy_ns: nanos(canary), gemm_ns: nanos(1.0) };
    profile.fitness.canary = vec![reading];
    for row in profile.measurements.iter_mut().filter(|row| row.key.phase == phase) {
        row.outcome = Outcome::measured(Samples::one(nanos(level)));
    }
    profile
}

fn search(profiles: &[Profile]) -> History {
    // Out of order: the order is that of their dates.
    history(&profiles.iter().rev().collect::<Vec<_>>(), HistoryOptions::default(), None)
}

#[test]
fn changes_have_a_date_a_size_and_what_the_canary_did() {
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let nights: Vec<Profile> = (0..40)
        .map(|day| {
            let level = if day < 24 { 50.0 } else { 60.0 } * (1.0 + 0.01 * normal(&mut random));
            nightly(day, Phase::Alloc, level, if day < 24 { 3.0 } else { 3.3 })
        })
        .collect();
    let found = search(&nights);
    assert_eq!((found.runs, found.from.as_str()), (40, "2026-01-01T03:00:00Z"));
    let changes = found.changes();
    let [(key, change)] = changes.as_slice() else { panic!("{changes:#?}") };
    assert_eq!((key.phase, change.at.as_str()), (Phase::Alloc, "2026-01-25T03:00:00Z"));
    assert_eq!(
        (change.after.as_str(), change.runs_before, change.runs_after),
        ("2026-01-24T03:00:00Z", 24, 16)
    );
    assert!((change.ratio - 1.2).abs() < 0.01 && change.is_slowdown() && change.p <= 0.05, "{change:?}");
    assert!(
        (change.canary_copy.unwrap() - 1.1).abs() < 1e-9 && change.canary_gemm == Some(1.0),
        "{change:?}"
    );
    assert_eq!(found.slower_since("2026-01-25").count(), 1);
    assert_eq!(found.slower_since("2026-01-26").count(), 0, "accepted");
}

#[test]
fn creep_that_no_comparison_of_two_shows_is_found_and_what_was_taken_back_is_told_apart() {
    let mut random = ChaCha8Rng::seed_from_u64(4);
    let creep: Vec<Profile> = (0..50)
        .map(|day| {
            let level = 50.0 * 1.004f64.powi(day as i32) * (1.0 + 0.01 * normal(&mut random));
            nightly(day, Phase::Alloc, level, 3.0)
        })
        .collect();
    assert_eq!(search(&creep).slower_since("").count(), 1, "0.4 % a night");
    let back: Vec<Profile> = (0..45)
        .map(|day| {
            let level =
                if (15..30).contains(&day) { 60.0 } else { 50.0 } * (1.0 + 0.01 * normal(&mut random));
            nightly(day, Phase::Alloc, level, 3.0)
        })
        .collect();
    let found = search(&back);
    let directions: Vec<bool> = found.changes().iter().map(|(_, change)| change.is_slowdown()).collect();
    assert_eq!((directions, found.slower_since("").count()), (vec![true, false], 0));
    let half: Vec<Profile> = (0..45)
        .map(|day| {
            let level = match day {
                0..15 => 50.0,
                15..30 => 65.0,
                _ => 57.0,
            };
            nightly(day, Phase::Alloc, level * (1.0 + 0.01 * normal(&mut random)), 3.0)
        })
        .collect();
    let found = search(&half);
    let directions: Vec<bool> = found.changes().iter().map(|(_, change)| change.is_slowdown()).collect();
    assert_eq!(directions, [true, false]);
    assert_eq!(found.slower_since("").count(), 1, "taken back by half is slower still");
    assert_eq!(found.slower_since("2026-01-20").count(), 0, "and since then it became faster");
}

#[test]
fn a_whole_cold_start_is_shown_and_neither_decides_nor_costs_significance() {
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let key = |params: coldstart_profiles::Params| SeriesKey {
        phase: Phase::FirstBatch,
        params,
        clock: coldstart_profiles::Clock::Host,
        metric: super::super::Metric::Total,
    };
    let of = |total: &str| key(coldstart_profiles::Params::new().with("total", total));
    let runs: Vec<RecordedRun> = (0..40)
        .map(|day| {
            let mut run = RecordedRun::of(&nightly(day, Phase::Alloc, 50.0, 3.0));
            let level = if day < 24 { 50e6 } else { 60e6 } * (1.0 + 0.01 * normal(&mut random));
            let series = Series { values: vec![level], resolution_ns: 0.0 };
            run.series = [of("container"), of("whole")].map(|key| (key, series.clone())).into();
            run
        })
        .collect();
    let found = history_of_runs(&runs, HistoryOptions::default(), None);
    assert_eq!(found.changes().len(), 2, "both are shown");
    let deciding: Vec<&SeriesKey> = found.slower_since("").map(|slower| &slower.key).collect();
    assert_eq!(deciding, [&of("container")]);
    let alone = runs.into_iter().map(|mut run| {
        run.series.remove(&of("whole"));
        run
    });
    let alone = history_of_runs(&alone.collect::<Vec<_>>(), HistoryOptions::default(), None);
    let p = |history: &History| history.changes().iter().map(|(_, change)| change.p).fold(0.0, f64::max);
    assert_eq!(p(&found), p(&alone));
}

#[test]
fn what_can_not_be_compared_with_the_newest_is_left_out() {
    let mut nights: Vec<Profile> = (0..8).map(|day| nightly(day, Phase::Alloc, 50.0, 3.0)).collect();
    nights[1].target.device.name = "another".to_owned();
    nights[2].state = coldstart_profiles::RunState::Interrupted;
    let found = search(&nights);
    assert_eq!((found.runs, found.left_out.len(), found.changes().len()), (6, 2, 0));
    assert!(found.left_out[0].why.contains("another") && found.left_out[1].why.contains("interrupted"));
    assert_eq!(search(&[]).runs, 0);
    assert_eq!(search(&nights[..1]).keys.iter().filter(|key| !key.changes.is_empty()).count(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn splits_leave_whole_parts_and_no_unit_matters(
        values in prop::collection::vec(-2.0..2.0f64, 0..120), step in 0.0..5.0f64, power in -3i32..4, window in 6usize..60,
    ) {
        let half = values.len() / 2;
        let shifted: Vec<f64> =
            values.iter().enumerate().map(|(at, value)| value + if at < half { 0.0 } else { step }).collect();
        let splits = divide(&shifted, window, 0.02);
        for pair in splits.windows(2) {
            prop_assert!(pair[1].at - pair[0].at >= LEAST_SEGMENT);
        }
        for split in &splits {
            prop_assert!(split.at >= LEAST_SEGMENT && split.at + LEAST_SEGMENT <= values.len());
            prop_assert!(split.p > 0.0 && split.p <= 0.02);
        }
        let scaled: Vec<f64> = shifted.iter().map(|value| value * 2f64.powi(power)).collect();
        let places = |splits: &[divide::Split]| splits.iter().map(|split| split.at).collect::<Vec<_>>();
        prop_assert_eq!(places(&divide(&scaled, window, 0.02)), places(&splits));
    }
}
