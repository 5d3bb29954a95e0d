//! Asks make for its data base, with a shell in its place that executes no recipe.
//!
//! `make -pqk` starts no recipe but those lines that are marked to run always (`+`, `$(MAKE)`), and
//! what makes a makefile. All of these go through `$(SHELL)`, which is a small script here; that
//! only executes what has no target: `$(shell …)` while the makefiles are read.

use super::{MARK, PROBE};
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// How long one make may take to read its makefiles.
const LIMIT: Duration = Duration::from_secs(120);
/// How many bytes of a data base are read.
const LARGEST_ANSWER: u64 = 256 << 20;
/// How many bytes of messages are kept.
const LONGEST_ERRORS: u64 = 64 << 10;
/// How many bytes of one environment are read.
const LARGEST_ENVIRONMENT: u64 = 4 << 20;

/// An environment.
pub(super) type Environment = Vec<(OsString, OsString)>;

/// A question to make.
pub(super) struct Query {
    /// The make.
    pub(super) program: PathBuf,
    /// What it is called.
    pub(super) name: OsString,
    /// Where it is started.
    pub(super) directory: PathBuf,
    /// Its arguments.
    pub(super) arguments: Vec<Vec<u8>>,
    /// Its whole environment.
    pub(super) environment: Environment,
    /// The shell of the makefiles, with its flags.
    pub(super) shell: Vec<Vec<u8>>,
}

/// What make answered.
pub(super) struct Answer {
    /// All that it printed.
    pub(super) text: Vec<u8>,
    /// What it complained about.
    pub(super) errors: String,
    /// How it ended.
    pub(super) status: Option<i32>,
    /// The environments of those recipes that would have been run, by the target as the mark has
    /// it, without the level. That of [`PROBE`] is what others have, if they set nothing of their
    /// own.
    pub(super) environments: HashMap<Vec<u8>, Environment>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum QueryError {
    /// It could not be started, or not be listened to.
    #[error("{}: {source}", path.display())]
    Io {
        /// What could not be used.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It did not end.
    #[error("it took longer than {} s", LIMIT.as_secs())]
    Slow,
    /// It talked too much.
    #[error("it printed more than {} MiB", LARGEST_ANSWER >> 20)]
    Large,
}

impl Query {
    /// Runs make.
    ///
    /// # Errors
    /// When it can't be started, or its answer has no end.
    pub(super) fn ask(&self) -> Result<Answer, QueryError> {
        let private = tempfile::tempdir().map_err(failed(&std::env::temp_dir()))?;
        let notes = private.path().join("environments");
        fs::create_dir(&notes).map_err(failed(&notes))?;
        let shell = private.path().join("sh");
        fs::write(&shell, self.script(&notes)).map_err(failed(&shell))?;
        let mode = fs::Permissions::from_mode(0o700);
        fs::set_permissions(&shell, mode).map_err(failed(&shell))?;

        let variable = |name: &str, value: &OsStr| {
            let mut word = OsString::from(name);
            word.push(value);
            word
        };
        let mut command = Command::new(&self.program);
        command
            .arg0(&self.name)
            .args(["-p", "-q", "-k", "--no-print-directory"])
            // A makefile that is missing is remade even so, which here only notes the environment.
            .arg(format!("--eval=-include {PROBE}"))
            .arg(format!("--eval={PROBE}: ; +:"))
            .args(self.arguments.iter().map(|argument| OsStr::from_bytes(argument)))
            .arg(variable("SHELL=", shell.as_os_str()))
            .arg(".SHELLFLAGS=$(if $@,airtight-recipe,airtight-parse)")
            .current_dir(&self.directory)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            // Messages in English, and nothing else of the locale changed: a locale of "C" in this
            // list means untranslated.
            .env("LANGUAGE", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let mut child = command.spawn().map_err(failed(&self.program))?;
        let errors = drain(child.stderr.take());
        let text = listen(&mut child);
        if text.is_err() {
            end(&child);
        }
        let status = child.wait().map_err(failed(&self.program))?.code();
        let text = text?.map_err(failed(&self.program))?;
        // A process that $(shell) left behind may still hold the other end.
        let errors = errors.recv_timeout(Duration::from_secs(1)).unwrap_or_default();
        let errors = String::from_utf8_lossy(&errors).into_owned();
        Ok(Answer { text, errors, status, environments: environments(&notes)? })
    }

    /// The shell that executes no recipe.
    fn script(&self, notes: &Path) -> Vec<u8> {
        let shell = self.shell.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(&b' ');
        let program = quoted(self.shell.first().map_or(b"/bin/sh", Vec::as_slice));
        let notes = quoted(notes.as_os_str().as_bytes());
        let lines: [&[&[u8]]; 6] = [
            &[b"#!/bin/sh\ncase $1 in\n"],
            &[b"airtight-recipe) exec env -0 >", &notes, b"/$$ ;;\n"],
            &[b"airtight-parse) shift; exec ", &shell, b" \"$@\" ;;\n"],
            &[b"*) exec ", &program, b" \"$@\" ;;\n"],
            &[b"esac\n"],
            &[],
        ];
        lines.concat().concat()
    }
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> QueryError {
    let path = path.to_owned();
    move |source| QueryError::Io { path, source }
}

/// A word that a shell takes as it is.
fn quoted(word: &[u8]) -> Vec<u8> {
    let mut text = vec![b'\''];
    for &byte in word {
        match byte {
            b'\'' => text.extend(b"'\\''"),
            byte => text.push(byte),
        }
    }
    text.push(b'\'');
    text
}

/// Everything that the child prints, within limits.
fn listen(child: &mut Child) -> Result<io::Result<Vec<u8>>, QueryError> {
    let Some(output) = child.stdout.take() else { return Ok(Ok(Vec::new())) };
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut text = Vec::new();
        let result = output.take(LARGEST_ANSWER + 1).read_to_end(&mut text);
        // Nobody waits for it any more after the limit.
        let _ = sender.send(result.map(|_| text));
    });
    let text = receiver.recv_timeout(LIMIT).map_err(|_| QueryError::Slow)?;
    if text.as_ref().is_ok_and(|text| text.len() as u64 > LARGEST_ANSWER) {
        return Err(QueryError::Large);
    }
    Ok(text)
}

/// Reads to the end, and sends the first part of it.
fn drain(from: Option<impl Read + Send + 'static>) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut kept = Vec::new();
        if let Some(mut from) = from {
            // What can't be read is not told; the data base tells whether all is well.
            let _ = (&mut from).take(LONGEST_ERRORS).read_to_end(&mut kept);
            let _ = io::copy(&mut from, &mut io::sink());
        }
        let _ = sender.send(kept);
    });
    receiver
}

