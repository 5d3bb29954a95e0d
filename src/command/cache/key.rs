//! `airtight cache explain-key`

use super::count;
use crate::command::keyed::{Keyed, Question};
use crate::command::{json, shown};
use crate::error::Error;
use crate::exit::Status;
use crate::printer::{DIM, Printer, STRONG, WARNING};
use airtight_cache::key::{Action, InputNode, KeyPath, State, Wanted};
use airtight_cache::{Known, KnownEntry, KnownSet};
use airtight_policy::PathBytes;
use serde_json::{Value, json as value};
use std::fmt::Write as _;

/// Tell what the key of an action is made of
///
/// The weak key holds the command, the variables, the declared inputs and outputs and the policy.
/// Under it stand path sets: what else verified runs depended on. The strong key is the weak one
/// with the present state of the paths of a set, and only it leads to a result. The action is
/// declared as for `airtight run`, and not run. Remotes are not asked.
///
/// The values of variables may be secrets: those of PATH, LANG, LC_ALL, LC_CTYPE, TZ,
/// SOURCE_DATE_EPOCH and of variables that are set by a flag or a settings file are shown, others
/// with --values.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  airtight cache explain-key --in a.c --out a.o -- cc -c a.c
  airtight cache explain-key --cc -- gcc -c a.c -o a.o")]
pub(super) struct Args {
    /// Show the values of all variables
    #[arg(long)]
    values: bool,
    #[command(flatten)]
    keyed: Keyed,
}

pub(super) fn run(args: &Args, printer: &Printer) -> Result<Status, Error> {
    let question = args.keyed.question(printer)?;
    let known = question.ask(|cache, action, look| cache.known(action, look));
    let text = match question.json {
        true => json(&document(&question, &known, args.values))?,
        false => human(&question, &known, args.values),
    };
    printer.data(text).map_err(Error::Stdout)?;
    for note in &known.notes {
        printer.warning(&format!("cache: {note}"));
    }
    Ok(Status::Success)
}

/// What makes a key useless for other checkouts, each with the way out.
fn warnings(action: &Action, known: &Known) -> Vec<(String, &'static str)> {
    const WAY_OUT: &str = "use relative paths, so that other checkouts share the key";
    let mut warnings: Vec<_> = action
        .absolute()
        .iter()
        .map(|word| (format!("{} names the workspace", shown(word.as_bytes())), WAY_OUT))
        .collect();
    let names = |set: &KnownSet| set.paths.paths().iter().any(|p| p.wanted == Wanted::Workspace);
    if known.sets.iter().any(names) {
        warnings.push((
            "an output holds the absolute path of the workspace, so only a workspace of the same \
             name finds it"
                .to_owned(),
            "relative paths, or -ffile-prefix-map=\"$PWD\"=. for gcc and clang",
        ));
    }
    warnings
}

fn value_of<'a>(action: &Action, name: &str, value: &'a str, all: bool) -> Option<&'a str> {
    (all || action.may_show(name)).then_some(value)
}

fn entry_name(entry: &KnownEntry) -> &'static str {
    match entry {
        KnownEntry::None => "none",
        KnownEntry::Whole(_) => "whole",
        KnownEntry::Lacking(_) => "lacking",
        KnownEntry::Damaged(_) => "damaged",
        _ => "unreadable",
    }
}

/// The JSON form. Fields may be added; none is taken away or given another meaning.
fn document(question: &Question, known: &Known, all: bool) -> Value {
    let action = &question.action;
    let variables: Vec<Value> = action
        .variables()
        .map(|(name, value)| value!({ "name": name, "value": value_of(action, name, value, all) }))
        .collect();
    let inputs: Vec<Value> = action
        .input_files()
        .into_iter()
        .map(|input| value!({ "path": input.path, "is": node(&input.node) }))
        .collect();
    let sets = known.sets.iter().map(|set| {
        let paths = set.paths.paths().iter().zip(&set.states.states);
        let paths: Vec<Value> = paths.map(|(path, state)| path_and_state(path, state)).collect();
        value!({
            "digest": set.set.to_string(),
            "strong": set.strong.to_string(),
            "entry": entry_name(&set.entry),
            "paths": paths,
        })
    });
    let properties: serde_json::Map<String, Value> =
        action.properties().into_iter().map(|(name, value)| (name, value.into())).collect();
    value!({
        "version": 1,
        "weak": action.weak().to_string(),
        "command": action.arguments(),
        "directory": action.cwd(),
        "outputs": action.outputs(),
        "variables": variables,
        "salt": action.salt().lines().collect::<Vec<_>>(),
        "properties": properties,
        "input_root": action.input_root().to_string(),
        "inputs": inputs,
        "path_sets": sets.collect::<Vec<_>>(),
        "warnings": warnings(action, known).into_iter().map(|(what, _)| what).collect::<Vec<_>>(),
    })
}

