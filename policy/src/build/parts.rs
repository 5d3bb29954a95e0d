//! Cuts the recording of a build into one recording per action.

use super::Build;
use super::attribution::Owner;
use super::understood::Understood;
use airtight_recording::{Access, Exit, Image, PathId, Paths, Process, ProcessId, Recording};

/// Who does something in a build, as a dense number: the actions of the graph, then the trees of
/// processes that belong to nobody, then all build tools together, and last what works for them
/// while they read their descriptions.
pub(super) type Slot = u32;

/// Whose work each process, access and note of a recording is.
pub(super) struct Parts<'a> {
    pub(super) recording: &'a Recording,
    /// How many actions the graph has.
    pub(super) actions: u32,
    /// The first process of each tree that belongs to nobody, and the run that started it.
    pub(super) strays: Vec<(ProcessId, Option<u32>)>,
    /// Whose work each process does from when on, each with one entry at least.
    spans: Lists<(u64, Slot)>,
    /// Accesses by slot, as indices.
    accesses: Lists<u32>,
    /// Processes by slot.
    processes: Lists<u32>,
    /// Notes by slot, as indices.
    notes: Lists<u32>,
    understood: Understood,
    scratch: Scratch,
}

/// A recording of one slot's own.
pub(super) struct Part {
    pub(super) recording: Recording,
    /// The number in the whole recording of each path.
    pub(super) whole: Vec<PathId>,
}

/// Lists in one piece of memory.
struct Lists<T> {
    items: Vec<T>,
    starts: Vec<u32>,
}

impl<T: Copy + Default> Lists<T> {
    /// Of pairs of list and item; within a list in the order given.
    fn new(lists: usize, pairs: impl Iterator<Item = (u32, T)> + Clone) -> Lists<T> {
        let mut starts = vec![0u32; lists + 1];
        for (list, _) in pairs.clone() {
            starts[list as usize + 1] += 1;
        }
        for list in 0..lists {
            starts[list + 1] += starts[list];
        }
        let mut free = starts.clone();
        let mut items = vec![T::default(); starts[lists] as usize];
        for (list, item) in pairs {
            items[free[list as usize] as usize] = item;
            free[list as usize] += 1;
        }
        Lists { items, starts }
    }

    fn of(&self, list: u32) -> &[T] {
        let list = list as usize;
        match self.starts.get(list..list + 2) {
            Some(&[start, end]) => &self.items[start as usize..end as usize],
            _ => &[],
        }
    }
}

/// Numbers in the part that is being cut, by numbers in the whole; valid where the mark is that of
/// the part.
struct Scratch {
    mark: u32,
    paths: Vec<(u32, PathId)>,
    processes: Vec<(u32, ProcessId)>,
}

