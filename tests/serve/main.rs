//! The daemon, by its protocol: real compilers under `airtight trace`, clients that go wrong, die,
//! or do not read.

mod actions;
mod clients;
mod life;
mod many;
mod steps;
mod support;