/// Ends make and what it started.
fn end(child: &Child) {
    use nix::sys::signal::{Signal, killpg};
    use nix::unistd::Pid;
    if let Ok(id) = i32::try_from(child.id()) {
        // It is not waited for yet, so the number is its own; it may have ended by itself.
        let _ = killpg(Pid::from_raw(id), Signal::SIGKILL);
    }
}

/// Reads what the recipes' shells noted.
fn environments(notes: &Path) -> Result<HashMap<Vec<u8>, Environment>, QueryError> {
    let mut found = HashMap::new();
    for entry in fs::read_dir(notes).map_err(failed(notes))? {
        let path = entry.map_err(failed(notes))?.path();
        let file = fs::File::open(&path).map_err(failed(&path))?;
        let mut text = Vec::new();
        file.take(LARGEST_ENVIRONMENT).read_to_end(&mut text).map_err(failed(&path))?;
        let (mark, environment) = environment(&text);
        if let Some(mark) = mark {
            let level = mark.iter().position(|&byte| byte == b':').map_or(0, |at| at + 1);
            found.insert(mark[level..].to_vec(), environment);
        }
    }
    Ok(found)
}

/// Reads `NAME=value` entries with a NUL after each; the mark is taken out.
fn environment(text: &[u8]) -> (Option<Vec<u8>>, Environment) {
    let mut mark = None;
    let mut environment = Environment::new();
    for entry in text.split(|&byte| byte == 0) {
        let Some(at) = entry.iter().position(|&byte| byte == b'=') else { continue };
        let (name, value) = (&entry[..at], &entry[at + 1..]);
        if name == MARK.as_bytes() {
            mark = Some(value.to_vec());
        } else {
            let text = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
            environment.push((text(name), text(value)));
        }
    }
    (mark, environment)
}
