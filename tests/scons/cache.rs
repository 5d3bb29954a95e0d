//! Results that SCons takes from a cache, and what the user's own settings say about it.

use crate::project::{End, Project};
use crate::support::{airtight, plain};
use airtight_test_servers::{BazelRemote, SCONS, bazel_remote};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Compilers, several targets, several commands, a variant directory and a link.
const MIXED: &str = "\
-- SConstruct --
import os
env = Environment(ENV={'PATH': os.environ['PATH']}, CPPPATH=['include'])
VariantDir('build', 'src')
env.Program('app', [env.Object('build/one.c'), env.Object('build/two.c')])
env.Command(['gen.a', 'gen.b'], 'in', ['cp $SOURCE ${TARGETS[0]}', 'cat $SOURCE >${TARGETS[1]}'])
env.Command('twice', ['gen.a', 'gen.b'], 'cat $SOURCES >$TARGET && chmod 750 $TARGET')
-- src/one.c --
#include \"all.h\"
int two(void);
int main(void) { return two() - ALL; }
-- src/two.c --
#include \"all.h\"
int two(void) { return ALL; }
-- include/all.h --
#define ALL 1
-- in --
in
";

/// What is made of [`MIXED`] by actions.
const MADE: [&str; 6] = ["app", "build/one.o", "build/two.o", "gen.a", "gen.b", "twice"];

/// The options that turn on all of the remote cache.
pub(crate) fn both(url: &str) -> Vec<String> {
    let url = format!("--remote-cache-url={url}");
    let flags = ["-Q", "--remote-cache-fetch-enabled", "--remote-cache-push-enabled", &url];
    flags.map(str::to_owned).into()
}

pub(crate) fn fetch(url: &str) -> Vec<String> {
    let url = format!("--remote-cache-url={url}");
    ["-Q", "--remote-cache-fetch-enabled", &url].map(str::to_owned).into()
}

pub(crate) fn remote() -> BazelRemote {
    BazelRemote::start(bazel_remote::Options::default())
}

/// Runs scons with the package.
#[track_caller]
pub(crate) fn scons(project: &Project, version: &str, flags: &[String], more: &[&str]) -> End {
    let flags: Vec<&str> = flags.iter().map(String::as_str).chain(more.iter().copied()).collect();
    project.end(airtight(project, version, &flags))
}

/// The files that SCons said it took from the cache.
pub(crate) fn taken<'a>(end: &'a End) -> BTreeSet<&'a str> {
    let name = |line: &'a str| line.strip_prefix("Retrieved `")?.split('\'').next();
    end.stdout.lines().filter_map(name).collect()
}

/// How many requests with this method the remote has had.
pub(crate) fn asked(remote: &BazelRemote, method: &str) -> usize {
    remote.requests().iter().filter(|request| request.method == method).count()
}

/// Removes what SCons made and what it knows of it; the local store too if asked.
pub(crate) fn clean(project: &Project, version: &str) {
    project.end(plain(project, version, &["-Q", "-c"])).code(0);
    let _ = fs::remove_file(project.path(".sconsign.dblite"));
}

pub(crate) fn forget(project: &Project) {
    let _ = fs::remove_dir_all(project.root().join("cache"));
}

fn contents(project: &Project, names: &[&str]) -> BTreeMap<String, (Vec<u8>, u32)> {
    use std::os::unix::fs::PermissionsExt;
    let of = |name: &&str| {
        let path = project.path(name);
        let mode = fs::metadata(&path).expect(name).permissions().mode();
        ((*name).to_owned(), (fs::read(&path).expect(name), mode & 0o777))
    };
    names.iter().map(of).collect()
}

#[test]
fn another_checkout_and_another_version_take_all_of_it() {
    let remote = remote();
    let first = Project::new(MIXED);
    let built = scons(&first, SCONS[0], &both(&remote.url()), &["-j8"]);
    assert!(taken(built.code(0)).is_empty(), "{}", built.show());
    let wanted = contents(&first, &MADE);
    let puts = asked(&remote, "PUT");
    for (version, slots) in [(SCONS[1], "-j1"), (SCONS[2], "-j8"), (SCONS[0], "-j1")] {
        let other = Project::new(MIXED);
        let flags = both(&remote.url());
        let end = scons(&other, version, &flags, &[slots]);
        assert_eq!(taken(end.code(0)), BTreeSet::from(MADE), "{version}\n{}", end.show());
        assert_eq!(end.stderr, "", "{version}");
        assert_eq!(contents(&other, &MADE), wanted, "{version}");
        assert_eq!(asked(&remote, "PUT"), puts, "{version}: nothing is given back");
        // SCons takes them for its own.
        let again = project_is_up_to_date(&other, version);
        assert!(again, "{version}");
        // From the local store; nobody else is asked.
        clean(&other, version);
        let gets = asked(&remote, "GET");
        let end = scons(&other, version, &flags, &[slots]);
        assert_eq!(taken(end.code(0)), BTreeSet::from(MADE), "{version}\n{}", end.show());
        assert_eq!(asked(&remote, "GET"), gets, "{version}");
    }
}

