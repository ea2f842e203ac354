//! The HorizontalPodAutoscaler's controller.

use std::collections::VecDeque;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::behavior::{Behavior, ScalingRules};

const SECOND: u64 = 1_000_000_000;

/// The spec of an HPA, and the flags of its controller.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Hpa {
    /// `minReplicas`, at least 1 (0 where the cluster has HPAScaleToZero).
    pub min_replicas: u32,
    /// `maxReplicas`, at least `min_replicas`.
    pub max_replicas: u32,
    /// How fast.
    pub behavior: Behavior,
    /// `--horizontal-pod-autoscaler-tolerance`, 0.1 by default.
    pub tolerance: f64,
    /// `--horizontal-pod-autoscaler-sync-period`, 15 s by default.
    pub sync_seconds: u32,
    /// `--horizontal-pod-autoscaler-cpu-initialization-period`, 300 s by default: how long CPU metrics from before a pod was
    /// ready are set aside.
    pub cpu_initialization_seconds: u32,
    /// `--horizontal-pod-autoscaler-initial-readiness-delay`, 30 s by default: a pod that turns unready so soon after its start
    /// was never ready.
    pub initial_readiness_seconds: u32,
}

/// What the controller remembers.
#[derive(Debug, Clone, Default)]
pub struct HpaState {
    /// (when, replicas)
    recommendations: VecDeque<(u64, u32)>,
    /// (when, how many)
    added: VecDeque<(u64, u32)>,
    /// (when, how many)
    removed: VecDeque<(u64, u32)>,
}

impl Hpa {
    /// With Kubernetes' defaults.
    pub fn new(min_replicas: u32, max_replicas: u32) -> Self {
        Hpa {
            min_replicas,
            max_replicas: max_replicas.max(min_replicas),
            behavior: Behavior::default(),
            tolerance: 0.1,
            sync_seconds: 15,
            cpu_initialization_seconds: 300,
            initial_readiness_seconds: 30,
        }
    }
}

impl HpaState {
    /// One sync at `now_ns`: the replicas that the target gets. `metrics` are the numbers that the metrics ask for, `None` for one
    /// that says nothing.
    ///
    /// Of several metrics the largest number counts; when one says nothing, nothing is scaled down. A target at zero with a
    /// minimum above zero is left alone. Stabilization, then policies, then bounds.
    pub fn sync(&mut self, hpa: &Hpa, now_ns: u64, current: u32, metrics: &[Option<u32>]) -> u32 {
        if current == 0 && hpa.min_replicas != 0 {
            return 0;
        }
        let desired = if current > hpa.max_replicas {
            hpa.max_replicas
        } else if current < hpa.min_replicas {
            hpa.min_replicas
        } else {
            let Some(largest) = metrics.iter().flatten().copied().max() else { return current };
            if largest < current && metrics.contains(&None) {
                return current;
            }
            let stabilized = self.stabilize(&hpa.behavior, now_ns, current, largest);
            self.limit(hpa, now_ns, current, stabilized)
        };
        self.remember(&hpa.behavior, now_ns, current, desired);
        desired
    }

    fn stabilize(&mut self, behavior: &Behavior, now_ns: u64, current: u32, desired: u32) -> u32 {
        let since = |rules: &ScalingRules| u64::from(rules.stabilization_window_seconds) * SECOND;
        let (up, down) = (since(&behavior.scale_up), since(&behavior.scale_down));
        while self.recommendations.front().is_some_and(|(at, _)| at + up.max(down) <= now_ns) {
            self.recommendations.pop_front();
        }
        let (mut least, mut most) = (desired, desired);
        for (at, replicas) in &self.recommendations {
            if at + up > now_ns {
                least = least.min(*replicas);
            }
            if at + down > now_ns {
                most = most.max(*replicas);
            }
        }
        self.recommendations.push_back((now_ns, desired));
        current.max(least).min(most)
    }

    fn limit(&self, hpa: &Hpa, now_ns: u64, current: u32, desired: u32) -> u32 {
        let start = |period_seconds: u32| {
            let since = |events: &VecDeque<(u64, u32)>| {
                let within = |at: u64| at + u64::from(period_seconds) * SECOND > now_ns;
                events.iter().filter(|(at, _)| within(*at)).map(|(_, count)| f64::from(*count)).sum::<f64>()
            };
            f64::from(current) - since(&self.added) + since(&self.removed)
        };
        if desired > current {
            let most = hpa.behavior.scale_up.up_limit(current, start).min(hpa.max_replicas);
            desired.min(most)
        } else if desired < current {
            let fewest = hpa.behavior.scale_down.down_limit(current, start).max(hpa.min_replicas);
            desired.max(fewest)
        } else {
            desired.clamp(hpa.min_replicas, hpa.max_replicas)
        }
    }

