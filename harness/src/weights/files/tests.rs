//! Models as users have them, and as attackers make them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::testing::{index, raw_file, vectors};
use super::{MAX_HEADER_BYTES, ModelFiles, OpenOptions};

fn open(path: &Path) -> Result<ModelFiles, String> {
    ModelFiles::open(path, OpenOptions::default()).map_err(|error| error.to_string())
}

#[track_caller]
fn refused(path: &Path, parts: &[&str]) {
    let error = open(path).expect_err("this model must be refused");
    for part in parts {
        assert!(error.contains(part), "`{part}` is missing in: {error}");
    }
}

#[test]
fn one_file_opens_by_its_directory_and_by_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("weights.safetensors");
    vectors(&path, &[("b", 3), ("a", 5), ("empty", 0)]);
    for asked in [dir.path(), path.as_path()] {
        let model = open(asked).unwrap();
        assert_eq!(model.bytes(), 32);
        let a = model.tensor("a").unwrap();
        assert_eq!((a.begin - model.files()[0].data_begin, a.bytes), (12, 20));
        assert_eq!(model.dir(), fs::canonicalize(dir.path()).unwrap());
        let inventory = model.inventory();
        assert_eq!((inventory.tensors, inventory.files), (3, 1));
        assert_eq!(inventory.dtypes["F32"].get(), 32);
    }
    assert!(open(&path).unwrap().tensor("c").unwrap_err().to_string().contains("`c` among the model's 3"));
}

#[test]
fn equal_headers_have_equal_hashes() {
    let dir = tempfile::tempdir().unwrap();
    let hash = |name: &str, tensors: &[(&str, usize)]| {
        let path = dir.path().join(name);
        vectors(&path, tensors);
        open(&path).unwrap().inventory().header_sha256
    };
    let first = hash("x.safetensors", &[("a", 2)]);
    assert_eq!(first.len(), 64);
    assert_eq!(first, hash("y.safetensors", &[("a", 2)]));
    assert_ne!(first, hash("z.safetensors", &[("a", 3)]));
}

#[test]
fn shards_open_through_their_index() {
    let dir = tempfile::tempdir().unwrap();
    vectors(&dir.path().join("m-1.safetensors"), &[("a", 2)]);
    vectors(&dir.path().join("m-2.safetensors"), &[("b", 3), ("c", 1)]);
    index(dir.path(), &[("c", "m-2.safetensors"), ("a", "m-1.safetensors"), ("b", "m-2.safetensors")]);
    let model = open(dir.path()).unwrap();
    assert_eq!(model.files().len(), 2);
    let order: Vec<_> = model.tensors().iter().map(|tensor| (tensor.name.as_str(), tensor.file)).collect();
    assert_eq!(order, [("a", 0), ("b", 1), ("c", 1)]);
}

#[test]
fn nothing_to_load_is_said() {
    let dir = tempfile::tempdir().unwrap();
    refused(&dir.path().join("absent"), &["it does not exist", "pass a directory"]);
    refused(dir.path(), &["it holds no safetensors file", "pass a directory"]);
    fs::write(dir.path().join("model.bin"), "x").unwrap();
    refused(dir.path(), &["it holds no safetensors file"]);
    vectors(&dir.path().join("a.safetensors"), &[("a", 0)]);
    refused(dir.path(), &["hold no data"]);
    vectors(&dir.path().join("b.safetensors"), &[("b", 1)]);
    refused(dir.path(), &["a.safetensors, b.safetensors", "how they belong together"]);
    vectors(&dir.path().join("model.safetensors"), &[("b", 1)]);
    open(dir.path()).expect("model.safetensors goes first");
}

#[test]
fn a_pipe_is_refused_and_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    let name = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
    // SAFETY: the name is a NUL-terminated string that lives through the call.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    refused(dir.path(), &["not a regular file"]);
}

