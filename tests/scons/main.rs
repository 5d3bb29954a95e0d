//! SCons with the package, in the versions that are supported. `support` lays out projects, starts
//! SCons and reads findings.

mod cache;
#[path = "../audit/console.rs"]
mod console;
mod enforcement;
mod entering;
mod jobs;
mod keys;
mod page;
#[allow(dead_code, reason = "tests of audits use the rest")]
#[path = "../audit/support.rs"]
mod project;
mod remote;
mod support;
