//! Loading the fixtures, and comparing with their references.

use std::fs;
use std::path::{Path, PathBuf};

use coldstart_kernels::{Device as _, HostDevice};
use safetensors::SafeTensors;

use crate::model::{Capacity, Forward, Runner, read_config};
use crate::weights::{
    DeviceLayout, LoadOptions, Loaded, ModelFiles, OpenOptions, Strategy, alloc_weights, load_weights,
};

/// A model whose weights are on the host device.
pub(super) struct Model {
    pub(super) device: HostDevice,
    pub(super) forward: Forward,
    pub(super) loaded: Loaded<HostDevice>,
}

impl Model {
    /// A fixture, by the name of its directory.
    pub(super) fn fixture(name: &str) -> Self {
        Self::load(&directory(name))
    }

    /// The model in a directory.
    pub(super) fn load(directory: &Path) -> Self {
        let device = HostDevice::open(0).unwrap();
        let files = ModelFiles::open(directory, OpenOptions::default()).unwrap();
        let forward = read_config(&files).unwrap();
        let layout = DeviceLayout::of(&files);
        let mut buffer = alloc_weights(&device, &layout).unwrap();
        load_weights(&device, &files, &layout, &mut buffer, Strategy::Buffered, LoadOptions::default())
            .unwrap();
        let table = layout.table().clone();
        Self { device, forward, loaded: Loaded { buffer, table } }
    }

    /// Ready to run.
    pub(super) fn runner(&self, capacity: Capacity) -> Runner<'_, HostDevice> {
        Runner::new(&self.device, &self.forward, &self.loaded.table, &self.loaded.buffer, capacity).unwrap()
    }
}

/// Where a fixture lies.
pub(super) fn directory(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models").join(name)
}

/// What transformers computed for a fixture.
pub(super) struct Reference {
    bytes: Vec<u8>,
}

impl Reference {
    /// Of a fixture, by the name of its directory.
    pub(super) fn of(name: &str) -> Self {
        Self { bytes: fs::read(directory(name).join("reference.safetensors")).unwrap() }
    }

    fn tensor(&self, name: &str) -> (Vec<usize>, Vec<u8>) {
        let file = SafeTensors::deserialize(&self.bytes).unwrap();
        let tensor = file.tensor(name).unwrap();
        (tensor.shape().to_vec(), tensor.data().to_vec())
    }

    fn integers(&self, name: &str) -> Vec<u32> {
        let (_, bytes) = self.tensor(name);
        bytes.chunks(8).map(|word| i64::from_le_bytes(word.try_into().unwrap()) as u32).collect()
    }

    /// The prompt and the tokens fed after it, of each sequence.
    pub(super) fn sequences(&self) -> Vec<(Vec<u32>, Vec<u32>)> {
        let split = |(index, length): (usize, u32)| {
            let mut ids = self.integers(&format!("ids.{index}"));
            let steps = ids.split_off(length as usize);
            (ids, steps)
        };
        self.integers("prompt_lens").into_iter().enumerate().map(split).collect()
    }

    /// The prompts alone.
    pub(super) fn prompts(&self) -> Vec<Vec<u32>> {
        self.sequences().into_iter().map(|(prompt, _)| prompt).collect()
    }

    /// The rows of a matrix (a vector is one row).
    pub(super) fn rows(&self, name: &str) -> Vec<Vec<f32>> {
        let (shape, bytes) = self.tensor(name);
        let numbers: Vec<f32> =
            bytes.chunks(4).map(|word| f32::from_le_bytes(word.try_into().unwrap())).collect();
        numbers.chunks(*shape.last().unwrap()).map(<[f32]>::to_vec).collect()
    }
}

/// The largest difference, relative to the largest number of what is expected.
pub(super) fn relative_error(got: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(got.len(), expected.len());
    let largest = expected.iter().fold(0.0f32, |most, x| most.max(x.abs()));
    let worst = got
        .iter()
        .zip(expected)
        .fold(0.0f32, |most, (a, b)| if a.is_finite() { most.max((a - b).abs()) } else { f32::INFINITY });
    worst / largest
}

/// Fails where two rows differ by more than `tolerance`, relative to the largest number.
#[track_caller]
pub(super) fn assert_close(got: &[f32], expected: &[f32], tolerance: f32, what: &str) {
    let error = relative_error(got, expected);
    assert!(error <= tolerance, "{what}: relative error {error:e} over {tolerance:e}");
}

/// The place of the largest number.
pub(super) fn argmax(row: &[f32]) -> u32 {
    let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    row.iter().position(|x| *x == largest).unwrap() as u32
}
