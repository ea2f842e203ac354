//! The JSON Schema of a plan, generated from the types.

use super::serving_plan::ServingPlan;

/// The schema as pretty-printed JSON with a final newline: the contents of `schema/plan-v1.schema.json`.
pub fn plan_schema() -> String {
    let schema = schemars::schema_for!(ServingPlan);
    format!("{:#}\n", schema.to_value())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_schema_is_fresh() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../schema/plan-v1.schema.json");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(path, plan_schema()).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            committed == plan_schema(),
            "{path} is stale: run the tests with UPDATE_GOLDEN=1 and commit it"
        );
    }
}
