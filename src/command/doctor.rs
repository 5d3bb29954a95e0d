//! `airtight doctor`

mod cache;

use crate::error::Error;
use crate::exit::Status;
use crate::printer::{DIM, ERROR, GOOD, Printer, STRONG, WARNING};
use airtight_recording::{Completeness, Event, Sink};
use airtight_tracer as tracer;
use serde::Serialize;
use std::borrow::Cow;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

/// Tell what this system lets Airtight do
///
/// Each line is `ok`, `degraded` or `missing`, with what follows from it and what helps. Ends
/// with 1 when something is missing without which nothing can be traced.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  airtight doctor
  airtight doctor --format json | jq '.checks[] | select(.state != \"ok\")'")]
pub(crate) struct Args {
    /// How to write the answer
    #[arg(long, value_enum, default_value = "human")]
    format: Format,
    /// Ask the remotes in the settings whether they answer; the network is not used otherwise
    #[arg(long)]
    remotes: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people
    Human,
    /// For programs
    Json,
}

/// How good one thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    /// As it should be.
    Ok,
    /// Something works less well, or an optional thing does not work.
    Degraded,
    /// Airtight can't trace.
    Missing,
}

/// One line of the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Check {
    name: &'static str,
    state: State,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    consequence: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<Cow<'static, str>>,
}

/// The whole answer.
#[derive(Serialize)]
struct Answer {
    version: &'static str,
    state: State,
    checks: Vec<Check>,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Check {
        Check { name, state: State::Ok, found: found.into(), consequence: None, remedy: None }
    }

    fn bad(
        name: &'static str,
        state: State,
        found: impl Into<String>,
        consequence: &'static str,
        remedy: impl Into<Cow<'static, str>>,
    ) -> Check {
        let (found, remedy) = (found.into(), Some(remedy.into()));
        Check { name, state, found, consequence: Some(consequence), remedy }
    }
}

/// What was read of the system; the checks are made from it alone.
#[derive(Clone, Debug, Default)]
struct Facts {
    /// `uname -r`.
    kernel: String,
    /// `uname -m`.
    machine: String,
    /// /proc/sys/kernel/yama/ptrace_scope, where Yama is built in.
    ptrace_scope: Option<u8>,
    /// /proc/sys/kernel/seccomp/actions_avail.
    seccomp_actions: Option<String>,
    /// /proc/self/status, where /proc is mounted.
    status: Option<String>,
    /// Why `true` could not be traced, and what helps.
    trace: Option<(String, String)>,
    /// Why the kernel's own view can't be had, and what helps.
    no_view: Option<(String, String)>,
    /// File systems that it does not show, or not in full.
    blind: Vec<String>,
    /// Why opens can't be guarded in the kernel.
    no_guard: Option<String>,
    /// What tells that this is a container.
    container: Option<String>,
}

impl Facts {
    fn gather() -> Facts {
        let line = |path: &str| fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
        let name = nix::sys::utsname::uname().ok();
        let text = |part: Option<&std::ffi::OsStr>| {
            part.map(|part| part.to_string_lossy().into_owned()).unwrap_or_default()
        };
        let (blind, no_view) = match tracer::kernel::ability() {
            Ok(blind) => (blind, None),
            Err(tracer::Error::Forbidden { what, remedy }) => (Vec::new(), Some((what, remedy))),
            Err(error) => (Vec::new(), Some((error.to_string(), "see above".to_owned()))),
        };
        Facts {
            kernel: text(name.as_ref().map(|name| name.release())),
            machine: text(name.as_ref().map(|name| name.machine())),
            ptrace_scope: line("/proc/sys/kernel/yama/ptrace_scope").and_then(|t| t.parse().ok()),
            seccomp_actions: line("/proc/sys/kernel/seccomp/actions_avail"),
            status: line("/proc/self/status"),
            trace: try_to_trace(),
            no_view,
            blind,
            no_guard: tracer::guard_ability().err(),
            container: ["/run/.containerenv", "/.dockerenv"]
                .into_iter()
                .find(|path| Path::new(path).exists())
                .map(str::to_owned)
                .or_else(|| std::env::var("container").ok().filter(|name| !name.is_empty())),
        }
    }

    /// A field of /proc/self/status.
    fn status(&self, field: &str) -> Option<&str> {
        let lines = self.status.as_deref()?.lines();
        lines
            .filter_map(|line| line.split_once(':'))
            .find(|(key, _)| *key == field)
            .map(|f| f.1.trim())
    }

    /// Whether the effective set holds a capability, by its number in capability(7).
    fn capable(&self, number: u32) -> bool {
        let set = self.status("CapEff").and_then(|hex| u64::from_str_radix(hex, 16).ok());
        set.is_some_and(|set| set >> number & 1 == 1)
    }

