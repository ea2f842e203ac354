//! Service times as people type them: an amount of work, `=`, and its time.

use coldstart_decisions::measured::{StepTime, TimeOf};
use coldstart_profiles::Nanos;

use super::quantity::{QuantityError, duration};

/// The most requests that can be in one batch.
const MOST_REQUESTS: u32 = 65_536;
/// The most tokens that a request can have.
const MOST_TOKENS: u32 = 10_000_000;

/// Why a typed time can't be used. Messages say what to type instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// No `=`, or not one number before it.
    #[error("`{text}` is not {what} with its time: give one such as {example}")]
    Form {
        /// What was typed.
        text: String,
        /// What was wanted before the `=`.
        what: &'static str,
        /// What would do.
        example: &'static str,
    },
    /// None, or more than there can be.
    #[error("`{text}` is of {found} {what}: give 1 to {most}")]
    Amount {
        /// What was typed.
        text: String,
        /// What there is too much of.
        what: &'static str,
        /// How many were typed.
        found: u64,
        /// How many there can be.
        most: u32,
    },
    /// The time.
    #[error("`{text}`: {source}")]
    Time {
        /// What was typed.
        text: String,
        /// What is wrong with it.
        source: QuantityError,
    },
}

/// A number of requests and what their batch takes: `8=90ms`.
pub fn batch_time(text: &str) -> Result<TimeOf, TimeError> {
    let form = Form { text, what: "a batch", example: "8=90ms" };
    let (batch, time_ns) = form.parts()?;
    Ok(TimeOf { count: form.requests(batch)?, time_ns })
}

/// A number of tokens and what a prompt of them takes: `2048=150ms`.
pub fn prompt_time(text: &str) -> Result<TimeOf, TimeError> {
    let form = Form { text, what: "a number of tokens", example: "2048=150ms" };
    let (tokens, time_ns) = form.parts()?;
    Ok(TimeOf { count: form.tokens(tokens)?, time_ns })
}

/// A number of requests, if known what each of them holds, and what a decode step of them takes: `32=18ms`, `32x4096=25ms`.
pub fn step_time(text: &str) -> Result<StepTime, TimeError> {
    let form = Form { text, what: "a batch, or one with its context,", example: "32=18ms or 32x4096=25ms" };
    let (work, time_ns) = form.parts()?;
    let (batch, context) = match work.split_once(['x', 'X', '×']) {
        Some((batch, context)) => (batch, Some(form.tokens(context)?)),
        None => (work, None),
    };
    Ok(StepTime { batch: form.requests(batch)?, context, time_ns })
}

/// One time, as it was typed and as it should have been.
struct Form<'t> {
    text: &'t str,
    what: &'static str,
    example: &'static str,
}

impl<'t> Form<'t> {
    fn parts(&self) -> Result<(&'t str, Nanos), TimeError> {
        let (work, time) = self.text.split_once('=').ok_or_else(|| self.wrong())?;
        let time = duration(time).map_err(|source| TimeError::Time { text: self.text.to_owned(), source })?;
        Ok((work, time))
    }

    fn requests(&self, text: &str) -> Result<u32, TimeError> {
        self.amount(text, "requests", MOST_REQUESTS)
    }

    fn tokens(&self, text: &str) -> Result<u32, TimeError> {
        self.amount(text, "tokens", MOST_TOKENS)
    }

    fn amount(&self, text: &str, what: &'static str, most: u32) -> Result<u32, TimeError> {
        let found: u64 = text.trim().parse().map_err(|_| self.wrong())?;
        match u32::try_from(found) {
            Ok(amount) if (1..=most).contains(&amount) => Ok(amount),
            _ => Err(TimeError::Amount { text: self.text.to_owned(), what, found, most }),
        }
    }

    fn wrong(&self) -> TimeError {
        TimeError::Form { text: self.text.to_owned(), what: self.what, example: self.example }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_and_its_time() {
        let of = |count, millis| TimeOf { count, time_ns: Nanos::from_millis(millis) };
        assert_eq!(batch_time("8=90ms"), Ok(of(8, 90)));
        assert_eq!(batch_time(" 1 = 1.5s "), Ok(of(1, 1500)));
        assert_eq!(prompt_time("2048=150ms"), Ok(of(2048, 150)));
        let step = |batch, context, millis| StepTime { batch, context, time_ns: Nanos::from_millis(millis) };
        assert_eq!(step_time("32=18ms"), Ok(step(32, None, 18)));
        for text in ["32x4096=25ms", "32 × 4096 = 25ms", "32X4096=25ms"] {
            assert_eq!(step_time(text), Ok(step(32, Some(4096), 25)), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_of_a_batch_says_what_would_be() {
        for (text, part) in [
            ("8", "such as 8=90ms"),
            ("90ms", "such as 8=90ms"),
            ("=90ms", "such as 8=90ms"),
            ("-1=90ms", "such as 8=90ms"),
            ("1.5=90ms", "such as 8=90ms"),
            ("0=90ms", "of 0 requests: give 1 to 65536"),
            ("65537=90ms", "1 to 65536"),
            ("99999999999=90ms", "of 99999999999 requests"),
            ("8=90", "no unit"),
            ("8=0s", "not above zero"),
            ("8=-1s", "not above zero"),
            ("8=", "not a time"),
            ("", "such as 8=90ms"),
        ] {
            let error = batch_time(text).unwrap_err().to_string();
            assert!(error.contains(part) && error.contains(&format!("`{text}`")), "{text}: {error}");
        }
        let error = step_time("8x0=9ms").unwrap_err().to_string();
        assert!(error.contains("0 tokens"), "{error}");
        assert!(step_time("8x=9ms").unwrap_err().to_string().contains("32x4096=25ms"));
        assert!(prompt_time("10000001=9s").unwrap_err().to_string().contains("1 to 10000000"));
    }
}
