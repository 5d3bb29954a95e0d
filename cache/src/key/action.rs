//! The weak key: a `Command` and an `Action` of the Remote Execution API.

use super::HashFile;
use super::inputs::{Input, Inputs};
use super::state::members;
use crate::blob::Blob;
use crate::proto::{self, reapi};
use airtight_policy::{ActionDigest, Judge};
use airtight_recording::{Digest, Stamp};
use prost::Message;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// What makes an action what it is, beside its declaration.
#[derive(Debug)]
pub struct ActionSpec<'a> {
    /// The command and its arguments.
    pub argv: &'a [OsString],
    /// The variables whose values count, sorted by name.
    pub environment: &'a [(OsString, OsString)],
    /// Variables whose values are no secrets, so that people may be told them.
    pub shown: &'a [String],
    /// The variables of which only the names count, sorted.
    pub passthrough: &'a [String],
    /// The root of the workspace: absolute, canonical.
    pub workspace: &'a Path,
    /// The directory of the action: absolute, canonical.
    pub cwd: &'a Path,
    /// The epoch of the policy.
    pub policy: Digest,
    /// Unsafe options in use, by name, sorted.
    pub unsafe_options: &'a [&'a str],
    /// Anything else that the result may depend on, as sorted pairs: the processor for
    /// `-march=native`, say. They become platform properties.
    pub properties: &'a [(String, String)],
}

/// Why an action has no key, or its result can't be stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotCacheable {
    /// It declares no outputs, so there is nothing to restore.
    #[error("no outputs are declared")]
    NoOutputs,
    /// An output or the directory of the action lies outside of the workspace.
    #[error("{0} is outside of the workspace")]
    Outside(String),
    /// The protocol has UTF-8 only.
    #[error("{0} is not UTF-8")]
    NotUtf8(String),
    /// Something that the key must hold can't be read.
    #[error("{path}: can't read: {what}")]
    Unreadable {
        /// Which file.
        path: String,
        /// What the system said.
        what: String,
    },
    /// An output can't be stored.
    #[error("{path} {what}")]
    Unfit {
        /// Which output.
        path: String,
        /// Why.
        what: String,
    },
    /// The local store can't take the result.
    #[error("{what}")]
    Store {
        /// What it said.
        what: String,
    },
    /// Something that the key holds changed while the action ran.
    #[error("{path} changed while the action ran: {what}")]
    Changed {
        /// Which path.
        path: String,
        /// How it changed.
        what: String,
    },
}

impl NotCacheable {
    pub(super) fn unreadable(path: &Path, error: &io::Error) -> NotCacheable {
        NotCacheable::Unreadable { path: path.display().to_string(), what: error.to_string() }
    }

    pub(super) fn changed(path: &Path, what: &str) -> NotCacheable {
        NotCacheable::Changed { path: path.display().to_string(), what: what.to_owned() }
    }
}

/// An action with its weak key.
#[derive(Debug)]
pub struct Action {
    workspace: PathBuf,
    cwd: String,
    command: reapi::Command,
    input_root: Digest,
    salt: String,
    platform: reapi::Platform,
    encoded: Encoded,
    outputs: Vec<String>,
    shown: Vec<String>,
    inputs: Inputs,
    absolute: Vec<String>,
    watched: OnceLock<Vec<(PathBuf, Digest)>>,
}

#[derive(Debug)]
struct Encoded {
    command: Blob,
    weak: Blob,
}

