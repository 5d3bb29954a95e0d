//! Where the files of a CMake project declare targets and custom commands, so that a finding can
//! name a line that people write.
//!
//! CMake's own answer (its file API) is used where a build directory has one. Else the files are
//! searched: their commands are read, and the simple variables in them replaced.
//! What could be meant by several commands has no place.

mod calls;
mod pattern;

pub(crate) use calls::{Call, calls};

use super::files;
use airtight_policy::{Place, absolute, display};
use pattern::{Piece, ends_with, literals, matches, pieces};
use serde::Deserialize;
use std::collections::{HashMap, HashSet};
use std::fs;
use std::os::unix::ffi::OsStrExt as _;

/// More files than any project has, and the size of one that people write.
const MOST_FILES: usize = 10_000;
const LARGEST_FILE: usize = 4 << 20;

/// Finds declarations in the files of one project.
#[derive(Debug, Default)]
pub(crate) struct Places {
    files: Vec<File>,
    /// Variables that `set` gives one value, and project names.
    variables: HashMap<String, String>,
    /// Commands that the project defines itself.
    own: HashSet<String>,
    /// What CMake said itself of targets, by name.
    told: HashMap<String, Place>,
}

#[derive(Debug)]
struct File {
    /// As people know it.
    shown: String,
    /// Its directory within the source directory; empty for the top.
    directory: Vec<u8>,
    calls: Vec<Call>,
}

impl Places {
    /// The project that `build` was configured for. `files` are the files that CMake read; only
    /// those of the project itself count.
    pub(crate) fn load<'f>(
        build: &[u8],
        files: impl Iterator<Item = &'f [u8]>,
        workspace: &[u8],
    ) -> Places {
        let mut places = Places::default();
        let Some(source) = source_directory(build) else { return places };
        places.read_reply(build, &source, workspace);
        for path in files.filter(|path| is_own(path, &source, build)).take(MOST_FILES) {
            let Ok(text) = files::read(path) else { continue };
            if text.len() > LARGEST_FILE {
                continue;
            }
            let end = path.iter().rposition(|&b| b == b'/').unwrap_or(0);
            let directory = path[..end].strip_prefix(source.as_slice()).unwrap_or_default();
            let directory = directory.strip_prefix(b"/").unwrap_or(directory).to_vec();
            let calls = calls(&String::from_utf8_lossy(&text));
            places.learn(&calls);
            let shown = display(path, workspace).into_owned();
            places.files.push(File { shown, directory, calls });
        }
        places
    }

    fn learn(&mut self, calls: &[Call]) {
        for Call { name, arguments, .. } in calls {
            match (name.as_str(), arguments.as_slice()) {
                ("set", [variable, value]) => {
                    self.variables.insert(variable.clone(), value.clone());
                }
                ("project", [project, ..]) => {
                    self.variables.insert("PROJECT_NAME".to_owned(), project.clone());
                    self.variables
                        .entry("CMAKE_PROJECT_NAME".to_owned())
                        .or_insert(project.clone());
                }
                ("function" | "macro", [own, ..]) => {
                    self.own.insert(own.to_ascii_lowercase());
                }
                _ => {}
            }
        }
    }

    /// Where a target is declared: `add_executable`, `add_library`, `add_custom_target`, or a
    /// command of the project's own that is given its name first.
    pub(crate) fn target(&self, name: &str) -> Option<Place> {
        if let Some(place) = self.told.get(name) {
            return Some(place.clone());
        }
        let adds = |call: &Call| {
            matches!(call.name.as_str(), "add_executable" | "add_library" | "add_custom_target")
        };
        let own = |call: &Call| self.own.contains(&call.name);
        self.first(|call| adds(call) && self.names(call, name, true))
            .or_else(|| self.first(|call| own(call) && self.names(call, name, true)))
            .or_else(|| self.first(|call| adds(call) && self.names(call, name, false)))
    }

    fn first(&self, wanted: impl Fn(&Call) -> bool) -> Option<Place> {
        self.files.iter().find_map(|file| {
            let call = file.calls.iter().find(|call| wanted(call))?;
            Some(place(file, call))
        })
    }

    /// Whether the first argument of a call is `name`, or could be if some variable had the right
    /// value.
    fn names(&self, call: &Call, name: &str, exactly: bool) -> bool {
        let Some(first) = call.arguments.first() else { return false };
        let pattern = self.pattern(first);
        match exactly {
            true => pattern == [Piece::Literal(name.to_owned())],
            false => literals(&pattern) > 0 && matches(&pattern, name),
        }
    }

    /// Where the custom command is declared that makes `output`, a name relative to the build
    /// directory.
    pub(crate) fn custom_command(&self, output: &[u8]) -> Option<Place> {
        let output = String::from_utf8_lossy(output);
        let mut best: Option<((usize, usize), Option<Place>)> = None;
        for file in &self.files {
            for call in file.calls.iter().filter(|call| call.name == "add_custom_command") {
                let named = outputs(call).filter_map(|name| {
                    let pattern = self.pattern(name);
                    let literals = literals(&pattern);
                    (literals > 0 && ends_with(&pattern, &output)).then_some(literals)
                });
                // The more of the name is written there the better; then the nearer directory.
                let directory = String::from_utf8_lossy(&file.directory);
                let near = match output.starts_with(&*directory) {
                    true => directory.len() + 1,
                    false => 0,
                };
                let Some(rank) = named.max().map(|literals| (literals, near)) else { continue };
                match &mut best {
                    Some((other, _)) if *other > rank => {}
                    // Either could be meant.
                    Some((other, place)) if *other == rank => *place = None,
                    best => *best = Some((rank, Some(place(file, call)))),
                }
            }
        }
        best.and_then(|(_, place)| place)
    }

    /// An argument, with the variables replaced whose value is known.
    fn pattern(&self, argument: &str) -> Vec<Piece> {
        let mut text = argument.to_owned();
        for _ in 0..8 {
            let Some((start, end, value)) = self.known(&text) else { break };
            if text.len() + value.len() > 4096 {
                break;
            }
            text.replace_range(start..end, value);
        }
        pieces(&text)
    }

    /// The first variable in `text` that has a known value: where it stands, and the value.
    fn known<'s>(&'s self, text: &str) -> Option<(usize, usize, &'s str)> {
        let mut from = 0;
        while let Some(start) = text[from..].find("${").map(|at| from + at) {
            let end = start + text[start..].find('}')? + 1;
            if let Some(value) = self.variables.get(&text[start + 2..end - 1]) {
                return Some((start, end, value));
            }
            from = start + 2;
        }
        None
    }

    /// Reads what CMake left for those that asked it (cmake-file-api(7), "codemodel").
    fn read_reply(&mut self, build: &[u8], source: &[u8], workspace: &[u8]) {
        let directory = absolute(build, b".cmake/api/v1/reply");
        let Ok(entries) = fs::read_dir(files::path(&directory)) else { return };
        for entry in entries.take(MOST_FILES).flatten() {
            let name = entry.file_name();
            if !name.as_bytes().starts_with(b"target-") {
                continue;
            }
            let Ok(text) = files::read(&absolute(&directory, name.as_bytes())) else { continue };
            let Ok(target) = serde_json::from_slice::<Target>(&text) else { continue };
            if let Some((file, line)) = target.declared() {
                let file = display(&absolute(source, file.as_bytes()), workspace).into_owned();
                self.told.insert(target.name, Place { file, line, column: 0 });
            }
        }
    }
}

