//! Which pods a resource metric is taken from.

use super::hpa::Hpa;
use super::reading::PodReading;

const SECOND: u64 = 1_000_000_000;

/// What is known of a pod, in nanoseconds of one clock.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PodAge {
    /// When it was started.
    pub started_ns: u64,
    /// Its condition `Ready`.
    pub ready: bool,
    /// When that last changed: for a pod that was never ready, its start.
    pub changed_ns: u64,
}

/// The metric of a pod at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PodMetric {
    /// Its value.
    pub value: f64,
    /// The end of the window that it is over.
    pub at_ns: u64,
    /// The length of that window.
    pub window_ns: u64,
}

impl Hpa {
    /// How the controller takes a pod's CPU metric at `now_ns`.
    ///
    /// Within `cpu_initialization_seconds` of its start a pod counts when it is ready and the metric's window began after that:
    /// what it burnt while it started says nothing. Later it counts unless it was never ready, which is assumed of a pod that is not
    /// ready and whose condition last changed within `initial_readiness_seconds` of its start.
    pub fn cpu_reading(&self, now_ns: u64, pod: PodAge, metric: Option<PodMetric>) -> PodReading {
        let Some(metric) = metric else { return PodReading::Missing };
        let after = |seconds: u32| pod.started_ns + u64::from(seconds) * SECOND;
        let not_ready = if now_ns < after(self.cpu_initialization_seconds) {
            !pod.ready || metric.at_ns < pod.changed_ns + metric.window_ns
        } else {
            !pod.ready && pod.changed_ns < after(self.initial_readiness_seconds)
        };
        if not_ready { PodReading::NotReady } else { PodReading::Ready(metric.value) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn young_pods_are_set_aside() {
        let hpa = Hpa::new(1, 10);
        // (now, ready, last change, end of the metric's window of 30 s) in seconds, of a pod started at 100.
        for (now, ready, changed, at, reading) in [
            // Starting.
            (130, false, 100, 130, PodReading::NotReady),
            // Ready at 150: the first window that began after that ends at 180.
            (170, true, 150, 165, PodReading::NotReady),
            (180, true, 150, 179, PodReading::NotReady),
            (180, true, 150, 180, PodReading::Ready(0.5)),
            // Ready only after the 300 s: whatever metric there is counts.
            (401, true, 395, 400, PodReading::Ready(0.5)),
            (399, true, 395, 399, PodReading::NotReady),
            // Not ready after 300 s: never was, or was once.
            (500, false, 100, 500, PodReading::NotReady),
            (500, false, 129, 500, PodReading::NotReady),
            (500, false, 130, 500, PodReading::Ready(0.5)),
            (500, false, 450, 500, PodReading::Ready(0.5)),
        ] {
            let pod = PodAge { started_ns: 100 * SECOND, ready, changed_ns: changed * SECOND };
            let metric = PodMetric { value: 0.5, at_ns: at * SECOND, window_ns: 30 * SECOND };
            assert_eq!(
                hpa.cpu_reading(now * SECOND, pod, Some(metric)),
                reading,
                "{now} {ready} {changed} {at}"
            );
            assert_eq!(hpa.cpu_reading(now * SECOND, pod, None), PodReading::Missing);
        }
    }
}
