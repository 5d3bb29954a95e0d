//! What docs/scons.md tells people to type does what it says there.

use crate::console::Console;
use crate::project::Project;
use airtight_test_servers::{SCONS, scons};
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn the_ten_minutes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let console = Console::of(&fs::read_to_string(root.join("docs/scons.md")).expect("the page"));
    for version in SCONS {
        let project = Project::new("");
        for name in ["SConstruct", "VERSION", "src", "include", "tools", "airtight.toml"] {
            let file = root.join("examples/scons").join(name);
            project.prepare(&["cp", "-r", file.to_str().expect("UTF-8"), "."]);
        }
        let programs = [env!("CARGO_BIN_EXE_airtight").into(), scons(version)];
        let parent = |program: &PathBuf| program.parent().expect("one").display().to_string();
        let path = programs.iter().map(parent).collect::<Vec<_>>().join(":");
        let mut shell = project.command("sh", &["-c", &console.script()]);
        shell
            .env("PATH", format!("{path}:/usr/bin:/bin"))
            .env("AIRTIGHT_CACHE_DIR", project.root().join("cache"))
            .env("PYTHONDONTWRITEBYTECODE", "1");
        console.check(&project.end(shell).stdout);
    }
}
