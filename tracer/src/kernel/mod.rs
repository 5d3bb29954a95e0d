//! The kernel's own view: what happened to files and who belongs to the tree, whatever system
//! calls were used for it.
#![allow(dead_code, reason = "the witness and the recorder are on their way")]

pub(crate) mod family;
pub(crate) mod records;
pub(crate) mod tree;

pub use tree::Also;
