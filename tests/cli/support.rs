//! A directory to work in, and `airtight` run in it with a known environment.

use std::fs;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// A workspace with a `.git`, and a home beside it.
pub(crate) struct Site {
    root: TempDir,
}

impl Site {
    pub(crate) fn new() -> Site {
        let site = Site { root: TempDir::with_prefix("airtight-test-").expect("a directory") };
        for name in ["work/.git", "home", "tmp"] {
            fs::create_dir_all(site.root().join(name)).expect(name);
        }
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

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect(name)
    }

    /// `airtight` in the workspace.
    pub(crate) fn airtight(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_airtight"));
        command
            .args(args)
            .current_dir(self.path(""))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.root().join("home"))
            .env("TMPDIR", self.root().join("tmp"))
            .env("LC_ALL", "C")
            .stdin(Stdio::null());
        command
    }

    /// Runs `airtight` to its end.
    pub(crate) fn run(&self, args: &[&str]) -> End {
        self.end(self.airtight(args))
    }

    /// Runs a command to its end.
    pub(crate) fn end(&self, mut command: Command) -> End {
        End::new(command.output().expect("airtight starts"), &self.root())
    }

    /// Runs a command to its end with bytes on its standard input.
    pub(crate) fn end_with_input(&self, mut command: Command, input: &[u8]) -> End {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("airtight starts");
        child.stdin.take().expect("piped").write_all(input).expect("it reads");
        End::new(child.wait_with_output().expect("it ends"), &self.root())
    }
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) code: Option<i32>,
    pub(crate) signal: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl End {
    fn new(output: Output, root: &Path) -> End {
        let root = root.to_str().expect("UTF-8").to_owned();
        let redact = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).replace(&root, "[ROOT]");
        End {
            code: output.status.code(),
            signal: output.status.signal(),
            stdout: redact(output.stdout),
            stderr: redact(output.stderr),
        }
    }

    /// All of it, for a snapshot.
    pub(crate) fn show(&self) -> String {
        let end = match (self.code, self.signal) {
            (Some(code), _) => format!("exit {code}"),
            (None, signal) => format!("signal {}", signal.unwrap_or_default()),
        };
        format!("{end}\n--- stdout\n{}--- stderr\n{}", self.stdout, self.stderr)
    }

    /// The exit code, and nothing on either stream.
    #[track_caller]
    pub(crate) fn silent(&self, code: i32) {
        assert_eq!(self.show(), format!("exit {code}\n--- stdout\n--- stderr\n"));
    }

    /// The exit code, whatever was said.
    #[track_caller]
    pub(crate) fn code(&self, code: i32) -> &End {
        assert_eq!(self.code, Some(code), "{}", self.show());
        self
    }
}