impl Action {
    /// The action that `judge` judges.
    ///
    /// # Errors
    /// When it can't have a key.
    pub fn new(
        spec: &ActionSpec<'_>,
        judge: &Judge<'_>,
        hash: &HashFile<'_>,
    ) -> Result<Action, NotCacheable> {
        let cwd = inside(spec.cwd, spec.workspace)?;
        let outputs = judge
            .outputs()
            .iter()
            .map(|path| inside(Path::new(OsStr::from_bytes(path)), spec.workspace))
            .collect::<Result<Vec<String>, NotCacheable>>()?;
        if outputs.is_empty() {
            return Err(NotCacheable::NoOutputs);
        }
        if outputs.iter().any(String::is_empty) {
            return Err(NotCacheable::Outside("what is around the workspace, an output,".into()));
        }
        let inputs = Inputs::gather(judge, spec.workspace, &cwd, hash)?;
        let input_root = inputs.digest();
        let mut absolute = Vec::new();
        let mut word = |what: &str, value: &OsStr| -> Result<String, NotCacheable> {
            let text = value.to_str().ok_or_else(|| NotCacheable::NotUtf8(what.to_owned()))?;
            if mentions(text, spec.workspace) {
                absolute.push(format!("{what}: {text}"));
            }
            Ok(text.to_owned())
        };
        let arguments = (0..)
            .zip(spec.argv)
            .map(|(at, value)| word(&format!("argument {at}"), value))
            .collect::<Result<Vec<String>, NotCacheable>>()?;
        let mut variables = Vec::new();
        for (name, value) in spec.environment {
            let name = name.to_str().ok_or_else(|| {
                NotCacheable::NotUtf8(format!("variable {}", name.to_string_lossy()))
            })?;
            let value = word(&format!("variable {name}"), value)?;
            variables.push(reapi::command::EnvironmentVariable { name: name.to_owned(), value });
        }
        let mut output_paths: Vec<String> =
            outputs.iter().map(|output| relative(output, &cwd)).collect();
        output_paths.sort();
        let command = reapi::Command {
            arguments,
            environment_variables: variables,
            output_paths,
            working_directory: cwd.clone(),
            output_node_properties: vec!["unix_mode".to_owned()],
            ..reapi::Command::default()
        };
        let mut properties =
            vec![("ISA".to_owned(), isa().to_owned()), ("OSFamily".to_owned(), "linux".to_owned())];
        properties.extend_from_slice(spec.properties);
        properties.sort();
        let property = |(name, value)| reapi::platform::Property { name, value };
        let platform =
            reapi::Platform { properties: properties.into_iter().map(property).collect() };
        let mut action = Action {
            workspace: spec.workspace.to_owned(),
            cwd,
            encoded: Encoded {
                command: Blob::of(command.encode_to_vec()),
                weak: Blob::of(Vec::new()),
            },
            command,
            input_root,
            salt: salt(spec),
            platform,
            outputs,
            shown: spec.shown.to_vec(),
            inputs,
            absolute,
            watched: OnceLock::new(),
        };
        action.encoded.weak = action.blob("");
        Ok(action)
    }

    /// The `Action` message with more salt.
    fn blob(&self, more: &str) -> Blob {
        let message = reapi::Action {
            command_digest: Some(proto::digest(&self.encoded.command.digest())),
            input_root_digest: Some(proto::digest(&self.input_root)),
            salt: format!("{}{more}", self.salt).into_bytes(),
            platform: Some(self.platform.clone()),
            ..reapi::Action::default()
        };
        Blob::of(message.encode_to_vec())
    }

    /// The weak key: under it stand the path sets.
    pub fn weak(&self) -> Digest {
        self.encoded.weak.digest()
    }

    /// The strong key's `Action`, for a path set and the digest of its present state. Its digest
    /// is what a proof must be bound to.
    pub fn strong(&self, paths: &Digest, state: &Digest) -> Blob {
        self.blob(&format!("paths {paths}\nstate {state}\n"))
    }

    /// [`Action::strong`] as the digest that a verdict is bound to.
    pub fn strong_digest(&self, paths: &Digest, state: &Digest) -> ActionDigest {
        ActionDigest(self.strong(paths, state).digest())
    }

    /// The encoded `Command`.
    pub fn command(&self) -> &Blob {
        &self.encoded.command
    }

    /// The encoded weak `Action`.
    pub fn weak_action(&self) -> &Blob {
        &self.encoded.weak
    }

    /// The `Command`, for people.
    pub fn arguments(&self) -> &[String] {
        &self.command.arguments
    }

