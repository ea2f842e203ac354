//! The cold start with each mitigation, from measured parts.

use coldstart_profiles::{Bytes, LimitKind, Nanos, Phase, TotalKind};

use super::{Cost, HOURS_PER_MONTH, MitigationKind, Question};
use crate::basis::{Basis, Figure, Quantity};
use crate::measured::{LimitRate, LoadRate, PullTime};

/// What could be found out about a mitigation.
pub(super) struct Found {
    pub(super) cold_start_ns: Figure<Nanos>,
    pub(super) cost: Cost,
}

/// Why nothing could be.
pub(super) enum Lack {
    /// A measurement is missing.
    Measurement { phase: Phase, why: String },
    /// It would change nothing.
    Effect { why: String },
}

type Answer = Result<Found, Lack>;

/// Phases that a process of a pre-warmed pool has behind it.
const BEHIND_THE_POOL: [Phase; 7] = [
    Phase::Scheduling,
    Phase::ImagePull,
    Phase::ContainerStart,
    Phase::ProcessStart,
    Phase::DriverInit,
    Phase::ContextCreate,
    Phase::ModuleLoad,
];

pub(super) fn predict(question: &Question<'_>, kind: MitigationKind) -> Answer {
    match kind {
        MitigationKind::WarmStandby => warm_standby(question),
        MitigationKind::SmallerImage => smaller_image(question),
        MitigationKind::ZstdImage => zstd_image(question),
        MitigationKind::PreloadedStorage => preloaded(question),
        MitigationKind::PreWarmedPool => pool(question),
        MitigationKind::KeptJitCache => kept_jit(question),
        MitigationKind::OverlapReadAndContext => overlap(question),
    }
}

/// C less what is saved: where C was given by hand, less what the measured parts of it are. Medians of parts don't add up to the median of the total, so no more is taken away than there is.
fn less(question: &Question<'_>, saved: Nanos, basis: Basis) -> Figure<Nanos> {
    let cold = question.cold_start.usual_ns();
    let basis = Basis { formula: format!("C − {}", basis.formula), ..basis };
    let basis = basis.input("C", Quantity::Nanos(cold.value)).resting_on(&cold.basis);
    Figure::new(cold.value.saturating_sub(saved), basis)
}

fn lacking<T>(phase: Phase, why: &str) -> Result<T, Lack> {
    Err(Lack::Measurement { phase, why: why.to_owned() })
}

fn nothing(why: impl Into<String>) -> Answer {
    Err(Lack::Effect { why: why.into() })
}

/// The price of so many replicas that are always up.
fn replicas(question: &Question<'_>, replicas: Option<&Figure<u32>>) -> Cost {
    let Some(replicas) = replicas else {
        return Cost::Unpriced {
            why: "how many it takes follows from the traffic, and none was given".to_owned(),
        };
    };
    let Some(hour) = question.prices.replica_hour else {
        return Cost::Unpriced { why: "the price of a replica: give --replica-hour".to_owned() };
    };
    let basis = Basis::of("replicas × 730 h × price of a replica-hour")
        .input("replicas", Quantity::Count(u64::from(replicas.value)))
        .resting_on(&replicas.basis)
        .input("price", Quantity::Number(hour))
        .assumed("--replica-hour");
    Cost::PerMonth { amount: Figure::new(f64::from(replicas.value) * HOURS_PER_MONTH * hour, basis) }
}

fn warm_standby(question: &Question<'_>) -> Answer {
    let standby = (question.standby_for)(question.cold_start.hi_ns.value);
    if standby.as_ref().is_some_and(|standby| standby.value == 0) {
        return nothing("the traffic grows by nothing that the running replicas can't carry");
    }
    let basis = Basis::of(
        "0: the replica is ready before the traffic is, as long as growth stays within the chosen quantile",
    )
    .resting_on(&question.cold_start.usual_ns().basis);
    Ok(Found { cold_start_ns: Figure::new(Nanos::ZERO, basis), cost: replicas(question, standby.as_ref()) })
}

