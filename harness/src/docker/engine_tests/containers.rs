//! Container trials with a small program of the tests' own, which an image carries as it carries coldstart.

use std::path::Path;
use std::process::Command;

use coldstart_profiles::Nanos;

use super::*;
use crate::clock::monotonic;
use crate::registry::Program;

/// Says when it began, then does as its first argument wants.
const SOURCE: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <dirent.h>
int main(int argc, char **argv) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    const char *what = argc > 1 ? argv[1] : "";
    if (strcmp(what, "silent") == 0) { puts("hello"); return 0; }
    printf("{\"monotonic_ns\":%lld}\n", (long long)t.tv_sec * 1000000000LL + t.tv_nsec);
    fflush(stdout);
    if (strcmp(what, "fail") == 0) { fputs("it broke\n", stderr); return 3; }
    if (strcmp(what, "sleep") == 0) { sleep(600); }
    if (strcmp(what, "hog") == 0) {
        for (int i = 0; i < 4096; i++) { char *p = malloc(1 << 20); if (!p) return 4; memset(p, 1, 1 << 20); }
    }
    if (strcmp(what, "look") == 0) {
        char line[100] = "";
        FILE *f = fopen("/model/file", "r");
        if (f) { fgets(line, sizeof line, f); fclose(f); }
        printf("file=%s\n", line);
        printf("writable=%d\n", fopen("/model/new", "w") != NULL);
        printf("env=%s\n", getenv("COLDSTART_HANDSHAKE") ? getenv("COLDSTART_HANDSHAKE") : "");
        int links = 0;
        DIR *d = opendir("/sys/class/net");
        for (struct dirent *e; d && (e = readdir(d));) links += e->d_name[0] != '.' && strcmp(e->d_name, "lo") != 0;
        printf("links=%d\n", links);
    }
    return 0;
}
"#;

/// An image with that program on this machine, pulled by `engine`.
struct Carried {
    served: Served,
    command: Vec<String>,
}

impl Carried {
    async fn new(engine: &Engine) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (source, binary) = (directory.path().join("p.c"), directory.path().join("p"));
        std::fs::write(&source, SOURCE).unwrap();
        let compiled = Command::new("cc").arg("-o").arg(&binary).arg(&source).status();
        assert!(compiled.unwrap().success(), "a C compiler is needed to build coldstart");
        let program = Program::new(&binary).unwrap();
        let command = program.command();
        let template = Template::build(&contents(1, 1, "gzip"), 1, Some(program)).unwrap();
        let image = template.image(&unique("nonce"), &platform(engine)).unwrap();
        let registry = Registry::start().await.unwrap();
        let reference = registry.publish(&unique("coldstart-test"), "1", &image).unwrap();
        let served = Served { registry, image, reference };
        pull_well(engine, &served.request()).await;
        Carried { served, command }
    }

    fn spec(&self, what: &str) -> ContainerSpec {
        ContainerSpec {
            image: self.served.name(),
            command: self.command.iter().cloned().chain([what.to_owned()]).collect(),
            env: Vec::new(),
            mounts: Vec::new(),
            gpus: false,
            memory: None,
            limit: LIMIT,
        }
    }
}

/// Containers of this run that the engine knows of.
async fn containers(engine: &Engine) -> usize {
    let filters = [("label".to_owned(), vec![format!("{RUN_LABEL}={}", engine.owned().run())])].into();
    let options = bollard::query_parameters::ListContainersOptionsBuilder::default();
    let listed = engine.docker().list_containers(Some(options.all(true).filters(&filters).build())).await;
    listed.unwrap().len()
}

async fn run_now(engine: &Engine, spec: &ContainerSpec) -> Result<ContainerReading, DockerError> {
    run_container(engine, spec, &CancellationToken::new()).await
}