impl<'a> Parts<'a> {
    pub(super) fn new(build: &Build, recording: &'a Recording) -> Parts<'a> {
        let actions = u32::try_from(build.graph.actions.len()).unwrap_or(u32::MAX);
        let mut strays: Vec<(ProcessId, Option<u32>)> = Vec::new();
        let mut spans: Vec<(u32, (u64, Slot))> = Vec::new();
        // The stray tree of each process, by its position in `strays`.
        let mut tree_of: Vec<Option<u32>> = vec![None; recording.processes.len()];
        // Tools get the number after the strays, which is known at the end only.
        const TOOL: Slot = u32::MAX;
        const PARSING: Slot = u32::MAX - 1;
        for (id, process) in (0u32..).zip(&recording.processes) {
            let mut stray = |run: Option<u32>, known: &mut Vec<(ProcessId, Option<u32>)>| {
                let parent = process.parent.filter(|parent| parent.0 < id);
                let above = parent.and_then(|parent| tree_of[parent.0 as usize]);
                let tree = tree_of[id as usize].or(above).unwrap_or_else(|| {
                    known.push((ProcessId(id), run));
                    known.len() as u32 - 1
                });
                tree_of[id as usize] = Some(tree);
                actions.saturating_add(tree)
            };
            let of = build.attribution.of(ProcessId(id));
            if of.is_empty() {
                let slot = stray(None, &mut strays);
                spans.push((id, (0, slot)));
            }
            for span in of {
                let slot = match span.owner {
                    Owner::Tool(_) => TOOL,
                    Owner::Parsing(_) => PARSING,
                    Owner::Action(action) if action.0 < actions => action.0,
                    Owner::Action(_) => stray(None, &mut strays),
                    Owner::Nobody(run) => stray(Some(run.0), &mut strays),
                };
                spans.push((id, (span.since, slot)));
            }
        }
        let tools = actions.saturating_add(strays.len() as u32);
        for (_, (_, slot)) in &mut spans {
            *slot = match *slot {
                TOOL => tools,
                PARSING => tools.saturating_add(1),
                slot => slot,
            };
        }
        let spans = Lists::new(recording.processes.len(), spans.iter().copied());
        let understood = Understood::new(build, recording);
        let slots = tools as usize + 2;
        let slot_of = |access: &Access| match understood.is(access) {
            true => None,
            false => slot_at(&spans, access.process, access.first),
        };
        let accesses = (0u32..).zip(&recording.accesses);
        let owned: Vec<(u32, u32)> = accesses.filter_map(|(i, a)| Some((slot_of(a)?, i))).collect();
        let accesses = Lists::new(slots, owned.iter().copied());
        drop(owned);
        let mut members: Vec<(u32, u32)> = Vec::new();
        for id in 0..recording.processes.len() as u32 {
            let from = members.len();
            for &(_, slot) in spans.of(id) {
                if !members[from..].contains(&(slot, id)) {
                    members.push((slot, id));
                }
            }
        }
        let notes = (0u32..).zip(&recording.host);
        let notes: Vec<(u32, u32)> = notes
            .filter_map(|(i, note)| Some((slot_at(&spans, note.process, note.first)?, i)))
            .collect();
        Parts {
            recording,
            actions,
            strays,
            accesses,
            processes: Lists::new(slots, members.iter().copied()),
            notes: Lists::new(slots, notes.iter().copied()),
            spans,
            understood,
            scratch: Scratch {
                mark: 0,
                paths: vec![(0, PathId::NONE); recording.paths.len()],
                processes: vec![(0, ProcessId(0)); recording.processes.len()],
            },
        }
    }

    /// How many there are.
    pub(super) fn slots(&self) -> u32 {
        self.tools().saturating_add(2)
    }

    /// The slot of all build tools: the first one that is not judged.
    pub(super) fn tools(&self) -> Slot {
        self.actions.saturating_add(self.strays.len() as u32)
    }

    /// Whose work a process did at some time.
    pub(super) fn slot_at(&self, process: ProcessId, seq: u64) -> Option<Slot> {
        slot_at(&self.spans, process, seq)
    }

    /// Whose work an access is; none of what nothing depends on.
    pub(super) fn slot_of(&self, access: &Access) -> Option<Slot> {
        if self.understood.is(access) {
            return None;
        }
        self.slot_at(access.process, access.first)
    }

    /// The processes that worked for a slot.
    pub(super) fn processes(&self, slot: Slot) -> &[u32] {
        self.processes.of(slot)
    }

    /// The accesses of a slot, as indices.
    pub(super) fn accesses(&self, slot: Slot) -> &[u32] {
        self.accesses.of(slot)
    }

    /// How the work of a slot ended: the command of the audit with its first process, an action
    /// with the last one that its tool started.
    pub(super) fn exit(&self, slot: Slot) -> Option<Exit> {
        let processes = self.processes.of(slot);
        let process = |id: u32| &self.recording.processes[id as usize];
        let root = |id: &u32| {
            let parent = process(*id).parent.filter(|parent| parent.0 < *id);
            parent.is_none_or(|parent| processes.binary_search(&parent.0).is_err())
        };
        let mut roots = processes.iter().copied().filter(root);
        let last = if slot == 0 { roots.next() } else { roots.next_back() };
        last.and_then(|id| process(id).exit).map(|(_, exit)| exit)
    }

    /// Cuts out what belongs to `slot`. Without `evidence` it holds only what a replay needs.
    pub(super) fn cut(&mut self, slot: Slot, evidence: bool) -> Part {
        self.scratch.mark += 1;
        let Parts { recording, ref spans, ref accesses, ref processes, ref notes, .. } = *self;
        let scratch = &mut self.scratch;
        let accesses = accesses.of(slot);
        let mut part = Recording {
            syscalls: if evidence { recording.syscalls.clone() } else { Vec::new() },
            accesses: Vec::with_capacity(accesses.len()),
            end: recording.end.clone(),
            ..Recording::default()
        };
        let mut cutter = Cutter { scratch, paths: &recording.paths, whole: vec![PathId::NONE] };
        for &id in processes.of(slot) {
            let process = &recording.processes[id as usize];
            let parent = process.parent.and_then(|parent| cutter.process(parent));
            let own = ProcessId(part.processes.len() as u32);
            cutter.scratch.processes[id as usize] = (cutter.scratch.mark, own);
            let mut images = Vec::new();
            if evidence {
                let mine = |image: &&Image| slot_at(spans, ProcessId(id), image.seq) == Some(slot);
                images.extend(process.images.iter().filter(mine).map(|image| Image {
                    exe: cutter.path(&mut part.paths, image.exe),
                    cwd: cutter.path(&mut part.paths, image.cwd),
                    env: Vec::new(),
                    ..image.clone()
                }));
            }
            part.processes.push(Process { id: own, parent, images, ..*process });
        }
        for &index in accesses {
            let access = &recording.accesses[index as usize];
            let Some(process) = cutter.process(access.process) else { continue };
            part.accesses.push(Access {
                process,
                path: cutter.path(&mut part.paths, access.path),
                requested: cutter.path(&mut part.paths, access.requested),
                other: cutter.path(&mut part.paths, access.other),
                ..*access
            });
        }
        if evidence {
            for &index in notes.of(slot) {
                let mut note = recording.host[index as usize].clone();
                let Some(process) = cutter.process(note.process) else { continue };
                note.process = process;
                part.host.push(note);
            }
        }
        Part { whole: cutter.whole, recording: part }
    }
}

fn slot_at(spans: &Lists<(u64, Slot)>, process: ProcessId, seq: u64) -> Option<Slot> {
    let spans = spans.of(process.0);
    let at = spans.partition_point(|&(since, _)| since <= seq);
    spans.get(at.saturating_sub(1)).map(|&(_, slot)| slot)
}

/// Gives the part its own numbers.
struct Cutter<'s> {
    scratch: &'s mut Scratch,
    paths: &'s Paths,
    whole: Vec<PathId>,
}

impl Cutter<'_> {
    fn path(&mut self, own: &mut Paths, id: PathId) -> PathId {
        if id.is_none() {
            return id;
        }
        let Some(known) = self.scratch.paths.get_mut(id.0 as usize) else { return PathId::NONE };
        if known.0 != self.scratch.mark {
            *known = (self.scratch.mark, own.intern(self.paths.get(id)));
            self.whole.push(id);
        }
        known.1
    }

    fn process(&self, id: ProcessId) -> Option<ProcessId> {
        let &(mark, own) = self.scratch.processes.get(id.0 as usize)?;
        (mark == self.scratch.mark).then_some(own)
    }
}
