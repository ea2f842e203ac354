//! The driver's library: found, opened, initialised.

use std::time::Duration;

use crate::{Error, Kind, Result};

/// The driver, loaded into this process and initialised.
#[derive(Debug, Clone, Copy)]
pub struct Driver(());

/// The driver, and what loading it took.
#[derive(Debug, Clone, Copy)]
pub struct Loaded {
    /// The driver.
    pub driver: Driver,
    /// Finding and opening the library.
    pub open: Duration,
    /// `cuInit`.
    pub init: Duration,
}

impl Driver {
    /// Opens libcuda and initialises it. Both are once a process: later calls take no time.
    ///
    /// # Errors
    /// [`Error::NoDevice`] where there is no driver.
    pub fn load() -> Result<Loaded> {
        Err(Error::NoDevice { kind: Kind::Cuda, index: 0, why: "not yet".to_owned() })
    }

    /// How many GPUs it shows.
    pub fn devices(self) -> Result<usize> {
        Ok(0)
    }

    /// Whether a stand-in plays its part: nothing measured on it means anything.
    pub fn is_stand_in(self) -> bool {
        false
    }
}