    /// The variables in the key, with their values.
    pub fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.command.environment_variables.iter().map(|v| (v.name.as_str(), v.value.as_str()))
    }

    /// Whether people may be told the value of a variable.
    pub fn may_show(&self, name: &str) -> bool {
        self.shown.iter().any(|shown| shown == name)
    }

    /// The platform properties, sorted.
    pub fn properties(&self) -> Vec<(String, String)> {
        let properties = &self.platform.properties;
        properties.iter().map(|p| (p.name.clone(), p.value.clone())).collect()
    }

    /// The declared inputs that are there, sorted by path.
    pub fn input_files(&self) -> Vec<Input> {
        self.inputs.list()
    }

    /// The digest of the input root `Directory`.
    pub fn input_root(&self) -> Digest {
        self.input_root
    }

    /// The salt as text: one line for each fact.
    pub fn salt(&self) -> &str {
        &self.salt
    }

    /// The root of the workspace.
    pub fn workspace(&self) -> &Path {
        &self.workspace
    }

    /// The directory of the action, relative to the workspace; empty for the workspace itself.
    pub fn cwd(&self) -> &str {
        &self.cwd
    }

    /// The outputs that are stored and restored, relative to the workspace, sorted: declared ones
    /// and the depfile.
    pub fn outputs(&self) -> &[String] {
        &self.outputs
    }

    /// The input files that were hashed, with their stamps.
    pub fn inputs(&self) -> &[(PathBuf, Stamp)] {
        &self.inputs.stamps
    }

    /// Notes what is in the directories where the action itself works: its own, and those of its
    /// outputs. To be called before a run. Without it, a name that others remove there while the
    /// action lists that directory may go unseen: the action changes the directory's time itself.
    pub fn watch(&self, judge: &Judge<'_>) {
        self.watched.get_or_init(|| {
            let outputs = self.outputs.iter().filter_map(|output| Path::new(output).parent());
            let mut directories: Vec<PathBuf> = outputs
                .chain([Path::new(&self.cwd)])
                // Without the slash that joining nothing would add.
                .map(|path| self.workspace.join(path).components().collect())
                .collect();
            directories.sort();
            directories.dedup();
            let listed = directories.into_iter().filter_map(|directory| {
                let members = members(judge, &directory).ok()?;
                Some((directory, members))
            });
            listed.collect()
        });
    }

    /// The directories of [`Action::watch`], with the digests of the names in them.
    pub(super) fn watched(&self) -> &[(PathBuf, Digest)] {
        self.watched.get().map(Vec::as_slice).unwrap_or_default()
    }

    /// Arguments and variables that name the workspace's absolute path, so that no other checkout
    /// shares the key.
    pub fn absolute(&self) -> &[String] {
        &self.absolute
    }

    /// An output's path as the protocol has it: relative to the directory of the action.
    pub(crate) fn wire_path(&self, output: &str) -> String {
        relative(output, &self.cwd)
    }
}

/// The first part of the salt. A new meaning of any byte of a key needs a new first line.
fn salt(spec: &ActionSpec<'_>) -> String {
    let mut salt = format!("airtight-key 2\npolicy {}\n", spec.policy);
    for option in spec.unsafe_options {
        salt += &format!("unsafe {option}\n");
    }
    for name in spec.passthrough {
        salt += &format!("passthrough {}\n", name.escape_default());
    }
    salt
}

/// The instruction set as the Remote Execution API's platform lexicon names it.
fn isa() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "x86-64",
        "aarch64" => "arm-a64",
        other => other,
    }
}

/// Whether a text names the workspace, and not another directory whose name only begins so.
fn mentions(text: &str, workspace: &Path) -> bool {
    let Some(root) = workspace.to_str().filter(|root| *root != "/") else { return false };
    text.match_indices(root).any(|(at, _)| {
        let next = text[at + root.len()..].chars().next();
        next.is_none_or(|c| !c.is_alphanumeric() && !matches!(c, '_' | '-' | '.'))
    })
}

/// A path as it is named in the workspace.
fn inside(path: &Path, workspace: &Path) -> Result<String, NotCacheable> {
    let Ok(rest) = path.strip_prefix(workspace) else {
        return Err(NotCacheable::Outside(path.display().to_string()));
    };
    let text = rest.to_str();
    text.map(str::to_owned)
        .ok_or_else(|| NotCacheable::NotUtf8(path.to_string_lossy().into_owned()))
}

/// `path` as it is named in `cwd`; both are relative to the same root.
fn relative(path: &str, cwd: &str) -> String {
    let (path, cwd): (Vec<&str>, Vec<&str>) =
        (path.split('/').collect(), cwd.split('/').filter(|part| !part.is_empty()).collect());
    let same = path.iter().zip(&cwd).take_while(|(a, b)| a == b).count().min(path.len() - 1);
    let up = std::iter::repeat_n("..", cwd.len() - same);
    up.chain(path[same..].iter().copied()).collect::<Vec<&str>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_named_from_the_directory_of_the_action() {
        for (path, cwd, expected) in [
            ("a.o", "", "a.o"),
            ("build/a.o", "build", "a.o"),
            ("build/a.o", "src", "../build/a.o"),
            ("a.o", "build/deep", "../../a.o"),
            ("build/x/a.o", "build/y", "../x/a.o"),
            ("build", "build/y", "../../build"),
        ] {
            assert_eq!(relative(path, cwd), expected, "{path} from {cwd}");
        }
    }

    #[test]
    fn only_the_workspace_itself_is_a_mention_of_it() {
        let workspace = Path::new("/home/me/ws");
        for (text, expected) in [
            ("-I/home/me/ws/include", true),
            ("/home/me/ws", true),
            ("/home/me/ws2/x", false),
            ("/home/me/ws-old", false),
            ("-ffile-prefix-map=/home/me/ws=.", true),
            ("/home/me", false),
        ] {
            assert_eq!(mentions(text, workspace), expected, "{text}");
        }
    }
}
