//! Values with units as people write them.

use coldstart_decisions::Quantity;
use coldstart_profiles::Bytes;

/// A value with its unit.
pub(super) fn quantity(value: &Quantity) -> String {
    match value {
        Quantity::Nanos(time) => time.to_string(),
        Quantity::Bytes(bytes) => bytes.to_string(),
        Quantity::Count(count) => count.to_string(),
        Quantity::PerSecond(rate) => format!("{}/s", number(*rate)),
        Quantity::BytesPerSecond(rate) => {
            format!("{}/s", Bytes::new(if rate.is_finite() { rate.max(0.0) as u64 } else { 0 }))
        }
        Quantity::Share(share) => format!("{} %", number(share * 100.0)),
        Quantity::Number(value) => number(*value),
        Quantity::Text(text) => text.clone(),
    }
}

/// Three significant digits, without an exponent.
pub(super) fn number(value: f64) -> String {
    let decimals = match value.abs() {
        v if !v.is_finite() => return "–".to_owned(),
        v if v >= 99.95 => 0,
        v if v >= 9.995 => 1,
        v if v >= 0.1 || v == 0.0 => 2,
        _ => 4,
    };
    format!("{value:.decimals$}")
}

/// `1 replica`, `4 replicas`.
pub(super) fn counted(count: u32, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use coldstart_profiles::Nanos;

    use super::*;

    #[test]
    fn units_stand_behind_their_numbers() {
        for (value, text) in [
            (Quantity::Nanos(Nanos::from_millis(75_000)), "75.0 s"),
            (Quantity::PerSecond(5.0), "5.00/s"),
            (Quantity::Share(0.625), "62.5 %"),
            (Quantity::BytesPerSecond(1048576.0), "1.00 MiB/s"),
            (Quantity::Number(0.012), "0.0120"),
            (Quantity::Number(f64::NAN), "–"),
            (Quantity::Count(7), "7"),
        ] {
            assert_eq!(quantity(&value), text);
        }
        assert_eq!((counted(1, "replica"), counted(2, "replica")), ("1 replica".into(), "2 replicas".into()));
    }
}
