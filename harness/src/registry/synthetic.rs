//! Synthetic images: a given size, layer count and compressibility, new layers for every trial.

use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use coldstart_profiles::{Bytes, SyntheticImage};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::carrier::Program;
use super::compression::Compression;
use super::error::RegistryError;
use super::image::{Image, Platform};
use super::layer::{LayerTemplate, LayerWriter};

/// The size of the files in a layer: between the sources and the shared libraries of a Python environment.
const FILE: usize = 256 << 10;
/// In each block of this size a part is random and the rest repeats, so compressibility is the same everywhere.
const BLOCK: usize = 4096;
/// overlay2 stacks 128; one is left for the program and some for the engine.
const MOST_LAYERS: u32 = 120;

/// The layers of a synthetic image, made and compressed, but for each trial's nonce.
#[derive(Debug, Clone)]
pub struct Template {
    compression: Compression,
    layers: Vec<LayerTemplate>,
    program: Option<(LayerTemplate, Program)>,
}

impl Template {
    /// Makes the layers on all cores; takes about a second for each 100 MB of random bytes and core, so keep it off the
    /// async threads. Equal contents and seed give equal layers. `program` comes on top, in a layer of its own.
    pub fn build(
        contents: &SyntheticImage,
        seed: u64,
        program: Option<Program>,
    ) -> Result<Self, RegistryError> {
        let compression: Compression = contents.codec.parse()?;
        check(contents)?;
        let sizes = sizes(contents.size_bytes.get(), contents.layers);
        let make = |index: usize| {
            filler(compression, index, sizes[index], contents.compressibility, seed)
                .map_err(|source| RegistryError::Encode { source })
        };
        let layers = on_all_cores(sizes.len(), make)?;
        let program = match program {
            Some(program) => Some((program.layer(compression)?, program)),
            None => None,
        };
        Ok(Template { compression, layers, program })
    }

    /// The image of one trial: no engine has seen a layer of another nonce.
    pub fn image(&self, nonce: &str, platform: &Platform) -> Result<Image, RegistryError> {
        let program = self.program.as_ref();
        let layers = self
            .layers
            .iter()
            .chain(program.map(|(layer, _)| layer))
            .enumerate()
            .map(|(index, layer)| layer.with_nonce(&format!("{nonce}/{index}")))
            .collect::<io::Result<Vec<_>>>()
            .map_err(|source| RegistryError::Encode { source })?;
        let (command, env) =
            program.map_or_else(Default::default, |(_, program)| (program.command(), program.env()));
        Ok(Image::new(platform, self.compression, layers, &command, &env))
    }

    /// How the layers are compressed.
    pub fn compression(&self) -> Compression {
        self.compression
    }

    /// The unpacked size of all layers' archives, the program's included.
    pub fn unpacked(&self) -> Bytes {
        let program = self.program.iter().map(|(layer, _)| layer);
        Bytes::new(self.layers.iter().chain(program).map(LayerTemplate::unpacked).sum())
    }
}

fn check(contents: &SyntheticImage) -> Result<(), RegistryError> {
    let out_of_range = |what: String| Err(RegistryError::Contents { what });
    if contents.layers == 0 || contents.layers > MOST_LAYERS {
        return out_of_range(format!("{} layers", contents.layers));
    }
    if contents.size_bytes.get() / u64::from(contents.layers) < BLOCK as u64 {
        return out_of_range(format!("{} in {} layers", contents.size_bytes, contents.layers));
    }
    if !(0.0..=1.0).contains(&contents.compressibility) {
        return out_of_range(format!("a compressibility of {}", contents.compressibility));
    }
    // Random bytes don't shrink, and the engine needs memory too.
    let kept = contents.size_bytes.get() as f64 * (1.0 - contents.compressibility);
    match memory_available() {
        Some(available) if kept > available as f64 / 2.0 => {
            Err(RegistryError::TooLarge { wanted: Bytes::new(kept as u64), available: Bytes::new(available) })
        }
        _ => Ok(()),
    }
}

/// What the kernel has to give (proc_meminfo(5), MemAvailable); `None` where it does not say.
fn memory_available() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// Near-equal shares of the size; the first layers take the rest.
fn sizes(total: u64, layers: u32) -> Vec<u64> {
    let layers = u64::from(layers);
    (0..layers).map(|index| total / layers + u64::from(index < total % layers)).collect()
}

