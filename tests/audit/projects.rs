//! Real projects, as their authors released them: what is found is pinned here, and explained in
//! docs/audits.md.

use crate::cmake::GENERATORS;
use crate::meson::SETUP;
use crate::support::Project;
use std::env;
use std::path::{Path, PathBuf};

/// A copy of a source that `scripts/sources.sh` fetches: from the directory that
/// `AIRTIGHT_TEST_SOURCES` names, else `target/sources` of this workspace.
fn project(name: &str) -> Project {
    let sources = match env::var_os("AIRTIGHT_TEST_SOURCES") {
        Some(directory) if !directory.is_empty() => PathBuf::from(directory),
        _ => Path::new(env!("CARGO_MANIFEST_DIR")).join("target/sources"),
    };
    let source = sources.join(name).join(".");
    assert!(source.exists(), "{}: run scripts/sources.sh, which fetches it", source.display());
    let project = Project::new("");
    project.prepare(&["cp", "-r", source.to_str().expect("UTF-8"), "."]);
    project
}

#[test]
fn lua_with_make() {
    project("lua5.4").audit(&["make", "-j2", "linux"]).expect(0, &[]);
}

#[test]
fn expat_with_cmake() {
    for generator in GENERATORS {
        let project = project("expat");
        project.prepare(&["cmake", "-G", generator, "-S", "expat", "-B", "build"]);
        project.audit(&["cmake", "--build", "build", "-j2"]).expect(0, &[]);
    }
}

#[test]
fn fribidi_with_meson() {
    let project = project("fribidi");
    project.prepare(&[&SETUP[..], &["-Ddocs=false"]].concat());
    project.audit(&["ninja", "-C", "build", "-j2"]).expect(0, &[]);
}
