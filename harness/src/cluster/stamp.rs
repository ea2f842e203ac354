//! Times as a cluster's objects give them: an instant, and how coarsely it was cut off.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer};

use coldstart_profiles::Nanos;

/// An instant that lies in `[at, at + resolution)`: Kubernetes' `Time` has whole seconds, its `MicroTime` microseconds, both
/// cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    at: Timestamp,
    resolution: Nanos,
}

impl Stamp {
    /// Reads RFC 3339. `None` where it is none.
    pub(super) fn parse(text: &str) -> Option<Stamp> {
        let at = text.parse::<Timestamp>().ok()?;
        let digits = text
            .split_once('.')
            .map_or(0, |(_, fraction)| fraction.bytes().take_while(u8::is_ascii_digit).count().min(9));
        let resolution = 10_u64.pow(9 - u32::try_from(digits).unwrap_or(9));
        Some(Stamp { at, resolution: Nanos::from_nanos(resolution) })
    }

    /// Nanoseconds since another instant; negative before it.
    pub(super) fn since(self, origin: Stamp) -> i128 {
        self.at.as_nanosecond() - origin.at.as_nanosecond()
    }

    /// How coarsely it was cut off.
    pub(super) fn resolution(self) -> Nanos {
        self.resolution
    }
}

impl PartialOrd for Stamp {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Stamp {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.resolution).cmp(&(other.at, other.resolution))
    }
}

/// RFC 3339 in UTC, as far as it was read from a file.
impl std::fmt::Display for Stamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.at.fmt(f)
    }
}

impl<'de> Deserialize<'de> for Stamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Stamp::parse(&text)
            .ok_or_else(|| serde::de::Error::custom(format!("`{text}` is no time of RFC 3339")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_resolution_is_that_of_the_digits() {
        for (text, resolution) in [
            ("2026-11-28T09:00:00Z", 1_000_000_000),
            ("2026-11-28T09:00:00.123456Z", 1_000),
            ("2026-11-28T09:00:00.000000Z", 1_000),
            ("2026-11-28T10:00:00.5+01:00", 100_000_000),
            ("2026-11-28T09:00:00.123456789Z", 1),
        ] {
            assert_eq!(Stamp::parse(text).unwrap().resolution(), Nanos::from_nanos(resolution), "{text}");
        }
        let base = Stamp::parse("2026-11-28T09:00:00Z").unwrap();
        assert_eq!(Stamp::parse("2026-11-28T10:00:00.5+01:00").unwrap().since(base), 500_000_000);
        assert_eq!(base.to_string(), "2026-11-28T09:00:00Z");
        for text in ["", "now", "2026-11-28", "2026-11-28T09:00:00", "9999999-01-01T00:00:00Z"] {
            assert_eq!(Stamp::parse(text), None, "{text}");
        }
    }
}
