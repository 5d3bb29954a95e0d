//! A directory for one job, and the ways to run the job there.

use crate::findings::findings;
use crate::strace;
use crate::tools::Tool;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime};

/// The environment of every job: nothing else is passed on. `TMPDIR` is added.
const ENVIRONMENT: &[(&str, &str)] = &[
    ("PATH", "/usr/local/bin:/usr/bin:/bin"),
    ("LC_ALL", "C.UTF-8"),
    ("PYTHONDONTWRITEBYTECODE", "1"),
    ("GIT_CONFIG_NOSYSTEM", "1"),
    ("GIT_AUTHOR_NAME", "a"),
    ("GIT_AUTHOR_EMAIL", "a@example.org"),
    ("GIT_AUTHOR_DATE", "1700000000 +0000"),
    ("GIT_COMMITTER_NAME", "a"),
    ("GIT_COMMITTER_EMAIL", "a@example.org"),
    ("GIT_COMMITTER_DATE", "1700000000 +0000"),
];

/// What can be seen of a run from outside, the files apart.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Seen {
    fn from(output: Output) -> Seen {
        Seen {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

pub(crate) struct Bench<'a> {
    tool: &'a Tool,
    /// `w` in it is the workspace, `t` the directory for temporary files.
    base: tempfile::TempDir,
}

impl Bench<'_> {
    pub(crate) fn new(tool: &Tool) -> Bench<'_> {
        let base = tempfile::Builder::new().prefix("airtight-").tempdir().expect("a directory");
        let bench = Bench { tool, base };
        bench.reset();
        bench
    }

    /// Where the job runs: canonical.
    fn workspace(&self) -> PathBuf {
        self.base.path().canonicalize().expect("a directory").join("w")
    }

    /// Makes the directories anew, with the same content and the same times.
    pub(crate) fn reset(&self) {
        let workspace = self.workspace();
        for directory in [&workspace, &self.temporary()] {
            if directory.exists() {
                fs::remove_dir_all(directory).expect("remove the old directory");
            }
            fs::create_dir(directory).expect("mkdir");
        }
        for (name, text) in self.tool.files {
            let path = workspace.join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("mkdir");
            fs::write(&path, text).expect("write");
        }
        if !self.tool.before.is_empty() {
            let shell = ["sh".to_owned(), "-c".to_owned(), self.tool.before.to_owned()];
            let seen = self.run(&shell);
            assert_eq!(seen.code, Some(0), "{}: {}", self.tool.before, seen.stderr);
        }
        for path in tree(&workspace) {
            if path.is_file() {
                let file = File::open(&path).expect("open");
                file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000))
                    .expect("set the time");
            }
        }
    }

    fn temporary(&self) -> PathBuf {
        self.base.path().join("t")
    }

    /// Runs a command in the workspace with the jobs' environment.
    fn run(&self, argv: &[String]) -> Seen {
        let output = Command::new(&argv[0])
            .args(&argv[1..])
            .current_dir(self.workspace())
            .env_clear()
            .envs(ENVIRONMENT.iter().copied())
            .env("TMPDIR", self.temporary())
            .env("AIRTIGHT_CACHE", "false")
            .stdin(Stdio::null())
            .output();
        output.unwrap_or_else(|e| panic!("{}: {e}", argv[0])).into()
    }

    /// The job alone.
    pub(crate) fn untraced(&self) -> Seen {
        self.run(&self.tool.argv)
    }

    fn airtight_run(&self, flags: &[String]) -> Seen {
        let mut argv = vec![env!("CARGO_BIN_EXE_airtight").to_owned(), "run".to_owned()];
        argv.extend_from_slice(flags);
        for (name, _) in ENVIRONMENT {
            argv.extend(["--env".to_owned(), (*name).to_owned()]);
        }
        argv.extend(["--env".to_owned(), "TMPDIR".to_owned(), "--".to_owned()]);
        argv.extend_from_slice(&self.tool.argv);
        self.run(&argv)
    }

    /// The job under `airtight run`.
    pub(crate) fn airtight(&self, declared: &[String]) -> Seen {
        self.airtight_run(declared)
    }

    /// What `airtight run` finds. The job writes nothing to standard error.
    pub(crate) fn findings(&self, declared: &[String]) -> Vec<(String, String)> {
        let mut flags = vec!["--format".to_owned(), "json".to_owned()];
        flags.extend_from_slice(declared);
        let seen = self.airtight_run(&flags);
        assert_eq!(seen.code, Some(120), "{}: {}", self.tool.name, seen.stderr);
        findings(&seen.stderr)
    }

    /// Content and permissions of everything in the workspace.
    pub(crate) fn files(&self) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
        use std::os::unix::fs::PermissionsExt;
        let workspace = self.workspace();
        let mut files = BTreeMap::new();
        for path in tree(&workspace) {
            let name = path.strip_prefix(&workspace).expect("below").to_owned();
            let mode = path.symlink_metadata().expect("stat").permissions().mode();
            let random = self.tool.random.iter().any(|random| Path::new(random) == name);
            let content = match path.is_file() && !random {
                true => fs::read(&path).expect("read"),
                false => Vec::new(),
            };
            files.insert(name, (mode, content));
        }
        files
    }

    /// Every path that strace shows of the job.
    pub(crate) fn strace(&self) -> BTreeSet<String> {
        let log = self.base.path().join("strace");
        let mut argv: Vec<String> = strace::FLAGS.iter().map(|&flag| flag.to_owned()).collect();
        argv.extend([log.to_str().expect("UTF-8").to_owned(), "--".to_owned()]);
        argv.extend_from_slice(&self.tool.argv);
        let seen = self.run(&argv);
        assert_eq!(seen.code, Some(0), "strace of {}: {}", self.tool.name, seen.stderr);
        strace::paths(&fs::read_to_string(log).expect("strace's log"), &self.workspace())
    }

    /// Every path in the recording, as asked for and canonical.
    pub(crate) fn recorded(&self) -> BTreeSet<String> {
        let file = self.base.path().join("recording.json");
        let mut argv = vec![env!("CARGO_BIN_EXE_airtight").to_owned()];
        argv.extend(["trace", "--format", "json", "-o"].map(str::to_owned));
        argv.extend([file.to_str().expect("UTF-8").to_owned(), "--".to_owned()]);
        argv.extend_from_slice(&self.tool.argv);
        let seen = self.run(&argv);
        assert_eq!(seen.code, Some(0), "trace of {}: {}", self.tool.name, seen.stderr);
        let text = fs::read_to_string(file).expect("a recording");
        let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let accesses = json["accesses"].as_array().expect("accesses");
        accesses
            .iter()
            .flat_map(|access| [&access["path"], &access["requested"]])
            .filter_map(|path| path.as_str())
            .map(strace::normal)
            .collect()
    }
}

/// A directory and everything below, each directory before its entries.
fn tree(top: &Path) -> Vec<PathBuf> {
    let mut found = vec![top.to_owned()];
    let mut next = 0;
    while let Some(path) = found.get(next).cloned() {
        next += 1;
        if path.is_dir() && !path.is_symlink() {
            let entries =
                fs::read_dir(&path).expect("list").map(|entry| entry.expect("entry").path());
            found.extend(entries);
        }
    }
    found
}
