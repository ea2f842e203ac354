//! The forward passes against what transformers computes (`tests/reference/make_reference.py`), on the host device.

mod bad_models;
mod capacity;
mod decoders;
mod encoders;
mod fixtures;
mod minilm;
