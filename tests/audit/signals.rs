//! Signals and terminals: who ends an audit early still gets its report, and a terminal is left
//! clean.

use crate::again::{FAULTY, FOUND};
use crate::support::Project;
use nix::fcntl::OFlag;
use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::process::Stdio;

/// Both ends of a terminal, of which children inherit none.
fn terminal() -> nix::Result<(OwnedFd, File)> {
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let master = posix_openpt(flags)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let slave = File::options()
        .read(true)
        .write(true)
        .custom_flags(OFlag::O_NOCTTY.bits())
        .open(ptsname_r(&master)?)
        .map_err(|_| nix::Error::last())?;
    Ok((OwnedFd::from(master), slave))
}

const AIRTIGHT: &str = env!("CARGO_BIN_EXE_airtight");

#[test]
fn ctrl_c_ends_the_build_and_what_was_seen_is_told() {
    let project = Project::new("-- Makefile --\nall: ; cat hidden; echo ready; read line < pipe\n");
    nix::unistd::mkfifo(&project.path("pipe"), nix::sys::stat::Mode::S_IRWXU).expect("made");
    // Held open both ways, so that the reader waits until it is ended.
    let pipe = File::options().read(true).write(true).open(project.path("pipe"));
    project.write("hidden", "");
    let mut command = project.command(AIRTIGHT, &["audit", "--", "make", "-s"]);
    command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("airtight starts");
    let mut line = String::new();
    let mut out = BufReader::new(child.stdout.take().expect("piped"));
    out.read_line(&mut line).expect("it speaks");
    assert_eq!(line, "ready\n");
    killpg(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).expect("they are ours");
    let output = child.wait_with_output().expect("it ends");
    let stderr = String::from_utf8_lossy(&output.stderr);
    // make passes the signal on by dying of it or with 2, as it likes.
    assert!(!output.status.success(), "{stderr}");
    assert!(stderr.contains(" unattributed"), "{stderr}");
    assert!(project.path("airtight-audit.bin").exists(), "{stderr}");
    drop(pipe);
}

#[test]
fn a_signal_during_a_proof_leaves_no_file_touched() {
    let manifest = "rule cat\n  command = cat a hidden > $out\nbuild out: cat a\n";
    let project = Project::new("-- a --\n-- hidden --\n");
    project.write("build.ninja", manifest);
    project.prepare(&["mkdir", "../bin"]).prepare(&["cp", "/usr/bin/ninja", "../bin/ninja"]);
    let path = format!("{}:/usr/bin:/bin", project.root().join("bin").display());
    let audit = |flags: &[&str]| {
        let mut command = project.command(AIRTIGHT, &[flags, &["--", "ninja"]].concat());
        command.env("PATH", &path);
        project.end(command)
    };
    audit(&["audit"]).code(120);
    let times = || {
        let found = project.path("hidden").metadata().expect("it is there");
        [found.mtime(), found.mtime_nsec(), found.atime(), found.atime_nsec()]
    };
    // A ninja that, when it is asked for the second time, ends who asks.
    let asked = project.root().join("asked");
    let script = format!(
        "#!/bin/sh\ncase \" $* \" in *' -n '*) if [ -e {0} ]; then kill -INT $PPID; fi; : > {0};; esac\n\
         exec /usr/bin/ninja \"$@\"\n",
        asked.display()
    );
    project.write("../bin/ninja", script);
    let before = times();
    let mut command = project.command(AIRTIGHT, &["check", "airtight-audit.bin", "--confirm"]);
    command.env("PATH", &path);
    let end = project.end(command);
    assert_eq!(end.signal, Some(2), "{}", end.show());
    assert!(asked.exists());
    assert!(end.stdout.contains("  proof    proven: `ninja -n out`"), "{}", end.show());
    assert_eq!(times(), before);
}

#[test]
fn a_terminal_shows_what_goes_on_and_is_left_clean() {
    let project = Project::new(FAULTY);
    let (master, slave) = terminal().expect("a terminal");
    let mut command = project.command(AIRTIGHT, &["audit", "--color", "never", "--", "make", "-s"]);
    command.stdout(Stdio::null()).stderr(slave);
    let mut child = command.spawn().expect("airtight starts");
    // The last holder of the other end but the child.
    drop(command);
    let mut shown = Vec::new();
    // A terminal that nobody holds any more gives an error at its end.
    let _ = File::from(master).read_to_end(&mut shown);
    assert_eq!(child.wait().expect("it ends").code(), Some(120));
    let shown = String::from_utf8_lossy(&shown).replace("\r\n", "\n");
    for phase in ["reading the build's graph", "judging", "saving the audit"] {
        assert!(shown.contains(phase), "{shown:?}");
    }
    let report = shown.find("error[R001]").expect("the report");
    assert!(shown[..report].ends_with('\r'), "{shown:?}");
    assert!(shown.contains(FOUND[0].2), "{shown:?}");
    assert!(!shown[report..].lines().any(|line| line.contains("judging")), "{shown:?}");
}
