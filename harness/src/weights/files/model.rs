//! Opening a model: from a path to checked files and a table of tensors.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use coldstart_profiles::Bytes;
use safetensors::Dtype;
use sha2::{Digest, Sha256};

use super::contain::{open_regular, resolve};
use super::header::read_header;
use super::index::Index;
use crate::weights::error::WeightsError;

/// The single file of a model that has no shards.
const SINGLE: &str = "model.safetensors";

/// How an index's name ends; its usual name is `model.safetensors.index.json`.
const INDEX_SUFFIX: &str = ".safetensors.index.json";

/// How a model is opened.
#[derive(Debug, Clone, Copy, Default)]
pub struct OpenOptions {
    /// Let links lead out of the model's directory.
    pub follow_symlinks: bool,
}

/// One safetensors file of a model. Nothing is held open or mapped, so its pages can be evicted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeightFile {
    /// Where it is, links resolved.
    pub path: PathBuf,
    /// Its length in bytes.
    pub size: u64,
    /// The first byte of the data, behind the header.
    pub data_begin: u64,
}

/// One tensor of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorEntry {
    /// Its name.
    pub name: String,
    /// The type of its elements.
    pub dtype: Dtype,
    /// Its shape, row-major.
    pub shape: Vec<usize>,
    /// Which of the model's files holds it.
    pub file: usize,
    /// Its first byte, counted from the start of the file.
    pub begin: u64,
    /// Its length: dtype × shape.
    pub bytes: u64,
}

/// A model's files and tensors, checked.
#[derive(Debug, Clone)]
pub struct ModelFiles {
    dir: PathBuf,
    options: OpenOptions,
    files: Vec<WeightFile>,
    tensors: Vec<TensorEntry>,
    by_name: HashMap<String, usize>,
    header_sha256: String,
}

/// What a profile says about a model's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inventory {
    /// The bytes of all tensors, without headers.
    pub bytes: Bytes,
    /// How many files.
    pub files: usize,
    /// How many tensors.
    pub tensors: u64,
    /// Bytes by dtype (`BF16`, `F32` …).
    pub dtypes: BTreeMap<String, Bytes>,
    /// SHA-256, in hex, of all headers (length and JSON) in the order of the files' names: equal for equal layouts.
    pub header_sha256: String,
}

impl ModelFiles {
    /// Open the model at `path`: a directory with `model.safetensors`, with shards and their index, or with one
    /// `*.safetensors`; or one such file. `path` itself may be a link, since the user named it.
    pub fn open(path: &Path, options: OpenOptions) -> Result<ModelFiles, WeightsError> {
        let real = fs::canonicalize(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => no_model(path, "it does not exist"),
            _ => WeightsError::Io { action: "open the model", path: path.to_owned(), source: error },
        })?;
        if !real.is_dir() {
            // The directory of a link is where the user sees the model: config.json of a hub cache lies there.
            let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let dir = fs::canonicalize(dir).map_err(WeightsError::io("resolve", dir))?;
            return Builder::new(dir, options).add(real)?.finish();
        }
        match Layout::of(path, &real, options)? {
            Layout::Single(file) => Builder::new(real, options).add(file)?.finish(),
            Layout::Sharded(index) => open_shards(real, &index, options),
        }
    }

    /// The model's directory, where config.json lies, links resolved.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The model's safetensors files, ordered by name.
    pub fn files(&self) -> &[WeightFile] {
        &self.files
    }

    /// Every tensor, ordered by file and then by its first byte.
    pub fn tensors(&self) -> &[TensorEntry] {
        &self.tensors
    }

    /// The tensor of that name.
    pub fn tensor(&self, name: &str) -> Result<&TensorEntry, WeightsError> {
        self.by_name
            .get(name)
            .map(|index| &self.tensors[*index])
            .ok_or_else(|| WeightsError::NoTensor { tensor: name.to_owned(), count: self.tensors.len() })
    }

    /// The bytes of all tensors.
    pub fn bytes(&self) -> u64 {
        self.tensors.iter().map(|tensor| tensor.bytes).sum()
    }

    /// Read a small file of the model, such as `config.json`, by the same rules as its weights. `Ok(None)`: not there.
    pub fn read_small(&self, name: &str, cap: u64) -> Result<Option<Vec<u8>>, WeightsError> {
        let Some(path) = resolve(&self.dir, name, self.options.follow_symlinks)? else { return Ok(None) };
        let (file, size) = open_regular(&path)?;
        if size > cap {
            let why = format!("it has {size} bytes, more than the {cap} allowed");
            return Err(WeightsError::Io { action: "read", path, source: io::Error::other(why) });
        }
        let mut text = Vec::with_capacity(size as usize);
        file.take(cap).read_to_end(&mut text).map_err(WeightsError::io("read", &path))?;
        Ok(Some(text))
    }

    /// What a profile says about these files.
    pub fn inventory(&self) -> Inventory {
        let mut dtypes: BTreeMap<String, Bytes> = BTreeMap::new();
        for tensor in &self.tensors {
            let share = dtypes.entry(tensor.dtype.to_string()).or_default();
            *share = share.saturating_add(Bytes::new(tensor.bytes));
        }
        Inventory {
            bytes: Bytes::new(self.bytes()),
            files: self.files.len(),
            tensors: self.tensors.len() as u64,
            dtypes,
            header_sha256: self.header_sha256.clone(),
        }
    }
}

