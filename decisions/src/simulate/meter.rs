//! What an autoscaler sees: the last scrape, and windows before it.

use std::collections::VecDeque;

use super::cluster::{Cluster, Seen, State};
use super::policy::{Metric, Monitoring, Signal};
use super::server::Server;
use crate::scaling::{Hpa, PodAge, PodMetric, PodReading, Reading, TargetKind};

/// Scrapes of the last window.
pub(super) struct Meter {
    window_ns: u64,
    scrapes: VecDeque<Scrape>,
}

struct Scrape {
    time_ns: u64,
    arrived: u64,
    waiting: u64,
    running: u64,
    pressure: Option<f64>,
    /// Ordered by id.
    pods: Vec<Seen>,
}

impl Meter {
    pub(super) fn new(monitoring: Monitoring) -> Self {
        Meter { window_ns: monitoring.window_ns.as_nanos(), scrapes: VecDeque::new() }
    }

    pub(super) fn window_ns(&self) -> u64 {
        self.window_ns
    }

    pub(super) fn scrape<S: Server>(&mut self, cluster: &Cluster<'_, S>, now: u64) {
        let pods: Vec<Seen> = cluster.seen(now).collect();
        let ready = pods.iter().filter(|pod| pod.state == State::Ready);
        let (full, count) = ready.fold((0.0, 0u32), |(sum, count), pod| (sum + pod.fullness, count + 1));
        self.scrapes.push_back(Scrape {
            time_ns: now,
            arrived: cluster.counts.arrived,
            waiting: cluster.waiting(),
            running: cluster.running(),
            pressure: (count > 0).then(|| full / f64::from(count)),
            pods,
        });
        // The one before the window stays, since rates are differences.
        while self.scrapes.get(1).is_some_and(|second| second.time_ns.saturating_add(self.window_ns) <= now) {
            self.scrapes.pop_front();
        }
    }

    /// The value of a signal that is not of pods; `None` where nothing says it.
    pub(super) fn value<S: Server>(&self, cluster: &mut Cluster<'_, S>, signal: Signal) -> Option<f64> {
        let last = self.scrapes.back()?;
        match signal {
            Signal::QueueDepth => Some(last.waiting as f64),
            Signal::Concurrency => Some((last.waiting + last.running) as f64),
            Signal::MemoryPressure => last.pressure,
            Signal::RequestRate => {
                let first = self.scrapes.front()?;
                let seconds = (last.time_ns - first.time_ns) as f64 / 1e9;
                (seconds > 0.0).then(|| (last.arrived - first.arrived) as f64 / seconds)
            }
            Signal::Wanted { base, per_request_per_s } => {
                Some(base + per_request_per_s * self.value(cluster, Signal::RequestRate)?)
            }
            Signal::P99Latency | Signal::P99FirstToken => {
                let from = last.time_ns.saturating_sub(self.window_ns);
                let recorder = &mut cluster.recorder;
                let watch = match signal {
                    Signal::P99FirstToken => &mut recorder.watch_first,
                    _ => &mut recorder.watch,
                };
                watch.as_mut()?.percentile(from, 0.99).map(|nanos| nanos as f64)
            }
            Signal::CpuUtilization { .. } | Signal::GpuUtilization => None,
        }
    }

    /// A metric as the autoscaler reads it; `None` where nothing says it.
    pub(super) fn reading<S: Server>(
        &self,
        cluster: &mut Cluster<'_, S>,
        metric: &Metric,
        hpa: &Hpa,
        now: u64,
    ) -> Option<Reading> {
        let target = metric.target;
        if metric.signal.of_pods() {
            let utilization = matches!(metric.signal, Signal::CpuUtilization { .. });
            return Some(Reading::Pods {
                pods: self.pods(cluster, metric.signal, hpa, now),
                target,
                utilization,
            });
        }
        let value = self.value(cluster, metric.signal)?;
        Some(match metric.target_kind {
            TargetKind::Value => Reading::Value { value, target },
            TargetKind::AverageValue | TargetKind::Utilization => Reading::AverageValue { value, target },
        })
    }

    /// The mean of a signal over the pods that have it.
    pub(super) fn mean_of_pods<S: Server>(
        &self,
        cluster: &Cluster<'_, S>,
        signal: Signal,
        hpa: &Hpa,
        now: u64,
    ) -> Option<f64> {
        let pods = self.pods(cluster, signal, hpa, now);
        let values = pods
            .iter()
            .filter_map(|pod| if let PodReading::Ready(value) = pod { Some(*value) } else { None });
        let (sum, count) = values.fold((0.0, 0u32), |(sum, count), value| (sum + value, count + 1));
        (count > 0).then(|| sum / f64::from(count))
    }

    fn pods<S: Server>(
        &self,
        cluster: &Cluster<'_, S>,
        signal: Signal,
        hpa: &Hpa,
        now: u64,
    ) -> Vec<PodReading> {
        cluster
            .seen(now)
            .filter(|pod| pod.state != State::Draining)
            .map(|pod| {
                let share = self.busy_share(pod.id);
                match signal {
                    Signal::CpuUtilization { idle, busy } => {
                        let ready = pod.state == State::Ready;
                        let changed_ns = if ready { pod.ready_ns } else { pod.created_ns };
                        let age = PodAge { started_ns: pod.created_ns, ready, changed_ns };
                        // A pod that starts uses its CPU, too; how much does not count.
                        let starting = PodMetric { value: idle, at_ns: now, window_ns: 0 };
                        let working =
                            share.map(|share| PodMetric { value: idle + busy * share.value, ..share });
                        hpa.cpu_reading(now, age, if ready { working } else { Some(starting) })
                    }
                    // Other metrics of pods come from the pod itself: one that is not ready has none.
                    _ => share.map_or(PodReading::Missing, |share| PodReading::Ready(share.value)),
                }
            })
            .collect()
    }

    /// The share of the window in which a replica worked; `None` with fewer than two scrapes of it being ready.
    fn busy_share(&self, id: usize) -> Option<PodMetric> {
        let of = |scrape: &Scrape| {
            let at = scrape.pods.binary_search_by_key(&id, |pod| pod.id).ok()?;
            let pod = scrape.pods.get(at).filter(|pod| pod.state == State::Ready)?;
            Some((scrape.time_ns, pod.busy_ns))
        };
        let (first, first_busy) = self.scrapes.iter().find_map(of)?;
        let (last, last_busy) = of(self.scrapes.back()?)?;
        (last > first).then(|| PodMetric {
            value: (last_busy - first_busy) as f64 / (last - first) as f64,
            at_ns: last,
            window_ns: last - first,
        })
    }
}
