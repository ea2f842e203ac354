//! Timelines of the recordings in tests/fixtures/docker-pull, and of the containerd store's dialect.

use coldstart_profiles::PullStage;
use serde::Deserialize;

use super::*;
use crate::docker::ManifestLayer;

/// One recorded line with its arrival time.
#[derive(Deserialize)]
struct Timed {
    t_ms: f64,
    ev: PullEvent,
}

fn recording(name: &str) -> Vec<String> {
    let path = format!("{}/tests/fixtures/docker-pull/{name}.jsonl", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path)
        .unwrap()
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(str::to_owned)
        .collect()
}

/// Feeds lines 10 ms apart, the first at 10 ms.
fn feed(lines: &[String]) -> (Timeline, Nanos) {
    let mut timeline = Timeline::new();
    let mut at = Nanos::ZERO;
    for line in lines {
        at = at.saturating_add(Nanos::from_millis(10));
        timeline.observe(at, &serde_json::from_str(line).unwrap());
    }
    (timeline, at)
}

fn no_manifest() -> Result<Manifest, String> {
    Err("not asked".to_owned())
}

fn manifest(layers: &[(&str, u64)]) -> Result<Manifest, String> {
    let layers = layers
        .iter()
        .map(|(id, size)| ManifestLayer {
            digest: format!("sha256:{id}{}", "0".repeat(64 - id.len())),
            media_type: "application/vnd.docker.image.rootfs.diff.tar.gzip".into(),
            size: Bytes::new(*size),
        })
        .collect();
    Ok(Manifest { layers })
}

fn detail(timeline: &Timeline, total: Nanos, manifest: &Result<Manifest, String>) -> Option<PullDetail> {
    timeline.detail("r/x:1", total, PullDialect::Classic, PullSource::Registry, manifest)
}

#[test]
fn endings_of_the_recordings() {
    for (name, layers, ending) in [
        ("docker-pull-events", true, "Pulled"),
        ("docker-pull-regkilled", true, "Pulled"),
        ("docker-pull-sharedlayers", true, "Pulled"),
        ("docker-pull-uptodate", false, "UpToDate"),
        ("docker-pull-corrupt", true, "Failed"),
    ] {
        let (timeline, total) = feed(&recording(name));
        assert_eq!(timeline.has_layers(), layers, "{name}");
        assert!(format!("{:?}", timeline.ending()).starts_with(ending), "{name}: {:?}", timeline.ending());
        assert_eq!(detail(&timeline, total, &no_manifest()).is_some(), ending == "Pulled", "{name}");
    }
    // `Pull complete` of one layer does not make a broken pull a success, nor does a stream that just ends.
    let corrupt = recording("docker-pull-corrupt");
    assert!(corrupt.iter().any(|line| line.contains("Pull complete")));
    let (cut_off, _) = feed(&corrupt[..corrupt.len() - 1]);
    assert_eq!(cut_off.ending(), Ending::CutOff);
}

#[test]
fn a_real_pull_with_its_real_times() {
    let mut timeline = Timeline::new();
    let mut total = Nanos::ZERO;
    for line in recording("docker-pull-events-bollard-overlay2") {
        let timed: Timed = serde_json::from_str(&line).unwrap();
        total = Nanos::from_nanos_f64(timed.t_ms * 1e6);
        timeline.observe(total, &timed.ev);
    }
    let detail = detail(&timeline, total, &no_manifest()).unwrap();
    assert_eq!(detail.digest, "sha256:9e279244255fadd816ade6579d09d5c37e8b8aa9406db5adcb3a39a5bcd7ba39");
    assert_eq!(detail.compressed_bytes, Some(Bytes::new(8391361 + 16782528 + 25173692 + 33564893 + 388905)));
    assert_eq!(detail.downloaded_bytes, detail.compressed_bytes);
    assert_eq!(detail.cold_fraction, Some(1.0));
    assert_eq!(detail.bound_by, PullStage::Extract);
    // The last layer is tiny and inflates to 400 MB: it was downloaded at 219 ms and unpacked from 832 to 2801 ms.
    let last = detail.layers.last().unwrap();
    assert_eq!((last.id.as_str(), last.compressed_bytes), ("bbda8ab415e7", Some(Bytes::new(388905))));
    assert_eq!(last.status, LayerStatus::Pulled);
    let millis = |interval: Option<Interval>| {
        interval.map(|i| (i.begin_ns.as_millis_f64().round() as u64, i.end_ns.as_millis_f64().round() as u64))
    };
    assert_eq!(millis(last.download), Some((216, 219)));
    assert_eq!(millis(last.extract), Some((832, 2801)));
    // The path: 29.76 ms to the first byte of the first layer, its 29.47 ms of download, 0.09 ms of verification,
    // extraction of all layers one after the other up to 2801.08 ms, and 6.37 ms to enter the image.
    let path: Vec<u64> =
        PullStage::ALL.iter().map(|stage| detail.critical_path.get(*stage).as_nanos() / 10_000).collect();
    assert_eq!(path, [2976, 2947, 8, 274_175, 637]);
    assert_eq!(detail.critical_path.sum(), total);
}

