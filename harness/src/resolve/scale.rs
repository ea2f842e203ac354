//! How much is measured: the counts and sizes that shrink until a plan fits its budget.

use coldstart_profiles::{Bytes, ForwardMode};

use super::plan::{Machine, longest};
use super::request::{ImageRequest, Request};

/// Counts and sizes of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scale {
    /// Fresh processes for each cold measurement.
    pub(super) trials: u32,
    /// Pulls of the image.
    pub(super) pulls: u32,
    /// Container trials.
    pub(super) containers: u32,
    /// Unpacked size of the synthetic image.
    pub(super) image: Bytes,
    /// Ways of loading, from the default on.
    pub(super) strategies: usize,
    /// Batch sizes of the sweep, ascending.
    pub(super) batches: Vec<u32>,
    /// Prompt lengths of the sweep, ascending.
    pub(super) prompts: Vec<u32>,
    /// Contexts of the sweep's decode steps, ascending.
    pub(super) contexts: Vec<u32>,
}

/// Fewer trials than this say nothing about their spread.
const LEAST_TRIALS: u32 = 3;
/// A fit over batches needs four; two still show whether batching pays.
const LEAST_BATCHES: usize = 2;
/// Ways of loading that are worth more than large batches, and the least that compare anything.
const SEVERAL_STRATEGIES: usize = 4;
const LEAST_STRATEGIES: usize = 2;
/// The synthetic image is not made smaller than this.
const LEAST_IMAGE: Bytes = Bytes::from_mib(16);

/// Scales from what is wanted down to the least: trials to 3, the synthetic image to half and half again, ways of loading to
/// four, the largest batches away, ways of loading to two. What the user named stays.
pub(super) fn ladder(request: &Request, machine: &Machine, strategies: usize) -> Vec<Scale> {
    let mut scale = wanted(request, machine, strategies);
    let mut rungs = vec![scale.clone()];
    while shrink(&mut scale, request) {
        rungs.push(scale.clone());
    }
    rungs
}

/// One step down; `false` at the bottom.
fn shrink(scale: &mut Scale, request: &Request) -> bool {
    let synthetic_size_open =
        matches!(&request.image, ImageRequest::Synthetic(synthetic) if !synthetic.size_given);
    if request.trials.is_none() && scale.trials > LEAST_TRIALS {
        scale.trials -= 1;
        scale.containers = scale.containers.min(scale.trials);
        if request.pull_trials.is_none() {
            scale.pulls = scale.pulls.min(scale.trials);
        }
    } else if synthetic_size_open && scale.image > LEAST_IMAGE {
        scale.image = Bytes::new((scale.image.get() / 2).max(LEAST_IMAGE.get()));
    } else if request.strategies.is_empty() && scale.strategies > SEVERAL_STRATEGIES {
        scale.strategies -= 1;
    } else if request.batches.is_empty() && scale.batches.len() > LEAST_BATCHES {
        scale.batches.pop();
    } else if request.strategies.is_empty() && scale.strategies > LEAST_STRATEGIES {
        scale.strategies -= 1;
    } else {
        return false;
    }
    true
}

/// What is measured when time does not matter.
fn wanted(request: &Request, machine: &Machine, strategies: usize) -> Scale {
    let trials = request.trials.unwrap_or(if request.quick { LEAST_TRIALS } else { 5 });
    let pulls = request.pull_trials.unwrap_or(match request.image {
        ImageRequest::Reference(_) => 1,
        ImageRequest::Synthetic(_) => trials,
    });
    let image = match &request.image {
        ImageRequest::Synthetic(synthetic) if synthetic.size_given => synthetic.image.size_bytes,
        _ => Bytes::from_mib(if request.quick { 32 } else { 128 }),
    };
    let pick = |given: &[u32], quick: &[u32], long: &[u32]| {
        let chosen = match (given.is_empty(), request.quick) {
            (false, _) => given,
            (true, true) => quick,
            (true, false) => long,
        };
        let mut list = chosen.to_vec();
        list.sort_unstable();
        list.dedup();
        list
    };
    let sizes = Sizes::of(machine);
    let [batches, prompts, contexts] = [sizes.batches, sizes.prompts, sizes.contexts];
    Scale {
        trials,
        pulls,
        containers: trials.min(LEAST_TRIALS),
        image,
        strategies,
        batches: pick(&request.batches, batches.0, batches.1),
        prompts: fitting(pick(&request.prompts, prompts.0, prompts.1), machine),
        contexts: fitting(pick(&request.contexts, contexts.0, contexts.1), machine),
    }
}

