//! What a key was made of, kept beside the entry so that a later miss can be explained.
//!
//! A description proves nothing and leads to nothing: it is written when a result is published, read
//! only by whoever asks why there was a miss, and a lost or damaged one costs no more than that
//! answer.

use super::action::Action;
use super::inputs::{Input, InputNode};
use super::paths::{KeyPath, PathSet, Wanted};
use super::state::{Look, State};
use crate::digest::from_hex;
use airtight_policy::ActionDigest;
use airtight_recording::Digest;
use prost::Message;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

/// How many descriptions are kept of actions with the same outputs in the same directory: one for
/// each value of the lowest bits of the weak key. So a writer reads nothing, and two builds with
/// different flags that take turns mostly leave each other's alone.
const SLOTS: u8 = 4;

/// The largest description that is read, in bytes.
const MAX: u64 = 16 << 20;

/// Fast rather than small: whoever publishes waits for it.
const LEVEL: i32 = 1;

/// The value of a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// It may be shown.
    Shown(String),
    /// It may be a secret; only its digest is kept.
    Hidden(Digest),
}

/// What a key was made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyDescription {
    /// The weak key.
    pub weak: Digest,
    /// The strong key.
    pub strong: ActionDigest,
    /// When the result was published, in seconds since the epoch.
    pub time: i64,
    /// The command and its arguments.
    pub argv: Vec<String>,
    /// The variables, sorted by name.
    pub variables: Vec<(String, Value)>,
    /// The lines of the salt.
    pub salt: Vec<String>,
    /// The platform properties, sorted.
    pub properties: Vec<(String, String)>,
    /// The declared inputs, sorted by path.
    pub inputs: Vec<Input>,
    /// What the run depended on beside them, and the state that it saw.
    pub paths: Vec<(KeyPath, State)>,
}

/// One difference between what a key was made of and what it would be made of now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// These arguments in place of those, from number `at` on; 0 is the command.
    Arguments {
        /// The number of the first one.
        at: usize,
        /// What stood there.
        was: Vec<String>,
        /// What stands there now.
        is: Vec<String>,
    },
    /// A variable.
    Variable {
        /// Its name.
        name: String,
        /// Its value; none where it was not set.
        was: Option<Value>,
        /// Its value now.
        is: Option<Value>,
    },
    /// A line of the salt: the policy, an unsafe option, a variable that is passed through.
    Salt {
        /// The line that is gone.
        was: Option<String>,
        /// The line that has come.
        is: Option<String>,
    },
    /// A platform property.
    Property {
        /// Its name.
        name: String,
        /// Its value; none where there was none.
        was: Option<String>,
        /// Its value now.
        is: Option<String>,
    },
    /// A declared input.
    Input {
        /// Its path relative to the workspace.
        path: String,
        /// What it was; none where it was not there, or not declared.
        was: Option<InputNode>,
        /// What it is.
        is: Option<InputNode>,
    },
    /// A path that the run depended on beside its declared inputs.
    Path {
        /// Which, and what of it counts.
        path: KeyPath,
        /// Its state then.
        was: State,
        /// Its state now.
        is: State,
    },
}

impl KeyDescription {
    /// What the key of `action` is made of, with a path set and its state.
    pub(crate) fn new(
        action: &Action,
        strong: ActionDigest,
        paths: &PathSet,
        states: &[State],
        time: i64,
    ) -> KeyDescription {
        let paths = paths.paths().iter().cloned().zip(states.iter().cloned());
        KeyDescription {
            weak: action.weak(),
            strong,
            time,
            argv: action.arguments().to_vec(),
            variables: variables(action),
            salt: action.salt().lines().map(str::to_owned).collect(),
            properties: action.properties(),
            inputs: action.input_files(),
            paths: paths.collect(),
        }
    }

    /// The names under which the descriptions of actions like this one may stand.
    pub(crate) fn names(action: &Action) -> Vec<Digest> {
        (0..SLOTS).map(|slot| name(action, slot)).collect()
    }

    /// The name under which that of this very action is written.
    pub(crate) fn name(action: &Action) -> Digest {
        name(action, action.weak().hash()[0] % SLOTS)
    }

