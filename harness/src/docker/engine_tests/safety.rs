//! Nothing that this run did not make is removed, whatever it is asked to remove.

use bollard::query_parameters::TagImageOptionsBuilder;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_that_is_there_is_neither_pulled_nor_removed() {
    let (Some(engine), Some(other)) = (engine().await, engine().await) else { return };
    let served = Served::new(&engine, 1, 1).await;
    let theirs = pull_well(&other, &served.request()).await;
    let error = pull_now(&engine, &served.request()).await.unwrap_err();
    assert!(matches!(error, DockerError::AlreadyPresent { .. }), "{error:?}");
    assert!(error.to_string().contains(&format!("docker rmi {}", served.name())), "{error}");
    let refused = engine.remove_image(&served.name()).await;
    assert!(matches!(refused, Err(DockerError::NotOurs { .. })), "{refused:?}");
    assert!(engine.remove_leftovers().await.is_empty());
    assert_eq!(other.image_id(&served.name()).await.unwrap(), Some(theirs.image_id));
    other.remove_image(&served.name()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_that_somebody_uses_or_has_replaced_stays() {
    let (Some(engine), Some(other)) = (engine().await, engine().await) else { return };
    let served = Served::new(&engine, 1, 1).await;
    let replacement = Served::new(&engine, 1, 1).await;

    // Somebody makes a container of it: even a stopped one keeps the image.
    pull_well(&engine, &served.request()).await;
    let body = bollard::models::ContainerCreateBody {
        image: Some(served.name()),
        cmd: Some(vec!["/nothing".to_owned()]),
        ..Default::default()
    };
    let container = other.docker().create_container(None, body).await.unwrap().id;
    let error = engine.remove_image(&served.name()).await.unwrap_err();
    assert!(error.to_string().contains("409") || error.to_string().contains("conflict"), "{error}");
    let failures = engine.remove_leftovers().await;
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert!(engine.image_id(&served.name()).await.unwrap().is_some());
    assert!(other.docker().inspect_container(&container, None).await.is_ok());
    let refused = engine.remove_container(&container).await;
    assert!(matches!(refused, Err(DockerError::NotOurs { .. })), "{refused:?}");
    other.owned().created(&container);
    other.remove_container(&container).await.unwrap();

    // Somebody gives its name to another image: the name is theirs now.
    let id = engine.image_id(&served.name()).await.unwrap().unwrap();
    let by_digest = format!("{}@{}", served.reference.name(), served.image.digest());
    let theirs = pull_well(&other, &replacement.request()).await;
    let spare = format!("{}-kept", served.reference.name());
    for (image, repository, tag) in
        [(&id, spare.as_str(), "1"), (&theirs.image_id, &served.reference.name(), "1")]
    {
        let options = TagImageOptionsBuilder::default().repo(repository).tag(tag).build();
        other.docker().tag_image(image, Some(options)).await.unwrap();
    }
    let refused = engine.remove_image(&served.name()).await;
    assert!(matches!(refused, Err(DockerError::NotOurs { .. })), "{refused:?}");
    assert_eq!(engine.image_id(&served.name()).await.unwrap(), Some(theirs.image_id.clone()));
    for (name, id) in [(served.name(), &theirs.image_id), (format!("{spare}:1"), &id), (by_digest, &id)] {
        other.owned().pulled(&name, id);
        other.remove_image(&name).await.unwrap();
    }
    other.remove_image(&replacement.name()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_name_of_the_same_image_stays() {
    let (Some(engine), Some(other)) = (engine().await, engine().await) else { return };
    let served = Served::new(&engine, 1, 1).await;
    let reading = pull_well(&engine, &served.request()).await;
    let options = TagImageOptionsBuilder::default().repo(&served.reference.name()).tag("mine").build();
    other.docker().tag_image(&reading.image_id, Some(options)).await.unwrap();
    engine.remove_image(&served.name()).await.unwrap();
    let mine = format!("{}:mine", served.reference.name());
    assert_eq!(other.image_id(&mine).await.unwrap().as_ref(), Some(&reading.image_id));
    other.owned().pulled(&mine, &reading.image_id);
    other.remove_image(&mine).await.unwrap();
}

#[tokio::test]
async fn the_registry_is_on_the_loopback_address_only() {
    let registry = Registry::start().await.unwrap();
    assert_eq!(registry.address().ip(), std::net::Ipv4Addr::LOCALHOST);
    assert_ne!(registry.address().port(), 0);
    let address = registry.address();
    assert!(tokio::net::TcpStream::connect(address).await.is_ok());
    drop(registry);
    for _ in 0..100 {
        if tokio::net::TcpStream::connect(address).await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it still listens on {address} after it was dropped");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_that_came_while_a_pull_broke_off_is_removed_only_from_a_registry_of_our_own() {
    let (Some(engine), Some(other)) = (engine().await, engine().await) else { return };
    let served = Served::new(&engine, 1, 1).await;
    // Our pull of a user's image broke off, and meanwhile somebody else pulled it.
    engine.owned().pulling(&served.name(), false);
    let theirs = pull_well(&other, &served.request()).await;
    let failures = engine.remove_leftovers().await;
    assert!(matches!(failures.as_slice(), [DockerError::Unclear { .. }]), "{failures:?}");
    assert!(failures[0].to_string().contains(&format!("docker rmi {}", served.name())));
    assert_eq!(engine.image_id(&served.name()).await.unwrap(), Some(theirs.image_id));
    assert!(engine.remove_leftovers().await.is_empty(), "it is said once");
    // Under the name of this run's own registry it can only be ours.
    engine.owned().pulling(&served.name(), true);
    assert!(engine.remove_leftovers().await.is_empty());
    assert_eq!(engine.image_id(&served.name()).await.unwrap(), None);
}
