//! Which steps a plan has at a given scale, and what each demands of the budget.

use coldstart_profiles::{
    Bytes, ForwardMode, ForwardPlan, JitCache, LimitKind, ModuleLoading, Nanos, PageCache, Phase, StepKind,
    SweepPoint,
};

use super::budget::Demand;
use super::estimate::{CONTAINER, ForwardFacts, PROCESS, at, synthetic_pull};
use super::plan::{Machine, PageCacheFacts, trial_mode};
use super::request::{ImageRequest, Request};
use super::scale::Scale;

/// Steps before they have an order and a share of the budget.
#[derive(Debug)]
pub(super) struct Draft {
    /// One repetition of everything each.
    pub(super) rounds: Vec<Vec<(StepKind, Demand)>>,
    /// What comes after all rounds.
    pub(super) last: Option<(StepKind, Demand)>,
}

impl Draft {
    /// What is needed at least for all steps.
    pub(super) fn least(&self) -> Nanos {
        self.rounds.iter().flatten().chain(&self.last).map(|(_, demand)| demand.least).sum()
    }
}

/// The warm-up analysis needs a curve of this length.
const LEAST_ITERATIONS: u32 = 50;
/// Most curves on a machine with other guests are steady by then.
const USUAL_ITERATIONS: u32 = 120;
/// A warm-up that is not over by then never will be.
const MOST_ITERATIONS: u32 = 500;
/// The median of a sweep point has an interval from 6 samples on; the first few may still warm up.
pub(crate) const LEAST_POINT_ITERATIONS: u32 = 10;
/// A process beside the sweep's is there for its median alone.
pub(crate) const LEAST_STEADY_ITERATIONS: u32 = 8;
/// More iterations narrow the median of one process further than processes agree.
const MOST_STEADY_ITERATIONS: u32 = 50;
/// A certified p99 needs this many.
const MOST_POINT_ITERATIONS: u32 = 662;
/// Time at most for the forward passes of one trial, and of one point of a sweep.
const MOST_TIME: Nanos = Nanos::from_secs(60);
/// Phases that a whole trial passes through.
const STARTS: [Phase; 8] = [
    Phase::ProcessStart,
    Phase::DriverInit,
    Phase::ContextCreate,
    Phase::ModuleLoad,
    Phase::Alloc,
    Phase::WeightsLoad,
    Phase::FirstBatch,
    Phase::WarmUp,
];
/// A pull whose size is not known beforehand.
const UNKNOWN_PULL: Nanos = Nanos::from_secs(10);

/// Everything that has to be known to draft steps.
struct Drafting<'a> {
    request: &'a Request,
    machine: &'a Machine,
    strategies: &'a [String],
    wanted: &'a [Phase],
    scale: &'a Scale,
}

/// The steps for the phases in `wanted` at `scale`.
pub(super) fn draft(
    request: &Request,
    machine: &Machine,
    strategies: &[String],
    wanted: &[Phase],
    scale: &Scale,
) -> Draft {
    let drafting = Drafting { request, machine, strategies, wanted, scale };
    let rounds = scale.trials.max(scale.pulls);
    Draft { rounds: (0..rounds).map(|round| drafting.round(round)).collect(), last: drafting.sweep() }
}

