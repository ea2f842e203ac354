//! The directory that is put on the library path.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::thread;

use crate::Error;
use crate::compile::{Compiler, files, hash};

/// The driver as cargo builds it.
const DRIVER: Library =
    Library { built: "libcoldstart_stand_in_cuda.so", names: &["libcuda.so.1", "libcuda.so"] };
/// NVML as cargo builds it, with the same GPUs.
const NVML: Library =
    Library { built: "libcoldstart_stand_in_nvml.so", names: &["libnvidia-ml.so.1", "libnvidia-ml.so"] };
/// Blocks and threads on the host.
const RUNTIME: &str = "libcoldstart-on-host.so";
/// The kernels, where the driver looks for them.
const KERNELS: &str = "libcoldstart-kernels-on-host.so";

/// A library that cargo has built beside the test, because the test's crate depends on its crate.
#[derive(Debug, Clone, Copy)]
pub struct Library {
    /// The file that cargo makes.
    pub built: &'static str,
    /// The names under which it is to be found.
    pub names: &'static [&'static str],
}

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn context<T>(what: &Path, result: std::io::Result<T>) -> Result<T, String> {
    result.map_err(|error| format!("{}: {error}", what.display()))
}

/// The directory with the stand-in driver, NVML's stand-in and coldstart's kernels, built anew where a source has changed.
///
/// # Errors
/// [`Error::NoCompiler`], or what is wrong.
pub fn directory() -> Result<PathBuf, Error> {
    directory_with(&[])
}

/// The same with more libraries in it, such as a stand-in of cuBLASLt.
///
/// # Errors
/// As [`directory`].
pub fn directory_with(libraries: &[Library]) -> Result<PathBuf, Error> {
    build(&here("../../kernels/cuda"), libraries)
}

/// The same with the `.cu` files in `sources` instead of coldstart's kernels.
///
/// # Errors
/// As [`directory`].
pub fn directory_of_kernels(sources: &Path) -> Result<PathBuf, Error> {
    build(sources, &[])
}

fn build(sources: &Path, libraries: &[Library]) -> Result<PathBuf, Error> {
    let on_host = here("../stand-in-cuda/on_host");
    let prelude = here("../../kernels/cuda");
    let compiler = Compiler::find(&on_host, &prelude)?;
    let headers: Vec<PathBuf> =
        [files(&on_host, &["h"])?, files(&prelude, &["cuh"])?, files(sources, &["cuh"])?].concat();
    let mut common = vec![compiler.identity().to_vec()];
    for header in &headers {
        common.push(context(header, fs::read(header))?);
    }

    let output = target_directory()?.join("stand-in");
    let objects = output.join("objects");
    context(&objects, fs::create_dir_all(&objects))?;
    // Tests run side by side, in several processes.
    let lock_path = output.join("lock");
    let lock = context(&lock_path, File::create(&lock_path))?;
    context(&lock_path, lock.lock())?;

    let runtime = Unit::all(&files(&on_host, &["cpp"])?, &common, &objects)?;
    let kernels = Unit::all(&files(sources, &["cu"])?, &common, &objects)?;
    let built: Vec<(PathBuf, Library)> = [DRIVER, NVML]
        .iter()
        .chain(libraries)
        .map(|library| Ok((beside_the_test(library.built)?, *library)))
        .collect::<Result<_, String>>()?;

    let mut parts: Vec<Vec<u8>> =
        runtime.iter().chain(&kernels).map(|unit| unit.hash.to_le_bytes().to_vec()).collect();
    for (path, library) in &built {
        parts.push(library.names.join(" ").into_bytes());
        parts.push(context(path, fs::read(path))?);
    }
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    let directory = output.join(format!("{:016x}", hash(&parts)));
    if directory.exists() {
        return Ok(directory);
    }

    let partial = output.join("partial");
    let _ = fs::remove_dir_all(&partial);
    context(&partial, fs::create_dir_all(&partial))?;
    compile_all(&compiler, &runtime, &kernels)?;
    let objects = |units: &[Unit]| units.iter().map(|unit| unit.object.clone()).collect::<Vec<_>>();
    compiler.link(&objects(&runtime), &partial.join(RUNTIME), None)?;
    compiler.link(&objects(&kernels), &partial.join(KERNELS), Some(RUNTIME))?;
    for (path, library) in &built {
        for name in library.names {
            context(path, fs::copy(path, partial.join(name)))?;
        }
    }
    context(&directory, fs::rename(&partial, &directory))?;
    Ok(directory)
}

