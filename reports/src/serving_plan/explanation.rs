//! Where a number of a plan comes from.

use coldstart_decisions::plan::Explanation;
use coldstart_profiles::{Bytes, Nanos};
use serde_json::Value;

use super::quantity::{number, quantity};
use crate::style::{Style, Tone};
use crate::terminal::section;
use crate::text::notes;

/// The derivation of each field: formula, inputs with the fields that explain them in turn, measurements, what was assumed.
pub fn explanation(fields: &[Explanation], style: &Style) -> String {
    let parts: Vec<String> = fields.iter().map(|field| one(field, style)).collect();
    parts.join("\n")
}

fn one(field: &Explanation, style: &Style) -> String {
    let basis = &field.basis;
    let mut rows: Vec<(String, String)> = vec![("=".to_owned(), basis.formula.clone())];
    for input in &basis.inputs {
        let value = quantity(&input.value);
        let more = input.field.as_ref().map_or_else(String::new, |field| format!("  ({field})"));
        rows.push((input.name.clone(), format!("{value}{more}")));
    }
    if let Some(n) = basis.n {
        rows.push(("samples".to_owned(), n.to_string()));
    }
    rows.extend(basis.keys.iter().map(|key| ("measured".to_owned(), key.to_string().replace(',', ", "))));
    rows.extend(basis.assumed.iter().map(|flag| ("assumed".to_owned(), flag.clone())));
    rows.extend(basis.caveats.iter().map(|caveat| ("note".to_owned(), caveat.clone())));
    let body = notes(style, Tone::Faint, rows.iter().map(|(name, text)| (name.as_str(), text.as_str())));
    let title = match &field.value {
        // A group of numbers that rest on the same.
        Value::Null => field.field.clone(),
        found => format!("{} = {}", field.field, value(&field.field, found)),
    };
    section(style, &title, "", &body)
}

/// A value of the plan's JSON, with the unit that its field's name ends in.
fn value(field: &str, value: &Value) -> String {
    match value {
        Value::Number(found) => match found.as_u64() {
            Some(nanos) if field.ends_with("_ns") => Nanos::from_nanos(nanos).to_string(),
            Some(bytes) if field.ends_with("bytes") || field.ends_with("bytes_per_token") => {
                Bytes::new(bytes).to_string()
            }
            Some(count) => count.to_string(),
            None => {
                let value = found.as_f64().unwrap_or_default();
                if field.ends_with("attainment") || field.ends_with("_share") {
                    return format!("{:.2} %", value * 100.0);
                }
                let text = number(value);
                if field.ends_with("_per_s") { format!("{text}/s") } else { text }
            }
        },
        Value::Object(_) => match serde_json::from_value(value.clone()) {
            Ok(found) => quantity(&found),
            Err(_) => "the model below".to_owned(),
        },
        other => other.to_string(),
    }
}
