//! Pulls and containers with the real engine of this machine.
