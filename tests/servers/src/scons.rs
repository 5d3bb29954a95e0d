//! SCons, in the versions that the tests are run with.

use crate::install::installed;
use std::path::PathBuf;

/// The oldest version that is supported, one in between, and the newest.
pub const SCONS: [&str; 3] = ["4.5.2", "4.7.0", "4.11.1"];

/// The program `scons` of a version.
pub fn scons(version: &str) -> PathBuf {
    installed(&format!("venv-scons-{version}/bin/scons"))
}