/// Whether stock SCons has nothing to do.
fn project_is_up_to_date(project: &Project, version: &str) -> bool {
    project.end(plain(project, version, &["-Q", "-q"])).code == Some(0)
}

#[test]
fn each_miss_has_its_reason() {
    let remote = remote();
    let first = Project::new(MIXED);
    scons(&first, SCONS[2], &both(&remote.url()), &[]).code(0);
    for version in SCONS {
        let other = Project::new(MIXED);
        other.write("src/two.c", "#include \"all.h\"\nint two(void) { return ALL + 1; }\n");
        let end = scons(&other, version, &fetch(&remote.url()), &["--cache-debug=-"]);
        let missed: Vec<&str> = end
            .stdout
            .lines()
            .filter(|line| line.contains("not taken"))
            .filter_map(|line| line.split(", ").next())
            .collect();
        let wanted = ["build/two.o", "app"]
            .map(|name| format!("CacheRetrieve({name}):  not taken: no-entry"));
        assert_eq!(missed, wanted, "{version}\n{}", end.show());
        let rest = BTreeSet::from(["build/one.o", "gen.a", "gen.b", "twice"]);
        assert_eq!(taken(end.code(0)), rest, "{version}");
        // The flags of a command that SCons' signature leaves out are in the key all the same.
        let other = Project::new(MIXED);
        fs::create_dir(other.path("more")).expect("a directory");
        let text = other.read("SConstruct").replace("['include']", "['include', 'more']");
        other.write("SConstruct", text);
        let end = scons(&other, version, &fetch(&remote.url()), &[]);
        let rest = BTreeSet::from(["app", "gen.a", "gen.b", "twice"]);
        assert_eq!(taken(end.code(0)), rest, "{version}\n{}", end.show());
    }
}

/// One action for each of SCons' own settings.
const SETTINGS: &str = "\
-- SConstruct --
import os
env = Environment(ENV={'PATH': os.environ['PATH']})
env.Command('plain', 'in', 'cp $SOURCE $TARGET; echo told; echo warned >&2')
env.NoCache(env.Command('nocache', 'in', 'cp $SOURCE $TARGET'))
env.AlwaysBuild(env.Command('always', 'in', 'cp $SOURCE $TARGET'))
env.SideEffect('side.log', env.Command('effect', 'in', 'cp $SOURCE $TARGET; echo log >side.log'))
env.Precious(env.Command('precious', 'in', 'cp $SOURCE $TARGET'))
-- in --
in
";

#[test]
fn settings_of_scons_keep_their_meaning() {
    let remote = remote();
    let project = Project::new(SETTINGS);
    scons(&project, SCONS[0], &both(&remote.url()), &[]).code(0);
    for version in SCONS {
        for slots in ["-j1", "-j8"] {
            let case = format!("{version} {slots}");
            let project = Project::new(SETTINGS);
            let flags = fetch(&remote.url());
            let run = |more: &[&str]| {
                clean(&project, version);
                forget(&project);
                let _ = fs::remove_file(project.path("side.log"));
                let _ = fs::remove_file(project.path("precious"));
                scons(&project, version, &flags, &[&[slots], more].concat())
            };

            let end = run(&[]);
            // The precious one would be made of what is there; who is always built wants no old one.
            assert_eq!(taken(end.code(0)), BTreeSet::from(["effect", "plain"]), "{case}");
            let built = end.stdout.lines().filter(|line| line.starts_with("cp ")).count();
            assert_eq!(built, 3, "{case}\n{}", end.show());
            assert!(!project.path("side.log").exists(), "{case}: it is no target");
            // What the action had to say is said again.
            assert_eq!(
                (end.stdout.matches("told\n").count(), end.stderr.as_str()),
                (1, "warned\n")
            );

            let gets = asked(&remote, "GET");
            let end = run(&["--cache-disable"]);
            assert!(taken(end.code(0)).is_empty(), "{case}\n{}", end.show());
            assert_eq!(asked(&remote, "GET"), gets, "{case}");

            let end = run(&["--cache-show"]);
            assert!(taken(end.code(0)).is_empty(), "{case}");
            let shown = "cp in plain; echo told; echo warned >&2\n";
            assert!(end.stdout.contains(shown), "{case}\n{}", end.show());
            assert!(!project.path("side.log").exists(), "{case}: shown, and not run");
        }
    }
}

