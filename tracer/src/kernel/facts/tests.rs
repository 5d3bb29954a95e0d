use super::*;

const FILE: u32 = libc::S_IFREG;
const DIR: u32 = libc::S_IFDIR;

/// Acts in their order, each told once.
fn deeds(acts: &[Act]) -> Vec<Deed> {
    let deed =
        |(at, &act): (u64, &Act)| Deed { act, first: at, last: at, count: 1, other: PathId::NONE };
    (1..).zip(acts).map(deed).collect()
}

fn of(object: u32, acts: &[Act]) -> Vec<(Kind, Op)> {
    let deeds = deeds(acts);
    let mut shared = Shared::default();
    shared.add(&deeds);
    facts(&deeds, object, &shared).iter().map(|(_, fact)| (fact.kind, fact.op)).collect()
}

#[test]
fn what_an_open_was_for_shows_by_what_follows() {
    use Act::*;
    let read = (Kind::Read, Op::Open);
    let write = (Kind::Write, Op::Open);
    assert_eq!(of(FILE, &[Open, List]), [read]);
    assert_eq!(of(FILE, &[Open]), [read]);
    assert_eq!(of(FILE, &[Open, CloseWrite]), [write]);
    assert_eq!(of(FILE, &[Open, Modify, CloseWrite]), [write]);
    assert_eq!(of(FILE, &[Open, List, Modify, CloseWrite]), [read, write]);
    assert_eq!(of(FILE, &[Create, Open, Modify, CloseWrite]), [(Kind::Write, Op::Create)]);
    assert_eq!(of(FILE, &[Modify]), [(Kind::Write, Op::Truncate)]);
    assert_eq!(of(DIR, &[Open, List]), [(Kind::List, Op::Enumerate)]);
    assert_eq!(of(DIR, &[List]), [(Kind::List, Op::Enumerate)]);
}

#[test]
fn what_is_executed_is_not_read_by_that() {
    use Act::*;
    let exec = (Kind::Exec, Op::Exec);
    assert_eq!(of(FILE, &[Open, Exec, List]), [exec]);
    assert_eq!(of(FILE, &[Open, Exec, Open, List]), [exec]);
}

#[test]
fn names_come_and_go() {
    use Act::*;
    assert_eq!(of(DIR, &[Create, Delete]), [(Kind::Write, Op::Mkdir), (Kind::Delete, Op::Rmdir)]);
    let links = [(libc::S_IFLNK, Op::Symlink), (FILE, Op::Hardlink), (libc::S_IFIFO, Op::Mknod)];
    for (object, op) in links {
        assert_eq!(of(object, &[Create]), [(Kind::Write, op)]);
    }
    assert_eq!(of(0, &[Create, Delete])[0], (Kind::Write, Op::Create));
    let moved = [(Kind::Delete, Op::Rename), (Kind::Write, Op::Rename)];
    assert_eq!(of(FILE, &[MovedFrom, MovedTo]), moved);
    assert_eq!(of(FILE, &[Attrib]), [(Kind::Write, Op::Metadata)]);
}

#[test]
fn a_descriptor_may_be_used_by_another_process() {
    use Act::*;
    // A shell opens a file for its children to append to; one opens it to read for them.
    let opener = deeds(&[Open]);
    let with = |other: &[Act]| {
        let mut other = deeds(other);
        other.iter_mut().for_each(|deed| deed.first += 10);
        let mut shared = Shared::default();
        shared.add(&opener);
        shared.add(&other);
        let kinds = |deeds: &[Deed]| {
            facts(deeds, FILE, &shared).iter().map(|(_, fact)| fact.kind).collect::<Vec<_>>()
        };
        (kinds(&opener), kinds(&other))
    };
    assert_eq!(with(&[Modify, CloseWrite]), (vec![], vec![Kind::Write]));
    assert_eq!(with(&[List]), (vec![Kind::Read], vec![]));
    assert_eq!(with(&[List, Modify]), (vec![Kind::Read], vec![Kind::Write]));
    // Nobody of the tree has opened it.
    assert_eq!(of(FILE, &[List]), [(Kind::Read, Op::Received)]);
}
