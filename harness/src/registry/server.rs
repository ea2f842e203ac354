//! The registry: the reading half of the OCI distribution specification, on 127.0.0.1 and a free port.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::auth;
use super::blob::Blob;
use super::error::RegistryError;
use super::faults::{self, Faults, Life};
use super::image::{self, INDEX_TYPE, Image, MANIFEST_TYPE};
use super::reply::{content, error, range};
use crate::docker::{DockerError, ImageRef};

/// A registry in this process. It serves from memory, and stops when it is dropped.
#[derive(Debug)]
pub struct Registry {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

/// What the server's handlers see.
#[derive(Debug)]
struct Shared {
    address: String,
    life: Life,
    contents: RwLock<Contents>,
}

#[derive(Debug, Default)]
struct Contents {
    repositories: HashMap<String, Repository>,
    faults: Faults,
}

#[derive(Debug, Default)]
struct Repository {
    /// Tags and digests, with the media type of what they name.
    manifests: HashMap<String, (&'static str, Blob)>,
    blobs: HashMap<String, Blob>,
}

impl Registry {
    /// Starts a registry on a free port of 127.0.0.1, as a task of the current runtime. Give that more than one thread:
    /// what serves layers must not wait for what measures their pull.
    pub async fn start() -> Result<Self, RegistryError> {
        let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = bound.map_err(|source| RegistryError::Bind { source })?;
        let address = listener.local_addr().map_err(|source| RegistryError::Bind { source })?;
        let shared = Arc::new(Shared {
            address: address.to_string(),
            life: Life::default(),
            contents: RwLock::default(),
        });
        let router = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let stopped = shared.life.stopped.clone();
        let server = tokio::spawn(async move {
            tokio::select! {
                () = stopped.cancelled() => {}
                ended = axum::serve(listener, router) => if let Err(error) = ended {
                    tracing::warn!("the loopback registry ended: {error}");
                },
            }
        });
        Ok(Registry { address, shared, server })
    }

    /// `127.0.0.1:PORT`, the registry part of a reference.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves an image under a repository and a tag; returns its reference.
    pub fn publish(&self, repository: &str, tag: &str, image: &Image) -> Result<ImageRef, DockerError> {
        let reference = self.reference(repository, tag)?;
        let mut contents = self.shared.write();
        let entry = contents.repositories.entry(repository.to_owned()).or_default();
        entry.add(image);
        entry.manifests.insert(tag.to_owned(), (MANIFEST_TYPE, image.manifest.clone()));
        Ok(reference)
    }

    /// Serves images for several platforms under one tag; returns their reference.
    pub fn publish_index(
        &self,
        repository: &str,
        tag: &str,
        images: &[Image],
    ) -> Result<ImageRef, DockerError> {
        let reference = self.reference(repository, tag)?;
        let index = image::index(images);
        let mut contents = self.shared.write();
        let entry = contents.repositories.entry(repository.to_owned()).or_default();
        images.iter().for_each(|image| entry.add(image));
        for name in [tag, index.digest()] {
            entry.manifests.insert(name.to_owned(), (INDEX_TYPE, index.clone()));
        }
        Ok(reference)
    }

    /// Forgets a repository and frees its memory.
    pub fn withdraw(&self, repository: &str) {
        self.shared.write().repositories.remove(repository);
    }

    /// Makes the registry misbehave, for tests.
    pub fn set_faults(&self, faults: Faults) {
        self.shared.write().faults = faults;
    }

    fn reference(&self, repository: &str, tag: &str) -> Result<ImageRef, DockerError> {
        ImageRef::tagged(&self.address.to_string(), repository, tag)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.shared.life.stopped.cancel();
        self.server.abort();
    }
}

impl Repository {
    fn add(&mut self, image: &Image) {
        self.manifests.insert(image.digest().to_owned(), (MANIFEST_TYPE, image.manifest.clone()));
        for blob in image.layers.iter().chain([&image.config]) {
            self.blobs.insert(blob.digest().to_owned(), blob.clone());
        }
    }
}

impl Shared {
    // The maps are whole after every statement, so a panic of another holder leaves nothing half done.
    fn read(&self) -> RwLockReadGuard<'_, Contents> {
        self.contents.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Contents> {
        self.contents.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Every request: `/v2/`, `/v2/NAME/manifests/TAG-OR-DIGEST`, `/v2/NAME/blobs/DIGEST`, `/token`.
async fn answer(State(shared): State<Arc<Shared>>, method: Method, uri: Uri, headers: HeaderMap) -> Response {
    if shared.life.stopped.is_cancelled() {
        return error(StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE", "this registry has stopped");
    }
    let contents = shared.read();
    let wanted = contents.faults.auth.as_ref();
    if uri.path() == "/token" {
        return auth::token(wanted, &headers);
    }
    if let Some(refusal) = auth::refuse(wanted, &headers, &shared.address) {
        return refusal;
    }
    if method != Method::GET && method != Method::HEAD {
        return error(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", "this registry only serves");
    }
    let Some(path) = uri.path().strip_prefix("/v2/") else {
        return error(StatusCode::NOT_FOUND, "UNSUPPORTED", "this is an OCI registry");
    };
    if path.is_empty() {
        return ([("docker-distribution-api-version", "registry/2.0")], StatusCode::OK).into_response();
    }
    let send = method == Method::GET;
    if let Some((name, reference)) = path.rsplit_once("/manifests/") {
        manifest(&contents, name, reference, send)
    } else if let Some((name, digest)) = path.rsplit_once("/blobs/") {
        blob(&contents, &shared.life, name, digest, send.then_some(&headers))
    } else {
        error(StatusCode::NOT_FOUND, "UNSUPPORTED", "this registry only serves manifests and blobs")
    }
}

fn manifest(contents: &Contents, name: &str, reference: &str, send: bool) -> Response {
    let Some(repository) = contents.repositories.get(name) else {
        return error(StatusCode::NOT_FOUND, "NAME_UNKNOWN", "repository name not known to registry");
    };
    match repository.manifests.get(reference) {
        None => error(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", "manifest unknown"),
        Some((media_type, blob)) => {
            let body = if send { Body::from(blob.parts().concat()) } else { Body::empty() };
            content(media_type, blob.digest(), blob.size(), None, body)
        }
    }
}

/// A blob or a range of it; only the header without `headers`.
fn blob(contents: &Contents, life: &Life, name: &str, digest: &str, headers: Option<&HeaderMap>) -> Response {
    let found = contents.repositories.get(name).and_then(|repository| repository.blobs.get(digest));
    let Some(blob) = found else {
        return error(StatusCode::NOT_FOUND, "BLOB_UNKNOWN", "blob unknown to registry");
    };
    let media_type = "application/octet-stream";
    let Some(headers) = headers else {
        return content(media_type, digest, blob.size(), None, Body::empty());
    };
    let Ok(part) = range(headers, blob.size()) else {
        return error(StatusCode::RANGE_NOT_SATISFIABLE, "SIZE_INVALID", "no such range");
    };
    let pieces = blob.pieces(part.clone().unwrap_or(0..blob.size()));
    content(media_type, digest, blob.size(), part, faults::body(&contents.faults, life, blob, pieces))
}
