//! Engines and registries that stop in the middle, shown on an engine of the tests' own.

use std::process::{Child, Command, Stdio};

use super::*;
use crate::registry::Faults;

/// A dockerd that is started here, sees nobody's images, and is ended with the test.
struct PrivateEngine {
    daemon: Child,
    directory: tempfile::TempDir,
}

impl PrivateEngine {
    /// Starts one; `None` after saying why not.
    fn start() -> Option<Self> {
        let directory = tempfile::Builder::new().prefix("cs").tempdir().unwrap();
        let at = |name: &str| directory.path().join(name).display().to_string();
        // The machine's own configuration is not for this one.
        std::fs::write(directory.path().join("daemon.json"), "{}").unwrap();
        let daemon = Command::new("dockerd")
            .args(["--config-file", &at("daemon.json")])
            .args([
                "--host",
                &format!("unix://{}", at("s")),
                "--data-root",
                &at("root"),
                "--exec-root",
                &at("exec"),
            ])
            .args(["--pidfile", &at("pid"), "--storage-driver", "vfs", "--bridge=none", "--iptables=false"])
            .args(["--ip6tables=false", "--ip-forward=false", "--ip-masq=false", "--max-download-attempts=1"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        match daemon {
            Ok(daemon) => Some(PrivateEngine { daemon, directory }),
            Err(error) => skip(&format!("dockerd can't be started: {error}")),
        }
    }

    /// Waits until it answers.
    async fn connect(&mut self) -> Option<Engine> {
        let host = format!("unix://{}", self.directory.path().join("s").display());
        let mut last = String::new();
        for _ in 0..200 {
            match Engine::connect_to(&host, &unique("run")).await {
                Connection::Ready(engine) => return Some(engine),
                Connection::Absent { why } => last = why,
            }
            if let Ok(Some(status)) = self.daemon.try_wait() {
                return skip(&format!("a private dockerd ended at once ({status}): it needs root"));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        skip(&format!("a private dockerd does not answer: {last}"))
    }

    /// Asks it to end, as `service docker stop` does, and waits for that.
    fn stop(&mut self) {
        if matches!(self.daemon.try_wait(), Ok(Some(_))) {
            return;
        }
        let _ = Command::new("kill").arg(self.daemon.id().to_string()).status();
        for _ in 0..200 {
            if matches!(self.daemon.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

impl Drop for PrivateEngine {
    fn drop(&mut self) {
        self.stop();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_dies_in_the_middle() {
    let Some(mut private) = PrivateEngine::start() else { return };
    let Some(engine) = private.connect().await else { return };
    let served = Served::new(&engine, 16, 4).await;
    served.registry.set_faults(Faults { die_after: Some(3 << 20), ..Faults::default() });
    let error = pull_now(&engine, &served.request()).await.unwrap_err();
    assert!(matches!(error, DockerError::RegistryDied { .. }), "{error:?}");
    assert_eq!(engine.image_id(&served.name()).await.unwrap(), None);
    assert!(engine.remove_leftovers().await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_stops_in_the_middle() {
    let Some(mut private) = PrivateEngine::start() else { return };
    let Some(engine) = private.connect().await else { return };
    let served = Served::new(&engine, 16, 2).await;
    served.registry.set_faults(Faults { bytes_per_s: Some(1 << 20), ..Faults::default() });
    let request = served.request();
    let (outcome, ()) = tokio::join!(pull_now(&engine, &request), async {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        tokio::task::block_in_place(|| private.stop());
    });
    assert!(matches!(outcome, Err(DockerError::EngineStopped { .. })), "{outcome:?}");
    assert!(outcome.unwrap_err().to_string().contains("start it again"));
    // There is nobody to ask for the removal; that is said, not hidden.
    let failures = engine.remove_leftovers().await;
    assert!(failures.iter().all(|error| matches!(error, DockerError::EngineStopped { .. })), "{failures:?}");
    assert!(!failures.is_empty());
}
