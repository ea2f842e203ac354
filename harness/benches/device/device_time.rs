//! Time by the device's own clock.

use std::time::Duration;

use coldstart_kernels::Device;
use criterion::Throughput;
use criterion::measurement::{Measurement, ValueFormatter, WallTime};

use crate::must;

/// From a mark on the compute stream before the iterations to one behind them. The device is idle before: criterion plans
/// by the time on the wall, in which no older work may lie.
pub(crate) struct DeviceTime<'d, D> {
    device: &'d D,
}

impl<'d, D> DeviceTime<'d, D> {
    pub(crate) fn new(device: &'d D) -> Self {
        DeviceTime { device }
    }
}

impl<D: Device> Measurement for DeviceTime<'_, D> {
    type Intermediate = D::Mark;
    type Value = Duration;

    fn start(&self) -> D::Mark {
        must(self.device.sync());
        must(self.device.mark())
    }

    fn end(&self, begin: D::Mark) -> Duration {
        let end = must(self.device.mark());
        let time = must(self.device.between(&begin, &end));
        must(self.device.sync());
        time
    }

    fn add(&self, one: &Duration, two: &Duration) -> Duration {
        *one + *two
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    /// In nanoseconds, and never zero: criterion divides by it.
    fn to_f64(&self, time: &Duration) -> f64 {
        time.as_nanos().max(1) as f64
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        &DecimalRates
    }
}

/// Times as criterion writes them, and rates with decimal prefixes, as data sheets do.
struct DecimalRates;

impl ValueFormatter for DecimalRates {
    fn scale_values(&self, typical: f64, values: &mut [f64]) -> &'static str {
        WallTime.formatter().scale_values(typical, values)
    }

    fn scale_throughputs(&self, typical: f64, throughput: &Throughput, values: &mut [f64]) -> &'static str {
        let decimal = match throughput {
            Throughput::Bytes(bytes) => Throughput::BytesDecimal(*bytes),
            other => other.clone(),
        };
        WallTime.formatter().scale_throughputs(typical, &decimal, values)
    }

    fn scale_for_machines(&self, values: &mut [f64]) -> &'static str {
        WallTime.formatter().scale_for_machines(values)
    }
}
