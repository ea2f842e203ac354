//! Pulls that fail: each with an error of its own, and none leaves an image behind.

use super::*;
use crate::registry::{Auth, Faults};

/// The error of a pull, after checking that nothing came of it.
async fn failure(engine: &Engine, request: &PullRequest) -> DockerError {
    let error = pull_now(engine, request).await.unwrap_err();
    assert_eq!(engine.image_id(&request.image.to_string()).await.unwrap(), None, "{error}");
    error
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_that_is_not_there() {
    let Some(engine) = engine().await else { return };
    let served = Served::new(&engine, 1, 1).await;
    let tag: ImageRef = format!("{}:2", served.reference.name()).parse().unwrap();
    let repository: ImageRef = format!("{}/nowhere:1", served.reference.registry()).parse().unwrap();
    for image in [tag, repository] {
        let error = failure(&engine, &request(&image)).await;
        assert!(matches!(error, DockerError::NotFound { .. }), "{error:?}");
        assert!(error.to_string().contains("check the name"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_and_missing_credentials() {
    let Some(engine) = engine().await else { return };
    let served = Served::new(&engine, 1, 1).await;
    let (username, password) = ("ann".to_owned(), "s3cret-right".to_owned());
    for auth in [
        Auth::Basic { username: username.clone(), password: password.clone() },
        Auth::Bearer { username, password },
    ] {
        served.registry.set_faults(Faults { auth: Some(auth), ..Faults::default() });
        let wrong = Credentials::password(served.reference.registry(), "ann", "s3cret-wrong");
        for credentials in [Credentials::anonymous(), wrong] {
            let error = failure(&engine, &PullRequest { credentials, ..served.request() }).await;
            assert!(matches!(error, DockerError::Unauthorized { .. }), "{error:?}");
            assert!(error.to_string().contains("docker login 127.0.0.1"), "{error}");
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_without_this_platform() {
    let Some(engine) = engine().await else { return };
    let registry = Registry::start().await.unwrap();
    let template = Template::build(&contents(1, 1, "gzip"), 1, None).unwrap();
    let on = |os: &str, arch: &str| {
        template.image(&unique("nonce"), &Platform { os: os.into(), arch: arch.into() }).unwrap()
    };
    let foreign = [on("linux", "s390x"), on("windows", "amd64")];
    let reference = registry.publish_index(&unique("coldstart-test"), "1", &foreign).unwrap();
    let error = failure(&engine, &request(&reference)).await;
    let DockerError::NoSuchPlatform { wanted, present, .. } = &error else { panic!("{error:?}") };
    assert_eq!(*wanted, format!("{}/{}", engine.info().os, engine.info().arch));
    assert_eq!(*present, ["linux/s390x", "windows/amd64"]);

    // With this platform among them, that one is pulled.
    let ours = template.image(&unique("nonce"), &platform(&engine)).unwrap();
    let all = [on("linux", "s390x"), ours.clone()];
    let reference = registry.publish_index(&unique("coldstart-test"), "1", &all).unwrap();
    let reading = pull_well(&engine, &request(&reference)).await;
    assert_eq!(reading.detail.compressed_bytes.unwrap().get(), ours.layers()[0].size());
    engine.remove_image(&reference.to_string()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_layer_with_a_wrong_digest() {
    let Some(engine) = engine().await else { return };
    let served = Served::new(&engine, 4, 2).await;
    let corrupt = Some(served.image.layers()[1].digest().to_owned());
    served.registry.set_faults(Faults { corrupt, ..Faults::default() });
    let error = failure(&engine, &served.request()).await;
    assert!(matches!(error, DockerError::WrongDigest { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_is_not_there() {
    let Some(engine) = engine().await else { return };
    let served = Served::new(&engine, 1, 1).await;
    let (reference, image) = (served.reference.clone(), served.image.clone());
    drop(served);
    // Also where the manifest is known, so that only the engine asks the registry.
    for manifest in [None, Some(image.manifest())] {
        let error = failure(&engine, &PullRequest { manifest, ..request(&reference) }).await;
        assert!(matches!(error, DockerError::RegistryUnreachable { .. }), "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pull_that_takes_too_long_or_is_interrupted() {
    let Some(engine) = engine().await else { return };
    let served = Served::new(&engine, 8, 2).await;
    served.registry.set_faults(Faults { bytes_per_s: Some(1 << 20), ..Faults::default() });
    let limit = Duration::from_millis(1500);
    let error = failure(&engine, &PullRequest { limit, ..served.request() }).await;
    assert!(matches!(error, DockerError::TimeLimit { .. }), "{error:?}");
    assert!(error.to_string().contains("within 1.5 s"), "{error}");

    let cancel = CancellationToken::new();
    let request = served.request();
    let (outcome, ()) = tokio::join!(pull(&engine, &request, &cancel), async {
        tokio::time::sleep(Duration::from_millis(1000)).await;
        cancel.cancel();
    });
    assert!(matches!(outcome, Err(DockerError::Cancelled { .. })), "{outcome:?}");

    // A future that is dropped can't clean up; the run's end does.
    let dropped = tokio::time::timeout(Duration::from_millis(1000), pull_now(&engine, &request)).await;
    assert!(dropped.is_err());
    served.registry.set_faults(Faults::default());
    assert!(engine.remove_leftovers().await.is_empty());
    assert_eq!(engine.image_id(&served.name()).await.unwrap(), None);
    // And nothing of all that stands in the way of the next pull.
    let reading = pull_well(&engine, &request).await;
    engine.remove_image(&served.name()).await.unwrap();
    assert!(reading.detail.cold_fraction.is_some());
}
