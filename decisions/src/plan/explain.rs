//! Where a number of a plan comes from.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use super::given;
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

/// Every number of a plan, with its own basis, that of the group which it stands in, or that of what was given; `None` where nothing says
/// what it rests on. Numbers within a basis are part of it.
///
/// # Errors
/// When the plan has no JSON.
pub fn numbers(plan: &ServingPlan) -> Result<Vec<(String, Option<Explanation>)>, serde_json::Error> {
    let mut found = Vec::new();
    leaves(&serde_json::to_value(plan)?, &mut String::new(), None, &mut |field, value, group| {
        let basis = group.and_then(|basis| serde_json::from_value(basis.clone()).ok());
        let basis = basis.or_else(|| given::basis(plan, field));
        let explained =
            basis.map(|basis| Explanation { field: field.to_owned(), value: value.clone(), basis });
        found.push((field.to_owned(), explained));
    });
    Ok(found)
}

/// The names of everything that [`explain`] knows by its own name: of what has a basis, and of every number that is explained by that of its
/// group or by what was given. Each once, sorted.
///
/// # Errors
/// When the plan has no JSON.
pub fn names(plan: &ServingPlan) -> Result<Vec<String>, serde_json::Error> {
    let numbers = numbers(plan)?.into_iter().filter_map(|(name, explained)| explained.map(|_| name));
    let all: BTreeSet<String> = fields(plan)?.into_iter().map(|known| known.field).chain(numbers).collect();
    Ok(all.into_iter().collect())
}

/// The field; of a group of numbers also, by name, every field below it that has a basis; of a number without a basis of its own that of
/// its group. Empty where there is none.
///
/// # Errors
/// When the plan has no JSON.
pub fn explain(plan: &ServingPlan, field: &str) -> Result<Vec<Explanation>, serde_json::Error> {
    let all = fields(plan)?;
    let exact: Vec<Explanation> = all.iter().filter(|known| known.field == field).cloned().collect();
    if exact.iter().any(|known| !known.value.is_null()) {
        return Ok(exact);
    }
    let below = format!("{field}.");
    let below = all.into_iter().filter(|known| known.field.starts_with(&below));
    let found: Vec<Explanation> = exact.into_iter().chain(below).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let named = numbers(plan)?.into_iter().filter(|(name, _)| name == field);
    Ok(named.filter_map(|(_, explained)| explained).collect())
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

/// Calls `each` with every number outside of a basis: its field, its value, and the nearest basis around it. The value of a figure goes by
/// the figure's name.
fn leaves<'v>(
    value: &'v Value,
    path: &mut String,
    group: Option<&'v Value>,
    each: &mut impl FnMut(&str, &Value, Option<&Value>),
) {
    let length = path.len();
    match value {
        Value::Object(members) => {
            let own = members.get("basis");
            for (name, member) in members.iter().filter(|(name, _)| *name != "basis") {
                if !(own.is_some() && name == "value") {
                    step(path, name);
                }
                leaves(member, path, own.or(group), each);
                path.truncate(length);
            }
        }
        Value::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                step(path, &name_of(element).unwrap_or_else(|| index.to_string()));
                leaves(element, path, group, each);
                path.truncate(length);
            }
        }
        Value::Number(_) => each(path, value, group),
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
