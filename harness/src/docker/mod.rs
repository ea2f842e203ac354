//! Image pulls and containers, through the Docker Engine API.
//!
//! [`Engine::connect`] finds an engine, [`pull`] pulls an image into it, [`run_container`] starts a container, and
//! [`Engine::remove_leftovers`] removes what a run made and nothing else. How a pull is taken apart: the engine's events
//! ([`PullEvent`]) feed a [`Timeline`], which yields each layer's intervals and the critical path.

mod container;
mod credentials;
mod critical;
mod engine;
mod error;
mod events;
mod manifest;
mod owned;
mod pull;
mod reference;
mod refusal;
mod timeline;

pub use container::{ContainerReading, ContainerSpec, ReadOnlyMount, run as run_container};
pub use credentials::Credentials;
pub use engine::{Connection, Engine, EngineInfo, Locality};
pub use error::DockerError;
pub use events::{LayerStep, Progress, PullErrorDetail, PullEvent, Told};
pub use manifest::{Manifest, ManifestLayer};
pub use owned::RUN_LABEL;
pub use pull::{PullReading, PullRequest, Pulled, pull};
pub use reference::ImageRef;
pub use timeline::{Ending, Timeline};

#[cfg(test)]
mod engine_tests;
