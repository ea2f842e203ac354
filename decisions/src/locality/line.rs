//! Times that grow with the size of the model.

/// t(bytes) = at_zero + per_byte · bytes, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Line {
    /// What it takes whatever the size.
    pub(super) at_zero: f64,
    /// What one more byte takes.
    pub(super) per_byte: f64,
}

impl Line {
    /// Only bytes, at so many per second.
    pub(super) fn of_rate(bytes_per_s: f64) -> Self {
        Line { at_zero: 0.0, per_byte: 1e9 / bytes_per_s }
    }

    /// One after the other.
    pub(super) fn then(self, next: Line) -> Self {
        Line { at_zero: self.at_zero + next.at_zero, per_byte: self.per_byte + next.per_byte }
    }

    /// This one in a share `h` of the cases, the other one in the rest.
    pub(super) fn or(self, h: f64, other: Line) -> Self {
        let mix = |a: f64, b: f64| h * a + (1.0 - h) * b;
        Line { at_zero: mix(self.at_zero, other.at_zero), per_byte: mix(self.per_byte, other.per_byte) }
    }

    /// The same, so many times as long.
    pub(super) fn times(self, factor: f64) -> Self {
        Line { at_zero: factor * self.at_zero, per_byte: factor * self.per_byte }
    }

    /// The time of so many bytes, in nanoseconds.
    pub(super) fn at(self, bytes: f64) -> f64 {
        self.at_zero + self.per_byte * bytes
    }

    /// The size at which both take as long; `None` for parallels.
    pub(super) fn meets(self, other: Line) -> Option<f64> {
        let size = (other.at_zero - self.at_zero) / (self.per_byte - other.per_byte);
        size.is_finite().then_some(size)
    }
}
