//! How long a new replica takes, in total and by parts.

use coldstart_profiles::stats::{OrderStatistics, Percentile};
use coldstart_profiles::{Key, Nanos, Params, Phase, Profile, TotalKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::by_hand::{ByHand, PullByHand};
use super::combined::combined;
use super::facts::{ImageFacts, storage_of};
use super::pods::PodFacts;
use super::trials::Trials;
use crate::basis::{Basis, Figure, Quantity};
use crate::rollout::serves;

/// Fewer samples carry no 99th percentile at 95 % confidence: n with 0.99ⁿ ≤ 0.05.
const P99_FLOOR: usize = 299;

/// The cold starts of one class of nodes from one storage.
///
/// The spans of one trial stay together. Spans that were measured in trials of their own (the pull of the image; the warm-up,
/// where trials of containers end with their first batch) are added to every trial in every combination: they are
/// independent of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ColdStart {
    /// The storage that the weights came from.
    pub storage: String,
    /// Which phases the trials chain; `null` where the cold start was given by hand.
    pub kind: Option<TotalKind>,
    /// Conditions of the trials.
    pub params: Params,
    /// The phase at whose end the trials' clock stopped; `null` where the cold start was given by hand.
    pub ends_with: Option<Phase>,
    /// How many trials.
    pub trials: usize,
    /// The parts in order, each the median over its trials: medians of parts do not add up to the median of the total.
    pub parts: Vec<ColdPart>,
    /// What no part accounts for, the median over the trials.
    pub unattributed_ns: Nanos,
    /// Where the pull in it comes from.
    pub pull: PullTime,
    /// Every total that was seen: what simulations draw from.
    pub totals_ns: Vec<Nanos>,
    /// C: the median.
    pub median_ns: Figure<Nanos>,
    /// C_hi: the 99th percentile where there are trials enough, else the largest that was seen, or what was given by hand.
    pub hi_ns: Figure<Nanos>,
    /// The largest total without pull: what a probe of a container that starts has to wait for. `null` where no trial was seen.
    pub start_hi_ns: Option<Figure<Nanos>>,
    /// What the trials, their totals and the largest times of parts rest on.
    pub basis: Basis,
}

/// One phase of a cold start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ColdPart {
    /// The phase.
    pub phase: Phase,
    /// The median of its times.
    pub median_ns: Figure<Nanos>,
    /// The largest of its times.
    pub max_ns: Nanos,
}

/// Where the pull in a cold start comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum PullTime {
    /// It was measured, of the user's own image.
    Measured {
        /// The pulls.
        times_ns: Vec<Nanos>,
    },
    /// It follows from a size and a bandwidth that were given by hand.
    Assumed {
        /// Bytes ÷ bandwidth.
        time_ns: Nanos,
    },
    /// It is in the total, in what no part accounts for: one that is added would count twice.
    Unattributed {
        /// Why it can't be told apart.
        why: String,
    },
    /// There is none in the total: the image is taken to be on the node.
    None {
        /// Why.
        why: String,
    },
}

/// A span that is added to every trial.
struct Span {
    phase: Phase,
    times: Vec<Nanos>,
    basis: Basis,
}

impl ColdStart {
    /// The cold start that one profile holds: its trials, with the warm-up where it was measured beside them, and the pull of the user's
    /// image beside trials of containers: between a pull and a process lies the start of a container, which a sum of both would lack.
    /// `None` where no trial came to its end.
    pub fn of_profile(profile: &Profile) -> Option<Self> {
        let profiles = [profile];
        let trials = Trials::of(&profiles)?;
        let pull = match pull(&trials, &profiles, None) {
            (_, Some(_)) if trials.kind != TotalKind::Container => {
                let why = format!("a pull does not come right before the start of a {}", trials.kind.name());
                (PullTime::None { why }, None)
            }
            pull => pull,
        };
        Self::measured(&trials, &profiles, &storage_of(profile), pull)
    }

    /// The cold start behind these profiles of one class and one storage; `None` where there is none and none was given by hand.
    pub(super) fn of(profiles: &[&Profile], storage: &str, by_hand: &ByHand) -> Option<Self> {
        let measured = Trials::of(profiles).and_then(|trials| {
            Self::measured(&trials, profiles, storage, pull(&trials, profiles, by_hand.pull))
        });
        let cold = match (measured, by_hand.cold_p99_ns) {
            (Some(measured), Some(p99)) => measured.with_p99(p99),
            (Some(measured), None) => measured,
            (None, Some(p99)) => Self::assumed(storage, p99),
            (None, None) => return None,
        };
        Some(if by_hand.pull.is_some() { cold.with_unused_pull() } else { cold })
    }

