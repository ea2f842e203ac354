//! One unit and one number of decimals for a whole column, so that its numbers can be compared by eye.

use coldstart_profiles::{Bytes, Nanos};

/// How a column of numbers is written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scale {
    /// The unit, for the column's title; empty for plain numbers.
    pub(crate) unit: String,
    per: f64,
    decimals: usize,
}

impl Scale {
    /// Times. The largest one picks the unit.
    pub(crate) fn times(values: impl IntoIterator<Item = Nanos>) -> Self {
        let largest = values.into_iter().max().unwrap_or(Nanos::ZERO).as_nanos();
        let (unit, per) = match largest {
            0..10_000 => ("ns", 1.0),
            10_000..10_000_000 => ("µs", 1e3),
            10_000_000..10_000_000_000 => ("ms", 1e6),
            _ => ("s", 1e9),
        };
        let whole = largest as f64 / per;
        let decimals = match unit {
            "ns" => 0,
            "s" if whole < 100.0 => 3,
            _ if whole < 100.0 => 2,
            _ => 1,
        };
        Scale { unit: unit.to_owned(), per, decimals }
    }

    /// Seconds with one decimal: estimates claim no more.
    pub(crate) fn estimates() -> Self {
        Scale { unit: "s".to_owned(), per: 1e9, decimals: 1 }
    }

    /// Amounts of data in binary units. The largest one picks the unit.
    pub(crate) fn bytes(values: impl IntoIterator<Item = Bytes>) -> Self {
        let largest = values.into_iter().max().unwrap_or(Bytes::ZERO).get();
        let (unit, per) = match largest {
            0..10_240 => ("B", 1.0),
            10_240..10_485_760 => ("KiB", 1024.0),
            10_485_760..10_737_418_240 => ("MiB", 1024.0 * 1024.0),
            _ => ("GiB", 1024.0 * 1024.0 * 1024.0),
        };
        Scale { unit: unit.to_owned(), per, decimals: usize::from(per > 1.0) }
    }

    /// Rates with decimal prefixes, as data sheets have them: `base` is `B/s`, `FLOP/s` …
    pub(crate) fn rates(base: &str, values: impl IntoIterator<Item = f64>) -> Self {
        let largest = largest_of(values);
        let (prefix, per) = match largest {
            v if v >= 999.5e9 => ("T", 1e12),
            v if v >= 999.5e6 => ("G", 1e9),
            v if v >= 999.5e3 => ("M", 1e6),
            v if v >= 10e3 => ("k", 1e3),
            _ => ("", 1.0),
        };
        let decimals = if largest / per < 100.0 { 2 } else { 1 };
        Scale { unit: format!("{prefix}{base}"), per, decimals }
    }

    /// Energies, given in microjoules. The largest one picks the unit.
    pub(crate) fn energies(values: impl IntoIterator<Item = u64>) -> Self {
        let largest = values.into_iter().max().unwrap_or(0);
        let (unit, per) = match largest {
            0..10_000 => ("µJ", 1.0),
            10_000..10_000_000 => ("mJ", 1e3),
            _ => ("J", 1e6),
        };
        let decimals = usize::from(per > 1.0) + usize::from(per > 1.0 && (largest as f64) < 100.0 * per);
        Scale { unit: unit.to_owned(), per, decimals }
    }

    /// Plain numbers: decimals enough for two digits of the least one, and at most two.
    pub(crate) fn counts(values: impl IntoIterator<Item = f64>) -> Self {
        let least = values.into_iter().filter(|value| *value > 0.0).fold(f64::INFINITY, f64::min);
        let decimals = match least {
            v if v >= 10.0 => 0,
            v if v >= 1.0 => 1,
            _ => 2,
        };
        Scale { unit: String::new(), per: 1.0, decimals }
    }

    /// One number without its unit. What would round to zero is written `<0.1`.
    pub(crate) fn text(&self, value: f64) -> String {
        if !value.is_finite() {
            return "–".to_owned();
        }
        let scaled = value / self.per;
        let step = 0.1_f64.powi(i32::try_from(self.decimals).unwrap_or(0));
        if scaled > 0.0 && scaled < step / 2.0 {
            return format!("<{step:.*}", self.decimals);
        }
        format!("{scaled:.*}", self.decimals)
    }

