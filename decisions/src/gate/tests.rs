//! The gate on profiles that a run wrote, changed by a known amount.

use std::path::Path;

use coldstart_profiles::{
    CanaryReading, Nanos, Outcome, Phase, Profile, RunState, Samples, ThroughputTrial, WarmUpCurve, exit,
};

use super::*;

/// When gates with a policy judge: the day after the profile's run.
pub(super) const NOW: &str = "2026-12-01T00:00:00Z";

/// A profile that a run wrote, with a quiet canary.
pub(super) fn profile() -> Profile {
    let text = include_str!("../../../tests/fixtures/profiles/profile-1.0.json");
    let mut profile = Profile::from_json(text, Path::new("profile-1.0.json")).unwrap();
    let (copy_ns, gemm_ns) = (Nanos::from_millis(3), Nanos::from_millis(1));
    profile.fitness.canary =
        ["before", "after"].map(|when| CanaryReading { when: when.to_owned(), copy_ns, gemm_ns }).to_vec();
    profile
}

fn scale(outcome: &mut Outcome, factor: f64) {
    if let Outcome::Measured { samples, .. } = outcome {
        let scaled =
            samples.as_slice().iter().map(|time| Nanos::from_nanos_f64(time.as_nanos() as f64 * factor));
        *outcome = Outcome::measured(Samples::new(scaled.collect()).unwrap());
    }
}

/// Everything of `phase` slower by a factor.
pub(super) fn slowed(mut profile: Profile, phase: Phase, factor: f64) -> Profile {
    for row in profile.measurements.iter_mut().filter(|row| row.key.phase == phase) {
        scale(&mut row.outcome, factor);
    }
    profile
}

pub(super) fn run(baseline: &[&Profile], new: &[&Profile], rules: &str) -> Verdict {
    let rules = Rules::from_toml(rules).unwrap();
    gate(&Gate {
        baseline,
        new,
        rules: &rules,
        policy: None,
        allow_stand_in: false,
        asked: &Asked::default(),
    })
    .unwrap()
}

pub(super) fn by_policy(policy: &Policy, baseline: &[&Profile], new: &[&Profile], rules: &Rules) -> Verdict {
    let asked = Asked { at: Some(NOW.to_owned()), ..Asked::default() };
    gate(&Gate { baseline, new, rules, policy: Some(policy), allow_stand_in: false, asked: &asked }).unwrap()
}

#[test]
fn a_profile_is_the_same_as_itself() {
    let profile = profile();
    let verdict = run(&[&profile], &[&profile], "");
    assert_eq!((verdict.standing, verdict.reasons.len()), (Standing::Passed, 0), "{:?}", verdict.reasons);
    assert!(verdict.of("same").count() > 5);
    let throughput = verdict.keys.iter().find(|key| key.key.phase == Phase::Throughput).unwrap();
    assert!(throughput.advisory && throughput.judgement.why().unwrap().contains("1 trial"), "{throughput:?}");
}

/// One process more at every point of the sweep, with these medians.
fn with_processes(mut profile: Profile, millis: &[u64]) -> Profile {
    let keys: Vec<_> = profile.of_phase(Phase::Throughput).map(|row| row.key.clone()).collect();
    for (trial, millis) in (0..).zip(millis) {
        profile.throughput_trials.extend(keys.iter().map(|key| ThroughputTrial {
            step: format!("steady-state-{trial}"),
            trial,
            key: key.clone(),
            outcome: Outcome::measured(Samples::new(vec![Nanos::from_millis(*millis); 8]).unwrap()),
        }));
    }
    profile
}

#[test]
fn processes_of_a_throughput_point_are_its_trials() {
    let (base, new) =
        (with_processes(profile(), &[50, 51, 52, 50, 51]), with_processes(profile(), &[60, 61, 62, 60, 61]));
    let verdict = run(&[&base], &[&new], "");
    assert_eq!(verdict.standing, Standing::Regression);
    for key in verdict.keys.iter().filter(|key| key.key.phase == Phase::Throughput) {
        let evidence = key.evidence.as_ref().unwrap();
        assert_eq!(
            (evidence.new_trials, key.judgement.name()),
            (5, "slower"),
            "eight iterations are one trial"
        );
    }
}

