//! The scopes of a policy, compiled for look-ups by path.

use crate::name::{ancestors, components};
use crate::pattern::{Globs, Pattern, anchor};
use crate::policy::Policy;
use rustc_hash::FxHashMap;

/// A named part of the file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// In none of the lists.
    Outside,
    Workspace,
    Toolchain,
    Temporary,
    Host,
    Ignored,
    Denied,
}

impl Scope {
    /// Which one wins when two entries are equally long.
    fn rank(self) -> u8 {
        self as u8
    }
}

/// Which scope each path is in.
#[derive(Debug)]
pub(crate) struct Scopes {
    literal: FxHashMap<Vec<u8>, Scope>,
    globs: Globs,
    /// How many components each pattern has, and its scope.
    of_glob: Vec<(usize, Scope)>,
}

impl Scopes {
    pub(crate) fn new(
        policy: &Policy,
        workspace: &[u8],
        home: Option<&[u8]>,
        temporary_directory: Option<&[u8]>,
    ) -> Scopes {
        let lists = &policy.scopes;
        let lists = [
            (&lists.workspace, Scope::Workspace),
            (&lists.toolchain, Scope::Toolchain),
            (&lists.temporary, Scope::Temporary),
            (&lists.host, Scope::Host),
            (&lists.ignored, Scope::Ignored),
            (&lists.denied, Scope::Denied),
        ];
        let variable = |name: &str| match name {
            "WORKSPACE" => Some(workspace.to_vec()),
            "TMPDIR" => temporary_directory.map(<[u8]>::to_vec),
            "HOME" => home.map(<[u8]>::to_vec),
            _ => None,
        };
        let patterns: Vec<(&Pattern, Scope)> =
            lists.iter().flat_map(|(list, scope)| list.iter().map(move |p| (p, *scope))).collect();
        let anchored = anchor(patterns.iter().map(|(p, _)| *p), workspace, &variable);
        let mut literal = FxHashMap::default();
        let mut of_glob = vec![(0, Scope::Outside); patterns.len()];
        for pattern in &anchored {
            let scope = patterns[pattern.index].1;
            if pattern.glob.is_empty() {
                let known = literal.entry(pattern.base.clone()).or_insert(scope);
                if known.rank() < scope.rank() {
                    *known = scope;
                }
            } else {
                let length =
                    components(&pattern.base).count() + components(pattern.glob.as_bytes()).count();
                of_glob[pattern.index] = (length, scope);
            }
        }
        Scopes { literal, globs: Globs::compile(anchored.iter(), true), of_glob }
    }

    /// The scope of `path`: that of the entry with the most components.
    pub(crate) fn of(&self, path: &[u8]) -> Scope {
        let mut best = (0, self.literal.get(b"/".as_slice()).copied().unwrap_or(Scope::Outside));
        for directory in ancestors(path) {
            if let Some(&scope) = self.literal.get(directory) {
                best = (components(directory).count(), scope);
                break;
            }
        }
        self.globs.matches(path, |index| {
            let (length, scope) = self.of_glob[index];
            if (length, scope.rank()) > (best.0, best.1.rank()) {
                best = (length, scope);
            }
        });
        best.1
    }
}
