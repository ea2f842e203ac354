//! Ways in which a registry can misbehave, for tests: a well-behaved registry has none of them.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures_util::stream::{self, Stream};
use tokio_util::sync::CancellationToken;

use super::blob::Blob;

/// What a registry does wrong, or asks for. The default is nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults {
    /// Credentials that it wants.
    pub auth: Option<Auth>,
    /// The digest of a blob of which one bit is sent wrong.
    pub corrupt: Option<String>,
    /// After this many bytes of blobs, all connections break and no new one is accepted.
    pub die_after: Option<u64>,
    /// Bytes of blobs per second and connection.
    pub bytes_per_s: Option<u64>,
}

/// How a registry asks for credentials.
#[derive(Clone, PartialEq, Eq)]
pub enum Auth {
    /// With every request.
    Basic {
        /// The user.
        username: String,
        /// The password.
        password: String,
    },
    /// For a token, which then goes with every request.
    Bearer {
        /// The user.
        username: String,
        /// The password.
        password: String,
    },
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Auth::Basic { .. } => "Basic(hidden)",
            Auth::Bearer { .. } => "Bearer(hidden)",
        })
    }
}

/// Whether a registry is still alive, and how many bytes of blobs it has sent.
#[derive(Debug, Clone, Default)]
pub(super) struct Life {
    pub(super) stopped: CancellationToken,
    sent: Arc<AtomicU64>,
}

type Pieces = Pin<Box<dyn Stream<Item = Result<Bytes, std::io::Error>> + Send>>;

/// A blob's pieces as a body, with the faults that concern it.
pub(super) fn body(faults: &Faults, life: &Life, blob: &Blob, mut pieces: Vec<Bytes>) -> Body {
    if faults.corrupt.as_deref() == Some(blob.digest())
        && let Some(last) = pieces.last_mut()
    {
        let mut wrong = last.to_vec();
        let middle = wrong.len() / 2;
        wrong[middle] ^= 1;
        *last = Bytes::from(wrong);
    }
    let whole = stream::iter(pieces.into_iter().map(Ok));
    if faults.die_after.is_none() && faults.bytes_per_s.is_none() {
        return Body::from_stream(whole);
    }
    let (faults, life) = (faults.clone(), life.clone());
    let whole: Pieces = Box::pin(whole);
    Body::from_stream(stream::unfold(Some(whole), move |pieces| {
        let (faults, life) = (faults.clone(), life.clone());
        async move { faulty_piece(pieces?, &faults, &life).await }
    }))
}

/// The next piece, late or not at all; the stream is over after an error.
async fn faulty_piece(
    mut pieces: Pieces,
    faults: &Faults,
    life: &Life,
) -> Option<(Result<Bytes, std::io::Error>, Option<Pieces>)> {
    use futures_util::StreamExt;
    let piece = pieces.next().await?.ok()?;
    let length = piece.len() as u64;
    if let Some(rate) = faults.bytes_per_s.filter(|rate| *rate > 0) {
        tokio::time::sleep(Duration::from_secs_f64(length as f64 / rate as f64)).await;
    }
    let sent = life.sent.fetch_add(length, Ordering::Relaxed) + length;
    if faults.die_after.is_some_and(|most| sent > most) {
        life.stopped.cancel();
        return Some((Err(std::io::Error::other("this registry died")), None));
    }
    Some((Ok(piece), Some(pieces)))
}
