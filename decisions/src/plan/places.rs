//! Where the model should live, and what would make cold starts matter less: the other parts of the answer, asked with the
//! plan's numbers.

use coldstart_profiles::{Nanos, Phase, TotalKind};

use super::request::PlanRequest;
use crate::basis::{Basis, Figure, Quantity};
use crate::capacity::{Planner, Warm, standby_at};
use crate::locality::{self, AffinityWeight, Locality, NodeTime, PlacesByHand, affinity_weights, places_of};
use crate::measured::{ColdStart, Fleet, Measured, PullTime};
use crate::mitigations::{self, Mitigation};

/// How often a preferred node has the weights, where it was not said.
pub(super) const USUAL_HIT_RATIO: f64 = 0.9;
/// The flag that says it.
pub(super) const HIT_RATIO: &str = "--hit-ratio";

/// Places, strategies and crossover sizes for the class of the plan.
pub(super) fn locality_of(
    measured: &Measured,
    cold: &ColdStart,
    warm: &Warm,
    request: &PlanRequest,
) -> Locality {
    let by_hand = PlacesByHand {
        shared_bytes_per_s: request.places.shared_bytes_per_s,
        registry_bytes_per_s: request.by_hand.pull.map(|pull| pull.registry_bytes_per_s),
        ..PlacesByHand::default()
    };
    let (places, missing) = places_of(measured, cold, &by_hand);
    let hit_ratio = match request.places.hit_ratio {
        Some(ratio) => Figure::by_hand(ratio, HIT_RATIO),
        None => Figure::new(USUAL_HIT_RATIO, Basis::of("0.9 where nothing else is said").assumed(HIT_RATIO)),
    };
    locality::locality(&locality::Question {
        model_bytes: measured.memory.weights_bytes,
        places,
        missing,
        around_ns: around(measured, cold),
        pull_ns: pull_of(cold),
        unpack_bytes_per_s: measured.image.as_ref().and_then(|image| {
            let formula = "unpacked bytes ÷ time in which at least one layer was unpacked";
            let basis = Basis { formula: formula.to_owned(), ..image.basis.clone() };
            Some(Figure::new(image.unpack_bytes_per_s?, basis))
        }),
        simultaneous: Figure::new(
            warm.standby.value.max(1),
            Basis::of("max(1, standby): what the growth takes is ordered together").figure(
                "standby",
                Quantity::Count(u64::from(warm.standby.value)),
                "capacity.warm.standby",
                &warm.standby.basis,
            ),
        ),
        hit_ratio,
        cluster: request.cluster,
        prices: request.prices,
    })
}

/// What a start does besides loading its weights and pulling its image; or why the load can't be taken out of it: then every place would
/// count it twice.
fn around(measured: &Measured, cold: &ColdStart) -> Result<Figure<Nanos>, String> {
    let load = measured.load_within(cold).ok_or_else(|| unknown_load(cold))?;
    let usual = cold.usual_ns();
    let (formula, name) = match cold.is_by_hand() {
        true => ("C − load − pull, of medians but C, which was given by hand", "C"),
        false => ("C − load − pull, of medians", "C, the median"),
    };
    let mut basis = Basis::of(formula).input(name, Quantity::Nanos(usual.value)).resting_on(&usual.basis);
    let mut rest = usual.value;
    for (phase, part) in [(Phase::WeightsLoad, Some(load)), (Phase::ImagePull, pull_of(cold))] {
        if let Some(part) = part {
            rest = rest.saturating_sub(part.value);
            basis = basis.input(phase.name(), Quantity::Nanos(part.value)).resting_on(&part.basis);
            basis.caveats.extend(part.basis.caveats);
        }
    }
    if let PullTime::Unattributed { why } = &cold.pull {
        basis = basis.caveat(format!("it holds the pull of the image: {why}"));
    }
    Ok(Figure::new(rest, basis))
}

/// The pull in a cold start: it comes on top wherever the weights are.
fn pull_of(cold: &ColdStart) -> Option<Figure<Nanos>> {
    cold.part(Phase::ImagePull).map(|part| part.median_ns.clone())
}

/// Why it is not known how much of a cold start is the load of the weights, and what would tell.
fn unknown_load(cold: &ColdStart) -> String {
    let (why, remedy) = match cold.part(Phase::Readiness) {
        Some(readiness) => (
            format!(
                "the readiness of the pods, {}, holds the load of the weights, and they don't tell how much of it that is: every place \
                 would count it twice",
                readiness.median_ns.value
            ),
            "give a profile of such a node beside them, measured with `coldstart run`",
        ),
        None if cold.kind.is_none() => (
            "the cold start was given by hand as a whole, and how much of it is the load of the weights is not known: every place would \
             count it twice"
                .to_owned(),
            "measure one with `coldstart run`",
        ),
        None => (
            "the cold start has no load of weights of its own".to_owned(),
            "measure all phases with `coldstart run`",
        ),
    };
    format!("{why}: {remedy}")
}

/// How much a scheduler should prefer each class of nodes: by the starts of pods where every class has such, else by those of machines.
pub(super) fn affinity_of(fleet: &Fleet) -> Vec<AffinityWeight> {
    let of_pods = |cold: &ColdStart| cold.kind == Some(TotalKind::Pod);
    let all_pods = fleet.classes.iter().filter_map(|class| class.cold_starts.first()).all(of_pods);
    let node = |measured: &Measured| {
        let first = measured.cold_starts.first()?;
        let start_ns = if all_pods { first } else { measured.loading(first) }.median_ns.clone();
        Some(NodeTime { node: measured.class.name.clone(), start_ns })
    };
    let nodes: Vec<NodeTime> = fleet.classes.iter().filter_map(node).collect();
    affinity_weights(&nodes)
}

/// Every mitigation with what it brings, and the standby that is then needed.
pub(super) fn mitigations_of(
    measured: &Measured,
    cold: &ColdStart,
    planner: &Planner<'_>,
    request: &PlanRequest,
    replayed_at: impl Fn(f64) -> Option<u32>,
) -> Vec<Mitigation> {
    // As the plan's own standby: at C_hi it is that one.
    let hi = cold.hi_ns.value.as_nanos() as f64;
    let standby_for = |start: Nanos| {
        let factor = (hi > 0.0).then(|| start.as_nanos() as f64 / hi);
        let replayed = factor.and_then(|factor| Some((factor, replayed_at(factor)?)));
        // What can't be carried with another cold start has no number; the plan itself was refused before.
        standby_at(planner, start, replayed).ok()
    };
    mitigations::mitigations(&mitigations::Question {
        measured,
        cold_start: cold,
        cluster: &request.cluster,
        prices: &request.prices,
        standby_for: &standby_for,
    })
}
