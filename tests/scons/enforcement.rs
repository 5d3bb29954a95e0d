//! What each kind of action may touch, and what is found if it touches more.

use crate::project::Project;
use crate::support::{Finding, airtight, build, expected, plain};
use airtight_test_servers::SCONS;
use std::collections::BTreeSet;
use std::path::Path;

/// One project with every kind of action, most of them once as they should be and once with a fault
/// (tests/scons/projects/whole). What is not here is clean.
const WHOLE: &str = "
    data/a.up         data/hidden               R001
    out/changes       data/mutable              W004
    out/copied2       data/hidden               R001
    out/copied2       out/copy                  W001
    out/fails         data/hidden               R001
    out/function2     data/extra                R001
    out/function2     data/hidden               R001
    out/function2     data/victim2              W009
    out/function2     out/f.left                W001
    out/function3     data/extra                R001
    out/function3     data/hidden               R001
    out/function3     data/spawned              R001
    out/generated     data/hidden               R001
    out/list2         data/hidden               R001
    out/long          data/link.ld              R001
    out/looks         data/hidden               R007
    out/post          data/hidden               R001
    out/post          out/post.log              W001
    out/reads         data/hidden               R001
    out/removes       data/victim               W009
    out/repository2   [ROOT]/repository/secret  R010
    out/runs          scripts/tool              R006
    out/spawned       data/hidden               R001
    out/spawned       data/spawned              R001
    out/three         out/five                  W001
    out/writes        out/left                  W001
    src/macro.o       include/hidden.h          R001
    variant0/macro.o  more/hidden.h             R001
    variant0/sub      variant0/sub.left         W001
    variant1/macro.o  more/hidden.h             R001
    variant1/sub      variant1/sub.left         W001
";

/// Targets that fail in the whole project: all that have a finding.
fn failing(found: &BTreeSet<Finding>) -> BTreeSet<&str> {
    found.iter().map(|finding| finding.0.as_str()).collect()
}

fn whole() -> Project {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scons/projects/whole");
    let project = Project::copied(&from);
    project.write("../repository/elsewhere", "e\n").write("../repository/secret", "s\n");
    project
}

#[track_caller]
fn whole_with(version: &str) {
    let wanted = expected(WHOLE);
    for slots in ["-j1", "-j8"] {
        let (end, found) = build(&whole(), version, &["-k", slots]);
        assert_eq!(found, wanted, "{version} {slots}\n{}", end.show());
        end.code(2);
        let failed: BTreeSet<&str> = end
            .stderr
            .lines()
            .filter_map(|line| line.strip_prefix("scons: *** [")?.split([',', ']']).next())
            .collect();
        assert_eq!(failed, failing(&wanted), "{version} {slots}\n{}", end.show());
        let own = end.stderr.lines().any(|line| line == "scons: *** [out/fails] Error 3");
        assert!(own, "an action that fails has its own error\n{}", end.show());
    }
}

#[test]
fn all_kinds_of_actions_with_scons_4_5() {
    whole_with(SCONS[0]);
}

#[test]
fn all_kinds_of_actions_with_scons_4_7() {
    whole_with(SCONS[1]);
}

#[test]
fn all_kinds_of_actions_with_the_newest_scons() {
    whole_with(SCONS[2]);
}

/// `chdir=` is process-wide in SCons, so it has a project of its own.
const CHDIR: &str = "\
-- SConstruct --
env = Environment()
env.Command('sub/out', 'sub/in', 'cat in hidden > out', chdir=1)
-- sub/in --
in
-- sub/hidden --
hidden
";

#[test]
fn actions_with_chdir() {
    for version in SCONS {
        for slots in ["-j1", "-j8"] {
            let (end, found) = build(&Project::new(CHDIR), version, &[slots]);
            assert_eq!(found, expected("sub/out sub/hidden R001"), "{version}\n{}", end.show());
        }
    }
}

const MACRO: &str = "\
-- SConstruct --
env = Environment(CPPPATH=['#include'])
SConscript('src/SConscript', variant_dir='build', exports='env')
-- src/SConscript --
Import('env')

env.Object('b.c')
-- src/b.c --
#define CONFIG \"cfg_x.h\"
#include CONFIG
int b = B;
-- include/cfg_x.h --
#define B 1
";

#[test]
fn a_message_says_where_who_and_what_to_add() {
    for version in SCONS {
        let project = Project::new(MACRO);
        let (end, _) = build(&project, version, &["-Q"]);
        end.code(2);
        let expected = "\
error[R001]: undeclared read of include/cfg_x.h
  action   build/b.o   declared at src/SConscript:3
  read by  cc1 ← gcc ← sh -c gcc -o \"build/b.o\" -c -Iinclude \"build/b.c\"   \
openat(O_RDONLY|O_NOCTTY), 1 time
  effect   not cached; a change to include/cfg_x.h would not rebuild build/b.o
  fix      Depends('#build/b.o', '#include/cfg_x.h')

build/b.o: 1 error (airtight explain R001)
scons: *** [build/b.o] airtight: undeclared read of include/cfg_x.h (R001)
";
        let told = end.stderr.replace(
            "-o build/b.o -c -Iinclude build/b.c",
            "\
-o \"build/b.o\" -c -Iinclude \"build/b.c\"",
        );
        assert_eq!(told, expected, "{version}");
        // The line that is told mends it.
        let mended = project.read("src/SConscript") + "Depends('#build/b.o', '#include/cfg_x.h')\n";
        project.write("src/SConscript", mended);
        let (end, found) = build(&project, version, &["-Q"]);
        assert_eq!((end.code, end.stderr.as_str(), found.len()), (Some(0), "", 0), "{version}");
    }
}

