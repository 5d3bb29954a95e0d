//! A manifest as part of the graph of the build.

use super::super::{Context, files, meson};
use super::assign::Project;
use super::declared::Declarations;
use super::log::Log;
use super::manifest::dyndep::{self, Dyndep};
use super::manifest::{Edge, Manifest, ManifestError, Message, Quoting, canonical};
use crate::error::Error;
use airtight_policy::build::{Action, Graph, Input, Nature, RunId, Via};
use airtight_policy::{Flavour, Place, absolute, depfile, display};
use airtight_recording::PathId;
use std::collections::{HashMap, HashSet};

/// Adds an action for every edge.
pub(super) fn add(
    manifest: &Manifest,
    run: RunId,
    directory: &[u8],
    file: &[u8],
    graph: &mut Graph,
    context: &Context<'_>,
) -> Result<Project, Error> {
    let mut builder = Builder::new(manifest, directory, graph, context);
    builder.read_dyndeps()?;
    builder.read_log();
    let always = builder.always();
    let main = canonical(file);
    let edges = manifest.edges.iter();
    let configuring = edges.filter(|edge| builder.configures(edge, &main).unwrap_or(false));
    let inputs = configuring.flat_map(|edge| edge.inputs());
    let inputs = inputs.map(|&input| builder.graph.paths.get(builder.path(input)));
    builder.declarations =
        Declarations::load(builder.flavour, directory, inputs, context.workspace);
    let mut project = Project::default();
    for (index, edge) in manifest.edges.iter().enumerate() {
        let command = match edge.is_phony() {
            true => Vec::new(),
            false => manifest.command(edge).map_err(|what| builder.error(edge, &what))?,
        };
        let nature = if edge.is_phony() {
            Nature::Alias
        } else if builder.configures(edge, &main)? {
            Nature::Configure
        } else if always.contains(&index) {
            Nature::Always
        } else {
            Nature::Normal
        };
        let action = builder.action(edge, &command, nature, run)?;
        let outputs = action.outputs.clone();
        let id = builder.graph.add(action);
        if !edge.is_phony() {
            project.commands.entry(command).or_default().push(id);
            project.makers.extend(outputs.into_iter().map(|output| (output, id)));
        }
    }
    Ok(project)
}

/// A file as people know it: relative to the workspace where it is within.
pub(super) fn shown(path: &[u8], workspace: &[u8]) -> String {
    display(path, workspace).to_string()
}

struct Builder<'a> {
    manifest: &'a Manifest,
    directory: &'a [u8],
    graph: &'a mut Graph,
    context: &'a Context<'a>,
    flavour: Flavour,
    declarations: Declarations,
    cwd: PathId,
    /// The absolute form of every name of the manifest, as numbers in the graph.
    paths: Vec<PathId>,
    /// What dyndep files say, by the number of an output.
    dyndeps: HashMap<PathId, Dyndep>,
    /// What depfiles said, by the number of the output in the graph.
    log: HashMap<PathId, Vec<PathId>>,
}