#[test]
fn damaged_headers_are_refused() {
    let tensor = |name: &str, dtype: &str, shape: &str, begin: u64, end: u64| {
        format!(r#""{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{begin},{end}]}}"#)
    };
    let two = |first: String, second: String| format!("{{{first},{second}}}");
    let one = |first: String| format!("{{{first}}}");
    let cases: &[(&str, String, usize, &[&str])] = &[
        ("not JSON", "{\"a\":".into(), 0, &["header is not valid", "line 1 column", "download it again"]),
        ("no object", "[1]".into(), 0, &["header is not valid", "an object from tensor name"]),
        ("text behind", one(tensor("a", "F32", "[1]", 0, 4)) + "x", 4, &["trailing characters"]),
        ("bad dtype", one(tensor("a", "F33", "[1]", 0, 4)), 4, &["tensor `a`", "F33"]),
        ("negative shape", one(tensor("a", "F32", "[-1]", 0, 4)), 4, &["tensor `a`", "-1"]),
        ("no offsets", r#"{"a":{"dtype":"F32","shape":[1]}}"#.into(), 4, &["tensor `a`", "data_offsets"]),
        ("metadata", r#"{"__metadata__":{"a":1}}"#.into(), 0, &["header is not valid"]),
        (
            "twice",
            two(tensor("a", "F32", "[1]", 0, 4), tensor("a", "F32", "[1]", 4, 8)),
            8,
            &["the tensor `a` twice"],
        ),
        (
            "overlap",
            two(tensor("a", "F32", "[2]", 0, 8), tensor("b", "F32", "[1]", 4, 8)),
            8,
            &["`b` begins at byte 4, inside of `a` which ends at 8"],
        ),
        (
            "hole",
            two(tensor("a", "F32", "[1]", 0, 4), tensor("b", "F32", "[1]", 8, 12)),
            12,
            &["the bytes 4..8 before `b` belong to no tensor"],
        ),
        ("hole in front", one(tensor("a", "F32", "[1]", 4, 8)), 8, &["the bytes 0..4 before `a`"]),
        (
            "truncated",
            one(tensor("a", "F32", "[4]", 0, 16)),
            12,
            &["`a` ends at byte 16", "only 12", "truncated"],
        ),
        ("trailing", one(tensor("a", "F32", "[1]", 0, 4)), 6, &["2 bytes follow its last tensor"]),
        (
            "span",
            one(tensor("a", "BF16", "[3, 2]", 0, 10)),
            10,
            &["`a` spans the bytes 0..10", "BF16", "[3, 2] need 12 bytes"],
        ),
        ("backwards", one(tensor("a", "F32", "[1]", 4, 0)), 4, &["`a` spans the bytes 4..0"]),
        (
            "product overflows",
            one(tensor("a", "F32", "[4294967296, 4294967296]", 0, 4)),
            4,
            &["`a` with dtype F32", "no sane size"],
        ),
        ("half a byte", one(tensor("a", "F4", "[1]", 0, 1)), 1, &["`a` with dtype F4", "no sane size"]),
        (
            "number too large",
            r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,99999999999999999999]}}"#.into(),
            4,
            &["tensor `a`"],
        ),
    ];
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    for (case, header, data, parts) in cases {
        raw_file(&path, header, *data);
        let error = open(&path).expect_err(case);
        assert!(error.contains("model.safetensors"), "{case}: {error}");
        for part in *parts {
            assert!(error.contains(part), "{case}: `{part}` is missing in: {error}");
        }
    }
}

#[test]
fn header_lengths_are_checked_before_they_are_believed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    fs::write(&path, [1, 2, 3]).unwrap();
    refused(&path, &["it has 3 bytes, too few"]);
    fs::write(&path, u64::MAX.to_le_bytes()).unwrap();
    refused(&path, &["claims 18446744073709551615 bytes but only 0 follow"]);
    fs::write(&path, [&200u64.to_le_bytes()[..], b"{}"].concat()).unwrap();
    refused(&path, &["claims 200 bytes but only 2 follow"]);
    // A sparse file: long enough for its header, which is still too long to be read.
    let header = MAX_HEADER_BYTES + 1;
    fs::write(&path, header.to_le_bytes()).unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_len(header + 8).unwrap();
    refused(&path, &["claims 100000001 bytes", "more than the 100000000 allowed"]);
}

#[test]
fn an_index_must_agree_with_its_shards() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let write = |text: &str| fs::write(at.join("model.safetensors.index.json"), text).unwrap();
    write("{");
    refused(at, &["read the index", "not valid"]);
    write(r#"{"weight_map":{}}"#);
    refused(at, &["weight_map is empty"]);
    index(at, &[("a", "m-1.safetensors")]);
    refused(at, &["`m-1.safetensors`, which does not exist", "download the missing shard"]);
    vectors(&at.join("m-1.safetensors"), &[("a", 1)]);
    open(at).unwrap();
    index(at, &[("a", "m-1.safetensors"), ("b", "m-1.safetensors")]);
    refused(at, &["places the tensor `b` in `m-1.safetensors`, which does not hold it"]);
    vectors(&at.join("m-2.safetensors"), &[("a", 1)]);
    index(at, &[("a", "m-2.safetensors"), ("c", "m-1.safetensors")]);
    refused(at, &["the tensor `a` twice", "m-1.safetensors", "m-2.safetensors"]);
}