    fn checks(&self) -> Vec<Check> {
        vec![
            self.tracing(),
            self.kernel(),
            self.machine(),
            self.proc(),
            self.ptrace(),
            self.seccomp(),
            self.traced(),
            self.privileges(),
            self.witness(),
            self.recorder(),
            self.guard(),
            self.container(),
        ]
    }

    fn tracing(&self) -> Check {
        match &self.trace {
            None => Check::ok("tracing", "`true` was traced"),
            Some((why, remedy)) => Check::bad(
                "tracing",
                State::Missing,
                format!("`true` could not be traced: {why}"),
                "`run`, `cc` and `trace` end with 125 before they start the command",
                remedy.clone(),
            ),
        }
    }

    fn kernel(&self) -> Check {
        let mut numbers = self.kernel.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
        let version = match (numbers.next(), numbers.next()) {
            (Some(Ok(major)), Some(Ok(minor))) => (major, minor),
            _ => (0, 0),
        };
        // PTRACE_GET_SYSCALL_INFO came with 5.3, openat2 with 5.6.
        match version {
            (5, 6..) | (6.., _) => Check::ok("kernel", &self.kernel),
            _ => Check::bad(
                "kernel",
                State::Missing,
                &self.kernel,
                "the ABI of a call can't be told, so calls could be read wrongly",
                "use Linux 5.6 or newer",
            ),
        }
    }

    fn machine(&self) -> Check {
        match self.machine.as_str() {
            "x86_64" => Check::ok("machine", "x86_64"),
            "aarch64" => Check::bad(
                "machine",
                State::Degraded,
                "aarch64",
                "the syscall table is there, but it has not been run on such a machine",
                "use x86_64 where the verdict must be trusted",
            ),
            other => Check::bad(
                "machine",
                State::Missing,
                other,
                "there is no syscall table for it",
                "use x86_64",
            ),
        }
    }

    fn proc(&self) -> Check {
        match self.status {
            Some(_) => Check::ok("proc", "/proc is mounted"),
            None => Check::bad(
                "proc",
                State::Missing,
                "/proc/self/status can't be read",
                "names can't be resolved as the traced process sees them",
                "mount proc on /proc",
            ),
        }
    }

    fn ptrace(&self) -> Check {
        const NAME: &str = "ptrace_scope";
        match self.ptrace_scope {
            None => Check::ok(NAME, "no Yama in this kernel"),
            // The tracer only attaches to its own children.
            Some(scope @ 0..=1) => Check::ok(NAME, format!("Yama ptrace_scope is {scope}")),
            Some(2) if self.capable(19) => {
                Check::ok(NAME, "Yama ptrace_scope is 2, with CAP_SYS_PTRACE")
            }
            Some(2) => Check::bad(
                NAME,
                State::Missing,
                "Yama ptrace_scope is 2",
                "only a process with CAP_SYS_PTRACE may trace",
                "sysctl kernel.yama.ptrace_scope=1, or run with CAP_SYS_PTRACE",
            ),
            Some(scope) => Check::bad(
                NAME,
                State::Missing,
                format!("Yama ptrace_scope is {scope}"),
                "nobody may trace until the next boot",
                "set kernel.yama.ptrace_scope=1 in /etc/sysctl.d and boot again",
            ),
        }
    }

    fn seccomp(&self) -> Check {
        const NAME: &str = "seccomp";
        match self.seccomp_actions.as_deref() {
            Some(actions) if actions.split_whitespace().any(|action| action == "trace") => {
                Check::ok(NAME, "filters with RET_TRACE")
            }
            Some(_) => Check::bad(
                NAME,
                State::Missing,
                "filters without RET_TRACE",
                "calls can't be stopped",
                "use a kernel with CONFIG_SECCOMP_FILTER that offers the action `trace`",
            ),
            None if self.trace.is_none() => Check::ok(NAME, "filters (actions_avail is hidden)"),
            None => Check::bad(
                NAME,
                State::Missing,
                "/proc/sys/kernel/seccomp is not there",
                "calls can't be stopped",
                "use a kernel with CONFIG_SECCOMP_FILTER",
            ),
        }
    }

    fn traced(&self) -> Check {
        match self.status("TracerPid") {
            Some("0") | None => Check::ok("tracer", "nobody traces this process"),
            Some(pid) => Check::bad(
                "tracer",
                State::Degraded,
                format!("process {pid} traces this process"),
                "the kernel allows one tracer for a process: if that one follows children, \
                 they can't be traced by Airtight",
                "run Airtight outside of strace, gdb or another Airtight",
            ),
        }
    }

