//! Views made up, held against recordings made up.

use super::*;
use crate::mounts::{Mount, parse};
use airtight_recording::{Access, Event, Header, Kind, Op, PathId, Sink};

fn place(path: &str) -> Place {
    Place { device: b"8:1".to_vec(), path: path.as_bytes().to_vec() }
}

/// What the process 7 did to a name.
fn sight(act: Act, dir: bool, path: &str) -> Sight {
    let (place, also, other, loose) = (place(path), Vec::new(), None, false);
    let (order, last, count, window) = (0, 0, 1, (0, 0));
    Sight { act, dir, member: 0, pid: 7, place, also, loose, other, order, last, count, window }
}

/// The root of the file system is that of the host.
fn mounts() -> Vec<Mount> {
    parse(b"20 1 8:1 / / rw - ext4 /dev/sda1 rw\n")
}

fn view(sights: Vec<Sight>) -> View {
    View { sights, mounts: mounts(), ..View::default() }
}

/// A recording in which process 7 did these.
fn recording(accesses: &[(Kind, Op, u32, &str)]) -> Recording {
    let mut recording = Recording::default();
    let mut put = |event: &Event<'_>| recording.put(event).expect("a sound recording");
    put(&Event::Header(&Header::default()));
    put(&Event::Process { id: ProcessId(0), parent: None, pid: 7, seq: 1 });
    for (number, &(kind, op, flags, path)) in (1..).zip(accesses) {
        let path_id = PathId(number);
        put(&Event::Path(path_id, path.as_bytes()));
        put(&Event::Access(&Access {
            process: ProcessId(0),
            path: path_id,
            requested: PathId::NONE,
            other: PathId::NONE,
            kind,
            op,
            errno: 0,
            syscall: 0,
            flags,
            object: libc::S_IFREG,
            count: 1,
            first: u64::from(number),
            last: u64::from(number),
        }));
    }
    recording
}

fn details(view: View, recording: &Recording) -> Vec<String> {
    Testimony(view).against(recording).into_iter().map(|reason| reason.detail).collect()
}

#[test]
fn what_was_recorded_accounts_for_what_was_seen() {
    let rdwr = libc::O_RDWR as u32;
    let cases = [
        (Act::Open, false, Some((Kind::Read, Op::Open, 0)), true),
        (Act::Open, false, Some((Kind::Write, Op::Create, 0)), true),
        (Act::Open, false, Some((Kind::Exec, Op::Loader, 0)), true),
        (Act::Open, false, Some((Kind::Probe, Op::Stat, 0)), false),
        (Act::Open, false, Some((Kind::Read, Op::Hardlink, 0)), false),
        (Act::Open, false, Some((Kind::Write, Op::Metadata, 0)), false),
        (Act::Open, false, Some((Kind::Write, Op::Rename, 0)), false),
        (Act::Open, true, Some((Kind::List, Op::Enumerate, 0)), true),
        (Act::Open, true, Some((Kind::Write, Op::Mkdir, 0)), false),
        (Act::List, true, Some((Kind::List, Op::Inherited, 0)), true),
        (Act::Exec, false, Some((Kind::Probe, Op::Exec, 0)), true),
        (Act::Exec, false, Some((Kind::Read, Op::Open, 0)), false),
        (Act::Modify, false, Some((Kind::Read, Op::Open, rdwr)), false),
        (Act::CloseWrite, false, Some((Kind::Read, Op::Open, rdwr)), true),
        (Act::CloseWrite, false, Some((Kind::Read, Op::Open, 0)), false),
        (Act::Create, true, Some((Kind::Write, Op::Mkdir, 0)), true),
        (Act::Create, false, Some((Kind::Write, Op::Rename, 0)), false),
        (Act::Delete, false, Some((Kind::Delete, Op::Unlink, 0)), true),
        (Act::Delete, false, Some((Kind::Delete, Op::Rename, 0)), false),
        (Act::MovedFrom, false, Some((Kind::Delete, Op::Rename, 0)), true),
        (Act::MovedFrom, false, Some((Kind::Delete, Op::Unlink, 0)), false),
        (Act::MovedFrom, false, Some((Kind::Write, Op::Rename, libc::RENAME_EXCHANGE)), true),
        (Act::MovedFrom, false, Some((Kind::Write, Op::Rename, 0)), false),
        (Act::MovedTo, false, Some((Kind::Write, Op::Rename, 0)), true),
        (Act::MovedTo, false, Some((Kind::Write, Op::Create, 0)), false),
        (Act::Attrib, false, Some((Kind::Write, Op::Metadata, 0)), true),
        (Act::Attrib, false, Some((Kind::Read, Op::Open, 0)), false),
        (Act::Open, false, None, false),
    ];
    for (act, dir, recorded, agrees) in cases {
        let recorded: Vec<_> = recorded.iter().map(|&(k, o, f)| (k, o, f, "/w/f")).collect();
        let told = details(view(vec![sight(act, dir, "/w/f")]), &recording(&recorded));
        assert_eq!(told.is_empty(), agrees, "{act:?} {dir} {recorded:?}: {told:?}");
    }
}