    /// A time.
    pub(crate) fn time(&self, value: Nanos) -> String {
        self.text(value.as_nanos() as f64)
    }

    /// An amount of data.
    pub(crate) fn size(&self, value: Bytes) -> String {
        self.text(value.get() as f64)
    }

    /// The column's title with the unit behind it.
    pub(crate) fn title(&self, name: &str) -> String {
        if self.unit.is_empty() { name.to_owned() } else { format!("{name} {}", self.unit) }
    }
}

fn largest_of(values: impl IntoIterator<Item = f64>) -> f64 {
    values.into_iter().filter(|value| value.is_finite()).fold(0.0, f64::max)
}

/// Two ends of a range, padded so that both line up down a column: `  9.8 – 10.1`.
pub(crate) fn ranges(ends: &[Option<(String, String)>]) -> Vec<String> {
    let width = |side: fn(&(String, String)) -> &String| {
        ends.iter().flatten().map(|end| side(end).chars().count()).max().unwrap_or(0)
    };
    let (low, high) = (width(|end| &end.0), width(|end| &end.1));
    ends.iter()
        .map(|end| match end {
            Some((from, to)) => format!("{from:>low$} – {to:>high$}"),
            None => String::new(),
        })
        .collect()
}

/// A share or ratio of the whole, in percent without decimals; `<1 %` where that would say nothing.
pub(crate) fn percent(share: f64) -> String {
    match share * 100.0 {
        v if !v.is_finite() => "–".to_owned(),
        v if v > 0.0 && v < 0.5 => "<1 %".to_owned(),
        v => format!("{v:.0} %"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_has_one_unit() {
        for (largest, unit, text) in [
            (0, "ns", "0"),
            (9_999, "ns", "9999"),
            (99_000, "µs", "99.00"),
            (12_345_678, "ms", "12.35"),
            (1_320_000_000, "ms", "1320.0"),
            (12_345_678_901, "s", "12.346"),
            (u64::MAX, "s", "18446744073.7"),
        ] {
            let scale = Scale::times([Nanos::ZERO, Nanos::from_nanos(largest)]);
            assert_eq!((scale.unit.as_str(), scale.time(Nanos::from_nanos(largest)).as_str()), (unit, text));
        }
        let scale = Scale::times([Nanos::from_millis(1_320)]);
        assert_eq!(scale.time(Nanos::from_nanos(40_000)), "<0.1");
        assert_eq!(scale.time(Nanos::ZERO), "0.0");
    }

    #[test]
    fn rates_and_sizes_pick_their_prefix_from_the_largest() {
        let rates = Scale::rates("B/s", [2.41e9, 0.3e9]);
        assert_eq!((rates.title("rate"), rates.text(0.3e9)), ("rate GB/s".to_owned(), "0.30".to_owned()));
        let sizes = Scale::bytes([Bytes::from_mib(86), Bytes::new(1)]);
        assert_eq!((sizes.unit.as_str(), sizes.size(Bytes::new(1)).as_str()), ("MiB", "<0.1"));
        let energies = Scale::energies([3_120_000, 40_000]);
        assert_eq!(
            (energies.title("token"), energies.text(40_000.0)),
            ("token mJ".to_owned(), "40.0".to_owned())
        );
        assert_eq!(Scale::energies([9_999]).text(512.0), "512");
        assert_eq!(Scale::energies([u64::MAX]).unit, "J");
        assert_eq!(Scale::counts([f64::NAN, 2.5]).text(f64::NAN), "–");
    }

    #[test]
    fn ranges_line_up() {
        let ends =
            [Some(("9.8".to_owned(), "10.1".to_owned())), None, Some(("120.0".to_owned(), "9.0".to_owned()))];
        assert_eq!(ranges(&ends), ["  9.8 – 10.1", "", "120.0 –  9.0"]);
    }
}
