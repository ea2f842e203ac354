//! The sentence on top: all that was measured of a cold start, and nothing held against what it can't be compared with.

use coldstart_profiles::{ImageSource, Nanos, Outcome, Phase, Profile, Scope, TotalKind, Trace, TraceEnd};

use super::scripted;
use crate::comparison::spread;
use crate::terminal::answer_sentence;

/// The scripted run with an image of the user's instead of the synthetic one.
fn with_own_image() -> Profile {
    let mut profile = scripted::complete();
    for trace in profile.traces.iter_mut().filter(|trace| trace.scope == Scope::Pull) {
        let params = trace.params.clone().with("source", "registry");
        trace.readings.iter_mut().for_each(|reading| reading.params = params.clone());
        trace.params = params;
    }
    if let Some(image) = &mut profile.target.image {
        image.source = ImageSource::Reference;
    }
    profile.derive();
    profile
}

#[test]
fn the_pull_of_the_users_image_and_the_warm_up_are_part_of_the_answer() {
    let median = |profile: &Profile, phase: Phase| {
        let row = profile.of_phase(phase).find(|row| row.outcome.as_measured().is_some()).unwrap();
        row.outcome.as_measured().unwrap().1.p50_ns
    };
    let profile = with_own_image();
    let sentence = answer_sentence(&profile);
    for part in [
        "from the request for the image of a container to the steady state",
        "of 3 pulls and 3 starts in every combination",
        "is the image pull, bound by inflating its layers on one core, and",
    ] {
        assert!(sentence.contains(part), "`{part}`: {sentence}");
    }
    // How long a user's pull takes a synthetic one does not say.
    let synthetic = answer_sentence(&scripted::complete());
    assert!(synthetic.contains("from the create request of a container to the steady state"), "{synthetic}");
    assert!(!synthetic.contains("pull"), "{synthetic}");
    assert!(median(&profile, Phase::ImagePull) > Nanos::from_millis(1_000));
}

#[test]
fn a_pull_is_never_added_to_the_start_of_a_process() {
    let mut profile = with_own_image();
    profile.traces.retain(|trace| trace.total_kind != TotalKind::Container);
    profile.derive();
    assert!(profile.of_phase(Phase::ImagePull).any(|row| row.outcome.as_measured().is_some()));
    let sentence = answer_sentence(&profile);
    // Between the two lies the start of the container, which was not measured.
    assert!(sentence.contains("from exec to the steady state"), "{sentence}");
    assert!(!sentence.contains("image"), "{sentence}");
}

#[test]
fn a_part_is_most_of_a_difference_only_where_it_is_more_than_half() {
    let before = scripted::complete();
    // Each start of a container, with these phases and what lies between them longer or shorter by so much.
    let moved = |phases: &[(Phase, i64)], between: i64| {
        let mut after = before.clone();
        let by =
            |time: Nanos, ms: i64| Nanos::from_nanos(time.as_nanos().saturating_add_signed(ms * 1_000_000));
        for trace in after.traces.iter_mut().filter(|trace| trace.total_kind == TotalKind::Container) {
            let mut later = between;
            for reading in &mut trace.readings {
                reading.begin_ns = by(reading.begin_ns, later);
                let own = phases.iter().filter(|(phase, _)| *phase == reading.phase).map(|(_, ms)| ms);
                let longer = own.sum();
                reading.duration_ns = by(reading.duration_ns, longer);
                later += longer;
            }
            if let TraceEnd::Completed { total_ns, unattributed_ns } = &mut trace.end {
                (*total_ns, *unattributed_ns) = (by(*total_ns, later), by(*unattributed_ns, between));
            }
        }
        after.derive();
        after
    };
    let told = |after: &Profile| spread(&[("a.json", &before), ("b.json", after)]);
    let thirds = moved(&[(Phase::WeightsLoad, 40), (Phase::ContainerStart, 35), (Phase::FirstBatch, 35)], 0);
    let sentence = told(&thirds);
    assert!(sentence.contains("longer. The largest part of it is weights_load, +40.0 ms."), "{sentence}");
    let sentence = told(&moved(&[(Phase::ContainerStart, 10)], 200));
    assert!(sentence.contains("longer. Most of it lies between the phases, +200 ms."), "{sentence}");
    // What became shorter is no part of what became longer, however far it moved.
    let after = moved(&[(Phase::ContainerStart, 60), (Phase::FirstBatch, 50), (Phase::WeightsLoad, -100)], 0);
    let sentence = told(&after);
    assert!(sentence.contains("longer. Most of it is container_start, +60.0 ms."), "{sentence}");
    let back = spread(&[("b.json", &moved(&[(Phase::WeightsLoad, 300)], 0)), ("a.json", &thirds)]);
    assert!(back.contains("shorter. Most of it is weights_load, −260 ms."), "{back}");
}

