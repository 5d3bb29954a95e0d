//! The ways in which the package comes to SCons.

use crate::project::Project;
use crate::support::{airtight, expected, package, plain};
use airtight_test_servers::SCONS;
use serde_json::Value;

const PROJECT: &str = "\
-- SConstruct --
import sys
env = Environment()
env.Command('out', 'in', 'cat in hidden > $TARGET')
-- in --
in
-- hidden --
hidden
";

const ERROR: &str = "scons: *** [out] airtight: undeclared read of hidden (R001)\n";

#[test]
fn an_sconstruct_may_import_it() {
    for version in SCONS {
        let project = Project::new(PROJECT);
        project
            .write("SConstruct", format!("import airtight_scons\n{}", project.read("SConstruct")));
        let mut command = plain(&project, version, &["-Q"]);
        command.env("PYTHONPATH", package());
        let end = project.end(command);
        assert!(end.code(2).stderr.ends_with(ERROR), "{version}\n{}", end.show());
        let mut command = plain(&project, version, &["-Q", "--airtight=off"]);
        command.env("PYTHONPATH", package());
        assert_eq!(project.end(command).code(0).stderr, "", "{version}");
    }
}

#[test]
fn it_may_be_the_site_directory() {
    for version in SCONS {
        let project = Project::new(PROJECT);
        let mut command = project.command("python3", &["-m", "airtight_scons"]);
        command.env("PYTHONPATH", package()).env("PYTHONDONTWRITEBYTECODE", "1");
        let site = project.end(command).code(0).stdout.trim().to_owned();
        let option = format!("--site-dir={site}");
        let end = project.end(plain(&project, version, &["-Q", &option]));
        assert!(end.code(2).stderr.ends_with(ERROR), "{version}\n{}", end.show());
    }
}

#[test]
fn site_directories_of_the_project_are_still_used() {
    let place = "def place():\n    return NAME\n";
    for version in SCONS {
        let project = Project::new(PROJECT);
        for name in ["site_scons", "other"] {
            project.write(&format!("{name}/site_init.py"), format!("NAME = {name:?}\n{place}"));
        }
        let sconstruct = project.read("SConstruct");
        let print = "print(place() if 'place' in globals() else 'none')\n";
        project.write("SConstruct", format!("{sconstruct}{print}"));
        for (args, flags, name) in [
            (&[][..], "", "site_scons"),
            (&["--site-dir=other"], "", "other"),
            (&["--site-dir", "other"], "", "other"),
            (&[], "--site-dir=other", "other"),
            (&["--no-site-dir"], "", "none"),
        ] {
            let mut command = airtight(&project, version, &[&["-Q"], args].concat());
            if !flags.is_empty() {
                command.env("SCONSFLAGS", flags);
            }
            let end = project.end(command);
            let stdout = format!("{name}\ncat in hidden > out\n");
            assert_eq!(end.code(2).stdout, stdout, "{version} {args:?} {flags}\n{}", end.show());
            assert!(end.stderr.ends_with(ERROR), "{version} {args:?}\n{}", end.show());
        }
    }
}

#[test]
fn what_is_wrong_with_the_command_line_is_told() {
    let project = Project::new(PROJECT);
    let command = |args: &[&str]| project.command(env!("CARGO_BIN_EXE_airtight"), args);
    let end = project.end(command(&["scons", "--program", "no-such-scons"]));
    assert_eq!(end.code(127).stderr, "error: no-such-scons: command not found\n");
    let end = project.end(airtight(&project, SCONS[2], &["--airtight=maybe"]));
    let told = "option --airtight: invalid choice: 'maybe' (choose from 'enforce', 'warn', \
                'record', 'off')";
    assert!(end.code(2).stderr.contains(told), "{}", end.show());
}

#[test]
fn settings_of_the_project_are_kept() {
    let project = Project::new(PROJECT);
    project.write("airtight.toml", "[policy]\nseverity = { R001 = \"warn\" }\n");
    let (end, found) = crate::support::build(&project, SCONS[2], &["-Q"]);
    assert_eq!(found, expected("out hidden R001"));
    assert!(end.code(0).stderr.starts_with("warning[R001]: undeclared read"), "{}", end.show());
    // SCons gives its actions an environment of their own, and no other.
    project.write("SConstruct", "Command('out', 'in', 'env > $TARGET')\n");
    let mut command = airtight(&project, SCONS[2], &["-Q"]);
    command.env("SECRET", "x");
    project.end(command).code(0);
    let mut names: Vec<String> = project
        .read("out")
        .lines()
        .filter_map(|line| Some(line.split_once('=')?.0.to_owned()))
        .filter(|name| name != "_")
        .collect();
    names.sort();
    assert_eq!(names, ["PATH", "PWD"]);
}

#[test]
fn each_line_of_a_report_is_a_finding() {
    let project = Project::new(PROJECT);
    let report = project.root().join("r");
    project.write("../r", "what was here before");
    let option = format!("--airtight-report={}", report.display());
    project.end(airtight(&project, SCONS[2], &["-Q", &option])).code(2);
    let text = project.read("../r");
    let lines: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 1, "{text}");
    assert_eq!(lines[0]["fix"], "Depends('out', 'hidden')");
    assert_eq!(lines[0]["declared_at"]["file"], "SConstruct");
    assert_eq!(lines[0]["declared_at"]["line"], 3);
}
