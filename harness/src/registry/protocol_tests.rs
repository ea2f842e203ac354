//! The registry as clients see it: raw HTTP, and skopeo where it is installed.

use std::io::Write;
use std::process::Command;

use coldstart_profiles::{Bytes, SyntheticImage};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

fn image(codec: &str) -> Image {
    let contents = SyntheticImage {
        size_bytes: Bytes::from_mib(3),
        layers: 2,
        compressibility: 0.5,
        codec: codec.into(),
    };
    let platform = Platform { os: "linux".into(), arch: "amd64".into() };
    Template::build(&contents, 1, None).unwrap().image("n", &platform).unwrap()
}

/// Status, lower-case header lines and body of one request.
async fn ask(registry: &Registry, method: &str, path: &str, extra: &str) -> (u16, String, Vec<u8>) {
    let mut stream = TcpStream::connect(registry.address()).await.unwrap();
    let head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{extra}\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(answer[..end].to_vec()).unwrap().to_lowercase();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head, answer[end + 4..].to_vec())
}

#[tokio::test]
async fn answers_follow_the_specification() {
    let registry = Registry::start().await.unwrap();
    let image = image("gzip");
    registry.publish("some/name", "1", &image).unwrap();
    let layer = &image.layers()[0];
    let whole = layer.parts().concat();
    let blob = format!("/v2/some/name/blobs/{}", layer.digest());

    assert_eq!(ask(&registry, "GET", "/v2/", "").await.0, 200);
    let (status, head, body) = ask(&registry, "GET", &blob, "").await;
    assert_eq!((status, body == whole), (200, true));
    assert!(head.contains(&format!("docker-content-digest: {}", layer.digest())), "{head}");
    let (status, head, body) = ask(&registry, "HEAD", &blob, "").await;
    assert_eq!((status, body.len()), (200, 0));
    assert!(head.contains(&format!("content-length: {}", whole.len())), "{head}");
    let (status, head, body) = ask(&registry, "GET", &blob, "Range: bytes=1000-\r\n").await;
    assert_eq!((status, body == whole[1000..]), (206, true));
    assert!(
        head.contains(&format!("content-range: bytes 1000-{}/{}", whole.len() - 1, whole.len())),
        "{head}"
    );
    assert_eq!(ask(&registry, "GET", &blob, "Range: bytes=99999999-\r\n").await.0, 416);

    for reference in ["1", image.digest()] {
        let path = format!("/v2/some/name/manifests/{reference}");
        let (status, head, body) = ask(&registry, "GET", &path, "").await;
        assert_eq!((status, Blob::new(body).digest()), (200, image.digest()));
        assert!(head.contains("content-type: application/vnd.oci.image.manifest.v1+json"), "{head}");
    }
    for (method, path, status, code) in [
        ("GET", "/v2/some/name/manifests/2", 404, "MANIFEST_UNKNOWN"),
        ("GET", "/v2/other/manifests/1", 404, "NAME_UNKNOWN"),
        ("GET", "/v2/some/name/blobs/sha256:0", 404, "BLOB_UNKNOWN"),
        ("GET", "/v2/../../etc/passwd", 404, "UNSUPPORTED"),
        ("GET", "/", 404, "UNSUPPORTED"),
        ("PUT", "/v2/some/name/manifests/1", 405, "UNSUPPORTED"),
    ] {
        let (got, _, body) = ask(&registry, method, path, "").await;
        let body = String::from_utf8(body).unwrap();
        assert!(got == status && body.contains(code), "{method} {path}: {got} {body}");
    }
    registry.withdraw("some/name");
    assert_eq!(ask(&registry, "GET", &blob, "").await.0, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn skopeo_copies_and_checks_every_digest() {
    if let Err(error) = Command::new("skopeo").arg("--version").output() {
        // Past the test harness's capture.
        let _ = writeln!(std::io::stderr(), "SKIPPED skopeo_copies_and_checks_every_digest: skopeo: {error}");
        return;
    }
    let registry = Registry::start().await.unwrap();
    for codec in ["gzip", "zstd"] {
        let image = image(codec);
        let reference = registry.publish("some/name", codec, &image).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let copied = tokio::task::spawn_blocking({
            let to = format!("dir:{}", directory.path().display());
            move || {
                Command::new("skopeo")
                    .args(["copy", "--insecure-policy", "--src-tls-verify=false"])
                    .args([&format!("docker://{reference}"), &to])
                    .output()
            }
        });
        let copied = copied.await.unwrap().unwrap();
        assert!(copied.status.success(), "{codec}: {}", String::from_utf8_lossy(&copied.stderr));
        for layer in image.layers() {
            let hex = layer.digest().trim_start_matches("sha256:");
            let bytes = std::fs::read(directory.path().join(hex)).unwrap();
            assert!(bytes == layer.parts().concat(), "{codec}");
        }
    }
}