impl<'a> Builder<'a> {
    fn new(
        manifest: &'a Manifest,
        directory: &'a [u8],
        graph: &'a mut Graph,
        context: &'a Context<'a>,
    ) -> Builder<'a> {
        let names = manifest.names.iter();
        let paths = names.map(|(_, name)| graph.paths.intern(&absolute(directory, name))).collect();
        let beside = |name: &[u8]| files::path(&absolute(directory, name)).exists();
        let flavour = if beside(b"CMakeCache.txt") {
            Flavour::Cmake
        } else if beside(b"meson-private") || beside(b"meson-info") {
            Flavour::Meson
        } else {
            Flavour::Ninja
        };
        let cwd = graph.paths.intern(directory);
        Builder {
            manifest,
            directory,
            graph,
            context,
            flavour,
            declarations: Declarations::Manifest,
            cwd,
            paths,
            dyndeps: HashMap::new(),
            log: HashMap::new(),
        }
    }

    fn path(&self, name: PathId) -> PathId {
        self.paths[name.0 as usize]
    }

    /// The number in the graph of a name that may not be in the manifest.
    fn intern(&mut self, name: &[u8]) -> PathId {
        self.graph.paths.intern(&absolute(self.directory, name))
    }

    fn exists(&self, name: PathId) -> bool {
        files::path(self.graph.paths.get(self.path(name))).exists()
    }

    fn place(&self, edge: &Edge) -> Place {
        let file = absolute(self.directory, &self.manifest.files[edge.file as usize]);
        Place { file: shown(&file, self.context.workspace), line: edge.line, column: 0 }
    }

    fn error(&self, edge: &Edge, what: &Message) -> Error {
        Error::Plain { message: format!("{}: {what}", self.place(edge)), hints: Vec::new() }
    }

    /// A variable of an edge that names a file or turns something on.
    fn file(&self, edge: &Edge, name: &[u8]) -> Result<Vec<u8>, Error> {
        let value = self.manifest.binding(edge, name, Quoting::None);
        value.map_err(|what| self.error(edge, &what))
    }

    /// Whether an edge makes the manifest `main`, or says that it makes one.
    fn configures(&self, edge: &Edge, main: &[u8]) -> Result<bool, Error> {
        let makes = edge.outputs.iter().any(|&output| self.manifest.name(output) == main);
        Ok(!edge.is_phony() && (makes || !self.file(edge, b"generator")?.is_empty()))
    }

    /// Where people declare an edge; the manifest's own line where that can't be told.
    fn declared_at(&self, edge: &Edge) -> Place {
        let of = |edge| self.declarations.of(self.manifest, edge, self.directory);
        // The links to a library are declared where it is.
        let linked = || match self.manifest.rule(edge).starts_with(b"CMAKE_SYMLINK_") {
            true => self.manifest.maker(*edge.inputs().first()?).and_then(of),
            false => None,
        };
        of(edge).or_else(linked).unwrap_or_else(|| self.place(edge))
    }

    /// Reads the dyndep files that are there. One that is not was not needed: ninja makes and
    /// reads it before the first edge that names it.
    fn read_dyndeps(&mut self) -> Result<(), Error> {
        let mut seen = HashSet::new();
        for edge in &self.manifest.edges {
            let name = self.file(edge, b"dyndep")?;
            if name.is_empty() || !seen.insert(name.clone()) {
                continue;
            }
            let Ok(text) = files::read(&absolute(self.directory, &name)) else { continue };
            let said = dyndep::read(&name, &text).map_err(|error| self.unreadable(&error))?;
            for said in said {
                if let Some(of) = self.manifest.names.find(&said.of) {
                    self.dyndeps.insert(of, said);
                }
            }
        }
        Ok(())
    }

    fn unreadable(&self, error: &ManifestError) -> Error {
        let directory = shown(self.directory, self.context.workspace);
        Error::Plain {
            message: format!("{directory}/{error}"),
            hints: vec!["remove that dyndep file and build again".to_owned()],
        }
    }

    /// Reads ninja's record of depfiles.
    fn read_log(&mut self) {
        let mut name = self.manifest.variable(b"builddir").to_vec();
        name.extend_from_slice(if name.is_empty() { b".ninja_deps" } else { b"/.ninja_deps" });
        let path = absolute(self.directory, &name);
        let Ok(bytes) = files::read(&path) else { return };
        let Ok(log) = Log::read(&bytes) else {
            (self.context.warn)(format!(
                "{}: a format that Airtight does not know, so the headers that ninja knows from \
                 depfiles count as undeclared; ninja 1.5 to 1.13 write formats that it knows",
                shown(&path, self.context.workspace)
            ));
            return;
        };
        let names: Vec<PathId> = log.names().iter().map(|name| self.intern(name)).collect();
        let name = |&id: &u32| names[id as usize];
        let entries = log.entries();
        self.log =
            entries.map(|(id, inputs)| (name(&id), inputs.iter().map(name).collect())).collect();
    }

    /// The edges that run in every build: those that depend on a phony name without inputs that is
    /// no file, the utility targets of CMake and meson with outputs that nobody makes, and all that
    /// depends on one of them, unless `restat` finds its outputs as they were.
    fn always(&self) -> HashSet<usize> {
        let mut users: HashMap<PathId, Vec<usize>> = HashMap::new();
        for (index, edge) in self.manifest.edges.iter().enumerate() {
            for &input in edge.inputs() {
                users.entry(input).or_default().push(index);
            }
        }
        let mut always = HashSet::new();
        let mut open: Vec<usize> = Vec::new();
        for (index, edge) in self.manifest.edges.iter().enumerate() {
            let nothing = edge.is_phony() && edge.all_inputs().is_empty();
            let missing = || edge.outputs.iter().any(|&output| !self.exists(output));
            if (nothing || self.is_utility(edge)) && missing() {
                always.insert(index);
                open.push(index);
            }
        }
        while let Some(index) = open.pop() {
            let edge = &self.manifest.edges[index];
            let restat = self.manifest.binding(edge, b"restat", Quoting::None);
            if restat.is_ok_and(|value| !value.is_empty()) {
                continue;
            }
            for &user in edge.outputs.iter().filter_map(|output| users.get(output)).flatten() {
                if always.insert(user) {
                    open.push(user);
                }
            }
        }
        always
    }

    /// What add_custom_target, `install`, `test`, `edit_cache` and their like are to CMake:
    /// `CMakeFiles/TARGET` and `CMakeFiles/TARGET.util`; and run_target and the like to meson:
    /// `meson-internal__TARGET`.
    fn is_utility(&self, edge: &Edge) -> bool {
        let name = self.manifest.name(edge.outputs[0]);
        let mut parts = name.rsplit(|&b| b == b'/');
        let last = parts.next().unwrap_or_default();
        let named = match self.flavour {
            Flavour::Cmake => last.ends_with(b".util") || parts.next() == Some(b"CMakeFiles"),
            Flavour::Meson => last.starts_with(meson::INTERNAL),
            _ => false,
        };
        named && self.manifest.rule(edge) == b"CUSTOM_COMMAND"
    }

    fn action(
        &mut self,
        edge: &Edge,
        command: &[u8],
        nature: Nature,
        run: RunId,
    ) -> Result<Action, Error> {
        let mut outputs: Vec<PathId> = edge.outputs.iter().map(|&name| self.path(name)).collect();
        // CMake names an output twice: as it is, and absolute.
        let mut seen = HashSet::new();
        outputs.retain(|&output| seen.insert(output));
        let mut inputs = Inputs::default();
        for &input in edge.inputs() {
            inputs.add(self.path(input), Via::Declared);
        }
        for &input in edge.order_only() {
            inputs.add(self.path(input), Via::OrderOnly);
        }
        // What a dyndep file says holds like what the manifest says: ninja reads it before it runs
        // the edge, and makes these inputs first.
        for said in edge.outputs.iter().filter_map(|output| self.dyndeps.get(output)) {
            let mut intern = |name| self.graph.paths.intern(&absolute(self.directory, name));
            for input in &said.inputs {
                inputs.add(intern(input), Via::Declared);
            }
            outputs.extend(said.outputs.iter().map(|output| intern(output)));
        }
        // ninja writes the response file, and runs the edge again when its content changes.
        let rspfile = self.file(edge, b"rspfile")?;
        if !rspfile.is_empty() {
            inputs.add(self.intern(&rspfile), Via::Declared);
        }
        let depfile = self.file(edge, b"depfile")?;
        for input in self.discovered(edge, &outputs, &depfile)? {
            inputs.add(input, Via::Depfile);
        }
        let first = shown(self.graph.paths.get(outputs[0]), self.context.workspace);
        Ok(Action {
            name: first,
            outputs,
            inputs: inputs.list,
            depfile: if depfile.is_empty() { PathId::NONE } else { self.intern(&depfile) },
            nature,
            run: Some(run),
            declared_at: Some(self.declared_at(edge)),
            flavour: self.flavour,
            cwd: self.cwd,
            command: String::from_utf8_lossy(command).into_owned(),
            closed: true,
        })
    }

    /// What a depfile said: from ninja's record, or, where that has nothing, from the depfile
    /// itself, which stays where the edge has no `deps` or has failed.
    fn discovered(
        &mut self,
        edge: &Edge,
        outputs: &[PathId],
        depfile: &[u8],
    ) -> Result<Vec<PathId>, Error> {
        if !self.file(edge, b"deps")?.is_empty()
            && let Some(inputs) = outputs.iter().find_map(|output| self.log.get(output))
        {
            return Ok(inputs.clone());
        }
        if depfile.is_empty() {
            return Ok(Vec::new());
        }
        let path = absolute(self.directory, depfile);
        let Ok(text) = files::read(&path) else { return Ok(Vec::new()) };
        match depfile::parse(&text) {
            Ok(said) => Ok(said.inputs.iter().map(|input| self.intern(input)).collect()),
            Err(error) => {
                // ninja fails on it as well, in the next build.
                let path = shown(&path, self.context.workspace);
                (self.context.warn)(format!("{path}: {error}; what it lists counts as undeclared"));
                Ok(Vec::new())
            }
        }
    }
}

/// Inputs, each as it is known first: what is declared needs no depfile.
#[derive(Default)]
struct Inputs {
    list: Vec<Input>,
    seen: HashSet<(PathId, Via)>,
}

impl Inputs {
    fn add(&mut self, path: PathId, via: Via) {
        let declared = self.seen.contains(&(path, Via::Declared));
        if !declared && self.seen.insert((path, via)) {
            self.list.push(Input { path, via });
        }
    }
}
