//! KEDA's part: between zero and one. From one on its HPA scales.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const SECOND: u64 = 1_000_000_000;

/// The spec of a ScaledObject, without its triggers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Keda {
    /// `pollingInterval`, 30 s by default.
    pub polling_seconds: u32,
    /// `cooldownPeriod`, 300 s by default: from the last active poll to zero replicas.
    pub cooldown_seconds: u32,
    /// `initialCooldownPeriod`, 0 by default: from the creation to zero replicas when no poll was ever active.
    pub initial_cooldown_seconds: u32,
    /// `idleReplicaCount`, if given less than `min_replica_count`.
    pub idle_replica_count: Option<u32>,
    /// `minReplicaCount`, 0 by default.
    pub min_replica_count: u32,
    /// `maxReplicaCount`, 100 by default.
    pub max_replica_count: u32,
}

/// What the operator remembers.
#[derive(Debug, Clone, Copy, Default)]
pub struct KedaState {
    last_active_ns: Option<u64>,
}

impl Default for Keda {
    fn default() -> Self {
        Keda {
            polling_seconds: 30,
            cooldown_seconds: 300,
            initial_cooldown_seconds: 0,
            idle_replica_count: None,
            min_replica_count: 0,
            max_replica_count: 100,
        }
    }
}

impl Keda {
    /// The bounds of the HPA that KEDA makes: it never goes below one.
    pub fn hpa_bounds(&self) -> (u32, u32) {
        (self.min_replica_count.max(1), self.max_replica_count.max(1))
    }
}

impl KedaState {
    /// Of an operator whose triggers were active at `now_ns`.
    pub fn active_at(now_ns: u64) -> Self {
        KedaState { last_active_ns: Some(now_ns) }
    }

    /// One poll at `now_ns`, in time since the object was made: the replicas that the target gets. `active` says whether a trigger
    /// is above its activation threshold; a trigger that cannot be read is not active.
    pub fn poll(&mut self, keda: &Keda, now_ns: u64, current: u32, active: bool) -> u32 {
        if active {
            self.last_active_ns = Some(now_ns);
            let asleep =
                current == 0 || (keda.idle_replica_count.is_some() && current < keda.min_replica_count);
            return if asleep { keda.min_replica_count.max(1) } else { current };
        }
        let asleep = keda.idle_replica_count.unwrap_or(0);
        if keda.idle_replica_count.is_some_and(|idle| current > idle)
            || (current > 0 && keda.min_replica_count == 0)
        {
            let cooled = match self.last_active_ns {
                Some(last) => last + u64::from(keda.cooldown_seconds) * SECOND < now_ns,
                None => u64::from(keda.initial_cooldown_seconds) * SECOND < now_ns,
            };
            return if cooled { asleep } else { current };
        }
        if keda.idle_replica_count.is_none() { current.max(keda.min_replica_count) } else { current }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Polls every 30 s; (active, replicas set from elsewhere before the poll, replicas after it).
    fn script(keda: &Keda, polls: &[(bool, u32, u32)]) {
        let mut state = KedaState::default();
        for (i, (active, before, after)) in (0u64..).zip(polls) {
            let found = state.poll(keda, i * 30 * SECOND, *before, *active);
            assert_eq!(found, *after, "poll {i} of {polls:?}");
        }
    }

    #[test]
    fn to_zero_after_the_cooldown_and_back_at_once() {
        let keda = Keda { cooldown_seconds: 60, ..Keda::default() };
        // Active at 0; 30 and 60 s later it cools down (60 s is not more than 60 s), 90 s later it is removed, from any number.
        script(
            &keda,
            &[
                (true, 0, 1),
                (false, 4, 4),
                (false, 4, 4),
                (false, 4, 0),
                (false, 0, 0),
                (true, 0, 1),
                (true, 7, 7),
            ],
        );
        // Never active: the initial cooldown counts.
        script(
            &Keda { initial_cooldown_seconds: 45, ..keda },
            &[(false, 2, 2), (false, 2, 2), (false, 2, 0)],
        );
    }

    #[test]
    fn minimum_and_idle_replicas() {
        let keda = Keda { min_replica_count: 3, cooldown_seconds: 0, ..Keda::default() };
        script(&keda, &[(false, 1, 3), (false, 5, 5), (true, 0, 3), (true, 2, 2)]);
        let idle = Keda { idle_replica_count: Some(1), ..keda };
        script(&idle, &[(true, 1, 3), (false, 3, 1), (false, 1, 1), (true, 1, 3)]);
        assert_eq!(Keda::default().hpa_bounds(), (1, 100));
    }
}