#[test]
fn warnings_fail_nothing_and_off_says_nothing() {
    for version in SCONS {
        let project = Project::new(MACRO);
        let (end, found) = build(&project, version, &["-Q", "--airtight=warn"]);
        assert_eq!(found, expected("build/b.o include/cfg_x.h R001"), "{version}");
        assert!(end.code(0).stderr.starts_with("error[R001]: undeclared read"), "{}", end.show());
        let project = Project::new(MACRO);
        let (end, found) = build(&project, version, &["-Q", "--airtight=record"]);
        assert_eq!(found, expected("build/b.o include/cfg_x.h R001"), "{version}");
        assert_eq!(end.code(0).stderr, "", "{version}");
        let project = Project::new(MACRO);
        let (end, found) = build(&project, version, &["-Q", "--airtight=off"]);
        assert_eq!((end.code(0).stderr.as_str(), found.len()), ("", 0), "{version}");
    }
}

#[test]
fn turning_it_on_or_off_rebuilds_nothing() {
    for version in SCONS {
        let project = Project::new(MACRO);
        let fresh = "scons: `.' is up to date.\n";
        build(&project, version, &["-Q", "--airtight=warn"]).0.code(0);
        let end = project.end(plain(&project, version, &["-Q"]));
        assert_eq!(end.code(0).stdout, fresh, "{version}: it is off");
        let (end, found) = build(&project, version, &["-Q"]);
        assert_eq!((end.code(0).stdout.as_str(), found.len()), (fresh, 0), "{version}: on again");

        let project = Project::new(MACRO);
        project.end(plain(&project, version, &["-Q"])).code(0);
        let (end, _) = build(&project, version, &["-Q"]);
        assert_eq!(end.code(0).stdout, fresh, "{version}: it was off");
    }
}

#[test]
fn nothing_is_started_where_nothing_is_built() {
    let missing = "/nowhere/airtight";
    for version in SCONS {
        let project = Project::new(MACRO);
        project.write("site.py", "");
        let site = crate::support::package().join("airtight_scons/site_scons");
        let site = format!("--site-dir={}", site.display());
        let without = |args: &[&str]| {
            let mut command = plain(&project, version, &[&[site.as_str(), "-Q"], args].concat());
            project.end({
                command.env("AIRTIGHT", missing);
                command
            })
        };
        let shown = "gcc -o build/b.o -c -Iinclude build/b.c\n";
        for (args, code, stdout) in [
            (&["-n"][..], 0, shown),
            (&["-q"], 1, ""),
            (&["-c"], 0, ""),
            (&["--airtight=off"], 0, shown),
            (&[], 0, "scons: `.' is up to date.\n"),
            (&["-c"], 0, "Removed build/b.o\n"),
        ] {
            let end = without(args);
            assert_eq!((end.code, end.stderr.as_str()), (Some(code), ""), "{version} {args:?}");
            assert_eq!(end.stdout, stdout, "{version} {args:?}");
        }
        // What can't be judged fails, unless it is only to be told.
        let end = without(&[]);
        assert!(end.code(2).stderr.contains("scons: *** [build/b.o] airtight: not judged"));
        let end = without(&["--airtight=warn"]);
        assert!(end.code(0).stderr.contains("build/b.o: not judged"), "{}", end.show());
    }
}

/// Python code that does what nobody can follow.
const FORK: &str = "\
-- SConstruct --
import os
import threading

def fork(target, source, env):
    child = os.fork()
    if child == 0:
        open('hidden').close()
        open('out', 'w').close()
        os._exit(0)
    os.waitpid(child, 0)

def thread(target, source, env):
    worker = threading.Thread(target=lambda: open('out2', 'w').close())
    worker.start()
    worker.join()

Command('out', 'in', fork)
Command('out2', 'in', thread)
-- in --
in
-- hidden --
hidden
";

#[test]
fn what_can_not_be_seen_is_told_and_never_published() {
    for version in SCONS {
        let project = Project::new(FORK);
        let flags = ["-Q", "--remote-cache-push-enabled", "--remote-cache-fetch-enabled"];
        let (end, found) = build(&project, version, &flags);
        assert_eq!((end.code, found.len()), (Some(0), 0), "{version} {}", end.show());
        let told =
            "airtight: out: a process was started by fork in fork; what it does is not judged
airtight: out2: a thread was started in thread; what it does is not judged
";
        assert_eq!(end.stderr, told, "{version}");
        build(&project, version, &["-Q", "-c"]).0.code(0);
        let (end, _) = build(&project, version, &flags);
        assert!(!end.stdout.contains("Retrieved"), "{version} {}", end.show());
    }
}

#[test]
fn an_interrupted_action_is_not_judged() {
    // The action does what a terminal does: all processes of the group get SIGINT.
    let project = Project::new(
        "\
-- SConstruct --
env = Environment()
env.Command('out', 'in', 'cat hidden > $TARGET; kill -INT 0; sleep 100')
-- in --
in
-- hidden --
hidden
",
    );
    for version in SCONS {
        let report = project.root().join("findings");
        let option = format!("--airtight-report={}", report.display());
        let command = airtight(&project, version, &["-Q", &option]);
        let mut group = project.command("setsid", &["--wait"]);
        group.arg(command.get_program()).args(command.get_args());
        let end = project.end(group);
        assert_eq!(end.code, Some(2), "{version} {}", end.show());
        assert!(end.stderr.contains("Build interrupted."), "{version} {}", end.show());
        assert!(!end.stderr.contains("R001"), "{version} {}", end.show());
    }
}
