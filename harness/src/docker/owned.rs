//! What this run made in the engine, and the only way in which coldstart removes anything from it.
//!
//! **Nothing is removed that is not on the list**, and nothing by force: an image that somebody has made a container of
//! in the meantime, or has pulled again under the same name, stays.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bollard::errors::Error as EngineError;
use bollard::query_parameters::{
    ListContainersOptionsBuilder, RemoveContainerOptions, RemoveImageOptionsBuilder,
    StopContainerOptionsBuilder,
};

use super::engine::Engine;
use super::error::{DockerError, connection_lost};

/// The label that every container of a run carries.
pub const RUN_LABEL: &str = "dev.coldstart.run";
/// How long after a broken pull its image may still turn up, because the engine was past the point of no return.
const SETTLE: Duration = Duration::from_millis(1500);
const SETTLE_STEP: Duration = Duration::from_millis(100);
/// How long the end of a run waits for the engine's answer to a create request that nobody waits for any more.
const CREATE_LIMIT: Duration = Duration::from_secs(30);
const CREATE_STEP: Duration = Duration::from_millis(10);
/// Seconds between asking a container to end and ending it.
const STOP_GRACE_S: i32 = 1;

/// The list of a run.
#[derive(Debug)]
pub(crate) struct Owned {
    run: String,
    lists: Mutex<Lists>,
    /// Create requests that the engine has not answered yet.
    creating: AtomicUsize,
}

#[derive(Debug, Default)]
struct Lists {
    images: HashMap<String, PulledImage>,
    containers: Vec<String>,
}

/// An image that this run pulls or pulled.
#[derive(Debug, Clone)]
struct PulledImage {
    /// Once the pull is complete.
    id: Option<String>,
    /// Whether nobody else can have an image of this name: it names the registry of this very run.
    private: bool,
}

impl Owned {
    pub(crate) fn new(run: &str) -> Self {
        Owned { run: run.to_owned(), lists: Mutex::default(), creating: AtomicUsize::new(0) }
    }

    pub(crate) fn run(&self) -> &str {
        &self.run
    }

    fn lists(&self) -> MutexGuard<'_, Lists> {
        // The lists are valid after every statement, so a panic elsewhere leaves nothing half done.
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A pull of an image that is not there is about to be asked for.
    /// `private`: the name is of this run's own registry.
    pub(crate) fn pulling(&self, name: &str, private: bool) {
        self.lists().images.insert(name.to_owned(), PulledImage { id: None, private });
    }

    /// The pull is complete.
    pub(crate) fn pulled(&self, name: &str, id: &str) {
        let mut lists = self.lists();
        let image = lists.images.entry(name.to_owned()).or_insert(PulledImage { id: None, private: false });
        image.id = Some(id.to_owned());
    }

    /// It turned out that the image is not of this run.
    pub(crate) fn forget_image(&self, name: &str) {
        self.lists().images.remove(name);
    }

    /// A create request is about to be sent; what follows is [`Owned::answered`].
    pub(crate) fn creating(&self) {
        self.creating.fetch_add(1, Ordering::AcqRel);
    }

    /// The create request was answered: with a container's id, or with an error.
    pub(crate) fn answered(&self, container: Option<&str>) {
        if let Some(id) = container {
            self.created(id);
        }
        self.creating.fetch_sub(1, Ordering::AcqRel);
    }

    pub(crate) fn created(&self, container: &str) {
        self.lists().containers.push(container.to_owned());
    }

    fn forget_container(&self, container: &str) {
        self.lists().containers.retain(|id| id != container);
    }
}

impl Engine {
    /// Whether an image is in the engine, by name; its id if so.
    pub async fn image_id(&self, name: &str) -> Result<Option<String>, DockerError> {
        match self.docker().inspect_image(name).await {
            Ok(image) => Ok(Some(image.id.unwrap_or_default())),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(DockerError::engine(format!("look for the image {name}"))(error)),
        }
    }