#[test]
fn a_regression_names_its_key_and_size() {
    let (base, slow) = (profile(), slowed(profile(), Phase::ProcessStart, 9.0));
    let verdict = run(&[&base], &[&slow], "[[rule]]\nmatch = { phase = \"process_start\" }\nfloor_ms = 0.1");
    assert_eq!(verdict.standing.exit_code(), exit::REGRESSION);
    assert_eq!(verdict.reasons, ["process_start time became slower by 800.0 %"]);
    assert_eq!(run(&[&slow], &[&base], "").standing, Standing::Passed, "faster is no regression");
}

#[test]
fn precedence_is_incomparable_then_unfit_then_regression_then_inconclusive() {
    let base = profile();
    let mut new = slowed(profile(), Phase::WeightsLoad, 50.0);
    assert_eq!(run(&[&base], &[&new], "").standing, Standing::Regression);
    new.fitness.canary[1].copy_ns = Nanos::from_millis(9);
    let verdict = run(&[&base], &[&new], "");
    assert_eq!((verdict.standing, verdict.standing.exit_code()), (Standing::Unfit, exit::UNFIT));
    assert!(verdict.reasons[0].contains("copy +200.0 %") && verdict.of("slower").count() > 0);
    new.target.device.name = "another".to_owned();
    new.tool.method += 1;
    let verdict = run(&[&base], &[&new], "");
    assert_eq!((verdict.standing, verdict.differences.len()), (Standing::Incomparable, 2));
    assert!(
        verdict.reasons.iter().any(|why| why.contains("`target.device.name` differs")),
        "{:?}",
        verdict.reasons
    );
}

#[test]
fn profiles_that_say_nothing_are_named() {
    let base = profile();
    for (change, says) in [
        ((|profile: &mut Profile| profile.state = RunState::Partial) as fn(&mut Profile), "--resume"),
        (|profile| profile.state = RunState::Interrupted, "interrupted"),
        (|profile| profile.target.device.stand_in = true, "--allow-stand-in"),
        (|profile| profile.measurements.clear(), "no key"),
    ] {
        let mut new = profile();
        change(&mut new);
        if says == "no key" {
            (new.totals, new.warm_up) = (Vec::new(), Vec::new());
        }
        let verdict = run(&[&base], &[&new], "");
        assert_eq!(verdict.standing, Standing::Incomparable, "{says}");
        assert!(verdict.reasons.iter().any(|why| why.contains(says)), "{says}: {:?}", verdict.reasons);
    }
    assert!(run(&[], &[&base], "").reasons[0].contains("the baseline has no profile"));
}

#[test]
fn a_missing_key_matters_where_a_rule_requires_it() {
    let base = profile();
    let mut new = profile();
    new.measurements.retain(|row| row.key.phase != Phase::Alloc);
    let verdict = run(&[&base], &[&new], "");
    assert_eq!((verdict.standing, verdict.of("missing").count()), (Standing::Passed, 1));
    let verdict = run(&[&base], &[&new], "[[rule]]\nmatch = { phase = \"alloc\" }\nrequired = true");
    assert_eq!(verdict.standing.exit_code(), exit::INCOMPARABLE);
    assert!(
        verdict.reasons[0].contains("alloc time is required, but the new side lacks it"),
        "{:?}",
        verdict.reasons
    );
}

#[test]
fn what_is_required_and_measured_on_neither_side_is_named() {
    let base = profile();
    let rule = "[[rule]]\nmatch = { phase = \"scheduling\" }\nrequired = true";
    let verdict = run(&[&base], &[&base], rule);
    assert_eq!(verdict.standing.exit_code(), exit::INCOMPARABLE);
    assert!(verdict.reasons[0].contains("rule 1 requires `phase=scheduling`"), "{:?}", verdict.reasons);
    let mut skipped = profile();
    for row in skipped.measurements.iter_mut().filter(|row| row.key.phase == Phase::Alloc) {
        row.outcome = Outcome::Skipped { why: "not asked for".to_owned() };
    }
    let rule = "[[rule]]\nmatch = { phase = \"alloc\" }\nthreshold = 0.2";
    assert_eq!(run(&[&skipped], &[&skipped], rule).standing, Standing::Passed, "no mistake of the rule");
}

