//! From a metric's reading to a number of replicas.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a metric is compared with its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TargetKind {
    /// The mean over pods of a resource's use ÷ its request; pods that are not ready are set aside.
    Utilization,
    /// The mean over pods, or for external metrics the value ÷ replicas.
    AverageValue,
    /// The value itself.
    Value,
}

/// A metric at one moment.
#[derive(Debug, Clone, PartialEq)]
pub enum Reading {
    /// A resource or custom metric of each pod (`type: Resource` or `Pods`).
    Pods {
        /// The pods that are not being deleted.
        pods: Vec<PodReading>,
        /// What the mean should be.
        target: f64,
        /// Utilization of a resource: the mean is cut to whole percents, as the controller does. Values are fractions of the
        /// request then.
        utilization: bool,
    },
    /// An external or object metric with a target `Value`.
    Value {
        /// The reading.
        value: f64,
        /// What it should be.
        target: f64,
    },
    /// An external metric with a target `AverageValue`, as KEDA's triggers have by default.
    AverageValue {
        /// The reading, of all replicas together.
        value: f64,
        /// What it should be for each replica.
        target: f64,
    },
}

/// One pod's metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PodReading {
    /// A ready pod.
    Ready(f64),
    /// A ready pod, or one of which it is not known, without a metric.
    Missing,
    /// A pod that was not yet ready, pending ones included.
    NotReady,
}

impl Reading {
    /// The replicas that this metric asks for.
    ///
    /// `current` are the replicas that the target has in its spec, `ready` those of them that are ready. `None` when the metric
    /// says nothing: no ready pod has one, or the target is not above zero.
    pub fn desired(&self, current: u32, ready: u32, tolerance: f64) -> Option<u32> {
        match self {
            Reading::Pods { pods, target, utilization } => {
                of_pods(pods, *target, *utilization, current, tolerance)
            }
            Reading::Value { value, target } => {
                let ratio = usable(milli(*value) / milli(*target))?;
                // From zero replicas there is neither a tolerance nor a count of ready pods.
                match current {
                    0 => ceil(ratio),
                    _ if within(ratio, tolerance) => Some(current),
                    _ => ceil(ratio * f64::from(ready)),
                }
            }
            Reading::AverageValue { value, target } => {
                let replicas = usable(milli(*value) / milli(*target))?;
                if current > 0 && within(replicas / f64::from(current), tolerance) {
                    return Some(current);
                }
                ceil(replicas)
            }
        }
    }
}

fn of_pods(pods: &[PodReading], target: f64, utilization: bool, current: u32, tolerance: f64) -> Option<u32> {
    let count = |is: PodReading| pods.iter().filter(|pod| **pod == is).count();
    let (missing, not_ready) = (count(PodReading::Missing), count(PodReading::NotReady));
    let values: Vec<f64> = pods
        .iter()
        .filter_map(|pod| if let PodReading::Ready(value) = pod { Some(milli(*value)) } else { None })
        .collect();
    let request = if utilization { 1_000.0 } else { milli(target) };
    let ratio_of = |sum: f64, pods: usize| {
        let pods = pods as f64;
        usable(if utilization {
            (sum * 100.0 / (request * pods)).floor() / (target * 100.0).round()
        } else {
            (sum / pods).floor() / milli(target)
        })
    };
    if values.is_empty() {
        return None;
    }
    let sum: f64 = values.iter().sum();
    let ratio = ratio_of(sum, values.len())?;
    let set_aside = not_ready > 0 && ratio > 1.0;
    if !set_aside && missing == 0 {
        return if within(ratio, tolerance) { Some(current) } else { ceil(ratio * values.len() as f64) };
    }
    // Missing pods count as at the target (for utilization as at the whole request) on the way down, as idle on the way up; pods that are not ready as idle on the way up.
    let mut counted = values.len() + missing;
    let full = if utilization { request * target.max(1.0) } else { request };
    let assumed = if ratio < 1.0 { full } else { 0.0 };
    if set_aside {
        counted += not_ready;
    }
    let damped = ratio_of(sum + assumed * missing as f64, counted)?;
    let turned = (ratio < 1.0 && damped > 1.0) || (ratio > 1.0 && damped < 1.0);
    if within(damped, tolerance) || turned {
        return Some(current);
    }
    let replicas = ceil(damped * counted as f64)?;
    let turned = (damped < 1.0 && replicas > current) || (damped > 1.0 && replicas < current);
    Some(if turned { current } else { replicas })
}

/// Quantities are whole thousandths for the controller, rounded up. What is left of a binary fraction does not count.
fn milli(value: f64) -> f64 {
    (value * 1e3 - 1e-6).ceil()
}

fn usable(ratio: f64) -> Option<f64> {
    (ratio.is_finite() && ratio >= 0.0).then_some(ratio)
}

fn within(ratio: f64, tolerance: f64) -> bool {
    // The controller compares the same doubles: |1 − 1.1| is 0.10000000000000009 and outside of a tolerance of 0.1.
    (1.0 - ratio).abs() <= tolerance
}

fn ceil(replicas: f64) -> Option<u32> {
    Some(replicas.ceil().min(f64::from(u32::MAX)) as u32)
}

#[cfg(test)]
mod tests {
    use PodReading::{Missing, NotReady, Ready};

    use super::*;

