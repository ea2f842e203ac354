//! What others had of the run's processors while it measured.

use coldstart_profiles::{Contention, Nanos, Profile, StepKind};

use crate::host::{CpuTimes, Host, TICK};

/// A look at the processors when a step began.
pub(crate) struct Watch {
    host: Host,
    began: Option<Reading>,
}

/// What the kernel has counted so far.
struct Reading {
    processors: CpuTimes,
    own: u64,
}

impl Reading {
    fn of(host: &Host) -> Option<Self> {
        Some(Reading { processors: host.allowed_cpu_times()?, own: host.own_ticks()? })
    }
}

impl Watch {
    /// Begins to watch. Steps in which a container engine works for the run are not watched: its processes are none of ours,
    /// and would count as others.
    pub(crate) fn begin(step: &StepKind) -> Option<Self> {
        let engine = matches!(step, StepKind::Pull { .. } | StepKind::Container { .. });
        (!engine).then(|| Watch::of(Host::here()))
    }

    fn of(host: Host) -> Self {
        let began = Reading::of(&host);
        Watch { host, began }
    }

    /// Adds what was counted since then to the profile; nothing where the kernel shows no such times. Children have ended: only those
    /// that were waited for count as the run's own.
    pub(crate) fn end(self, profile: &mut Profile) {
        let Some((began, now)) = self.began.zip(Reading::of(&self.host)) else { return };
        let time = |before: u64, after: u64| {
            Nanos::from_nanos(after.saturating_sub(before).saturating_mul(TICK.as_nanos()))
        };
        let of = |part: fn(&CpuTimes) -> u64| time(part(&began.processors), part(&now.processors));
        let sum = profile.fitness.contention.get_or_insert_default();
        let more = Contention {
            processors: now.processors.count,
            watched_ns: of(|times| times.total),
            busy_ns: of(|times| times.busy),
            own_ns: time(began.own, now.own),
            stolen_ns: of(|times| times.stolen),
        };
        *sum = sum.plus(more);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::host::tree::tree;

    #[test]
    fn steps_add_up() {
        let text = include_str!("../../../tests/fixtures/profiles/profile-1.0.json");
        let mut profile = Profile::from_json(text, Path::new("profile-1.0.json")).unwrap();
        profile.fitness.contention = None;
        let stat = |busy: u64, idle: u64, stolen: u64| {
            format!("cpu0 {busy} 0 0 {idle} 0 0 0 {stolen}\ncpu1 9 9 9 9\n")
        };
        let own = |ticks: u64| format!("1 (x) S 1 2 3 0 -1 4 9 8 7 6 {ticks} 0 0 0 20\n");
        let (root, host) = tree(&[
            ("proc/self/status", "Cpus_allowed_list:\t0\n"),
            ("proc/stat", ""),
            ("proc/self/stat", ""),
        ]);
        let set = |stat: String, own: String| {
            std::fs::write(root.path().join("proc/stat"), stat).unwrap();
            std::fs::write(root.path().join("proc/self/stat"), own).unwrap();
        };
        set(stat(100, 100, 0), own(50));
        for round in 1..=2_u64 {
            let watch = Watch::of(host.clone());
            let (busy, idle, stolen) = (100 + 30 * round, 100 + 60 * round, 10 * round);
            set(stat(busy, idle, stolen), own(50 + 25 * round));
            watch.end(&mut profile);
        }
        let ticks = |ticks: u64| Nanos::from_millis(10 * ticks);
        assert_eq!(
            profile.fitness.contention,
            Some(Contention {
                processors: 1,
                watched_ns: ticks(200),
                busy_ns: ticks(60),
                own_ns: ticks(50),
                stolen_ns: ticks(20)
            })
        );
        // A kernel that shows nothing: nothing is claimed.
        profile.fitness.contention = None;
        let (_tree, blind) = tree(&[("proc/stat", "cpu  1 2 3 4\n")]);
        Watch::of(blind).end(&mut profile);
        assert_eq!(profile.fitness.contention, None);
        let pull = StepKind::Pull { trial: 0 };
        assert!(Watch::begin(&pull).is_none(), "an engine's work is not others'");
    }
}