    /// Removes an image that this run pulled: by name, without force, its parents untouched. An image that is gone
    /// already is no error; one that this run did not pull, or that is another by now, is, and stays.
    pub async fn remove_image(&self, name: &str) -> Result<(), DockerError> {
        let Some(ours) = self.owned().lists().images.get(name).cloned() else {
            return Err(DockerError::NotOurs { name: name.to_owned() });
        };
        let Some(present) = self.image_id(name).await? else {
            self.owned().forget_image(name);
            return Ok(());
        };
        if ours.id.is_none() && !ours.private {
            // It came while our pull broke off: perhaps of what was left of that, perhaps of somebody else's pull.
            self.owned().forget_image(name);
            return Err(DockerError::Unclear { name: name.to_owned() });
        }
        if ours.id.is_some_and(|id| id != present) {
            self.owned().forget_image(name);
            return Err(DockerError::NotOurs { name: name.to_owned() });
        }
        let options = RemoveImageOptionsBuilder::default().force(false).noprune(true).build();
        match self.docker().remove_image(name, Some(options), None).await {
            Ok(_) => {}
            Err(error) if is_missing(&error) => {}
            Err(error) => return Err(DockerError::engine(format!("remove the image {name}"))(error)),
        }
        self.owned().forget_image(name);
        Ok(())
    }

    /// After a pull that broke off: waits a moment for what the engine may still enter in its store, and removes it where
    /// it can only be ours.
    pub(crate) async fn settle_broken_pull(&self, name: &str) -> Result<(), DockerError> {
        let mut waited = Duration::ZERO;
        loop {
            if self.image_id(name).await?.is_some() {
                return self.remove_image(name).await;
            }
            if waited >= SETTLE {
                self.owned().forget_image(name);
                return Ok(());
            }
            tokio::time::sleep(SETTLE_STEP).await;
            waited += SETTLE_STEP;
        }
    }

    /// Removes a container of this run: stopped first, then without force.
    pub async fn remove_container(&self, id: &str) -> Result<(), DockerError> {
        if !self.owned().lists().containers.iter().any(|ours| ours == id) {
            return Err(DockerError::NotOurs { name: id.to_owned() });
        }
        let stop = StopContainerOptionsBuilder::default().t(STOP_GRACE_S).build();
        match self.docker().stop_container(id, Some(stop)).await {
            Ok(()) => {}
            Err(error) if is_missing(&error) => {}
            Err(error) => return Err(DockerError::engine(format!("stop the container {id}"))(error)),
        }
        let options = RemoveContainerOptions { force: false, ..RemoveContainerOptions::default() };
        match self.docker().remove_container(id, Some(options)).await {
            Ok(()) => {}
            Err(error) if is_missing(&error) => {}
            Err(error) => return Err(DockerError::engine(format!("remove the container {id}"))(error)),
        }
        self.owned().forget_container(id);
        Ok(())
    }

    /// Removes whatever this run made and has not removed yet: what to call at the end of every run, however it ended.
    /// Goes on after a failure; the failures are the result.
    pub async fn remove_leftovers(&self) -> Vec<DockerError> {
        let mut failures = self.remove_leftovers_of_containers().await;
        let images: Vec<(String, bool)> = self
            .owned()
            .lists()
            .images
            .iter()
            .map(|(name, image)| (name.clone(), image.id.is_none()))
            .collect();
        for (name, broken) in images {
            let removed =
                if broken { self.settle_broken_pull(&name).await } else { self.remove_image(&name).await };
            failures.extend(removed.err());
        }
        failures
    }

    /// Removes the containers that this run made and has not removed yet, and keeps its images.
    pub async fn remove_leftovers_of_containers(&self) -> Vec<DockerError> {
        let mut failures = Vec::new();
        // A future that was dropped between the create request and its answer leaves a container behind, later.
        let mut waited = Duration::ZERO;
        while self.owned().creating.load(Ordering::Acquire) > 0 && waited < CREATE_LIMIT {
            tokio::time::sleep(CREATE_STEP).await;
            waited += CREATE_STEP;
        }
        match self.labelled_containers().await {
            Ok(ids) => ids.iter().for_each(|id| {
                if !self.owned().lists().containers.contains(id) {
                    self.owned().created(id);
                }
            }),
            Err(error) => failures.push(error),
        }
        let containers = self.owned().lists().containers.clone();
        for id in containers {
            failures.extend(self.remove_container(&id).await.err());
        }
        failures
    }

    /// The containers that carry this run's label, running or not.
    async fn labelled_containers(&self) -> Result<Vec<String>, DockerError> {
        let label = format!("{RUN_LABEL}={}", self.owned().run());
        let filters = HashMap::from([("label".to_owned(), vec![label])]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let listed = self.docker().list_containers(Some(options)).await;
        let listed = listed.map_err(DockerError::engine("list the containers of this run"))?;
        Ok(listed.into_iter().filter_map(|container| container.id).collect())
    }
}

/// Whether the engine says that there is no such thing.
pub(crate) fn is_missing(error: &EngineError) -> bool {
    matches!(error, EngineError::DockerResponseServerError { status_code: 404, .. })
        && !connection_lost(error)
}
