//! The cases, by what they do.

pub(crate) mod compile;
pub(crate) mod generate;
pub(crate) mod link;
pub(crate) mod self_declared;
pub(crate) mod tools;
