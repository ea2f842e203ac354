//! Times as traces write them: numbers since some moment, or dates with or without a zone.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// 2200-01-01: later times are a unit misread.
const LATEST_NS: i128 = 7_258_118_400_000_000_000;

/// What a number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// s
    Seconds,
    /// ms
    Milliseconds,
    /// µs
    Microseconds,
    /// ns
    Nanoseconds,
}

impl Unit {
    fn nanos(self) -> i128 {
        match self {
            Unit::Seconds => 1_000_000_000,
            Unit::Milliseconds => 1_000_000,
            Unit::Microseconds => 1_000,
            Unit::Nanoseconds => 1,
        }
    }

    /// The unit in which a number is a moment between 1973 and 2200 since 1970; seconds for small numbers, which count from the
    /// start of a trace.
    pub(super) fn guess(number: f64) -> Unit {
        match number {
            1e17.. => Unit::Nanoseconds,
            1e14.. => Unit::Microseconds,
            1e11.. => Unit::Milliseconds,
            _ => Unit::Seconds,
        }
    }

    /// Its name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Unit::Seconds => "seconds",
            Unit::Milliseconds => "milliseconds",
            Unit::Microseconds => "microseconds",
            Unit::Nanoseconds => "nanoseconds",
        }
    }
}

/// Whether this is a time at all: tells a header from the first row.
pub(super) fn is_time(text: &str) -> bool {
    text.parse::<f64>().is_ok_and(f64::is_finite) || date(text).is_some()
}

/// Nanoseconds since 1970, or since the moment that numbers count from; says what is wrong.
pub(super) fn nanoseconds(text: &str, unit: Option<Unit>) -> Result<u64, String> {
    let nanos = match text.parse::<f64>() {
        Ok(number) if number.is_finite() => {
            let unit = unit.unwrap_or_else(|| Unit::guess(number)).nanos();
            decimal(text, unit).unwrap_or((number * unit as f64) as i128)
        }
        _ => date(text).ok_or_else(|| {
            format!("`{text}` is no time: write 2023-11-16 18:15:46.68, RFC 3339, or a number of seconds")
        })?,
    };
    match nanos {
        ..0 => Err(format!("the time `{text}` is negative: count from 0 or from 1970")),
        0..LATEST_NS => Ok(nanos as u64),
        _ => Err(format!(
            "the time `{text}` lies after the year 2200: name its unit in the header, such as time_ns"
        )),
    }
}

/// Without a zone UTC is assumed: only differences matter.
fn date(text: &str) -> Option<i128> {
    if let Ok(zoned) = text.parse::<Timestamp>() {
        return Some(zoned.as_nanosecond());
    }
    let civil: DateTime = text.parse().ok()?;
    Some(TimeZone::UTC.to_timestamp(civil).ok()?.as_nanosecond())
}

/// `12.345` in units of `unit` nanoseconds, exact; none for exponents, which floating point reads.
fn decimal(text: &str, unit: i128) -> Option<i128> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || whole.len() > 20 {
        return None;
    }
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut part = 0;
    let mut weight = unit;
    for digit in fraction.bytes() {
        weight /= 10;
        part += i128::from(digit - b'0') * weight;
    }
    let nanos = whole.checked_mul(unit)?.checked_add(part)?;
    Some(if negative { -nanos } else { nanos })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_exactly() {
        for (text, unit, nanos) in [
            ("0", None, 0),
            ("12.5", None, 12_500_000_000),
            ("0.1234567891", None, 123_456_789),
            ("250", Some(Unit::Milliseconds), 250_000_000),
            ("1e3", Some(Unit::Milliseconds), 1_000_000_000),
            ("1700158546.6805900", None, 1_700_158_546_680_590_000),
            ("1700158546680", None, 1_700_158_546_680_000_000),
            ("1700158546680590000", None, 1_700_158_546_680_590_000),
            ("2023-11-16 18:15:46.6805900", None, 1_700_158_546_680_590_000),
            ("2023-11-16T18:15:46.68059Z", None, 1_700_158_546_680_590_000),
            ("2023-11-16T19:15:46.68059+01:00", None, 1_700_158_546_680_590_000),
        ] {
            assert_eq!(nanoseconds(text, unit), Ok(nanos), "{text}");
            assert!(is_time(text), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_said() {
        for (text, says) in [
            ("-1", "is negative"),
            ("1969-12-31 23:59:59", "is negative"),
            ("9999-01-01 00:00:00", "after the year 2200"),
            ("1e300", "after the year 2200"),
            ("yesterday", "is no time"),
            ("", "is no time"),
            ("NaN", "is no time"),
            ("inf", "is no time"),
            ("2023-13-01 00:00:00", "is no time"),
        ] {
            let error = nanoseconds(text, None).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
        assert!(!is_time("TIMESTAMP") && !is_time("NaN"));
    }
}
