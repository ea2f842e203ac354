//! A run as a 2-core machine would give it, built in code: no clock, the same to the digit every time.

mod cold_starts;
mod gpu;
mod pulls;
mod sweep;
mod target;
mod telemetry;

use coldstart_decisions::judge_fitness;
use coldstart_profiles::{
    CanaryReading, Caveat, Contention, Fitness, ForwardMode, Nanos, Profile, RunState, SweepPoint, Tool,
};

pub(crate) use gpu::on_cuda;
pub(crate) use target::plan;

/// Times in milliseconds.
pub(crate) fn ms(millis: f64) -> Nanos {
    Nanos::from_nanos_f64(millis * 1e6)
}

/// Noise that repeats: factors within ±`spread` of 1, from a linear congruential generator (Knuth's MMIX).
pub(crate) struct Noise(pub(crate) u64);

impl Noise {
    pub(crate) fn factor(&mut self, spread: f64) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        1.0 + spread * ((self.0 >> 33) as f64 / f64::from(1_u32 << 31) * 2.0 - 1.0)
    }
}

/// A profile without anything measured.
pub(crate) fn empty() -> Profile {
    let mut profile = Profile::begin(
        Tool { name: "coldstart".into(), version: "0.1.0".into(), method: 1 },
        "2026-11-24T13:40:00Z".into(),
        target::target(),
        plan(),
    );
    profile.derive();
    profile
}

/// The same run on a GPU that a stand-in plays, with telemetry; it got hot in the last two trials.
pub(crate) fn on_a_gpu() -> Profile {
    let mut profile = complete();
    telemetry::add(&mut profile);
    profile.derive();
    for Caveat { code, text } in judge_fitness(&profile) {
        profile.caveat(&code, text);
    }
    profile
}

/// The same with a fourth prompt length, so that a cubic curve goes through the prefills of single sequences.
pub(crate) fn swept() -> Profile {
    let mut profile = complete();
    let longest = SweepPoint {
        mode: ForwardMode::Prefill,
        batch: 1,
        tokens: 1024,
        max_iterations: 662,
        allowance_ns: ms(1_050.0),
    };
    sweep::add_points(&mut profile, &mut Noise(11), vec![longest]);
    profile.derive();
    profile
}

/// A whole run: five cold starts, loads by three strategies, pulls, containers, a sweep; one trial was killed.
pub(crate) fn complete() -> Profile {
    let mut profile = empty();
    let mut noise = Noise(7);
    profile.state = RunState::Complete;
    profile.done = profile.plan.steps.iter().map(|step| step.id.clone()).collect();
    profile.elapsed_ns = ms(71_240.0);
    profile.limits = target::limits(&mut noise);
    cold_starts::add(&mut profile, &mut noise);
    pulls::add(&mut profile, &mut noise);
    sweep::add(&mut profile, &mut noise);
    sweep::add_processes(&mut profile, &mut noise);
    profile.fitness = Fitness {
        load_average_before: Some(0.08),
        load_average_after: Some(1.71),
        canary: ["before", "after"]
            .map(|when| CanaryReading { when: when.into(), copy_ns: ms(6.12), gemm_ns: ms(2.31) })
            .into(),
        contention: Some(Contention {
            processors: 2,
            watched_ns: ms(103_300.0),
            busy_ns: ms(61_980.0),
            own_ns: ms(61_010.0),
            stolen_ns: ms(120.0),
        }),
    };
    profile.derive();
    profile.caveat(
        "synthetic_pull",
        "the image came from a registry on the loopback address: its pull says how fast this engine unpacks, not how long a user's pull takes",
    );
    profile
}
