//! What can be wrong with a model's files, and with loading them.

use std::io;
use std::path::{Path, PathBuf};

use coldstart_kernels::Error as DeviceError;
use coldstart_profiles::Bytes;

/// Why weights could not be opened, loaded, checked or made. Messages complete "failed to …".
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The system refused an operation on a file.
    #[error("{action} {}: {source}{}", path.display(), coldstart_profiles::remedy_of_links(source))]
    Io {
        /// What was tried, such as `read`.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The model directory holds nothing that can be loaded, or does not exist.
    #[error("open the model {}: {why}: pass a directory with model.safetensors, or with shards and model.safetensors.index.json", path.display())]
    NoModel {
        /// What the user named.
        path: PathBuf,
        /// What was found there instead.
        why: String,
    },
    /// The file is not what the safetensors format allows.
    #[error("read the tensors of {}: {fault}", path.display())]
    BadFile {
        /// The file.
        path: PathBuf,
        /// What is wrong in it.
        fault: FileFault,
    },
    /// A name leads out of the model's directory.
    #[error("open {name} of the model {}: {why}: a model's files must lie inside of its directory; pass --follow-symlinks if you trust where its links lead", dir.display())]
    Outside {
        /// The model's directory.
        dir: PathBuf,
        /// The file as the index or the directory names it.
        name: String,
        /// Where it would lead.
        why: String,
    },
    /// The index is damaged, or does not agree with the files.
    #[error("read the index {}: {why}", path.display())]
    BadIndex {
        /// The index file.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        why: String,
    },
    /// Two shards hold a tensor of the same name.
    #[error("accept the tensor `{tensor}` twice, from {} and from {}: remove the stale shard, or load the intended file alone", first.display(), second.display())]
    DuplicateTensor {
        /// The tensor.
        tensor: String,
        /// The shard that came first.
        first: PathBuf,
        /// The other shard.
        second: PathBuf,
    },
    /// A tensor that the model needs is not there.
    #[error(
        "find the tensor `{tensor}` among the model's {count} tensors: the files do not fit config.json, download the model again"
    )]
    NoTensor {
        /// The tensor.
        tensor: String,
        /// How many tensors there are.
        count: usize,
    },
    /// More memory is needed than there is.
    #[error(
        "fit {needed} of {what} into {available} of available memory ({bound_by}): choose a smaller model, or free memory"
    )]
    TooLarge {
        /// What needs the memory.
        what: &'static str,
        /// How much it needs.
        needed: Bytes,
        /// How much there is.
        available: Bytes,
        /// What sets the bound, such as `the cgroup's memory.max`.
        bound_by: &'static str,
    },
    /// The file changed between its checking and its loading.
    #[error("load {}: it is {found} long now and was {expected} when it was checked: do not write to a model while it is loaded", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// Its length when it was opened first.
        expected: Bytes,
        /// Its length now.
        found: Bytes,
    },
    /// The file system cannot read around the page cache.
    #[error("read {} around the page cache: its file system does not take O_DIRECT: use the strategy `buffered`", path.display())]
    NoDirect {
        /// The file.
        path: PathBuf,
    },
    /// The kernel cannot fault a mapping in on request.
    #[error("fault in {}: this kernel has no MADV_POPULATE_READ (Linux 5.14): use the strategy `mmap`", path.display())]
    NoPopulate {
        /// The file.
        path: PathBuf,
    },
    /// The CPU cannot address this device's memory.
    #[error("load by `{strategy}` to this device: the CPU cannot address its memory: use a staged strategy")]
    NotHostMemory {
        /// The strategy.
        strategy: &'static str,
    },
    /// The driver does not page-lock what is mapped for reading only.
    #[error("page-lock the mapping of {} where it lies: {source}: use the strategy `buffered` or `direct`", path.display())]
    NotRegistered {
        /// The file.
        path: PathBuf,
        /// What the driver said.
        source: Box<DeviceError>,
    },
    /// One of several devices that are loaded at once.
    #[error("load device {device} of those that load together: {source}")]
    Together {
        /// Which, counted from 0 in the order given.
        device: usize,
        /// Why.
        source: Box<WeightsError>,
    },
    /// A strategy that does not exist.
    #[error("know the loading strategy `{name}`: the strategies are {known}")]
    UnknownStrategy {
        /// What was asked for.
        name: String,
        /// All names.
        known: String,
    },
    /// A size of synthetic model that does not exist.
    #[error("know the synthetic model `{name}`: the sizes are tiny, small, 1b, 8b")]
    UnknownSize {
        /// What was asked for.
        name: String,
    },
    /// The buffer given does not suit the model.
    #[error("load {needed} of weights into a buffer of {given}: allocate it with `alloc_weights`")]
    WrongBuffer {
        /// What the layout needs.
        needed: Bytes,
        /// What was given.
        given: Bytes,
    },
    /// The device refused.
    #[error("{action}: {source}")]
    Device {
        /// What was tried.
        action: &'static str,
        /// What the device said.
        source: Box<DeviceError>,
    },
    /// The bytes on the device are not those of the file.
    #[error("find the same bytes on the device and in {} for `{tensor}`: checksum {device:016x} instead of {file:016x}: the load is broken, do not use its timings", path.display())]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// The tensor, or the first one of the segment.
        tensor: String,
        /// The checksum of the bytes in the file.
        file: u64,
        /// The checksum of the bytes on the device.
        device: u64,
    },
    /// The disk has too little room for the synthetic model.
    #[error("write {needed} of synthetic weights to {}: {free} are free there: free space, or point COLDSTART_CACHE at another disk", dir.display())]
    NoSpace {
        /// The cache directory.
        dir: PathBuf,
        /// What the model still needs.
        needed: Bytes,
        /// What the file system has.
        free: Bytes,
    },
    /// The cache directory cannot be used.
    #[error("use the cache directory {}: {why}: point COLDSTART_CACHE at a directory that can be written", dir.display())]
    NoCache {
        /// The directory, or where it was looked for.
        dir: PathBuf,
        /// Why it cannot be used.
        why: String,
    },
    /// A thread of the loader ended without a result.
    #[error("finish the load: a {0} thread ended early, which is a defect of coldstart: please report it")]
    Thread(&'static str),
}

