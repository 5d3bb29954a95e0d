//! `airtight explain --why-miss`

use super::cache::key::{node, path_name, quoted, wanted};
use super::keyed::{Keyed, Question};
use super::shown;
use crate::error::Error;
use crate::exit::Status;
use crate::printer::{DIM, Printer, STRONG};
use airtight_cache::key::{Change, InputNode, KeyPath, State, Value as Variable};
use airtight_cache::{Known, KnownEntry, Nearest};
use airtight_policy::PathBytes;
use airtight_recording::Digest;
use serde_json::{Value, json as value};
use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

/// How many changes are told unless all are asked for.
const SHOWN: usize = 20;

/// Why an action is a miss in the local store.
enum Answer {
    /// It is none.
    Hit,
    /// Results are not taken.
    Off,
    /// What the key is made of has changed.
    Changed(Box<Nearest>),
    /// The key is as it was, but what stands there can't be used.
    Unusable(String),
    /// It was published, but nothing is known that it could be compared with.
    Unknown,
    /// It was never published from this store.
    Never,
}

pub(super) fn run(keyed: &Keyed, printer: &Printer) -> Result<Status, Error> {
    let question = keyed.question(printer)?;
    let answer = question.ask(|cache, action, look| {
        if !question.config.cache.enabled || !question.config.cache.fetch {
            return Answer::Off;
        }
        let known = cache.known(action, look);
        for note in &known.notes {
            printer.warning(&format!("cache: {note}"));
        }
        explain(&known, || cache.nearest(action, look))
    });
    let text = match question.json {
        true => super::json(&answer.document())?,
        false => answer.human(&question),
    };
    printer.data(text).map_err(Error::Stdout)?;
    Ok(if matches!(answer, Answer::Hit) { Status::Success } else { Status::Findings })
}

fn explain(known: &Known, nearest: impl FnOnce() -> Option<Nearest>) -> Answer {
    let unusable = known.sets.iter().find_map(|set| match &set.entry {
        KnownEntry::None => None,
        KnownEntry::Whole(_) => Some(None),
        KnownEntry::Lacking(what) | KnownEntry::Unreadable(what) => Some(Some(what.clone())),
        KnownEntry::Damaged(damage) => Some(Some(damage.to_string())),
        _ => None,
    });
    match unusable {
        Some(None) => return Answer::Hit,
        Some(Some(what)) => return Answer::Unusable(what),
        None => {}
    }
    match nearest() {
        Some(near) if !near.changes.is_empty() => Answer::Changed(Box::new(near)),
        Some(_) => Answer::Unusable("it was evicted or removed".to_owned()),
        None if known.listed > 0 => Answer::Unknown,
        None => Answer::Never,
    }
}

impl Answer {
    fn human(&self, question: &Question) -> String {
        match self {
            Answer::Hit => "it is a hit in the local store\n".to_owned(),
            Answer::Off => {
                "no result is looked up: the cache is turned off in the settings\n".into()
            }
            Answer::Unusable(what) => {
                format!("a miss: nothing has changed, but the entry can't be used: {what}\n")
            }
            Answer::Unknown => {
                "a miss: the declared inputs are as in an action that is known, but \
                 something else that it depended on has changed; its result came from a remote, so \
                 what that was is not known here (`airtight cache explain-key` has the paths)\n"
                    .to_owned()
            }
            Answer::Never => {
                "a miss: no entry: an action with these outputs in this directory was \
                 never published from this store\n"
                    .to_owned()
            }
            Answer::Changed(near) => {
                let Nearest { description, changes } = near.as_ref();
                let mut text = format!(
                    "a miss, compared with what was published {}:\n",
                    ago(description.time)
                );
                let most = if question.config.all { usize::MAX } else { SHOWN };
                for change in changes.iter().take(most) {
                    let (what, how) = told(change);
                    let _ = writeln!(text, "  {STRONG}{what}{STRONG:#}: {how}");
                }
                if let Some(more) = changes.len().checked_sub(most).filter(|more| *more > 0) {
                    let _ = writeln!(text, "  {DIM}and {more} more (--all){DIM:#}");
                }
                text
            }
        }
    }

