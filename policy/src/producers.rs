//! What other actions of a build have to do with a path: given by an adapter that knows the
//! build's graph.

use crate::name::parent;
use crate::source::Place;
use rustc_hash::FxHashMap;

/// How another action is ordered against the one that is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// It always ends before.
    Before,
    /// Nothing orders them.
    Unordered,
    /// It waits for the judged action.
    After,
}

/// What another action does to a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// It declares it as an output.
    Output,
    /// It writes it without declaring it.
    UndeclaredOutput,
    /// It makes and removes it.
    Temporary,
    /// It looked for it and found it absent.
    AbsentProbe,
    /// It declares it as an input.
    Input,
}

/// Another action, as far as one path is concerned.
#[derive(Clone, Debug)]
pub struct Producer {
    /// Its name.
    pub action: String,
    /// Where it is declared.
    pub declared_at: Option<Place>,
    /// How it is ordered against the judged action.
    pub order: Order,
    /// What it does to the path.
    pub part: Part,
}

/// All that is known of other actions. Empty when one action is judged alone.
#[derive(Clone, Debug, Default)]
pub struct Producers {
    by_path: FxHashMap<Vec<u8>, Vec<Producer>>,
}

impl Producers {
    /// Says that `producer` has to do with `path` (absolute, canonical).
    pub fn add(&mut self, path: Vec<u8>, producer: Producer) {
        self.by_path.entry(path).or_default().push(producer);
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.by_path.is_empty()
    }

    /// The first action that does one of `parts` to `path` itself.
    pub(crate) fn find(&self, path: &[u8], parts: &[Part]) -> Option<&Producer> {
        self.by_path.get(path)?.iter().find(|producer| parts.contains(&producer.part))
    }

    /// The same for `path` or a directory above it.
    pub(crate) fn find_above(&self, path: &[u8], parts: &[Part]) -> Option<&Producer> {
        std::iter::successors(Some(path), |p| parent(p)).find_map(|p| self.find(p, parts))
    }
}
