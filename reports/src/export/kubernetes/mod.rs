//! Rules of Kubernetes' API that all of its objects share.

mod annotations;
mod duration;
mod label;
mod name;

pub(super) use annotations::{Annotations, explained};
pub(super) use duration::go_duration;
pub(super) use label::{is_label_key, is_label_value, label_value};
pub(super) use name::{is_label_prefix, is_object_name, is_part_name, object_name, shortened};

use serde_json::{Map, Value, json};

use super::settings::ExportSettings;

/// The metadata of an object: name, namespace where one was given, annotations.
pub(super) fn metadata(name: &str, settings: &ExportSettings, annotations: Annotations) -> Value {
    let mut metadata = Map::new();
    metadata.insert("name".to_owned(), json!(name));
    if let Some(namespace) = &settings.namespace {
        metadata.insert("namespace".to_owned(), json!(namespace));
    }
    metadata.insert("annotations".to_owned(), annotations.into_value());
    Value::Object(metadata)
}

/// An object's text.
pub(super) fn manifest(object: &Value) -> String {
    format!("{object:#}\n")
}
