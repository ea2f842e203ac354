//! From a request and a machine to a plan. Pure: no clock, no file, no engine.

use coldstart_profiles::{
    Bytes, EngineTarget, ForwardMode, ImageSource, ImageSpec, ModelSpec, Nanos, Phase, Plan, Probe,
    SkippedPhase, Step, StepKind,
};
use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;

use super::budget::{Demand, share_out};
use super::draft::{Draft, draft};
use super::error::ResolveError;
use super::estimate::ForwardFacts;
use super::request::{ImageRequest, Request};
use super::scale::{Scale, ladder};

/// What a plan needs to know of the machine.
#[derive(Debug, Clone)]
pub struct Machine {
    /// The engine, or why there is none to use.
    pub engine: Result<EngineFacts, String>,
    /// The model.
    pub model: ModelFacts,
    /// Ways of loading on this device, the default first.
    pub strategies: Vec<String>,
    /// A quick look at rates.
    pub probe: Probe,
    /// The GPUs; `None` on the host device.
    pub gpu: Option<Gpus>,
}

/// What a plan needs to know of the GPUs beside their rates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gpus {
    /// How many are measured together.
    pub count: usize,
}

/// What a plan needs to know of an engine.
#[derive(Debug, Clone)]
pub struct EngineFacts {
    /// What it is.
    pub target: EngineTarget,
    /// Whether it can take zstd layers.
    pub takes_zstd: bool,
    /// Whether it can give GPUs to a container.
    pub gpus: bool,
    /// Why containers of our own can't be started there; `None` if they can.
    pub no_containers: Option<String>,
}

/// What a plan needs to know of a model.
#[derive(Debug, Clone)]
pub struct ModelFacts {
    /// Where it comes from.
    pub spec: ModelSpec,
    /// Bytes of all tensors.
    pub bytes: Bytes,
    /// What a forward pass costs, or why there is none.
    pub forward: Result<ForwardFacts, String>,
    /// What is known of its page cache.
    pub page_cache: PageCacheFacts,
}

/// What is known of the page cache of a model's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PageCacheFacts {
    /// The files can be evicted, and it can be seen that they were.
    Evictable,
    /// The files live in memory (tmpfs): there is no cold state.
    Memory,
}

/// Time of a run without `--budget`.
const BUDGET: Nanos = Nanos::from_secs(90);
/// Time of a quick run without `--budget`.
const BUDGET_QUICK: Nanos = Nanos::from_secs(20);
/// Time of a run on a GPU without `--budget`: models are larger, and every process makes a context.
const BUDGET_GPU: Nanos = Nanos::from_secs(600);
/// Time of a quick run on a GPU without `--budget`.
const BUDGET_GPU_QUICK: Nanos = Nanos::from_secs(60);
/// What goes on around the steps: describing the machine, writing the profile after each, printing.
const OVERHEAD: Nanos = Nanos::from_millis(500);

/// Decides everything that a run does.
///
/// Counts and sizes that the user left open shrink, in the order of the ladder of scales, until what is needed at least fits the
/// budget; what is left of it is shared out over the steps.
///
/// # Errors
/// When a strategy does not exist, when nothing of what was asked for can be measured here, or when a budget that the
/// user gave is too short for the least counts. A default budget that is too short is passed instead, and the plan's
/// estimate says so.
pub fn plan(request: &Request, machine: &Machine) -> Result<Plan, ResolveError> {
    let strategies = strategies(request, machine)?;
    check_lengths(request, machine)?;
    let skipped = skipped(request, machine);
    let wanted: Vec<Phase> = request
        .phases
        .iter()
        .copied()
        .filter(|phase| skipped.iter().all(|skip| skip.phase != *phase))
        .collect();
    if wanted.is_empty() {
        let why =
            skipped.iter().map(|skip| format!("{}: {}", skip.phase, skip.why)).collect::<Vec<_>>().join("; ");
        return Err(ResolveError::Nothing { why });
    }
    let budget = request.budget.unwrap_or(match (machine.gpu, request.quick) {
        (None, false) => BUDGET,
        (None, true) => BUDGET_QUICK,
        (Some(_), false) => BUDGET_GPU,
        (Some(_), true) => BUDGET_GPU_QUICK,
    });
    let usable = budget.saturating_sub(OVERHEAD);
    let mut chosen: Option<(Scale, Draft)> = None;
    for scale in ladder(request, machine, strategies.len()) {
        let used = &strategies[..scale.strategies.clamp(1, strategies.len())];
        let draft = draft(request, machine, used, &wanted, &scale);
        let fits = draft.least() <= usable;
        chosen = Some((scale, draft));
        if fits {
            break;
        }
    }
    let (scale, draft) =
        chosen.ok_or_else(|| ResolveError::Nothing { why: "the plan is empty".to_owned() })?;
    if request.budget.is_some() && draft.least() > usable {
        return Err(ResolveError::Budget {
            budget,
            least: draft.least().saturating_add(OVERHEAD),
            least_counts: format!("{} trials, 50 iterations each", scale.trials),
        });
    }
    Ok(Plan {
        seed: request.seed,
        quick: request.quick,
        budget_ns: budget,
        device: request.device.to_string(),
        model: machine.model.spec.clone(),
        image: image(request, &wanted, &scale),
        phases: request.phases.clone(),
        trials: scale.trials,
        trial_timeout_ns: request.trial_timeout,
        strategy: strategies[0].clone(),
        probe: machine.probe.clone(),
        steps: steps(draft, usable, request.seed),
        skipped,
    })
}