    /// What is different now; nothing where the strong key is the same.
    pub fn changes(&self, action: &Action, look: &Look<'_>) -> Vec<Change> {
        let mut changes = arguments(&self.argv, action.arguments());
        let now = variables(action);
        pairs(&self.variables, &now, |name, was, is| {
            changes.push(Change::Variable { name, was, is });
        });
        let now: Vec<String> = action.salt().lines().map(str::to_owned).collect();
        changes.extend(salt(&self.salt, &now));
        pairs(&self.properties, &action.properties(), |name, was, is| {
            changes.push(Change::Property { name, was, is });
        });
        let nodes = |inputs: &[Input]| -> Vec<(String, InputNode)> {
            inputs.iter().map(|input| (input.path.clone(), input.node.clone())).collect()
        };
        pairs(&nodes(&self.inputs), &nodes(&action.input_files()), |path, was, is| {
            changes.push(Change::Input { path, was, is });
        });
        let told: BTreeSet<Vec<u8>> = changes
            .iter()
            .filter_map(|change| match change {
                Change::Input { path, .. } => Some(path.as_bytes().to_vec()),
                _ => None,
            })
            .collect();
        for (path, was) in &self.paths {
            let is = look.state(path);
            // Most inputs are also in the set, because they were read.
            if is != *was && !told.contains(&path.path) {
                changes.push(Change::Path { path: path.clone(), was: was.clone(), is });
            }
        }
        changes
    }

    /// The description as bytes.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub(crate) fn encode(&self) -> io::Result<Vec<u8>> {
        zstd::bulk::compress(&wire::Description::of(self).encode_to_vec(), LEVEL)
    }

    /// Reads what [`KeyDescription::encode`] wrote; none when it is anything else.
    pub(crate) fn decode(bytes: &[u8]) -> Option<KeyDescription> {
        let mut decoded = Vec::new();
        let reader = zstd::stream::read::Decoder::with_buffer(bytes).ok()?;
        reader.take(MAX + 1).read_to_end(&mut decoded).ok()?;
        if decoded.len() as u64 > MAX {
            return None;
        }
        wire::Description::decode(decoded.as_slice()).ok()?.read()
    }
}

/// The name of a description: outputs and directory say which action of a build it is.
fn name(action: &Action, slot: u8) -> Digest {
    let mut text = format!("airtight-description 1\n{slot}\n{}\n", action.cwd().escape_default());
    for output in action.outputs() {
        text += &format!("{}\n", output.escape_default());
    }
    Digest::of(text.as_bytes())
}

fn variables(action: &Action) -> Vec<(String, Value)> {
    let value = |(name, value): (&str, &str)| {
        let value = match action.may_show(name) {
            true => Value::Shown(value.to_owned()),
            false => Value::Hidden(Digest::of(value.as_bytes())),
        };
        (name.to_owned(), value)
    };
    action.variables().map(value).collect()
}

/// What differs of two command lines, without what is the same at both ends.
fn arguments(was: &[String], is: &[String]) -> Vec<Change> {
    let same = was.iter().zip(is).take_while(|(a, b)| a == b).count();
    let (old, new) = (&was[same..], &is[same..]);
    let behind = old.iter().rev().zip(new.iter().rev()).take_while(|(a, b)| a == b).count();
    let (old, new) = (&old[..old.len() - behind], &new[..new.len() - behind]);
    let change = |at: usize, was: &[String], is: &[String]| Change::Arguments {
        at: same + at,
        was: was.to_vec(),
        is: is.to_vec(),
    };
    if old.len() != new.len() {
        return vec![change(0, old, new)];
    }
    // As many as before: each is told by itself.
    let each = old.iter().zip(new).enumerate().filter(|(_, (old, new))| old != new);
    each.map(|(at, (old, new))| change(at, std::slice::from_ref(old), std::slice::from_ref(new)))
        .collect()
}

/// Tells what differs in two lists of names with values, by name.
fn pairs<T: Clone + PartialEq>(
    was: &[(String, T)],
    is: &[(String, T)],
    mut tell: impl FnMut(String, Option<T>, Option<T>),
) {
    let map = |list: &[(String, T)]| -> BTreeMap<String, T> { list.iter().cloned().collect() };
    let (mut was, mut is) = (map(was), map(is));
    let names: BTreeSet<String> = was.keys().chain(is.keys()).cloned().collect();
    for name in names {
        let (old, new) = (was.remove(&name), is.remove(&name));
        if old != new {
            tell(name, old, new);
        }
    }
}

/// What differs in the salt. Of the lines that say one fact the old and the new belong together.
fn salt(was: &[String], is: &[String]) -> Vec<Change> {
    let gone = was.iter().filter(|line| !is.contains(line));
    let mut come: Vec<&String> = is.iter().filter(|line| !was.contains(line)).collect();
    let single = |line: &String| {
        ["airtight-key ", "policy "].into_iter().find(|name| line.starts_with(name))
    };
    let mut changes = Vec::new();
    for old in gone {
        let partner =
            come.iter().position(|new| single(old).is_some() && single(old) == single(new));
        let is = partner.map(|at| come.remove(at).clone());
        changes.push(Change::Salt { was: Some(old.clone()), is });
    }
    changes.extend(come.into_iter().map(|new| Change::Salt { was: None, is: Some(new.clone()) }));
    changes
}

