//! Audits where continuous integration runs them: in containers with the runtime's default seccomp
//! profile, as root and as somebody else.

use crate::support::Project;
use std::path::PathBuf;
use std::process::Command;

const PROJECT: &str = "-- Makefile --
all: program
program: main.o config.o
\tgcc -o $@ $^
%.o: %.c
\tgcc -c -o $@ $<
-- main.c --
#include \"config.h\"
extern int config;
int main(void) { return config - CONFIG; }
-- config.c --
#include \"config.h\"
int config = CONFIG;
-- config.h --
#define CONFIG 1
";

/// `tests/programs/container.c`, compiled: runs a command under a filter like the default profile.
fn profile(project: &Project) -> String {
    let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/programs/container.c");
    let program = project.root().join("container");
    let compiled = Command::new("gcc").arg("-o").args([&program, &source]).status().expect("gcc");
    assert!(compiled.success());
    program.into_os_string().into_string().expect("UTF-8")
}

/// Audits the build within `wrapper`, and finds the same there as everywhere.
#[track_caller]
fn audit(project: &Project, wrapper: &[&str]) {
    let findings = [("R001", "config.o", "config.h"), ("R001", "main.o", "config.h")];
    project.audit_within(wrapper, &["make", "-j2"]).expect(120, &findings);
}

/// New namespaces of every kind: a process tree of its own with its own /proc, no network, and
/// only the project to write to.
fn sandbox(project: &Project, more: &[&str]) -> Vec<String> {
    let root = project.root();
    let root = root.to_str().expect("UTF-8");
    let fixed = ["bwrap", "--unshare-all", "--die-with-parent", "--ro-bind", "/", "/"];
    let places = ["--dev", "/dev", "--proc", "/proc", "--bind", root, root];
    [&fixed, &places[..], more].concat().into_iter().map(str::to_owned).collect()
}

#[test]
fn under_the_default_profile() {
    let project = Project::new(PROJECT);
    audit(&project, &[&profile(&project)]);
}

#[test]
fn as_root_of_a_user_namespace() {
    let project = Project::new(PROJECT);
    let sandbox = sandbox(&project, &["--unshare-user", "--uid", "0", "--gid", "0"]);
    let mut wrapper: Vec<&str> = sandbox.iter().map(String::as_str).collect();
    audit(&project, &wrapper);
    project.prepare(&["rm", "main.o", "config.o", "program"]);
    let profile = profile(&project);
    wrapper.push(&profile);
    audit(&project, &wrapper);
}

#[test]
fn as_somebody_in_a_user_namespace() {
    let project = Project::new(PROJECT);
    let sandbox = sandbox(&project, &["--unshare-user", "--uid", "1000", "--gid", "1000"]);
    let profile = profile(&project);
    let mut wrapper: Vec<&str> = sandbox.iter().map(String::as_str).collect();
    wrapper.push(&profile);
    audit(&project, &wrapper);
}

/// The capabilities that a container's root has, and no more.
#[test]
fn with_the_capabilities_of_a_container() {
    let project = Project::new(PROJECT);
    let profile = profile(&project);
    // An ordinary user has no capability to begin with, and may not change the bounding set.
    if !nix::unistd::geteuid().is_root() {
        return audit(&project, &["setpriv", "--no-new-privs", &profile]);
    }
    let kept = "-all,+chown,+dac_override,+fsetid,+fowner,+mknod,+net_raw,+setgid,+setuid,\
                +setfcap,+setpcap,+net_bind_service,+sys_chroot,+kill,+audit_write";
    audit(&project, &["setpriv", "--bounding-set", kept, "--inh-caps=-all", &profile]);
}

/// The filter is worth its name.
#[test]
fn the_profile_refuses_what_a_container_refuses() {
    let project = Project::new("");
    let mut command = project.command(&profile(&project), &["unshare", "--user", "true"]);
    command.env("LC_ALL", "C");
    let end = project.end(command);
    assert!(end.stderr.contains("Operation not permitted"), "{}", end.show());
    end.code(1);
}
