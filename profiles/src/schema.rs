//! The JSON Schema of a profile, generated from the types.

use crate::profile::Profile;

/// The schema as pretty-printed JSON with a final newline: the contents of `schema/profile-v1.schema.json`.
pub fn profile_schema() -> String {
    let schema = schemars::schema_for!(Profile);
    format!("{:#}\n", schema.to_value())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_schema_is_fresh() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../schema/profile-v1.schema.json");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::create_dir_all(std::path::Path::new(path).parent().unwrap()).unwrap();
            std::fs::write(path, profile_schema()).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            committed == profile_schema(),
            "{path} is stale: run the tests with UPDATE_GOLDEN=1 and commit it"
        );
    }
}
