//! Times, sizes and rates as people type them: always with a unit.

use coldstart_decisions::ClusterFacts;
use coldstart_profiles::{Bytes, Nanos};
use jiff::SignedDuration;

/// Why a typed value can't be used. Messages say what to type instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// A number alone.
    #[error("`{text}` has no unit: give one, such as {example}")]
    NoUnit {
        /// What was typed.
        text: String,
        /// What would do.
        example: &'static str,
    },
    /// Zero or below.
    #[error("`{text}` is not above zero: give a value such as {example}")]
    NotPositive {
        /// What was typed.
        text: String,
        /// What would do.
        example: &'static str,
    },
    /// Something else.
    #[error("`{text}` is not {what}: give one such as {example}")]
    Unknown {
        /// What was typed.
        text: String,
        /// What was wanted.
        what: &'static str,
        /// What would do.
        example: &'static str,
    },
}

/// A time above zero: `100ms`, `1.5s`, `2m`.
pub fn duration(text: &str) -> Result<Nanos, QuantityError> {
    match duration_or_zero(text)? {
        Nanos::ZERO => Err(QuantityError::NotPositive { text: text.to_owned(), example: "100ms or 1.5s" }),
        time => Ok(time),
    }
}

/// The shortest and the longest time between two looks of a monitoring system that make sense: Prometheus counts in milliseconds.
const INTERVALS: (Nanos, Nanos) = (Nanos::from_millis(1), ClusterFacts::LONGEST_INTERVAL);

/// A time between two scrapes or looks, or the window of a query: of 1 ms to a day.
pub fn interval(text: &str) -> Result<Nanos, QuantityError> {
    let time = duration(text)?;
    match (INTERVALS.0..=INTERVALS.1).contains(&time) {
        true => Ok(time),
        false => Err(QuantityError::Unknown {
            text: text.to_owned(),
            what: "an interval between 1 ms and a day",
            example: "15s or 1m",
        }),
    }
}

/// A time that may be zero: `0s`, `90s`, `3m`.
pub fn duration_or_zero(text: &str) -> Result<Nanos, QuantityError> {
    const EXAMPLE: &str = "100ms, 1.5s or 2m";
    if text.trim().parse::<f64>().is_ok_and(f64::is_finite) {
        return Err(QuantityError::NoUnit { text: text.to_owned(), example: EXAMPLE });
    }
    let parsed: SignedDuration = text.trim().parse().map_err(|_| QuantityError::Unknown {
        text: text.to_owned(),
        what: "a time",
        example: EXAMPLE,
    })?;
    if parsed.is_negative() {
        return Err(QuantityError::NotPositive { text: text.to_owned(), example: EXAMPLE });
    }
    Ok(Nanos::from_nanos(u64::try_from(parsed.as_nanos()).unwrap_or(u64::MAX)))
}

/// Multiples of a byte: decimal ones as registries and disks are sold, binary ones as memory is.
const SIZES: [(&str, f64); 10] = [
    ("b", 1.0),
    ("kb", 1e3),
    ("mb", 1e6),
    ("gb", 1e9),
    ("tb", 1e12),
    ("kib", 1024.0),
    ("mib", 1_048_576.0),
    ("gib", 1_073_741_824.0),
    ("tib", 1_099_511_627_776.0),
    ("pb", 1e15),
];
/// Multiples of a bit, as networks are sold.
const BITS: [(&str, f64); 4] = [("kbit", 1e3), ("mbit", 1e6), ("gbit", 1e9), ("tbit", 1e12)];

/// A size above zero: `8GB`, `500MiB`.
pub fn size(text: &str) -> Result<Bytes, QuantityError> {
    const EXAMPLE: &str = "8GB or 500MiB";
    let (value, unit) = split(text, "a size", EXAMPLE)?;
    let factor = factor(&SIZES, &unit).ok_or_else(|| QuantityError::Unknown {
        text: text.to_owned(),
        what: "a size",
        example: EXAMPLE,
    })?;
    let bytes = (value * factor).round();
    if bytes < 1.0 {
        return Err(QuantityError::NotPositive { text: text.to_owned(), example: EXAMPLE });
    }
    Ok(Bytes::new(bytes as u64))
}

/// Bytes per second, above zero: `1.2GB/s`, `10Gbit/s`.
pub fn bandwidth(text: &str) -> Result<f64, QuantityError> {
    const EXAMPLE: &str = "1.2GB/s or 10Gbit/s";
    let unknown = || QuantityError::Unknown { text: text.to_owned(), what: "a bandwidth", example: EXAMPLE };
    let (value, unit) = split(text, "a bandwidth", EXAMPLE)?;
    let amount = unit.strip_suffix("/s").ok_or_else(unknown)?;
    // A small b is a bit, a capital one a byte: there it matters.
    let bits = amount.ends_with("bit") || text.trim().trim_end_matches("/s").ends_with('b');
    let bytes = match bits {
        true => factor(&BITS, &format!("{}bit", amount.trim_end_matches("bit").trim_end_matches('b')))
            .map(|bits| bits / 8.0),
        false => factor(&SIZES, amount),
    };
    Ok(value * bytes.ok_or_else(unknown)?)
}