/// The strategies to use, the one of whole trials first; never empty.
fn strategies(request: &Request, machine: &Machine) -> Result<Vec<String>, ResolveError> {
    if let Some(name) = request.strategies.iter().find(|name| !machine.strategies.contains(name)) {
        return Err(ResolveError::Strategy { name: name.clone(), known: machine.strategies.join(", ") });
    }
    if !request.strategies.is_empty() {
        let mut chosen: Vec<String> = Vec::new();
        for name in &request.strategies {
            if !chosen.contains(name) {
                chosen.push(name.clone());
            }
        }
        return Ok(chosen);
    }
    let count = if request.quick { 2 } else { machine.strategies.len() };
    Ok(machine.strategies.iter().take(count.max(1)).cloned().collect())
}

/// That the model takes the lengths that the user named.
fn check_lengths(request: &Request, machine: &Machine) -> Result<(), ResolveError> {
    let Ok(facts) = &machine.model.forward else { return Ok(()) };
    let longest = longest(facts);
    for (what, lengths) in [("prompts", &request.prompts), ("contexts", &request.contexts)] {
        if let Some(asked) = lengths.iter().copied().find(|length| *length > longest) {
            return Err(ResolveError::Length { what, asked, longest });
        }
    }
    Ok(())
}

/// The longest sequence that leaves room for one more token.
pub(super) fn longest(facts: &ForwardFacts) -> u32 {
    facts.max_tokens.saturating_sub(1).max(1)
}

/// Phases that were asked for and can't be measured here.
fn skipped(request: &Request, machine: &Machine) -> Vec<SkippedPhase> {
    let why = |phase: Phase| -> Option<String> {
        match phase {
            Phase::DriverInit | Phase::ContextCreate | Phase::ModuleLoad => {
                machine.gpu.is_none().then(|| "the host device has none".to_owned())
            }
            Phase::FirstBatch | Phase::WarmUp | Phase::Throughput => {
                machine.model.forward.as_ref().err().cloned()
            }
            Phase::ImagePull => match &machine.engine {
                Err(why) => Some(why.clone()),
                Ok(engine) => no_pull(request, engine),
            },
            Phase::ContainerStart => match &machine.engine {
                Err(why) => Some(why.clone()),
                Ok(engine) => no_container(machine, engine),
            },
            Phase::ProcessStart | Phase::Alloc | Phase::WeightsLoad => None,
            Phase::Scheduling | Phase::Readiness => Some("only a cluster tells it".to_owned()),
        }
    };
    request
        .phases
        .iter()
        .filter_map(|phase| Some(SkippedPhase { phase: *phase, why: why(*phase)? }))
        .collect()
}

/// Why a container of our own can't be started, or can't see the GPU.
fn no_container(machine: &Machine, engine: &EngineFacts) -> Option<String> {
    let blind = machine.gpu.is_some() && !engine.gpus;
    engine.no_containers.clone().or_else(|| {
        blind.then(|| {
            "the engine gives no GPU to a container: install the NVIDIA Container Toolkit and run `nvidia-ctk runtime configure`"
                .to_owned()
        })
    })
}

