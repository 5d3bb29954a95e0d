//! `airtight trace --backend fanotify` in a directory of its own, and what it recorded there.

use crate::harness::{is_root, program};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// A directory to work in.
pub(crate) struct Place(TempDir);

/// What was recorded.
pub(crate) struct Trace {
    pub(crate) output: Output,
    json: Value,
    dir: String,
}

impl Place {
    pub(crate) fn new() -> Place {
        Place(TempDir::with_prefix("airtight-kernel-").expect("a directory"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        fs::canonicalize(self.0.path()).expect("it is there").join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> &Place {
        fs::write(self.path(name), text).expect(name);
        self
    }

    /// `airtight` in the directory.
    pub(crate) fn airtight(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_airtight"));
        self.here(&mut command);
        command.args(args);
        command
    }

    /// A program that is run in the directory.
    pub(crate) fn here(&self, command: &mut Command) {
        command
            .current_dir(self.path(""))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path(".home"))
            .env("LC_ALL", "C")
            .stdin(Stdio::null());
    }

    /// Records a command; none for who may not, after a look at what is said of that.
    pub(crate) fn trace(&self, argv: &[&str]) -> Option<Trace> {
        self.trace_with(&[], argv)
    }

    pub(crate) fn trace_with(&self, flags: &[&str], argv: &[&str]) -> Option<Trace> {
        let args = ["trace", "--backend", "fanotify", "--format", "json", "-o", ".trace"];
        let mut command = self.airtight(&args);
        command.args(flags).arg("--").args(argv);
        self.traced(command)
    }

    /// Records what the command records, which must be an airtight that writes to `.trace`.
    pub(crate) fn traced(&self, mut command: Command) -> Option<Trace> {
        let output = command.output().expect("airtight starts");
        if !is_root() {
            refused(&output);
            return None;
        }
        let text = fs::read(self.path(".trace"));
        let text = text.unwrap_or_else(|error| panic!("{error}: {output:?}"));
        let json = serde_json::from_slice(&text).expect("JSON");
        let dir = format!("{}/", self.path("").display()).replace("//", "/");
        Some(Trace { output, json, dir })
    }

    /// Records a script of the shell.
    pub(crate) fn shell(&self, script: &str) -> Option<Trace> {
        self.trace(&["sh", "-ec", script])
    }

    /// Records a program of `tests/programs`.
    pub(crate) fn program(&self, name: &str, args: &[&str]) -> Option<Trace> {
        let program = program(name);
        let name = [program.to_str().expect("a plain name")];
        self.trace(&[&name, args].concat())
    }
}

/// What is said where the kernel refuses.
pub(crate) fn refused(output: &Output) {
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(125), "{told}");
    assert!(told.contains("the fanotify backend needs CAP_SYS_ADMIN"), "{told}");
    assert!(told.contains("or take the ptrace backend"), "{told}");
}

impl Trace {
    /// What was done in the directory, as `kind name`, each once.
    pub(crate) fn facts(&self) -> Vec<String> {
        let mut facts: Vec<String> = self.ordered();
        facts.sort();
        facts.dedup();
        facts
    }

    /// The same in the order of the recording, each as often as it is there.
    pub(crate) fn ordered(&self) -> Vec<String> {
        let accesses = self.json["accesses"].as_array().expect("accesses");
        let mut list: Vec<(u64, String)> = accesses
            .iter()
            .filter_map(|access| {
                let name = access["path"].as_str()?.strip_prefix(&self.dir)?;
                let fact = format!("{} {name}", access["kind"].as_str()?);
                Some((access["first"].as_u64()?, fact))
            })
            .filter(|(_, fact)| !fact.ends_with(" .trace"))
            .collect();
        list.sort();
        list.into_iter().map(|(_, fact)| fact).collect()
    }

    /// Asserts what was done in the directory.
    pub(crate) fn did(&self, expected: &[&str]) {
        assert_eq!(self.facts(), expected, "{}", self.json["reasons"]);
    }

    /// The arguments of every program, in the order of their processes.
    pub(crate) fn programs(&self) -> Vec<String> {
        let processes = self.json["processes"].as_array().expect("processes");
        let execs = processes.iter().filter_map(|process| process["execs"].as_array()).flatten();
        let words = |exec: &Value| {
            let argv = exec["argv"].as_array().expect("arguments").iter();
            argv.map(|word| word.as_str().unwrap_or("?")).collect::<Vec<_>>().join(" ")
        };
        execs.map(words).collect()
    }

    /// Asserts that a program ran with these arguments, or, where the machine was too busy for them to
    /// be read and the recording says so, that it ran.
    pub(crate) fn ran(&self, argv: &str) {
        let programs = self.programs();
        let unread = self.reasons().iter().any(|reason| reason.contains("their arguments"));
        let name = argv.split(' ').next().and_then(|word| word.rsplit('/').next());
        let found = programs
            .iter()
            .any(|program| program == argv || (unread && Some(&program[..]) == name));
        assert!(found, "{argv}: {programs:?}");
    }

    pub(crate) fn processes(&self) -> &[Value] {
        self.json["processes"].as_array().expect("processes")
    }

    pub(crate) fn header(&self, name: &str) -> &Value {
        &self.json[name]
    }

    /// The reasons, as `code: detail`.
    pub(crate) fn reasons(&self) -> Vec<String> {
        let reasons = self.json["reasons"].as_array().expect("reasons").iter();
        let text = |reason: &Value, name: &str| reason[name].as_str().unwrap_or("").to_owned();
        reasons.map(|r| format!("{}: {}", text(r, "code"), text(r, "detail"))).collect()
    }
}
