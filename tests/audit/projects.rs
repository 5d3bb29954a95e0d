//! Real projects, as their authors released them: what is found is pinned here, and explained in
//! docs/audits.md.

use crate::cmake::GENERATORS;
use crate::meson::SETUP;
use crate::support::Project;
use std::env;
use std::path::{Path, PathBuf};

/// A copy of a source that `scripts/sources.sh` fetches: from the directory that
/// `AIRTIGHT_TEST_SOURCES` names, else `target/sources` of this workspace. With the times of its files:
/// make compares those of generated files that were released with those of what they are made of.
fn project(name: &str) -> Project {
    let sources = match env::var_os("AIRTIGHT_TEST_SOURCES") {
        Some(directory) if !directory.is_empty() => PathBuf::from(directory),
        _ => Path::new(env!("CARGO_MANIFEST_DIR")).join("target/sources"),
    };
    let source = sources.join(name).join(".");
    assert!(source.exists(), "{}: run scripts/sources.sh, which fetches it", source.display());
    let project = Project::new("");
    project.prepare(&[
        "cp",
        "-r",
        "--preserve=mode,timestamps",
        source.to_str().expect("UTF-8"),
        ".",
    ]);
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

#[test]
fn expat_with_autotools() {
    let project = project("expat");
    project.prepare(&["autoreconf", "-i", "expat"]);
    project.prepare(&["sh", "-c", "cd expat && ./configure -q --without-docbook --without-tests"]);
    let users = [
        "examples/elements",
        "examples/outline",
        "lib/libexpat.la",
        "lib/libexpatinternal.la",
        "lib/xmlparse.lo",
        "lib/xmlrole.lo",
        "lib/xmltok.lo",
        "xmlwf/xmlwf",
    ];
    let users = users.map(|user| format!("expat/{user}"));
    let findings = users.each_ref().map(|user| ("R001", user.as_str(), "expat/libtool"));
    project.audit(&["make", "-C", "expat", "-j2"]).expect(120, &findings);
}

#[test]
fn jq_with_autotools() {
    let project = project("jq");
    project.prepare(&["autoreconf", "-i"]);
    project.prepare(&["./configure", "-q", "--disable-docs", "--with-oniguruma=no"]);
    let users = [
        "jq",
        "libjq.la",
        "src/builtin.lo",
        "src/bytecode.lo",
        "src/compile.lo",
        "src/execute.lo",
        "src/jq_test.lo",
        "src/jv.lo",
        "src/jv_alloc.lo",
        "src/jv_aux.lo",
        "src/jv_dtoa.lo",
        "src/jv_file.lo",
        "src/jv_parse.lo",
        "src/jv_print.lo",
        "src/jv_unicode.lo",
        "src/lexer.lo",
        "src/linker.lo",
        "src/locfile.lo",
        "src/parser.lo",
        "src/util.lo",
    ];
    let mut findings = users.map(|user| ("R001", user, "libtool")).to_vec();
    findings.push(("R006", "src/version.h", "scripts/version"));
    project.audit(&["make", "-j2"]).expect(120, &findings);
}
