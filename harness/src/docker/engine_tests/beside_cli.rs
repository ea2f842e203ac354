//! Our total beside the time that `docker pull` takes: a measurement, run by hand.
//!
//! `cargo test -p coldstart --lib beside_cli -- --ignored --nocapture`

use std::process::{Command, Stdio};
use std::time::Instant;

use super::*;
use crate::registry::measure_inflate;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement, of which a busy machine makes nonsense"]
async fn the_total_agrees_with_docker_pull_within_a_tenth() {
    let Some(engine) = engine().await else { return };
    let registry = Registry::start().await.unwrap();
    let template = Template::build(&contents(128, 4, "gzip"), 1, None).unwrap();
    let (mut ours, mut cli) = (Vec::new(), Vec::new());
    for trial in 0..10 {
        let image = template.image(&unique("nonce"), &platform(&engine)).unwrap();
        let repository = unique("coldstart-test");
        let reference = registry.publish(&repository, "1", &image).unwrap();
        let name = reference.to_string();
        if trial % 2 == 0 {
            let reading = pull_well(&engine, &request(&reference)).await;
            println!("ours {} {:?}", reading.detail.total_ns, reading.detail.critical_path);
            ours.push(reading.detail.total_ns.as_secs_f64());
        } else {
            let (name, start) = (name.clone(), Instant::now());
            let status = tokio::task::spawn_blocking(move || {
                Command::new("docker").args(["pull", "--quiet", &name]).stdout(Stdio::null()).status()
            });
            assert!(status.await.unwrap().unwrap().success());
            println!("docker pull {:?}", start.elapsed());
            cli.push(start.elapsed().as_secs_f64());
            let id = engine.image_id(&reference.to_string()).await.unwrap().unwrap();
            engine.owned().pulled(&reference.to_string(), &id);
        }
        engine.remove_image(&name).await.unwrap();
        registry.withdraw(&repository);
    }
    for codec in ["gzip", "zstd"] {
        let layers = Template::build(&contents(32, 1, codec), 1, None).unwrap();
        let image = layers.image("n", &platform(&engine)).unwrap();
        println!("{:?}", measure_inflate(image.compression(), &image.layers()[0]).unwrap());
    }
    let median = |times: &mut Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    let (ours, cli) = (median(&mut ours), median(&mut cli));
    println!("medians: ours {ours:.3} s, docker pull {cli:.3} s, ratio {:.3}", ours / cli);
    assert!((ours / cli - 1.0).abs() < 0.1);
}
