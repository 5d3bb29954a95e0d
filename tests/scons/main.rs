//! SCons with the package, in the versions that are supported. `support` lays out projects, starts
//! SCons and reads findings.

mod enforcement;
mod entering;
mod keys;
#[allow(dead_code, reason = "tests of audits use the rest")]
#[path = "../audit/support.rs"]
mod project;
mod support;
