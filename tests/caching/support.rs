//! Workspaces with caches, and `airtight` run in them.

use airtight_cache::stats::{Counters, MissReason, NotCachedReason, Stats};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::rc::Rc;
use tempfile::TempDir;

/// A workspace of somebody who has a home, and in it a local store.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    root: Rc<TempDir>,
    workspace: String,
    home: String,
    variables: Vec<(String, String)>,
}

impl Site {
    pub(crate) fn new() -> Site {
        let root = Rc::new(TempDir::with_prefix("airtight-test-").expect("a directory"));
        let variables = vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())];
        Site { root, workspace: String::new(), home: String::new(), variables }.at("work", "home")
    }

    /// Another workspace, and perhaps another's home, beside this one.
    pub(crate) fn at(&self, workspace: &str, home: &str) -> Site {
        let site = Site { workspace: workspace.to_owned(), home: home.to_owned(), ..self.clone() };
        for directory in [site.path(".git"), site.home(), site.root().join("tmp")] {
            fs::create_dir_all(directory).expect("a directory of the site");
        }
        site
    }

    /// The same with another variable in the caller's environment.
    pub(crate) fn with(&self, name: &str, value: impl AsRef<str>) -> Site {
        let mut site = self.clone();
        site.variables.retain(|(other, _)| other != name);
        site.variables.push((name.to_owned(), value.as_ref().to_owned()));
        site
    }

    /// The canonical name of everything.
    pub(crate) fn root(&self) -> PathBuf {
        fs::canonicalize(self.root.path()).expect("the directory is there")
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.root().join(&self.home)
    }

    /// The local store.
    pub(crate) fn store(&self) -> PathBuf {
        self.home().join(".cache/airtight")
    }

    /// A file of the workspace.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root().join(&self.workspace).join(name)
    }

    /// Writes a file of the workspace.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> &Site {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("in a directory")).expect(name);
        fs::write(path, content).expect(name);
        self
    }

    /// Writes a program of the workspace.
    pub(crate) fn program(&self, name: &str, content: &str) -> &Site {
        self.write(name, content).chmod(name, 0o755)
    }

    pub(crate) fn chmod(&self, name: &str, mode: u32) -> &Site {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).expect(name);
        self
    }

    pub(crate) fn link(&self, name: &str, target: &str) -> &Site {
        let _ = fs::remove_file(self.path(name));
        symlink(target, self.path(name)).expect(name);
        self
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub(crate) fn text(&self, name: &str) -> String {
        String::from_utf8(self.read(name)).expect("text")
    }

    /// Removes a file or directory of the workspace.
    pub(crate) fn remove(&self, name: &str) -> &Site {
        let path = self.path(name);
        match path.is_dir() && !path.is_symlink() {
            true => fs::remove_dir_all(path).expect(name),
            false => fs::remove_file(path).expect(name),
        }
        self
    }

    /// Kind, mode and content of everything at and below these names.
    pub(crate) fn snapshot(&self, names: &[&str]) -> BTreeMap<String, (u32, Vec<u8>)> {
        let mut found = BTreeMap::new();
        let mut open: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        while let Some(name) = open.pop() {
            let path = self.path(&name);
            let metadata = path.symlink_metadata().unwrap_or_else(|e| panic!("{name}: {e}"));
            let content = if metadata.is_symlink() {
                fs::read_link(&path).expect("a link").into_os_string().into_encoded_bytes()
            } else if metadata.is_dir() {
                for entry in fs::read_dir(&path).expect("a directory") {
                    let entry = entry.expect("an entry").file_name();
                    open.push(format!("{name}/{}", entry.to_str().expect("UTF-8")));
                }
                Vec::new()
            } else {
                fs::read(&path).expect("a file")
            };
            found.insert(name, (metadata.mode(), content));
        }
        found
    }

    /// `airtight` in the workspace.
    pub(crate) fn airtight<S: AsRef<OsStr>>(&self, args: &[S]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_airtight"));
        command
            .args(args)
            .current_dir(self.path(""))
            .env_clear()
            .env("HOME", self.home())
            .env("TMPDIR", self.root().join("tmp"))
            .env("LC_ALL", "C")
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        command
    }

    /// Runs `airtight run` with these [`words`] to its end, with the counters of the local store from this run alone.
    pub(crate) fn run(&self, args: &str) -> (End, Counters) {
        self.end(self.airtight(&words(args)))
    }

    /// The same of a command made with [`Site::airtight`].
    pub(crate) fn end(&self, mut command: Command) -> (End, Counters) {
        let stats = Stats::open(&self.store());
        if self.store().exists() {
            // A store that can't be written keeps its counters, which is seen in the test.
            let _ = stats.reset();
        }
        let end = End::new(&command.output().expect("airtight starts"), &self.root());
        // There may be no place for a store at all.
        (end, stats.read().unwrap_or_default())
    }

    /// Runs `airtight run` where this script has changed what is mounted.
    pub(crate) fn run_where(&self, script: &str, args: &str) -> (End, Counters) {
        let airtight = self.airtight(&words(args));
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c"]);
        command.arg(format!("{script} && exec \"$0\" \"$@\""));
        command.arg(airtight.get_program()).args(airtight.get_args());
        command.current_dir(self.path("")).env_clear().stdin(Stdio::null());
        command.envs(airtight.get_envs().filter_map(|(name, value)| Some((name, value?))));
        self.end(command)
    }

    /// The action runs, cleanly, and its result is kept.
    #[track_caller]
    pub(crate) fn runs(&self, args: &str) -> End {
        self.runs_because(MissReason::NoEntry, args)
    }

    /// The same, with the reason for which nothing was found.
    #[track_caller]
    pub(crate) fn runs_because(&self, reason: MissReason, args: &str) -> End {
        let (end, counters) = self.run(args);
        let mut expected = Counters::default();
        expected.miss(reason);
        expected.published = 1;
        end.counted(&counters, expected);
        end
    }

    /// The result comes from the local store, and nothing is said of it.
    #[track_caller]
    pub(crate) fn restores(&self, args: &str) -> End {
        let (end, counters) = self.run(args);
        let mut expected = Counters::default();
        expected.local_hits = 1;
        end.counted(&counters, expected);
        end
    }

    /// The result comes from a remote, and nothing is said of it.
    #[track_caller]
    pub(crate) fn fetches(&self, args: &str) -> End {
        let (end, counters) = self.run(args);
        let mut expected = Counters::default();
        expected.remote_hits = 1;
        end.counted(&counters, expected);
        end
    }

    /// The action runs and its result is not kept, neither now nor at a second try. Its exit code
    /// is `code`.
    #[track_caller]
    pub(crate) fn withholds(&self, code: i32, reason: NotCachedReason, args: &str) -> End {
        let (end, counters) = self.run(args);
        assert_eq!(end.code, Some(code), "{}", end.show());
        assert_eq!(counters.not_cached[reason.name()], 1, "{counters:?}\n{}", end.show());
        assert_eq!((counters.published, counters.hits()), (0, 0), "{counters:?}\n{}", end.show());
        assert_eq!(self.entries(), 0, "{}", end.show());
        end
    }

    /// How many entries the local store holds.
    pub(crate) fn entries(&self) -> usize {
        let files = files(&self.store().join("ac-v1"));
        files.len()
    }
}

