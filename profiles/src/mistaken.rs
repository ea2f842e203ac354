//! Files of coldstart and its neighbours that are handed over where a profile is wanted.

use serde::Deserialize;
use serde::de::IgnoredAny;

/// The fields by which they are told apart, whatever they hold.
#[derive(Deserialize)]
struct Fields {
    format: Option<Format>,
    calibrated_at: Option<IgnoredAny>,
    standing: Option<IgnoredAny>,
    #[serde(rename = "apiVersion")]
    api_version: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Format {
    plan_major: Option<IgnoredAny>,
}

/// What JSON that is no profile is, and which command takes it; `None` of what is not known.
pub(crate) fn mistaken(json: &str) -> Option<&'static str> {
    let fields: Fields = serde_json::from_str(json).ok()?;
    let plan = fields.format.and_then(|format| format.plan_major);
    [
        (plan, "a plan: `coldstart export hpa`, `keda` and `capacity-buffer` take those"),
        (fields.calibrated_at, "a policy: give it with `coldstart gate --policy`"),
        (fields.standing, "a verdict of `coldstart gate`: give the profiles that it judged"),
        (fields.api_version, "objects of a cluster: `coldstart import kubectl` makes a profile of them"),
    ]
    .into_iter()
    .find_map(|(field, what)| field.map(|_| what))
}

#[cfg(test)]
mod tests {
    use super::mistaken;

    #[test]
    fn files_that_are_known_are_told_apart() {
        for (json, what) in [
            (r#"{"format": {"plan_major": 1, "minor": 0}, "request": {}}"#, Some("a plan")),
            (r#"{"version": 1, "calibrated_at": "2026-01-01"}"#, Some("a policy")),
            (r#"{"version": 1, "standing": "passed"}"#, Some("a verdict")),
            (r#"{"apiVersion": "v1", "kind": "List", "items": []}"#, Some("objects of a cluster")),
            ("{}", None),
            ("[]", None),
            (r#"{"format": 7}"#, None),
            (r#"{"format": {"major": 9}}"#, None),
        ] {
            match (mistaken(json), what) {
                (None, None) => {}
                (found, what) => assert!(
                    found.is_some_and(|found| what.is_some_and(|what| found.starts_with(what))),
                    "{json}"
                ),
            }
        }
    }
}