    /// The JSON form. Fields may be added; none is taken away or given another meaning.
    fn document(&self) -> Value {
        let reason = match self {
            Answer::Hit => "hit",
            Answer::Off => "off",
            Answer::Changed(_) => "changed",
            Answer::Unusable(_) => "unusable",
            Answer::Unknown => "unknown",
            Answer::Never => "never-published",
        };
        let hit = matches!(self, Answer::Hit);
        let mut document = value!({ "version": 1, "hit": hit, "reason": reason });
        match self {
            Answer::Unusable(what) => document["what"] = what.as_str().into(),
            Answer::Changed(near) => {
                let Nearest { description, changes } = near.as_ref();
                document["against"] =
                    value!({ "key": description.strong.to_string(), "time": description.time });
                document["changes"] = changes.iter().map(change).collect();
            }
            _ => {}
        }
        document
    }
}

/// How long ago something was, roughly.
fn ago(time: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |now| i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
    let (number, unit) = match now.saturating_sub(time).max(0) {
        seconds @ 0..120 => (seconds, "second"),
        seconds @ 120..7200 => (seconds / 60, "minute"),
        seconds @ 7200..172_800 => (seconds / 3600, "hour"),
        seconds => (seconds / 86_400, "day"),
    };
    format!("{number} {unit}{} ago", if number == 1 { "" } else { "s" })
}

/// The first digits of a hash, to tell one from another.
fn short(digest: &Digest) -> String {
    digest.to_string().chars().take(12).collect()
}

/// A change for people: of what, and how.
fn told(change: &Change) -> (String, String) {
    let text = |text: &str| shown(text.as_bytes());
    match change {
        Change::Arguments { at, was, is } => {
            let what = match (was.len().max(is.len()), at) {
                (1, 0) => "command".to_owned(),
                (1, at) => format!("argument {at}"),
                (_, at) => format!("arguments from {at} on"),
            };
            let how = match (was.as_slice(), is.as_slice()) {
                ([], new) => format!("{} is new", quoted(new)),
                (old, []) => format!("{} is gone", quoted(old)),
                (old, new) => format!("{} -> {}", quoted(old), quoted(new)),
            };
            (what, how)
        }
        Change::Variable { name, was, is } => {
            let value = |value: &Variable| match value {
                Variable::Shown(value) => text(value),
                Variable::Hidden(_) => "a value that is not shown".to_owned(),
            };
            let how = match (was, is) {
                (Some(Variable::Hidden(_)), Some(Variable::Hidden(_))) => {
                    "another value (not shown)".to_owned()
                }
                (None, Some(new)) => format!("was not set, is {}", value(new)),
                (Some(old), None) => format!("was {}, is not set", value(old)),
                (old, new) => {
                    let value = |of: &Option<Variable>| of.as_ref().map(value).unwrap_or_default();
                    format!("{} -> {}", value(old), value(new))
                }
            };
            (format!("variable {}", text(name)), how)
        }
        Change::Salt { was, is } => salt(was.as_deref(), is.as_deref()),
        Change::Property { name, was, is } => {
            let value = |value: &Option<String>| value.as_deref().map_or("none".into(), text);
            (format!("property {}", text(name)), format!("{} -> {}", value(was), value(is)))
        }
        Change::Input { path, was, is } => {
            let how = match (was, is) {
                (None, _) => "new".to_owned(),
                (_, None) => "gone".to_owned(),
                (Some(was), Some(is)) => input(was, is),
            };
            (format!("input {}", text(path)), how)
        }
        Change::Path { path, was, is } => (path_name(path), state(was, is)),
    }
}

