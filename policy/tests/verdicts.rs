//! One small recording per rule and per tricky case, and what the judge says of it.

mod common;

use airtight_policy::{Order, Part, Verdict};
use airtight_recording::{Completeness, Exit, HostKind, Kind, Op, ProcessId, Reason, ReasonCode};
use common::*;
use std::fmt::Write as _;

/// The findings, one line each, and the reasons against publishing.
fn told(verdict: &Verdict) -> String {
    let mut out = String::new();
    for f in verdict.findings() {
        let first = if f.missing_generated { "first: " } else { "" };
        let enforced = if f.enforced { " (enforced)" } else { "" };
        let _ = writeln!(
            out,
            "  {first}{} {}: {} x{}{enforced}",
            f.severity, f.rule, f.message, f.count
        );
    }
    for s in verdict.suppressed() {
        let _ = writeln!(out, "  suppressed {}: {}", s.finding.rule, s.finding.message);
    }
    let _ = write!(out, "  {}", if verdict.fails() { "fails" } else { "passes" });
    if !verdict.is_cacheable() {
        let _ = write!(out, ", not cacheable: {}", verdict.uncacheable().join("; "));
    }
    out
}

fn check(name: &str, cases: Vec<Case>) {
    let mut settings = insta::Settings::clone_current();
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, all(cases)));
}

fn all(cases: Vec<Case>) -> String {
    let mut out = String::new();
    for case in cases {
        let _ = writeln!(out, "{}\n{}", case.name, told(&case.verdict()));
    }
    out
}

#[test]
fn reads() {
    check(
        "reads",
        vec![
            Case::new("clean", |_| {}),
            Case::new("r001 header", |m| {
                m.read("/ws/include/cfg_x.h");
                m.read("/ws/include/cfg_x.h");
            }),
            Case::new("r001 with generated strictness", |m| m.read("/ws/x.h"))
                .policy("strictness = 'generated'"),
            Case::new("r001 toolchain in all", |m| {
                m.read("/usr/include/stdio.h");
                m.add(Kind::Exec, Op::Exec, "/usr/bin/cc");
                m.stat("/usr/lib/libc.so");
            })
            .policy("strictness = 'all'"),
            Case::new("toolchain", |m| {
                m.read("/usr/include/stdio.h");
                m.read("/lib64/ld.so");
                m.read("/etc/ld.so.cache");
                m.add(Kind::Exec, Op::Exec, "/usr/bin/cc");
            }),
            Case::new("r002", |m| m.read("/ws/gen.h")).producer(
                "/ws/gen.h",
                Order::Before,
                Part::Output,
            ),
            Case::new("r003", |m| m.read("/ws/gen.h"))
                .producer("/ws/gen.h", Order::Unordered, Part::Output)
                .policy("strictness = 'generated'"),
            Case::new("r004", |m| m.read("/ws/gen.h")).producer(
                "/ws/gen.h",
                Order::After,
                Part::Output,
            ),
            Case::new("r005", |m| m.read("/ws/gen.h")).producer(
                "/ws/gen.h",
                Order::Before,
                Part::UndeclaredOutput,
            ),
            Case::new("r006", |m| {
                m.add(Kind::Exec, Op::Exec, "/ws/tools/gen.sh");
                m.add(Kind::Exec, Op::Shebang, "/ws/tools/sh");
                m.read("/ws/tools/gen.sh");
            }),
            Case::new("r007", |m| {
                m.stat("/ws/local.mk");
                m.add(Kind::Probe, Op::Stat, "/ws/src").object = DIR;
                m.absent("/ws/missing.h");
                m.read("/ws/both.h");
                m.stat("/ws/both.h");
            }),
            Case::new("r007 as read", |m| m.stat("/ws/local.mk")).policy("stat = 'read'"),
            Case::new("r008 declared output", |m| m.read("/ws/b.o")),
            Case::new("r008 state file", |m| {
                m.read("/ws/state");
                m.truncate("/ws/state");
            }),
            Case::new("r009", |m| m.absent("/ws/gen")).producer(
                "/ws/gen",
                Order::Before,
                Part::UndeclaredOutput,
            ),
            Case::new("r010", |m| {
                m.read("/home/me/.toolrc");
                m.stat("/home/me/.other");
                m.read("/dev/sda");
                m.read("/tmp/foreign");
            }),
            Case::new("r010 denied", |m| m.read("/usr/local/secret"))
                .declaring(|d| d.files.push(b"/usr/local/secret".to_vec()))
                .policy("scopes.denied = ['/usr/local']"),
            Case::new("failed and missing generated", |m| {
                m.read("/ws/a.h");
                m.absent("/ws/gen.h");
                m.exit(Exit::Code(1));
            })
            .producer("/ws/gen.h", Order::Unordered, Part::Output),
        ],
    );
}