/// The median pull in the cold start.
fn pull(question: &Question<'_>) -> Result<Figure<Nanos>, Lack> {
    let part = question.cold_start.part(Phase::ImagePull);
    match (part, &question.cold_start.pull) {
        (Some(part), _) => Ok(part.median_ns.clone()),
        (None, PullTime::None { why } | PullTime::Unattributed { why }) => lacking(Phase::ImagePull, why),
        (None, _) => lacking(Phase::ImagePull, "the cold start holds no pull of an image"),
    }
}

fn smaller_image(question: &Question<'_>) -> Answer {
    let pull = pull(question)?;
    let saved = Nanos::from_nanos(pull.value.as_nanos() / 2);
    let basis = Basis::of("½·pull: a pull is taken to take as long as its bytes are many")
        .input("pull", Quantity::Nanos(pull.value))
        .resting_on(&pull.basis)
        .caveat("half of the bytes is an example, not a measurement");
    Ok(Found { cold_start_ns: less(question, saved, basis), cost: Cost::Free })
}

fn limit<'q>(question: &'q Question<'_>, kind: LimitKind) -> Option<&'q LimitRate> {
    question.measured.limits.iter().find(|limit| limit.kind == kind)
}

fn zstd_image(question: &Question<'_>) -> Answer {
    let pull = pull(question)?;
    // The synthetic image says how fast this node inflates, and nothing of what is in another image.
    let image = question.measured.image.as_ref().filter(|image| !image.synthetic);
    if image.is_none() {
        let name = question.measured.pods.first().map_or("", |pods| pods.image.as_str());
        let measure = format!("measure it with `coldstart run --image {name}").trim_end().to_owned();
        let why = format!("the compression and the unpacked size of your image are not known: {measure}`");
        return lacking(Phase::ImagePull, &why);
    }
    match image.and_then(|image| image.codec.as_deref()) {
        Some("zstd") => return nothing("its layers are compressed with zstd already"),
        Some("gzip") => {}
        _ => {
            return lacking(
                Phase::ImagePull,
                "the compression of the image's layers is not known: its manifest was not read",
            );
        }
    }
    let Some(unpacked) = image.and_then(|image| image.unpacked_bytes) else {
        return lacking(Phase::ImagePull, "the unpacked size of the image was not told");
    };
    let rates = (limit(question, LimitKind::InflateGzip), limit(question, LimitKind::InflateZstd));
    let (Some(gzip), Some(zstd)) = rates else {
        return lacking(
            Phase::ImagePull,
            "limits `inflate_gzip` and `inflate_zstd` were not measured: run all phases with an engine in reach",
        );
    };
    let time = |rate: f64| unpacked.get() as f64 / rate * 1e9;
    let gain = time(gzip.per_s.value) - time(zstd.per_s.value);
    if gain <= 0.0 {
        return nothing("one core inflates gzip as fast as zstd here");
    }
    // What inflating does not take of the unpacking is writing, which stays; and of the pull only that part gets shorter that waited for
    // nothing but the unpacking.
    let unpacking = image
        .and_then(|image| image.unpack_bytes_per_s)
        .map_or(pull.value, |rate| Nanos::from_nanos_f64(time(rate)));
    let share = image.and_then(|image| image.unpack_share).unwrap_or(1.0);
    let spared = (gain / unpacking.as_nanos().max(1) as f64).min(1.0);
    let saved = Nanos::from_nanos_f64(pull.value.as_nanos() as f64 * share * spared);
    let basis = Basis::of("pull · share · min(1, (unpacked ÷ gzip − unpacked ÷ zstd) ÷ unpacking): one core inflates")
        .input("pull", Quantity::Nanos(pull.value))
        .input("share", Quantity::Share(share))
        .input("unpacked", Quantity::Bytes(unpacked))
        .input("gzip", Quantity::BytesPerSecond(gzip.per_s.value))
        .input("zstd", Quantity::BytesPerSecond(zstd.per_s.value))
        .input("unpacking", Quantity::Nanos(unpacking))
        .resting_on(&pull.basis)
        .resting_on(&gzip.per_s.basis)
        .resting_on(&zstd.per_s.basis)
        .caveat("share is that of unpacking on the critical path of the measured pulls; zstd's layers are taken to be as large");
    Ok(Found { cold_start_ns: less(question, saved, basis), cost: Cost::Free })
}

