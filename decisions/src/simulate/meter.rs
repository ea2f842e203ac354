//! What an autoscaler sees: the last scrape, and the scrapes of the window that ends when it asks, as Prometheus has them: a rate is the
//! slope from the first to the last of those, and there is none of a single one.

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
        // No later window begins earlier. The last two stay: the metrics server's own window is from one scrape to the next.
        while self.scrapes.len() > 2 && !self.scrapes.front().is_some_and(|first| self.holds(first, now)) {
            self.scrapes.pop_front();
        }
    }

    /// Whether a scrape is in the window that ends at `now`.
    fn holds(&self, scrape: &Scrape, now: u64) -> bool {
        scrape.time_ns.saturating_add(self.window_ns) > now
    }

    /// The first and the last scrape of the window that ends at `now`; `None` where there are no two.
    fn ends(&self, now: u64) -> Option<(&Scrape, &Scrape)> {
        let first = self.scrapes.iter().find(|scrape| self.holds(scrape, now))?;
        self.scrapes.back().filter(|last| last.time_ns > first.time_ns).map(|last| (first, last))
    }

    /// The value at `now` of a signal that is not of pods; `None` where nothing says it.
    pub(super) fn value<S: Server>(
        &self,
        cluster: &mut Cluster<'_, S>,
        signal: Signal,
        now: u64,
    ) -> Option<f64> {
        let last = self.scrapes.back()?;
        match signal {
            Signal::QueueDepth => Some(last.waiting as f64),
            Signal::Concurrency => Some((last.waiting + last.running) as f64),
            Signal::MemoryPressure => last.pressure,
            Signal::RequestRate => {
                let (first, last) = self.ends(now)?;
                Some((last.arrived - first.arrived) as f64 / ((last.time_ns - first.time_ns) as f64 / 1e9))
            }
            Signal::Wanted { base, per_request_per_s } => {
                Some(base + per_request_per_s * self.value(cluster, Signal::RequestRate, now)?)
            }
            Signal::TailLatency | Signal::TailFirstToken => {
                let (first, last) = self.ends(now)?;
                let first_token = matches!(signal, Signal::TailFirstToken);
                let tail = cluster.recorder.tail(first_token, (first.time_ns, last.time_ns));
                tail.map(|nanos| nanos as f64)
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
        let value = self.value(cluster, metric.signal, now)?;
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
                match signal {
                    Signal::CpuUtilization { idle, busy } => {
                        let ready = pod.state == State::Ready;
                        let changed_ns = if ready { pod.ready_ns } else { pod.created_ns };
                        let age = PodAge { started_ns: pod.created_ns, ready, changed_ns };
                        // A pod that starts uses its CPU, too; how much does not count.
                        let starting = PodMetric { value: idle, at_ns: now, window_ns: 0 };
                        let working = self
                            .busy_share(pod.id, self.last_two())
                            .map(|share| PodMetric { value: idle + busy * share.value, ..share });
                        hpa.cpu_reading(now, age, if ready { working } else { Some(starting) })
                    }
                    // Other metrics of pods come from the pod itself: one that is not ready has none.
                    _ => (self.busy_share(pod.id, self.ends(now)))
                        .map_or(PodReading::Missing, |share| PodReading::Ready(share.value)),
                }
            })
            .collect()
    }

    /// The last two scrapes: the metrics server reads from one to the next, whatever the window of a query.
    fn last_two(&self) -> Option<(&Scrape, &Scrape)> {
        let before = self.scrapes.len().checked_sub(2).and_then(|before| self.scrapes.get(before))?;
        self.scrapes.back().map(|last| (before, last))
    }

    /// The share of the time between two scrapes in which a replica worked, from the first of them on at which it was ready; `None` where
    /// it was ready at fewer than two.
    fn busy_share(&self, id: usize, between: Option<(&Scrape, &Scrape)>) -> Option<PodMetric> {
        let (from, until) = between?;
        let of = |scrape: &Scrape| {
            let at = scrape.pods.binary_search_by_key(&id, |pod| pod.id).ok()?;
            let pod = scrape.pods.get(at).filter(|pod| pod.state == State::Ready)?;
            Some((scrape.time_ns, pod.busy_ns))
        };
        let within = self.scrapes.iter().skip_while(|scrape| scrape.time_ns < from.time_ns);
        let (first, first_busy) = within.into_iter().find_map(of)?;
        let (last, last_busy) = of(until)?;
        (last > first).then(|| PodMetric {
            value: (last_busy - first_busy) as f64 / (last - first) as f64,
            at_ns: last,
            window_ns: last - first,
        })
    }
}