fn salt(was: Option<&str>, is: Option<&str>) -> (String, String) {
    let line = was.or(is).unwrap_or_default();
    let (kind, name) = line.split_once(' ').unwrap_or((line, ""));
    let now = |there: &str, not: &str| if is.is_some() { there.to_owned() } else { not.to_owned() };
    match kind {
        "policy" => ("policy".to_owned(), "other rules than then".to_owned()),
        "airtight-key" => ("key".to_owned(), "of another version of Airtight".to_owned()),
        "unsafe" => (format!("unsafe option {name}"), now("in use now", "no longer in use")),
        "passthrough" => {
            (format!("variable {name}"), now("passed through now", "no longer passed through"))
        }
        _ => (line.to_owned(), now("new", "gone")),
    }
}

fn input(was: &InputNode, is: &InputNode) -> String {
    match (was, is) {
        (
            InputNode::File { digest: old, executable: before },
            InputNode::File { digest: new, executable: now },
        ) => content((old, *before), (new, *now)),
        (InputNode::Link(old), InputNode::Link(new)) => {
            format!("leads to {}, led to {}", shown(new.as_bytes()), shown(old.as_bytes()))
        }
        (was, is) => format!("was {}, is {}", kind(was), kind(is)),
    }
}

fn kind(node: &InputNode) -> &'static str {
    match node {
        InputNode::File { .. } => "a file",
        InputNode::Link(_) => "a link",
        InputNode::Directory => "an empty directory",
    }
}

fn content((old, before): (&Digest, bool), (new, now): (&Digest, bool)) -> String {
    match (old == new, now) {
        (true, true) => "executable now".to_owned(),
        (true, false) => "no longer executable".to_owned(),
        (false, now) => {
            let mode = match (before, now) {
                (false, true) => ", and executable now",
                (true, false) => ", and no longer executable",
                _ => "",
            };
            format!("changed (was {}, is {}){mode}", short(old), short(new))
        }
    }
}

fn state(was: &State, is: &State) -> String {
    match (was, is) {
        (State::Absent, State::Error(_)) | (State::Error(_), _) => format!("was {was}, is {is}"),
        (State::Absent, _) => "was absent, is there now".to_owned(),
        (_, State::Absent) => "was there, is gone".to_owned(),
        (State::Content(old, before), State::Content(new, now)) => {
            content((old, *before), (new, *now))
        }
        (State::Members(_), State::Members(_)) => "other names in this directory".to_owned(),
        (State::Link(old), State::Link(new)) => {
            format!("leads to {}, led to {}", shown(new), shown(old))
        }
        (State::Workspace(old), State::Workspace(new)) => format!(
            "is {}, was {}; an output holds its path (relative paths or -ffile-prefix-map avoid \
             that)",
            shown(new),
            shown(old)
        ),
        (was, is) => format!("was {was}, is {is}"),
    }
}

/// A change as JSON.
fn change(change: &Change) -> Value {
    match change {
        Change::Arguments { at, was, is } => {
            value!({ "kind": "arguments", "at": at, "was": was, "is": is })
        }
        Change::Variable { name, was, is } => {
            // The value where it may be shown, else only that there is one.
            let value = |value: &Option<Variable>| match value {
                None => Value::Null,
                Some(Variable::Shown(value)) => value!({ "value": value }),
                Some(Variable::Hidden(_)) => value!({ "value": null }),
            };
            value!({ "kind": "variable", "name": name, "was": value(was), "is": value(is) })
        }
        Change::Salt { was, is } => value!({ "kind": "salt", "was": was, "is": is }),
        Change::Property { name, was, is } => {
            value!({ "kind": "property", "name": name, "was": was, "is": is })
        }
        Change::Input { path, was, is } => {
            let node = |of: &Option<InputNode>| of.as_ref().map(node);
            value!({ "kind": "input", "path": path, "was": node(was), "is": node(is) })
        }
        Change::Path { path, was, is } => path_change(path, was, is),
    }
}

fn path_change(path: &KeyPath, was: &State, is: &State) -> Value {
    let mut object = serde_json::to_value(PathBytes(path.path.clone())).unwrap_or_default();
    object["kind"] = "path".into();
    object["wanted"] = wanted(path.wanted).into();
    object["was"] = was.to_string().into();
    object["is"] = is.to_string().into();
    object
}