    fn privileges(&self) -> Check {
        const NAME: &str = "set-uid";
        match (self.status("NoNewPrivs"), self.capable(21)) {
            (Some("1"), _) => Check::bad(
                NAME,
                State::Degraded,
                "NO_NEW_PRIVS is already set",
                "set-uid programs (sudo, ping) run without their privilege, as they would \
                 without Airtight",
                "start from a session without NO_NEW_PRIVS if an action needs them",
            ),
            (_, true) => Check::ok(NAME, "CAP_SYS_ADMIN: set-uid programs keep their privilege"),
            _ => Check::bad(
                NAME,
                State::Degraded,
                "no CAP_SYS_ADMIN",
                "the filter needs NO_NEW_PRIVS, so set-uid programs (sudo, ping) lose their \
                 privilege while traced; the recording notes it",
                "run as root if an action needs them; ordinary builds do not",
            ),
        }
    }

    fn witness(&self) -> Check {
        const NAME: &str = "witness";
        match (&self.no_view, self.blind.as_slice()) {
            (None, []) => {
                Check::ok(NAME, "fanotify shows every file system (`--witness fanotify`)")
            }
            (None, blind) => Check::bad(
                NAME,
                State::Degraded,
                format!("fanotify does not show all: {}", blind.join("; ")),
                "there ptrace alone tells what happened",
                "keep workspace and tools on file systems that fanotify shows (ext4, xfs, tmpfs)",
            ),
            (Some((why, remedy)), _) => Check::bad(
                NAME,
                State::Degraded,
                why,
                "nobody is asked beside ptrace, also not by `audit`; what ptrace can't see makes a \
                 recording incomplete",
                format!("{remedy}; ptrace alone is enough for ordinary builds"),
            ),
        }
    }

    fn recorder(&self) -> Check {
        const NAME: &str = "recorder";
        match &self.no_view {
            None => {
                Check::ok(NAME, "fanotify can record what can't be traced (`--backend fanotify`)")
            }
            Some((why, remedy)) => Check::bad(
                NAME,
                State::Degraded,
                why,
                "what can't be traced by ptrace can't be recorded at all",
                remedy.clone(),
            ),
        }
    }

    fn guard(&self) -> Check {
        const NAME: &str = "guard";
        match &self.no_guard {
            None => Check::ok(NAME, "the kernel can deny undeclared opens (`--guard`)"),
            Some(why) => Check::bad(
                NAME,
                State::Degraded,
                why,
                "only the reactions `deny`, `hide` and `kill` refuse anything, at calls that \
                 ptrace sees",
                tracer::GUARD_REMEDY,
            ),
        }
    }

    fn container(&self) -> Check {
        const NAME: &str = "container";
        let filtered = self.status("Seccomp").is_some_and(|mode| mode != "0");
        match (&self.container, filtered) {
            (Some(mark), true) => Check::bad(
                NAME,
                State::Degraded,
                format!("{mark}, with a seccomp profile"),
                "calls that the profile forbids fail in the action, with or without Airtight; \
                 some profiles forbid ptrace",
                "if tracing fails: --cap-add=SYS_PTRACE --security-opt seccomp=unconfined",
            ),
            (None, true) => Check::bad(
                NAME,
                State::Degraded,
                "this process is under a seccomp filter",
                "calls that the filter forbids fail in the action, with or without Airtight",
                "if tracing fails, start outside of the sandbox",
            ),
            (Some(mark), false) => Check::ok(NAME, format!("{mark}, without a seccomp profile")),
            (None, false) => Check::ok(NAME, "none found"),
        }
    }
}

/// Traces the smallest command there is; why that failed, and what helps.
fn try_to_trace() -> Option<(String, String)> {
    struct Nowhere;
    impl Sink for Nowhere {
        fn put(&mut self, _: &Event<'_>) -> io::Result<()> {
            Ok(())
        }
    }
    let command = tracer::Command {
        argv: vec!["true".into()],
        env: None,
        cwd: None,
        stdio: Default::default(),
    };
    let below = || "see the lines below".to_owned();
    match tracer::run(&command, tracer::Options::default(), &mut Nowhere) {
        Ok(outcome) => match outcome.completeness {
            Completeness::Complete => None,
            Completeness::Incomplete { reasons } => Some((super::incomplete(&reasons), below())),
        },
        Err(tracer::Error::Forbidden { what, remedy }) => Some((what, remedy)),
        Err(error) => Some((error.to_string(), below())),
    }
}

