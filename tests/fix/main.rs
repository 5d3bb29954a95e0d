//! `airtight fix`, from outside: what it makes of build files, and that audits are content with it.

#[allow(dead_code, reason = "the harness serves other tests too")]
#[path = "../audit/support.rs"]
mod support;

mod cmake;
mod make;
mod meson;
mod ninja;

use support::{Audit, End, Project};

/// What `fix` says, and with it what `patch` and `git apply` make of the diff: the same as
/// `fix --write`, which is done last.
#[track_caller]
fn mend(project: &Project, files: &[&str]) -> (End, End) {
    let before: Vec<String> = files.iter().map(|file| project.read(file)).collect();
    let shown = project.airtight(&["fix"]);
    let diff = project.airtight(&["fix", "--diff"]);
    diff.code(1);
    assert_eq!(diff.stdout, shown.stdout);
    assert_eq!(diff.stderr, "");
    let restore = || {
        for (file, text) in files.iter().zip(&before) {
            project.write(file, text);
        }
    };
    let read = || files.iter().map(|file| project.read(file)).collect::<Vec<_>>();
    let mut patched = Vec::new();
    for tool in [["patch", "-sp1", "-i"].as_slice(), &["git", "apply"]] {
        project.write("../fix.diff", &diff.stdout);
        project.prepare(&[tool, &["../fix.diff"]].concat());
        patched.push(read());
        restore();
    }
    let written = project.airtight(&["fix", "--write"]);
    assert_eq!(patched, [read(), read()]);
    assert_ne!(read(), before);
    (shown, written)
}

/// Nothing is left to do, now and after another audit.
#[track_caller]
fn mended(project: &Project, command: &[&str], audit: &Audit) {
    audit.expect(0, &[]);
    let again = project.airtight(&["fix"]);
    assert_eq!(again.code(0).stdout, "", "{command:?}");
    assert!(again.stderr.starts_with("nothing to mend"), "{}", again.show());
}
