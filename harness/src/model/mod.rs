//! From config.json to a forward pass, written once on the operations of a device.