fn preloaded(question: &Question<'_>) -> Answer {
    let Some(load) = question.measured.load_within(question.cold_start) else {
        return lacking(Phase::WeightsLoad, "the cold start holds no load of weights of its own");
    };
    let loading = question.measured.loading(question.cold_start);
    let from = loading.load_condition("page_cache").unwrap_or("cold");
    if from != "cold" {
        return nothing("the weights of the cold start came from memory already");
    }
    // Loads by themselves, staged alike: a cold start's own load has more around it.
    let Some(warm) = alone(question, "warm", loading.load_condition("staging")) else {
        return lacking(
            Phase::WeightsLoad,
            "weights_load{page_cache=warm} was not measured with the strategy of the cold start: leave `--strategies` and `--phases` out",
        );
    };
    let Some(read) = alone(question, from, Some(&warm.staging)) else {
        return lacking(
            Phase::WeightsLoad,
            "weights_load{page_cache=cold} was not measured with the strategy of the cold start: leave `--strategies` and `--phases` out",
        );
    };
    let (cached, cold) = (warm.median_ns.value.as_nanos() as f64, read.median_ns.value.as_nanos() as f64);
    let share = if cold > 0.0 { 1.0 - cached / cold } else { 0.0 };
    if share <= 0.0 {
        return nothing("a load from the page cache takes as long as one from the storage");
    }
    let saved = Nanos::from_nanos_f64(load.value.as_nanos() as f64 * share);
    let basis = Basis::of("load · (1 − t_warm ÷ t_cold) of loads by themselves")
        .input("load", Quantity::Nanos(load.value))
        .input("t_warm", Quantity::Nanos(warm.median_ns.value))
        .input("t_cold", Quantity::Nanos(read.median_ns.value))
        .resting_on(&load.basis)
        .resting_on(&warm.median_ns.basis)
        .resting_on(&read.median_ns.basis);
    let basis = Basis { caveats: load.basis.caveats, ..basis };
    let cost = disk(question, warm.bytes);
    Ok(Found { cold_start_ns: less(question, saved, basis), cost })
}

/// The fastest load by itself in this state of the page cache, from the storage of the cold start where one was measured there.
fn alone<'q>(question: &'q Question<'_>, page_cache: &str, staging: Option<&str>) -> Option<&'q LoadRate> {
    let loads = &question.measured.loads;
    let storage = question.measured.loading(question.cold_start).storage.as_str();
    let here = loads.iter().any(|load| load.storage == storage);
    let fit = loads.iter().filter(|load| {
        load.page_cache == page_cache
            && staging.is_none_or(|staging| load.staging == staging)
            && (!here || load.storage == storage)
    });
    fit.min_by_key(|load| load.median_ns.value)
}

/// A copy of the weights on every node, of which the page cache is filled.
fn disk(question: &Question<'_>, bytes: Bytes) -> Cost {
    let (Some(nodes), Some(price)) = (question.cluster.nodes, question.prices.disk_gb_month) else {
        let why = "a copy on each node: give --nodes and --disk-gb-month";
        return Cost::Unpriced { why: why.to_owned() };
    };
    let amount = f64::from(nodes) * bytes.get() as f64 / 1e9 * price;
    let basis = Basis::of("nodes × GB × price of a GB-month")
        .input("nodes", Quantity::Count(u64::from(nodes)))
        .input("bytes", Quantity::Bytes(bytes))
        .input("price", Quantity::Number(price))
        .assumed("--nodes")
        .assumed("--disk-gb-month");
    Cost::PerMonth { amount: Figure::new(amount, basis) }
}

