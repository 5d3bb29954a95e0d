//! Whatever becomes of what a cache holds, and whatever its servers do: the build is right, nothing
//! wrong is restored, and the next run is fine.

mod build;
mod disk;
mod entries;
mod escapes;
mod forge;
mod killed;
mod lab;
mod moved;
mod servers;
mod stored;
#[path = "../caching/support.rs"]
#[allow(dead_code, reason = "the tests of caching use all of it")]
mod support;