#[test]
fn writes() {
    check(
        "writes",
        vec![
            Case::new("w001", |m| m.create("/ws/debug.log")),
            Case::new("w001 changed", |m| {
                m.truncate("/ws/a");
                m.add(Kind::Write, Op::Metadata, "/ws/b");
                m.create("/usr/lib/x");
                m.unlink("/usr/lib/x");
            }),
            Case::of("w002", {
                let mut m = Maker::new();
                m.read("/ws/b.c");
                m.create("/ws/b.obj");
                m.end()
            }),
            Case::of("w002 removed", {
                let mut m = Maker::new();
                m.create("/ws/b.o");
                m.unlink("/ws/b.o");
                m.end()
            }),
            Case::of("w002 fifo", {
                let mut m = Maker::new();
                m.add(Kind::Write, Op::Mknod, "/ws/b.o").object = FIFO;
                m.end()
            }),
            Case::of("w002 owed by success only", {
                let mut m = Maker::new();
                m.exit(Exit::Code(1));
                m.end()
            }),
            Case::of("w002 written through stdout", {
                let mut m = Maker::new();
                m.add(Kind::Write, Op::Inherited, "/ws/b.o");
                m.add(Kind::Write, Op::Inherited, "/ws/log");
                m.end()
            }),
            Case::new("w002 depfile", |_| {}).declaring(|d| {
                d.depfile = Some(airtight_policy::Depfile { path: b"b.d".to_vec(), content: None })
            }),
            Case::new("w003", |_| {}).producer("/ws/b.o", Order::Unordered, Part::Output),
            Case::new("w004", |m| {
                m.truncate("/ws/b.c");
            }),
            Case::new("w004 through a hard link", |m| {
                m.hardlink("/ws/b.c", "/ws/tmp");
                m.truncate("/ws/tmp");
                m.unlink("/ws/tmp");
            }),
            Case::new("w005", |m| {
                m.truncate("/ws/b.c");
            })
            .declaring(|d| d.outputs.push(b"b.c".to_vec())),
            Case::new("w006", |m| m.create("/ws/b.d"))
                .declaring(|d| d.outputs.push(b"b.d".to_vec()))
                .producer("/ws/b.d", Order::Before, Part::AbsentProbe),
            Case::new("w007", |m| {
                m.create("/tmp/gen.1");
                m.create("/tmp/gone");
                m.unlink("/tmp/gone");
                m.mkdir("/ws/empty");
                m.create("/ws/x.tmp");
            })
            .declaring(|d| d.temporary = patterns(&["*.tmp"])),
            Case::new("w008", |m| {
                m.create("/ws/t");
                m.unlink("/ws/t");
            })
            .producer("/ws/t", Order::Unordered, Part::Temporary),
            Case::new("w009", |m| {
                m.stat("/ws/old.o");
                m.unlink("/ws/old.o");
                m.rename("/ws/from", "/ws/b.d", FILE);
            })
            .declaring(|d| d.outputs.push(b"b.d".to_vec())),
        ],
    );
}