async fn local_engine() -> Option<Engine> {
    let engine = engine().await?;
    match &engine.info().locality {
        Locality::Local => Some(engine),
        Locality::Remote { why } => skip(why),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_is_timed_by_the_clock_that_both_sides_read() {
    let Some(engine) = local_engine().await else { return };
    let carried = Carried::new(&engine).await;
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("file"), "weights\n").unwrap();
    let spec = ContainerSpec {
        env: vec![("COLDSTART_HANDSHAKE".to_owned(), "1".to_owned())],
        mounts: vec![ReadOnlyMount { host: directory.path().to_owned(), inside: "/model".to_owned() }],
        memory: Some(Bytes::from_mib(64)),
        ..carried.spec("look")
    };
    for _ in 0..2 {
        let before = monotonic();
        let reading = run_now(&engine, &spec).await.unwrap();
        let after = monotonic();
        assert_eq!(reading.stdout, "file=weights\n\nwritable=0\nenv=1\nlinks=0\n");
        assert!(before < reading.began && reading.began < after);
        let detail = reading.detail;
        assert!(detail.create_ns > Nanos::ZERO && detail.start_ns > Nanos::ZERO);
        let parts = detail.create_ns.saturating_add(detail.start_ns);
        assert!(parts <= detail.total_ns, "{detail:?}");
        // Between the answer to one request and the other lies next to nothing.
        assert!(detail.total_ns.saturating_sub(parts) < Nanos::from_millis(20), "{detail:?}");
        assert!(detail.total_ns < after.saturating_sub(before), "{detail:?}");
        assert_eq!(detail.memory_limit_bytes, Some(Bytes::from_mib(64)));
        assert_eq!(containers(&engine).await, 0);
    }
    assert!(!Path::new(directory.path()).join("new").exists());
    engine.remove_image(&carried.served.name()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn programs_that_fail_hang_or_take_too_much() {
    let Some(engine) = local_engine().await else { return };
    let carried = Carried::new(&engine).await;

    let error = run_now(&engine, &carried.spec("fail")).await.unwrap_err();
    assert!(
        matches!(&error, DockerError::ContainerFailed { exit_code: 3, out_of_memory: false, stderr }
        if stderr == "it broke\n"),
        "{error:?}"
    );

    let error = run_now(&engine, &carried.spec("silent")).await.unwrap_err();
    assert!(matches!(&error, DockerError::Handshake { line } if line == "hello"), "{error:?}");

    let hog = ContainerSpec { memory: Some(Bytes::from_mib(32)), ..carried.spec("hog") };
    let error = run_now(&engine, &hog).await.unwrap_err();
    assert!(matches!(&error, DockerError::ContainerFailed { out_of_memory: true, .. }), "{error:?}");

    let slow = ContainerSpec { limit: Duration::from_secs(2), ..carried.spec("sleep") };
    let error = run_now(&engine, &slow).await.unwrap_err();
    assert!(matches!(&error, DockerError::TimeLimit { .. }), "{error:?}");
    assert_eq!(containers(&engine).await, 0);

    let missing = ContainerSpec { command: vec!["/no/such/program".to_owned()], ..carried.spec("") };
    let error = run_now(&engine, &missing).await.unwrap_err();
    assert!(error.to_string().contains("start the container"), "{error}");
    assert_eq!(containers(&engine).await, 0);
    engine.remove_image(&carried.served.name()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupted_start_leaves_no_container() {
    let (Some(engine), Some(other)) = (local_engine().await, local_engine().await) else { return };
    let carried = Carried::new(&engine).await;
    let spec = carried.spec("sleep");

    // Interrupted before the engine answered, and while the program runs.
    for wait in [5, 1500] {
        let cancel = CancellationToken::new();
        let (outcome, ()) = tokio::join!(run_container(&engine, &spec, &cancel), async {
            tokio::time::sleep(Duration::from_millis(wait)).await;
            cancel.cancel();
        });
        assert!(matches!(outcome, Err(DockerError::Cancelled { .. })), "{outcome:?}");
        assert!(engine.remove_leftovers_of_containers().await.is_empty());
        assert_eq!(containers(&engine).await, 0, "after {wait} ms");
    }

    // A future that is dropped can't clean up; the run's end does, and only its own.
    let theirs = tokio::spawn({
        let (other, spec) = (other.clone(), spec.clone());
        async move { run_now(&other, &spec).await }
    });
    let dropped = tokio::time::timeout(Duration::from_millis(1500), run_now(&engine, &spec)).await;
    assert!(dropped.is_err());
    assert_eq!(containers(&engine).await, 1);
    assert_eq!(containers(&other).await, 1);
    assert!(engine.remove_leftovers_of_containers().await.is_empty());
    assert_eq!(containers(&engine).await, 0);
    assert_eq!(containers(&other).await, 1, "the other run's container is not ours to remove");
    theirs.abort();
    assert!(other.remove_leftovers().await.is_empty());
    assert_eq!(containers(&other).await, 0);
    assert!(engine.remove_leftovers().await.is_empty());
    assert_eq!(engine.image_id(&carried.served.name()).await.unwrap(), None);
}
