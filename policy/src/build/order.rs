//! Which action ends before which other begins, whatever the number of jobs.
//!
//! Each action has two points, its start and its end. An action starts after the ends of all that
//! it depends on; what only a depfile knows does not count, since in a clean build there is none.
//! The runs of a build tool lie between the start and the end of the action that started them, and
//! what makes the build description itself comes before the rest of its run. A run waits for what
//! it really ran only: a description has far more than one run asks for, and what several runs
//! could make must not tie them to each other.

use super::edges::Edges;
use super::graph::{Nature, Via};
use super::parts::Slot;
use airtight_recording::PathId;
use rustc_hash::FxHashMap;
use std::cell::RefCell;
use std::rc::Rc;

/// No more bytes of answers are kept.
const MOST_KEPT: usize = 64 << 20;

/// How two actions stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    /// The other always ends first.
    Before,
    /// The other always begins later.
    After,
    /// Nothing orders them.
    Unordered,
    /// The other runs as a part of this one.
    Within,
    /// The other's command runs the tool that this one belongs to.
    Around,
}

/// Answers questions on the order, and keeps the answers.
pub(super) struct Order<'e, 'b> {
    edges: &'e Edges<'b>,
    /// The run that each tree of processes that belongs to nobody was started by.
    strays: Vec<Option<u32>>,
    /// Which actions ran.
    ran: Vec<bool>,
    actions: u32,
    kept: RefCell<FxHashMap<u32, Rc<[u64]>>>,
}

impl<'e, 'b> Order<'e, 'b> {
    pub(super) fn new(
        edges: &'e Edges<'b>,
        strays: Vec<Option<u32>>,
        ran: Vec<bool>,
    ) -> Order<'e, 'b> {
        let actions = edges.graph.actions.len() as u32;
        Order { edges, strays, ran, actions, kept: RefCell::default() }
    }

    /// The run that a slot belongs to.
    pub(super) fn run(&self, slot: Slot) -> Option<u32> {
        match slot.checked_sub(self.actions) {
            Some(stray) => self.strays.get(stray as usize).copied().flatten(),
            None => self.edges.run(slot),
        }
    }

    /// How `other` stands to `own`.
    pub(super) fn relation(&self, own: Slot, other: Slot) -> Relation {
        if self.contains(own, other) {
            Relation::Within
        } else if self.contains(other, own) {
            Relation::Around
        } else if self.before(other, own) {
            Relation::Before
        } else if self.before(own, other) {
            Relation::After
        } else {
            Relation::Unordered
        }
    }

    /// Whether `inner` runs as a part of `outer`.
    pub(super) fn contains(&self, outer: Slot, inner: Slot) -> bool {
        let mut at = inner;
        // On made-up data runs may be within each other.
        for _ in 0..=self.edges.graph.runs.len() {
            let around = match self.run(at) {
                Some(run) => self.edges.around(run),
                // The command of the audit is around all.
                None => (at != 0).then_some(0),
            };
            match around {
                Some(around) if around == outer => return true,
                Some(around) => at = around,
                None => return false,
            }
        }
        false
    }

    /// Whether `first` always ends before `second` begins.
    pub(super) fn before(&self, first: Slot, second: Slot) -> bool {
        let ancestors = self.ancestors(second);
        let has = |node: u32| {
            ancestors.get(node as usize / 64).is_some_and(|word| word >> (node % 64) & 1 == 1)
        };
        // What did not have to run is as it should be when its run has ended.
        let idle = || self.run(first).filter(|_| !self.ran(first));
        has(end(first)) || idle().is_some_and(|run| has(self.point(run, RUN_END)))
    }

    /// Whether a slot ran itself, or a tool that did.
    fn ran(&self, slot: Slot) -> bool {
        self.ran.get(slot as usize).is_none_or(|&ran| ran) || !self.edges.runs_of(slot).is_empty()
    }

