//! What the documentation tells people to type does what it says there.

use crate::console::Console;
use crate::support::Project;
use std::fs;
use std::path::Path;

#[test]
fn the_steps_of_adoption() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let console =
        Console::of(&fs::read_to_string(root.join("docs/adopting.md")).expect("the page"));
    let project = Project::new("");
    let example = root.join("examples/whole-build/.");
    project.prepare(&["cp", "-r", example.to_str().expect("UTF-8"), "."]);
    // It may have been built and audited where it lies.
    project.prepare(&["make", "clean"]).prepare(&["rm", "-f", "airtight-audit.bin"]);
    let program = Path::new(env!("CARGO_BIN_EXE_airtight")).parent().expect("a directory");
    let path = format!("{}:/usr/bin:/bin", program.display());
    let mut shell = project.command("sh", &["-c", &console.script()]);
    shell.env("PATH", path).env("AIRTIGHT_CACHE_DIR", project.root().join("cache"));
    console.check(&project.end(shell).stdout);
}
