//! An in-process OCI registry on the loopback address, and the synthetic images that it serves.
//!
//! [`Template::build`] makes and compresses an image's layers once; [`Template::image`] gives every trial an image whose
//! layers are new to the engine; [`Registry`] serves them; [`measure_inflate`] says what one core makes of such layers.

mod auth;
mod blob;
mod carrier;
mod compression;
mod elf;
mod error;
mod faults;
mod image;
mod inflate;
mod layer;
mod reply;
mod server;
mod synthetic;

pub use blob::Blob;
pub use carrier::Program;
pub use compression::Compression;
pub use error::RegistryError;
pub use faults::{Auth, Faults};
pub use image::{Image, Platform};
pub use inflate::measure_inflate;
pub use server::Registry;
pub use synthetic::Template;

#[cfg(test)]
mod protocol_tests;