impl WeightsError {
    /// Whether the machine cannot do at all what the strategy asks for, whatever the model: such a strategy is skipped with
    /// this as its reason, it has not failed.
    pub fn is_refusal(&self) -> bool {
        match self {
            WeightsError::NoDirect { .. }
            | WeightsError::NoPopulate { .. }
            | WeightsError::NotHostMemory { .. }
            | WeightsError::NotRegistered { .. } => true,
            WeightsError::Together { source, .. } => source.is_refusal(),
            _ => false,
        }
    }

    /// An I/O error with what was tried and where.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> WeightsError {
        let path = path.to_owned();
        move |source| WeightsError::Io { action, path, source }
    }

    /// A device's error with what was tried.
    pub(crate) fn device(action: &'static str) -> impl FnOnce(DeviceError) -> WeightsError {
        move |source| WeightsError::Device { action, source: Box::new(source) }
    }

    /// A fault of the safetensors file at `path`.
    pub(crate) fn file(path: &Path, fault: FileFault) -> WeightsError {
        WeightsError::BadFile { path: path.to_owned(), fault }
    }
}

/// What is wrong inside of a safetensors file. Every message ends in what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileFault {
    /// Shorter than the eight bytes of the header's length.
    #[error("it has {size} bytes, too few for the 8 of the header's length: download it again")]
    TooShort {
        /// The file's size.
        size: u64,
    },
    /// The header would end behind the file.
    #[error(
        "its header claims {header} bytes but only {left} follow: the file is truncated or no safetensors file, download it again"
    )]
    HeaderBeyondFile {
        /// The length that the first eight bytes claim.
        header: u64,
        /// The bytes after them.
        left: u64,
    },
    /// The header is longer than is sane.
    #[error(
        "its header claims {header} bytes, more than the {cap} allowed: this is no sane safetensors file"
    )]
    HeaderTooLarge {
        /// The length that the first eight bytes claim.
        header: u64,
        /// The most that is read.
        cap: u64,
    },
    /// The header is no JSON object of tensors.
    #[error("its header is not valid: {why}: download it again")]
    HeaderJson {
        /// What the parser said, with line and column.
        why: String,
    },
    /// A name appears twice in the header.
    #[error("its header names the tensor `{tensor}` twice: write the file again with a correct tool")]
    Duplicate {
        /// The tensor.
        tensor: String,
    },
    /// dtype × shape is no number of whole bytes below 2^64.
    #[error(
        "`{tensor}` with dtype {dtype} and shape {shape:?} has no sane size: write the file again with a correct tool"
    )]
    Size {
        /// The tensor.
        tensor: String,
        /// Its dtype.
        dtype: String,
        /// Its shape.
        shape: Vec<usize>,
    },
    /// The span of bytes is not what dtype and shape need.
    #[error(
        "`{tensor}` spans the bytes {begin}..{end} but dtype {dtype} and shape {shape:?} need {needed} bytes: write the file again with a correct tool"
    )]
    SpanMismatch {
        /// The tensor.
        tensor: String,
        /// The first byte after the header.
        begin: u64,
        /// One past the last.
        end: u64,
        /// Its dtype.
        dtype: String,
        /// Its shape.
        shape: Vec<usize>,
        /// dtype × shape.
        needed: u64,
    },
    /// A tensor begins inside of the one before it.
    #[error(
        "`{tensor}` begins at byte {begin}, inside of `{before}` which ends at {end}: write the file again with a correct tool"
    )]
    Overlap {
        /// The tensor.
        tensor: String,
        /// Where it begins.
        begin: u64,
        /// The tensor before.
        before: String,
        /// Where that one ends.
        end: u64,
    },
    /// Bytes before a tensor belong to none.
    #[error(
        "the bytes {end}..{begin} before `{tensor}` belong to no tensor: write the file again with a correct tool"
    )]
    Hole {
        /// The tensor behind the hole.
        tensor: String,
        /// The hole's first byte.
        end: u64,
        /// Where the tensor begins.
        begin: u64,
    },
    /// A tensor ends behind the file.
    #[error(
        "`{tensor}` ends at byte {end} of the data but the file holds only {data}: it is truncated, download it again"
    )]
    Truncated {
        /// The tensor.
        tensor: String,
        /// Where it ends, counted from the end of the header.
        end: u64,
        /// The bytes after the header.
        data: u64,
    },
    /// Bytes behind the last tensor.
    #[error(
        "{extra} bytes follow its last tensor: the download was damaged or the file was written wrongly, get it again"
    )]
    Trailing {
        /// How many.
        extra: u64,
    },
    /// Neither a regular file nor a link to one.
    #[error("it is not a regular file: pass a safetensors file")]
    NotRegular,
}
