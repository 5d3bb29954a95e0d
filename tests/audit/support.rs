//! Projects to audit, and what an audit of them says.

use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// The report that [`Project::audit`] asks for, beside the workspace.
const REPORT: &str = "report.json";

/// A workspace with a `.git`, and a home and a temporary directory beside it.
pub(crate) struct Project {
    root: TempDir,
}

impl Project {
    /// A project of these files, given as one text:
    ///
    /// ```text
    /// -- Makefile --
    /// all: a.o
    /// -- src/a.c --
    /// int a;
    /// ```
    ///
    /// What begins with `#!` can be executed.
    pub(crate) fn new(files: &str) -> Project {
        let project = Project::empty();
        for (name, content) in sections(files) {
            project.write(name, content);
        }
        project
    }

    /// A copy of the directory `tests/audit/projects/NAME`.
    #[allow(dead_code)]
    pub(crate) fn copy(name: &str) -> Project {
        Project::copied(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/audit/projects").join(name),
        )
    }

    /// A copy of a directory.
    #[allow(dead_code)]
    pub(crate) fn copied(from: &Path) -> Project {
        let project = Project::empty();
        copy(from, &project.path(""));
        project
    }

    fn empty() -> Project {
        let project =
            Project { root: TempDir::with_prefix("airtight-test-").expect("a directory") };
        for name in ["work/.git", "home", "tmp"] {
            fs::create_dir_all(project.root().join(name)).expect(name);
        }
        project
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
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> &Project {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("in a directory")).expect(name);
        if content.as_ref().starts_with(b"#!") {
            script(&path, content.as_ref()).expect(name);
        } else {
            fs::write(&path, content).expect(name);
        }
        self
    }

    #[allow(dead_code)]
    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect(name)
    }

    /// A command in the workspace, with a known environment.
    pub(crate) fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
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

    /// Runs something in the workspace that has to succeed: a configure step, say.
    #[track_caller]
    #[allow(dead_code)]
    pub(crate) fn prepare(&self, command: &[&str]) -> &Project {
        let output = self.command(command[0], &command[1..]).output().expect(command[0]);
        let end = End::new(output, &self.root());
        assert_eq!(end.code, Some(0), "{}", end.show());
        self
    }

    /// Runs `airtight` with these arguments.
    pub(crate) fn airtight(&self, args: &[&str]) -> End {
        self.end(self.command(env!("CARGO_BIN_EXE_airtight"), args))
    }

    /// Runs a command to its end.
    pub(crate) fn end(&self, mut command: Command) -> End {
        End::new(command.output().expect("it starts"), &self.root())
    }

    /// Audits a build.
    #[allow(dead_code)]
    pub(crate) fn audit(&self, command: &[&str]) -> Audit {
        self.audit_with(&[], command)
    }

    /// Audits a build, with flags of `airtight audit`.
    pub(crate) fn audit_with(&self, flags: &[&str], command: &[&str]) -> Audit {
        self.judge(&[], &[&["audit"], flags].concat(), &[&["--"], command].concat())
    }

    /// Audits a build, with `airtight` itself run by another command (a sandbox, say).
    pub(crate) fn audit_within(&self, wrapper: &[&str], command: &[&str]) -> Audit {
        self.judge(wrapper, &["audit"], &[&["--"], command].concat())
    }

    /// Judges the saved audit again: `airtight check`, whose code for findings is 1.
    #[allow(dead_code)]
    pub(crate) fn check(&self, flags: &[&str]) -> Audit {
        self.judge(&[], &["check", "airtight-audit.bin"], flags)
    }

    fn judge(&self, wrapper: &[&str], before: &[&str], after: &[&str]) -> Audit {
        let path = self.root().join(REPORT);
        let _ = fs::remove_file(&path);
        let report = format!("json={}", path.display());
        let airtight = [env!("CARGO_BIN_EXE_airtight")];
        let line = [wrapper, &airtight, before, &["--report", &report], after].concat();
        let end = self.end(self.command(line[0], &line[1..]));
        let text = fs::read_to_string(&path).unwrap_or_default();
        let report = match text.is_empty() {
            true => Value::Null,
            false => serde_json::from_str(&text).expect("the report is JSON"),
        };
        Audit { end, report, workspace: self.path("") }
    }
}

/// Writes a file that can be executed. A program of its own does it: what this process has open for
/// writing, a child that another test starts meanwhile has open as well, and then it can't be
/// executed.
fn script(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "rm -f \"$0\" && cat > \"$0\" && chmod 755 \"$0\""]).arg(path);
    let mut shell = shell.stdin(Stdio::piped()).spawn()?;
    shell.stdin.take().expect("piped").write_all(content)?;
    assert!(shell.wait()?.success(), "{}", path.display());
    Ok(())
}