/// A digest from its text, `hash/size`.
fn digest(text: &str) -> Option<Digest> {
    let (hash, size) = text.split_once('/')?;
    from_hex(hash, size.parse().ok()?)
}

/// The message; digests are text, `hash/size`.
mod wire {
    use super::{Input, InputNode, KeyDescription, KeyPath, State, Value, Wanted, digest};
    use airtight_policy::ActionDigest;

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Description {
        #[prost(string, tag = "1")]
        weak: String,
        #[prost(string, tag = "2")]
        strong: String,
        #[prost(int64, tag = "3")]
        time: i64,
        #[prost(string, repeated, tag = "4")]
        argv: Vec<String>,
        #[prost(message, repeated, tag = "5")]
        variables: Vec<Pair>,
        #[prost(string, repeated, tag = "6")]
        salt: Vec<String>,
        #[prost(message, repeated, tag = "7")]
        properties: Vec<Pair>,
        #[prost(message, repeated, tag = "8")]
        inputs: Vec<Pair>,
        #[prost(message, repeated, tag = "9")]
        paths: Vec<Path>,
    }

    /// A name and something under it; `kind` says what.
    #[derive(Clone, PartialEq, prost::Message)]
    struct Pair {
        #[prost(string, tag = "1")]
        name: String,
        #[prost(string, tag = "2")]
        value: String,
        #[prost(uint32, tag = "3")]
        kind: u32,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    struct Path {
        #[prost(bytes = "vec", tag = "1")]
        path: Vec<u8>,
        #[prost(enumeration = "Wanted", tag = "2")]
        wanted: i32,
        #[prost(uint32, tag = "3")]
        state: u32,
        #[prost(bytes = "vec", tag = "4")]
        value: Vec<u8>,
    }

    impl Pair {
        fn of(name: &str, value: impl ToString, kind: char) -> Pair {
            Pair { name: name.to_owned(), value: value.to_string(), kind: kind.into() }
        }
    }

    impl Description {
        pub(super) fn of(from: &KeyDescription) -> Description {
            let variables = from.variables.iter().map(|(name, value)| match value {
                Value::Shown(text) => Pair::of(name, text, 's'),
                Value::Hidden(digest) => Pair::of(name, digest, 'h'),
            });
            let inputs = from.inputs.iter().map(|Input { path, node }| match node {
                InputNode::File { digest, executable: false } => Pair::of(path, digest, 'f'),
                InputNode::File { digest, executable: true } => Pair::of(path, digest, 'x'),
                InputNode::Link(target) => Pair::of(path, target, 'l'),
                InputNode::Directory => Pair::of(path, "", 'd'),
            });
            let paths = from.paths.iter().map(|(KeyPath { path, wanted }, state)| {
                let (state, value) = state.wire();
                Path { path: path.clone(), wanted: *wanted as i32, state: state.into(), value }
            });
            Description {
                weak: from.weak.to_string(),
                strong: from.strong.to_string(),
                time: from.time,
                argv: from.argv.clone(),
                variables: variables.collect(),
                salt: from.salt.clone(),
                properties: from.properties.iter().map(|(n, v)| Pair::of(n, v, 's')).collect(),
                inputs: inputs.collect(),
                paths: paths.collect(),
            }
        }

