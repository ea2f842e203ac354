//! Compiling kernels for the host.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Error;

/// A C++ compiler and how it is called.
#[derive(Debug)]
pub(crate) struct Compiler {
    program: String,
    flags: Vec<String>,
    /// What else decides about its output.
    identity: String,
}

/// Marks a kernel in preprocessed source: what `on_host/builtins.h` makes of `__global__`.
const MARK: &str = "__attribute__((used, noinline))";

/// FNV-1a.
pub(crate) fn hash(parts: &[&[u8]]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for part in parts {
        for byte in part.iter().chain(&(part.len() as u64).to_le_bytes()) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        }
    }
    hash
}

fn run(command: &mut Command) -> Result<Vec<u8>, String> {
    let output = command.output().map_err(|error| format!("{}: {error}", command.get_program().display()))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(format!("{command:?} failed:\n{}", String::from_utf8_lossy(&output.stderr)))
}

/// The files of a directory with one of the extensions, in order.
pub(crate) fn files(directory: &Path, extensions: &[&str]) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| extensions.iter().any(|wanted| e == *wanted)))
        .collect();
    found.sort();
    Ok(found)
}

impl Compiler {
    /// `$CXX`, g++ or clang++, whichever is there. `on_host` and `kernels` hold the headers.
    pub(crate) fn find(on_host: &Path, kernels: &Path) -> Result<Compiler, Error> {
        let wanted = std::env::var("CXX").ok().filter(|name| !name.is_empty());
        let candidates = wanted.into_iter().chain(["g++".to_owned(), "clang++".to_owned()]);
        let found = candidates
            .filter_map(|program| {
                let version = run(Command::new(&program).arg("--version")).ok()?;
                Some((program, String::from_utf8_lossy(&version).into_owned()))
            })
            .next();
        let (program, version) = found.ok_or(Error::NoCompiler)?;
        let mut flags: Vec<String> = [
            "-std=c++17",
            "-O2",
            "-g1",
            "-fPIC",
            "-DCOLDSTART_ON_HOST",
            "-Wall",
            "-Wextra",
            "-Wno-unknown-pragmas",
            "-Wno-attributes",
            "-Wno-unused-function",
            "-fno-strict-aliasing",
            "-ffp-contract=fast",
            "-fno-exceptions",
            "-fvisibility=hidden",
        ]
        .map(str::to_owned)
        .into();
        if cfg!(target_arch = "x86_64") {
            flags.push("-march=native".to_owned());
        }
        let sanitizers = std::env::var("COLDSTART_STAND_IN_SANITIZE").unwrap_or_default();
        if !sanitizers.is_empty() {
            flags.push(format!("-fsanitize={sanitizers}"));
            flags.push("-fno-sanitize-recover=all".to_owned());
            // Fibers and thread-local arrays need frames that are found.
            flags.push("-fno-omit-frame-pointer".to_owned());
        }
        for directory in [on_host, kernels] {
            flags.push(format!("-I{}", directory.display()));
        }
        // -march=native means another thing on another machine.
        let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let cpu = cpu.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
        let identity = format!("{program}\n{version}\n{flags:?}\n{cpu}");
        Ok(Compiler { program, flags, identity })
    }

    /// A number for all that decides about the output, apart from the sources.
    pub(crate) fn identity(&self) -> &[u8] {
        self.identity.as_bytes()
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.flags);
        command
    }

    /// Compiles one source to an object, unless that is there.
    pub(crate) fn object(&self, source: &Path, object: &Path) -> Result<(), String> {
        if object.exists() {
            return Ok(());
        }
        let partial = object.with_extension("partial");
        run(self.command().arg("-c").arg(source).arg("-o").arg(&partial))?;
        fs::rename(&partial, object).map_err(|error| format!("{}: {error}", object.display()))
    }

    /// The kernels of a `.cu` file.
    pub(crate) fn kernels(&self, source: &Path) -> Result<BTreeSet<String>, String> {
        let text = run(self.command().args(["-E", "-P", "-x", "c++"]).arg(source))?;
        let found = kernels_in(&String::from_utf8_lossy(&text));
        if found.is_empty() { Err(format!("{} has no kernels", source.display())) } else { Ok(found) }
    }

    /// Links objects to a library that finds what it needs beside itself.
    pub(crate) fn link(
        &self,
        objects: &[PathBuf],
        library: &Path,
        needs: Option<&str>,
    ) -> Result<(), String> {
        let mut command = self.command();
        command.args(["-shared", "-pthread"]).args(objects).arg("-o").arg(library);
        if let Some(name) = library.file_name() {
            command.arg(format!("-Wl,-soname,{}", name.display()));
        }
        if let (Some(needs), Some(directory)) = (needs, library.parent()) {
            command.arg("-Wl,-rpath,$ORIGIN").arg("-L").arg(directory).arg(format!("-l:{needs}"));
        }
        run(&mut command).map(|_| ())
    }
}

/// Names of `extern "C" __global__ void name(`, after the preprocessor.
fn kernels_in(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (at, _) in text.match_indices(MARK) {
        if !text[..at].trim_end().ends_with("extern \"C\"") {
            continue;
        }
        let rest = text[at + MARK.len()..].trim_start();
        let Some((before, _)) = rest.split_once('(') else { continue };
        let mut words = before.split_whitespace();
        if let (Some("void"), Some(name), None) = (words.next(), words.next(), words.next()) {
            names.insert(name.to_owned());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_found() {
        let text = format!(
            "static inline void f(int); extern \"C\" {MARK} void first(int x) {{}}\nextern \"C\" {MARK}\n  void second (float) {{}} \
             template <class T> {MARK} void third(T) {{}}"
        );
        assert_eq!(kernels_in(&text), BTreeSet::from(["first".to_owned(), "second".to_owned()]));
    }

    #[test]
    fn hashes_tell_parts_apart() {
        assert_ne!(hash(&[b"ab", b"c"]), hash(&[b"a", b"bc"]));
    }
}