/// `run` and the words of a command line; one with spaces is in single quotes.
pub(crate) fn words(line: &str) -> Vec<&str> {
    let mut words = vec!["run"];
    for (at, part) in line.split('\'').enumerate() {
        match at % 2 {
            0 => words.extend(part.split_whitespace()),
            _ => words.push(part),
        }
    }
    words
}

/// Every file below a directory; none if that is not there.
pub(crate) fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).into_iter().flatten() {
            let path = entry.expect("an entry").path();
            match path.is_dir() && !path.is_symlink() {
                true => open.push(path),
                false => found.push(path),
            }
        }
    }
    found
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
    pub(crate) fn new(output: &Output, root: &Path) -> End {
        let root = root.to_str().expect("UTF-8").to_owned();
        let redact = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(&root, "[ROOT]");
        End {
            code: output.status.code(),
            signal: output.status.signal(),
            stdout: redact(&output.stdout),
            stderr: redact(&output.stderr),
        }
    }

    /// All of it, for messages.
    pub(crate) fn show(&self) -> String {
        let end = match (self.code, self.signal) {
            (Some(code), _) => format!("exit {code}"),
            (None, signal) => format!("signal {}", signal.unwrap_or_default()),
        };
        format!("{end}\n--- stdout\n{}--- stderr\n{}", self.stdout, self.stderr)
    }

    /// That it ended well, and what was counted but for the remotes' bytes.
    #[track_caller]
    fn counted(&self, counters: &Counters, mut expected: Counters) {
        assert_eq!(self.code, Some(0), "{counters:?}\n{}", self.show());
        expected.remotes.clone_from(&counters.remotes);
        assert_eq!(*counters, expected, "{}", self.show());
    }

    /// The exit code, whatever was said.
    #[track_caller]
    pub(crate) fn code(&self, code: i32) -> &End {
        assert_eq!(self.code, Some(code), "{}", self.show());
        self
    }

    /// The exit code 0, and nothing on either stream.
    #[track_caller]
    pub(crate) fn silent(&self) {
        assert_eq!(self.show(), "exit 0\n--- stdout\n--- stderr\n");
    }

    /// That standard error tells this.
    #[track_caller]
    pub(crate) fn says(&self, text: &str) -> &End {
        assert!(self.stderr.contains(text), "no {text:?} in\n{}", self.show());
        self
    }
}