#[test]
fn tricky() {
    check(
        "tricky",
        vec![
            Case::new("own output read back", |m| {
                m.create("/ws/t.s");
                m.read("/ws/t.s");
                m.stat("/ws/t.s");
                m.unlink("/ws/t.s");
            }),
            Case::new("temporary renamed to output", |m| {
                m.create("/ws/b.d.tmp");
                m.rename("/ws/b.d.tmp", "/ws/b.d", FILE);
                m.read("/ws/b.d");
            })
            .declaring(|d| d.outputs.push(b"b.d".to_vec())),
            Case::new("renamed directory", |m| {
                m.mkdir("/ws/out.tmp");
                m.create("/ws/out.tmp/a");
                m.rename("/ws/out.tmp", "/ws/out", DIR);
                m.read("/ws/out/a");
            })
            .declaring(|d| d.outputs.push(b"out/a".to_vec())),
            Case::new("renamed directory undeclared", |m| {
                m.mkdir("/ws/out.tmp");
                m.create("/ws/out.tmp/a");
                m.rename("/ws/out.tmp", "/ws/out", DIR);
            }),
            Case::new("link declared", |m| {
                m.read_over("/ws/l.h", "real.h", "/ws/l.h", "/ws/real.h")
            })
            .declaring(|d| d.files.push(b"l.h".to_vec())),
            Case::new("link end declared", |m| {
                m.read_over("/ws/l.h", "real.h", "/ws/l.h", "/ws/real.h")
            })
            .declaring(|d| d.files.push(b"real.h".to_vec())),
            Case::new("link undeclared shows once", |m| {
                m.read_over("/ws/l.h", "real.h", "/ws/l.h", "/ws/real.h");
            }),
            Case::new("link in the middle declared", |m| {
                m.read_over("/ws/a", "b", "/ws/a", "/ws/c");
                let text = m.intern("c");
                let access = m.add(Kind::Link, Op::Hop, "/ws/b");
                (access.other, access.object) = (text, LINK);
            })
            .declaring(|d| d.files.push(b"b".to_vec())),
            Case::new("link to the toolchain", |m| {
                m.read_over(
                    "/ws/stdio.h",
                    "/usr/include/stdio.h",
                    "/ws/stdio.h",
                    "/usr/include/stdio.h",
                );
            }),
            Case::new("own link launders nothing", |m| {
                m.add(Kind::Write, Op::Symlink, "/ws/x.tmp").object = LINK;
                m.read_over("/ws/x.tmp", "secret.h", "/ws/x.tmp", "/ws/secret.h");
                m.unlink("/ws/x.tmp");
            })
            .declaring(|d| {
                d.files.push(b"x.tmp".to_vec());
                d.temporary = patterns(&["*.tmp"]);
            }),
            Case::new("side effect of an earlier run", |m| {
                m.stat("/ws/log");
                m.read("/ws/log");
                m.truncate("/ws/log");
                m.add(Kind::Write, Op::Open, "/ws/log2");
            })
            .declaring(|d| d.side_effects = patterns(&["log*"])),
            Case::new("link out of the toolchain", |m| {
                let asked = "/usr/share/locale/locale.alias";
                m.read_over(asked, "/etc/locale.alias", asked, "/etc/locale.alias");
            }),
            Case::new("link of a directory", |m| {
                m.read_over("/ws/inc", "include", "/ws/inc/../inc/a.h", "/ws/include/a.h");
            })
            .declaring(|d| d.directories.push(b"include".to_vec())),
            Case::new("directories are free", |m| {
                m.add(Kind::List, Op::Enumerate, "/ws/src").object = DIR;
                m.add(Kind::Probe, Op::Stat, "/home").object = DIR;
                m.add(Kind::List, Op::Enumerate, "/home/me").object = DIR;
            }),
            Case::new("mkdir on the way to an output", |m| {
                m.mkdir("/ws/out");
                m.create("/ws/out/x");
                let access = m.add(Kind::Write, Op::Mkdir, "/ws/out");
                (access.errno, access.object) = (17, DIR);
            })
            .declaring(|d| d.outputs.push(b"out/x".to_vec())),
            Case::new("output directory", |m| {
                m.mkdir("/ws/out");
                m.create("/ws/out/x");
                m.create("/ws/out/y");
            })
            .declaring(|d| d.outputs.push(b"out".to_vec())),
            Case::new("declared in every way", |m| {
                m.read("/ws/dir/deep/a");
                m.read("/ws/glob/a.h");
                m.read("/ws/dep one.h");
                m.create("/ws/log.1");
            })
            .declaring(|d| {
                d.directories.push(b"dir".to_vec());
                d.globs = patterns(&["glob/*.h"]);
                d.side_effects = patterns(&["log.*"]);
                let content = Some(b"b.o: b.c \\\n dep\\ one.h\ndep\\ one.h:\n".to_vec());
                d.depfile = Some(airtight_policy::Depfile { path: b"b.d".to_vec(), content });
            }),
            Case::new("glob does not cross a slash", |m| m.read("/ws/glob/deep/a.h"))
                .declaring(|d| d.globs = patterns(&["glob/*.h"])),
            Case::new("proc and dev", |m| {
                m.read("/dev/null");
                m.read("/proc/101/maps");
                m.add(Kind::Write, Op::Open, "/proc/101/comm");
                m.read("/proc/4242/stat");
                m.read("/proc/cpuinfo");
                m.read("/dev/urandom");
                m.read("/sys/devices/system/cpu/online");
            }),
            Case::new("changed through read write", |m| {
                m.add(Kind::Read, Op::Open, "/ws/db");
                let access = m.add(Kind::Write, Op::Change, "/ws/db");
                access.first -= 1;
            })
            .declaring(|d| d.side_effects = patterns(&["db"])),
            Case::new("stdin from the workspace", |m| {
                m.add(Kind::Read, Op::Inherited, "/ws/in.txt");
                m.add(Kind::Read, Op::Inherited, "/var/log/ci");
                m.add(Kind::Read, Op::Inherited, "/dev/pts/0").object = 0o020_000;
            }),
            Case::new("private temporary directory", |m| {
                m.create("/tmp/airtight/1/x");
                m.read("/tmp/airtight/1/y");
            })
            .declaring(|d| d.temporary_directory = Some(b"/tmp/airtight/1".to_vec())),
            Case::new("killed is not judged", |m| {
                m.read("/ws/x.h");
                m.exit(Exit::Signal(9));
            }),
            Case::new("failed is judged", |m| {
                m.read("/ws/x.h");
                m.exit(Exit::Code(1));
            }),
            Case::of("workspace under tmp", {
                let mut m = Maker::new();
                m.read("/tmp/ws/b.c");
                m.read("/tmp/ws/x.h");
                m.create("/tmp/ws/b.o");
                m.create("/tmp/ws/t");
                m.unlink("/tmp/ws/t");
                m.end()
            })
            .declaring(|d| {
                d.workspace = b"/tmp/ws".to_vec();
                d.cwd = b"/tmp/ws".to_vec();
            }),
        ],
    );
}

