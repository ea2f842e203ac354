//! The progress events of a pull, `POST /images/create`, in both dialects.
//!
//! An event is a line of JSON with a free-text status. No stage of a layer is sure to be told, events carry no time,
//! and the first line's `id` is the tag, not a layer:
//!
//! * classic store: `Pulling fs layer`, `Waiting`, `Downloading` (throttled), `Verifying Checksum`, `Download complete`,
//!   `Extracting` with bytes, `Pull complete`; or `Already exists`; or `Retrying in N seconds`;
//! * containerd store: the same words at a tick every 100 ms, `Extracting` with elapsed *seconds* and no total, and lines
//!   for blobs that are no layers.

use bollard::models::CreateImageInfo;
use serde::Deserialize;

/// One event, reduced to what is used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct PullEvent {
    /// The layer's short name, the tag, or nothing.
    #[serde(default)]
    pub id: Option<String>,
    /// The engine's words.
    #[serde(default)]
    pub status: Option<String>,
    /// How far the layer's stage is.
    #[serde(default, rename = "progressDetail")]
    pub progress: Progress,
    /// The end of a pull that failed.
    #[serde(default, rename = "errorDetail")]
    pub error: Option<PullErrorDetail>,
}

/// How far a stage is. What the numbers count depends on the dialect.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub struct Progress {
    /// Bytes, or in the containerd store's extraction, seconds.
    #[serde(default)]
    pub current: Option<i64>,
    /// Bytes of the compressed layer; absent where `current` counts seconds.
    #[serde(default)]
    pub total: Option<i64>,
}

/// Why a pull failed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct PullErrorDetail {
    /// The engine's words.
    #[serde(default)]
    pub message: String,
}

impl From<CreateImageInfo> for PullEvent {
    fn from(info: CreateImageInfo) -> Self {
        let progress = info.progress_detail.unwrap_or_default();
        PullEvent {
            id: info.id,
            status: info.status,
            progress: Progress { current: progress.current, total: progress.total },
            error: info
                .error_detail
                .map(|detail| PullErrorDetail { message: detail.message.unwrap_or_default() }),
        }
    }
}

/// What an event says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told<'e> {
    /// Something about one layer.
    Layer {
        /// Its short name.
        id: &'e str,
        /// What about it.
        step: LayerStep,
    },
    /// The image's digest: the pull succeeded.
    Digest(&'e str),
    /// The image was there before, and nothing was done.
    UpToDate,
    /// The pull failed.
    Failed(&'e str),
    /// Nothing that matters here, such as the first line or a status of a future engine.
    Other,
}

/// A step of one layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayerStep {
    /// The layer is going to be fetched.
    Announced,
    /// It waits for one of the few downloads at a time.
    Waiting,
    /// Bytes arrive; with the compressed size if it was told.
    Downloading(Option<u64>),
    /// The download failed and is going to be tried again.
    Retrying,
    /// All bytes are there and their digest is being checked.
    Verifying,
    /// The compressed layer is complete.
    Downloaded,
    /// It is being unpacked; with the compressed size if it was told.
    Extracting(Option<u64>),
    /// It is unpacked.
    Complete,
    /// It was there before.
    Exists,
}

impl PullEvent {
    /// Reads an event. Statuses that are not known are `Told::Other`: engines may add some.
    pub fn told(&self) -> Told<'_> {
        if let Some(error) = &self.error {
            return Told::Failed(&error.message);
        }
        let status = self.status.as_deref().unwrap_or_default();
        let Some(id) = self.id.as_deref().filter(|id| !id.is_empty()) else {
            return if let Some(digest) = status.strip_prefix("Digest: ") {
                Told::Digest(digest.trim())
            } else if status.starts_with("Status: Image is up to date") {
                Told::UpToDate
            } else {
                Told::Other
            };
        };
        let total =
            self.progress.total.and_then(|total| u64::try_from(total).ok()).filter(|total| *total > 0);
        let step = match status {
            "Pulling fs layer" => LayerStep::Announced,
            "Waiting" => LayerStep::Waiting,
            "Downloading" => LayerStep::Downloading(total),
            "Verifying Checksum" => LayerStep::Verifying,
            "Download complete" => LayerStep::Downloaded,
            "Extracting" => LayerStep::Extracting(total),
            "Pull complete" => LayerStep::Complete,
            "Already exists" => LayerStep::Exists,
            retry if retry.starts_with("Retrying in ") => LayerStep::Retrying,
            _ => return Told::Other,
        };
        Told::Layer { id, step }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_both_dialects() {
        let layer = |step| Told::Layer { id: "abc", step };
        for (line, told) in [
            (r#"{"status":"Pulling from demo/multi","id":"1"}"#, Told::Other),
            (r#"{"status":"Pulling fs layer","progressDetail":{},"id":"abc"}"#, layer(LayerStep::Announced)),
            (r#"{"status":"Waiting","progressDetail":{},"id":"abc"}"#, layer(LayerStep::Waiting)),
            (
                r#"{"status":"Downloading","progressDetail":{"current":5,"total":9},"progress":"[=>","id":"abc"}"#,
                layer(LayerStep::Downloading(Some(9))),
            ),
            // A registry that tells no length: total is absent, 0 or -1.
            (
                r#"{"status":"Downloading","progressDetail":{"current":5,"total":-1},"id":"abc"}"#,
                layer(LayerStep::Downloading(None)),
            ),
            (r#"{"status":"Verifying Checksum","id":"abc"}"#, layer(LayerStep::Verifying)),
            (r#"{"status":"Download complete","id":"abc"}"#, layer(LayerStep::Downloaded)),
            (
                r#"{"status":"Extracting","progressDetail":{"current":5,"total":9},"id":"abc"}"#,
                layer(LayerStep::Extracting(Some(9))),
            ),
            // containerd: seconds, no total
            (
                r#"{"status":"Extracting","progressDetail":{"current":3,"units":"s"},"id":"abc"}"#,
                layer(LayerStep::Extracting(None)),
            ),
            (r#"{"status":"Pull complete","id":"abc"}"#, layer(LayerStep::Complete)),
            (r#"{"status":"Already exists","id":"abc"}"#, layer(LayerStep::Exists)),
            (r#"{"status":"Retrying in 5 seconds","id":"abc"}"#, layer(LayerStep::Retrying)),
            (r#"{"status":"Retrying in 1 second","id":"abc"}"#, layer(LayerStep::Retrying)),
            (r#"{"status":"Polishing","id":"abc"}"#, Told::Other),
            (r#"{"status":"Digest: sha256:12"}"#, Told::Digest("sha256:12")),
            (r#"{"status":"Status: Image is up to date for x:1"}"#, Told::UpToDate),
            (r#"{"status":"Status: Downloaded newer image for x:1"}"#, Told::Other),
            (r#"{"errorDetail":{"message":"boom"},"error":"boom"}"#, Told::Failed("boom")),
            (r#"{"errorDetail":{"code":1}}"#, Told::Failed("")),
            (r#"{}"#, Told::Other),
        ] {
            let event: PullEvent = serde_json::from_str(line).unwrap();
            assert_eq!(event.told(), told, "{line}");
        }
    }
}
