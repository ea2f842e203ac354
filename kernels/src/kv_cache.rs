//! The keys and values that attention has already seen.

use crate::{Device, Dtype, Error, Result};

/// The shape of one layer's cache: keys and values `[slots, kv_heads, capacity, head_dim]` each, row-major.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KvShape {
    /// Sequences that are held at once.
    pub slots: usize,
    /// Key-value heads.
    pub kv_heads: usize,
    /// Positions of each sequence.
    pub capacity: usize,
    /// Numbers in one head's key or value.
    pub head_dim: usize,
    /// Their format; the device's [`activation_dtype`](crate::Ops::activation_dtype).
    pub dtype: Dtype,
}

impl KvShape {
    /// Bytes of the keys, or of the values; the cache takes twice that. `None` where it does not fit a `usize`.
    pub fn bytes(&self) -> Option<usize> {
        self.slots
            .checked_mul(self.kv_heads)?
            .checked_mul(self.capacity)?
            .checked_mul(self.head_dim)?
            .checked_mul(self.dtype.size())
    }
}

/// One layer's cache. A position has contents once [`Ops::kv_write`](crate::Ops::kv_write) wrote it.
#[derive(Debug)]
pub struct KvCache<B> {
    pub(crate) keys: B,
    pub(crate) values: B,
    pub(crate) shape: KvShape,
}

impl<B> KvCache<B> {
    /// Allocates the cache of one layer.
    pub fn alloc<D: Device<Buffer = B>>(device: &D, shape: KvShape) -> Result<Self> {
        let bytes = shape.bytes().ok_or_else(|| Error::Shape {
            op: "KvCache::alloc",
            what: format!(
                "{shape:?} has more bytes than can be addressed: take fewer slots or a shorter context"
            ),
        })?;
        Ok(KvCache { keys: device.alloc(bytes)?, values: device.alloc(bytes)?, shape })
    }

    /// Its shape.
    pub fn shape(&self) -> KvShape {
        self.shape
    }
}