#[test]
fn shared_layers_without_and_with_a_manifest() {
    let (timeline, total) = feed(&recording("docker-pull-sharedlayers"));
    let blind = detail(&timeline, total, &no_manifest()).unwrap();
    assert_eq!(blind.layers.len(), 6);
    assert_eq!(blind.layers[0].status, LayerStatus::AlreadyExists);
    assert_eq!(blind.downloaded_bytes, Some(Bytes::new(1_551_837)));
    assert_eq!((blind.compressed_bytes, blind.cold_fraction), (None, None), "nobody told the other sizes");
    assert!(matches!(blind.sizes_from, SizesFrom::Events { ref why } if why == "not asked"));

    let manifest = manifest(&[
        ("5dd044557d82", 8_391_361),
        ("21988383b3ef", 16_782_528),
        ("d770a2b4e1c2", 25_173_692),
        ("2b86302e03fd", 33_564_893),
        ("bbda8ab415e7", 388_905),
        ("be8e74300658", 1_551_837),
    ]);
    let full = detail(&timeline, total, &manifest).unwrap();
    assert_eq!(full.compressed_bytes, Some(Bytes::new(85_853_216)));
    let cold = full.cold_fraction.unwrap();
    assert!((cold - 1_551_837.0 / 85_853_216.0).abs() < 1e-12, "{cold}");
    assert!(full.layers[5].digest.as_deref().unwrap().starts_with("sha256:be8e74300658"));
}

#[test]
fn a_manifest_of_another_image_is_not_believed() {
    let (timeline, total) = feed(&recording("docker-pull-events"));
    let detail = detail(&timeline, total, &manifest(&[("ffffffffffff", 9)])).unwrap();
    assert!(matches!(detail.sizes_from, SizesFrom::Events { ref why } if why.contains("other layers")));
    assert_eq!(detail.layers.len(), 5);
    assert_eq!(detail.cold_fraction, Some(1.0));
}

#[test]
fn a_content_that_is_listed_twice_counts_once() {
    let lines = [
        r#"{"status":"Pulling fs layer","id":"aaaaaaaaaaaa"}"#,
        r#"{"status":"Pulling fs layer","id":"bbbbbbbbbbbb"}"#,
        r#"{"status":"Already exists","id":"bbbbbbbbbbbb"}"#,
        r#"{"status":"Downloading","progressDetail":{"current":1,"total":30},"id":"aaaaaaaaaaaa"}"#,
        r#"{"status":"Pull complete","id":"aaaaaaaaaaaa"}"#,
        r#"{"status":"Digest: sha256:12"}"#,
    ]
    .map(str::to_owned);
    let (timeline, total) = feed(&lines);
    let listed = manifest(&[("aaaaaaaaaaaa", 30), ("aaaaaaaaaaaa", 30), ("bbbbbbbbbbbb", 10)]);
    let detail = detail(&timeline, total, &listed).unwrap();
    assert_eq!(detail.layers.len(), 3);
    assert_eq!(
        (detail.compressed_bytes, detail.downloaded_bytes),
        (Some(Bytes::new(40)), Some(Bytes::new(30)))
    );
    assert_eq!(detail.cold_fraction, Some(0.75));
}