    fn remember(&mut self, behavior: &Behavior, now_ns: u64, current: u32, desired: u32) {
        let longest = |rules: &ScalingRules| {
            let period = rules.policies.iter().map(|policy| policy.period_seconds).max().unwrap_or(0);
            u64::from(period) * SECOND
        };
        // Either direction's policies look at both kinds of events.
        let longest = longest(&behavior.scale_up).max(longest(&behavior.scale_down));
        for events in [&mut self.added, &mut self.removed] {
            while events.front().is_some_and(|(at, _)| at + longest <= now_ns) {
                events.pop_front();
            }
        }
        match desired.cmp(&current) {
            std::cmp::Ordering::Greater => self.added.push_back((now_ns, desired - current)),
            std::cmp::Ordering::Less => self.removed.push_back((now_ns, current - desired)),
            std::cmp::Ordering::Equal => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::scaling::{PolicyKind, ScalingPolicy, SelectPolicy};

    fn policy(kind: PolicyKind, value: u32, period_seconds: u32) -> ScalingPolicy {
        ScalingPolicy { kind, value, period_seconds }
    }

    /// Syncs every `every` seconds with these desired numbers; the replicas after each.
    fn run(hpa: &Hpa, start: u32, every: u64, desired: impl IntoIterator<Item = u32>) -> Vec<u32> {
        let mut state = HpaState::default();
        let mut current = start;
        (0..)
            .zip(desired)
            .map(|(i, desired)| {
                current = state.sync(hpa, i * every * SECOND, current, &[Some(desired)]);
                current
            })
            .collect()
    }

    #[test]
    fn the_documented_scale_down_of_80_replicas() {
        // "80 replicas … scaled down to 10 … during the first step 8 replicas will be reduced. In the next iteration when the
        // number of replicas is 72, 10% of the pods is 7.2 but the number is rounded up to 8 … below 40 the first policy (Pods) is
        // applied and 4 replicas will be reduced at a time."
        let mut hpa = Hpa::new(1, 100);
        hpa.behavior.scale_down.stabilization_window_seconds = 0;
        hpa.behavior.scale_down.policies =
            vec![policy(PolicyKind::Pods, 4, 60), policy(PolicyKind::Percent, 10, 60)];
        assert_eq!(
            run(&hpa, 80, 60, vec![10; 17]),
            [72, 64, 57, 51, 45, 40, 36, 32, 28, 24, 20, 16, 12, 10, 10, 10, 10]
        );
        // At most that much in a minute, however often it syncs.
        let each = run(&hpa, 80, 15, vec![10; 9]);
        assert_eq!(each, [72, 72, 72, 72, 64, 64, 64, 64, 57]);
        // "ensure that no more than 5 Pods are removed per minute … selectPolicy: Min".
        hpa.behavior.scale_down.policies =
            vec![policy(PolicyKind::Percent, 10, 60), policy(PolicyKind::Pods, 5, 60)];
        hpa.behavior.scale_down.select_policy = SelectPolicy::Min;
        assert_eq!(run(&hpa, 80, 60, vec![10; 8]), [75, 70, 65, 60, 55, 50, 45, 40]);
        hpa.behavior.scale_down.select_policy = SelectPolicy::Disabled;
        assert_eq!(run(&hpa, 80, 60, vec![10; 3]), [80, 80, 80]);
    }

    #[test]
    fn the_default_scale_up() {
        // "4 pods or a 100% of the currently running replicas will be added every 15 seconds till the HPA reaches its steady state".
        let hpa = Hpa::new(1, 1_000);
        assert_eq!(run(&hpa, 1, 15, vec![90; 6]), [5, 10, 20, 40, 80, 90]);
        assert_eq!(run(&Hpa::new(1, 12), 1, 15, vec![90; 3]), [5, 10, 12]);
        // KEP-853: 900 % in a minute: 1 → 10 → 100 → 1000.
        let mut fast = Hpa::new(1, 1_000);
        fast.behavior.scale_up.policies = vec![policy(PolicyKind::Percent, 900, 60)];
        assert_eq!(run(&fast, 1, 60, vec![1_000; 3]), [10, 100, 1_000]);
    }

    #[test]
    fn the_stabilization_of_kep_853() {
        // A window of 600 s, one sync a minute: in the 10th the largest recommendation is 10, in the 11th 9.
        let mut hpa = Hpa::new(1, 20);
        hpa.behavior.scale_down.stabilization_window_seconds = 600;
        let replicas = run(&hpa, 10, 60, [10, 9, 8, 9, 9, 8, 9, 8, 9, 8, 7]);
        assert_eq!(replicas, [10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 9]);
        // On the way up the least counts.
        hpa.behavior.scale_up.stabilization_window_seconds = 180;
        assert_eq!(run(&hpa, 2, 60, [4, 6, 3, 5, 6, 7]), [4, 4, 4, 4, 4, 5]);
    }

    #[test]
    fn bounds_and_missing_metrics() {
        let hpa = Hpa::new(2, 8);
        let sync = |current, metrics: &[Option<u32>]| HpaState::default().sync(&hpa, 0, current, metrics);
        for (current, metrics, after) in [
            (4, &[Some(5), Some(7)][..], 7),
            (4, &[Some(2), None], 4),
            (4, &[Some(6), None], 6),
            (4, &[None, None], 4),
            (4, &[], 4),
            (1, &[Some(7)], 2),
            (9, &[Some(9)], 8),
            (4, &[Some(99)], 8),
            (4, &[Some(0)], 2),
            (0, &[Some(3)], 0),
        ] {
            assert_eq!(sync(current, metrics), after, "{current} {metrics:?}");
        }
    }

    proptest! {
        #[test]
        fn replicas_stay_within_bounds_and_rates(
            desired in prop::collection::vec(0u32..60, 1..40), start in 2u32..30,
        ) {
            let hpa = Hpa::new(2, 30);
            let mut before = start;
            for after in run(&hpa, start, 15, desired) {
                prop_assert!((2..=30).contains(&after));
                prop_assert!(after <= (2 * before).max(before + 4));
                before = after;
            }
        }
    }
}
