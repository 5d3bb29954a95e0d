//! A small file tree in memory: what each call must answer, and which facts it must leave.

use std::collections::{BTreeMap, BTreeSet};

/// The number of a file, directory or link.
pub(super) type Id = usize;

/// The root of the tree: the world's directory.
pub(super) const ROOT: Id = 0;

enum Node {
    File,
    Link(String),
    Dir { entries: BTreeMap<String, Id>, up: Option<(Id, String)> },
}

/// Where a walk along a name ended.
pub(super) enum Walked {
    /// There: the node, its canonical name, and the directory and entry that hold it (none when
    /// the name ended in dots).
    Found { id: Id, path: String, at: Option<(Id, String)> },
    /// All but the last part is there.
    Missing { dir: Id, name: String, path: String },
    /// A part on the way is absent (ENOENT) or no directory (ENOTDIR).
    Stuck { path: String, error: &'static str },
    /// Out of the tree, a loop, or a case that the rules leave open.
    Beyond,
}

/// The tree, and the facts so far.
pub(super) struct Tree {
    nodes: Vec<Node>,
    /// The current directory.
    pub(super) cwd: Id,
    /// Facts that must be there.
    pub(super) facts: BTreeSet<String>,
    /// Facts that may be there.
    pub(super) open: BTreeSet<String>,
}

impl Tree {
    pub(super) fn new() -> Tree {
        Tree {
            nodes: vec![Node::Dir { entries: BTreeMap::new(), up: None }],
            cwd: ROOT,
            facts: BTreeSet::new(),
            open: BTreeSet::new(),
        }
    }

    pub(super) fn must(&mut self, kind: &str, path: &str) {
        self.facts.insert(format!("{kind} {path}"));
    }

    pub(super) fn may(&mut self, kind: &str, path: &str) {
        self.open.insert(format!("{kind} {path}"));
    }

    pub(super) fn is_dir(&self, id: Id) -> bool {
        matches!(self.nodes[id], Node::Dir { .. })
    }

    pub(super) fn is_link(&self, id: Id) -> bool {
        matches!(self.nodes[id], Node::Link(_))
    }

    pub(super) fn is_empty(&self, id: Id) -> bool {
        matches!(&self.nodes[id], Node::Dir { entries, .. } if entries.is_empty())
    }

    /// The canonical name of a directory.
    pub(super) fn path(&self, dir: Id) -> String {
        match &self.nodes[dir] {
            Node::Dir { up: Some((parent, name)), .. } => join(&self.path(*parent), name),
            _ => ".".to_owned(),
        }
    }

    /// Whether `dir` is `other` or holds it.
    pub(super) fn holds(&self, dir: Id, other: Id) -> bool {
        match &self.nodes[other] {
            _ if dir == other => true,
            Node::Dir { up: Some((parent, _)), .. } => self.holds(dir, *parent),
            _ => false,
        }
    }

    /// The names below a node, relative to it, each with a slash before it.
    pub(super) fn below(&self, id: Id) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        if let Node::Dir { entries, .. } = &self.nodes[id] {
            for (name, &child) in entries {
                names.insert(format!("/{name}"));
                names.extend(self.below(child).iter().map(|rest| format!("/{name}{rest}")));
            }
        }
        names
    }

    fn entries(&mut self, dir: Id) -> &mut BTreeMap<String, Id> {
        match &mut self.nodes[dir] {
            Node::Dir { entries, .. } => entries,
            _ => unreachable!("a directory"),
        }
    }

    pub(super) fn attach(&mut self, dir: Id, name: &str, id: Id) {
        self.entries(dir).insert(name.to_owned(), id);
        if let Node::Dir { up, .. } = &mut self.nodes[id] {
            *up = Some((dir, name.to_owned()));
        }
    }

    pub(super) fn detach(&mut self, dir: Id, name: &str) {
        self.entries(dir).remove(name);
    }

    fn add(&mut self, dir: Id, name: &str, node: Node) -> Id {
        self.nodes.push(node);
        let id = self.nodes.len() - 1;
        self.attach(dir, name, id);
        id
    }

    pub(super) fn add_file(&mut self, dir: Id, name: &str) -> Id {
        self.add(dir, name, Node::File)
    }

    pub(super) fn add_dir(&mut self, dir: Id, name: &str) -> Id {
        self.add(dir, name, Node::Dir { entries: BTreeMap::new(), up: None })
    }

    pub(super) fn add_link(&mut self, dir: Id, name: &str, text: &str) -> Id {
        self.add(dir, name, Node::Link(text.to_owned()))
    }

    /// Follows a name; the links on the way are left in `hops`.
    pub(super) fn walk(
        &self,
        start: Id,
        name: &str,
        follow: bool,
        hops: &mut Vec<String>,
    ) -> Walked {
        let mut rest: Vec<&str> = parts(name);
        let (mut id, mut path, mut at) = match name.strip_prefix("$T") {
            Some(_) => (ROOT, ".".to_owned(), None),
            None => (start, self.path(start), None),
        };
        while let Some(part) = rest.pop() {
            let Node::Dir { entries, up } = &self.nodes[id] else {
                return match part {
                    // Which name was missing then is left open.
                    "." | ".." => Walked::Beyond,
                    _ => Walked::Stuck { path: join(&path, part), error: "ENOTDIR" },
                };
            };
            match (part, up) {
                (".", _) => at = None,
                ("..", None) => return Walked::Beyond,
                ("..", Some((parent, _))) => {
                    (id, path, at) = (*parent, self.path(*parent), None);
                }
                _ => {
                    let here = join(&self.path(id), part);
                    let Some(&child) = entries.get(part) else {
                        return match rest.is_empty() {
                            true => Walked::Missing { dir: id, name: part.to_owned(), path: here },
                            false => Walked::Stuck { path: here, error: "ENOENT" },
                        };
                    };
                    match &self.nodes[child] {
                        Node::Link(text) if follow || !rest.is_empty() => {
                            hops.push(here);
                            if hops.len() > 30 {
                                return Walked::Beyond;
                            }
                            rest.extend(parts(text));
                            if text.starts_with("$T") {
                                (id, path) = (ROOT, ".".to_owned());
                            }
                        }
                        _ => {
                            at = Some((id, part.to_owned()));
                            (id, path) = (child, here);
                        }
                    }
                }
            }
        }
        Walked::Found { id, path, at }
    }
}

/// The parts of a name, last first. A name ends in no slash here.
fn parts(name: &str) -> Vec<&str> {
    name.trim_start_matches("$T").split('/').filter(|p| !p.is_empty()).rev().collect()
}

fn join(dir: &str, name: &str) -> String {
    if dir == "." { name.to_owned() } else { format!("{dir}/{name}") }
}
