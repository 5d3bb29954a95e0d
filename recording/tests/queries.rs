//! Questions that judges and people ask of a recording.

#[path = "common/example.rs"]
mod example;

use airtight_recording::diff::{Side, diff};
use airtight_recording::{Access, Completeness, Exit, Kind, Op, ProcessId, Recording};

fn find<'a>(recording: &'a Recording, path: &[u8], kind: Kind) -> &'a Access {
    let id = recording.paths.find(path).expect("the path is known");
    let found = recording.index().of(id).find(|access| access.kind == kind);
    found.expect("there is such an access")
}

fn hops<'a>(recording: &'a Recording, access: &Access) -> Vec<&'a [u8]> {
    recording.hops(access).iter().map(|hop| recording.path(hop.path)).collect()
}

#[test]
fn hops_lead_from_the_requested_name_to_the_canonical_one() {
    let recording = example::compile();
    let header = find(&recording, b"/w/gen/cfg.h", Kind::Read);
    assert_eq!(hops(&recording, header), [&b"/w/inc"[..], b"/w/include/cfg.h"]);
    let gcc = find(&recording, b"/usr/bin/x86_64-linux-gnu-gcc-12", Kind::Exec);
    assert_eq!(hops(&recording, gcc), [b"/usr/bin/gcc"]);
    let source = find(&recording, b"/w/caf\xe9.c", Kind::Read);
    assert!(hops(&recording, source).is_empty());
}

#[test]
fn a_link_that_is_itself_the_object_is_no_hop() {
    let mut recording = example::compile();
    let mut access = *find(&recording, b"/w/include/cfg.h", Kind::Link);
    access.requested = recording.paths.intern(b"/w/inc/cfg.h");
    (access.kind, access.op) = (Kind::Probe, Op::Stat);
    assert_eq!(hops(&recording, &access), [b"/w/inc"]);
}

#[test]
fn looping_links_end() {
    let mut recording = example::compile();
    let mut link = *find(&recording, b"/w/inc", Kind::Link);
    link.other = recording.paths.intern(b"inc/inc");
    recording.accesses.retain(|access| access.path != link.path);
    recording.accesses.push(link);
    let header = *find(&recording, b"/w/gen/cfg.h", Kind::Read);
    assert_eq!(hops(&recording, &header).len(), 40);
}

#[test]
fn first_times_and_groups() {
    let recording = example::compile();
    let index = recording.index();
    let id = |path: &[u8]| recording.paths.find(path).expect("known");
    let object = id(b"/w/caf\xe9.o");
    assert_eq!((index.first_write(object), index.first_read(object)), (Some(50), Some(61)));
    let absent = id(b"/w/src/cfg.h");
    assert_eq!((index.first_write(absent), index.first_read(absent)), (None, None));
    let mut seen = 0;
    for (path, group) in index.by_path() {
        let group: Vec<_> = group.collect();
        assert!(group.iter().all(|access| access.path == path));
        assert!(group.is_sorted_by_key(|access| access.first));
        assert_eq!(recording.first_read(path), index.first_read(path));
        assert_eq!(recording.first_write(path), index.first_write(path));
        seen += group.len();
    }
    assert_eq!(seen, recording.accesses.len());
}

#[test]
fn the_chain_leaves_out_what_only_forked() {
    let recording = example::compile();
    let chain = |process, seq| -> Vec<_> {
        let images = recording.chain(ProcessId(process), seq);
        images.iter().map(|image| String::from_utf8_lossy(&image.argv[0]).into_owned()).collect()
    };
    assert_eq!(chain(3, 61), ["cc1", "gcc", "make"]);
    assert_eq!(chain(2, 30), ["cc1", "gcc", "make"]);
    assert_eq!(chain(2, 20), ["gcc", "make"]);
    assert_eq!(chain(1, 11), ["make"]);
    assert_eq!(chain(7, 11), Vec::<String>::new());
}

#[test]
fn recordings_that_differ_in_chance_only_have_no_diff() {
    let (left, mut right) = (example::compile(), example::compile());
    right.header.time += 1;
    right.accesses.reverse();
    for access in &mut right.accesses {
        (access.first, access.last, access.count) = (access.first + 1, access.last + 9, 7);
    }
    for process in &mut right.processes {
        process.pid += 1;
        process.start += 1;
        process.images.iter_mut().for_each(|image| image.seq += 1);
    }
    assert!(diff(&left, &right).is_empty(), "{:?}", diff(&left, &right));
}

#[test]
fn diff_tells_what_only_one_has() {
    let (left, mut right) = (example::compile(), example::compile());
    let absent = right.paths.find(b"/w/src/cfg.h").expect("known");
    for access in right.accesses.iter_mut().filter(|access| access.path == absent) {
        (access.kind, access.errno) = (Kind::Read, 0);
    }
    right.host.clear();
    right.end = Some(Completeness::Complete);
    right.processes[0].exit = Some((90, Exit::Code(2)));
    let found = diff(&left, &right);
    let changes: Vec<_> =
        found.changes.iter().map(|c| (c.path, c.kind, c.errno, c.side, &c.processes[..])).collect();
    let cc1 = [&b"cc1"[..]];
    assert_eq!(
        changes,
        [
            (&b"/w/src/cfg.h"[..], Kind::Read, 0, Side::Right, &cc1[..]),
            (&b"/w/src/cfg.h"[..], Kind::Probe, 2, Side::Left, &cc1[..]),
        ]
    );
    assert_eq!(found.contacts.len(), 1);
    assert_eq!(
        (found.contacts[0].side, found.contacts[0].detail),
        (Side::Left, &b"/run/nscd/socket"[..])
    );
    assert_eq!(found.complete, Some([false, true]));
    assert_eq!(found.exits, Some([Some(Exit::Code(0)), Some(Exit::Code(2))]));
}
