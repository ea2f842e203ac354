//! What the kubelet says of a pull (pkg/kubelet/images/image_manager.go).

use coldstart_profiles::{Bytes, Nanos};

/// How an image came to be there, by the message of an event `Pulled`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pulled {
    /// It was pulled.
    Fetched {
        /// From the event `Pulling`, other pulls of the node that came first included; `None` where no time is told.
        took: Option<Nanos>,
        /// The pull alone, where the two are told apart (from 1.27 on).
        pulling: Option<Nanos>,
        /// The image's size, where it is told (from 1.30 on).
        image: Option<Bytes>,
    },
    /// It was there.
    Present,
}

impl Pulled {
    /// Reads `Successfully pulled image "x" in 1.2s (3.4s including waiting). Image size: 5 bytes.` and its shorter
    /// forms of older releases, and `Container image "x" already present on machine`; `None` for anything else.
    pub(super) fn parse(message: &str) -> Option<Pulled> {
        if message.contains("already present on machine") {
            return Some(Pulled::Present);
        }
        let (_, rest) = message.split_once("Successfully pulled image")?;
        // The name is quoted and may hold anything but a quote.
        let rest = rest
            .trim_start()
            .strip_prefix('"')
            .and_then(|rest| rest.split_once('"'))
            .map_or(rest, |(_, rest)| rest);
        let pulling = rest.split_once(" in ").and_then(|(_, rest)| duration(first_word(rest)));
        let whole = rest
            .split_once('(')
            .and_then(|(_, rest)| rest.split_once(" including waiting)"))
            .and_then(|(time, _)| duration(time));
        let image = rest
            .split_once("Image size: ")
            .and_then(|(_, rest)| first_word(rest).parse().ok())
            .map(Bytes::new);
        Some(Pulled::Fetched { took: whole.or(pulling), pulling: whole.and(pulling), image })
    }
}

fn first_word(text: &str) -> &str {
    text.split(' ').next().unwrap_or_default()
}

/// A duration as Go's `time.Duration` prints it: `1h2m3.5s`, `890ms`, `12.5µs`, `0s`. `None` for anything else.
fn duration(text: &str) -> Option<Nanos> {
    const UNITS: [(&str, f64); 7] =
        [("ns", 1.0), ("µs", 1e3), ("μs", 1e3), ("us", 1e3), ("ms", 1e6), ("m", 60e9), ("h", 3600e9)];
    if text.is_empty() {
        return None;
    }
    let (mut rest, mut nanos) = (text, 0.0);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let value: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let (unit, scale) = UNITS
            .into_iter()
            .find(|(unit, _)| rest.starts_with(unit))
            .or_else(|| rest.starts_with('s').then_some(("s", 1e9)))?;
        rest = &rest[unit.len()..];
        nanos += value * scale;
    }
    (nanos < 1e18).then(|| Nanos::from_nanos_f64(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_all_releases() {
        let fetched = |took: Option<u64>, pulling: Option<u64>, image: Option<u64>| {
            Some(Pulled::Fetched {
                took: took.map(Nanos::from_millis),
                pulling: pulling.map(Nanos::from_millis),
                image: image.map(Bytes::new),
            })
        };
        for (message, expected) in [
            (
                r#"Successfully pulled image "vllm/vllm-openai:v0.9" in 1m2.5s (1m10.001s including waiting). Image size: 8751234567 bytes."#,
                fetched(Some(70_001), Some(62_500), Some(8_751_234_567)),
            ),
            (
                r#"spec.containers{s}: Successfully pulled image "x" in 890ms (890ms including waiting). Image size: 5 bytes."#,
                fetched(Some(890), Some(890), Some(5)),
            ),
            (
                r#"Successfully pulled image "x" in 12.3s (12.4s including waiting)"#,
                fetched(Some(12_400), Some(12_300), None),
            ),
            (
                r#"Successfully pulled image "x" in 2.345678901s"#,
                Some(Pulled::Fetched {
                    took: Some(Nanos::from_nanos(2_345_678_901)),
                    pulling: None,
                    image: None,
                }),
            ),
            (r#"Successfully pulled image "x""#, fetched(None, None, None)),
            (r#"Successfully pulled image "a in 5s (b" in 1s"#, fetched(Some(1000), None, None)),
            (
                r#"Successfully pulled image "x" in soon (later including waiting). Image size: many bytes."#,
                fetched(None, None, None),
            ),
            (r#"Container image "x" already present on machine"#, Some(Pulled::Present)),
            (
                r#"Container image "x" already present on machine and can be accessed by the pod"#,
                Some(Pulled::Present),
            ),
            (r#"Failed to pull image "x": not found"#, None),
            ("", None),
        ] {
            assert_eq!(Pulled::parse(message), expected, "{message}");
        }
    }

    #[test]
    fn durations_of_go() {
        for (text, nanos) in [
            ("0s", Some(0)),
            ("1h2m3.5s", Some(3_723_500_000_000)),
            ("12.5µs", Some(12_500)),
            ("7ns", Some(7)),
            ("1.5h", Some(5_400_000_000_000)),
            ("-1s", None),
            ("5", None),
            ("s", None),
            ("1.2.3s", None),
            ("1x", None),
            ("99999999999999999999h", None),
            ("", None),
        ] {
            assert_eq!(duration(text).map(Nanos::as_nanos), nanos, "{text}");
        }
    }
}