/// The first trial of everything.
fn one_trial() -> Profile {
    let mut profile = profile();
    let outcomes = (profile.measurements.iter_mut().map(|row| &mut row.outcome))
        .chain(profile.totals.iter_mut().map(|total| &mut total.outcome));
    for outcome in outcomes {
        if let Outcome::Measured { samples, .. } = outcome {
            *outcome = Outcome::measured(Samples::one(samples.as_slice()[0]));
        }
    }
    profile.warm_up.truncate(1);
    profile
}

#[test]
fn a_gate_that_could_decide_nothing_has_not_passed() {
    let one = one_trial();
    let slow = slowed(one_trial(), Phase::WeightsLoad, 9.0);
    for new in [&one, &slow] {
        let verdict = run(&[&one], &[new], "");
        assert_eq!((verdict.standing, verdict.standing.exit_code()), (Standing::Inconclusive, exit::UNFIT));
        assert_eq!(verdict.reasons, ["nothing could be decided: 1 trial(s) on one side, 3 are needed"]);
        assert_eq!(verdict.reason_standings, [Standing::Inconclusive]);
        let verdict = run(&[&one], &[new], "on_inconclusive = \"pass\"");
        assert_eq!((verdict.standing, verdict.reasons.len()), (Standing::Passed, 1), "let pass, and told");
    }
    assert_eq!(run(&[&one; 3], &[&one; 3], "").standing, Standing::Passed);
    let verdict = run(&[&profile()], &[&profile()], "[[rule]]\nadvisory = true");
    assert_eq!(
        verdict.reasons,
        ["nothing could be decided: every key that was measured on both sides is advisory"]
    );
    let ceiling = "[[rule]]\nmatch = { metric = \"total\" }\nceiling_ms = 100000000";
    assert_eq!(run(&[&one], &[&one], ceiling).standing, Standing::Passed, "a ceiling decides");
}

#[test]
fn ceilings_hold_whatever_the_baseline_was() {
    let base = profile();
    let rules = "[[rule]]\nmatch = { metric = \"total\" }\nceiling_ms = 0.001";
    let verdict = run(&[&base], &[&base], rules);
    assert_eq!(verdict.standing, Standing::Regression);
    assert!(verdict.reasons[0].contains("above its ceiling of 0.001 ms"), "{:?}", verdict.reasons);
}

#[test]
fn a_warm_up_of_another_kind_is_not_compared() {
    let (base, mut new) = (profile(), profile());
    let rising: Vec<Nanos> = (0..200).map(|at| Nanos::from_nanos(1_000_000 + at * 20_000)).collect();
    for curve in &mut new.warm_up {
        let samples = Samples::new(rising.clone()).unwrap();
        *curve = WarmUpCurve::new(curve.step.clone(), samples, curve.resolution_ns, curve.stop);
    }
    let verdict = run(&[&base], &[&new], "");
    let steady = verdict.keys.iter().find(|key| key.key.metric == Metric::SteadyTime).unwrap();
    let told = |why: &str| why.contains("3 × `no_steady_state`") && why.contains("3 × `warmup`");
    assert!(steady.evidence.is_none() && !steady.advisory, "{steady:?}");
    assert!(
        steady.judgement.name() == "inconclusive" && steady.judgement.why().is_some_and(told),
        "{steady:?}"
    );
    // One odd trial of three is no change of kind.
    let mut odd = base.clone();
    odd.warm_up[0] = new.warm_up[0].clone();
    let verdict_of_odd = run(&[&base], &[&odd], "");
    assert!(!verdict_of_odd.reasons.iter().any(|why| why.contains("no_steady_state")), "{verdict_of_odd:?}");
    let warm_up =
        verdict.keys.iter().find(|key| key.key.phase == Phase::WarmUp && key.key.metric == Metric::Time);
    let why = warm_up.and_then(|key| key.judgement.why()).unwrap_or_default();
    assert!(why.contains("no_steady_state"), "{why}");
    assert_eq!(verdict.standing, Standing::Inconclusive);
    assert_eq!(run(&[&base], &[&new], "on_inconclusive = \"pass\"").standing, Standing::Passed);
}