/// The files in a text, see [`Project::new`].
fn sections(text: &str) -> Vec<(&str, &str)> {
    let mut found: Vec<(&str, usize, usize)> = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let name = line.trim_end().strip_prefix("-- ").and_then(|rest| rest.strip_suffix(" --"));
        if let Some(name) = name {
            found.push((name, at + line.len(), at + line.len()));
        } else if let Some(last) = found.last_mut() {
            last.2 = at + line.len();
        } else {
            assert!(line.trim().is_empty(), "before the first `-- name --`: {line}");
        }
        at += line.len();
    }
    found.into_iter().map(|(name, start, end)| (name, &text[start..end])).collect()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("made");
    for entry in fs::read_dir(from).unwrap_or_else(|error| panic!("{}: {error}", from.display())) {
        let entry = entry.expect("listed");
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().expect("known");
        if kind.is_dir() {
            copy(&from, &to);
        } else if kind.is_symlink() {
            let target = fs::read_link(&from).expect("read");
            std::os::unix::fs::symlink(target, to).expect("made");
        } else {
            fs::copy(&from, &to).expect("copied");
        }
    }
}

/// What an audit said.
#[derive(Debug)]
pub(crate) struct Audit {
    /// How `airtight` ended.
    pub(crate) end: End,
    /// The JSON report; null where there is none.
    pub(crate) report: Value,
    workspace: PathBuf,
}

/// Rule, action, and path relative to the workspace.
pub(crate) type Fact = (String, String, String);

impl Audit {
    /// The findings that people see by default, and nothing of less weight.
    pub(crate) fn findings(&self) -> BTreeSet<Fact> {
        self.of_severity(&["warn", "error"])
    }

    /// The findings of these severities: `record`, `note`, `warn`, `error`.
    pub(crate) fn of_severity(&self, severities: &[&str]) -> BTreeSet<Fact> {
        let list = self.list();
        let wanted = list
            .iter()
            .filter(|finding| severities.iter().any(|severity| finding["severity"] == *severity));
        wanted.map(|finding| self.fact(finding)).collect()
    }

    /// The whole finding, as JSON.
    #[track_caller]
    #[allow(dead_code)]
    pub(crate) fn finding(&self, rule: &str, action: &str, path: &str) -> &Value {
        let wanted = (rule.to_owned(), action.to_owned(), path.to_owned());
        let found = self.list().iter().find(|finding| self.fact(finding) == wanted);
        found.unwrap_or_else(|| panic!("no {wanted:?}:\n{}", self.show()))
    }

    fn list(&self) -> &[Value] {
        self.report["build"]["findings"].as_array().map_or(&[], Vec::as_slice)
    }

    fn fact(&self, finding: &Value) -> Fact {
        let text = |key: &str| finding[key].as_str().unwrap_or_default().to_owned();
        let path = PathBuf::from(text("path"));
        let path = path.strip_prefix(&self.workspace).unwrap_or(&path);
        (text("rule"), text("action"), path.display().to_string())
    }

    /// How many processes were led back to no action.
    pub(crate) fn unattributed(&self) -> usize {
        self.report["build"]["unattributed"].as_array().map_or(0, Vec::len)
    }

    /// The names of the actions that ran.
    #[allow(dead_code)]
    pub(crate) fn actions(&self) -> BTreeSet<String> {
        let actions = self.report["build"]["actions"].as_array();
        let names = actions.into_iter().flatten().filter_map(|action| action["name"].as_str());
        names.map(str::to_owned).collect()
    }

    /// Exactly these findings (rule, action, path), this exit code, and every process belongs to
    /// somebody.
    #[track_caller]
    pub(crate) fn expect(&self, code: i32, findings: &[(&str, &str, &str)]) -> &Audit {
        let fact = |&(a, b, c): &(&str, &str, &str)| (a.to_owned(), b.to_owned(), c.to_owned());
        let expected: BTreeSet<Fact> = findings.iter().map(fact).collect();
        assert!(!self.report.is_null(), "no report:\n{}", self.end.show());
        assert_eq!(self.findings(), expected, "{}", self.show());
        assert_eq!(self.unattributed(), 0, "{}", self.show());
        assert_eq!(self.end.code, Some(code), "{}", self.end.show());
        self
    }

    fn show(&self) -> String {
        let verdict = &self.report["build"];
        let parts = ["findings", "unattributed"].map(|part| format!("{part}: {:#}", verdict[part]));
        format!("{}\n{}", parts.join("\n"), self.end.show())
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

    /// All of it, for a snapshot or a message.
    pub(crate) fn show(&self) -> String {
        let end = match (self.code, self.signal) {
            (Some(code), _) => format!("exit {code}"),
            (None, signal) => format!("signal {}", signal.unwrap_or_default()),
        };
        format!("{end}\n--- stdout\n{}--- stderr\n{}", self.stdout, self.stderr)
    }

    /// The exit code, whatever was said.
    #[track_caller]
    pub(crate) fn code(&self, code: i32) -> &End {
        assert_eq!(self.code, Some(code), "{}", self.show());
        self
    }
}
