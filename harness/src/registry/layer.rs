//! A layer: a tar of real files, compressed once, that can be made new for every trial at no cost.
//!
//! The files come first; a small file with the trial's nonce and the end of the archive come last, as a gzip member or
//! zstd frame of their own. Both formats are defined as any number of these (RFC 1952 §2.2, RFC 8878 §3.1), so a trial
//! compresses and hashes some hundred bytes, and yet its layers' digests are unlike all others.

use std::io::{self, Write};

use axum::body::Bytes;
use sha2::{Digest, Sha256};
use tar::{EntryType, Header};

use super::blob::{Blob, digest};
use super::compression::{Compression, Encoder};

/// A tar archive consists of blocks of this size, and ends with two that are zero.
const BLOCK: usize = 512;

/// Collects files into a layer.
pub(super) struct LayerWriter {
    compression: Compression,
    encoder: Encoder,
    plain: Sha256,
    unpacked: u64,
}

/// A layer but for its nonce and its end.
#[derive(Debug, Clone)]
pub(super) struct LayerTemplate {
    compression: Compression,
    body: Bytes,
    /// Over the compressed body.
    packed: Sha256,
    /// Over the unpacked body.
    plain: Sha256,
    unpacked: u64,
}

/// A finished layer.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    /// The compressed archive.
    pub(super) blob: Blob,
    /// The digest of the unpacked archive, which the image's configuration lists.
    pub(super) diff_id: String,
}

impl LayerWriter {
    pub(super) fn new(compression: Compression) -> io::Result<Self> {
        Ok(LayerWriter { compression, encoder: compression.encoder()?, plain: Sha256::new(), unpacked: 0 })
    }

    /// A directory that everybody may enter. Engines make missing ones themselves, but with rights of their own choice.
    pub(super) fn directory(&mut self, path: &str) -> io::Result<()> {
        let header = header(&format!("{path}/"), 0, 0o755, EntryType::Directory)?;
        self.write(header.as_bytes())
    }

    /// A file.
    pub(super) fn file(&mut self, path: &str, mode: u32, data: &[u8]) -> io::Result<()> {
        let entry = header(path, data.len() as u64, mode, EntryType::Regular)?;
        self.write(entry.as_bytes())?;
        self.write(data)?;
        self.write(&[0; BLOCK][..padding(data.len())])
    }

    pub(super) fn finish(self) -> io::Result<LayerTemplate> {
        let body = Bytes::from(self.encoder.finish()?);
        let mut packed = Sha256::new();
        packed.update(&body);
        Ok(LayerTemplate {
            compression: self.compression,
            body,
            packed,
            plain: self.plain,
            unpacked: self.unpacked,
        })
    }

    fn write(&mut self, data: &[u8]) -> io::Result<()> {
        self.plain.update(data);
        self.unpacked += data.len() as u64;
        self.encoder.write_all(data)
    }
}

impl LayerTemplate {
    /// The size of the archive without its end.
    pub(super) fn unpacked(&self) -> u64 {
        self.unpacked
    }

    /// The layer with a nonce of its own.
    pub(super) fn with_nonce(&self, nonce: &str) -> io::Result<Layer> {
        let mut tail = LayerWriter::new(self.compression)?;
        tail.plain = self.plain.clone();
        tail.directory("coldstart-trial")?;
        tail.file("coldstart-trial/nonce", 0o644, nonce.as_bytes())?;
        tail.write(&[0; 2 * BLOCK])?;
        let diff_id = digest(tail.plain);
        let end = Bytes::from(tail.encoder.finish()?);
        let mut packed = self.packed.clone();
        packed.update(&end);
        Ok(Layer { blob: Blob::hashed(vec![self.body.clone(), end], packed), diff_id })
    }
}

fn header(path: &str, size: u64, mode: u32, kind: EntryType) -> io::Result<Header> {
    let mut header = Header::new_gnu();
    header.set_path(path)?;
    header.set_size(size);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_entry_type(kind);
    header.set_cksum();
    Ok(header)
}

/// How many zeroes follow data of this length.
const fn padding(length: usize) -> usize {
    (BLOCK - length % BLOCK) % BLOCK
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn layers_are_archives_that_differ_only_in_their_nonce() {
        for compression in [Compression::Gzip, Compression::Zstd] {
            let mut writer = LayerWriter::new(compression).unwrap();
            writer.directory("data").unwrap();
            for length in [0, 1, 511, 512, 513, 100_000] {
                writer.file(&format!("data/{length}"), 0o644, &vec![b'x'; length]).unwrap();
            }
            let template = writer.finish().unwrap();
            let (one, two) = (template.with_nonce("one").unwrap(), template.with_nonce("two").unwrap());
            assert_ne!(one.blob.digest(), two.blob.digest());
            assert_ne!(one.diff_id, two.diff_id);

            let packed = one.blob.parts().concat();
            assert_eq!(
                Blob::new(packed.clone()).digest(),
                one.blob.digest(),
                "the continued hash is the whole one"
            );
            let mut plain = Vec::new();
            compression.decoder(packed.as_slice()).unwrap().read_to_end(&mut plain).unwrap();
            assert_eq!(Blob::new(plain.clone()).digest(), one.diff_id);
            let mut archive = tar::Archive::new(plain.as_slice());
            let mut names = Vec::new();
            for entry in archive.entries().unwrap() {
                let mut entry = entry.unwrap();
                let mut data = Vec::new();
                entry.read_to_end(&mut data).unwrap();
                names.push(format!("{} {}", entry.path().unwrap().display(), data.len()));
            }
            let expected = [
                "data/ 0",
                "data/0 0",
                "data/1 1",
                "data/511 511",
                "data/512 512",
                "data/513 513",
                "data/100000 100000",
                "coldstart-trial/ 0",
                "coldstart-trial/nonce 3",
            ];
            assert_eq!(names, expected, "{compression}");
        }
    }
}
