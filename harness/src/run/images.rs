//! Image pulls and container trials of a run, and what they need: credentials, the loopback registry, and an image that
//! carries this program.

mod containers;
mod pulls;

use coldstart_profiles::{Bytes, ImageSpec, Plan, SyntheticImage};
use tokio::sync::OnceCell;

use crate::docker::{Engine, ImageRef};
use crate::registry::{Platform, Registry, Template};

/// What a run makes in a container engine.
pub struct Images {
    engine: Engine,
    spec: Option<ImageSpec>,
    seed: u64,
    /// New with every run: contents that this engine has seen under an earlier run's nonce are not new to it.
    nonce: String,
    registry: OnceCell<Registry>,
    template: OnceCell<Template>,
    own: OnceCell<ImageRef>,
}

impl Images {
    /// Nothing is made until a step needs it.
    pub fn new(engine: Engine, plan: &Plan) -> Self {
        Images {
            engine,
            spec: plan.image.clone(),
            seed: plan.seed,
            nonce: format!("{}-{}", std::process::id(), crate::clock::monotonic().as_nanos()),
            registry: OnceCell::new(),
            template: OnceCell::new(),
            own: OnceCell::new(),
        }
    }

    /// Removes what the run made in the engine and has not removed yet. What can't be removed is said.
    pub async fn close(self) {
        for left in self.engine.remove_leftovers().await {
            tracing::warn!("failed to {left}");
        }
    }

    /// The registry on the loopback address, started at its first use.
    async fn registry(&self) -> Result<&Registry, String> {
        self.registry.get_or_try_init(Registry::start).await.map_err(|error| format!("failed to {error}"))
    }

    fn platform(&self) -> Platform {
        let info = self.engine.info();
        Platform { os: info.os.clone(), arch: info.arch.clone() }
    }
}

/// The contents of an image that is there for the program that it carries.
fn almost_nothing() -> SyntheticImage {
    SyntheticImage {
        size_bytes: Bytes::new(64 << 10),
        layers: 1,
        compressibility: 0.5,
        codec: "gzip".to_owned(),
    }
}