#[test]
fn what_is_missing_is_said_with_its_reason() {
    let mut profile = scripted::complete();
    for trace in &mut profile.traces {
        trace.end = TraceEnd::Failed { why: "killed by signal 9.".to_owned(), stderr: String::new() };
    }
    profile.derive();
    for row in profile.measurements.iter_mut().filter(|row| row.key.phase == Phase::ImagePull) {
        row.outcome = Outcome::Skipped { why: "no engine".to_owned() };
    }
    let sentence = answer_sentence(&profile);
    assert!(sentence.starts_with("No whole cold start was measured: "), "{sentence}");
    assert!(sentence.ends_with(" failed: killed by signal 9."), "{sentence}");
    let empty = answer_sentence(&scripted::empty());
    assert!(empty.starts_with("No whole cold start was measured"), "{empty}");
}

#[test]
fn two_profiles_are_told_apart_by_the_phase_that_moved() {
    let before = scripted::complete();
    let mut after = before.clone();
    for trace in after.traces.iter_mut().filter(|trace| trace.total_kind == TotalKind::Container) {
        let longer = Nanos::from_millis(250);
        let mut later = Nanos::ZERO;
        for reading in &mut trace.readings {
            reading.begin_ns = reading.begin_ns.saturating_add(later);
            if reading.phase == Phase::WeightsLoad {
                reading.duration_ns = reading.duration_ns.saturating_add(longer);
                later = longer;
            }
        }
        if let TraceEnd::Completed { total_ns, .. } = &mut trace.end {
            *total_ns = total_ns.saturating_add(longer);
        }
    }
    after.derive();
    let sentence = spread(&[("a.json", &before), ("b.json", &after)]);
    assert!(sentence.starts_with("a.json starts in "), "{sentence}");
    assert!(sentence.contains("% longer. Most of it is weights_load, +250 ms."), "{sentence}");
    let back = spread(&[("b.json", &after), ("a.json", &before)]);
    assert!(back.contains("% shorter. Most of it is weights_load, −250 ms."), "{back}");
    let nodes = [("a", &before), ("b", &before), ("c", &before), ("d", &before), ("e", &after)];
    let many = spread(&nodes);
    assert!(many.contains("(e), where weights_load takes 250 ms longer than in the median."), "{many}");
}

/// The same profile, its pulls so much longer.
fn pulled_longer(profile: &Profile, by: Nanos) -> Profile {
    let mut longer = profile.clone();
    for trace in longer.traces.iter_mut().filter(|trace| trace.scope == Scope::Pull) {
        for reading in &mut trace.readings {
            reading.duration_ns = reading.duration_ns.saturating_add(by);
        }
        if let TraceEnd::Completed { total_ns, .. } = &mut trace.end {
            *total_ns = total_ns.saturating_add(by);
        }
    }
    longer.derive();
    longer
}

/// The same profile, its containers stopped after their first batch: warm-ups are those of processes.
fn stopped_after_the_first_batch(profile: &Profile) -> Profile {
    let mut stopped = profile.clone();
    for trace in stopped.traces.iter_mut().filter(|trace| trace.total_kind == TotalKind::Container) {
        trace.readings.retain(|reading| reading.phase != Phase::WarmUp);
        let total = trace.readings.last().map(|last| last.begin_ns.saturating_add(last.duration_ns)).unwrap();
        trace.end = Trace::completed(&trace.readings, total);
    }
    stopped.derive();
    stopped
}

/// The time that a sentence begins with.
fn time_of(sentence: &str) -> &str {
    sentence.split(" from ").next().unwrap()
}

