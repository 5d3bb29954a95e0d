//! Ways to files that a table of system calls can miss. The witness sees each, exactly.

use crate::harness::{World, program};
use crate::support::{Trace, privileged};
use std::process::Command;

#[test]
fn io_uring() {
    if !privileged() {
        return;
    }
    let everything = [
        "read", "f", "write", "n", "mkdir", "d", "rename", "n", "d/m", "link", "d/m", "l",
        "symlink", "text", "s", "unlink", "l",
    ];
    let seen = [
        "opened f",
        "made n",
        "opened n",
        "written n",
        "open for writing n",
        "made d",
        "renamed to another name n",
        "made by renaming another file d/m",
        "made l",
        "made s",
        "deleted l",
    ];
    for thread in [&["ring"][..], &["ring", "sqpoll"]] {
        let run = Trace::of("file f")
            .flags(&["--witness=fanotify", "--allow-io-uring"])
            .run(&[thread, &everything].concat());
        run.misses(&seen);
        assert!(run.codes().contains("io-uring"), "look-ups of the ring are seen by nobody");
    }
    // A ring that touches no file hides look-ups all the same.
    let idle = Trace::of("").flags(&["--witness=fanotify", "--allow-io-uring"]).run(&["ring"]);
    idle.misses(&[]);
    assert_eq!(idle.codes(), ["io-uring"].into());
}

#[test]
fn a_handle_from_elsewhere() {
    if !privileged() {
        return;
    }
    for (forgotten, seen) in [("", &[][..]), ("open_by_handle_at", &["opened d/f"])] {
        let world = World::new("file d/f", false);
        world.build();
        let shown =
            Command::new(program("handle")).arg("show").arg(world.path().join("d/f")).output();
        let handle = String::from_utf8(shown.expect("it runs").stdout).expect("digits");
        let run =
            Trace::of("").forgets(forgotten).run_in(&world, &["handle", "open", ".", &handle]);
        match forgotten {
            "" => run.agrees(),
            _ => run.misses(seen),
        };
    }
}

#[test]
fn a_child_that_nobody_traces() {
    if !privileged() {
        return;
    }
    let setup = "file f\nfile g";
    Trace::of(setup).run(&["offspring", "untraced"]).agrees();
    // Its own calls but the open need no tracer.
    Trace::of(setup).forgets("clone,open").run(&["offspring", "untraced"]).misses(&["opened f"]);
}

#[test]
fn what_an_exec_loads() {
    if !privileged() {
        return;
    }
    let setup = "copy tool bare.bare\nscript b #!$T/tool\nscript a #!$T/b\nfile l text";
    Trace::of(setup).run(&["$T/a"]).agrees();
    Trace::of(setup).forgets("execve").run(&["$T/a"]).misses(&[
        "opened a",
        "executed a",
        "opened b",
        "executed b",
        "opened tool",
        "executed tool",
    ]);
}

/// An interpreter that binfmt_misc names, in a user namespace with formats of its own (Linux 6.7), so
/// that the machine's stay as they are.
#[test]
fn what_a_format_names() {
    if !privileged() {
        return;
    }
    const FORMATS: &str = "/proc/sys/fs/binfmt_misc";
    let script = format!(
        "mount -t binfmt_misc none {FORMATS} &&
         echo :airtight:M::ATMISC::$T/tool: > {FORMATS}/register && $T/prog"
    );
    let command = ["/usr/bin/unshare", "--map-root-user", "--mount", "/bin/sh", "-c", &script];
    let setup = "copy tool bare.bare\nscript prog ATMISC";
    let run = Trace::of(setup).run(&command);
    // The mount is one that the host does not show; nothing else is amiss.
    assert_eq!(run.codes(), ["path-unreadable"].into());
    let run = Trace::of(setup).forgets("execve").run(&command);
    let expected = ["opened prog", "executed prog", "opened tool", "executed tool"];
    assert_eq!(run.missed(), expected.map(str::to_owned).into());
}

#[test]
fn bind_mounts() {
    if !privileged() {
        return;
    }
    let setup = "file a/f\nfile a/g\nfile a/h\nfile b/f";
    Trace::of(setup).run(&["spaces", "bind"]).agrees();
    Trace::of(setup).forgets("openat,unlink").run(&["spaces", "bind"]).misses(&[
        "opened a/f",
        "made a/new",
        "opened a/new",
        "open for writing a/new",
        "deleted a/g",
    ]);
}

#[test]
fn a_file_system_that_is_mounted_meanwhile() {
    if !privileged() {
        return;
    }
    Trace::of("dir d").run(&["spaces", "tmpfs"]).agrees();
}

#[test]
fn overlays() {
    if !privileged() {
        return;
    }
    let setup = "file lower/f\nfile lower/g\nfile lower/d/h\ndir upper\ndir work\ndir m";
    let layers = "lowerdir=$PWD/lower,upperdir=$PWD/upper,workdir=$PWD/work";
    let calls = [
        "ops",
        "openat AT_FDCWD :m/f O_RDONLY",
        "openat AT_FDCWD :m/n O_WRONLY|O_CREAT 0644",
        "unlinkat AT_FDCWD :m/g 0",
        "rename :m/d/h :m/d/i",
    ];
    let mount = |options: &str| format!("mount -t overlay o -o {layers}{options} m");
    for options in ["", ",index=on,nfs_export=on"] {
        let run = Trace::of(setup).after(&mount(options)).run(&calls);
        run.agrees();
        if options.is_empty() {
            let told = "m (overlay): only opens and writes are seen";
            assert!(run.stderr().contains(told), "{}", run.stderr());
        }
    }
}

#[test]
fn races() {
    if !privileged() {
        return;
    }
    for _ in 0..10 {
        let run = Trace::of("").run(&["race", "20"]);
        assert_eq!(run.missed(), [].into(), "{}", run.stderr());
        assert_eq!(run.backend(), "ptrace+fanotify");
    }
}