/// A share above 0 and below 1: `0.9` or `90%`.
pub fn share(text: &str) -> Result<f64, QuantityError> {
    quantile(text).map_err(|_| QuantityError::Unknown {
        text: text.to_owned(),
        what: "a share above 0 and below 1",
        example: "0.9 or 90%",
    })
}

/// A share above 0 and below 1, also as a percentage or percentile: `0.99`, `99%`, `p99`.
pub fn quantile(text: &str) -> Result<f64, QuantityError> {
    const EXAMPLE: &str = "0.99, 99% or p99.9";
    let plain = text.trim();
    let parsed = match (plain.strip_suffix('%'), plain.strip_prefix('p')) {
        (Some(percent), _) | (None, Some(percent)) => {
            percent.trim().parse::<f64>().map(|value| value / 100.0)
        }
        (None, None) => plain.parse(),
    };
    match parsed {
        Ok(value) if value > 0.0 && value < 1.0 => Ok(value),
        _ => Err(QuantityError::Unknown { text: text.to_owned(), what: "a quantile", example: EXAMPLE }),
    }
}

/// A number that is finite and at least zero: prices.
pub fn price(text: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(value) if value.is_finite() && value >= 0.0 => Ok(value),
        _ => Err(format!("`{text}` is no price: give a number, not below zero, such as 2.50")),
    }
}

/// A number that is finite and above zero: requests per second.
pub fn rate(text: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(value) if value.is_finite() && value > 0.0 => Ok(value),
        _ => Err(format!("`{text}` is no rate: give requests per second above zero, such as 12.5")),
    }
}

/// A positive number and the unit behind it in lower case.
fn split(text: &str, what: &'static str, example: &'static str) -> Result<(f64, String), QuantityError> {
    let plain = text.trim();
    let at = plain.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(plain.len());
    let (number, unit) = plain.split_at(at);
    let unknown = || QuantityError::Unknown { text: text.to_owned(), what, example };
    let value: f64 = number.trim().parse().map_err(|_| unknown())?;
    if unit.is_empty() {
        return Err(QuantityError::NoUnit { text: text.to_owned(), example });
    }
    if !value.is_finite() {
        return Err(unknown());
    }
    if value <= 0.0 {
        return Err(QuantityError::NotPositive { text: text.to_owned(), example });
    }
    Ok((value, unit.to_ascii_lowercase()))
}

fn factor(units: &[(&str, f64)], unit: &str) -> Option<f64> {
    units.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        for (text, millis) in
            [("100ms", 100), ("1.5s", 1500), ("2m", 120_000), ("1h", 3_600_000), (" 90s ", 90_000)]
        {
            assert_eq!(duration(text), Ok(Nanos::from_millis(millis)), "{text}");
        }
        for (text, part) in [
            ("100", "no unit"),
            ("0", "no unit"),
            ("-5", "no unit"),
            ("0s", "not above zero"),
            ("-5ms", "not above zero"),
            ("soon", "not a time"),
            ("", "not a time"),
            ("1e400s", "not a time"),
            ("NaN", "not a time"),
        ] {
            let error = duration(text).unwrap_err().to_string();
            assert!(error.contains(part) && error.contains("100ms"), "{text}: {error}");
        }
        assert_eq!(duration_or_zero("0s"), Ok(Nanos::ZERO));
        assert!(duration_or_zero("-1s").is_err());
        assert_eq!(interval("1ms"), Ok(Nanos::from_millis(1)));
        for (text, part) in
            [("1ns", "between 1 ms and a day"), ("25h", "between 1 ms and a day"), ("0s", "above zero")]
        {
            let error = interval(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
        let error = share("2").unwrap_err().to_string();
        assert!(error.contains("a share") && share("90%") == Ok(0.9), "{error}");
    }

    #[test]
    fn sizes_and_bandwidths_have_units() {
        for (text, bytes) in [("8GB", 8_000_000_000), ("500 MiB", 524_288_000), ("1.5kB", 1500), ("1b", 1)] {
            assert_eq!(size(text), Ok(Bytes::new(bytes)), "{text}");
        }
        for text in ["8", "8 parsecs", "-1GB", "0GB", "GB", "", "0.1b"] {
            let error = size(text).unwrap_err().to_string();
            assert!(error.contains("such as"), "{text}: {error}");
        }
        for (text, per_s) in
            [("1.2GB/s", 1.2e9), ("10Gbit/s", 1.25e9), ("8Gb/s", 1e9), ("2 MiB/s", 2_097_152.0)]
        {
            assert!((bandwidth(text).unwrap() - per_s).abs() < 1e-3, "{text}");
        }
        for text in ["1GB", "0GB/s", "7", "100Mbps", "5Mib/s"] {
            assert!(bandwidth(text).is_err(), "{text}");
        }
    }

    #[test]
    fn quantiles_in_three_spellings() {
        for text in ["0.99", "99%", "p99", " 99 % "] {
            assert!((quantile(text).unwrap() - 0.99).abs() < 1e-12, "{text}");
        }
        for text in ["0", "1", "99", "p0", "100%", "x", "NaN"] {
            assert!(quantile(text).is_err(), "{text}");
        }
        assert!(price("-1").is_err() && price("NaN").is_err() && price("0") == Ok(0.0));
        assert!(rate("0").is_err() && rate("inf").is_err() && rate("2.5") == Ok(2.5));
    }
}