    /// All points before the start of `slot`, as bits.
    fn ancestors(&self, slot: Slot) -> Rc<[u64]> {
        if let Some(known) = self.kept.borrow().get(&slot) {
            return Rc::clone(known);
        }
        let nodes = self.base() as usize + 4 * self.edges.graph.runs.len();
        let mut bits = vec![0u64; nodes.div_ceil(64)];
        let mut open = vec![start(slot)];
        while let Some(node) = open.pop() {
            self.predecessors(node, &mut |before| {
                let (word, bit) = (before as usize / 64, 1u64 << (before % 64));
                if let Some(word) = bits.get_mut(word)
                    && *word & bit == 0
                {
                    *word |= bit;
                    open.push(before);
                }
            });
        }
        let bits: Rc<[u64]> = bits.into();
        let mut kept = self.kept.borrow_mut();
        if (kept.len() + 1) * bits.len() * 8 > MOST_KEPT {
            kept.clear();
        }
        kept.insert(slot, Rc::clone(&bits));
        bits
    }

    /// The first number that is no action's.
    fn base(&self) -> u32 {
        2 * (self.actions + self.strays.len() as u32)
    }

    fn predecessors(&self, node: u32, found: &mut dyn FnMut(u32)) {
        let base = self.base();
        if node >= base {
            let (run, point) = ((node - base) / 4, (node - base) % 4);
            return self.before_run(run, point, found);
        }
        let slot = node / 2;
        if node == end(slot) {
            found(start(slot));
            for &run in if slot < self.actions { self.edges.runs_of(slot) } else { &[] } {
                found(self.point(run, RUN_END));
            }
            return;
        }
        if let Some(run) = self.run(slot) {
            let configures = slot < self.actions && self.edges.nature(slot) == Nature::Configure;
            found(self.point(run, if configures { RUN_START } else { RUN_READY }));
        }
        if slot >= self.actions {
            return;
        }
        for (path, via) in self.edges.inputs(slot) {
            if via != Via::Depfile {
                let makers = self.made_first(slot, path);
                makers.filter(|&maker| maker != slot).for_each(|maker| found(end(maker)));
            }
        }
    }

    /// The actions that make an input of `slot` before it begins. A tool knows no rules but its
    /// own: when each of several runs has one for a file (automake's for `config.status`), theirs
    /// is the one in the same run, else one that was read in the same directory.
    fn made_first(&self, slot: Slot, path: PathId) -> impl Iterator<Item = u32> {
        let makers = self.edges.makers(path);
        let cwd = move |id: u32| self.edges.action(id).map(|action| action.cwd);
        let same_run = move |maker: &u32| self.run(*maker) == self.run(slot);
        let same_cwd = move |maker: &u32| cwd(*maker) == cwd(slot);
        let (by_run, by_cwd) = (makers.iter().any(same_run), makers.iter().any(same_cwd));
        let own = move |maker: &u32| match (by_run, by_cwd) {
            (true, _) => same_run(maker),
            (false, true) => same_cwd(maker),
            (false, false) => true,
        };
        makers.iter().copied().filter(own)
    }

    fn before_run(&self, run: u32, point: u32, found: &mut dyn FnMut(u32)) {
        match point {
            RUN_START => {
                if let Some(around) = self.edges.around(run) {
                    found(start(around));
                }
                found(self.point(run, TURN));
            }
            TURN => {
                let (last, ended) = self.edges.before(run);
                last.into_iter().for_each(|last| found(self.point(last, TURN)));
                ended.iter().for_each(|&ended| found(self.point(ended, RUN_END)));
            }
            RUN_READY => {
                found(self.point(run, RUN_START));
                let actions = self.edges.actions_of(run).iter();
                let makes =
                    |id: &&u32| self.edges.nature(**id) == Nature::Configure && self.ran(**id);
                actions.filter(makes).for_each(|&id| found(end(id)));
            }
            _ => {
                found(self.point(run, RUN_START));
                let actions = self.edges.actions_of(run).iter();
                actions.filter(|&&id| self.ran(id)).for_each(|&id| found(end(id)));
                for (stray, of) in (self.actions..).zip(&self.strays) {
                    if *of == Some(run) {
                        found(end(stray));
                    }
                }
            }
        }
    }

    fn point(&self, run: u32, point: u32) -> u32 {
        self.base() + 4 * run + point
    }
}

/// The tool begins.
const RUN_START: u32 = 0;
/// The build description is up to date.
const RUN_READY: u32 = 1;
/// Everything that the tool started has ended.
const RUN_END: u32 = 2;
/// The script has come to the run.
const TURN: u32 = 3;

fn start(slot: Slot) -> u32 {
    slot.saturating_mul(2)
}

fn end(slot: Slot) -> u32 {
    slot.saturating_mul(2).saturating_add(1)
}