/// Sizes of the sweep that the user left open: those of a quick run, and of a long one. At least three prompt lengths and two
/// contexts: a fit over tokens needs them. A long one has four lengths, so that others can interpolate between them by cubic splines.
struct Sizes {
    batches: (&'static [u32], &'static [u32]),
    prompts: (&'static [u32], &'static [u32]),
    contexts: (&'static [u32], &'static [u32]),
}

/// A GPU that multiplies slower than this is none: a stand-in or an emulation, for which every token counts.
const SLOWEST_GPU: f64 = 50e9;

impl Sizes {
    fn of(machine: &Machine) -> Sizes {
        match machine.gpu {
            None => Sizes {
                batches: (&[1, 4], &[1, 2, 4, 8]),
                prompts: (&[8, 16, 32], &[16, 32, 64, 128]),
                contexts: (&[32, 128], &[64, 256]),
            },
            Some(_) if machine.probe.gemm_flops_per_s < SLOWEST_GPU => Sizes {
                batches: (&[1, 2], &[1, 2]),
                prompts: (&[2, 4, 8], &[2, 4, 6, 8]),
                contexts: (&[4, 8], &[4, 8]),
            },
            Some(_) => Sizes {
                batches: (&[1, 8], &[1, 2, 4, 8, 16, 32]),
                prompts: (&[128, 512, 1024], &[128, 512, 1024, 2048]),
                contexts: (&[512, 2048], &[512, 2048]),
            },
        }
    }
}

/// Lengths that the model takes, with room for one more token; its longest where it takes none of them.
fn fitting(lengths: Vec<u32>, machine: &Machine) -> Vec<u32> {
    let Ok(facts) = &machine.model.forward else { return lengths };
    let longest = longest(facts);
    let mut fitting: Vec<u32> = lengths.into_iter().map(|length| length.min(longest)).collect();
    fitting.dedup();
    fitting
}

impl Scale {
    /// The points of the sweep, in ascending order of work: mode, batch, tokens.
    pub(super) fn points(&self, encoder: bool) -> Vec<(ForwardMode, u32, u32)> {
        let grid = |mode: ForwardMode, lengths: &[u32]| {
            let pairs =
                lengths.iter().flat_map(|tokens| self.batches.iter().map(move |batch| (*batch, *tokens)));
            pairs.map(|(batch, tokens)| (mode, batch, tokens)).collect::<Vec<_>>()
        };
        if encoder {
            grid(ForwardMode::Encode, &self.prompts)
        } else {
            [grid(ForwardMode::Prefill, &self.prompts), grid(ForwardMode::Decode, &self.contexts)].concat()
        }
    }

    /// The points that are cheap enough for every round: those with the smallest batch, and those of the shortest length with
    /// the largest batch, since some regressions show in batches only.
    pub(super) fn base_points(&self, encoder: bool) -> Vec<(ForwardMode, u32, u32)> {
        let (smallest, largest) = (self.batches.first(), self.batches.last());
        let mut points = self.points(encoder);
        let shortest = |mode: ForwardMode| {
            let lengths = if mode == ForwardMode::Decode { &self.contexts } else { &self.prompts };
            lengths.first().copied()
        };
        points.retain(|(mode, batch, tokens)| {
            Some(batch) == smallest || (Some(batch) == largest && Some(*tokens) == shortest(*mode))
        });
        points
    }
}
