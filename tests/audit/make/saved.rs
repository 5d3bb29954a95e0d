//! What the file of an audit has on the graph and on whose work each process did.

use crate::support::Project;
use airtight_policy::build::{Action, ActionId, Build, Nature, Owner, Via};
use airtight_recording::{ProcessId, Recording};
use serde_json::Value;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// A saved audit.
pub(super) struct Saved {
    pub(super) build: Build,
    recording: Recording,
    workspace: PathBuf,
}

impl Saved {
    #[track_caller]
    pub(super) fn open(project: &Project) -> Saved {
        let bytes = fs::read(project.path("airtight-audit.bin")).expect("it is there");
        // As `src/audit/file.rs` has it: a preamble of 9 bytes, a length, the build, the recording.
        let length = bytes[9..17].try_into().map(u64::from_le_bytes).expect("eight bytes");
        let (head, recording) = bytes[17..].split_at(length as usize);
        let head = zstd::decode_all(head).expect("zstd");
        let mut head: Value = serde_json::from_slice(&head).expect("JSON");
        let build = serde_json::from_value(head["build"].take()).expect("a build");
        let (recording, _) = Recording::read(recording).expect("a recording");
        Saved { build, recording, workspace: project.path("") }
    }

    fn shown(&self, path: &[u8]) -> String {
        let path = Path::new(OsStr::from_bytes(path));
        let shown = path.strip_prefix(&self.workspace).unwrap_or(path).display().to_string();
        // What is no file has a number behind it.
        shown.split_once("//").map_or(shown.clone(), |(name, _)| name.to_owned())
    }

    /// The action of this name.
    #[track_caller]
    pub(super) fn action(&self, name: &str) -> &Action {
        let actions = &self.build.graph.actions;
        let found = actions.iter().find(|action| action.name == name);
        found.unwrap_or_else(|| {
            let names: Vec<_> = actions.iter().map(|action| &action.name).collect();
            panic!("no {name} among {names:?}")
        })
    }

    /// What an action depends on: `|` before what is order-only, `.d` after what is from a
    /// depfile.
    #[track_caller]
    pub(super) fn inputs(&self, name: &str) -> BTreeSet<String> {
        let inputs = self.action(name).inputs.iter().map(|input| {
            let path = self.shown(self.build.graph.paths.get(input.path));
            match input.via {
                Via::Declared => path,
                Via::Depfile => format!("{path} (.d)"),
                Via::OrderOnly => format!("| {path}"),
            }
        });
        inputs.collect()
    }

    #[track_caller]
    pub(super) fn outputs(&self, name: &str) -> BTreeSet<String> {
        let paths = self.action(name).outputs.iter();
        paths.map(|&path| self.shown(self.build.graph.paths.get(path))).collect()
    }

    #[track_caller]
    pub(super) fn nature(&self, name: &str) -> Nature {
        self.action(name).nature
    }

    /// Where an action is declared.
    #[track_caller]
    pub(super) fn place(&self, name: &str) -> String {
        self.action(name).declared_at.as_ref().map(ToString::to_string).unwrap_or_default()
    }

    fn name(&self, action: ActionId) -> String {
        self.build.graph.action(action).name.clone()
    }

    fn owner(&self, owner: Owner) -> String {
        match owner {
            Owner::Tool(run) => format!("[make {}]", run.0),
            Owner::Parsing(run) => format!("[parsing {}]", run.0),
            Owner::Action(action) => self.name(action),
            Owner::Nobody(run) => format!("[nobody {}]", run.0),
        }
    }

    /// `owner: command` of every process that a build tool started and that executed something,
    /// in alphabetical order.
    pub(super) fn work(&self) -> Vec<String> {
        let of_tool = |parent: ProcessId, seq: u64| {
            matches!(self.build.attribution.owner(parent, seq), Some(Owner::Tool(_)))
        };
        let mut work = Vec::new();
        for process in &self.recording.processes {
            if !process.parent.is_some_and(|parent| of_tool(parent, process.start)) {
                continue;
            }
            let Some(image) = process.images.first() else { continue };
            let words: Vec<_> =
                image.argv.iter().map(|word| String::from_utf8_lossy(word)).collect();
            let owner = self.build.attribution.owner(process.id, process.start);
            let owner = owner.map(|owner| self.owner(owner)).unwrap_or_default();
            work.push(format!("{owner}: {}", words.join(" ")));
        }
        work.sort();
        work
    }

    /// For each run of a tool: the directory it was started in, and the action it is within.
    pub(super) fn runs(&self) -> Vec<String> {
        let runs = self.build.graph.runs.iter().map(|run| {
            let directory = self.shown(self.build.graph.paths.get(run.cwd));
            let within = run.within.filter(|action| action.0 > 0).map(|action| self.name(action));
            format!("/{directory}: {}", within.unwrap_or_default())
        });
        runs.collect()
    }
}

/// A set of texts to compare with.
pub(super) fn set(texts: &[&str]) -> BTreeSet<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}