#[test]
fn only_what_is_wanted_is_given() {
    let project = |version| {
        let project = Project::new(SETTINGS);
        (project, remote(), version)
    };
    for version in SCONS {
        // Without push; with push, but read-only; without judging.
        let (site, server, version) = project(version);
        scons(&site, version, &fetch(&server.url()), &[]).code(0);
        assert_eq!(asked(&server, "PUT"), 0, "{version}");
        let (site, server, version) = project(version);
        scons(&site, version, &both(&server.url()), &["--cache-readonly"]).code(0);
        assert_eq!(asked(&server, "PUT"), 0, "{version}");
        let (site, server, version) = project(version);
        let end = scons(&site, version, &both(&server.url()), &["--airtight=off"]);
        assert_eq!(asked(&server, "PUT"), 0, "{version}");
        let why = "airtight: nothing is pushed: with --airtight=off no result is verified\n";
        assert!(end.code(0).stderr.contains(why), "{version}\n{}", end.show());

        // With push alone nothing is looked for, and two of the five are given.
        let (site, server, version) = project(version);
        let flags = ["-Q", "--remote-cache-push-enabled"].map(str::to_owned);
        let url = format!("--remote-cache-url={}", server.url());
        let end = scons(&site, version, &flags, &[&url]);
        assert!(taken(end.code(0)).is_empty(), "{version}");
        assert_eq!(results(server.storage()), 2, "{version}");
        // What is up to date already was not verified in this build: it is not given, even if asked.
        let puts = asked(&server, "PUT");
        scons(&site, version, &flags, &[&url, "--cache-force", "plain"]).code(0);
        assert_eq!(asked(&server, "PUT"), puts, "{version}");
    }
}

/// How many results a remote has: each stands in a list under its weak key, and under its own.
fn results(storage: &Path) -> usize {
    fs::read_dir(storage.join("ac")).map_or(0, |entries| entries.flatten().count()) / 2
}

#[test]
fn all_targets_are_restored_or_none() {
    for version in SCONS {
        // It gives entries whose blobs it lacks.
        let options = bazel_remote::Options { validate: false, ..bazel_remote::Options::default() };
        let remote = BazelRemote::start(options);
        let project = Project::new(MIXED);
        scons(&project, version, &both(&remote.url()), &["gen.a"]).code(0);
        clean(&project, version);
        forget(&project);
        project.write("gen.a", "old").write("gen.b", "old");
        // Both hold the same bytes; a third blob is the path set.
        let blobs = remote.storage().join("cas");
        let content = fs::read(project.path("in")).expect("in");
        for blob in fs::read_dir(&blobs).expect("blobs").flatten() {
            if fs::read(blob.path()).is_ok_and(|bytes| bytes == content) {
                fs::remove_file(blob.path()).expect("it is there");
            }
        }
        let end = scons(&project, version, &fetch(&remote.url()), &["--cache-debug=-", "gen.a"]);
        let why = "CacheRetrieve(gen.a):  not taken: blob-missing";
        assert!(end.code(0).stdout.contains(why), "{version}\n{}", end.show());
        assert!(taken(&end).is_empty(), "{version}");
        assert_eq!((project.read("gen.a"), project.read("gen.b")), ("in\n".into(), "in\n".into()));
    }
}

#[test]
fn what_is_not_clean_is_not_given() {
    let text = SETTINGS.replace("cp $SOURCE $TARGET; echo told", "cp $SOURCE $TARGET; cat hidden");
    for version in SCONS {
        for mode in ["enforce", "warn"] {
            let remote = remote();
            let project = Project::new(&text);
            project.write("hidden", "one\n");
            let mode_flag = format!("--airtight={mode}");
            let end = scons(&project, version, &both(&remote.url()), &[&mode_flag, "plain"]);
            assert_eq!(end.code, Some(if mode == "warn" { 0 } else { 2 }), "{}", end.show());
            assert_eq!(results(remote.storage()), 0, "{version} {mode}");
            assert_eq!(asked(&remote, "PUT"), 0, "{version} {mode}");
        }
    }
}

/// A class for CacheDir that says what it is asked.
const CUSTOM: &str = "\
-- SConstruct --
import os
import SCons.CacheDir
class Mine(SCons.CacheDir.CacheDir):
    def retrieve(self, node):
        got = bool(super().retrieve(node))
        print('asked', node, got)
        return got
    def push(self, node):
        print('given', node)
        return super().push(node)
env = Environment(ENV={'PATH': os.environ['PATH']})
env.CacheDir('front', Mine)
env.Command(['a', 'b'], 'in', ['cp $SOURCE a', 'cp $SOURCE b'])
-- in --
in
";