/// Runs of one machine: trials spread by `within`, runs by `between`, both as shares, by a fixed generator.
pub(super) fn runs(count: usize, within: f64, between: f64) -> Vec<Profile> {
    let mut state = 7u64;
    let mut noise = move || {
        // Twelve uniform numbers make a normal one (Irwin-Hall).
        let sum: f64 = (0..12)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 11) as f64 / (1u64 << 53) as f64
            })
            .sum();
        sum - 6.0
    };
    (0..count)
        .map(|_| {
            let mut profile = profile();
            for row in profile.measurements.iter_mut().filter(|row| row.key.phase != Phase::Throughput) {
                let level = 50e6 * (1.0 + between * noise());
                if let Outcome::Measured { samples, .. } = &row.outcome {
                    let trials = (0..samples.len().max(5))
                        .map(|_| Nanos::from_nanos_f64(level * (1.0 + within * noise())));
                    row.outcome = Outcome::measured(Samples::new(trials.collect()).unwrap());
                }
            }
            profile
        })
        .collect()
}

#[test]
fn calibration_finds_the_spread_and_what_it_lets_through() {
    for (within, between) in [(0.005, 0.005), (0.03, 0.02)] {
        let profiles = runs(20, within, between);
        let all: Vec<&Profile> = profiles.iter().collect();
        let policy = calibrate(&all);
        assert_eq!((policy.runs, policy.version), (20, 1));
        let key = policy.keys.iter().find(|key| key.key.phase == Phase::Alloc).unwrap();
        let spread = f64::hypot(within, between);
        assert!((0.7 * spread..1.4 * spread).contains(&key.spread), "{} of {spread}", key.spread);
        assert!(key.threshold >= 0.05 && key.threshold < 2.5 * spread + 0.05, "{key:?}");
        assert!(key.false_alarms <= 0.005, "{key:?}");
        // Too few runs to count false alarms by.
        let few = calibrate(&all[..9]);
        let few = few.keys.iter().find(|few| few.key == key.key).unwrap();
        assert!(few.threshold >= (2.5 * few.spread).max(0.05), "{few:?}");
        let detectable = key.detectable.unwrap();
        assert!((key.threshold..3.0 * key.threshold + 0.02).contains(&detectable), "{key:?}");
        let throughput = policy.keys.iter().find(|key| key.key.phase == Phase::Throughput).unwrap();
        assert!(!throughput.decides, "one trial a run decides nothing");
        assert_eq!(policy.mismatches(all[0]), []);
        let mut slow = all[0].clone();
        slow.fitness.canary.iter_mut().for_each(|reading| reading.gemm_ns = Nanos::from_millis(2));
        assert!(policy.mismatches(&slow)[0].text.contains("product differs by +100.0 %"));
    }
}

#[test]
fn a_short_run_of_many_does_not_switch_a_key_off_and_many_do() {
    let mut profiles = runs(20, 0.01, 0.01);
    let decides = |profiles: &[Profile]| {
        let policy = calibrate(&profiles.iter().collect::<Vec<_>>());
        policy.keys.iter().find(|key| key.key.phase == Phase::Alloc).map(|key| key.decides)
    };
    let cut = |profile: &mut Profile| {
        for row in profile.measurements.iter_mut().filter(|row| row.key.phase == Phase::Alloc) {
            row.outcome = Outcome::measured(Samples::one(Nanos::from_millis(50)));
        }
    };
    profiles[..2].iter_mut().for_each(cut);
    assert_eq!(decides(&profiles), Some(true));
    cut(&mut profiles[2]);
    assert_eq!(decides(&profiles), Some(false));
}

#[test]
fn where_no_slowdown_shows_the_same_is_not_said() {
    // Thrice half a microsecond is below the floor.
    let profiles: Vec<Profile> =
        runs(12, 0.01, 0.01).into_iter().map(|profile| slowed(profile, Phase::Alloc, 1e-5)).collect();
    let policy = calibrate(&profiles.iter().collect::<Vec<_>>());
    let blind = policy.blind().find(|key| key.key.phase == Phase::Alloc).unwrap().key.clone();
    let verdict = by_policy(&policy, &[&profiles[0]], &[&profiles[1]], &Rules::default());
    let key = verdict.keys.iter().find(|key| key.key == blind).unwrap();
    let why = key.judgement.why().unwrap_or_default();
    assert!(key.advisory && why.contains("cannot find any slowdown"), "{key:?}");
}

