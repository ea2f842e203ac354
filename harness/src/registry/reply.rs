//! Answers in the form of the OCI distribution specification.

use std::ops::Range;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::image::json_bytes;

/// An error in the specification's envelope.
pub(super) fn error(status: StatusCode, code: &str, message: &str) -> Response {
    let body = json_bytes(&json!({ "errors": [{ "code": code, "message": message }] }));
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// A JSON document.
pub(super) fn json_reply(value: &Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], json_bytes(value)).into_response()
}

/// Content with its digest and length; `range` is what part of `size` bytes the body holds.
pub(super) fn content(
    media_type: &str,
    digest: &str,
    size: u64,
    range: Option<Range<u64>>,
    body: Body,
) -> Response {
    let length = range.as_ref().map_or(size, |range| range.end - range.start);
    let base = [
        (header::CONTENT_TYPE.as_str(), media_type.to_owned()),
        (header::CONTENT_LENGTH.as_str(), length.to_string()),
        (header::ACCEPT_RANGES.as_str(), "bytes".to_owned()),
        ("docker-content-digest", digest.to_owned()),
    ];
    match range {
        None => (StatusCode::OK, base, body).into_response(),
        Some(range) => {
            let span = format!("bytes {}-{}/{size}", range.start, range.end - 1);
            (StatusCode::PARTIAL_CONTENT, base, [(header::CONTENT_RANGE, span)], body).into_response()
        }
    }
}

/// The one range that a request asks for (RFC 9110 §14.2). `Ok(None)`: all of it; `Err`: nothing that is there.
pub(super) fn range(headers: &HeaderMap, size: u64) -> Result<Option<Range<u64>>, ()> {
    let Some(text) = headers.get(header::RANGE).and_then(|value| value.to_str().ok()) else {
        return Ok(None);
    };
    // What is not understood is to be ignored.
    let Some((begin, end)) = text.strip_prefix("bytes=").and_then(|span| span.split_once('-')) else {
        return Ok(None);
    };
    let range = match (begin.parse::<u64>(), end.parse::<u64>()) {
        (Ok(begin), Ok(end)) => begin..end.saturating_add(1).min(size),
        (Ok(begin), Err(_)) if end.is_empty() => begin..size,
        (Err(_), Ok(last)) if begin.is_empty() => size.saturating_sub(last)..size,
        _ => return Ok(None),
    };
    if range.is_empty() { Err(()) } else { Ok(Some(range)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        for (text, expected) in [
            ("bytes=0-3", Ok(Some(0..4))),
            ("bytes=5-", Ok(Some(5..10))),
            ("bytes=-3", Ok(Some(7..10))),
            ("bytes=5-99", Ok(Some(5..10))),
            ("bytes=10-", Err(())),
            ("bytes=7-2", Err(())),
            ("lines=1-2", Ok(None)),
            ("bytes=0-1,4-5", Ok(None)),
        ] {
            let headers = [(header::RANGE, text.parse().unwrap())].into_iter().collect();
            assert_eq!(range(&headers, 10), expected, "{text}");
        }
        assert_eq!(range(&HeaderMap::new(), 10), Ok(None));
    }
}
