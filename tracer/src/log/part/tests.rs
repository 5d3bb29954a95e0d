//! Parts beside the whole, with a log fed by hand.

use super::*;
use airtight_recording::{Completeness, Kind, Op};

const FILE: &Fact<'_> = &Fact {
    kind: Kind::Read,
    op: Op::Open,
    path: b"/f",
    requested: b"",
    other: b"",
    errno: 0,
    flags: 0,
    object: libc::S_IFREG,
};

const WRITE: &Fact<'_> = &Fact { kind: Kind::Write, op: Op::Create, ..*FILE };

/// A tree whose root has begun a part, with the tallies of its processes.
struct Tree<'a> {
    log: Log<'a>,
    tallies: Vec<Tally>,
}

impl Tree<'_> {
    fn born(&mut self, parent: Option<u32>, part: Option<&Part>) -> ProcessId {
        let pid = 100 + self.tallies.len() as i32;
        let (id, tally) = self.log.birth(parent.map(ProcessId), pid, part);
        self.tallies.push(tally);
        id
    }

    fn does(&mut self, process: ProcessId, fact: &Fact<'_>) {
        self.log.begin();
        let tally = &mut self.tallies[process.0 as usize];
        self.log.emit(process, tally, Call::KERNEL, fact);
    }

    fn reads(&mut self, process: ProcessId, size: i64) {
        self.log.begin();
        let stat = stat(size);
        let tally = &mut self.tallies[process.0 as usize];
        self.log.emit_read(process, tally, Call::KERNEL, FILE, &stat);
    }

    fn dies(&mut self, process: ProcessId) {
        let tally = std::mem::take(&mut self.tallies[process.0 as usize]);
        self.log.death(process, tally, Exit::Code(0));
    }

    fn ends(&mut self, part: &Part) -> crate::Part {
        self.log.forget(part);
        part.end(self.log.now(), |pid| format!("p{pid}"), |_| Some(stat(7)))
    }
}

fn stat(size: i64) -> libc::stat {
    let mut stat = crate::sys::files::stat(crate::sys::files::CWD, c"/", true).expect("a root");
    (stat.st_size, stat.st_dev, stat.st_ino) = (size, 1, 1);
    (stat.st_mtime, stat.st_mtime_nsec, stat.st_ctime, stat.st_ctime_nsec) = (1, 0, 1, 0);
    stat
}