#[test]
fn host() {
    check(
        "host",
        vec![
            Case::new("h001", |m| {
                m.note(HostKind::Network, "192.0.2.1:443", 0);
                m.note(HostKind::Network, "192.0.2.1:443", 0);
                m.note(HostKind::Network, "127.0.0.1:80", 0);
            })
            .policy("network.allow = ['127.*']"),
            Case::new("h002", |m| {
                m.note(HostKind::UnixSocket, "/var/run/nscd/socket", 2);
                m.note(HostKind::UnixSocket, "/run/daemon.sock", 0);
            }),
            Case::new("h002 unsafe", |m| m.note(HostKind::UnixSocket, "/run/daemon.sock", 0))
                .policy("unsafe-publish-with-daemons = true"),
            Case::new("h003", |m| {
                m.note(HostKind::SurvivingProcess, "server", 0);
            }),
            Case::new("h003 allowed", |m| m.note(HostKind::SurvivingProcess, "server", 0))
                .policy("survivors = ['server']"),
            Case::new("h004", |m| {
                m.note(HostKind::Random, "", 0);
                m.note(HostKind::IoUringRefused, "", 0);
                m.note(HostKind::PtraceRefused, "", 0);
            }),
            Case::new("h005", |_| {})
                .declaring(|d| d.environment.undeclared = vec!["CFLAGS".into()]),
        ],
    );
}

fn reason(code: ReasonCode, detail: &str) -> Completeness {
    let process = Some(ProcessId(1));
    Completeness::Incomplete { reasons: vec![Reason { code, detail: detail.into(), process }] }
}

