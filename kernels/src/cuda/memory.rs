//! Memory of a CUDA device, and host memory that it copies from and to without staging.

use std::marker::PhantomData;

use crate::{HostMemory, Memory, Result};

/// Device memory, allocated synchronously and without a pool.
#[derive(Debug)]
pub struct CudaBuffer {
    address: u64,
    len: usize,
}

impl CudaBuffer {
    /// Its address on the device.
    pub(super) fn address(&self) -> u64 {
        self.address
    }
}

impl Memory for CudaBuffer {
    fn len(&self) -> usize {
        self.len
    }
}

/// Page-locked host memory.
#[derive(Debug)]
pub struct CudaPinned {
    len: usize,
}

impl HostMemory for CudaPinned {
    fn len(&self) -> usize {
        self.len
    }

    fn as_slice(&self) -> Result<&[u8]> {
        Ok(&[])
    }

    fn as_mut_slice(&mut self) -> Result<&mut [u8]> {
        Ok(&mut [])
    }
}

/// Memory of the caller that is page-locked where it lies, as long as this lives.
#[derive(Debug)]
pub struct CudaRegistered<'m> {
    len: usize,
    memory: PhantomData<&'m [u8]>,
}

impl CudaRegistered<'_> {
    /// Its size in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}