fn pool(question: &Question<'_>) -> Answer {
    let parts = question.cold_start.parts.iter().filter(|part| BEHIND_THE_POOL.contains(&part.phase));
    let (mut saved, mut basis) = (Nanos::ZERO, Basis::of("what a waiting process has behind it"));
    for part in parts {
        saved = saved.saturating_add(part.median_ns.value);
        basis = basis
            .input(part.phase.name(), Quantity::Nanos(part.median_ns.value))
            .resting_on(&part.median_ns.basis);
    }
    if saved == Nanos::ZERO {
        return lacking(Phase::ProcessStart, "no part of the cold start before its weights was measured");
    }
    let cold_start_ns = less(question, saved, basis);
    let members = (question.standby_for)(question.cold_start.hi_ns.value);
    if members.as_ref().is_some_and(|members| members.value == 0) {
        return nothing(
            "the traffic grows by nothing that the running replicas can't carry: the pool would have no member",
        );
    }
    let cost = match replicas(question, members.as_ref()) {
        Cost::PerMonth { amount } => {
            let caveat = "a member holds its device: one pool for several models shares this price";
            Cost::PerMonth { amount: Figure::new(amount.value, amount.basis.caveat(caveat)) }
        }
        other => other,
    };
    Ok(Found { cold_start_ns, cost })
}

/// That the host device has no such thing.
fn needs_gpu(question: &Question<'_>, what: &str) -> Result<(), Lack> {
    match question.measured.class.on_host() {
        true => Err(Lack::Effect { why: format!("the host device has no {what}") }),
        false => Ok(()),
    }
}

fn kept_jit(question: &Question<'_>) -> Answer {
    needs_gpu(question, "kernels to compile")?;
    let jit = &question.measured.startup.jit;
    let (Some(cold), Some(warm)) = (&jit.cold_ns, &jit.warm_ns) else {
        return lacking(
            Phase::ModuleLoad,
            "module_load was not measured with both jit_cache=cold and jit_cache=warm",
        );
    };
    let saved = cold.value.saturating_sub(warm.value);
    if saved == Nanos::ZERO {
        return nothing("kernels load as fast with an empty cache");
    }
    let own = match question.cold_start.kind {
        Some(TotalKind::Pod) => {
            vec!["these are coldstart's kernels: those of the pods' engine may be more".to_owned()]
        }
        _ => Vec::new(),
    };
    let basis = Basis::of("(module_load cold − module_load warm)")
        .input("module_load cold", Quantity::Nanos(cold.value))
        .input("module_load warm", Quantity::Nanos(warm.value))
        .resting_on(&cold.basis)
        .resting_on(&warm.basis);
    let basis = Basis { caveats: own, ..basis };
    Ok(Found { cold_start_ns: less(question, saved, basis), cost: Cost::Free })
}

fn overlap(question: &Question<'_>) -> Answer {
    needs_gpu(question, "context to wait for")?;
    let part = |phase| question.cold_start.part(phase).map(|part| &part.median_ns);
    let Some(load) = part(Phase::WeightsLoad) else {
        return lacking(Phase::WeightsLoad, "the cold start holds no load of weights of its own");
    };
    let waiting = [Phase::DriverInit, Phase::ContextCreate, Phase::ModuleLoad];
    let known: Vec<&Figure<Nanos>> = waiting.into_iter().filter_map(part).collect();
    if known.is_empty() {
        return lacking(Phase::ContextCreate, "neither driver_init nor context_create is in the cold start");
    }
    let context: Nanos = known.iter().map(|figure| figure.value).sum();
    // Copies to the device have to wait for the context: only the rest of the load can go before.
    let upload = limit(question, LimitKind::HostToDevice).map_or(Nanos::ZERO, |limit| {
        Nanos::from_nanos_f64(question.measured.memory.weights_bytes.get() as f64 / limit.per_s.value * 1e9)
    });
    let reading = load.value.saturating_sub(upload);
    let saved = context.min(reading);
    if saved == Nanos::ZERO {
        return nothing("the load is nothing but copies to the device");
    }
    let basis = Basis::of("min(driver + context + kernels, load − copies to the device)")
        .input("driver + context + kernels", Quantity::Nanos(context))
        .input("load", Quantity::Nanos(load.value))
        .input("copies to the device", Quantity::Nanos(upload));
    let basis =
        known.iter().fold(basis.resting_on(&load.basis), |basis, figure| basis.resting_on(&figure.basis));
    Ok(Found { cold_start_ns: less(question, saved, basis), cost: Cost::Free })
}
