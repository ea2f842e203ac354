//! Where a number of a plan comes from.

use serde::Serialize;
use serde_json::Value;

use super::serving_plan::ServingPlan;
use crate::basis::Basis;

/// A field with its value and what that rests on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// The field, such as `capacity.warm.standby`.
    pub field: String,
    /// Its value as it stands in the plan's JSON.
    pub value: Value,
    /// What it rests on.
    pub basis: Basis,
}

/// Every field of a plan that has a basis, in the order of the plan. Elements of lists are named by what they are about (a signal, a
/// phase, a storage) where they say so, else by their number.
///
/// # Errors
/// When the plan has no JSON.
pub fn fields(plan: &ServingPlan) -> Result<Vec<Explanation>, serde_json::Error> {
    let mut found = Vec::new();
    walk(&serde_json::to_value(plan)?, &mut String::new(), &mut found);
    Ok(found)
}

/// The field and, by name, every field below it that has a basis; empty where there is none.
///
/// # Errors
/// When the plan has no JSON.
pub fn explain(plan: &ServingPlan, field: &str) -> Result<Vec<Explanation>, serde_json::Error> {
    let all = fields(plan)?;
    let exact: Vec<Explanation> = all.iter().filter(|known| known.field == field).cloned().collect();
    if !exact.is_empty() {
        return Ok(exact);
    }
    let below = format!("{field}.");
    Ok(all.into_iter().filter(|known| known.field.starts_with(&below)).collect())
}

fn walk(value: &Value, path: &mut String, found: &mut Vec<Explanation>) {
    let length = path.len();
    match value {
        Value::Object(members) => {
            let basis = members.get("basis").and_then(|basis| serde_json::from_value(basis.clone()).ok());
            let is_figure = basis.is_some();
            if let Some(basis) = basis {
                let value =
                    members.get("value").or_else(|| members.get("model")).cloned().unwrap_or(Value::Null);
                found.push(Explanation { field: path.clone(), value, basis });
            }
            for (name, member) in members {
                if is_figure && (name == "basis" || name == "value") {
                    continue;
                }
                step(path, name);
                walk(member, path, found);
                path.truncate(length);
            }
        }
        Value::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                step(path, &name_of(element).unwrap_or_else(|| index.to_string()));
                walk(element, path, found);
                path.truncate(length);
            }
        }
        _ => {}
    }
}

fn step(path: &mut String, name: &str) {
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(name);
}

/// What an element of a list is about.
fn name_of(element: &Value) -> Option<String> {
    let text = |name: &str| Some(element.get(name)?.as_str()?.replace([' ', '.'], "_"));
    match (text("storage"), text("page_cache"), text("staging")) {
        (Some(storage), Some(cache), Some(staging)) => return Some(format!("{storage}/{cache}/{staging}")),
        (Some(storage), ..) if element.get("totals_ns").is_some() => return Some(storage),
        _ => {}
    }
    if let Some(class) = element.get("class").and_then(|class| class.get("name")).and_then(Value::as_str) {
        return Some(class.replace([' ', '.'], "_"));
    }
    ["signal", "phase", "kind", "mitigation", "strategy", "tier", "name"].into_iter().find_map(text)
}
