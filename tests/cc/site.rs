//! A workspace, and compilers run in it with and without Airtight.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// A workspace with a `.git`, a home with a cache of its own beside it.
pub(crate) struct Site {
    root: TempDir,
}

impl Site {
    pub(crate) fn new() -> Site {
        let site = Site { root: TempDir::with_prefix("airtight-test-").expect("a directory") };
        for name in ["work/.git", "home", "tmp", "bin"] {
            fs::create_dir_all(site.root().join(name)).expect(name);
        }
        // `airtight` as a build calls it.
        symlink(env!("CARGO_BIN_EXE_airtight"), site.root().join("bin/airtight")).expect("a link");
        site
    }

    /// The canonical name of everything.
    pub(crate) fn root(&self) -> PathBuf {
        fs::canonicalize(self.root.path()).expect("the directory is there")
    }

    /// A file of the workspace.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root().join("work").join(name)
    }

    /// Writes a file of the workspace.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> &Site {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("in a directory")).expect(name);
        fs::write(path, content).expect(name);
        self
    }

    /// Writes a program of the workspace.
    pub(crate) fn script(&self, name: &str, text: &str) -> &Site {
        self.write(name, format!("#!/bin/sh\n{text}\n"));
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o755)).expect(name);
        self
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).expect(name)
    }

    pub(crate) fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).expect(name);
    }

    /// A command in the workspace. The first word may be `airtight`.
    pub(crate) fn command(&self, line: &[&str]) -> Command {
        let path = std::env::var("PATH").expect("a PATH");
        let mut command = Command::new(line[0]);
        command
            .args(&line[1..])
            .current_dir(self.path(""))
            .env_clear()
            .env("PATH", format!("{}:{path}", self.root().join("bin").display()))
            .env("HOME", self.root().join("home"))
            .env("TMPDIR", self.root().join("tmp"))
            .env("LC_ALL", "C")
            .stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    #[track_caller]
    pub(crate) fn run(&self, line: &str) -> Output {
        let words: Vec<&str> = line.split_whitespace().collect();
        self.command(&words).output().expect(line)
    }

    /// Runs a command that succeeds and says nothing.
    #[track_caller]
    pub(crate) fn quiet(&self, line: &str) {
        let output = self.run(line);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), &*said), (Some(0), ""), "{line}");
    }

    /// Runs a command that ends with this code, and gives what it said.
    #[track_caller]
    pub(crate) fn ends(&self, code: i32, line: &str) -> String {
        let output = self.run(line);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{line}: {said}");
        said
    }

    /// Every file below a directory of the workspace.
    pub(crate) fn files(&self, name: &str) -> BTreeMap<PathBuf, Vec<u8>> {
        let root = self.path(name);
        let mut files = BTreeMap::new();
        let mut todo = vec![root.clone()];
        while let Some(directory) = todo.pop() {
            for entry in fs::read_dir(&directory).expect(name) {
                let path = entry.expect(name).path();
                if path.is_dir() {
                    todo.push(path);
                } else {
                    let content = fs::read(&path).expect(name);
                    files.insert(Path::strip_prefix(&path, &root).expect(name).to_owned(), content);
                }
            }
        }
        files
    }
}