    /// Says so where a pull that was given by hand is not a part of it.
    fn with_unused_pull(mut self) -> Self {
        let why = match &self.pull {
            PullTime::Assumed { .. } if self.is_by_hand() => {
                "only tell the pull from the rest of the cold start: the whole was given with --assume-cold-p99"
            }
            PullTime::Assumed { .. } => return self,
            PullTime::Measured { .. } => "are not used for the cold start: its pull was measured",
            PullTime::Unattributed { .. } => {
                "are not used for the cold start: it holds the pull already, in `unattributed`, and would count it twice"
            }
            PullTime::None { .. } => {
                "are not used for the cold start: the whole of it was given with --assume-cold-p99"
            }
        };
        let caveat = format!("{} {why}", PullByHand::FLAGS.join(" and "));
        for basis in [&mut self.median_ns.basis, &mut self.hi_ns.basis] {
            basis.caveats.push(caveat.clone());
        }
        self
    }

    /// C as replicas usually have it, from which on mitigations and places are told: the median, or what was given by hand in its place.
    pub fn usual_ns(&self) -> &Figure<Nanos> {
        if self.is_by_hand() { &self.hi_ns } else { &self.median_ns }
    }

    /// Whether the whole of it was given by hand.
    pub fn is_by_hand(&self) -> bool {
        self.hi_ns.basis.assumed.iter().any(|flag| flag == COLD_P99)
    }

    fn measured(
        trials: &Trials<'_>,
        profiles: &[&Profile],
        storage: &str,
        (pull, pull_span): (PullTime, Option<Span>),
    ) -> Option<Self> {
        let warm_up = (trials.ends_with == Phase::FirstBatch).then(|| warm_up(profiles)).flatten();
        let spans: Vec<Span> = pull_span.into_iter().chain(warm_up).collect();
        let beside: Vec<&[Nanos]> = spans.iter().map(|span| span.times.as_slice()).collect();
        let totals_ns = combined(trials.totals(), &beside);
        let order = OrderStatistics::new(totals_ns.clone()).ok()?;
        let mut basis = Basis::measured("", [trials.key()], trials.n());
        basis.formula = formula(trials, &spans);
        for span in &spans {
            basis = basis.resting_on(&span.basis);
        }
        let basis = caveats(basis, trials, &pull, &spans);
        let (hi, hi_basis) = tail(&order, trials.n(), &basis);
        let start = OrderStatistics::new(trials.totals_without_pull()).ok()?.max();
        let start_basis = Basis::measured(
            format!("the largest total of {} trials, without the pull of the image", trials.n()),
            [trials.key()],
            trials.n(),
        );
        Some(ColdStart {
            storage: storage.to_owned(),
            kind: Some(trials.kind),
            params: trials.params.clone(),
            ends_with: Some(trials.ends_with),
            trials: trials.n(),
            parts: parts(trials, spans),
            basis: Basis { caveats: Vec::new(), ..basis.clone() },
            unattributed_ns: OrderStatistics::new(trials.unattributed()).ok()?.nearest_rank(Percentile::P50),
            pull,
            median_ns: Figure::new(order.nearest_rank(Percentile::P50), basis),
            hi_ns: Figure::new(hi, hi_basis),
            start_hi_ns: Some(Figure::new(start, start_basis)),
            totals_ns,
        })
    }

    /// What was given by hand takes the place of the tail, and of every total that a simulation draws.
    fn with_p99(mut self, p99: Nanos) -> Self {
        self.hi_ns = Figure::by_hand(p99, COLD_P99);
        self.totals_ns = vec![p99];
        if self.median_ns.value > p99 {
            self.median_ns = Figure::by_hand(p99, COLD_P99);
        }
        self
    }

    /// The same, saying whose pods they are and in what those differ from the machines of their class.
    pub(super) fn of_pods(mut self, pods: &[PodFacts]) -> Self {
        let who = pods.first().map_or_else(String::new, |first| format!(": pods of {}", first.who()));
        for basis in [&mut self.median_ns.basis, &mut self.hi_ns.basis] {
            // What was given by hand is of nobody's pods.
            if basis.n.is_some() {
                basis.formula.push_str(&who);
                let differs = pods.iter().flat_map(|pods| pods.differs.iter().cloned());
                basis.caveats.splice(0..0, differs);
            }
        }
        self
    }

