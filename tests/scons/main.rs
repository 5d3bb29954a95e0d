//! SCons with the package, in the versions that are supported. `support` lays out projects, starts
//! SCons and reads findings.

mod cache;
mod enforcement;
mod entering;
mod jobs;
mod keys;
#[allow(dead_code, reason = "tests of audits use the rest")]
#[path = "../audit/support.rs"]
mod project;
mod remote;
mod support;
