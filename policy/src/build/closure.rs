//! What one action is known to depend on, through all others.

use super::edges::Edges;
use super::graph::Via;
use super::parts::Slot;
use airtight_recording::PathId;
use rustc_hash::FxHashSet;
use std::cell::OnceCell;

/// The paths of a graph that one action depends on. Nothing is walked before it is asked for.
pub(super) struct Closure<'e, 'b> {
    edges: &'e Edges<'b>,
    slot: Slot,
    direct: OnceCell<FxHashSet<(PathId, Via)>>,
    declared: OnceCell<Walked>,
    all: OnceCell<Walked>,
    order: OnceCell<Walked>,
}

/// What was met on the way.
#[derive(Default)]
struct Walked {
    paths: FxHashSet<PathId>,
    actions: FxHashSet<u32>,
}

impl<'e, 'b> Closure<'e, 'b> {
    pub(super) fn new(edges: &'e Edges<'b>, slot: Slot) -> Closure<'e, 'b> {
        Closure {
            edges,
            slot,
            direct: OnceCell::new(),
            declared: OnceCell::new(),
            all: OnceCell::new(),
            order: OnceCell::new(),
        }
    }

    /// Whether the action itself names `path` so.
    pub(super) fn names(&self, path: PathId, via: Via) -> bool {
        let direct = self.direct.get_or_init(|| self.edges.inputs(self.slot).collect());
        direct.contains(&(path, via))
    }

    /// Whether the action runs again when `path` changes; with `declared`, because the
    /// description says so and no depfile.
    pub(super) fn covers(&self, path: PathId, declared: bool) -> bool {
        self.names(path, Via::Declared)
            || (!declared && self.names(path, Via::Depfile))
            || self.walked(declared).paths.contains(&path)
    }

    /// Whether the action runs again after `other` did; with `declared` as in `covers`.
    pub(super) fn follows(&self, other: u32, declared: bool) -> bool {
        self.walked(declared).actions.contains(&other)
    }

    /// Whether `path` is made before the action runs at least.
    pub(super) fn knows(&self, path: PathId) -> bool {
        let all = [Via::Declared, Via::Depfile, Via::OrderOnly];
        self.order.get_or_init(|| self.walk(&all)).paths.contains(&path)
    }

    fn walked(&self, declared: bool) -> &Walked {
        if declared {
            self.declared.get_or_init(|| self.walk(&[Via::Declared]))
        } else {
            self.all.get_or_init(|| self.walk(&[Via::Declared, Via::Depfile]))
        }
    }

    fn walk(&self, vias: &[Via]) -> Walked {
        let mut walked = Walked::default();
        let mut open = vec![self.slot];
        while let Some(action) = open.pop() {
            for (path, _) in self.edges.inputs(action).filter(|(_, via)| vias.contains(via)) {
                if !walked.paths.insert(path) {
                    continue;
                }
                for &maker in self.edges.makers(path) {
                    if maker != self.slot && walked.actions.insert(maker) {
                        open.push(maker);
                    }
                }
            }
        }
        // What is made together is up to date together.
        let Walked { paths, actions } = &mut walked;
        paths.extend(actions.iter().flat_map(|&action| self.edges.outputs(action)));
        walked
    }
}