fn with_tree(test: impl FnOnce(&mut Tree<'_>)) -> Recording {
    let mut whole = Recording::default();
    let log = Log::new(&mut whole, &Header::default(), vec!["MARK".to_owned()]);
    let mut tree = Tree { log, tallies: Vec::new() };
    tree.born(None, None);
    test(&mut tree);
    tree.log.end(|_| None);
    drop(tree);
    whole
}

fn reasons(recording: &Recording) -> Vec<(Option<u32>, &str)> {
    match &recording.end {
        Some(Completeness::Incomplete { reasons }) => {
            reasons.iter().map(|r| (r.process.map(|p| p.0), r.detail.as_str())).collect()
        }
        Some(Completeness::Complete) => Vec::new(),
        None => panic!("no end"),
    }
}

fn doubt(tree: &mut Tree<'_>, process: Option<ProcessId>, detail: &str) {
    tree.log.incomplete(process, ReasonCode::Other, || detail.to_owned());
}

#[test]
fn a_part_has_its_own_processes_and_their_facts() {
    let mut cut = crate::Part::default();
    let whole = with_tree(|tree| {
        let before = tree.born(Some(0), None);
        tree.does(before, FILE);
        let part = Part::new(&Header::default(), Vec::new());
        let first = tree.born(Some(0), Some(&part));
        let second = tree.born(Some(first.0), None);
        tree.does(first, FILE);
        tree.does(second, WRITE);
        tree.does(second, WRITE);
        tree.does(before, WRITE);
        tree.log.note(second, HostKind::Network, b"1.2.3.4:5", 0);
        tree.log.note(before, HostKind::Network, b"6.7.8.9:0", 0);
        tree.dies(second);
        tree.dies(first);
        cut = tree.ends(&part);
        tree.dies(before);
        tree.dies(ProcessId(0));
    });
    let recording = cut.recording;
    let processes: Vec<_> =
        recording.processes.iter().map(|p| (p.pid, p.parent.map(|p| p.0))).collect();
    assert_eq!(processes, [(102, None), (103, Some(0))]);
    assert!(recording.processes.iter().all(|p| p.exit.is_some()));
    let facts: Vec<_> = recording.accesses.iter().map(|a| (a.process.0, a.kind, a.count)).collect();
    assert_eq!(facts, [(1, Kind::Write, 2), (0, Kind::Read, 1)]);
    assert_eq!(recording.host.len(), 1);
    assert!(recording.is_complete());
    assert_eq!(whole.processes.len(), 4);
    assert_eq!(whole.accesses.len(), 4);
    // One clock.
    let first = |r: &Recording, kind, process| {
        let is = |a: &&airtight_recording::Access| a.kind == kind && a.process == process;
        r.accesses.iter().find(is).map(|a| (a.first, a.last))
    };
    assert_eq!(
        first(&recording, Kind::Write, ProcessId(1)),
        first(&whole, Kind::Write, ProcessId(3))
    );
}

#[test]
fn reasons_that_concern_a_part_reach_it() {
    let mut cut = crate::Part::default();
    with_tree(|tree| {
        let other = tree.born(Some(0), None);
        doubt(tree, None, "before, of all");
        doubt(tree, Some(other), "before, of another");
        let part = Part::new(&Header::default(), Vec::new());
        let own = tree.born(Some(0), Some(&part));
        // The whole takes no more reasons at some point; the part still does.
        for i in 0..200 {
            doubt(tree, Some(other), &format!("of another, {i}"));
        }
        doubt(tree, None, "of all");
        doubt(tree, Some(own), "its own");
        tree.dies(own);
        doubt(tree, Some(own), "after its end");
        cut = tree.ends(&part);
        doubt(tree, None, "too late");
    });
    let expected = [
        (None, "before, of all"),
        (None, "of all"),
        (Some(0), "its own"),
        (Some(0), "after its end"),
    ];
    assert_eq!(reasons(&cut.recording), expected);
}

#[test]
fn who_lives_on_makes_a_part_incomplete() {
    let mut cut = crate::Part::default();
    with_tree(|tree| {
        let part = Part::new(&Header::default(), Vec::new());
        let own = tree.born(Some(0), Some(&part));
        tree.does(own, FILE);
        cut = tree.ends(&part);
        tree.does(own, WRITE);
        tree.born(Some(own.0), None);
    });
    assert_eq!(reasons(&cut.recording), [(Some(0), "p101 outlived the command and lives on")]);
    assert_eq!(cut.recording.host[0].kind, HostKind::SurvivingProcess);
    assert_eq!(cut.recording.accesses.len(), 1, "what it did until then, and no more");
    assert_eq!(cut.recording.processes.len(), 1);
}

#[test]
fn stamps_and_servers_are_those_of_the_part() {
    let mut cut = crate::Part::default();
    let whole = with_tree(|tree| {
        let other = tree.born(Some(0), None);
        tree.does(other, WRITE);
        tree.log.bound(other, b"/sock");
        let part = Part::new(&Header::default(), Vec::new());
        let own = tree.born(Some(0), Some(&part));
        tree.reads(own, 5);
        tree.reads(own, 6);
        tree.log.contact(own, HostKind::UnixSocket, b"/sock", 0);
        tree.log.bound(own, b"/mine");
        tree.log.contact(own, HostKind::UnixSocket, b"/mine", 0);
        tree.dies(own);
        cut = tree.ends(&part);
    });
    let stamps: Vec<_> =
        cut.recording.stamps.iter().map(|(_, b, a)| (b.size, a.map(|a| a.size))).collect();
    assert_eq!(stamps, [(5, Some(7))], "what another has written is an input here");
    let details: Vec<_> = cut.recording.host.iter().map(|note| &note.detail[..]).collect();
    assert_eq!(details, [b"/sock"]);
    assert!(whole.stamps.is_empty() && whole.host.is_empty(), "it is all within the whole");
}

#[test]
fn parts_have_parts() {
    let (mut inner_cut, mut outer_cut) = (crate::Part::default(), crate::Part::default());
    with_tree(|tree| {
        let outer = Part::new(&Header::default(), Vec::new());
        tree.log.begins(ProcessId(0));
        let middle = tree.born(Some(0), Some(&outer));
        let sibling = tree.born(Some(middle.0), None);
        let inner = Part::new(&Header::default(), Vec::new());
        tree.log.begins(middle);
        let deep = tree.born(Some(middle.0), Some(&inner));
        tree.does(sibling, FILE);
        tree.does(deep, WRITE);
        doubt(tree, None, "of all");
        assert!(tree.log.innermost(deep).is_some_and(|(_, id)| id == ProcessId(0)));
        tree.dies(deep);
        inner_cut = tree.ends(&inner);
        let late = tree.born(Some(middle.0), None);
        tree.does(late, WRITE);
        for process in [late, sibling, middle] {
            tree.dies(process);
        }
        outer_cut = tree.ends(&outer);
    });
    assert_eq!(inner_cut.recording.processes.len(), 1);
    assert_eq!(inner_cut.recording.accesses.len(), 1);
    assert!(inner_cut.begun.is_empty());
    assert_eq!(outer_cut.recording.processes.len(), 4);
    assert_eq!(outer_cut.recording.accesses.len(), 3);
    assert_eq!(outer_cut.begun, [ProcessId(0)], "in its own numbers");
    assert_eq!(reasons(&outer_cut.recording), [(None, "of all")]);
    assert_eq!(reasons(&inner_cut.recording), [(None, "of all")]);
}

#[test]
fn a_part_notes_the_variables_that_it_asked_for() {
    let mut cut = crate::Part::default();
    let whole = with_tree(|tree| {
        let part = Part::new(&Header::default(), vec!["OWN".to_owned()]);
        let own = tree.born(Some(0), Some(&part));
        assert!(tree.log.notes(own, b"OWN") && tree.log.notes(own, b"MARK"));
        assert!(!tree.log.notes(own, b"OTHER") && !tree.log.notes(ProcessId(0), b"OWN"));
        let env = [&b"OWN=1"[..], b"MARK=2", b"OTHER=3", b"=4", b"OWN"].map(<[u8]>::to_vec);
        tree.log.image(own, b"/x", super::super::Words { argv: Vec::new(), env: env.into() }, b"/");
        tree.dies(own);
        cut = tree.ends(&part);
    });
    assert_eq!(cut.recording.processes[0].images[0].env, [b"OWN=1"]);
    assert_eq!(whole.processes[1].images[0].env, [b"MARK=2"]);
}
