//! A declaration, compiled for look-ups by path.

use crate::declaration::Declaration;
use crate::depfile;
use crate::name::{absolute, ancestors, below, parent};
use crate::pattern::{Globs, anchor};
use crate::policy::Policy;
use crate::scopes::{Scope, Scopes};
use rustc_hash::FxHashMap;
use std::ops::BitOr;
use std::sync::Arc;

/// What a path is to the action: a set of roles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Roles(u8);

impl Roles {
    /// A file declared by name.
    pub(crate) const INPUT: Roles = Roles(1);
    /// Within a declared directory or matched by a declared glob.
    pub(crate) const INPUT_TREE: Roles = Roles(2);
    pub(crate) const OUTPUT: Roles = Roles(4);
    pub(crate) const SIDE_EFFECT: Roles = Roles(8);
    pub(crate) const TEMPORARY: Roles = Roles(16);
    /// A directory on the way to an output or a side effect.
    pub(crate) const ABOVE_OUTPUT: Roles = Roles(32);
    /// A directory on the way to anything declared.
    pub(crate) const ABOVE: Roles = Roles(64);

    /// Both sets.
    pub(crate) const fn and(self, other: Roles) -> Roles {
        Roles(self.0 | other.0)
    }

    /// Whether it has one of `roles` at least.
    pub(crate) fn any(self, roles: Roles) -> bool {
        self.0 & roles.0 != 0
    }

    pub(crate) fn is_input(self) -> bool {
        self.any(Roles::INPUT | Roles::INPUT_TREE)
    }
}

impl BitOr for Roles {
    type Output = Roles;
    fn bitor(self, other: Roles) -> Roles {
        Roles(self.0 | other.0)
    }
}

/// Everything known of paths before an action runs.
#[derive(Debug)]
pub(crate) struct Declared {
    pub(crate) workspace: Vec<u8>,
    pub(crate) cwd: Vec<u8>,
    /// Absolute names of the outputs, as declared.
    pub(crate) outputs: Vec<Vec<u8>>,
    /// Absolute names of the input files, as declared.
    pub(crate) files: Vec<Vec<u8>>,
    /// Absolute names of the input directories.
    pub(crate) directories: Vec<Vec<u8>>,
    /// The action's own temporary directory.
    pub(crate) temporary_directory: Option<Vec<u8>>,
    /// Roles of the path itself, and of everything at or below it.
    literal: FxHashMap<Vec<u8>, (Roles, Roles)>,
    globs: Vec<(Roles, Globs)>,
    scopes: Arc<Scopes>,
}

impl Declared {
    pub(crate) fn new(declaration: &Declaration, policy: &Policy) -> Declared {
        let workspace = absolute(b"/", &declaration.workspace);
        let (home, temporary) = (&declaration.home, &declaration.temporary_directory);
        let scopes = Scopes::new(policy, &workspace, home.as_deref(), temporary.as_deref());
        Declared::within(declaration, Arc::new(scopes))
    }

    /// With scopes that were compiled before.
    pub(crate) fn within(declaration: &Declaration, scopes: Arc<Scopes>) -> Declared {
        let workspace = absolute(b"/", &declaration.workspace);
        let cwd = absolute(&workspace, &declaration.cwd);
        let all = |list: &[Vec<u8>]| -> Vec<Vec<u8>> {
            list.iter().map(|path| absolute(&cwd, path)).collect()
        };
        let mut declared = Declared {
            outputs: all(&declaration.outputs),
            files: all(&declaration.files),
            directories: all(&declaration.directories),
            temporary_directory: declaration
                .temporary_directory
                .as_ref()
                .map(|path| absolute(b"/", path)),
            literal: FxHashMap::default(),
            globs: Vec::new(),
            scopes,
            workspace,
            cwd,
        };
        declared.compile_roles(declaration);
        declared
    }

    fn compile_roles(&mut self, declaration: &Declaration) {
        for path in self.files.clone() {
            self.add(path, Roles::INPUT, false);
        }
        for path in self.directories.clone() {
            self.add(path, Roles::INPUT_TREE, true);
        }
        for path in self.outputs.clone() {
            self.add(path, Roles::OUTPUT, true);
        }
        if let Some(depfile) = &declaration.depfile {
            self.add(absolute(&self.cwd, &depfile.path), Roles::OUTPUT, false);
            let content = depfile.content.as_deref().unwrap_or_default();
            // A depfile that can't be read declares nothing; the judge says so.
            for input in depfile::parse(content).map(|d| d.inputs).unwrap_or_default() {
                self.add(absolute(&self.cwd, &input), Roles::INPUT, false);
            }
        }
        let lists = [
            (&declaration.globs, Roles::INPUT_TREE, false),
            (&declaration.side_effects, Roles::SIDE_EFFECT, true),
            (&declaration.temporary, Roles::TEMPORARY, true),
        ];
        for (patterns, roles, trees) in lists {
            let anchored = anchor(patterns.iter(), &self.cwd, &|_| None);
            for literal in anchored.iter().filter(|p| p.glob.is_empty()) {
                self.add(literal.base.clone(), roles, trees);
            }
            let globs = Globs::compile(anchored.iter(), trees);
            self.globs.push((roles, globs));
        }
    }

    fn add(&mut self, path: Vec<u8>, roles: Roles, tree: bool) {
        let mut above = Roles::ABOVE;
        if roles.any(Roles::OUTPUT | Roles::SIDE_EFFECT) {
            above = above | Roles::ABOVE_OUTPUT;
        }
        for directory in parent(&path).into_iter().flat_map(ancestors) {
            let entry = self.literal.entry(directory.to_vec()).or_default();
            entry.0 = entry.0 | above;
        }
        let entry = self.literal.entry(path).or_default();
        let part = if tree { &mut entry.1 } else { &mut entry.0 };
        *part = *part | roles;
    }

    /// What `path` is to the action.
    pub(crate) fn roles(&self, path: &[u8]) -> Roles {
        let mut roles = self.literal.get(path).map(|r| r.0).unwrap_or_default();
        for directory in ancestors(path) {
            if let Some((_, tree)) = self.literal.get(directory) {
                roles = roles | *tree;
            }
        }
        for (role, globs) in &self.globs {
            if !roles.any(*role) && globs.is_match(path) {
                roles = roles | *role;
            }
        }
        roles
    }

    /// The scope of `path`.
    pub(crate) fn scope(&self, path: &[u8]) -> Scope {
        self.scopes.of(path)
    }

    /// Whether `path` lies in the action's own temporary directory.
    pub(crate) fn is_private(&self, path: &[u8]) -> bool {
        self.temporary_directory.as_ref().is_some_and(|own| below(path, own).is_some())
    }
}
