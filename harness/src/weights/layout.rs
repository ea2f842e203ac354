//! Where every tensor lies on the device: segments that map a range of a file to a range of device memory.

use std::collections::BTreeMap;

use coldstart_kernels::Dtype as KernelDtype;
use safetensors::Dtype;

use super::error::WeightsError;
use super::files::ModelFiles;

/// Every tensor begins at a multiple of this many bytes on the device: what CUDA's own allocations guarantee, and
/// enough for every vector load.
pub const DEVICE_ALIGN: u64 = 256;

/// A range of a file that becomes a range of device memory in one piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Which of the model's files.
    pub file: usize,
    /// The first byte, counted from the start of the file.
    pub begin: u64,
    /// How many bytes.
    pub bytes: u64,
    /// Where the first byte lies on the device.
    pub offset: u64,
}

/// Where one tensor lies on the device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// The type of its elements, as in the file: a load converts nothing.
    pub dtype: Dtype,
    /// Its shape, row-major.
    pub shape: Vec<usize>,
    /// Its first byte in the buffer, a multiple of [`DEVICE_ALIGN`].
    pub offset: usize,
    /// Its length in bytes.
    pub bytes: usize,
}

impl Placed {
    /// The format as the kernels know it; `None` for formats that they do not compute in.
    pub fn kernel_dtype(&self) -> Option<KernelDtype> {
        KernelDtype::from_name(&self.dtype.to_string())
    }
}

/// The tensors of a model on the device, by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TensorTable(BTreeMap<String, Placed>);

impl TensorTable {
    /// Where the tensor of that name lies.
    pub fn get(&self, name: &str) -> Option<&Placed> {
        self.0.get(name)
    }

    /// Where the tensor of that name lies, or an error that says that the model lacks it.
    pub fn require(&self, name: &str) -> Result<&Placed, WeightsError> {
        self.get(name).ok_or_else(|| WeightsError::NoTensor { tensor: name.to_owned(), count: self.len() })
    }

    /// Names and places, ordered by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Placed)> {
        self.0.iter().map(|(name, placed)| (name.as_str(), placed))
    }

    /// How many tensors.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The plan of a model's place on the device: one buffer that holds all of it.
///
/// Copying a file as it is, so that every tensor lies on the device as it does in the file, would save nothing and cost the
/// alignment: safetensors aligns its data to 8 bytes only, and kernels read 16 bytes at once from addresses that allow it.
/// Instead neighbours that stay neighbours are one segment, which for language models is almost always the whole file, because
/// their tensors are multiples of 256 bytes. What breaks a file up, such as biases of odd length and scales of quantised
/// weights, is put together again by the load where it stages, so that no tensor is a copy of its own.
#[derive(Debug, Clone)]
pub struct DeviceLayout {
    segments: Vec<Segment>,
    table: TensorTable,
    buffer_bytes: u64,
}

impl DeviceLayout {
    /// Lay the tensors out in the order of the files. Neighbours share a segment as long as that keeps the alignment;
    /// a tensor whose length is no multiple of [`DEVICE_ALIGN`] is followed by a gap.
    pub fn of(model: &ModelFiles) -> DeviceLayout {
        let mut segments: Vec<Segment> = Vec::new();
        let mut table = BTreeMap::new();
        let mut end = 0u64;
        for tensor in model.tensors() {
            let offset = end.next_multiple_of(DEVICE_ALIGN);
            end = offset + tensor.bytes;
            let placed = Placed {
                dtype: tensor.dtype,
                shape: tensor.shape.clone(),
                offset: offset as usize,
                bytes: tensor.bytes as usize,
            };
            table.insert(tensor.name.clone(), placed);
            match segments.last_mut() {
                _ if tensor.bytes == 0 => {}
                Some(last)
                    if last.file == tensor.file
                        && last.begin + last.bytes == tensor.begin
                        && last.offset + last.bytes == offset =>
                {
                    last.bytes += tensor.bytes;
                }
                _ => segments.push(Segment {
                    file: tensor.file,
                    begin: tensor.begin,
                    bytes: tensor.bytes,
                    offset,
                }),
            }
        }
        DeviceLayout { segments, table: TensorTable(table), buffer_bytes: end }
    }

    /// The segments, ordered by file and by their first byte; they do not overlap on either side.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Where every tensor lies.
    pub fn table(&self) -> &TensorTable {
        &self.table
    }

    /// The size of the buffer that holds the model, gaps included.
    pub fn buffer_bytes(&self) -> u64 {
        self.buffer_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::super::files::testing::{index, vectors};
    use super::super::files::{ModelFiles, OpenOptions};
    use super::*;
    use crate::weights::synthetic::SyntheticSize;

    #[test]
    fn a_language_model_is_one_segment_a_file() {
        let cache = tempfile::tempdir().unwrap();
        let made = crate::weights::synthetic::ensure(SyntheticSize::Tiny, cache.path(), &|_| {}).unwrap();
        let model = ModelFiles::open(&made.dir, OpenOptions::default()).unwrap();
        assert!(model.tensors().len() > 10);
        assert_eq!(DeviceLayout::of(&model).segments().len(), model.files().len());
    }

    #[test]
    fn neighbours_share_a_segment_while_the_alignment_allows() {
        let dir = tempfile::tempdir().unwrap();
        vectors(&dir.path().join("1.safetensors"), &[("a", 64), ("b", 128), ("c", 3), ("d", 64), ("e", 0)]);
        vectors(&dir.path().join("2.safetensors"), &[("f", 1)]);
        index(dir.path(), &[("a", "1.safetensors"), ("f", "2.safetensors")]);
        let model = ModelFiles::open(dir.path(), OpenOptions::default()).unwrap();
        let layout = DeviceLayout::of(&model);
        let (first, second) = (model.files()[0].data_begin, model.files()[1].data_begin);
        // a, b and c are one piece: c begins aligned, only what follows it does not.
        let expected = [
            Segment { file: 0, begin: first, bytes: 780, offset: 0 },
            Segment { file: 0, begin: first + 780, bytes: 256, offset: 1024 },
            Segment { file: 1, begin: second, bytes: 4, offset: 1280 },
        ];
        assert_eq!(layout.segments(), expected);
        assert_eq!(layout.buffer_bytes(), 1284);
        assert!(layout.table().iter().all(|(_, placed)| (placed.offset as u64).is_multiple_of(DEVICE_ALIGN)));
        let f = layout.table().require("f").unwrap();
        assert_eq!((f.offset, f.bytes, f.kernel_dtype()), (1280, 4, Some(KernelDtype::F32)));
        assert!(layout.table().require("g").is_err());
    }
}