#[test]
fn on_a_steady_machine_a_tenth_is_found_by_runs_that_were_not_calibrated_on() {
    let recorded: Vec<RecordedRun> = runs(40, 0.01, 0.01).iter().map(RecordedRun::of).collect();
    let (calibrated_on, judged) = recorded.split_at(20);
    let found = worth(&calibrate_runs(calibrated_on), judged, judged);
    assert_eq!((found.gates, found.unfit), (20 * 19, 0));
    let key = found.keys.iter().find(|(key, _)| key.phase == Phase::FirstBatch && is_compute(key));
    let (_, counts) = key.unwrap();
    assert_eq!(counts.compared, 380);
    assert!(counts.false_alarms <= 3 && counts.found[0] >= 342 && counts.found[1] >= 377, "{counts:?}");
}

#[test]
fn on_recorded_runs_false_alarms_are_rare_and_what_is_detectable_is_found() {
    let text = include_str!("../../../tests/fixtures/aa/recordings.json");
    let recordings: Recordings = serde_json::from_str(text).unwrap();
    assert!(!recordings.states().is_empty());
    for state in recordings.states() {
        let runs = recordings.of_state(state);
        assert!(runs.len() >= 25, "{state}: {} runs", runs.len());
        // Alternating: what drifts over the hours is on both sides.
        let every_other = |first: usize| runs.iter().skip(first).step_by(2).cloned().collect::<Vec<_>>();
        let found = worth(&calibrate_runs(&every_other(0)), &every_other(1), &every_other(1));
        let sum = |of: fn(&KeyWorth) -> usize| found.keys.values().map(of).sum::<usize>() as f64;
        let rate = sum(|key| key.false_alarms) / sum(|key| key.compared).max(1.0);
        assert!(rate <= 0.01, "{state}: {rate}");
        let compute = found.keys.iter().filter(|(key, _)| is_compute(key)).map(|(_, worth)| worth);
        match state {
            "idle" => {
                assert!(found.unfit * 4 < found.gates, "{} of {} unfit", found.unfit, found.gates);
                let (compared, tenth, fifth) = compute.fold((0, 0, 0), |(compared, tenth, fifth), key| {
                    (compared + key.compared, tenth + key.found[0], fifth + key.found[1])
                });
                let told = format!("of {compared} a tenth was found {tenth} times, a fifth {fifth} times");
                assert!(tenth * 10 >= compared * 9 && fifth * 100 >= compared * 99, "{told}");
            }
            // Beside builds nothing can be judged, and the gate has to say so.
            _ => assert_eq!(found.unfit, found.gates, "{state}"),
        }
        for key in calibrate_runs(&runs).keys.iter().filter(|key| key.decides) {
            assert!(key.false_alarms <= 0.005, "{state}: {key:?}");
            assert!(key.detectable.is_none_or(|least| least >= key.threshold - 0.01), "{state}: {key:?}");
        }
    }
}

#[test]
fn a_calibrated_gate_lets_pass_what_the_machine_does_by_itself() {
    let profiles = runs(12, 0.05, 0.05);
    let all: Vec<&Profile> = profiles.iter().collect();
    let policy = calibrate(&all);
    let rules = Rules { on_inconclusive: OnInconclusive::Pass, ..Rules::default() };
    let judged = |new: &Profile| by_policy(&policy, &all[..1], &[new], &rules);
    for new in &all[1..] {
        let verdict = judged(new);
        let alloc = verdict.keys.iter().find(|key| key.key.phase == Phase::Alloc).unwrap();
        assert_ne!(alloc.judgement, Judgement::Slower, "{alloc:?}");
        assert!(alloc.detectable.is_some());
    }
    let verdict = judged(&slowed(all[1].clone(), Phase::Alloc, 1.6));
    assert_eq!(verdict.standing, Standing::Regression, "{:?}", verdict.reasons);
}