pub(crate) fn run(args: &Args, printer: &Printer) -> Result<Status, Error> {
    let mut checks = Facts::gather().checks();
    checks.extend(cache::checks(args.remotes));
    let state = checks.iter().map(|check| check.state).max().unwrap_or(State::Ok);
    let answer = Answer { version: env!("CARGO_PKG_VERSION"), state, checks };
    let text = match args.format {
        Format::Human => human(&answer),
        Format::Json => crate::command::json(&answer)?,
    };
    printer.data(text).map_err(Error::Stdout)?;
    Ok(if state == State::Missing { Status::Findings } else { Status::Success })
}

fn human(answer: &Answer) -> String {
    let mut text = String::new();
    for check in &answer.checks {
        let (style, word) = match check.state {
            State::Ok => (GOOD, "ok"),
            State::Degraded => (WARNING, "degraded"),
            State::Missing => (ERROR, "missing"),
        };
        let _ = writeln!(
            text,
            "{style}{word:<8}{style:#}  {STRONG}{:<12}{STRONG:#}  {}",
            check.name, check.found
        );
        for (label, line) in [("means", check.consequence), ("remedy", check.remedy.as_deref())] {
            if let Some(line) = line {
                let _ = writeln!(text, "          {DIM}{label:<12}{DIM:#}  {line}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sound() -> Facts {
        Facts {
            kernel: "6.1.0-13-amd64".into(),
            machine: "x86_64".into(),
            seccomp_actions: Some("kill_process errno trace log allow".into()),
            status: Some(
                "TracerPid:\t0\nCapEff:\t000001ffffffffff\nNoNewPrivs:\t0\nSeccomp:\t0".into(),
            ),
            ..Facts::default()
        }
    }

    fn state(facts: &Facts, name: &str) -> State {
        let check = facts.checks().into_iter().find(|check| check.name == name).expect(name);
        // What is not as it should be always says what follows and what helps.
        assert_eq!(check.state == State::Ok, check.remedy.is_none());
        assert_eq!(check.state == State::Ok, check.consequence.is_none());
        check.state
    }

    #[test]
    fn a_sound_system_is_ok() {
        assert!(sound().checks().iter().all(|check| check.state == State::Ok));
    }

    #[test]
    fn each_fault_is_told() {
        let facts = |change: fn(&mut Facts)| {
            let mut facts = sound();
            change(&mut facts);
            facts
        };
        let status = "TracerPid:\t7\nCapEff:\t0\nNoNewPrivs:\t0\nSeccomp:\t2";
        let user = facts(|f| f.status = Some("CapEff:\t0\nSeccomp:\t0".into()));
        for (facts, name, expected) in [
            (
                facts(|f| f.trace = Some(("refused".into(), "allow".into()))),
                "tracing",
                State::Missing,
            ),
            (facts(|f| f.kernel = "4.19.0".into()), "kernel", State::Missing),
            (facts(|f| f.kernel = "5.5.1".into()), "kernel", State::Missing),
            (facts(|f| f.kernel = "5.6".into()), "kernel", State::Ok),
            (facts(|f| f.kernel = "odd".into()), "kernel", State::Missing),
            (facts(|f| f.machine = "aarch64".into()), "machine", State::Degraded),
            (facts(|f| f.machine = "mips".into()), "machine", State::Missing),
            (facts(|f| f.status = None), "proc", State::Missing),
            (facts(|f| f.ptrace_scope = Some(1)), "ptrace_scope", State::Ok),
            (facts(|f| f.ptrace_scope = Some(2)), "ptrace_scope", State::Ok),
            (Facts { ptrace_scope: Some(2), ..user.clone() }, "ptrace_scope", State::Missing),
            (facts(|f| f.ptrace_scope = Some(3)), "ptrace_scope", State::Missing),
            (facts(|f| f.seccomp_actions = Some("log".into())), "seccomp", State::Missing),
            (Facts { status: Some(status.into()), ..sound() }, "tracer", State::Degraded),
            (Facts { status: Some(status.into()), ..sound() }, "container", State::Degraded),
            (user, "set-uid", State::Degraded),
            (
                facts(|f| f.no_view = Some(("refused".into(), "CAP_SYS_ADMIN".into()))),
                "witness",
                State::Degraded,
            ),
            (
                facts(|f| f.no_view = Some(("refused".into(), "CAP_SYS_ADMIN".into()))),
                "recorder",
                State::Degraded,
            ),
            (facts(|f| f.blind = vec!["/mnt (fuse)".into()]), "witness", State::Degraded),
            (facts(|f| f.blind = vec!["/mnt (fuse)".into()]), "recorder", State::Ok),
            (facts(|f| f.no_guard = Some("no".into())), "guard", State::Degraded),
            (facts(|f| f.container = Some("/.dockerenv".into())), "container", State::Ok),
        ] {
            assert_eq!(state(&facts, name), expected, "{name} of {facts:?}");
        }
    }
}
