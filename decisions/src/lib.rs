//! Decisions from coldstart profiles: how many replicas, when to scale, where to keep what is large.

#![forbid(unsafe_code)]
