//! Checks of shapes and formats on entry to an operation, shared by all devices.
