//! Builds that SCons' own cache serves wrongly, because the action depends on more than SCons knows.

use crate::project::Project;
use crate::support::{build, expected, plain};
use airtight_test_servers::SCONS;

/// A header that the scanner does not see.
const MACRO: &str = "\
-- SConstruct --
CacheDir('stock')
env = Environment()
env.Object('a.c')
-- a.c --
#define CONFIG \"config.h\"
#include CONFIG
int a = A;
-- config.h --
#define A 1
";

/// A file that SCons only orders.
const REQUIRED: &str = "\
-- SConstruct --
CacheDir('stock')
env = Environment()
out = env.Command('a.o', 'in', 'cat $SOURCE config.h > $TARGET')
env.Requires(out, 'config.h')
-- in --
in
-- config.h --
one
";

/// Builds, changes the file and builds again from nothing; gives whether the target differs.
fn differs(project: &Project, version: &str, flags: Option<&[&str]>) -> bool {
    let run = |project: &Project| {
        let end = match flags {
            Some(flags) => build(project, version, &[&["-Q"], flags].concat()).0,
            None => project.end(plain(project, version, &["-Q"])),
        };
        end.code(0);
        let made = std::fs::read(project.path("a.o")).expect("it was made");
        build(project, version, &["-Q", "-c"]).0.code(0);
        made
    };
    let first = run(project);
    project.write("config.h", "#define A 2\n");
    run(project) != first
}

#[test]
fn a_macro_include_is_caught() {
    for version in SCONS {
        // Stock SCons takes the wrong result from its cache.
        assert!(
            !differs(&Project::new(MACRO), version, None),
            "{version}: stock SCons has changed"
        );
        let (end, found) = build(&Project::new(MACRO), version, &["-Q"]);
        assert_eq!(found, expected("a.o config.h R001"), "{version}");
        end.code(2);
        // Nothing of it comes to the cache, not even where it is only told.
        let project = Project::new(MACRO);
        let flags =
            ["--airtight=warn", "--remote-cache-push-enabled", "--remote-cache-fetch-enabled"];
        project.write("SConstruct", project.read("SConstruct").replace("CacheDir('stock')\n", ""));
        assert!(differs(&project, version, Some(&flags)), "{version}");
    }
}

#[test]
fn a_required_file_is_in_the_key() {
    for version in SCONS {
        assert!(!differs(&Project::new(REQUIRED), version, None), "{version}: stock has changed");
        let project = Project::new(REQUIRED);
        project.write("SConstruct", project.read("SConstruct").replace("CacheDir('stock')\n", ""));
        let flags = ["--remote-cache-push-enabled", "--remote-cache-fetch-enabled"];
        let (end, found) = build(&project, version, &[&["-Q"], &flags[..]].concat());
        assert_eq!((end.code, found.len()), (Some(0), 0), "{version}: reading it is allowed");
        build(&project, version, &["-Q", "-c"]).0.code(0);
        let (end, _) = build(&project, version, &[&["-Q"], &flags[..]].concat());
        assert_eq!(end.stdout, "Retrieved `a.o' from cache\n", "{version}: and is no miss");
        assert!(differs(&project, version, Some(&flags)), "{version}");
    }
}
