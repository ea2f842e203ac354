//! The JSON Schema of a profile, generated from the types.

use crate::profile::Profile;

/// The schema as pretty-printed JSON with a final newline: the contents of `schema/profile-v1.schema.json`.
pub fn profile_schema() -> String {
    let schema = schemars::schema_for!(Profile);
    format!("{:#}\n", schema.to_value())
}