#[test]
fn what_was_missed_is_named_once_with_its_process() {
    let mut stranger = sight(Act::Delete, false, "/w/g");
    stranger.pid = 8;
    let seen = sight(Act::Open, false, "/w/f");
    let view = view(vec![seen.clone(), seen, stranger]);
    let reasons = Testimony(view).against(&recording(&[]));
    let reason = |what: &str, process| Reason {
        code: ReasonCode::WitnessDisagrees,
        detail: format!("/w/{what}: fanotify saw it, and the tracer did not"),
        process,
    };
    assert_eq!(
        reasons,
        [
            reason("f was opened by process 7", Some(ProcessId(0))),
            // One that the tracer does not know.
            reason("g was deleted by process 8", None),
        ]
    );
}

#[test]
fn another_name_of_the_same_moment_will_do() {
    let mut seen = sight(Act::Open, false, "/new/f");
    seen.also = vec![place("/old/f")];
    assert!(
        details(view(vec![seen]), &recording(&[(Kind::Read, Op::Open, 0, "/old/f")])).is_empty()
    );
}

#[test]
fn what_is_told_loosely_is_accounted_for_by_anything_done() {
    let mut seen = sight(Act::MovedTo, false, "/upper/f");
    seen.also = vec![place("/merged/f")];
    let chmod = recording(&[(Kind::Write, Op::Metadata, 0, "/merged/f")]);
    assert_eq!(details(view(vec![seen.clone()]), &chmod).len(), 1);
    seen.loose = true;
    assert!(details(view(vec![seen.clone()]), &chmod).is_empty());
    let stat = recording(&[(Kind::Probe, Op::Stat, 0, "/merged/f")]);
    assert_eq!(details(view(vec![seen]), &stat).len(), 1);
}

#[test]
fn a_file_without_a_name_belongs_to_its_directory() {
    let made = recording(&[(Kind::Probe, Op::Open, libc::O_TMPFILE as u32, "/w")]);
    let acts = [Act::Open, Act::Modify, Act::CloseWrite, Act::Attrib];
    for act in acts {
        assert!(details(view(vec![sight(act, false, "/w/#123")]), &made).is_empty());
        for other in ["/w/#123x", "/w/#", "/v/#123", "/#123"] {
            assert_eq!(details(view(vec![sight(act, false, other)]), &made).len(), 1, "{other}");
        }
    }
    let root = recording(&[(Kind::Probe, Op::Open, libc::O_TMPFILE as u32, "/")]);
    assert!(details(view(vec![sight(Act::Open, false, "/#1")]), &root).is_empty());
}

#[test]
fn a_file_system_that_only_the_tree_sees_is_its_own_affair() {
    let mut seen = sight(Act::Open, false, "/w/f");
    seen.place.device = b"0:57".to_vec();
    assert!(details(view(vec![seen]), &recording(&[])).is_empty());
}

#[test]
fn a_witness_that_may_have_missed_something_says_so() {
    let view = View { gaps: vec!["the kernel dropped events".to_owned()], ..View::default() };
    let reasons = Testimony(view).against(&recording(&[]));
    assert_eq!(reasons.len(), 1);
    assert_eq!(reasons[0].code, ReasonCode::LostEvent);
    assert!(reasons[0].detail.ends_with("the kernel dropped events"), "{reasons:?}");
}

#[test]
fn of_very_many_only_the_number_is_told() {
    let many = (0..MOST + 3).map(|i| sight(Act::Open, false, &format!("/w/{i}"))).collect();
    let told = details(view(many), &recording(&[]));
    assert_eq!(told.len(), MOST + 1);
    assert!(told[MOST].contains(" 3 things more"), "{}", told[MOST]);
}