#[test]
fn an_index_cannot_lead_out_of_the_directory() {
    let root = tempfile::tempdir().unwrap();
    let outside = root.path().join("secret.safetensors");
    vectors(&outside, &[("a", 1)]);
    let dir = root.path().join("model");
    fs::create_dir(&dir).unwrap();
    for name in ["../secret.safetensors", outside.to_str().unwrap(), "x/../../secret.safetensors", "", "."] {
        index(&dir, &[("a", name)]);
        refused(&dir, &["not a plain relative name"]);
        let follow = OpenOptions { follow_symlinks: true };
        assert!(ModelFiles::open(&dir, follow).is_err(), "{name}: the option is about links only");
    }
}

#[test]
fn links_out_of_the_directory_need_the_option() {
    let root = tempfile::tempdir().unwrap();
    let outside = root.path().join("elsewhere.safetensors");
    vectors(&outside, &[("a", 1)]);
    let dir = root.path().join("model");
    fs::create_dir(&dir).unwrap();
    symlink(&outside, dir.join("m-1.safetensors")).unwrap();
    index(&dir, &[("a", "m-1.safetensors")]);
    refused(&dir, &["`m-1.safetensors`", "link that leads to", "elsewhere.safetensors", "--follow-symlinks"]);
    ModelFiles::open(&dir, OpenOptions { follow_symlinks: true }).unwrap();
    // A single file, a small file, and a directory on the way are held to the same rule.
    fs::remove_file(dir.join("model.safetensors.index.json")).unwrap();
    refused(&dir, &["link that leads to"]);
    fs::remove_file(dir.join("m-1.safetensors")).unwrap();
    vectors(&dir.join("model.safetensors"), &[("a", 1)]);
    symlink(&outside, dir.join("config.json")).unwrap();
    let error = open(&dir).unwrap().read_small("config.json", 1 << 20).unwrap_err().to_string();
    assert!(error.contains("link that leads to"), "{error}");
    fs::remove_file(dir.join("model.safetensors")).unwrap();
    symlink(root.path(), dir.join("up")).unwrap();
    index(&dir, &[("a", "up/elsewhere.safetensors")]);
    refused(&dir, &["link that leads to"]);
    symlink("nowhere", dir.join("m-1.safetensors")).unwrap();
    index(&dir, &[("a", "m-1.safetensors")]);
    refused(&dir, &["does not exist"]);
    fs::remove_file(dir.join("m-1.safetensors")).unwrap();
    symlink("m-1.safetensors", dir.join("m-1.safetensors")).unwrap();
    index(&dir, &[("a", "m-1.safetensors")]);
    refused(&dir, &["resolve", "m-1.safetensors", "lead in a circle: give the file itself"]);
}

#[test]
fn kubernetes_mounts_load() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    fs::create_dir(at.join("..2026_11_24")).unwrap();
    vectors(&at.join("..2026_11_24/model.safetensors"), &[("a", 1)]);
    symlink("..2026_11_24", at.join("..data")).unwrap();
    symlink("..data/model.safetensors", at.join("model.safetensors")).unwrap();
    assert_eq!(open(at).unwrap().bytes(), 4);
}

#[test]
fn hub_caches_load_and_only_from_their_own_blobs() {
    let root = tempfile::tempdir().unwrap();
    let entry = root.path().join("hub/models--org--name");
    let snapshot = entry.join("snapshots/abc");
    fs::create_dir_all(&snapshot).unwrap();
    fs::create_dir_all(entry.join("blobs")).unwrap();
    vectors(&entry.join("blobs/0123"), &[("a", 1)]);
    fs::write(entry.join("blobs/4567"), "{}").unwrap();
    symlink("../../blobs/0123", snapshot.join("model.safetensors")).unwrap();
    symlink("../../blobs/4567", snapshot.join("config.json")).unwrap();
    for asked in [snapshot.clone(), snapshot.join("model.safetensors")] {
        let model = open(&asked).unwrap();
        assert_eq!(model.bytes(), 4);
        assert_eq!(model.read_small("config.json", 10).unwrap().unwrap(), b"{}");
        assert!(model.read_small("tokenizer.json", 10).unwrap().is_none());
        assert!(
            model.read_small("config.json", 1).unwrap_err().to_string().contains("more than the 1 allowed")
        );
    }
    // Another entry's blobs are not this model's.
    let other = root.path().join("hub/models--evil--name/blobs");
    fs::create_dir_all(&other).unwrap();
    vectors(&other.join("89ab"), &[("a", 1)]);
    fs::remove_file(snapshot.join("model.safetensors")).unwrap();
    symlink(other.join("89ab"), snapshot.join("model.safetensors")).unwrap();
    refused(&snapshot, &["link that leads to", "89ab"]);
    // Nor is the snapshots directory itself a snapshot.
    fs::remove_file(snapshot.join("model.safetensors")).unwrap();
    symlink("../blobs/0123", entry.join("snapshots/model.safetensors")).unwrap();
    refused(&entry.join("snapshots"), &["link that leads to"]);
}
