//! config.json → [`Forward`](super::Forward). The file is untrusted: every number is checked before it sizes anything.

mod check;
mod decoder;
mod encoder;
mod raw;
mod read;
#[cfg(test)]
mod tests;

pub use read::{parse_config, read_config};