fn place(file: &File, call: &Call) -> Place {
    Place { file: file.shown.clone(), line: call.line, column: 0 }
}

/// The source directory that the cache in a build directory names.
fn source_directory(build: &[u8]) -> Option<Vec<u8>> {
    let cache = files::read(&absolute(build, b"CMakeCache.txt")).ok()?;
    let mut lines = cache.split(|&b| b == b'\n');
    let line = lines.find_map(|line| line.strip_prefix(b"CMAKE_HOME_DIRECTORY:INTERNAL="))?;
    Some(absolute(build, line.trim_ascii_end()))
}

/// Whether `path` is a file of the project: below its source directory, and not made by CMake.
fn is_own(path: &[u8], source: &[u8], build: &[u8]) -> bool {
    let below = |directory: &[u8]| {
        path.strip_prefix(directory).is_some_and(|rest| rest.first() == Some(&b'/'))
    };
    let named = path.ends_with(b"/CMakeLists.txt") || path.ends_with(b".cmake");
    named && below(source) && (build == source || !below(build))
}

/// The words of add_custom_command that begin something else.
pub(crate) const KEYWORDS: [&str; 18] = [
    "APPEND",
    "ARGS",
    "BYPRODUCTS",
    "CODEGEN",
    "COMMAND",
    "COMMAND_EXPAND_LISTS",
    "COMMENT",
    "DEPENDS",
    "DEPENDS_EXPLICIT_ONLY",
    "DEPFILE",
    "IMPLICIT_DEPENDS",
    "JOB_POOL",
    "JOB_SERVER_AWARE",
    "MAIN_DEPENDENCY",
    "OUTPUT",
    "USES_TERMINAL",
    "VERBATIM",
    "WORKING_DIRECTORY",
];

/// What a custom command is said to make.
fn outputs(call: &Call) -> impl Iterator<Item = &str> {
    let mut within = false;
    call.arguments.iter().map(String::as_str).filter(move |argument| {
        if KEYWORDS.contains(argument) {
            within = matches!(*argument, "OUTPUT" | "BYPRODUCTS");
            return false;
        }
        within
    })
}

/// A target in a reply of CMake's file API.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Target {
    name: String,
    backtrace: Option<usize>,
    backtrace_graph: BacktraceGraph,
}

#[derive(Deserialize)]
struct BacktraceGraph {
    commands: Vec<String>,
    files: Vec<String>,
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    file: usize,
    line: Option<u32>,
    command: Option<usize>,
    parent: Option<usize>,
}

impl Target {
    /// The file and line of the outermost command that declares it: the call of a macro, not the
    /// line within.
    fn declared(&self) -> Option<(&str, u32)> {
        let graph = &self.backtrace_graph;
        let mut node = graph.nodes.get(self.backtrace?)?;
        // A parent comes before its children in CMake's replies, but not in any bytes.
        for _ in 0..graph.nodes.len() {
            let above = node.parent.and_then(|parent| graph.nodes.get(parent));
            let Some(above) = above.filter(|above| above.line.is_some()) else { break };
            if above.command.and_then(|command| graph.commands.get(command))? == "include" {
                break;
            }
            node = above;
        }
        Some((graph.files.get(node.file)?, node.line?))
    }
}

#[cfg(test)]
mod tests;