        pub(super) fn read(self) -> Option<KeyDescription> {
            let kind = |pair: &Pair| char::from_u32(pair.kind);
            let variables = self.variables.into_iter().map(|pair| {
                let value = match kind(&pair)? {
                    's' => Value::Shown(pair.value),
                    'h' => Value::Hidden(digest(&pair.value)?),
                    _ => return None,
                };
                Some((pair.name, value))
            });
            let inputs = self.inputs.into_iter().map(|pair| {
                let kind = kind(&pair)?;
                let node = match kind {
                    'f' | 'x' => {
                        InputNode::File { digest: digest(&pair.value)?, executable: kind == 'x' }
                    }
                    'l' => InputNode::Link(pair.value),
                    'd' => InputNode::Directory,
                    _ => return None,
                };
                Some(Input { path: pair.name, node })
            });
            let paths = self.paths.into_iter().map(|entry| {
                let wanted = entry.wanted();
                let state = State::from_wire(u8::try_from(entry.state).ok()?, entry.value)?;
                Some((KeyPath { path: entry.path, wanted }, state))
            });
            Some(KeyDescription {
                weak: digest(&self.weak)?,
                strong: ActionDigest(digest(&self.strong)?),
                time: self.time,
                argv: self.argv,
                variables: variables.collect::<Option<_>>()?,
                salt: self.salt,
                properties: self.properties.into_iter().map(|p| (p.name, p.value)).collect(),
                inputs: inputs.collect::<Option<_>>()?,
                paths: paths.collect::<Option<_>>()?,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn description() -> KeyDescription {
        let digest = Digest::of(b"x");
        let path = |path: &str, wanted| KeyPath { path: path.into(), wanted };
        KeyDescription {
            weak: digest,
            strong: ActionDigest(Digest::of(b"strong")),
            time: 1_700_000_000,
            argv: words("cc -c a.c"),
            variables: vec![
                ("LANG".into(), Value::Shown("C".into())),
                ("TOKEN".into(), Value::Hidden(Digest::of(b"secret"))),
            ],
            salt: vec!["airtight-key 1".into(), "policy p".into()],
            properties: vec![("ISA".into(), "x86-64".into())],
            inputs: vec![
                Input { path: "a.c".into(), node: InputNode::File { digest, executable: false } },
                Input { path: "gen".into(), node: InputNode::File { digest, executable: true } },
                Input { path: "link".into(), node: InputNode::Link("a.c".into()) },
                Input { path: "none".into(), node: InputNode::Directory },
            ],
            paths: vec![
                (path("", Wanted::Workspace), State::Workspace(b"/ws".to_vec())),
                (path("/bin", Wanted::Members), State::Members(digest)),
                (path("/bin/cc", Wanted::Content), State::Content(digest, true)),
                (path("/bin/ld", Wanted::Link), State::Link(b"ld.bfd".to_vec())),
                (path("/dev/null", Wanted::Type), State::Type("c")),
                (path("/etc/cc", Wanted::Content), State::Error(13)),
                (path("a.h", Wanted::Absent), State::Absent),
                (path("b.h", Wanted::Absent), State::Present),
                (path("c.h", Wanted::Content), State::Content(digest, false)),
            ],
        }
    }

    #[test]
    fn descriptions_go_both_ways_and_hold_no_secret() -> io::Result<()> {
        let bytes = description().encode()?;
        assert_eq!(KeyDescription::decode(&bytes), Some(description()));
        let text = wire::Description::of(&description()).encode_to_vec();
        assert!(memchr::memmem::find(&text, b"secret").is_none());
        Ok(())
    }

    #[test]
    fn damage_is_no_description() -> io::Result<()> {
        let bytes = description().encode()?;
        for cut in 0..bytes.len() {
            assert_eq!(KeyDescription::decode(&bytes[..cut]), None, "cut at {cut}");
        }
        assert_eq!(KeyDescription::decode(b""), None);
        // A small frame that grows beyond all bounds.
        let bomb = zstd::bulk::compress(&vec![0; (MAX + (1 << 20)) as usize], 1)?;
        assert_eq!(KeyDescription::decode(&bomb), None);
        Ok(())
    }

    #[test]
    fn arguments_are_told_where_they_differ() {
        let change =
            |at, was: &str, is: &str| Change::Arguments { at, was: words(was), is: words(is) };
        for (was, is, expected) in [
            ("cc -c a.c", "cc -c a.c", vec![]),
            ("cc -O1 -c a.c", "cc -O2 -c a.c", vec![change(1, "-O1", "-O2")]),
            (
                "cc -O1 -c a.c",
                "gcc -O1 -c b.c",
                vec![change(0, "cc", "gcc"), change(3, "a.c", "b.c")],
            ),
            ("cc -c a.c", "cc -g -O2 -c a.c", vec![change(1, "", "-g -O2")]),
            ("cc -g -c a.c", "cc -c a.c", vec![change(1, "-g", "")]),
            ("cc -a -a", "cc -a", vec![change(2, "-a", "")]),
        ] {
            assert_eq!(arguments(&words(was), &words(is)), expected, "{was} to {is}");
        }
    }

    #[test]
    fn lines_of_salt_that_belong_together_are_told_together() {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let was = lines("airtight-key 1\npolicy a\nunsafe x\npassthrough HOME");
        let is = lines("airtight-key 1\npolicy b\npassthrough HOME\npassthrough USER");
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            salt(&was, &is),
            [
                Change::Salt { was: some("policy a"), is: some("policy b") },
                Change::Salt { was: some("unsafe x"), is: None },
                Change::Salt { was: None, is: some("passthrough USER") },
            ]
        );
    }
}
