//! The program that an image carries: this executable, its dynamic loader and its libraries.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::compression::Compression;
use super::elf;
use super::error::RegistryError;
use super::layer::{LayerTemplate, LayerWriter};

/// Where the program lies in the image.
const PROGRAM: &str = "usr/bin/coldstart";
/// Where its libraries lie, whatever the distribution calls the place.
const LIBRARIES: &str = "usr/lib/coldstart";

/// An executable and all that it needs to run in an image with nothing else in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    executable: PathBuf,
    /// The dynamic loader, at the absolute path that the executable names; none for a static program.
    loader: Option<PathBuf>,
    /// The libraries' names and files.
    libraries: Vec<(String, PathBuf)>,
}

impl Program {
    /// The program of this process, even where its file has been replaced since.
    pub fn of_this_process() -> Result<Self, RegistryError> {
        Program::new(Path::new("/proc/self/exe"))
    }

    /// An executable on this machine. Its loader is asked for its libraries, with the option that ldd(1) stands for: the
    /// program itself does not run.
    pub fn new(executable: &Path) -> Result<Self, RegistryError> {
        let failed = |why: String| RegistryError::Libraries { program: executable.to_owned(), why };
        // The loader runs as another process, where /proc/self is another program.
        let executable = fs::canonicalize(executable).unwrap_or_else(|_| executable.to_owned());
        let loader = elf::interpreter(&read(&executable)?).map_err(|why| failed(why.to_owned()))?;
        let Some(loader) = loader else {
            return Ok(Program { executable, loader: None, libraries: Vec::new() });
        };
        if !loader.starts_with('/') {
            return Err(failed(format!("its loader is `{loader}`, which is no absolute path")));
        }
        let listed = Command::new(&loader).arg("--list").arg(&executable).output();
        let listed = listed.map_err(|error| failed(format!("{loader}: {error}")))?;
        if !listed.status.success() {
            return Err(failed(format!(
                "{loader} --list: {}",
                String::from_utf8_lossy(&listed.stderr).trim()
            )));
        }
        let libraries = libraries(&String::from_utf8_lossy(&listed.stdout)).map_err(failed)?;
        Ok(Program { executable, loader: Some(PathBuf::from(loader)), libraries })
    }

    /// The path inside, as the first word of a container's command.
    pub fn command(&self) -> Vec<String> {
        vec![format!("/{PROGRAM}")]
    }

    /// What the image sets in the environment.
    pub(super) fn env(&self) -> Vec<String> {
        vec!["PATH=/usr/bin".to_owned(), format!("LD_LIBRARY_PATH=/{LIBRARIES}")]
    }

    /// The layer with all files.
    pub(super) fn layer(&self, compression: Compression) -> Result<LayerTemplate, RegistryError> {
        let encode = |source| RegistryError::Encode { source };
        let mut writer = LayerWriter::new(compression).map_err(encode)?;
        for directory in ["usr", "usr/bin", "usr/lib", LIBRARIES] {
            writer.directory(directory).map_err(encode)?;
        }
        writer.file(PROGRAM, 0o755, &read(&self.executable)?).map_err(encode)?;
        if let Some(loader) = &self.loader {
            let inside = loader.to_string_lossy().trim_start_matches('/').to_owned();
            for (end, _) in inside.match_indices('/') {
                writer.directory(&inside[..end]).map_err(encode)?;
            }
            writer.file(&inside, 0o755, &read(loader)?).map_err(encode)?;
        }
        for (name, file) in &self.libraries {
            writer.file(&format!("{LIBRARIES}/{name}"), 0o755, &read(file)?).map_err(encode)?;
        }
        writer.finish().map_err(encode)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, RegistryError> {
    fs::read(path).map_err(|source| RegistryError::Read { path: path.to_owned(), source })
}

/// Names and files from what a loader lists: `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x7f…)`. The loader itself and
/// the kernel's page (`linux-vdso.so.1 (0x…)`) stand without an arrow.
fn libraries(listed: &str) -> Result<Vec<(String, PathBuf)>, String> {
    let mut found = Vec::new();
    for line in listed.lines() {
        let Some((name, rest)) = line.trim().split_once(" => ") else { continue };
        let path = rest.rsplit_once(" (").map_or(rest, |(path, _)| path).trim();
        if !path.starts_with('/') {
            return Err(format!("{name} is {path}"));
        }
        // A needed name with a directory in it is opened by that path, not looked for.
        if !name.contains('/') {
            found.push((name.to_owned(), PathBuf::from(path)));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_loaders_list() {
        let glibc = "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibgcc_s.so.1 => /lib/x86_64-linux-gnu/libgcc_s.so.1 (0x00007f)\n\
                     \tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)\n\t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        let names: Vec<String> = libraries(glibc).unwrap().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["libgcc_s.so.1", "libc.so.6"]);
        assert_eq!(libraries("\tlibx.so.1 => not found\n").unwrap_err(), "libx.so.1 is not found");
        assert_eq!(libraries("\tstatically linked\n").unwrap(), []);
    }

    #[test]
    fn this_program_is_found_whole() {
        let program = Program::of_this_process().unwrap();
        if program.loader.is_some() {
            assert!(program.libraries.iter().any(|(name, file)| name.starts_with("libc") && file.exists()));
        }
        let error = Program::new(Path::new("/etc/passwd")).unwrap_err().to_string();
        assert!(error.contains("ELF"), "{error}");
    }
}