#[test]
fn integrity() {
    let ended = |end: &Completeness| {
        let mut m = Maker::new();
        m.create("/ws/b.o");
        m.end_as(end)
    };
    let [limits, lost] = [ReasonCode::BackendLimits, ReasonCode::LostEvent].map(|code| Reason {
        code,
        detail: "events were lost".into(),
        process: None,
    });
    let both = Completeness::Incomplete { reasons: vec![limits, lost] };
    check(
        "integrity",
        vec![
            Case::new("i001", |m| {
                m.stamp("/ws/b.c", Some(11));
                m.stamp("/usr/include/stdio.h", None);
                m.stamp("/ws/own", Some(12));
                m.create("/ws/own");
                m.unlink("/ws/own");
            }),
            Case::of("i002", ended(&reason(ReasonCode::UnknownSyscall, "syscall 999"))),
            Case::of("i003", ended(&reason(ReasonCode::Untraceable, "pid 7 is traced by another"))),
            Case::of("backend", ended(&reason(ReasonCode::BackendLimits, "no probes are seen"))),
            Case::of("backend accepted", ended(&reason(ReasonCode::BackendLimits, "no probes")))
                .policy("unsafe-accept-fanotify = true"),
            Case::of("more than the backend", ended(&both)).policy("unsafe-accept-fanotify = true"),
            Case::new("i004", |m| {
                m.process(Some(ProcessId(1)), 102, "/usr/bin/ccache", &["cc", "-c", "b.c"]);
            }),
            Case::new("i004 disabled", |m| {
                m.process(Some(ProcessId(1)), 102, "/usr/bin/ccache", &["cc", "-c", "b.c"]);
            })
            .declaring(|d| {
                d.environment.fixed.insert("CCACHE_DISABLE".into(), "1".into());
            }),
        ],
    );
}

#[test]
fn policy_applies() {
    let header = |name| Case::new(name, |m| m.read("/ws/vendor/x.h"));
    let known = |more: &str| format!("[[suppress]]\nreason = 'known'\n{more}");
    check(
        "policy",
        vec![
            Case::new("u001", |m| m.read("/ws/dir/a"))
                .declaring(|d| {
                    d.files.push(b"unused.h".to_vec());
                    d.directories.push(b"dir".to_vec());
                })
                .policy("severity.unused-input = 'note'"),
            header("u002").policy(&known("rules = ['R002']\naction = 'b.*'")),
            header("suppressed cacheable").policy(&known("path = 'vendor'\ncacheable = true")),
            header("suppressed only").policy(&known("path = 'vendor/**/*.h'\nrules = ['R001']")),
            header("suppressed till yesterday")
                .policy(&known("path = 'vendor'\nuntil = 2026-05-31")),
            header("suppressed till today").policy(&known("path = 'vendor'\nuntil = '2026-06-01'")),
            header("suppressed elsewhere").policy(&known("action = 'other'")),
            header("severity note").policy("severity.R001 = 'note'"),
            header("severity warn").policy("severity.R001 = 'warn'"),
            header("reaction warn").policy("reaction = 'warn'"),
            header("reaction of one").policy("reaction-of.undeclared-source-read = 'record'"),
            Case::new("killed for what it tried", |m| {
                let access = m.add(Kind::Read, Op::Open, "/ws/x.h");
                (access.errno, access.object) = (13, 0);
                m.note(HostKind::Enforced, "/ws/x.h", 0);
                m.exit(Exit::Signal(9));
            }),
            Case::new("enforced", |m| {
                let access = m.add(Kind::Probe, Op::Stat, "/ws/x.h");
                (access.errno, access.syscall, access.object) = (2, 1, 0);
                m.note(HostKind::Enforced, "/ws/x.h", 0);
                let access = m.add(Kind::Probe, Op::Stat, "/ws/new");
                (access.errno, access.syscall, access.flags) = (13, 1, 0o101);
                m.note(HostKind::Enforced, "/ws/new", 0);
            }),
        ],
    );
}

/// The shape that `--format json` gives to others.
#[test]
fn a_verdict_as_json_keeps_its_shape() {
    let case = Case::new("r001 header", |m| {
        m.read("/ws/include/cfg_x.h");
        m.read("/ws/include/cfg_x.h");
    });
    let mut value = serde_json::to_value(case.verdict()).expect("JSON");
    let verdict = value.as_object_mut().expect("an object");
    for digest in ["recording", "policy"] {
        let text = verdict.remove(digest).expect(digest);
        let (hash, size) = text.as_str().and_then(|t| t.split_once('/')).expect("hash/size");
        assert!(hash.len() == 64 && size.parse::<u64>().is_ok());
    }
    let text = serde_json::to_string_pretty(&value).expect("JSON");
    let mut settings = insta::Settings::clone_current();
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!("json", text));
}