#[test]
fn a_retry_counts_once_and_is_the_registrys_time() {
    let id = r#""id":"aaaaaaaaaaaa"}"#;
    let downloading = r#"{"status":"Downloading","progressDetail":{"current":1,"total":30},"#;
    let lines: Vec<String> = [
        r#"{"status":"Pulling fs layer","#,
        downloading,
        r#"{"status":"Retrying in 2 seconds","#,
        r#"{"status":"Retrying in 1 second","#,
        downloading,
        r#"{"status":"Download complete","#,
        r#"{"status":"Pull complete","#,
    ]
    .into_iter()
    .map(|head| format!("{head}{id}"))
    .chain([r#"{"status":"Digest: sha256:12"}"#.to_owned()])
    .collect();
    let (timeline, total) = feed(&lines);
    assert_eq!(timeline.retries(), 1);
    let detail = detail(&timeline, total, &no_manifest()).unwrap();
    assert_eq!(detail.layers[0].retries, 1);
    // 20 ms to the first byte and 20 ms between the attempts; the download has 20..30 and 50..60.
    assert_eq!(detail.critical_path.registry_ns, Nanos::from_millis(40));
    assert_eq!(detail.critical_path.download_ns, Nanos::from_millis(20));
    assert_eq!(detail.critical_path.extract_ns, Nanos::from_millis(10));
}

#[test]
fn the_containerd_dialect() {
    // Ticks of 100 ms: the small layer is never seen downloading, the configuration's blob is no layer, extraction is told
    // in seconds without a total, and every stage begins and ends on a tick.
    let events = [
        (50, r#"{"status":"Pulling fs layer","id":"aaaaaaaaaaaa"}"#),
        (50, r#"{"status":"Pulling fs layer","id":"bbbbbbbbbbbb"}"#),
        (
            100,
            r#"{"status":"Downloading","progressDetail":{"current":1048576,"total":50000000},"id":"aaaaaaaaaaaa"}"#,
        ),
        (100, r#"{"status":"Download complete","progressDetail":{},"id":"bbbbbbbbbbbb"}"#),
        (100, r#"{"status":"Download complete","progressDetail":{},"id":"cccccccccccc"}"#),
        (
            200,
            r#"{"status":"Downloading","progressDetail":{"current":40000000,"total":50000000},"id":"aaaaaaaaaaaa"}"#,
        ),
        (300, r#"{"status":"Download complete","progressDetail":{},"id":"aaaaaaaaaaaa"}"#),
        (300, r#"{"status":"Extracting","progressDetail":{"current":1,"units":"s"},"id":"aaaaaaaaaaaa"}"#),
        (1300, r#"{"status":"Extracting","progressDetail":{"current":2,"units":"s"},"id":"aaaaaaaaaaaa"}"#),
        (1900, r#"{"status":"Pull complete","progressDetail":{},"id":"aaaaaaaaaaaa"}"#),
        (1900, r#"{"status":"Extracting","progressDetail":{"current":1,"units":"s"},"id":"bbbbbbbbbbbb"}"#),
        (2000, r#"{"status":"Pull complete","progressDetail":{},"id":"bbbbbbbbbbbb"}"#),
        (2010, r#"{"status":"Digest: sha256:12"}"#),
        (2010, r#"{"status":"Status: Downloaded newer image for x:1"}"#),
    ];
    let mut timeline = Timeline::new();
    for (millis, line) in events {
        timeline.observe(Nanos::from_millis(millis), &serde_json::from_str(line).unwrap());
    }
    let total = Nanos::from_millis(2012);
    let manifest = manifest(&[("aaaaaaaaaaaa", 50_000_000), ("bbbbbbbbbbbb", 700)]);
    let detail =
        timeline.detail("r/x:1", total, PullDialect::Containerd, PullSource::Registry, &manifest).unwrap();
    assert_eq!(detail.layers.len(), 2, "the configuration is no layer");
    assert_eq!(detail.compressed_bytes, Some(Bytes::new(50_000_700)));
    assert_eq!(detail.cold_fraction, Some(1.0));
    assert_eq!(detail.layers[1].download, None, "too fast for a tick");
    assert_eq!(detail.bound_by, PullStage::Extract);
    let path: Vec<u64> =
        PullStage::ALL.iter().map(|stage| detail.critical_path.get(*stage).as_nanos() / 1_000_000).collect();
    assert_eq!(path, [100, 200, 0, 1700, 12]);

    // Without a manifest a layer's size is what its download told, never the seconds of its extraction.
    let blind = timeline
        .detail("r/x:1", total, PullDialect::Containerd, PullSource::Registry, &no_manifest())
        .unwrap();
    assert_eq!(blind.layers[0].compressed_bytes, Some(Bytes::new(50_000_000)));
    assert_eq!(blind.layers[1].compressed_bytes, None);
}
