//! Checking credentials, as registries do (distribution specification, token authentication).

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::faults::Auth;
use super::reply::{error, json_reply};

/// The token that a registry gives out. It opens nothing but a registry of a test.
const TOKEN: &str = "coldstart-test-token";

/// `None` if the request may pass, else the refusal with the challenge.
pub(super) fn refuse(auth: Option<&Auth>, headers: &HeaderMap, address: &str) -> Option<Response> {
    let (expected, challenge) = match auth? {
        Auth::Basic { username, password } => {
            (basic(username, password), "Basic realm=\"coldstart\"".to_owned())
        }
        Auth::Bearer { .. } => (
            format!("Bearer {TOKEN}"),
            format!("Bearer realm=\"http://{address}/token\",service=\"coldstart\""),
        ),
    };
    if given(headers) == Some(expected.as_str()) {
        return None;
    }
    let refusal = error(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "authentication required");
    Some(([(header::WWW_AUTHENTICATE, challenge)], refusal).into_response())
}

/// Gives out a token for the right password.
pub(super) fn token(auth: Option<&Auth>, headers: &HeaderMap) -> Response {
    match auth {
        Some(Auth::Bearer { username, password })
            if given(headers) == Some(basic(username, password).as_str()) =>
        {
            json_reply(&json!({ "token": TOKEN, "access_token": TOKEN, "expires_in": 300 }))
        }
        _ => error(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "authentication required"),
    }
}

fn given(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()
}

fn basic(username: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{username}:{password}")))
}
