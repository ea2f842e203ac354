//! Times as Go's `time.ParseDuration` takes them.

use coldstart_profiles::Nanos;

/// A duration of whole units: `1500ms`, `42s`, `250us`. Down to what can't be told apart from nothing it is exact.
pub(in crate::export) fn go_duration(time: Nanos) -> String {
    let nanos = time.as_nanos();
    for (unit, name) in [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us")] {
        if nanos > 0 && nanos.is_multiple_of(unit) {
            return format!("{}{name}", nanos / unit);
        }
    }
    format!("{nanos}ns")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_units_and_nothing_lost() {
        for (nanos, text) in [
            (0, "0ns"),
            (42_000_000_000, "42s"),
            (1_500_000_000, "1500ms"),
            (250_000, "250us"),
            (1_234_567, "1234567ns"),
        ] {
            assert_eq!(go_duration(Nanos::from_nanos(nanos)), text);
        }
    }
}
