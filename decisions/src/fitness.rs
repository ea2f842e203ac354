//! Was the machine fit to be measured? A run on a machine that changes under it says little.

mod contention;
mod gpu;

pub(crate) use contention::taken;
pub(crate) use gpu::{CLOCK_DRIFT, unfit_gpu};

use coldstart_profiles::{CanaryReading, Caveat, Nanos, Profile};

/// Two canaries further apart than this were not taken on the same machine, so to speak.
const DRIFT: f64 = 0.05;
/// A load average above this share of the cores is other work that shows in the results.
const QUIET: f64 = 0.25;

/// A load average above this number of processes a core is more than an earlier run of ours leaves behind: they wait for cores.
const BUSY: f64 = 1.5;
/// What runs behind each other leave behind even on a single core: thirty of them began at up to 2.35.
const OUR_OWN: f64 = 2.5;

/// What makes the times of a run useless for comparisons with others: a load average over [`BUSY`] before it, others who had more
/// than a quarter of the processors that it needed while it measured, and what [`unfit_gpu`] tells. The canary is not asked: how far it may move is a matter of the machine.
pub(crate) fn disturbed(profile: &Profile) -> Vec<String> {
    let others = taken(profile).and_then(disturbing);
    busy_before(profile)
        .into_iter()
        .chain(others)
        .chain(unfit_gpu(profile).map(|caveat| caveat.text))
        .collect()
}

/// What to say where others had so large a share of the processors that the run needed that its trials waited.
pub(crate) fn disturbing(taken: f64) -> Option<String> {
    (taken > contention::DISTURBS).then(|| contention::told(taken))
}

/// What to say of a profile before whose run everything had to wait.
pub(crate) fn busy_before(profile: &Profile) -> Option<String> {
    busy(profile.fitness.load_average_before?, LoadedCores::of(profile))
}

/// What a load average is counted over: it is the whole machine's, also where a run may use a part of it only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadedCores {
    online: u32,
    used: u32,
}

impl LoadedCores {
    /// `used` are those that the run may use: all that count where it is not known how many are online.
    pub fn new(online: Option<u32>, used: u32) -> Self {
        LoadedCores { online: online.unwrap_or(used).max(1), used }
    }

    fn of(profile: &Profile) -> Self {
        let host = &profile.target.host;
        LoadedCores::new(host.cores_online, host.cores)
    }

    /// How many count.
    pub const fn online(self) -> u32 {
        self.online
    }

    /// `2 cores`; where `whose` has fewer of them, both: `the 2 cores that are online (the run had 1)`.
    pub fn told(self, whose: &str) -> String {
        let LoadedCores { online, used } = self;
        let cores = if online == 1 { "core" } else { "cores" };
        match used {
            1.. if used < online => format!("the {online} {cores} that are online ({whose} {used})"),
            _ => format!("{online} {cores}"),
        }
    }
}

/// What to say of a load average with which everything has to wait.
pub(crate) fn busy(load: f64, cores: LoadedCores) -> Option<String> {
    let most = (BUSY * f64::from(cores.online)).max(OUR_OWN);
    (load > most).then(|| {
        format!(
            "the load average was {load:.1} on {} before the run, which had to wait for them: measure when nothing else runs",
            cores.told("the run had")
        )
    })
}

/// The codes of the caveats that [`judge_fitness`] gives.
pub const FITNESS_CODES: [&str; 8] = [
    "load_before",
    "load_during",
    "canary_moved",
    "foreign_process",
    "throttled",
    "clock_moved",
    "ecc_errors",
    "pcie_below_best",
];

/// What speaks against the machine, with the numbers that it rests on; nothing for a fit one. Judged are the load that
/// others put on it before the run, and what they had of the processors during it; the canary, which is the same copy and the same product before and after the run; and
/// the GPU, where its management library could be asked: processes of others on it, clocks held down by heat or by the
/// power supply, clocks that differ between trials, memory errors, and a PCIe link below its best.
pub fn judge_fitness(profile: &Profile) -> Vec<Caveat> {
    let cores = LoadedCores::of(profile);
    let loaded = |load: &f64| *load > QUIET * f64::from(cores.online);
    let load = profile.fitness.load_average_before.filter(loaded).map(|load| Caveat {
        code: "load_before".to_owned(),
        text: format!(
            "the load average was {load:.2} on {} before the run: other work may show in the times",
            cores.told("the run had")
        ),
    });
    let during = taken(profile).filter(|share| *share > contention::SHOWS);
    let during = during.map(|share| Caveat { code: "load_during".to_owned(), text: contention::told(share) });
    let canary = drift(&profile.fitness.canary).map(|text| Caveat { code: "canary_moved".to_owned(), text });
    load.into_iter().chain(during).chain(canary).chain(gpu::judge(profile)).collect()
}