#[test]
fn pulls_of_one_image_are_part_of_all_and_pulls_of_others_of_none() {
    let a = with_own_image();
    let b = pulled_longer(&a, Nanos::from_millis(700));
    let [alone, other] = [&a, &b].map(answer_sentence);
    let sentence = spread(&[("a.json", &a), ("b.json", &b)]);
    let starts = format!("a.json starts in {}, b.json in {}: ", time_of(&alone), time_of(&other));
    assert!(sentence.starts_with(&starts), "{starts}: {sentence}");
    let reference = &a.target.image.as_ref().unwrap().reference;
    let ends =
        format!("% longer. Most of it is image_pull, +700 ms. These times hold the pull of {reference}.");
    assert!(sentence.ends_with(&ends), "{sentence}");
    let few = spread(&[("a", &a), ("b", &b), ("c", &a)]);
    assert!(
        few.contains(&format!("to {} (b)", time_of(&other))) && few.contains("hold the pull of"),
        "{few}"
    );
    let many = spread(&[("a", &a), ("b", &b), ("c", &a), ("d", &a), ("e", &a)]);
    assert!(many.contains("where image_pull takes 700 ms longer than in the median"), "{many}");

    // What can't be held against each other is left out of all, with the reason.
    let trials = spread(&[("a.json", &scripted::complete()), ("b.json", &scripted::complete())]);
    let trials = trials.strip_suffix('.').unwrap();
    let mut another = b.clone();
    another.target.image.as_mut().unwrap().reference = "serve:1.5".to_owned();
    let process = |profile: &Profile| {
        let mut process = profile.clone();
        process.traces.retain(|trace| trace.total_kind != TotalKind::Container);
        process.derive();
        process
    };
    let told = spread(&[("a.json", &a), ("b.json", &another)]);
    let why = format!("Image pulls are left out: a.json pulled {reference}, and b.json serve:1.5.");
    assert!(told.starts_with(trials) && told.ends_with(&why), "{told}");
    let told = spread(&[("a.json", &a), ("b.json", &scripted::complete())]);
    let why = "Image pulls are left out: b.json has none of an image of yours.";
    assert!(told.starts_with(trials) && told.ends_with(why), "{told}");
    let told = spread(&[("a.json", &process(&a)), ("b.json", &process(&b))]);
    assert!(told.contains("Image pulls are left out: between them and a process"), "{told}");
}

#[test]
fn warm_ups_beside_the_trials_are_part_of_all_or_left_out_of_all() {
    let a = stopped_after_the_first_batch(&with_own_image());
    let b = pulled_longer(&a, Nanos::from_millis(700));
    let synthetic = stopped_after_the_first_batch(&scripted::complete());
    let told = spread(&[("a.json", &a), ("b.json", &b)]);
    let starts = format!("a.json starts in {}, b.json in ", time_of(&answer_sentence(&a)));
    assert!(told.starts_with(&starts) && told.ends_with(" and the warm-up."), "{told}");
    // Of two that can't be added to all only that one is left out.
    let told = spread(&[("a.json", &a), ("b.json", &synthetic)]);
    let time = answer_sentence(&synthetic);
    let starts =
        format!("a.json starts in {0}, b.json in {0}. These times hold the warm-up. ", time_of(&time));
    assert!(
        told.starts_with(&starts) && told.contains("Image pulls are left out: b.json has none"),
        "{told}"
    );
    let mut without = b.clone();
    without.measurements.retain(|row| row.key.phase != Phase::WarmUp);
    let told = spread(&[("a.json", &a), ("b.json", &without)]);
    let starts = format!("b.json in {}: ", time_of(&answer_sentence(&without)));
    assert!(told.contains(&starts) && told.contains("Most of it is image_pull, +700 ms."), "{told}");
    assert!(told.ends_with(". Warm-ups are left out: b.json has none."), "{told}");
}

#[test]
fn cold_starts_of_other_kinds_are_not_held_against_each_other() {
    let container = scripted::complete();
    let mut process = container.clone();
    process.traces.retain(|trace| trace.total_kind != TotalKind::Container);
    process.derive();
    let sentence = spread(&[("a.json", &container), ("b.json", &process)]);
    assert!(
        sentence.contains("not of one kind") && sentence.contains("that of b.json of a process"),
        "{sentence}"
    );
    let page = crate::html(&[("a.json", &container), ("b.json", &process)]).unwrap();
    assert!(
        page.contains("(of a process)") && !page.contains("()"),
        "a change between kinds, or none, is told"
    );
}
