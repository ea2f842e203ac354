//! JSON lines: one object a request.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::{Role, Row, Rows, TrafficError, Unit};

/// What is needed of an object, as text.
#[derive(Default)]
struct Request {
    time: Option<String>,
    role: Option<Role>,
    tokens_in: Option<String>,
    tokens_out: Option<String>,
    /// Mooncake's traces count milliseconds, and are known by this field.
    mooncake: bool,
}

/// Reads objects, of which the first says which columns there are.
#[derive(Default)]
pub(super) struct JsonLines {
    known: bool,
}

impl JsonLines {
    /// Reads one line.
    pub(super) fn line(&mut self, line: &str, rows: &mut Rows) -> Result<(), TrafficError> {
        let request: Request = serde_json::from_str(line)
            .map_err(|error| rows.wrong(format!("it is no JSON object: {error}")))?;
        if !self.known {
            let milliseconds = request.mooncake.then_some(Role::Time(Some(Unit::Milliseconds)));
            let time = request.role.map(|role| milliseconds.unwrap_or(role));
            let tokens_in = request.tokens_in.is_some().then_some(Role::TokensIn);
            let tokens_out = request.tokens_out.is_some().then_some(Role::TokensOut);
            rows.columns([time, tokens_in, tokens_out].into_iter().flatten())?;
            // Only of the first object: who keeps the names of all takes twice as long.
            let named: BTreeMap<String, IgnoredAny> = serde_json::from_str(line).unwrap_or_default();
            rows.unread(named.keys().map(String::as_str));
            self.known = true;
        }
        let Some(time) = &request.time else {
            return Err(rows.wrong("it has no time: name it `timestamp`".to_owned()));
        };
        rows.push(&Row {
            time,
            tokens_in: request.tokens_in.as_deref(),
            tokens_out: request.tokens_out.as_deref(),
        })
    }
}

impl<'de> Deserialize<'de> for Request {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RequestVisitor)
    }
}

struct RequestVisitor;

impl<'de> Visitor<'de> for RequestVisitor {
    type Value = Request;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with a timestamp")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Request, A::Error> {
        let mut request = Request::default();
        while let Some(name) = map.next_key::<String>()? {
            let role = Role::of(&name);
            let Some(role) = role else {
                request.mooncake |= name == "hash_ids";
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let value = match map.next_value::<Value>()? {
                Value::String(text) => text,
                Value::Null => continue,
                other => other.to_string(),
            };
            let place = match role {
                Role::Time(_) if request.time.is_some() => continue,
                Role::Time(_) => {
                    request.role = Some(role);
                    &mut request.time
                }
                Role::TokensIn => &mut request.tokens_in,
                Role::TokensOut => &mut request.tokens_out,
            };
            *place = Some(value);
        }
        Ok(request)
    }
}