/// What to say where the first and the last canary differ by more than 5 %.
fn drift(canary: &[CanaryReading]) -> Option<String> {
    let before = canary.iter().find(|reading| reading.when == "before")?;
    let after = canary.iter().rfind(|reading| reading.when == "after")?;
    let change = |before: Nanos, after: Nanos| {
        let (before, after) = (before.as_secs_f64(), after.as_secs_f64());
        (before > 0.0).then(|| after / before - 1.0)
    };
    let moved: Vec<String> =
        [("copy", change(before.copy_ns, after.copy_ns)), ("product", change(before.gemm_ns, after.gemm_ns))]
            .into_iter()
            .filter_map(|(what, change)| Some((what, change.filter(|change| change.abs() > DRIFT)?)))
            .map(|(what, change)| format!("{what} {:+.1} %", change * 100.0))
            .collect();
    (!moved.is_empty()).then(|| {
        format!(
            "the canary moved during the run ({}): the machine was not the same throughout",
            moved.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use coldstart_profiles::Contention;

    use super::*;

    fn reading(when: &str, copy: u64, gemm: u64) -> CanaryReading {
        CanaryReading {
            when: when.into(),
            copy_ns: Nanos::from_nanos(copy),
            gemm_ns: Nanos::from_nanos(gemm),
        }
    }

    /// A profile that a run wrote.
    fn profile() -> Profile {
        let text = include_str!("../../tests/fixtures/profiles/profile-1.0.json");
        Profile::from_json(text, Path::new("profile-1.0.json")).unwrap()
    }

    #[test]
    fn drift_is_told_from_five_percent_on() {
        for (before, after, says) in [
            ((1000, 1000), (1049, 951), None),
            ((1000, 1000), (1100, 1000), Some("(copy +10.0 %)")),
            ((1000, 1000), (900, 1200), Some("(copy -10.0 %, product +20.0 %)")),
            ((0, 1000), (900, 1000), None),
        ] {
            let mut profile = profile();
            profile.fitness.load_average_before = Some(0.1);
            profile.fitness.canary =
                vec![reading("before", before.0, before.1), reading("after", after.0, after.1)];
            let found = judge_fitness(&profile);
            match says {
                None => assert_eq!(found, []),
                Some(says) => {
                    assert_eq!(found.len(), 1);
                    assert!(found[0].code == "canary_moved" && found[0].text.contains(says), "{found:?}");
                }
            }
        }
    }

    #[test]
    fn others_on_the_processors_during_the_run() {
        let mut profile = profile();
        profile.fitness.canary.clear();
        profile.fitness.load_average_before = None;
        profile.target.host.cores = 2;
        // How many of 16 processors others had; the run had one and a half.
        for (device, others, says, disturbs) in [
            ("host", 14.0, None, false),
            ("host", 14.1, None, false),
            ("host", 14.3, Some("others had 15 % of"), false),
            ("host", 14.8, Some("others had 40 % of"), true),
            // Beside a GPU it needs three.
            ("cuda", 13.2, None, false),
            ("cuda", 14.2, Some("others had 40 % of"), true),
        ] {
            profile.target.device.kind = device.to_owned();
            let time = |processors: f64| Nanos::from_nanos_f64(processors * 1e10);
            profile.fitness.contention = Some(Contention {
                processors: 16,
                watched_ns: time(16.0),
                busy_ns: time(1.5 + others),
                own_ns: time(1.5),
                stolen_ns: Nanos::ZERO,
            });
            let found = judge_fitness(&profile);
            match says {
                None => assert_eq!(found, [], "{device} {others}"),
                Some(says) => {
                    assert!(found.len() == 1 && found[0].code == "load_during", "{found:?}");
                    assert!(found[0].text.contains(says), "{found:?}");
                }
            }
            assert_eq!(disturbed(&profile).len(), usize::from(disturbs), "{device} {others}");
        }
    }

    #[test]
    fn load_counts_per_core() {
        let mut profile = profile();
        profile.fitness.canary.clear();
        for (load, cores, loaded) in [(Some(0.6), 2, true), (Some(0.6), 8, false), (None, 2, false)] {
            profile.fitness.load_average_before = load;
            profile.target.host.cores = cores;
            assert_eq!(judge_fitness(&profile).len(), usize::from(loaded), "{load:?} on {cores}");
        }
    }

    #[test]
    fn cores_that_are_online_and_those_of_the_run_are_told_apart() {
        let mut profile = profile();
        profile.fitness.canary.clear();
        profile.fitness.load_average_before = Some(3.5);
        for (used, online, says) in [
            (1, Some(2), "was 3.50 on the 2 cores that are online (the run had 1) before the run: other"),
            (2, Some(2), "was 3.50 on 2 cores before the run: other"),
            (1, Some(1), "was 3.50 on 1 core before the run: other"),
            (1, None, "was 3.50 on 1 core before the run: other"),
        ] {
            (profile.target.host.cores, profile.target.host.cores_online) = (used, online);
            let found = judge_fitness(&profile);
            assert!(found.len() == 1 && found[0].text.contains(says), "{used} of {online:?}: {found:?}");
            let cores = says.split(" on ").nth(1).and_then(|rest| rest.split(" before").next()).unwrap();
            let busy = busy_before(&profile).unwrap();
            assert!(busy.starts_with(&format!("the load average was 3.5 on {cores} before")), "{busy}");
        }
    }
}
