//! Pulls that succeed, or are skipped for a reason.

use coldstart_profiles::{LayerStatus, PullDialect, PullStage, SizesFrom};

use super::*;
use crate::registry::{Auth, Faults, Program, measure_inflate};

#[test]
fn the_engine_is_described() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let Some(engine) = runtime.block_on(engine()) else { return };
    let info = engine.info();
    for (name, text) in [
        ("version", &info.version),
        ("api", &info.api_version),
        ("store", &info.store),
        ("root", &info.root),
        ("os", &info.os),
        ("arch", &info.arch),
    ] {
        assert!(!text.is_empty(), "{name} of {info:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_trial_is_cold_and_leaves_nothing() {
    let Some(engine) = engine().await else { return };
    let template = Template::build(&contents(6, 3, "gzip"), 1, None).unwrap();
    let registry = Registry::start().await.unwrap();
    for trial in 0..2 {
        let image = template.image(&unique("nonce"), &platform(&engine)).unwrap();
        let repository = unique("coldstart-test");
        let reference = registry.publish(&repository, "1", &image).unwrap();
        let mut reading = pull_well(&engine, &request(&reference)).await;
        assert_eq!(engine.image_id(&reference.to_string()).await.unwrap().as_ref(), Some(&reading.image_id));
        engine.remove_image(&reference.to_string()).await.unwrap();
        assert_eq!(engine.image_id(&reference.to_string()).await.unwrap(), None);

        reading.set_inflate(measure_inflate(image.compression(), &image.layers()[0]).unwrap());
        let detail = &reading.detail;
        assert_eq!(detail.reference, reference.to_string());
        assert_eq!(detail.digest, image.digest());
        assert_eq!(detail.sizes_from, SizesFrom::Manifest);
        assert_eq!(detail.cold_fraction, Some(1.0), "trial {trial}");
        let sizes: Vec<u64> = image.layers().iter().map(|layer| layer.size()).collect();
        let told: Vec<u64> =
            detail.layers.iter().map(|layer| layer.compressed_bytes.unwrap().get()).collect();
        assert_eq!(told, sizes);
        assert!(detail.layers.iter().all(|layer| layer.status == LayerStatus::Pulled && layer.retries == 0));
        assert!(detail.unpacked_bytes.unwrap() >= Bytes::from_mib(6));
        assert_eq!(detail.critical_path.sum(), detail.total_ns);
        assert_eq!(detail.extract_bound_by.is_some(), detail.bound_by == PullStage::Extract);
        if detail.dialect == PullDialect::Classic {
            // Extraction is serial: each layer begins after the one below has ended.
            let ends: Vec<_> = detail.layers.iter().filter_map(|layer| layer.extract).collect();
            assert!(ends.windows(2).all(|pair| pair[0].end_ns <= pair[1].begin_ns), "{ends:?}");
        }
        registry.withdraw(&repository);
    }
    assert!(engine.remove_leftovers().await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn layers_that_are_there_make_a_pull_less_cold() {
    let (Some(engine), Some(other)) = (engine().await, engine().await) else { return };
    let registry = Registry::start().await.unwrap();
    let nonce = unique("nonce");
    let program = Program::new("/bin/sh".as_ref()).unwrap();
    let without = Template::build(&contents(2, 2, "gzip"), 1, None).unwrap();
    let with = Template::build(&contents(2, 2, "gzip"), 1, Some(program)).unwrap();
    let small = without.image(&nonce, &platform(&engine)).unwrap();
    let large = with.image(&nonce, &platform(&engine)).unwrap();
    let repository = unique("coldstart-test");
    let small_name = registry.publish(&repository, "small", &small).unwrap();
    let large_name = registry.publish(&repository, "large", &large).unwrap();

    pull_well(&other, &request(&small_name)).await;
    let reading = pull_well(&engine, &request(&large_name)).await;
    engine.remove_image(&large_name.to_string()).await.unwrap();
    // Ours is gone; the layers that both have are still there for the other's.
    assert!(other.image_id(&small_name.to_string()).await.unwrap().is_some());
    other.remove_image(&small_name.to_string()).await.unwrap();

    let sizes: Vec<u64> = large.layers().iter().map(|layer| layer.size()).collect();
    let expected = sizes[2] as f64 / sizes.iter().sum::<u64>() as f64;
    assert!((reading.detail.cold_fraction.unwrap() - expected).abs() < 1e-12);
    let statuses: Vec<LayerStatus> = reading.detail.layers.iter().map(|layer| layer.status).collect();
    assert_eq!(statuses, [LayerStatus::AlreadyExists, LayerStatus::AlreadyExists, LayerStatus::Pulled]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zstd_is_pulled_or_skipped_with_the_engines_version() {
    let Some(engine) = engine().await else { return };
    let registry = Registry::start().await.unwrap();
    let template = Template::build(&contents(2, 2, "zstd"), 1, None).unwrap();
    let image = template.image(&unique("nonce"), &platform(&engine)).unwrap();
    let reference = registry.publish(&unique("coldstart-test"), "1", &image).unwrap();
    match pull_now(&engine, &request(&reference)).await.unwrap() {
        Pulled::Done(reading) => {
            assert!(engine.info().takes_zstd);
            assert_eq!(reading.detail.cold_fraction, Some(1.0));
            engine.remove_image(&reference.to_string()).await.unwrap();
        }
        Pulled::Skipped { why } => {
            assert!(!engine.info().takes_zstd);
            assert!(why.contains(&engine.info().version) && why.contains("23.0"), "{why}");
        }
    }
    assert_eq!(engine.image_id(&reference.to_string()).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_reach_the_registry_whatever_their_letters() {
    let Some(engine) = engine().await else { return };
    let served = Served::new(&engine, 1, 1).await;
    // Letters whose base64 differs between the alphabets, at each of the three positions of a group.
    for password in ["plain", ">?~", "a>?~", "ab>?~", "p/+ä:\""] {
        for bearer in [false, true] {
            let (username, password) = ("ann".to_owned(), password.to_owned());
            let credentials = Credentials::password(served.reference.registry(), &username, &password);
            let auth =
                if bearer { Auth::Bearer { username, password } } else { Auth::Basic { username, password } };
            served.registry.set_faults(Faults { auth: Some(auth), ..Faults::default() });
            let reading = pull_well(&engine, &PullRequest { credentials, ..served.request() }).await;
            assert_eq!(reading.detail.sizes_from, SizesFrom::Manifest);
            engine.remove_image(&served.name()).await.unwrap();
        }
    }
}
