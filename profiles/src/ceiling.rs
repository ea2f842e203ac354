//! What data sheets promise: computed from facts of the device, never measured.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::key::Params;
use crate::target::DeviceTarget;
use crate::telemetry::Telemetry;
use crate::work::LimitKind;

/// The theoretical line above a measured limit. No measurement is held against it; it says how far the limit itself is
/// from what the hardware was sold as.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Ceiling {
    /// The limit that it stands above.
    pub of: LimitKind,
    /// What it holds for, such as `dtype=bf16`.
    pub params: Params,
    /// Its height.
    pub height: CeilingHeight,
}

/// The height of a theoretical line, or why it is not known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum CeilingHeight {
    /// It follows from facts of the device.
    Computed {
        /// In bytes or operations per second, as the limit.
        per_second: f64,
        /// The factors: `132 SMs × 1.98 GHz × 4096 FLOP per cycle`.
        from: String,
    },
    /// A fact is missing.
    Skipped {
        /// Which, and why.
        why: String,
    },
}

impl Ceiling {
    /// A line that follows from facts.
    pub fn computed(of: LimitKind, params: Params, per_second: f64, from: impl Into<String>) -> Self {
        Ceiling { of, params, height: CeilingHeight::Computed { per_second, from: from.into() } }
    }

    /// A line that is not known.
    pub fn skipped(of: LimitKind, params: Params, why: impl Into<String>) -> Self {
        Ceiling { of, params, height: CeilingHeight::Skipped { why: why.into() } }
    }
}

/// The lines above reading a GPU's memory, and above its products; none on the host device, whose data sheet nobody can ask
/// for. The line above copies to it is the PCIe link of the telemetry.
pub(crate) fn ceilings(device: &DeviceTarget, telemetry: &Telemetry) -> Vec<Ceiling> {
    if device.kind != "cuda" {
        return Vec::new();
    }
    let clock = device.clock_hz.or_else(|| {
        let megahertz = telemetry.gpus.first()?.sm_clock_max_mhz?;
        Some(u64::from(megahertz) * 1_000_000)
    });
    let products = ["f32", "f16", "bf16"].map(|dtype| products(dtype, device, clock));
    [memory(device)].into_iter().chain(products).collect()
}

/// Device memory: two bits a line of its bus and cycle.
fn memory(device: &DeviceTarget) -> Ceiling {
    let (of, params) = (LimitKind::DeviceRead, Params::new());
    match device.memory_bytes_per_s {
        Some(rate) => Ceiling::computed(of, params, rate as f64, "2 × memory clock × width of the bus"),
        None => Ceiling::skipped(of, params, "the driver does not tell the clock and the bus of the memory"),
    }
}

/// Multiprocessors × highest clock × operations per cycle.
fn products(dtype: &str, device: &DeviceTarget, clock: Option<u64>) -> Ceiling {
    let (of, params) = (LimitKind::Gemm, Params::new().with("dtype", dtype));
    match (device.multiprocessors, clock, device.flop_per_cycle.get(dtype)) {
        (Some(count), Some(clock), Some(per_cycle)) => {
            let rate = f64::from(count) * clock as f64 * f64::from(*per_cycle);
            let ghz = clock as f64 / 1e9;
            let from = format!("{count} SMs × {ghz:.2} GHz × {per_cycle} FLOP per cycle");
            Ceiling::computed(of, params, rate, from)
        }
        (None, ..) => Ceiling::skipped(of, params, "the number of multiprocessors is not known"),
        (_, None, _) => Ceiling::skipped(of, params, "neither the driver nor NVML tells the highest clock"),
        (.., None) => {
            let name = device.features.first().map_or("this GPU", String::as_str);
            Ceiling::skipped(of, params, format!("operations per cycle of {name} are not known here"))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::telemetry::GpuFacts;
    use crate::units::Bytes;

    fn h100() -> DeviceTarget {
        DeviceTarget {
            kind: "cuda".into(),
            name: "NVIDIA H100 80GB HBM3".into(),
            count: 1,
            memory_bytes: Bytes::from_mib(81_559),
            threads: None,
            multiprocessors: Some(132),
            clock_hz: Some(1_980_000_000),
            flop_per_cycle: [("f32", 256), ("f16", 4096), ("bf16", 4096)]
                .map(|(dtype, operations)| (dtype.to_owned(), operations))
                .into(),
            memory_bytes_per_s: Some(3_352_320_000_000),
            features: vec!["sm_90".into()],
            uuid: Some("GPU-1".into()),
            pci_bus_id: None,
            driver: Some("12.4".into()),
            gemm: "own kernel".into(),
            stand_in: false,
        }
    }

    fn rate(ceilings: &[Ceiling], of: LimitKind, dtype: Option<&str>) -> f64 {
        let found = ceilings.iter().find(|line| line.of == of && line.params.get("dtype") == dtype).unwrap();
        match &found.height {
            CeilingHeight::Computed { per_second, .. } => *per_second,
            CeilingHeight::Skipped { why } => panic!("{why}"),
        }
    }

    #[test]
    fn the_lines_of_a_data_sheet() {
        let lines = ceilings(&h100(), &Telemetry::default());
        assert_eq!(lines.len(), 4);
        assert!((rate(&lines, LimitKind::DeviceRead, None) / 3.35e12 - 1.0).abs() < 0.001);
        // NVIDIA gives 989 TFLOP/s for 132 multiprocessors at 1.83 GHz.
        let at_boost = rate(&lines, LimitKind::Gemm, Some("bf16")) * 1830.0 / 1980.0;
        assert!((at_boost / 989.4e12 - 1.0).abs() < 0.001, "{at_boost}");
        assert!((rate(&lines, LimitKind::Gemm, Some("f32")) * 1830.0 / 1980.0 / 61.8e12 - 1.0).abs() < 0.01);
    }

    #[test]
    fn what_is_missing_is_named() {
        let why = |device: &DeviceTarget, telemetry: &Telemetry| -> Vec<String> {
            let skipped = ceilings(device, telemetry).into_iter().filter_map(|line| match line.height {
                CeilingHeight::Skipped { why } => Some(why),
                CeilingHeight::Computed { .. } => None,
            });
            skipped.collect()
        };
        let silent = DeviceTarget { clock_hz: None, memory_bytes_per_s: None, ..h100() };
        let reasons = why(&silent, &Telemetry::default());
        assert_eq!(reasons.len(), 4);
        for (reason, part) in reasons.iter().zip(["bus", "clock"]) {
            assert!(reason.contains(part), "{reasons:?}");
        }
        let unknown = DeviceTarget {
            clock_hz: None,
            features: vec!["sm_200".into()],
            flop_per_cycle: BTreeMap::new(),
            ..h100()
        };
        let gpu = GpuFacts { sm_clock_max_mhz: Some(1000), ..GpuFacts::default() };
        let seen = Telemetry { gpus: vec![gpu], ..Telemetry::default() };
        let reasons = why(&unknown, &seen);
        assert!(reasons.len() == 3 && reasons[0].contains("200"), "NVML tells the clock: {reasons:?}");
        let host = DeviceTarget { kind: "host".into(), ..h100() };
        assert!(ceilings(&host, &Telemetry::default()).is_empty());
    }
}