/// A source to be compiled.
struct Unit {
    source: PathBuf,
    object: PathBuf,
    hash: u64,
}

impl Unit {
    fn all(sources: &[PathBuf], common: &[Vec<u8>], objects: &Path) -> Result<Vec<Unit>, String> {
        sources
            .iter()
            .map(|source| {
                let text = context(source, fs::read(source))?;
                let mut parts: Vec<&[u8]> = common.iter().map(Vec::as_slice).collect();
                let name = source.display().to_string();
                parts.extend([name.as_bytes(), &text]);
                let hash = hash(&parts);
                let stem = source.file_stem().unwrap_or_default().display();
                let object = objects.join(format!("{stem}-{hash:016x}.o"));
                Ok(Unit { source: source.clone(), object, hash })
            })
            .collect()
    }

    fn compile(&self, compiler: &Compiler) -> Result<(), String> {
        if self.object.exists() {
            return Ok(());
        }
        if self.source.extension().is_none_or(|extension| extension != "cu") {
            return compiler.object(&self.source, &self.object);
        }
        // A kernel file with a table of its kernels behind it.
        let mut text = format!("#include \"{}\"\n", self.source.display());
        for kernel in compiler.kernels(&self.source)? {
            text.push_str(&format!("ON_HOST_KERNEL({kernel})\n"));
        }
        let generated = self.object.with_extension("cpp");
        context(&generated, fs::write(&generated, text))?;
        compiler.object(&generated, &self.object)
    }
}

fn compile_all(compiler: &Compiler, runtime: &[Unit], kernels: &[Unit]) -> Result<(), String> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let units: Vec<&Unit> = runtime.iter().chain(kernels).collect();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..cores)
            .map(|first| {
                let mine: Vec<&Unit> = units.iter().skip(first).step_by(cores).copied().collect();
                scope.spawn(move || mine.into_iter().try_for_each(|unit| unit.compile(compiler)))
            })
            .collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().unwrap_or_else(|_| Err("the build has panicked".to_owned())))
    })
}

/// `target/debug` or its like: where this program lies, or the directory above `deps`.
fn target_directory() -> Result<PathBuf, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let directory = program.parent().ok_or("this program is nowhere")?;
    let is_inner = ["deps", "examples"].iter().any(|name| directory.ends_with(name));
    Ok(if is_inner { directory.parent().unwrap_or(directory) } else { directory }.to_owned())
}

/// A library of a crate that this one, or the test's, depends on.
fn beside_the_test(file: &str) -> Result<PathBuf, String> {
    let path = target_directory()?.join("deps").join(file);
    if path.is_file() { Ok(path) } else { Err(format!("{} is not there: cargo builds it", path.display())) }
}

/// A copy of such a directory whose driver lacks one entry point, as an older driver does. The entry point's name in the
/// library's table of names is spoiled.
///
/// # Errors
/// The entry point is not there, or the copy can't be written.
pub fn without_symbol(directory: &Path, symbol: &str) -> Result<PathBuf, Error> {
    let name = directory.file_name().unwrap_or_default().display();
    let copy = directory.with_file_name(format!("{name}-without-{symbol}"));
    if copy.exists() {
        return Ok(copy);
    }
    let partial = directory.with_file_name(format!("partial-{}-{symbol}", std::process::id()));
    context(&partial, fs::create_dir_all(&partial))?;
    for entry in context(directory, fs::read_dir(directory))? {
        let path = context(directory, entry)?.path();
        let mut bytes = context(&path, fs::read(&path))?;
        let target = partial.join(path.file_name().unwrap_or_default());
        if DRIVER.names.iter().any(|name| path.ends_with(name)) {
            let wanted = [b"\0", symbol.as_bytes(), b"\0"].concat();
            let places: Vec<usize> = bytes
                .windows(wanted.len())
                .enumerate()
                .filter(|(_, window)| *window == wanted)
                .map(|(place, _)| place)
                .collect();
            if places.is_empty() {
                return Err(Error::Broken(format!("{symbol} is not in {}", path.display())));
            }
            for place in places {
                bytes[place + 1] = b'_';
            }
        }
        context(&target, fs::write(&target, bytes))?;
    }
    // Another process may have been faster.
    match fs::rename(&partial, &copy) {
        Err(_) if copy.exists() => {
            let _ = fs::remove_dir_all(&partial);
            Ok(copy)
        }
        result => Ok(context(&copy, result).map(|()| copy)?),
    }
}
