//! Verdicts and histories of scripted runs against golden files.

use coldstart_decisions::gate::{
    Asked, Gate, HistoryOptions, Judgement, Policy, Rules, Verdict, calibrate, gate, history,
};
use coldstart_profiles::{Outcome, Phase, Profile, Samples};

use super::golden::assert_golden;
use super::scripted::{complete, ms};
use crate::{
    Style, calibration, gate_annotations, gate_junit, gate_markdown, gate_table, history_markdown,
    history_table,
};

fn style(width: usize) -> Style {
    Style { width, color: false, unicode: true }
}

/// Every measurement and total of `phase` with its samples changed, each by its place.
fn change(profile: &mut Profile, phase: Phase, factor: impl Fn(usize) -> f64) {
    let rows = profile.measurements.iter_mut().filter(|row| row.key.phase == phase);
    for row in rows {
        if let Outcome::Measured { samples, .. } = &row.outcome {
            let changed = samples.as_slice().iter().enumerate();
            let changed = changed.map(|(at, time)| ms(time.as_nanos() as f64 / 1e6 * factor(at))).collect();
            row.outcome = Outcome::measured(Samples::new(changed).unwrap());
        }
    }
}

/// A run in which loading became slower, the first batch is disturbed, and containers run on another engine.
fn slower() -> Profile {
    let mut profile = complete();
    profile.started_at = "2026-11-28T09:00:00Z".to_owned();
    change(&mut profile, Phase::WeightsLoad, |_| 1.4);
    change(&mut profile, Phase::FirstBatch, |at| if at == 0 { 1.0 } else { 2.0 });
    if let Some(engine) = &mut profile.target.engine {
        engine.storage = "vfs".to_owned();
    }
    profile.plan.trials += 1;
    profile
}

/// A policy of three runs, calibrated long ago.
fn policy() -> Policy {
    let runs: Vec<Profile> = (0..3)
        .map(|run| {
            let mut profile = complete();
            change(&mut profile, Phase::ProcessStart, |_| 1.0 + 0.01 * f64::from(run));
            profile.started_at = format!("2026-10-0{}T13:40:00Z", run + 1);
            profile
        })
        .collect();
    calibrate(&runs.iter().collect::<Vec<_>>())
}

fn verdict(baseline: &Profile, new: &Profile, policy: Option<&Policy>) -> Verdict {
    let asked = Asked {
        tool: Some(baseline.tool.clone()),
        at: Some("2026-11-28T09:30:00Z".to_owned()),
        baseline: vec!["main.json".to_owned()],
        new: vec!["new.json".to_owned()],
        rules: None,
        policy: policy.map(|_| "policy.json".to_owned()),
    };
    let (baseline, new, rules) = ([baseline], [new], Rules::default());
    let asked =
        Gate { baseline: &baseline, new: &new, rules: &rules, policy, allow_stand_in: false, asked: &asked };
    gate(&asked).unwrap()
}

#[test]
fn a_regression_with_everything_that_can_be_told() {
    let (baseline, policy) = (complete(), policy());
    let verdict = verdict(&baseline, &slower(), Some(&policy));
    for name in ["slower", "inconclusive", "incomparable", "same"] {
        assert!(verdict.of(name).count() > 0, "no key is {name}");
    }
    for width in [80, 120] {
        let text = gate_table(&verdict, false, &style(width));
        assert!(text.lines().all(|line| line.chars().count() <= width), "{text}");
        assert_golden(&format!("gate-{width}.txt"), &text);
        assert_golden(&format!("gate-all-{width}.txt"), &gate_table(&verdict, true, &style(width)));
    }
    assert_golden("gate-color-80.txt", &gate_table(&verdict, false, &Style { color: true, ..style(80) }));
    assert_golden("gate-ascii-80.txt", &gate_table(&verdict, true, &Style { unicode: false, ..style(80) }));
    assert_golden("gate.md", &gate_markdown(&verdict));
    assert_golden("gate-junit.xml", &gate_junit(&verdict).unwrap());
    assert_golden("gate-annotations.txt", &gate_annotations(&verdict));
    assert_golden("calibration-80.txt", &calibration(&policy, &style(80)));
}

#[test]
fn every_warning_stands_in_every_report_and_every_reason_once_on_the_terminal() {
    let policy = policy();
    let verdict = verdict(&complete(), &slower(), Some(&policy));
    assert!(verdict.warnings.len() >= 3, "{:?}", verdict.warnings);
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let terminal = words(&gate_table(&verdict, false, &style(140)));
    let others = [gate_markdown(&verdict).replace('\\', ""), gate_junit(&verdict).unwrap()];
    for warning in &verdict.warnings {
        let plain = warning.text.replace('\'', "&apos;");
        assert!(terminal.contains(&warning.text), "{}\n{terminal}", warning.text);
        for text in &others {
            assert!(text.contains(&warning.text) || text.contains(&plain), "{}\n{text}", warning.text);
        }
    }
    let whys = verdict.keys.iter().filter_map(|key| match &key.judgement {
        Judgement::Incomparable { why } => Some(why),
        _ => None,
    });
    for why in whys {
        assert_eq!(terminal.matches(why.as_str()).count(), 1, "{why}\n{terminal}");
    }
}

#[test]
fn a_gate_that_passes_is_a_few_lines() {
    let mut again = complete();
    again.started_at = "2026-11-28T09:00:00Z".to_owned();
    change(&mut again, Phase::Alloc, |_| 1.001);
    let text = gate_table(&verdict(&complete(), &again, None), false, &style(80));
    assert_golden("gate-passed-80.txt", &text);
    assert!(text.lines().count() <= 6, "{text}");
}

#[test]
fn a_history_with_a_step_and_an_unfit_run() {
    let nights: Vec<Profile> = (1..=16)
        .map(|night| {
            let mut profile = complete();
            profile.started_at = format!("2026-11-{night:02}T03:00:00Z");
            let level = if night > 9 { 1.3 } else { 1.0 } * (1.0 + 0.002 * f64::from(night % 4));
            change(&mut profile, Phase::WeightsLoad, |_| level);
            if night == 5 {
                profile.fitness.load_average_before = Some(9.0);
            }
            profile
        })
        .collect();
    let found = history(&nights.iter().collect::<Vec<_>>(), HistoryOptions::default(), None);
    assert_eq!((found.runs, found.unfit.len()), (15, 1));
    for width in [80, 120] {
        let text = history_table(&found, &style(width));
        assert!(text.contains("canary"), "{text}");
        assert_golden(&format!("history-{width}.txt"), &text);
    }
    assert_golden("history.md", &history_markdown(&found));
}
