//! An in-process OCI registry on the loopback address, and the synthetic images that it serves.