/// A layer of files that compress as wanted.
fn filler(
    compression: Compression,
    index: usize,
    size: u64,
    compressibility: f64,
    seed: u64,
) -> io::Result<LayerTemplate> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(index as u64);
    let random_part = ((1.0 - compressibility) * BLOCK as f64).round() as usize;
    let mut writer = LayerWriter::new(compression)?;
    let directory = format!("data/{index:03}");
    writer.directory("data")?;
    writer.directory(&directory)?;
    let mut data = vec![b'0'; FILE];
    let mut left = size;
    let mut number = 0;
    while left > 0 {
        let length = left.min(FILE as u64) as usize;
        for block in data[..length].chunks_mut(BLOCK) {
            let random_part = random_part.min(block.len());
            random.fill_bytes(&mut block[..random_part]);
        }
        writer.file(&format!("{directory}/{number:06}"), 0o644, &data[..length])?;
        left -= length as u64;
        number += 1;
    }
    writer.finish()
}

/// `make(0..count)` in order, each on the next free core.
fn on_all_cores<T, F>(count: usize, make: F) -> Result<Vec<T>, RegistryError>
where
    T: Send,
    F: Fn(usize) -> Result<T, RegistryError> + Sync,
{
    let next = AtomicUsize::new(0);
    let made = Mutex::new(Vec::with_capacity(count));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from).min(count) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= count {
                        return;
                    }
                    let item = make(index);
                    if let Ok(mut made) = made.lock() {
                        made.push((index, item));
                    }
                }
            });
        }
    });
    let mut made = made.into_inner().map_err(|_| RegistryError::Worker)?;
    made.sort_by_key(|(index, _)| *index);
    made.into_iter().map(|(_, item)| item).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(size: u64, layers: u32, compressibility: f64, codec: &str) -> SyntheticImage {
        SyntheticImage { size_bytes: Bytes::new(size), layers, compressibility, codec: codec.to_owned() }
    }

    fn platform() -> Platform {
        Platform { os: "linux".into(), arch: "amd64".into() }
    }

    #[test]
    fn sizes_and_compressibility_are_as_asked() {
        for (codec, compressibility) in [("gzip", 0.0), ("gzip", 0.5), ("zstd", 0.75), ("zstd", 1.0)] {
            let template = Template::build(&contents(3_000_001, 3, compressibility, codec), 7, None).unwrap();
            let image = template.image("t", &platform()).unwrap();
            assert_eq!(image.layers().len(), 3);
            let packed: u64 = image.layers().iter().map(Blob::size).sum();
            let ratio = packed as f64 / 3_000_001.0;
            assert!((ratio - (1.0 - compressibility)).abs() < 0.03, "{codec} {compressibility}: {ratio}");
            let unpacked = template.unpacked().get();
            assert!((3_000_001..3_050_000).contains(&unpacked), "{unpacked}");
        }
    }

    use super::super::blob::Blob;

    #[test]
    fn equal_seeds_give_equal_images_and_nonces_new_layers() {
        let contents = contents(200_000, 2, 0.5, "gzip");
        let one = Template::build(&contents, 7, None).unwrap();
        let again = Template::build(&contents, 7, None).unwrap();
        let other = Template::build(&contents, 8, None).unwrap();
        let image = one.image("a", &platform()).unwrap();
        assert_eq!(image, again.image("a", &platform()).unwrap());
        assert_ne!(image.digest(), other.image("a", &platform()).unwrap().digest());
        let next = one.image("b", &platform()).unwrap();
        for layer in image.layers() {
            assert!(next.layers().iter().all(|new| new.digest() != layer.digest()));
        }
    }

    #[test]
    fn impossible_images_are_refused() {
        for (contents, says) in [
            (contents(1 << 20, 0, 0.5, "gzip"), "0 layers"),
            (contents(1 << 20, 121, 0.5, "gzip"), "121 layers"),
            (contents(4096, 2, 0.5, "gzip"), "2 layers"),
            (contents(1 << 20, 1, 1.5, "gzip"), "1.5"),
            (contents(1 << 20, 1, f64::NAN, "gzip"), "NaN"),
            (contents(1 << 60, 1, 0.0, "gzip"), "free"),
            (contents(1 << 20, 1, 0.5, "lz4"), "lz4"),
        ] {
            let error = Template::build(&contents, 1, None).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
