//! Remotes that die, answer wrongly or slowly: the build ends right.

use crate::cache::{both, clean, fetch, forget, remote, scons, taken};
use crate::project::Project;
use airtight_test_servers::{Fault, Faults, SCONS};
use std::fs;
use std::time::{Duration, Instant};

/// Actions that follow one another, and some that stand alone.
const CHAIN: &str = "\
-- SConstruct --
import os
env = Environment(ENV={'PATH': os.environ['PATH']})
last = 'in'
for n in range(4):
    last = env.Command('chain%d' % n, last, 'cat $SOURCE >$TARGET; echo $TARGET >>$TARGET')
for n in range(4):
    env.Command('alone%d' % n, 'in', 'cat $SOURCE >$TARGET; echo $TARGET >>$TARGET')
-- in --
in
";

/// Whether everything is as a build from sources makes it.
fn right(project: &Project) -> bool {
    let mut chain = "in\n".to_owned();
    (0..4).all(|n| {
        chain += &format!("chain{n}\n");
        let alone = project.read(&format!("alone{n}")) == format!("in\nalone{n}\n");
        alone && project.read(&format!("chain{n}")) == chain
    })
}

/// A project that waits for its remote for so many milliseconds.
fn waiting(url: &str, patience: u32) -> Project {
    let project = Project::new(CHAIN);
    project.write(
        "airtight.toml",
        format!(
            "[[cache.remote]]\nurl = \"{url}\"\nretries = 0\n\
             idle-timeout = \"{patience}ms\"\nbudget = \"{patience}ms\"\n"
        ),
    );
    project
}

#[test]
fn a_remote_that_answers_wrongly_is_as_one_that_has_nothing() {
    let server = remote();
    let first = Project::new(CHAIN);
    scons(&first, SCONS[0], &both(&server.url()), &["-j8"]).code(0);
    let faults = [
        Fault::Flip(7).on("/cas/"),
        Fault::Flip(7).on("/ac/"),
        Fault::Truncate.on("GET"),
        Fault::CloseInBody.on("GET"),
        Fault::Garbage.into(),
        Fault::status(500).on("GET"),
        Fault::status(404).on("/cas/"),
        Fault::CloseAfter(0).into(),
    ];
    for (number, fault) in faults.into_iter().enumerate() {
        let version = SCONS[number % SCONS.len()];
        let slots = if number % 2 == 0 { "-j1" } else { "-j8" };
        let proxy = Faults::in_front_of(&server.url());
        proxy.set(fault.clone());
        let project = waiting(&proxy.url(), 10_000);
        let flags = ["-Q", "--remote-cache-fetch-enabled"].map(str::to_owned);
        let end = scons(&project, version, &flags, &[slots]);
        end.code(0);
        assert!(right(&project), "{version} {fault:?}\n{}", end.show());
        assert!(taken(&end).is_empty(), "{version} {fault:?}\n{}", end.show());
        // Nothing wrong has stayed in the local store.
        clean(&project, version);
        proxy.set(Fault::None);
        // Where processes tell each other to leave a remote alone for half a minute.
        let _ = fs::remove_dir_all(project.root().join("cache/airtight/remotes-v1"));
        let end = scons(&project, version, &flags, &[slots]);
        assert_eq!(taken(end.code(0)).len(), 8, "{version} {fault:?}\n{}", end.show());
        assert!(right(&project), "{version} {fault:?}");
    }
}

#[test]
fn a_remote_that_dies_in_mid_build_costs_no_more_than_its_results() {
    let server = remote();
    let first = Project::new(CHAIN);
    scons(&first, SCONS[0], &both(&server.url()), &["-j8"]).code(0);
    for version in SCONS {
        for slots in ["-j1", "-j8"] {
            let proxy = Faults::in_front_of(&server.url());
            // The first of the chain is there; then it goes.
            let project = waiting(&proxy.url(), 10_000);
            let flags = ["-Q", "--remote-cache-fetch-enabled", "--remote-cache-push-enabled"];
            let flags = flags.map(str::to_owned);
            let end = scons(&project, version, &flags, &[slots, "chain0"]);
            assert_eq!(taken(end.code(0)).len(), 1, "{version} {slots}\n{}", end.show());
            proxy.set(Fault::CloseAfter(0));
            let end = scons(&project, version, &flags, &[slots]);
            assert!(right(&project), "{version} {slots}\n{}", end.code(0).show());
            // Told once, though many requests have failed.
            assert_eq!(end.stderr.matches("airtight: ").count(), 1, "{}", end.show());
        }
    }
}

#[test]
fn a_remote_that_hangs_is_left_alone_after_its_time() {
    let server = remote();
    for version in SCONS {
        let proxy = Faults::in_front_of(&server.url());
        proxy.set(Fault::Hang);
        let project = waiting(&proxy.url(), 500);
        let flags = ["-Q", "--remote-cache-fetch-enabled"].map(str::to_owned);
        let begun = Instant::now();
        let end = scons(&project, version, &flags, &["-j2"]);
        assert!(right(&project), "{version}\n{}", end.code(0).show());
        assert!(begun.elapsed() < Duration::from_secs(100), "{version} {:?}", begun.elapsed());
    }
}

#[test]
fn a_remote_that_drips_gives_its_results() {
    let server = remote();
    let first = Project::new(CHAIN);
    scons(&first, SCONS[0], &both(&server.url()), &["-j8"]).code(0);
    for version in SCONS {
        let proxy = Faults::in_front_of(&server.url());
        proxy.set(Fault::Drip { bytes: 200, every: Duration::from_millis(20) });
        let project = Project::new(CHAIN);
        let end = scons(&project, version, &fetch(&proxy.url()), &["-j2"]);
        assert_eq!(taken(end.code(0)).len(), 8, "{version}\n{}", end.show());
        assert!(right(&project), "{version}");
        forget(&project);
    }
}