#[test]
fn a_cache_of_scons_stays_in_front() {
    for version in SCONS {
        for slots in ["-j1", "-j8"] {
            let case = format!("{version} {slots}");
            let remote = remote();
            let project = Project::new(CUSTOM);
            let run = || scons(&project, version, &both(&remote.url()), &[slots]);
            let lines =
                |end: &End| -> Vec<String> { end.stdout.lines().map(str::to_owned).collect() };

            let end = run();
            let wanted = ["asked a False", "cp in a", "cp in b", "given a", "given b"];
            assert_eq!(lines(end.code(0)), wanted, "{case}\n{}", end.show());

            // It has them: nobody else is asked.
            clean(&project, version);
            let gets = asked(&remote, "GET");
            let end = run();
            let wanted = [
                "Retrieved `a' from cache",
                "asked a True",
                "Retrieved `b' from cache",
                "asked b True",
            ];
            assert_eq!(lines(end.code(0)), wanted, "{case}");
            assert_eq!(asked(&remote, "GET"), gets, "{case}");

            // It has one of two: that is none, and it gets both from where they are.
            clean(&project, version);
            forget(&project);
            lose_one(&project);
            let end = run();
            let got: BTreeSet<String> = lines(end.code(0)).into_iter().collect();
            for line in ["Retrieved `a' from cache", "Retrieved `b' from cache", "given b"] {
                assert!(got.contains(line), "{case}: {line}\n{}", end.show());
            }
            assert!(!got.contains("cp in a"), "{case}\n{}", end.show());
        }
    }
}

/// Removes one of the two files in SCons' own cache.
fn lose_one(project: &Project) {
    let directories = fs::read_dir(project.path("front")).expect("it was made").flatten();
    let mut files: Vec<_> = directories
        .filter(|entry| entry.path().is_dir())
        .flat_map(|entry| fs::read_dir(entry.path()).expect("a directory").flatten())
        .map(|entry| entry.path())
        .collect();
    files.sort();
    assert_eq!(files.len(), 2, "{files:?}");
    fs::remove_file(&files[0]).expect("it is there");
}

#[test]
fn deciders_take_what_was_restored_for_new() {
    let deciders = ["content", "timestamp-newer", "timestamp-match", "content-timestamp"];
    let remote = remote();
    let with = |decider: &str| {
        let project = Project::new(MIXED);
        project
            .write("SConstruct", format!("Decider('{decider}')\n{}", project.read("SConstruct")));
        project
    };
    scons(&with("content"), SCONS[0], &both(&remote.url()), &[]).code(0);
    for (number, decider) in deciders.into_iter().enumerate() {
        let version = SCONS[number % SCONS.len()];
        let project = with(decider);
        let end = scons(&project, version, &fetch(&remote.url()), &["-j8"]);
        assert_eq!(taken(end.code(0)), BTreeSet::from(MADE), "{version} {decider}");
        assert!(project_is_up_to_date(&project, version), "{version} {decider}");
    }
}

#[test]
fn an_sconstruct_may_set_the_options() {
    let remote = remote();
    let text = format!(
        "SetOption('remote_cache_fetch_enabled', True)\n\
         SetOption('remote_cache_push_enabled', True)\n\
         SetOption('remote_cache_url', '{}')\n",
        remote.url()
    );
    // Older ones let nobody set options that were added.
    let version = SCONS[2];
    let project = Project::new(MIXED);
    project.write("SConstruct", text + &project.read("SConstruct"));
    scons(&project, version, &["-Q".to_owned()], &[]).code(0);
    assert_eq!(results(remote.storage()), 5);
    clean_with_package(&project, version);
    let end = scons(&project, version, &["-Q".to_owned()], &[]);
    assert_eq!(taken(end.code(0)), BTreeSet::from(MADE), "{}", end.show());
}

fn clean_with_package(project: &Project, version: &str) {
    scons(project, version, &["-Q".to_owned()], &["-c"]).code(0);
    let _ = fs::remove_file(project.path(".sconsign.dblite"));
}

#[test]
fn a_number_of_connections_must_be_one() {
    for version in SCONS {
        let project = Project::new(MIXED);
        let flags = fetch("http://127.0.0.1:1");
        let end = scons(&project, version, &flags, &["--remote-cache-connections=0"]);
        let what = "scons: *** --remote-cache-connections must be 1 or more, not 0\n";
        assert!(end.stderr.contains(what), "{version}\n{}", end.show());
        assert_eq!(end.code, Some(2), "{version}");
        assert!(!project.path("app").exists(), "{version}");
    }
}
