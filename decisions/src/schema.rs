//! The JSON Schemas of what a gate reads and writes and a calibration writes, generated from the types.

use crate::gate::{History, Policy, Rules, Verdict};

/// The schema of a verdict, as pretty-printed JSON with a final newline: the contents of `schema/verdict-v1.schema.json`.
pub fn verdict_schema() -> String {
    format!("{:#}\n", schemars::schema_for!(Verdict).to_value())
}

/// The schema of a policy, likewise: the contents of `schema/policy-v1.schema.json`.
pub fn policy_schema() -> String {
    format!("{:#}\n", schemars::schema_for!(Policy).to_value())
}

/// The schema of a rules file, whose TOML has the form of this JSON: the contents of `schema/rules-v1.schema.json`.
pub fn rules_schema() -> String {
    format!("{:#}\n", schemars::schema_for!(Rules).to_value())
}

/// The schema of what a search for slow creep writes as JSON: the contents of `schema/history-v1.schema.json`.
pub fn history_schema() -> String {
    format!("{:#}\n", schemars::schema_for!(History).to_value())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_schemas_are_fresh() {
        let all = [
            ("verdict", verdict_schema()),
            ("policy", policy_schema()),
            ("rules", rules_schema()),
            ("history", history_schema()),
        ];
        for (name, schema) in all {
            let path = format!("{}/../schema/{name}-v1.schema.json", env!("CARGO_MANIFEST_DIR"));
            if std::env::var_os("UPDATE_GOLDEN").is_some() {
                std::fs::write(&path, &schema).unwrap();
            }
            let committed = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(committed == schema, "{path} is stale: run the tests with UPDATE_GOLDEN=1 and commit it");
        }
    }
}