/// Why the synthetic image can't be pulled by this engine. (A user's image is asked for when its turn comes.)
fn no_pull(request: &Request, engine: &EngineFacts) -> Option<String> {
    let ImageRequest::Synthetic(synthetic) = &request.image else { return None };
    if !engine.target.local {
        return Some("the engine runs on another machine, which can't reach the synthetic registry on this one's loopback address: give `--image`".to_owned());
    }
    (synthetic.image.codec == "zstd" && !engine.takes_zstd).then(|| {
        format!(
            "Docker Engine {} can't take zstd layers (23.0 can): use `--image-codec gzip`",
            engine.target.version
        )
    })
}

/// The image of the plan.
fn image(request: &Request, wanted: &[Phase], scale: &Scale) -> Option<ImageSpec> {
    wanted.contains(&Phase::ImagePull).then(|| match &request.image {
        ImageRequest::Reference(reference) => {
            ImageSpec { source: ImageSource::Reference, reference: reference.clone(), synthetic: None }
        }
        ImageRequest::Synthetic(synthetic) => ImageSpec {
            source: ImageSource::Synthetic,
            reference: "coldstart/synthetic".to_owned(),
            synthetic: Some(coldstart_profiles::SyntheticImage {
                size_bytes: scale.image,
                ..synthetic.image.clone()
            }),
        },
    })
}

/// The steps in their order, each with its share of the budget: rounds of one repetition of everything, shuffled by the
/// seed so that no variant always comes first, and the sweep at the end.
fn steps(draft: Draft, budget: Nanos, seed: u64) -> Vec<Step> {
    let mut drafts: Vec<(StepKind, Demand)> = Vec::new();
    for (round, mut steps) in draft.rounds.into_iter().enumerate() {
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ (round as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        steps.shuffle(&mut rng);
        drafts.extend(steps);
    }
    drafts.extend(draft.last);
    let demands: Vec<Demand> = drafts.iter().map(|(_, demand)| *demand).collect();
    let shares = share_out(budget, &demands);
    // So that the estimates of all steps are what the run takes, and are over the budget where `least` did not fit.
    let around = Nanos::from_nanos(OVERHEAD.as_nanos() / (drafts.len() as u64).max(1));
    drafts
        .into_iter()
        .zip(shares)
        .enumerate()
        .map(|(index, ((mut kind, demand), share))| {
            // What a step does besides its forward passes takes its time whatever the share.
            let spare = share.saturating_sub(demand.least);
            grant(&mut kind, spare);
            Step {
                id: format!("{index:03}-{}", slug(&kind)),
                kind,
                estimate_ns: demand.least.saturating_add(half(spare)).saturating_add(around),
                allowance_ns: share,
            }
        })
        .collect()
}

/// Steady series end before their caps more often than not.
fn half(time: Nanos) -> Nanos {
    Nanos::from_nanos(time.as_nanos() / 2)
}

/// Gives the time beyond the least to the step's forward passes.
fn grant(kind: &mut StepKind, spare: Nanos) {
    match kind {
        StepKind::Trial { forward: Some(forward), .. }
        | StepKind::Container { forward: Some(forward), .. } => {
            forward.max_time_ns = forward.max_time_ns.saturating_add(spare);
        }
        StepKind::Sweep { points, .. } | StepKind::SteadyState { points, .. } => {
            let share = Nanos::from_nanos(spare.as_nanos() / (points.len() as u64).max(1));
            for point in points {
                point.allowance_ns = point.allowance_ns.saturating_add(share);
            }
        }
        _ => {}
    }
}

/// A short name of what a step does.
fn slug(kind: &StepKind) -> String {
    match kind {
        StepKind::Limit { limit } => format!("limit-{limit}"),
        StepKind::Trial { trial, strategy, page_cache, .. } => {
            format!("trial-{strategy}-{page_cache}-{trial}")
        }
        StepKind::Startup { trial, jit_cache, loading } => format!("startup-{jit_cache}-{loading}-{trial}"),
        StepKind::Load { trial, strategy, page_cache, .. } => format!("load-{strategy}-{page_cache}-{trial}"),
        StepKind::Uploads { trial, strategy, page_cache, .. } => {
            format!("uploads-{strategy}-{page_cache}-{trial}")
        }
        StepKind::Pull { trial } => format!("pull-{trial}"),
        StepKind::Container { trial, .. } => format!("container-{trial}"),
        StepKind::Sweep { .. } => "sweep".to_owned(),
        StepKind::SteadyState { trial, .. } => format!("steady-state-{trial}"),
    }
}

/// What one forward pass of this model does in a trial.
pub(super) fn trial_mode(facts: &ForwardFacts) -> ForwardMode {
    if facts.encoder { ForwardMode::Encode } else { ForwardMode::Prefill }
}
