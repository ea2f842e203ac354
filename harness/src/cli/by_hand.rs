//! What is typed in place of measurements.

use clap::Args;
use coldstart_decisions::measured::{ByHand, PullByHand, ServiceByHand, StepTime, TimeOf};
use coldstart_decisions::plan::PlacesRequest;
use coldstart_profiles::{Bytes, Nanos};

use crate::planning::quantity::{bandwidth, duration, share, size};
use crate::planning::times::{batch_time, prompt_time, step_time};

/// Options of `coldstart plan` for what no profile tells.
#[derive(Debug, Args)]
#[command(next_help_heading = "In place of measurements: marked as assumed")]
pub struct ByHandArgs {
    /// The 99th percentile of a cold start, in place of what was measured.
    #[arg(long, value_name = "TIME", value_parser = duration, allow_hyphen_values = true)]
    pub assume_cold_p99: Option<Nanos>,
    /// What batches of so many requests take, of encoders and classifiers: such as 1=25ms,8=90ms. Give 99th percentiles.
    #[arg(long, value_name = "N=TIME,…", value_delimiter = ',', value_parser = batch_time, conflicts_with_all = ["assume_prefill", "assume_decode"], allow_hyphen_values = true)]
    pub assume_batches: Vec<TimeOf>,
    /// What prompts of so many tokens take, of language models: such as 128=20ms,2048=150ms.
    #[arg(long, value_name = "TOKENS=TIME,…", value_delimiter = ',', value_parser = prompt_time, requires = "assume_decode", allow_hyphen_values = true)]
    pub assume_prefill: Vec<TimeOf>,
    /// What one decode step of so many requests takes, if known with the tokens that each holds: such as 1=12ms,32=18ms, or
    /// 1x512=12ms,32x512=16ms,32x4096=25ms.
    #[arg(long, value_name = "N[xTOKENS]=TIME,…", value_delimiter = ',', value_parser = step_time, requires = "assume_prefill", allow_hyphen_values = true)]
    pub assume_decode: Vec<StepTime>,
    /// Size of the weights, of a model of which only cold starts of pods are known: such as 16GB.
    #[arg(long, value_name = "SIZE", value_parser = size, allow_hyphen_values = true)]
    pub weights: Option<Bytes>,
    /// Keys and values of one token of one request: such as 128KiB.
    #[arg(long, value_name = "SIZE", value_parser = size, allow_hyphen_values = true)]
    pub kv_per_token: Option<Bytes>,
    /// Device memory that is left for requests in flight.
    #[arg(long, value_name = "SIZE", value_parser = size, allow_hyphen_values = true)]
    pub free_memory: Option<Bytes>,
    /// The most requests that a server works on at once: without, the largest batch that was measured or given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65_536), allow_hyphen_values = true)]
    pub max_batch: Option<u32>,
    /// Compressed size of the image, for a pull that was not measured: such as 8GB.
    #[arg(long, value_name = "SIZE", value_parser = size, requires = "registry_bandwidth", allow_hyphen_values = true)]
    pub image_bytes: Option<Bytes>,
    /// What one node gets of the registry while no other pulls, such as 1.2GB/s or 10Gbit/s: replicas that load weights from it at
    /// once share it.
    #[arg(long, value_name = "RATE", value_parser = bandwidth, requires = "image_bytes", allow_hyphen_values = true)]
    pub registry_bandwidth: Option<f64>,
    /// What one node gets of storage that all nodes mount while no other reads, such as 1GB/s: replicas that load at once share it.
    #[arg(long, value_name = "RATE", value_parser = bandwidth, allow_hyphen_values = true)]
    pub shared_bandwidth: Option<f64>,
    /// Share of the starts that find the weights on their node where the scheduler prefers such nodes: 0.9 without.
    #[arg(long, value_name = "SHARE", value_parser = share, allow_hyphen_values = true)]
    pub hit_ratio: Option<f64>,
    /// Take profiles of a stand-in driver: for trying the command, never for numbers.
    #[arg(long)]
    pub allow_stand_in: bool,
}

impl ByHandArgs {
    /// Values in place of measurements.
    pub(super) fn values(&self) -> ByHand {
        let pull = self.image_bytes.zip(self.registry_bandwidth);
        ByHand {
            cold_p99_ns: self.assume_cold_p99,
            pull: pull
                .map(|(image_bytes, registry_bytes_per_s)| PullByHand { image_bytes, registry_bytes_per_s }),
            weights_bytes: self.weights,
            free_memory_bytes: self.free_memory,
            kv_bytes_per_token: self.kv_per_token,
            service: self.service(),
        }
    }

    /// What is said of the places that weights may be in.
    pub(super) fn places(&self) -> PlacesRequest {
        PlacesRequest { shared_bytes_per_s: self.shared_bandwidth, hit_ratio: self.hit_ratio }
    }

    fn service(&self) -> Option<ServiceByHand> {
        let batches = self.assume_batches.clone();
        let (prefill, decode) = (self.assume_prefill.clone(), self.assume_decode.clone());
        if !batches.is_empty() {
            return Some(ServiceByHand::SingleForward { batches });
        }
        (!prefill.is_empty()).then_some(ServiceByHand::LanguageModel { prefill, decode })
    }
}
