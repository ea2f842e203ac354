//! Which column is what, by its name.

use super::timestamps::Unit;

/// What a column says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// When the request arrived, with the unit that the name states.
    Time(Option<Unit>),
    /// Tokens of the prompt.
    TokensIn,
    /// Tokens of the answer.
    TokensOut,
}

/// Azure's traces (ContextTokens, GeneratedTokens), BurstGPT (Request tokens, Response tokens), Mooncake (input_length,
/// output_length), Vidur (num_prefill_tokens, num_decode_tokens), and what one would write by hand. Compared without case,
/// blanks and punctuation.
const TOKENS_IN: [&str; 14] = [
    "contexttokens",
    "requesttokens",
    "inputtokens",
    "prompttokens",
    "tokensin",
    "intokens",
    "inputlength",
    "promptlength",
    "inputlen",
    "promptlen",
    "numprefilltokens",
    "prefilltokens",
    "numinputtokens",
    "isl",
];
const TOKENS_OUT: [&str; 14] = [
    "generatedtokens",
    "responsetokens",
    "outputtokens",
    "completiontokens",
    "tokensout",
    "outtokens",
    "outputlength",
    "responselength",
    "outputlen",
    "responselen",
    "numdecodetokens",
    "decodetokens",
    "numoutputtokens",
    "osl",
];
const TIME: [&str; 12] = [
    "timestamp",
    "time",
    "ts",
    "arrival",
    "arrivaltime",
    "arrivedat",
    "arrivaltimestamp",
    "datetime",
    "date",
    "start",
    "starttime",
    "requesttime",
];
/// Endings of a time's name. Longer ones first: `_ms` ends in `s`.
const UNITS: [(&str, Unit); 9] = [
    ("nanos", Unit::Nanoseconds),
    ("micros", Unit::Microseconds),
    ("millis", Unit::Milliseconds),
    ("seconds", Unit::Seconds),
    ("ns", Unit::Nanoseconds),
    ("us", Unit::Microseconds),
    ("ms", Unit::Milliseconds),
    ("secs", Unit::Seconds),
    ("s", Unit::Seconds),
];

/// So many names of each number of tokens are told.
const MOST_TOLD: usize = 4;

/// The names that columns of tokens may have, as people are told them.
pub(super) fn known_names() -> String {
    let told = |first: &str, names: &[&str]| {
        let others: Vec<&str> = names.iter().take(MOST_TOLD).copied().collect();
        format!("{first} ({} …)", others.join(", "))
    };
    format!(
        "{} and {}; case, blanks and punctuation don't matter",
        told("tokens_in", &TOKENS_IN),
        told("tokens_out", &TOKENS_OUT)
    )
}

impl Role {
    /// What a column of this name says; none for columns that are not needed.
    pub(super) fn of(name: &str) -> Option<Role> {
        let name: String =
            name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
        let name = name.as_str();
        if TIME.contains(&name) {
            return Some(Role::Time(None));
        }
        if TOKENS_IN.contains(&name) {
            return Some(Role::TokensIn);
        }
        if TOKENS_OUT.contains(&name) {
            return Some(Role::TokensOut);
        }
        UNITS.iter().find_map(|(ending, unit)| {
            let time = name.strip_suffix(ending)?;
            TIME.contains(&time).then_some(Role::Time(Some(*unit)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_told_are_read() {
        let told = known_names();
        let named: Vec<Role> =
            told.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter_map(Role::of).collect();
        for role in [Role::TokensIn, Role::TokensOut] {
            assert_eq!(named.iter().filter(|named| **named == role).count(), 1 + MOST_TOLD, "{told}");
        }
    }

    #[test]
    fn names_of_public_traces_are_known() {
        for (name, role) in [
            ("TIMESTAMP", Some(Role::Time(None))),
            ("ContextTokens", Some(Role::TokensIn)),
            ("GeneratedTokens", Some(Role::TokensOut)),
            ("Request tokens", Some(Role::TokensIn)),
            ("Response tokens", Some(Role::TokensOut)),
            ("Total tokens", None),
            ("output_length", Some(Role::TokensOut)),
            ("time_ms", Some(Role::Time(Some(Unit::Milliseconds)))),
            ("arrival_time_ns", Some(Role::Time(Some(Unit::Nanoseconds)))),
            ("ts_s", Some(Role::Time(Some(Unit::Seconds)))),
            ("tokens in", Some(Role::TokensIn)),
            ("hash_ids", None),
            ("", None),
        ] {
            assert_eq!(Role::of(name), role, "{name}");
        }
    }
}