    fn assumed(storage: &str, p99: Nanos) -> Self {
        ColdStart {
            storage: storage.to_owned(),
            kind: None,
            params: Params::new(),
            ends_with: None,
            trials: 0,
            parts: Vec::new(),
            unattributed_ns: Nanos::ZERO,
            pull: PullTime::None { why: format!("the whole cold start was given by hand with {COLD_P99}") },
            totals_ns: vec![p99],
            median_ns: Figure::by_hand(p99, COLD_P99),
            hi_ns: Figure::by_hand(p99, COLD_P99),
            start_hi_ns: None,
            basis: Basis::of("given by hand").assumed(COLD_P99),
        }
    }

    /// The part of one phase.
    pub fn part(&self, phase: Phase) -> Option<&ColdPart> {
        self.parts.iter().find(|part| part.phase == phase)
    }

    /// A condition of its load of weights, such as `staging` or `page_cache`; `None` where nothing says it.
    pub fn load_condition(&self, name: &str) -> Option<&str> {
        let part = self.part(Phase::WeightsLoad);
        let keys = part.map(|part| part.median_ns.basis.keys.as_slice()).unwrap_or_default();
        let key = keys.iter().find(|key| key.phase == Phase::WeightsLoad);
        key.and_then(|key| key.params.get(name)).or_else(|| self.params.get(name))
    }
}

/// The flag of a cold start given by hand.
const COLD_P99: &str = "--assume-cold-p99";

/// The pull in a cold start. One of the synthetic image never is: it says how this engine unpacks, not how long a pull takes.
fn pull(trials: &Trials<'_>, profiles: &[&Profile], by_hand: Option<PullByHand>) -> (PullTime, Option<Span>) {
    let inside = trials.times(Phase::ImagePull);
    if !inside.is_empty() {
        return (PullTime::Measured { times_ns: inside }, None);
    }
    if let Some(why) = hidden(trials) {
        return (PullTime::Unattributed { why }, None);
    }
    if let Some(by_hand) = by_hand {
        let basis = Basis::of("image bytes ÷ registry bandwidth")
            .input("image bytes", Quantity::Bytes(by_hand.image_bytes))
            .input("registry bandwidth", Quantity::BytesPerSecond(by_hand.registry_bytes_per_s));
        let mut basis = PullByHand::FLAGS.into_iter().fold(basis, Basis::assumed);
        basis.caveats.extend(unpacks_slower(profiles, by_hand));
        let span = Span { phase: Phase::ImagePull, times: vec![by_hand.time()], basis };
        return (PullTime::Assumed { time_ns: by_hand.time() }, Some(span));
    }
    let rows = profiles.iter().flat_map(|profile| profile.of_phase(Phase::ImagePull));
    let real = rows.filter(|row| row.key.params.get("source") != Some("synthetic"));
    let (mut keys, mut times) = (Vec::new(), Vec::new());
    for (key, samples) in real.filter_map(|row| Some((&row.key, row.outcome.as_measured()?.0))) {
        keys.push(key.clone());
        times.extend(samples.included());
    }
    if times.is_empty() {
        let why = "no image of yours was pulled: the image is taken to be on the node; measure it with `coldstart run \
                   --image`, or give --image-bytes and --registry-bandwidth";
        return (PullTime::None { why: why.to_owned() }, None);
    }
    let basis = Basis::measured("pulls of the image", keys, times.len());
    let span = Span { phase: Phase::ImagePull, times: times.clone(), basis };
    (PullTime::Measured { times_ns: times }, Some(span))
}

/// Why pods whose image was not told to be there hold a pull that has no part of its own; `None` of other trials.
fn hidden(trials: &Trials<'_>) -> Option<String> {
    if trials.kind != TotalKind::Pod || trials.params.get("image") == Some("present") {
        return None;
    }
    let unattributed = OrderStatistics::new(trials.unattributed()).ok()?.nearest_rank(Percentile::P50);
    Some(format!(
        "a pod's total runs from its creation, so that its pull lies in `unattributed`, {unattributed} by the median, and no event tells it \
         apart: import pods with their events, which a cluster keeps for an hour"
    ))
}

