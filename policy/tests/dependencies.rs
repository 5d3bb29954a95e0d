//! What a run depended on, from recordings made by hand.

mod common;

use airtight_policy::{Declaration, Depfile, Judge, Policy, Seen};
use airtight_recording::{Kind, Op, Recording};
use common::{DIR, Maker, action, patterns, recorded};

/// The dependencies of a run, as text.
fn of(declaration: &Declaration, recording: &Recording) -> Vec<String> {
    let policy = Policy::default();
    let judge = Judge::new(declaration, &policy);
    let list = judge.dependencies(recording);
    assert!(list.windows(2).all(|two| (&two[0].path, two[0].need) < (&two[1].path, two[1].need)));
    list.iter()
        .map(|one| {
            let seen = match &one.seen {
                Seen::Nothing => String::new(),
                Seen::File(stamp) => format!(" of {} bytes", stamp.size),
                Seen::Text(text) => format!(" to {}", String::from_utf8_lossy(text)),
                Seen::Untouched => " untouched".to_owned(),
            };
            format!("{:?} {}{seen}", one.need, String::from_utf8_lossy(&one.path))
        })
        .collect()
}

#[track_caller]
fn are(more: impl FnOnce(&mut Maker), expected: &[&str]) {
    let all: Vec<&str> = ["Content /ws/b.c"].into_iter().chain(expected.iter().copied()).collect();
    let mut found = of(&action(), &recorded(more));
    let mut all: Vec<String> = all.into_iter().map(str::to_owned).collect();
    all.sort();
    found.sort();
    assert_eq!(found, all);
}

#[test]
fn what_is_read_counts_by_content() {
    are(|_| {}, &[]);
    are(|maker| maker.read("/usr/include/stdio.h"), &["Content /usr/include/stdio.h"]);
    are(
        |maker| {
            maker.add(Kind::Exec, Op::Exec, "/usr/bin/as");
        },
        &["Content /usr/bin/as"],
    );
    // Looked at first or afterwards: content says more.
    are(
        |maker| {
            maker.stat("/ws/a.h");
            maker.read("/ws/a.h");
            maker.stat("/ws/a.h");
        },
        &["Content /ws/a.h"],
    );
    are(
        |maker| {
            maker.read("/ws/a.h");
            maker.stamp("/ws/a.h", None);
        },
        &["Content /ws/a.h of 10 bytes"],
    );
}

#[test]
fn what_is_only_looked_at_counts_by_type() {
    are(|maker| maker.stat("/ws/a.h"), &["Type /ws/a.h"]);
    are(
        |maker| {
            maker.add(Kind::Probe, Op::Stat, "/ws/include").object = DIR;
        },
        &["Type /ws/include"],
    );
}

#[test]
fn what_is_not_there_counts_as_absent() {
    are(|maker| maker.absent("/ws/first/a.h"), &["Absent /ws/first/a.h"]);
    // ENOTDIR: the name may be that of a file.
    are(
        |maker| {
            let access = maker.add(Kind::Probe, Op::Stat, "/ws/parts/a");
            (access.errno, access.object) = (20, 0);
        },
        &["NotDirectory /ws/parts/a"],
    );
}

#[test]
fn what_is_listed_counts_by_its_names() {
    let list = |maker: &mut Maker, path: &str| {
        maker.add(Kind::List, Op::Enumerate, path).object = DIR;
    };
    are(|maker| list(maker, "/ws/src"), &["Members /ws/src untouched"]);
    // The run makes its output there.
    are(|maker| list(maker, "/ws"), &["Members /ws"]);
    are(
        |maker| {
            list(maker, "/ws/src");
            maker.create("/ws/src/tmp");
            maker.unlink("/ws/src/tmp");
        },
        &["Members /ws/src"],
    );
}

#[test]
fn links_count_by_their_text() {
    are(
        |maker| maker.read_over("/ws/current", "one", "/ws/current/in", "/ws/one/in"),
        &["Content /ws/one/in", "Link /ws/current to one"],
    );
}

#[test]
fn a_directory_that_is_left_again_counts_by_its_type() {
    let asked = |maker: &mut Maker, requested: &str, path: &str| {
        let requested = maker.intern(requested);
        maker.add(Kind::Read, Op::Open, path).requested = requested;
    };
    are(
        |maker| asked(maker, "/ws/a/b/../../c", "/ws/c"),
        &["Content /ws/c", "Type /ws/a", "Type /ws/a/b"],
    );
    // Through a link it is what the link leads to that is left.
    are(
        |maker| {
            maker.read_over("/ws/l", "deep/d", "/ws/l/../c", "/ws/deep/c");
        },
        &["Content /ws/deep/c", "Link /ws/l to deep/d", "Type /ws/deep/d"],
    );
    // What is missing leads nowhere, and what the action made is its own.
    are(
        |maker| {
            let requested = maker.intern("/ws/a/../no/../c");
            let access = maker.add(Kind::Probe, Op::Stat, "/ws/no");
            (access.requested, access.errno, access.object) = (requested, 2, 0);
            maker.mkdir("/ws/made");
            asked(maker, "/ws/made/../c", "/ws/c");
        },
        &["Absent /ws/no", "Content /ws/c", "Type /ws/a"],
    );
}

#[test]
fn what_the_action_makes_itself_does_not_count() {
    let declared = |change: &dyn Fn(&mut Declaration), recording: &Recording| {
        let mut declaration = action();
        change(&mut declaration);
        of(&declaration, recording)
    };
    // Its outputs, its depfile, its temporaries and its private directory.
    let recording = recorded(|maker| {
        for path in ["/ws/b.o", "/ws/b.d", "/ws/b.tmp", "/ws/b.log", "/tmp/own/x"] {
            maker.absent(path);
            maker.create(path);
            maker.read(path);
        }
        maker.absent("/ws/out/sub");
    });
    let left = declared(
        &|declaration| {
            declaration.outputs.push(b"out/sub/file".to_vec());
            declaration.depfile = Some(Depfile { path: b"b.d".to_vec(), content: None });
            declaration.temporary = patterns(&["*.tmp"]);
            declaration.side_effects = patterns(&["*.log"]);
            declaration.temporary_directory = Some(b"/tmp/own".to_vec());
        },
        &recording,
    );
    assert_eq!(left, ["Content /ws/b.c"]);
}

#[test]
fn what_was_there_before_counts_although_it_is_written_later() {
    // Undeclared files: the verdict has its say on them, this only tells what the run saw.
    are(
        |maker| {
            maker.read("/ws/state");
            maker.truncate("/ws/state");
        },
        &["Content /ws/state"],
    );
    are(
        |maker| {
            maker.create("/ws/state");
            maker.read("/ws/state");
        },
        &[],
    );
    are(
        |maker| {
            maker.absent("/ws/state");
            maker.create("/ws/state");
            maker.stat("/ws/state");
        },
        &["Absent /ws/state"],
    );
}

#[test]
fn the_state_of_the_host_and_what_is_ignored_do_not_count() {
    are(
        |maker| {
            maker.read("/dev/urandom");
            maker.read("/proc/cpuinfo");
            maker.read("/dev/null");
        },
        &[],
    );
}