impl Drafting<'_> {
    fn wants(&self, any_of: &[Phase]) -> bool {
        any_of.iter().any(|phase| self.wanted.contains(phase))
    }

    /// The forward pass of a trial, where one is wanted and possible.
    fn forward(&self) -> Option<(ForwardPlan, &ForwardFacts)> {
        let facts = self.machine.model.forward.as_ref().ok()?;
        self.wants(&[Phase::FirstBatch, Phase::WarmUp]).then_some(())?;
        let (mode, batch) = (trial_mode(facts), 1);
        let tokens = *self.scale.prompts.first()?;
        let iteration = facts.iteration(mode, batch, tokens, &self.machine.probe);
        let plan = ForwardPlan {
            mode,
            batch,
            tokens,
            max_iterations: MOST_ITERATIONS,
            max_time_ns: times(iteration, self.iterations()),
        };
        Some((plan, facts))
    }

    /// Iterations that a trial has time for in any case. The rule stops earlier once the state is steady.
    fn iterations(&self) -> u32 {
        if self.request.quick { LEAST_ITERATIONS } else { USUAL_ITERATIONS }
    }

    /// What the forward passes of one trial demand.
    fn forward_demand(&self) -> Demand {
        match self.forward() {
            None => Demand::fixed(Nanos::ZERO),
            Some((plan, _)) => {
                let iteration = Nanos::from_nanos(plan.max_time_ns.as_nanos() / u64::from(self.iterations()));
                // The first batch touches every page of the workspace.
                let least = times(iteration, self.iterations() + 5);
                Demand { least, wanted: times(iteration, MOST_ITERATIONS).min(MOST_TIME).max(least) }
            }
        }
    }

    /// One repetition of everything.
    fn round(&self, round: u32) -> Vec<(StepKind, Demand)> {
        let mut steps = Vec::new();
        if round < self.scale.trials && self.wants(&STARTS) {
            steps.push(self.trial(round));
            steps.extend(self.startups(round));
            steps.extend(self.loads(round));
            steps.extend(self.uploads(round));
        }
        if round < self.scale.trials {
            steps.extend(self.limits(round));
            steps.extend(self.steady_state(round));
        }
        if round < self.scale.containers && self.wants(&[Phase::ContainerStart]) {
            steps.push(self.container(round));
        }
        if round < self.scale.pulls && self.wants(&[Phase::ImagePull]) {
            let demand = match self.request.image {
                ImageRequest::Reference(_) => Demand::fixed(UNKNOWN_PULL),
                ImageRequest::Synthetic(_) => Demand::fixed(synthetic_pull(self.scale.image)),
            };
            steps.push((StepKind::Pull { trial: round }, demand));
        }
        steps
    }

    /// Page-cache states that can be had, the one of whole trials first.
    fn page_caches(&self) -> &'static [PageCache] {
        match self.machine.model.page_cache {
            PageCacheFacts::Evictable => &[PageCache::Cold, PageCache::Warm],
            PageCacheFacts::Memory => &[PageCache::Memory],
        }
    }

    /// What it takes to bring the files into a state and to load them once.
    fn load_demand(&self, verify: bool) -> Demand {
        let bytes = self.machine.model.bytes;
        let probe = &self.machine.probe;
        let read = at(bytes, probe.read_bytes_per_s);
        // Cold: read, copied to the device. Warm: read to warm it first, then copied. Checked: both again.
        let copy = at(
            bytes,
            match &probe.device {
                None => probe.memcpy_bytes_per_s / FRESH,
                Some(device) => device.upload_bytes_per_s,
            },
        );
        let load = read.saturating_add(copy);
        let check = if verify { read.saturating_add(copy) } else { Nanos::ZERO };
        Demand::fixed(self.process().saturating_add(load).saturating_add(check))
    }

    /// Starting a child, until it opens its files; on a GPU with kernels that an earlier one compiled.
    fn process(&self) -> Nanos {
        let device = self.machine.probe.device.as_ref();
        PROCESS.saturating_add(device.map_or(Nanos::ZERO, |device| device.open_ns))
    }

    /// Compiling the kernels.
    fn kernels(&self) -> Nanos {
        self.machine.probe.device.as_ref().map_or(Nanos::ZERO, |device| device.kernels_ns)
    }

    /// Processes that come as far as their kernels, under every other condition than that of whole trials.
    fn startups(&self, trial: u32) -> Vec<(StepKind, Demand)> {
        let wanted = self.wants(&[Phase::DriverInit, Phase::ContextCreate, Phase::ModuleLoad]);
        if self.machine.gpu.is_none() || !wanted {
            return Vec::new();
        }
        let startup = |jit_cache: JitCache, loading: ModuleLoading| {
            let compile = if jit_cache == JitCache::Cold { self.kernels() } else { Nanos::ZERO };
            let demand = Demand::fixed(self.process().saturating_add(compile));
            (StepKind::Startup { trial, jit_cache, loading }, demand)
        };
        let mut steps =
            vec![startup(JitCache::Warm, ModuleLoading::Lazy), startup(JitCache::Warm, ModuleLoading::Eager)];
        if !self.request.quick {
            steps.push(startup(JitCache::Cold, ModuleLoading::Eager));
        }
        steps
    }

    fn trial(&self, trial: u32) -> (StepKind, Demand) {
        let page_cache = self.page_caches()[0];
        let verify = trial == 0;
        let forward = self.forward().map(|(plan, _)| plan);
        let load = self.load_demand(verify);
        let demand = self.forward_demand().plus(load.least).plus(self.kernels());
        let strategy = self.strategies[0].clone();
        (StepKind::Trial { trial, strategy, page_cache, verify, forward }, demand)
    }

    /// Loads under every other condition than that of whole trials.
    fn loads(&self, trial: u32) -> Vec<(StepKind, Demand)> {
        if !self.wants(&[Phase::WeightsLoad]) {
            return Vec::new();
        }
        let mut steps = Vec::new();
        for (s, strategy) in self.strategies.iter().enumerate() {
            for (c, page_cache) in self.page_caches().iter().enumerate() {
                if (s, c) == (0, 0) {
                    continue;
                }
                // Each strategy is checked once; the one of whole trials is checked there.
                let verify = trial == 0 && s > 0 && c == 0;
                let kind =
                    StepKind::Load { trial, strategy: strategy.clone(), page_cache: *page_cache, verify };
                steps.push((kind, self.load_demand(verify)));
            }
        }
        steps
    }

    /// Loads to all devices at once, where there are several.
    fn uploads(&self, trial: u32) -> Vec<(StepKind, Demand)> {
        let count = self.machine.gpu.map_or(1, |gpu| gpu.count);
        if count < 2 || !self.wants(&[Phase::WeightsLoad]) {
            return Vec::new();
        }
        let strategy = &self.strategies[0];
        let upload = |page_cache: &PageCache| {
            let verify = trial == 0 && *page_cache == self.page_caches()[0];
            let one = self.load_demand(verify).least;
            let kind =
                StepKind::Uploads { trial, strategy: strategy.clone(), page_cache: *page_cache, verify };
            // One after the other at worst: disk and cores are shared.
            (kind, Demand::fixed(times(one, u32::try_from(count).unwrap_or(u32::MAX))))
        };
        self.page_caches().iter().map(upload).collect()
    }

    fn container(&self, trial: u32) -> (StepKind, Demand) {
        let page_cache = self.page_caches()[0];
        // What a container adds is at its start: it ends with its first batch.
        let forward = self.forward().map(|(plan, _)| ForwardPlan { max_iterations: 1, ..plan });
        let first = forward.map_or(Nanos::ZERO, |plan| Nanos::from_nanos(plan.max_time_ns.as_nanos() / 10));
        let load = self.load_demand(false);
        let strategy = self.strategies[0].clone();
        let start = CONTAINER.saturating_add(self.kernels());
        let demand = Demand::fixed(load.least.saturating_add(start).saturating_add(first));
        (StepKind::Container { trial, strategy, page_cache, forward }, demand)
    }

    /// Readings of the limits that bound something in this plan. Reads are as unsteady as the disk that they go to, and are
    /// taken in every round; a quick run takes the others, which repeat within their process, in the first round only.
    fn limits(&self, round: u32) -> Vec<(StepKind, Demand)> {
        let bytes = self.machine.model.bytes;
        let probe = &self.machine.probe;
        let most = bytes.min(READ_LIMIT);
        let read = at(most, probe.read_bytes_per_s);
        let mut kinds: Vec<(LimitKind, Nanos)> = Vec::new();
        if self.wants(&[Phase::WeightsLoad]) {
            if self.machine.model.page_cache == PageCacheFacts::Evictable {
                let probes = times(at(bytes.min(DIRECT_PROBE), probe.read_bytes_per_s), DIRECT_PROBES);
                kinds.push((LimitKind::DirectRead, read.saturating_add(probes)));
            }
            let cached = match self.machine.gpu {
                None => LimitKind::CachedRead,
                Some(_) => LimitKind::CachedReadStaged,
            };
            // Read to warm it, then by three ways into fresh memory.
            let copies = times(at(most, probe.memcpy_bytes_per_s / FRESH), 3);
            kinds.push((cached, read.saturating_add(read).saturating_add(copies)));
        }
        let every_limit = round == 0 || !self.request.quick;
        if every_limit && self.wants(&[Phase::WeightsLoad]) {
            kinds.push((LimitKind::Memcpy, Nanos::from_millis(250)));
            match self.machine.gpu {
                None => kinds.push((LimitKind::MemcpyFresh, Nanos::from_millis(450))),
                Some(_) => kinds.extend([
                    (LimitKind::HostToDevice, Nanos::from_secs(2)),
                    (LimitKind::DeviceToHost, Nanos::from_secs(2)),
                ]),
            }
        }
        if every_limit && self.wants(&[Phase::Throughput]) {
            match self.machine.gpu {
                None => kinds.extend([
                    (LimitKind::MemoryRead, Nanos::from_millis(150)),
                    (LimitKind::Gemm, Nanos::from_nanos_f64(10.0 * 2.15e9 / probe.gemm_flops_per_s * 1e9)),
                ]),
                // Each grows its work until it takes milliseconds, whatever the device.
                Some(_) => kinds.extend([
                    (LimitKind::DeviceCopy, Nanos::from_millis(500)),
                    (LimitKind::DeviceRead, Nanos::from_secs(2)),
                    (LimitKind::Gemm, Nanos::from_secs(3)),
                ]),
            }
        }
        if every_limit && self.wants(&[Phase::ImagePull]) {
            kinds.push((LimitKind::InflateGzip, Nanos::from_millis(250)));
            kinds.push((LimitKind::InflateZstd, Nanos::from_millis(150)));
            kinds.push((LimitKind::Sha256, Nanos::from_millis(200)));
        }
        kinds
            .into_iter()
            .map(|(limit, time)| {
                (StepKind::Limit { limit }, Demand::fixed(time.saturating_add(self.process())))
            })
            .collect()
    }

    /// The throughput sweep.
    fn sweep(&self) -> Option<(StepKind, Demand)> {
        let facts = self.machine.model.forward.as_ref().ok()?;
        let counts = (LEAST_POINT_ITERATIONS, MOST_POINT_ITERATIONS);
        let (points, demand) = self.points(&self.scale.points(facts.encoder), counts)?;
        Some((StepKind::Sweep { strategy: self.strategies[0].clone(), points }, demand))
    }

    /// The steady state at the smallest batch of each length and at the largest of the shortest, once more in a process of its own.
    fn steady_state(&self, trial: u32) -> Option<(StepKind, Demand)> {
        let facts = self.machine.model.forward.as_ref().ok()?;
        let counts = (LEAST_STEADY_ITERATIONS, MOST_STEADY_ITERATIONS);
        let (points, demand) = self.points(&self.scale.base_points(facts.encoder), counts)?;
        Some((StepKind::SteadyState { trial, strategy: self.strategies[0].clone(), points }, demand))
    }

    /// Points with what a process that passes through them demands; `counts` are the least and the most iterations of each.
    fn points(
        &self,
        points: &[(ForwardMode, u32, u32)],
        (least, most): (u32, u32),
    ) -> Option<(Vec<SweepPoint>, Demand)> {
        let facts = self.machine.model.forward.as_ref().ok()?;
        (self.wants(&[Phase::Throughput]) && !points.is_empty()).then_some(())?;
        let mut total = Demand::fixed(self.load_demand(false).least);
        let point = |(mode, batch, tokens): &(ForwardMode, u32, u32)| {
            let (mode, batch, tokens) = (*mode, *batch, *tokens);
            let iteration = facts.iteration(mode, batch, tokens, &self.machine.probe);
            // A decode step needs a cache with a prompt in it.
            let fill = match mode {
                ForwardMode::Decode => {
                    facts.iteration(ForwardMode::Prefill, batch, tokens, &self.machine.probe)
                }
                ForwardMode::Prefill | ForwardMode::Encode => Nanos::ZERO,
            };
            let least = times(iteration, least);
            let wanted = times(iteration, most).min(MOST_TIME).max(least);
            total = Demand {
                least: total.least.saturating_add(least).saturating_add(fill),
                wanted: total.wanted.saturating_add(wanted).saturating_add(fill),
            };
            SweepPoint { mode, batch, tokens, max_iterations: most, allowance_ns: least }
        };
        let points = points.iter().map(point).collect();
        Some((points, total))
    }
}

/// Copying into fresh memory is slower by about this factor: every page is touched for the first time.
const FRESH: f64 = 4.0;
/// At most this much of the model is read for a reading of a limit.
const READ_LIMIT: Bytes = Bytes::from_mib(1024);
/// A reading of direct reads tries block sizes and queue depths before, so often and on so much each
/// (`weights::limits::direct_read`).
const DIRECT_PROBES: u32 = 16;
const DIRECT_PROBE: Bytes = Bytes::from_mib(64);

fn times(time: Nanos, count: u32) -> Nanos {
    Nanos::from_nanos(time.as_nanos().saturating_mul(u64::from(count)))
}
