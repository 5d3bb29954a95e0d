//! What the documentation tells people to type does what it says there.

use crate::support::Project;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// A command of a page, and the lines that it says.
struct Typed {
    command: String,
    says: Vec<String>,
}

/// All that stands in the `console` blocks of a page: commands after `$ `, then what they say, `…`
/// for any lines.
fn typed(page: &str) -> Vec<Typed> {
    let mut all: Vec<Typed> = Vec::new();
    let mut inside = false;
    for line in page.lines() {
        match line {
            "```console" => inside = true,
            "```" => inside = false,
            _ if !inside => (),
            _ => match line.strip_prefix("$ ") {
                Some(command) => all.push(Typed { command: command.to_owned(), says: Vec::new() }),
                None => all.last_mut().expect("a command first").says.push(line.to_owned()),
            },
        }
    }
    all
}

/// Whether `said` is `says`, where `…` stands for any lines.
fn agrees(says: &[String], said: &[&str]) -> bool {
    match (says, said) {
        ([], []) => true,
        ([first, rest @ ..], _) if first == "…" => {
            (0..=said.len()).any(|skipped| agrees(rest, &said[skipped..]))
        }
        ([first, rest @ ..], [line, others @ ..]) => first == line && agrees(rest, others),
        _ => false,
    }
}

const END: &str = "--- end of a command";

#[test]
fn the_steps_of_adoption() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/adopting.md")).expect("the page");
    let typed = typed(&page);
    let project = Project::new("");
    let example = root.join("examples/whole-build/.");
    project.prepare(&["cp", "-r", example.to_str().expect("UTF-8"), "."]);
    // It may have been built and audited where it lies.
    project.prepare(&["make", "clean"]).prepare(&["rm", "-f", "airtight-audit.bin"]);
    // One shell for all, as a reader has it; after each command its code is what `$?` holds.
    let mut script = "exec 2>&1\ncode=0\n".to_owned();
    for Typed { command, .. } in &typed {
        let _ = writeln!(script, "(exit $code)\n{command}\ncode=$?\nprintf '%s\\n' '{END}'");
    }
    let program = Path::new(env!("CARGO_BIN_EXE_airtight")).parent().expect("a directory");
    let path = format!("{}:/usr/bin:/bin", program.display());
    let mut shell = project.command("sh", &["-c", &script]);
    shell.env("PATH", path).env("AIRTIGHT_CACHE_DIR", project.root().join("cache"));
    let output = project.end(shell).stdout;
    let parts: Vec<&str> = output.split_inclusive(&format!("{END}\n")).collect();
    assert_eq!(parts.len(), typed.len(), "{output}");
    for (Typed { command, says }, part) in typed.iter().zip(parts) {
        let said: Vec<&str> = part.lines().filter(|line| *line != END).collect();
        assert!(agrees(says, &said), "{command}\nshould say\n{says:#?}\nand said\n{said:#?}");
    }
}
