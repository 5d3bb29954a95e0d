//! Foreign clients of remote caches: what they store has to be found again, and a double that
//! works with them is like the server it stands for.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::install;

/// A workspace of Bazel 4.2 with one generated file, and an empty local cache. Two of them share
/// only what a remote cache holds.
#[derive(Debug)]
pub struct Bazel {
    directory: TempDir,
}

/// What a build of Bazel's came to.
#[derive(Debug)]
pub struct BazelBuild {
    /// The generated file.
    pub output: Vec<u8>,
    /// How many actions were found in the remote cache.
    pub remote_hits: usize,
    /// What Bazel said.
    pub log: String,
}

impl Bazel {
    /// The workspace; `source` is what the one source file holds.
    pub fn new(source: &str) -> Bazel {
        let directory = temporary();
        let workspace = directory.path().join("workspace");
        fs::create_dir(&workspace).expect("a directory in our own temporary one");
        let rule = "genrule(\n    name = \"twice\",\n    srcs = [\"in.txt\"],\n    \
                    outs = [\"out.txt\"],\n    cmd = \"cat $< $< > $@\",\n)\n";
        for (name, content) in [("WORKSPACE", ""), ("BUILD", rule), ("in.txt", source)] {
            fs::write(workspace.join(name), content).expect("a file of the workspace");
        }
        Bazel { directory }
    }

    /// Builds from nothing with the cache at this URL (`http://…` or `grpc://…`) and further
    /// options. The generated file is the source twice.
    pub fn build(&self, remote: &str, options: &[&str]) -> BazelBuild {
        let mut bazel = Command::new(install::system("bazel"));
        clean(&mut bazel, self.directory.path());
        let workspace = self.directory.path().join("workspace");
        bazel.current_dir(&workspace);
        // No server stays behind, and no file of the user's is read. The system's is: it says
        // where Debian has put Bazel's own files.
        bazel.args(["--batch", "--nohome_rc"]);
        let root = self.directory.path().join("root");
        bazel.arg(format!("--output_user_root={}", root.display()));
        bazel.args(["build", "--noshow_progress", "--nosandbox_debug", "--spawn_strategy=local"]);
        bazel.arg(format!("--remote_cache={remote}")).args(options).arg("//:twice");
        let log = succeeds(bazel.output().expect("bazel starts"), "bazel");
        let output = fs::read(workspace.join("bazel-bin/out.txt")).expect("bazel's output");
        // As in "INFO: 2 processes: 1 remote cache hit, 1 internal."
        let hits = log.split_once(" remote cache hit").and_then(|(before, _)| {
            before.rsplit(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
        });
        BazelBuild { output, remote_hits: hits.unwrap_or(0), log }
    }
}

/// A directory with a C file, and ccache with an empty local cache. Two of them share only what a
/// remote cache holds.
#[derive(Debug)]
pub struct Ccache {
    directory: TempDir,
}

impl Ccache {
    /// The directory; `source` is what `a.c` holds.
    pub fn new(source: &str) -> Ccache {
        let directory = temporary();
        fs::write(directory.path().join("a.c"), source).expect("a source file");
        Ccache { directory }
    }

    /// Compiles with the HTTP cache at this URL and returns ccache's counters, by the names that
    /// `ccache --print-stats` has for them.
    pub fn compile(&self, remote: &str) -> BTreeMap<String, u64> {
        let storage = format!("{remote}|layout=bazel");
        let run = |arguments: &[&str]| {
            let mut ccache = Command::new(install::system("ccache"));
            clean(&mut ccache, self.directory.path());
            ccache.env("CCACHE_DIR", self.directory.path().join("cache"));
            ccache.env("CCACHE_REMOTE_STORAGE", &storage);
            ccache.args(arguments).output().expect("ccache starts")
        };
        succeeds(run(&["--zero-stats"]), "ccache");
        succeeds(run(&["gcc", "-c", "a.c", "-o", "a.o"]), "ccache");
        let counters = run(&["--print-stats"]);
        let lines = String::from_utf8_lossy(&counters.stdout).into_owned();
        succeeds(counters, "ccache");
        let counter = |line: &str| {
            let (name, count) = line.split_once('\t')?;
            Some((name.to_owned(), count.parse().ok()?))
        };
        lines.lines().filter_map(counter).collect()
    }

    /// The object file.
    pub fn object(&self) -> Vec<u8> {
        fs::read(self.directory.path().join("a.o")).expect("ccache's output")
    }
}

fn temporary() -> TempDir {
    let directory = tempfile::Builder::new().prefix("airtight-client-").tempdir();
    directory.expect("a temporary directory")
}

/// A known environment, in a directory that is home too.
fn clean(command: &mut Command, directory: &Path) {
    command.current_dir(directory).env_clear();
    command.env("PATH", "/usr/bin:/bin").env("HOME", directory).env("LC_ALL", "C.UTF-8");
}

/// What the program said on standard error.
fn succeeds(output: Output, program: &str) -> String {
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{program} failed, {}:\n{log}", output.status);
    log
}
