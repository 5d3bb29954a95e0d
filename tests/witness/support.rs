//! Runs programs under `airtight trace` with a witness, or under one that has forgotten calls.

use crate::harness::{World, program};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

/// The capability that fanotify needs, by its number in capability(7).
const CAP_SYS_ADMIN: u32 = 21;

/// Whether there can be a witness. Where not, what is said instead has its own tests.
pub(crate) fn privileged() -> bool {
    let status = fs::read_to_string("/proc/self/status").expect("/proc");
    let set = status.lines().find_map(|line| line.strip_prefix("CapEff:")).expect("a line");
    u64::from_str_radix(set.trim(), 16).expect("a number") >> CAP_SYS_ADMIN & 1 == 1
}

pub(crate) const AIRTIGHT: &str = env!("CARGO_BIN_EXE_airtight");

/// The command whose table has holes, built beside the one under test.
static FORGETFUL: LazyLock<PathBuf> = LazyLock::new(|| {
    let profile = Path::new(AIRTIGHT).parent().expect("a directory");
    let target = profile.parent().expect("a directory of cargo");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--locked", "--offline", "--features", "forgetful"]);
    cargo.args(["--bin", "airtight-forgetful"]);
    cargo.args(["--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")]);
    cargo.arg("--target-dir").arg(target);
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    let built = cargo.output().expect("cargo");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    profile.join("airtight-forgetful")
});

/// An `airtight` whose table lacks these calls; the usual one if it lacks none.
pub(crate) fn airtight(forgotten: &str) -> Command {
    let mut command =
        Command::new(if forgotten.is_empty() { Path::new(AIRTIGHT) } else { &FORGETFUL });
    command
        .env_clear()
        .envs([("PATH", "/usr/bin:/bin"), ("LC_ALL", "C"), ("HOME", "/nonexistent")])
        .env("AIRTIGHT_FORGOTTEN_CALLS", forgotten);
    command
}

/// What came of a traced run.
pub(crate) struct Run {
    pub(crate) output: Output,
    json: Value,
    root: String,
}

/// One command to be traced in a world of its own.
pub(crate) struct Trace<'a> {
    setup: &'a str,
    flags: &'a [&'a str],
    forgotten: &'a str,
    before: &'a str,
}

impl<'a> Trace<'a> {
    /// In a world of this [`World::new`].
    pub(crate) fn of(setup: &'a str) -> Trace<'a> {
        Trace { setup, flags: &["--witness=fanotify"], forgotten: "", before: "" }
    }

    /// With these flags.
    pub(crate) fn flags(self, flags: &'a [&'a str]) -> Trace<'a> {
        Trace { flags, ..self }
    }

    /// By one that has forgotten these calls.
    pub(crate) fn forgets(self, forgotten: &'a str) -> Trace<'a> {
        Trace { forgotten, ..self }
    }

    /// After a script, in the world and in a mount namespace of its own.
    pub(crate) fn after(self, before: &'a str) -> Trace<'a> {
        Trace { before, ..self }
    }

    /// Runs it. `argv[0]` is a program of tests/programs, or a path if it has a slash; `$T` stands
    /// for the world's directory.
    pub(crate) fn run(self, argv: &[&str]) -> Run {
        let world = World::new(self.setup, false);
        world.build();
        self.run_in(&world, argv)
    }

    /// Runs it in a world that is there.
    pub(crate) fn run_in(self, world: &World, argv: &[&str]) -> Run {
        let recording = world.recording();
        let mut command = airtight(self.forgotten);
        if !self.before.is_empty() {
            let script = format!("mount --make-rprivate /\n{}\nexec \"$@\"", self.before);
            let inner = command;
            command = Command::new("unshare");
            command.args(["-m", "sh", "-ec", &script, "sh"]).arg(inner.get_program());
            command.env_clear();
            command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        }
        command.arg("trace").args(self.flags).args(["--format", "json", "-o"]).arg(&recording);
        command.arg("--").current_dir(world.path());
        match argv[0].contains('/') {
            true => command.arg(world.fill(argv[0])),
            false => command.arg(program(argv[0])),
        };
        command.args(argv[1..].iter().map(|word| world.fill(word)));
        let output = command.output().expect("it starts");
        let json = fs::read(&recording).ok().map(|text| serde_json::from_slice(&text));
        let json = json.and_then(Result::ok).unwrap_or_default();
        let root = format!("{}/", world.path().to_str().expect("UTF-8"));
        Run { output, json, root }
    }
}

impl Run {
    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    pub(crate) fn backend(&self) -> &str {
        self.json["backend"].as_str().unwrap_or_default()
    }

    fn reasons(&self) -> impl Iterator<Item = (&str, &str)> {
        let reasons = self.json["reasons"].as_array().map(Vec::as_slice).unwrap_or_default();
        reasons.iter().map(|reason| {
            let text = |field: &str| reason[field].as_str().unwrap_or_default();
            (text("code"), text("detail"))
        })
    }

    /// The codes of the reasons why it is incomplete.
    pub(crate) fn codes(&self) -> BTreeSet<&str> {
        self.reasons().map(|(code, _)| code).collect()
    }

    /// All that the witness saw in the world, and the tracer did not: `opened f`.
    #[track_caller]
    pub(crate) fn missed(&self) -> BTreeSet<String> {
        let disagree = self.reasons().filter(|(code, _)| *code == "witness-disagrees");
        let parts = disagree.map(|(_, detail)| {
            let seen = detail.strip_suffix(": fanotify saw it, and the tracer did not");
            let seen = seen.and_then(|seen| seen.rsplit_once(" by process "));
            let parts = seen.and_then(|(seen, _)| seen.rsplit_once(" was "));
            parts.unwrap_or_else(|| panic!("another form: {detail}"))
        });
        let inside = parts.filter_map(|(path, verb)| Some((path.strip_prefix(&self.root)?, verb)));
        inside.map(|(path, verb)| format!("{verb} {path}")).collect()
    }

    /// The witness was there, and all is recorded.
    #[track_caller]
    pub(crate) fn agrees(&self) -> &Run {
        let reasons: Vec<_> = self.reasons().collect();
        assert_eq!(reasons, [], "{}", self.stderr());
        assert_eq!(self.backend(), "ptrace+fanotify", "{}", self.stderr());
        assert!(self.output.status.success(), "{}", self.stderr());
        self
    }

    /// The witness saw exactly this besides, and so the recording is incomplete.
    #[track_caller]
    pub(crate) fn misses(&self, expected: &[&str]) -> &Run {
        let expected: BTreeSet<String> = expected.iter().map(|&fact| fact.to_owned()).collect();
        assert_eq!(self.missed(), expected, "{}", self.stderr());
        assert_eq!(self.output.status.code(), Some(121), "{}", self.stderr());
        self
    }
}
