//! Profiles as crashes, tiny runs and odd machines leave them, in every format: whole, honest about it, and not larger than it must be.

use coldstart_profiles::warm_up::TrialsAgreement;
use coldstart_profiles::{
    Detail, Nanos, Outcome, Profile, RunState, Samples, TraceEnd, WarmUpClass, WarmUpCurve,
};

use super::scripted;
use crate::{Style, comparison, html, markdown, terminal, trace_events};

/// What happened to a whole profile, and what its terminal text, its page and its markdown must then say.
struct Case {
    name: &'static str,
    change: fn(&mut Profile),
    terminal: &'static str,
    page: &'static str,
    markdown: &'static str,
}

const CASES: [Case; 14] = [
    Case {
        name: "nothing was measured",
        change: |profile| *profile = scripted::empty(),
        terminal: "No whole cold start was measured",
        page: "No whole cold start was measured",
        markdown: "No whole cold start was measured",
    },
    Case {
        name: "partial",
        change: |profile| profile.state = RunState::Partial,
        terminal: "PARTIAL",
        page: "This run is partial: <code>coldstart run --resume</code> continues it.",
        markdown: "This run is not complete",
    },
    Case {
        name: "interrupted",
        change: |profile| profile.state = RunState::Interrupted,
        terminal: "INTERRUPTED",
        page: "This run was interrupted",
        markdown: "This run is not complete",
    },
    Case {
        name: "a stand-in driver",
        change: |profile| profile.target.device.stand_in = true,
        terminal: "STAND-IN",
        page: "STAND-IN",
        markdown: "STAND-IN",
    },
    Case {
        name: "one trial",
        change: |profile| {
            profile.traces.retain(|trace| trace.trial == 0);
            profile.warm_up.truncate(1);
            profile.derive();
        },
        terminal: "(one trial)",
        page: "(one trial)",
        markdown: "(one trial)",
    },
    Case {
        name: "every trial failed",
        change: |profile| {
            for trace in &mut profile.traces {
                let why = "killed by signal 9".to_owned();
                trace.end = TraceEnd::Failed { why, stderr: "out of memory".to_owned() };
            }
            profile.warm_up.clear();
            profile.derive();
        },
        terminal: "Failures",
        page: "<h2>Failed</h2>",
        markdown: "killed by signal 9",
    },
    Case {
        name: "trials disagree",
        change: |profile| {
            for curve in profile.warm_up.iter_mut().skip(2) {
                curve.analysis.class = WarmUpClass::Slowdown;
            }
            let trials = profile.warm_up.iter().map(|curve| &curve.analysis);
            profile.warm_up_agreement = TrialsAgreement::of(trials);
        },
        terminal: "TRIALS DISAGREE",
        page: "THE TRIALS DISAGREE",
        markdown: "TRIALS DISAGREE",
    },
    Case {
        name: "no steady state",
        change: |profile| {
            for curve in &mut profile.warm_up {
                let samples = Samples::new(curve.samples.as_slice()[..3].to_vec()).unwrap();
                *curve = WarmUpCurve::new(&curve.step, samples, curve.resolution_ns, curve.stop);
            }
            let trials = profile.warm_up.iter().map(|curve| &curve.analysis);
            profile.warm_up_agreement = TrialsAgreement::of(trials);
        },
        terminal: "none reached a steady state",
        page: "No steady state in trial 1, 2",
        markdown: "none reached a steady state",
    },
    Case {
        name: "times of nothing",
        change: |profile| retime(profile, Nanos::ZERO),
        terminal: "0 ns",
        page: "0 ns",
        markdown: "0 ns",
    },
    Case {
        name: "times of five centuries",
        change: |profile| retime(profile, Nanos::from_nanos(u64::MAX)),
        terminal: "min 34 s",
        page: "min 34 s",
        markdown: "min 34 s",
    },
    Case {
        name: "a thousand layers",
        change: |profile| {
            for reading in profile.traces.iter_mut().flat_map(|trace| &mut trace.readings) {
                if let Some(Detail::Pull(pull)) = &mut reading.detail {
                    pull.layers = pull.layers.iter().cycle().take(1_000).cloned().collect();
                }
            }
        },
        terminal: "Image pull",
        page: "960 more layers are not drawn",
        markdown: "Image pull",
    },
    Case {
        name: "a thousand trials",
        change: |profile| {
            profile.warm_up = profile.warm_up.iter().cycle().take(1_000).cloned().collect();
        },
        terminal: "Warm-up",
        page: "of the other 999 trials",
        markdown: "Warm-up",
    },
    Case {
        name: "very many iterations",
        change: |profile| {
            let times = (0..200_000_u64).map(|at| Nanos::from_nanos(1_000_000 + at % 977)).collect();
            let samples = Samples::new(times).unwrap();
            let curve = &mut profile.warm_up[0];
            *curve = WarmUpCurve::new(&curve.step, samples, curve.resolution_ns, curve.stop);
        },
        terminal: "200000",
        page: "200000",
        markdown: "200000",
    },
    Case {
        name: "no model, no engine, no sweep",
        change: |profile| {
            (profile.target.model, profile.target.engine, profile.target.image) = (None, None, None);
            profile.throughput.clear();
            profile.measurements.clear();
        },
        terminal: "Cold start of no model",
        page: "Cold start of no model",
        markdown: "Cold start of no model",
    },
];