/// That unpacking so many bytes takes longer here than the download that is counted. Where it is quicker it hides behind it.
fn unpacks_slower(profiles: &[&Profile], by_hand: PullByHand) -> Option<String> {
    let image = ImageFacts::of(profiles)?;
    let (compressed, unpacked) = (image.compressed_bytes?.get() as f64, image.unpacked_bytes?.get() as f64);
    let per_s = image.unpack_bytes_per_s? * compressed / unpacked;
    let takes = Nanos::from_nanos_f64(by_hand.image_bytes.get() as f64 / per_s * 1e9);
    (per_s > 0.0 && takes > by_hand.time()).then(|| {
        format!(
            "the pull is counted as the download of --image-bytes, {}; at the {:.1} MB/s of compressed layers that this engine unpacked \
             of {} it would take {takes}: measure it with `coldstart run --image`",
            by_hand.time(),
            per_s / 1e6,
            if image.synthetic { "the synthetic image" } else { "the measured image" },
        )
    })
}

/// The warm-up of trials that do not end with their first batch.
fn warm_up(profiles: &[&Profile]) -> Option<Span> {
    let (mut keys, mut times): (Vec<Key>, Vec<Nanos>) = (Vec::new(), Vec::new());
    for row in profiles.iter().flat_map(|profile| profile.of_phase(Phase::WarmUp)) {
        let Some((samples, _)) = row.outcome.as_measured() else { continue };
        keys.push(row.key.clone());
        times.extend(samples.included());
    }
    let basis = Basis::measured("warm-ups of processes", keys, times.len());
    (!times.is_empty()).then_some(Span { phase: Phase::WarmUp, times, basis })
}

fn formula(trials: &Trials<'_>, spans: &[Span]) -> String {
    let mut text = format!("median over {} trials of a {}'s start", trials.n(), trials.kind.name());
    for span in spans {
        let what = match span.phase {
            Phase::ImagePull => "the pull of the image",
            _ => "the warm-up of a process",
        };
        text.push_str(&format!(", each with {what}"));
    }
    text
}

fn caveats(mut basis: Basis, trials: &Trials<'_>, pull: &PullTime, spans: &[Span]) -> Basis {
    match pull {
        PullTime::None { why } => {
            basis = basis.caveat(format!("the cold start holds no image pull: {why}"));
        }
        PullTime::Unattributed { why } => {
            basis = basis.caveat(format!("the pull of the image has no part of its own: {why}"));
        }
        PullTime::Measured { .. } | PullTime::Assumed { .. } => {}
    }
    basis.caveats.extend(spans.iter().flat_map(|span| span.basis.caveats.iter().cloned()));
    if trials.ends_with == Phase::FirstBatch && !spans.iter().any(|span| span.phase == Phase::WarmUp) {
        basis = basis.caveat("the cold start ends with the first batch: no warm-up was measured");
    }
    if !serves(trials.ends_with) {
        basis = basis.caveat(format!(
            "the cold start ends with {}: no first batch was measured, and it comes on top: measure it with `coldstart run`",
            trials.ends_with
        ));
    }
    if trials.kind == TotalKind::Process {
        basis = basis.caveat(
            "the cold start begins with the process: too few containers were started cold; scheduling and the container come on top",
        );
    }
    basis
}

/// The 99th percentile where there are samples enough, else the largest, with what that is worth.
fn tail(order: &OrderStatistics, n: usize, basis: &Basis) -> (Nanos, Basis) {
    if n >= P99_FLOOR {
        return (
            order.nearest_rank(Percentile::P99),
            Basis { formula: "99th percentile of the same".into(), ..basis.clone() },
        );
    }
    let basis = Basis { formula: format!("the largest of {n} trials"), ..basis.clone() };
    let covers = (1.0 - 0.9_f64.powi(i32::try_from(n).unwrap_or(i32::MAX))) * 100.0;
    let text = format!(
        "C_hi is the largest of {n} trials, which covers the 90th percentile with {covers:.0} % confidence: a 99th percentile \
         needs {P99_FLOOR}, or give --assume-cold-p99"
    );
    (order.max(), basis.caveat(text))
}

/// The parts in cold-start order, those that were added among them.
fn parts(trials: &Trials<'_>, spans: Vec<Span>) -> Vec<ColdPart> {
    let part = |phase, times: Vec<Nanos>, basis: Basis| {
        let order = OrderStatistics::new(times).ok()?;
        let median_ns = Figure::new(order.nearest_rank(Percentile::P50), basis);
        Some(ColdPart { phase, median_ns, max_ns: order.max() })
    };
    let own = trials.phases().into_iter().filter_map(|phase| {
        let times = trials.times(phase);
        let basis = Basis::measured("median over trials", trials.key_of(phase), times.len());
        part(phase, times, basis)
    });
    let mut parts: Vec<ColdPart> = own.collect();
    parts.extend(spans.into_iter().filter_map(|span| part(span.phase, span.times, span.basis)));
    parts.sort_by_key(|part| part.phase);
    parts
}
