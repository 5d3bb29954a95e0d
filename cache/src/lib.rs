//! Digests, and the gate that only verified results pass.
#![forbid(unsafe_code)]