/// The same time wherever one stands.
fn retime(profile: &mut Profile, time: Nanos) {
    for trace in &mut profile.traces {
        for reading in &mut trace.readings {
            (reading.begin_ns, reading.duration_ns) = (time, time);
        }
        trace.end = TraceEnd::Completed { total_ns: time, unattributed_ns: time };
    }
    let totals = profile.totals.iter_mut().map(|total| &mut total.outcome);
    for outcome in profile.measurements.iter_mut().map(|row| &mut row.outcome).chain(totals) {
        if let Outcome::Measured { samples, .. } = outcome {
            *outcome = Outcome::measured(Samples::new(vec![time; samples.len()]).unwrap());
        }
    }
    for curve in &mut profile.warm_up {
        let samples = Samples::new(vec![time; curve.samples.len()]).unwrap();
        *curve = WarmUpCurve::new(&curve.step, samples, curve.resolution_ns, curve.stop);
    }
}

#[test]
fn every_format_of_every_bad_profile() {
    for case in &CASES {
        for mut profile in [scripted::complete(), scripted::on_a_gpu()] {
            (case.change)(&mut profile);
            let good = scripted::complete();
            let mut pages = vec![html(&[("a.json", &profile)])];
            // Pages of several hold nothing else of a GPU.
            if profile.target.device.kind == "host" {
                pages.push(html(&[("a.json", &profile), ("b.json", &good)]));
                pages.push(html(&[("a.json", &profile); 6]));
            }
            let style = Style { width: 80, color: false, unicode: true };
            let texts = [terminal(&profile, &style), markdown(&[("a.json", &profile)])];
            let two = comparison(&[("a.json", &profile), ("b.json", &good)], &style);
            let trace = trace_events(&profile).unwrap();
            assert!(serde_json::from_str::<serde_json::Value>(&trace).is_ok(), "{}", case.name);
            let all = pages.iter().map(|page| page.as_deref().unwrap()).chain([two.as_str(), &trace]);
            for text in all.chain(texts.iter().map(String::as_str)) {
                assert!(!text.contains("NaN") && !text.contains("-2147483648"), "{}", case.name);
            }
            for (text, part) in [
                (&texts[0], case.terminal),
                (pages[0].as_ref().unwrap(), case.page),
                (&texts[1], case.markdown),
            ] {
                assert!(text.contains(part), "{}: no `{part}` in\n{text}", case.name);
            }
            for page in pages.iter().map(|page| page.as_ref().unwrap()) {
                assert!(page.len() < 1_000_000, "{}: {} bytes", case.name, page.len());
            }
        }
    }
}
