//! safetensors files on their way to a device: checking, page cache, loading strategies.