    fn pods(pods: &[PodReading], target: f64) -> Reading {
        Reading::Pods { pods: pods.to_vec(), target, utilization: false }
    }

    #[test]
    fn the_documented_ratio() {
        // "if the current metric value is 200m, and the desired value is 100m, the number of replicas will be doubled …
        // if the current value is instead 50m, you'll halve the number of replicas".
        for (value, current, desired) in [
            (0.2, 3, 6),
            (0.05, 4, 2),
            (0.05, 3, 2),
            (0.1, 3, 3),
            (0.109, 3, 3),
            (0.091, 3, 3),
            (0.112, 3, 4),
            (0.089, 10, 9),
        ] {
            let all = vec![Ready(value); current as usize];
            assert_eq!(pods(&all, 0.1).desired(current, current, 0.1), Some(desired), "pods: {value}");
            let one = Reading::Value { value, target: 0.1 };
            assert_eq!(one.desired(current, current, 0.1), Some(desired), "value: {value}");
            let sum = Reading::AverageValue { value: value * f64::from(current), target: 0.1 };
            assert_eq!(sum.desired(current, current, 0.1), Some(desired), "average: {value}");
        }
    }

    #[test]
    fn missing_and_unready_pods_dampen() {
        // Each row worked out by hand from "algorithm details": (pods, target, current, desired).
        for (readings, target, current, desired) in [
            // Up by 1.5; the missing pod counts as idle: 3.0 ÷ 3 = 1.0 of the target, nothing happens.
            (vec![Ready(1.5), Ready(1.5), Missing], 1.0, 3, 3),
            // Up by 4; missing as idle: 8 ÷ 3 = 2.67 → ceil(2.67 · 3) = 8.
            (vec![Ready(4.0), Ready(4.0), Missing], 1.0, 3, 8),
            // Down to 0.4; the missing pod counts as at the target: (0.8 + 1) ÷ 3 = 0.6 → ceil(1.8) = 2.
            (vec![Ready(0.4), Ready(0.4), Missing], 1.0, 3, 2),
            // Down to 0.8; with the missing ones at the target 0.9: within the tolerance.
            (vec![Ready(0.8), Ready(0.8), Missing, Missing], 1.0, 4, 4),
            // Up by 3; the two that are not ready count as idle: 6 ÷ 4 = 1.5 → 6, not 3 · 2 = 6 + 2.
            (vec![Ready(3.0), Ready(3.0), NotReady, NotReady], 1.0, 4, 6),
            // Up by 1.5; with the one that is not ready 1.0: nothing.
            (vec![Ready(1.5), Ready(1.5), NotReady], 1.0, 3, 3),
            // Up by 1.5; with two that are not ready 0.75: that would turn the direction.
            (vec![Ready(1.5), Ready(1.5), NotReady, NotReady], 1.0, 4, 4),
            // Down: what is not ready does not matter; 0.4 · 2 ready → 1.
            (vec![Ready(0.4), Ready(0.4), NotReady], 1.0, 3, 1),
            // A missing and an unready one, up by 4: 8 ÷ 4 = 2 → 8.
            (vec![Ready(4.0), Ready(4.0), Missing, NotReady], 1.0, 4, 8),
        ] {
            assert_eq!(pods(&readings, target).desired(current, 2, 0.1), Some(desired), "{readings:?}");
        }
        assert_eq!(pods(&[Missing, NotReady], 1.0).desired(2, 0, 0.1), None);
        assert_eq!(pods(&[], 1.0).desired(0, 0, 0.1), None);
    }

    #[test]
    fn utilization_is_in_whole_percents() {
        let at = |values: &[f64], target| {
            let pods = values.iter().map(|value| Ready(*value)).collect();
            Reading::Pods { pods, target, utilization: true }.desired(values.len() as u32, 0, 0.1)
        };
        // Mean 55.5 % is cut to 55 %: 1.1 of 50 %. 1 − 1.1 is just outside of 0.1 in doubles: ceil(1.1 · 2) = 3.
        assert_eq!(at(&[0.555, 0.555], 0.5), Some(3));
        assert_eq!(at(&[0.549, 0.549], 0.5), Some(2));
        assert_eq!(at(&[1.0, 1.0, 1.0], 0.8), Some(4), "a busy GPU shows 100 %, never more");
    }

    #[test]
    fn external_values() {
        // Value counts ready pods, AverageValue only the value: 2 of 4 are ready.
        assert_eq!(Reading::Value { value: 30.0, target: 10.0 }.desired(4, 2, 0.1), Some(6));
        assert_eq!(Reading::AverageValue { value: 30.0, target: 10.0 }.desired(4, 2, 0.1), Some(3));
        assert_eq!(
            Reading::AverageValue { value: 44.0, target: 10.0 }.desired(4, 4, 0.1),
            Some(5),
            "1.1 in doubles"
        );
        assert_eq!(Reading::AverageValue { value: 43.9, target: 10.0 }.desired(4, 4, 0.1), Some(4));
        // From zero.
        assert_eq!(Reading::Value { value: 25.0, target: 10.0 }.desired(0, 0, 0.1), Some(3));
        assert_eq!(Reading::AverageValue { value: 0.0, target: 10.0 }.desired(0, 0, 0.1), Some(0));
        for target in [0.0, f64::NAN, -1.0] {
            assert_eq!(Reading::Value { value: 1.0, target }.desired(1, 1, 0.1), None, "{target}");
        }
    }
}
