//! No room: for the local store, for what comes from a remote, and for the outputs.

use crate::build::Build;
use crate::support::End;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// `command` in a mount namespace where `on` is an empty file system of so many KiB. None where the
/// system lets nobody have one.
fn on_tmpfs(command: &Command, kib: u32, on: &Path, before: &str) -> Option<Command> {
    let unshare = |flags: &'static [&str]| {
        let mut unshare = Command::new("unshare");
        unshare.args(flags);
        unshare
    };
    let ways: [&[&str]; 2] = [&["--user", "--map-root-user", "--mount"], &["--mount"]];
    let works = |flags: &&&'static [&str]| {
        let mut probe = unshare(flags);
        probe.args(["mount", "-t", "tmpfs", "tmpfs"]).arg(on);
        probe.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    };
    let mut wrapped = unshare(ways.iter().find(works)?);
    let script = format!(
        "mount -t tmpfs -o size={kib}k,mode=700 tmpfs \"$0\" || exit 99; {before}; exec \"$@\""
    );
    wrapped.args(["sh", "-c", &script]).arg(on);
    wrapped.arg(command.get_program()).args(command.get_args());
    wrapped.current_dir(command.get_current_dir().expect("a directory")).env_clear();
    for (name, value) in command.get_envs() {
        wrapped.env(name, value.expect("a value"));
    }
    wrapped.stdin(Stdio::null());
    Some(wrapped)
}

/// `command` under a limit on the size of files, in bytes.
fn limited(command: &Command, bytes: u32) -> Command {
    let mut wrapped = Command::new("prlimit");
    wrapped.arg(format!("--fsize={bytes}"));
    wrapped.arg(command.get_program()).args(command.get_args());
    wrapped.current_dir(command.get_current_dir().expect("a directory")).env_clear();
    for (name, value) in command.get_envs() {
        wrapped.env(name, value.expect("a value"));
    }
    wrapped.stdin(Stdio::null());
    wrapped
}

/// Runs it; the build must be right.
#[track_caller]
fn is_right(build: &Build, what: &str, mut command: Command) -> String {
    build.clean();
    let output = command.output().expect("it starts");
    build.check(what, &End::new(&output, &build.site.root()))
}

/// The build with its result in a shared directory, or nowhere.
fn builds() -> [Build; 2] {
    let (alone, sharing) = (Build::new("alone"), Build::new("sharing"));
    let shared = sharing.site.root().join("shared");
    fs::create_dir(&shared).expect("a directory");
    sharing.remote(&format!("file://{}", shared.display()), "");
    alone.runs("first");
    sharing.runs("first");
    [alone, sharing]
}

#[test]
fn a_store_without_room() {
    let mut warned = 0;
    for build in builds() {
        for kib in (4..=96).step_by(8) {
            let what = format!("{kib} KiB");
            let command = build.site.airtight(&build.args());
            let store = build.site.store();
            if let Some(command) = on_tmpfs(&command, kib, &store, ":") {
                warned += u32::from(!is_right(&build, &what, command).is_empty());
            }
        }
        build.is_local("in the end");
        // Whoever may have no file system of his own has had no test so far.
        warned += 1;
    }
    assert!(warned > 1);
}

#[test]
fn files_that_may_not_grow() {
    let mut warned = 0;
    for build in builds() {
        for bytes in (64..1200).step_by(96) {
            build.forget();
            let what = format!("{bytes} bytes");
            let command = limited(&build.site.airtight(&build.args()), bytes);
            warned += u32::from(!is_right(&build, &what, command).is_empty());
            build.store_is_clean(&what);
            build.build(&format!("after {what}"));
            build.is_local(&format!("long after {what}"));
        }
    }
    assert!(warned > 4, "{warned} warned");
}

/// The outputs of before and the new ones don't fit side by side. The action, whose outputs are
/// deleted before it runs, has room.
#[test]
fn a_workspace_without_room() {
    let build = Build::new("room");
    let make =
        "read -r n < in.txt; mkdir out && head -c 300000 /dev/zero > out/big && echo $n > out/n";
    let site = build.site.clone();
    site.write("in.txt", "7\n");
    fs::create_dir(site.path("full")).expect("a directory");
    let line =
        format!("--in ../in.txt --out out -- sh -c '{}'", make.replace("in.txt", "../in.txt"));
    let command = || {
        let mut command = site.airtight(&crate::support::words(&line));
        command.current_dir(site.path("full"));
        command
    };
    let first = End::new(&command().output().expect("airtight starts"), &site.root());
    first.code(0);
    // Of the same declaration, with something else in the place of the outputs.
    let before = "cd .; cd full 2>/dev/null; mkdir -p out && head -c 250000 /dev/zero > out/old";
    let show = "ls out && cat out/n && wc -c < out/big";
    let mut shell = Command::new("sh");
    let script = format!("cd \"{}\" && \"$@\" && {show}", site.path("full").display());
    shell.args(["-c", &script, "sh"]);
    let airtight = command();
    shell.arg(airtight.get_program()).args(airtight.get_args());
    shell.current_dir(site.path(""));
    for (name, value) in airtight.get_envs() {
        shell.env(name, value.expect("a value"));
    }
    let Some(mut command) = on_tmpfs(&shell, 500, &site.path("full"), before) else { return };
    let end = End::new(&command.output().expect("unshare starts"), &site.root());
    assert_eq!(end.code, Some(0), "{}", end.show());
    assert_eq!(end.stdout, "big\nn\n7\n300000\n", "{}", end.show());
    end.says("not restored");
    assert_eq!(end.stderr.matches("warning").count(), 1, "{}", end.show());
}