/// A path of a set as JSON, with `path_b64` where it is not UTF-8.
fn path_and_state(path: &KeyPath, state: &State) -> Value {
    let name = PathBytes(path.path.clone());
    let mut object = serde_json::to_value(name).unwrap_or_default();
    object["wanted"] = wanted(path.wanted).into();
    object["state"] = state.to_string().into();
    object
}

/// What of a path counts, in a word.
pub(crate) fn wanted(wanted: Wanted) -> &'static str {
    match wanted {
        Wanted::Absent => "existence",
        Wanted::Type | Wanted::Unknown => "type",
        Wanted::Content => "content",
        Wanted::Members => "names in it",
        Wanted::Link => "link text",
        Wanted::Workspace => "its own path",
    }
}

/// A path of a set for people. The workspace's own is empty.
pub(crate) fn path_name(path: &KeyPath) -> String {
    match path.path.as_slice() {
        b"" => "(workspace)".to_owned(),
        path => shown(path),
    }
}

/// What an input is, for people.
pub(crate) fn node(node: &InputNode) -> String {
    match node {
        InputNode::File { digest, executable: false } => format!("file {digest}"),
        InputNode::File { digest, executable: true } => format!("executable {digest}"),
        InputNode::Link(target) => format!("link to {}", shown(target.as_bytes())),
        InputNode::Directory => "directory".to_owned(),
    }
}

/// Words as a shell takes them.
pub(crate) fn quoted(words: &[String]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-+=./,:@%^".contains(c);
    let quote = |word: &String| match !word.is_empty() && word.chars().all(plain) {
        true => word.clone(),
        false => format!("'{}'", shown(word.as_bytes()).replace('\'', r"'\''")),
    };
    words.iter().map(quote).collect::<Vec<_>>().join(" ")
}

fn human(question: &Question, known: &Known, all: bool) -> String {
    let action = &question.action;
    let mut text = String::new();
    let mut head = |label: &str, value: &str| {
        let _ = writeln!(text, "{STRONG}{label:<11}{STRONG:#} {value}");
    };
    head("weak key", &action.weak().to_string());
    head("command", &quoted(action.arguments()));
    let cwd = shown(action.cwd().as_bytes());
    head("directory", if cwd.is_empty() { "." } else { &cwd });
    for output in action.outputs() {
        head("output", &shown(output.as_bytes()));
    }
    for (name, value) in action.variables() {
        let value = value_of(action, name, value, all).map(|value| shown(value.as_bytes()));
        let value = value.unwrap_or_else(|| "(not shown; --values)".to_owned());
        head("variable", &format!("{}={value}", shown(name.as_bytes())));
    }
    for line in action.salt().lines() {
        head("salt", line);
    }
    for (name, value) in action.properties() {
        head("property", &format!("{name}={value}"));
    }
    head("input root", &action.input_root().to_string());
    for input in action.input_files() {
        head("input", &format!("{}  {}", shown(input.path.as_bytes()), node(&input.node)));
    }
    if known.sets.is_empty() {
        head("path sets", "none: no verified run of this action is known in the local store");
    }
    for set in &known.sets {
        let paths = set.paths.paths();
        let _ = writeln!(
            text,
            "{STRONG}path set{STRONG:#}    {} ({})",
            set.set,
            count(paths.len() as u64, "path", "paths")
        );
        let entry = match &set.entry {
            KnownEntry::None => "no entry as things are now".to_owned(),
            KnownEntry::Whole(entry) => match &entry.signer {
                Some(signer) => format!("an entry, signed by {signer}"),
                None => "an entry".to_owned(),
            },
            KnownEntry::Lacking(what) => format!("an entry that can't be restored: {what}"),
            KnownEntry::Damaged(damage) => format!("an entry that is not believed: {damage}"),
            KnownEntry::Unreadable(what) => format!("an entry that can't be read: {what}"),
            _ => String::new(),
        };
        let _ = writeln!(text, "  {STRONG}strong key{STRONG:#} {}  {entry}", set.strong);
        for (path, state) in paths.iter().zip(&set.states.states) {
            let (name, wanted) = (path_name(path), wanted(path.wanted));
            let _ = writeln!(text, "  {DIM}{wanted:<11}{DIM:#} {name}  {state}");
        }
    }
    for (what, way_out) in warnings(action, known) {
        let _ = writeln!(text, "{WARNING}warning{WARNING:#}: {what}\n  hint: {way_out}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_needs_it() {
        let words = ["cc", "-DX=1", "a b", "it's", "", "x\ny"].map(str::to_owned);
        assert_eq!(quoted(&words), r"cc -DX=1 'a b' 'it'\''s' '' 'x\ny'");
    }
}
