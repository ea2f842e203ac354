//! Where a number of a plan comes from.

use coldstart_decisions::Quantity;
use coldstart_decisions::plan::Explanation;
use coldstart_profiles::Bytes;
use serde_json::{Number, Value, json};

use super::capacity::nanos;
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
        Value::Number(found) => with_unit(field, found),
        Value::Object(_) => match serde_json::from_value(value.clone()) {
            Ok(found) => quantity(&found),
            Err(_) => "the model below".to_owned(),
        },
        other => other.to_string(),
    }
}

fn with_unit(field: &str, found: &Number) -> String {
    let name = field.rsplit('.').next().unwrap_or(field);
    // A value with its unit goes by it: `….value.nanos`.
    if let Ok(found) = serde_json::from_value(json!({name: found})) {
        return quantity(&found);
    }
    let value = found.as_f64().unwrap_or_default();
    let plain = found.as_u64().map_or_else(|| number(value), |count| count.to_string());
    match name {
        _ if name.ends_with("_ns") => nanos(value),
        _ if name.ends_with("bytes") || name.ends_with("bytes_per_token") => {
            quantity(&Quantity::Bytes(Bytes::new(value.max(0.0) as u64)))
        }
        _ if name.ends_with("bytes_per_s") => quantity(&Quantity::BytesPerSecond(value)),
        _ if name.ends_with("attainment") || name.ends_with("_share") => format!("{:.2} %", value * 100.0),
        // Replicas for each request per second: the rate is what they are divided by.
        "per_request_per_s" => format!("{} replicas for each request per second", number(value)),
        _ if name.ends_with("_per_s_per_s") => format!("{}/s each second", number(value)),
        _ if name.ends_with("_per_s") => format!("{}/s", number(value)),
        _ if name.ends_with("_s") => format!("{plain} s"),
        _ => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_the_unit_that_its_name_tells() {
        for (field, found, text) in [
            ("lead_time.total_ns", json!(75_000_000_000_u64), "75.0 s"),
            ("service.model.alpha_ns", json!(12_500_000.5), "12.5 ms"),
            ("service.model.prefill.alpha_ns", json!(-2e6), "−2.00 ms"),
            ("autoscaler.targets.tail_latency.value.nanos", json!(13_560_831_928_u64), "13.6 s"),
            ("autoscaler.targets.request_rate.value.per_second", json!(0.258), "0.26/s"),
            ("autoscaler.targets.memory_pressure.value.share", json!(0.625), "62.5 %"),
            ("autoscaler.targets.concurrency.value.number", json!(2.05), "2.05"),
            ("wanted.per_request_per_s", json!(2.073), "2.07 replicas for each request per second"),
            ("capacity.bound.rate_per_s", json!(12.34), "12.3/s"),
            ("traffic.growth_per_s_per_s", json!(0.01), "0.0100/s each second"),
            ("request.by_hand.pull.registry_bytes_per_s", json!(1048576.0), "1.00 MiB/s"),
            ("fleet.model.bytes", json!(1_048_576), "1.00 MiB"),
            ("keep_alive.cooldown_s", json!(300), "300 s"),
            ("keep_alive.missed_share", json!(0.012), "1.20 %"),
            ("capacity.warm.standby", json!(9), "9"),
            ("request.quantile", json!(0.99), "0.99"),
        ] {
            assert_eq!(value(field, &found), text, "{field}");
        }
    }
}
