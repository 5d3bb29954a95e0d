//! Two results of one action, compared.

use crate::config::Config;
use crate::exit::Status;
use crate::report::severity_word;
use airtight_cache::ActionResult;
use airtight_cache::local::LocalStore;
use airtight_policy::{Reaction, Rule};
use airtight_recording::Digest;
use std::collections::BTreeMap;
use std::io::{BufReader, Read};

/// How much of two files is shown.
const SHOWN: usize = 16;

/// What differs between two results, one text for each output.
pub(crate) fn differences(
    one: &ActionResult,
    other: &ActionResult,
    store: &LocalStore,
) -> Vec<(String, String)> {
    let (one, other) = (facts(one), facts(other));
    let mut paths: Vec<&String> = one.keys().chain(other.keys()).collect();
    paths.sort();
    paths.dedup();
    let differ = paths.into_iter().filter_map(|path| {
        let how = match (one.get(path), other.get(path)) {
            (Some(a), Some(b)) if a == b => return None,
            (Some((kind, Some(a))), Some((other, Some(b)))) if kind == other => {
                first_bytes(a, b, store)
            }
            (Some((a, _)), Some((b, _))) => format!("{a}, then {b}"),
            (Some((a, _)), None) => format!("{a}, then nothing"),
            (None, Some((b, _))) => format!("nothing, then {b}"),
            (None, None) => return None,
        };
        Some((path.clone(), how))
    });
    differ.collect()
}

/// Kind and content of each part of a result.
fn facts(result: &ActionResult) -> BTreeMap<String, (String, Option<Digest>)> {
    let files = result.files.iter().map(|file| {
        (file.path.clone(), (format!("a file of mode {:o}", file.mode), Some(file.digest)))
    });
    let links = result
        .links
        .iter()
        .map(|link| (link.path.clone(), (format!("a link to {}", link.target), None)));
    let directories = result.directories.iter().map(|directory| {
        (directory.path.clone(), ("a directory".to_owned(), Some(directory.tree)))
    });
    let streams =
        [("standard output", result.stdout), ("standard error", result.stderr)].into_iter();
    let streams = streams
        .filter(|(_, digest)| digest.is_some())
        .map(|(name, digest)| (name.to_owned(), ("text".to_owned(), digest)));
    files.chain(links).chain(directories).chain(streams).collect()
}

/// Where two blobs differ first, and the bytes there.
fn first_bytes(a: &Digest, b: &Digest, store: &LocalStore) -> String {
    let sizes = match a.size() == b.size() {
        true => format!("{} bytes", a.size()),
        false => format!("{} and {} bytes", a.size(), b.size()),
    };
    let open = |digest| Some(BufReader::new(store.open_blob(digest).ok()??));
    let (Some(one), Some(other)) = (open(a), open(b)) else { return sizes };
    let mut pairs = one.bytes().map(Result::ok).zip(other.bytes().map(Result::ok));
    let at = pairs.position(|(a, b)| a != b);
    let at = at.map_or(a.size().min(b.size()), |at| at as u64);
    let show = |digest| {
        let bytes: Vec<u8> = open(digest)
            .map(|file: BufReader<_>| {
                file.bytes()
                    .map_while(Result::ok)
                    .skip(usize::try_from(at).unwrap_or(usize::MAX))
                    .take(SHOWN)
                    .collect()
            })
            .unwrap_or_default();
        let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{} {:?}", hex.join(" "), String::from_utf8_lossy(&bytes))
    };
    format!("{sizes}, first at byte {at}:\n    {}\n    {}", show(a), show(b))
}

/// The status of an action that does not make the same each time (I005), and what is to be told.
pub(crate) fn nondeterministic(
    action: &str,
    differences: &[(String, String)],
    config: &Config,
) -> (Status, String) {
    let rule = Rule::I005;
    let severity = config.policy.severity(rule);
    let reaction = config.policy.reaction(rule, severity);
    if reaction == Reaction::Record {
        return (Status::Success, String::new());
    }
    let word = severity_word(severity);
    let mut text = String::new();
    for (path, how) in differences {
        text += &format!("{word}[{rule}]: {path} differs between two runs of {action}\n  {how}\n");
    }
    text += "  effect   not cached; what depends on it is rebuilt for nothing\n";
    (if reaction == Reaction::Warn { Status::Success } else { Status::Undeclared }, text)
}