/// How the files of a directory belong together.
enum Layout {
    Single(PathBuf),
    Sharded(PathBuf),
}

impl Layout {
    /// The same choice that transformers makes: the single file first, then the index, then the only file there is.
    fn of(asked: &Path, dir: &Path, options: OpenOptions) -> Result<Layout, WeightsError> {
        let follow = options.follow_symlinks;
        if let Some(file) = resolve(dir, SINGLE, follow)? {
            return Ok(Layout::Single(file));
        }
        let (weights, indexes) = candidates(dir)?;
        let (names, wrap): (&[String], fn(PathBuf) -> Layout) =
            if indexes.is_empty() { (&weights, Layout::Single) } else { (&indexes, Layout::Sharded) };
        match names {
            [name] => match resolve(dir, name, follow)? {
                Some(file) => Ok(wrap(file)),
                None => Err(no_model(asked, &format!("{name} is a link that leads nowhere"))),
            },
            [] => Err(no_model(asked, "it holds no safetensors file")),
            several => Err(no_model(
                asked,
                &format!("it holds {} and nothing that says how they belong together", several.join(", ")),
            )),
        }
    }
}

/// The names of safetensors files and of indexes in `dir`, ordered.
fn candidates(dir: &Path) -> Result<(Vec<String>, Vec<String>), WeightsError> {
    let (mut weights, mut indexes) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(dir).map_err(WeightsError::io("list", dir))? {
        let entry = entry.map_err(WeightsError::io("list", dir))?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name.ends_with(INDEX_SUFFIX) {
            indexes.push(name);
        } else if name.ends_with(".safetensors") {
            weights.push(name);
        }
    }
    weights.sort();
    indexes.sort();
    Ok((weights, indexes))
}

/// Open all shards that an index names, and check that they hold what it says.
fn open_shards(dir: PathBuf, index_path: &Path, options: OpenOptions) -> Result<ModelFiles, WeightsError> {
    let bad = |why: String| WeightsError::BadIndex { path: index_path.to_owned(), why };
    let index = Index::read(index_path)?;
    let mut shards: HashMap<&str, usize> = HashMap::new();
    let mut builder = Builder::new(dir, options);
    for name in index.shards() {
        let file = resolve(&builder.model.dir, name, options.follow_symlinks)?.ok_or_else(|| {
            bad(format!("it names the file `{name}`, which does not exist: download the missing shard"))
        })?;
        shards.insert(name, builder.model.files.len());
        builder = builder.add(file)?;
    }
    let model = builder.finish()?;
    for (tensor, shard) in index.entries() {
        let found = model.by_name.get(tensor).map(|at| model.tensors[*at].file);
        if found != shards.get(shard).copied() {
            return Err(bad(format!(
                "it places the tensor `{tensor}` in `{shard}`, which does not hold it: download the model again"
            )));
        }
    }
    Ok(model)
}

fn no_model(path: &Path, why: &str) -> WeightsError {
    WeightsError::NoModel { path: path.to_owned(), why: why.to_owned() }
}

/// Collects files in order.
struct Builder {
    model: ModelFiles,
    hash: Sha256,
}

impl Builder {
    fn new(dir: PathBuf, options: OpenOptions) -> Self {
        let model = ModelFiles {
            dir,
            options,
            files: Vec::new(),
            tensors: Vec::new(),
            by_name: HashMap::new(),
            header_sha256: String::new(),
        };
        Builder { model, hash: Sha256::new() }
    }

    /// Read the header of one more file.
    fn add(mut self, path: PathBuf) -> Result<Self, WeightsError> {
        let (file, size) = open_regular(&path)?;
        let header = read_header(&path, &file, size)?;
        self.hash.update(&header.raw);
        let index = self.model.files.len();
        for tensor in header.tensors {
            let at = self.model.tensors.len();
            if let Some(first) = self.model.by_name.insert(tensor.name.clone(), at) {
                let first = self.model.files[self.model.tensors[first].file].path.clone();
                return Err(WeightsError::DuplicateTensor { tensor: tensor.name, first, second: path });
            }
            self.model.tensors.push(TensorEntry {
                name: tensor.name,
                dtype: tensor.dtype,
                shape: tensor.shape,
                file: index,
                begin: tensor.begin,
                bytes: tensor.bytes,
            });
        }
        self.model.files.push(WeightFile { path, size, data_begin: header.data_begin });
        Ok(self)
    }

    /// The model, when it holds anything.
    fn finish(mut self) -> Result<ModelFiles, WeightsError> {
        if self.model.bytes() == 0 {
            return Err(no_model(&self.model.dir, "its safetensors files hold no data"));
        }
        self.model.header_sha256 = hex(&self.hash.finalize());
        Ok(self.model)
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
