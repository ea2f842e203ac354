//! The compiled kernels, as they are in `ptx/`.

/// One PTX file: the kernels of `cuda/<name>.cu`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source {
    file: &'static str,
    /// The PTX and a zero, which is where the driver stops to read.
    text: &'static str,
}

macro_rules! sources {
    ($($name:literal),* $(,)?) => {
        [$(Source {
            file: concat!($name, ".cu"),
            text: concat!(include_str!(concat!("../../ptx/", $name, ".ptx")), "\0"),
        }),*]
    };
}

/// Every file, in the order in which they are loaded.
pub(super) const ALL: &[Source] = &sources![
    "bytes",
    "attention",
    "attention_f32",
    "elementwise",
    "gemm",
    "gemm_f32",
    "gemv",
    "prefill",
    "rows"
];

impl Source {
    /// The name of the file that it was compiled from.
    pub(super) fn file(&self) -> &'static str {
        self.file
    }

    /// The PTX.
    pub(super) fn text(&self) -> &'static str {
        self.text.trim_end_matches('\0')
    }

    /// The PTX, with a zero behind it.
    pub(super) fn with_zero(&self) -> &'static str {
        self.text
    }

    /// The names of its kernels.
    pub(super) fn kernels(&self) -> impl Iterator<Item = &'static str> {
        self.text.lines().filter_map(|line| {
            let (_, after) = line.split_once(".entry ")?;
            after.split(['(', ' ']).next()
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::{Path, PathBuf};

    use sha2::{Digest, Sha256};

    use super::*;

    const REMEDY: &str = "run python3 kernels/build_ptx.py";

    fn directory(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
    }

    fn name(source: &Source) -> &'static str {
        source.file().strip_suffix(".cu").unwrap()
    }

    /// The names without their ending of the files of a directory that have it.
    fn stems(name: &str, ending: &str) -> BTreeSet<String> {
        let paths = fs::read_dir(directory(name)).unwrap().map(|entry| entry.unwrap().path());
        paths
            .filter(|path| path.extension().is_some_and(|found| found == ending))
            .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn every_source_is_compiled_and_listed() {
        let sources = stems("cuda", "cu");
        let listed: BTreeSet<String> = ALL.iter().map(|source| name(source).to_owned()).collect();
        assert_eq!(listed.len(), ALL.len(), "a name is listed twice");
        assert_eq!(stems("ptx", "ptx"), sources, "{REMEDY}, and remove the PTX of sources that are gone");
        assert_eq!(listed, sources, "ptx::ALL lists what is in cuda/");
    }

    #[test]
    fn ptx_is_of_the_sources_that_are_there() {
        let prelude = fs::read(directory("cuda/prelude.cuh")).unwrap();
        for source in ALL {
            let text = fs::read(directory("cuda").join(source.file())).unwrap();
            let digest = Sha256::new().chain_update(&prelude).chain_update([0]).chain_update(text).finalize();
            let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            let first = source.text().lines().next().unwrap();
            assert_eq!(
                first,
                format!("// source sha256 {digest}"),
                "ptx/{}.ptx is stale: {REMEDY}",
                name(source)
            );
        }
    }

    /// What follows a directive such as `.version` at the beginning of a line.
    fn directive<'a>(source: &Source, name: &str) -> &'a str
    where
        Source: 'a,
    {
        source.text().lines().find_map(|line| line.strip_prefix(name)).unwrap().trim()
    }

    #[test]
    fn ptx_is_for_the_oldest_driver_and_gpu() {
        for source in ALL {
            let (major, minor) = directive(source, ".version").split_once('.').unwrap();
            let version: (u32, u32) = (major.parse().unwrap(), minor.parse().unwrap());
            assert!(
                version <= (8, 2),
                "{}: PTX ISA {version:?} needs a driver newer than R535",
                name(source)
            );
            assert_eq!(directive(source, ".target"), "sm_80", "{}", name(source));
        }
    }

    #[test]
    fn kernels_have_names_of_their_own() {
        let names: Vec<&str> = ALL.iter().flat_map(Source::kernels).collect();
        assert!(names.contains(&"advance"), "{names:?}");
        let distinct: BTreeSet<&str> = names.iter().copied().collect();
        assert_eq!(distinct.len(), names.len(), "two files have a kernel of one name: {names:?}");
        let plain = |name: &&str| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        assert!(names.iter().all(plain), "{names:?}");
    }

    /// String literals that follow `before` in the sources of the launchers.
    fn literals(directory: &Path, before: &str, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                literals(&path, before, found);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            let code = text
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
                .collect::<Vec<_>>()
                .join("\n");
            found.extend(
                code.split(before).skip(1).filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())),
            );
        }
    }

    #[test]
    fn kernels_that_are_launched_exist() {
        let names: BTreeSet<&str> = ALL.iter().flat_map(Source::kernels).collect();
        let (mut plain, mut typed) = (BTreeSet::new(), BTreeSet::new());
        literals(&directory("src/cuda"), concat!(".kernel", "(\""), &mut plain);
        literals(&directory("src/cuda"), concat!("names!", "(\""), &mut typed);
        let typed =
            typed.iter().flat_map(|name| ["f32", "f16", "bf16"].map(|dtype| format!("{name}_{dtype}")));
        for name in plain.into_iter().chain(typed) {
            assert!(names.contains(name.as_str()), "no .cu has kernel {name}");
        }
    }
}
