//! What the user says of the cluster and its prices.

use coldstart_profiles::{Bytes, Nanos};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the cluster watches and scales, and what it has. Facts of the user's, not measurements.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClusterFacts {
    /// Between two readings of a replica's metrics.
    pub scrape_interval_ns: Nanos,
    /// The window of the queries that a rate or percentile is taken over: of the exported ones, of the replayed ones, and of the lead
    /// time. [`ClusterFacts::usual_window_ns`] where nothing else is said.
    pub query_window_ns: Nanos,
    /// Between two looks of the autoscaler.
    pub sync_interval_ns: Nanos,
    /// Until a new node is there; zero where nodes are there already.
    pub provisioning_ns: Nanos,
    /// How far a metric may be from its target before an autoscaler acts, as a share.
    pub tolerance: f64,
    /// Number of nodes; `null` where it was not said.
    pub nodes: Option<u32>,
    /// Disk of one node that models and images may take; `null` where it was not said.
    pub disk_per_node_bytes: Option<Bytes>,
    /// The most replicas that there can be; `null` where it was not said.
    pub max_replicas: Option<u32>,
}

impl Default for ClusterFacts {
    /// A scrape every 15 s, the window that follows from it, the horizontal pod autoscaler's 15 s and 10 %.
    fn default() -> Self {
        let (scrape, sync) = (Nanos::from_secs(15), Nanos::from_secs(15));
        ClusterFacts {
            scrape_interval_ns: scrape,
            query_window_ns: ClusterFacts::usual_window_ns(scrape, sync),
            sync_interval_ns: sync,
            provisioning_ns: Nanos::ZERO,
            tolerance: 0.1,
            nodes: None,
            disk_per_node_bytes: None,
            max_replicas: None,
        }
    }
}

impl ClusterFacts {
    /// So many scrapes a window should hold: a lost one then still leaves a rate, and one that comes early or late changes it little.
    pub const USUAL_SCRAPES: u64 = 4;
    /// A rate is a difference of two scrapes: a window of fewer has none.
    pub const LEAST_SCRAPES: u64 = 2;
    /// The longest scrape interval, sync interval and query window that can be given: a day.
    pub const LONGEST_INTERVAL: Nanos = Nanos::from_secs(24 * 3600);

    /// The larger of four scrape intervals and of one sync and one scrape interval, rounded up to whole seconds: the rule of Grafana's
    /// `$__rate_interval`, with the autoscaler's looks as its steps. The second keeps requests from falling between the windows of two
    /// looks where scrapes are much more frequent than those.
    pub const fn usual_window_ns(scrape: Nanos, sync: Nanos) -> Nanos {
        const SECOND: u64 = 1_000_000_000;
        let scrapes = scrape.as_nanos().saturating_mul(Self::USUAL_SCRAPES);
        let look = scrape.saturating_add(sync).as_nanos();
        let longer = if scrapes > look { scrapes } else { look };
        Nanos::from_nanos(longer.div_ceil(SECOND).saturating_mul(SECOND))
    }

    /// What to do about a window that is too short: `give --query-window 60s, or leave it out`; of a window that can't be given, because it
    /// is above [`ClusterFacts::LONGEST_INTERVAL`], only the second.
    pub fn window_remedy(&self) -> String {
        let window = Self::usual_window_ns(self.scrape_interval_ns, self.sync_interval_ns);
        match window > Self::LONGEST_INTERVAL {
            true => "leave --query-window out".to_owned(),
            false => {
                format!("give --query-window {}s, or leave it out", window.as_nanos().div_ceil(1_000_000_000))
            }
        }
    }

    /// How many scrapes fall into a window, at the fewest.
    pub const fn scrapes_in_window(&self) -> u64 {
        match self.query_window_ns.as_nanos().checked_div(self.scrape_interval_ns.as_nanos()) {
            Some(scrapes) => scrapes,
            None => u64::MAX,
        }
    }

    /// D: from a change of the traffic until the autoscaler acts on it, at the latest but for half a window: scrape interval +
    /// half the query window + sync interval.
    pub const fn detection_ns(&self) -> Nanos {
        let half = Nanos::from_nanos(self.query_window_ns.as_nanos() / 2);
        self.scrape_interval_ns.saturating_add(half).saturating_add(self.sync_interval_ns)
    }
}

/// What things cost, in any one currency. Every price that is `null` was not given, and what needs it is left out with the reason.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Prices {
    /// One replica for one hour.
    pub replica_hour: Option<f64>,
    /// One gigabyte (10⁹ bytes) of a node's disk for one month.
    pub disk_gb_month: Option<f64>,
    /// One gigabyte of the registry or object store for one month.
    pub registry_gb_month: Option<f64>,
    /// One request that missed its service level.
    pub miss: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_holds_four_scrapes_and_leaves_no_request_between_two_looks() {
        let (ms, s) = (Nanos::from_millis, Nanos::from_secs);
        for (scrape, sync, window) in [
            (s(15), s(15), s(60)),
            (s(30), s(15), s(120)),
            (s(5), s(15), s(20)),
            (s(1), s(15), s(16)),
            (ms(100), s(15), s(16)),
            (ms(1100), ms(500), s(5)),
            (Nanos::from_nanos(u64::MAX), s(15), Nanos::from_nanos(u64::MAX)),
        ] {
            assert_eq!(ClusterFacts::usual_window_ns(scrape, sync), window, "{scrape} {sync}");
            let facts = ClusterFacts {
                scrape_interval_ns: scrape,
                query_window_ns: window,
                ..ClusterFacts::default()
            };
            assert!(facts.scrapes_in_window() >= 4 || scrape > s(1_000_000), "{scrape}");
        }
        for (scrape, remedy) in [
            (s(15), "give --query-window 60s, or leave it out"),
            (s(6 * 3600), "give --query-window 86400s, or leave it out"),
            (s(7 * 3600), "leave --query-window out"),
        ] {
            let facts = ClusterFacts { scrape_interval_ns: scrape, ..ClusterFacts::default() };
            assert_eq!(facts.window_remedy(), remedy, "{scrape}");
        }
        assert_eq!(ClusterFacts::default().query_window_ns, s(60));
        assert_eq!(ClusterFacts::default().detection_ns(), s(60), "15 s + 60 s ÷ 2 + 15 s");
    }
}
