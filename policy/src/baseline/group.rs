//! Joins findings to entries: one header that 300 compiles miss is one entry.

use crate::build::Build;
use crate::finding::Finding;
use crate::name::below;
use crate::pattern::TextMatcher;
use crate::rules::Rule;
use std::collections::{BTreeMap, BTreeSet};

/// From so many actions on, a pattern stands for their names.
const PATTERN_FROM: usize = 4;

/// An entry to be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Group {
    pub(super) rule: Rule,
    pub(super) action: Option<String>,
    pub(super) path: Option<String>,
    pub(super) count: u64,
}

/// The groups of `findings`, sorted.
///
/// Findings of one rule on one path are joined when their actions are at least four files with the
/// same ending in one directory (`build/*.o`), or in at least four (`build/**/*.o`).
pub(super) fn groups<'a>(findings: impl Iterator<Item = &'a Finding>, build: &Build) -> Vec<Group> {
    let mut by_path: BTreeMap<(Rule, Option<String>), Vec<&str>> = BTreeMap::new();
    for finding in findings {
        let key = (finding.rule, path_pattern(finding, build));
        by_path.entry(key).or_default().push(&finding.action);
    }
    let mut groups = Vec::new();
    for ((rule, path), actions) in by_path {
        for (action, count) in patterns(&actions) {
            groups.push(Group { rule, action, path: path.clone(), count });
        }
    }
    groups.sort();
    groups
}

/// Patterns for names of actions, each with how many it stands for.
fn patterns(actions: &[&str]) -> BTreeMap<Option<String>, u64> {
    let mut by_ending: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    let mut out: BTreeMap<Option<String>, u64> = BTreeMap::new();
    let mut alone = |name: &str| {
        let pattern = (!name.is_empty()).then(|| TextMatcher::escape(name));
        *out.entry(pattern).or_default() += 1;
    };
    for &name in actions {
        match shape(name) {
            Some((directory, ending)) => {
                by_ending.entry(ending).or_default().push((directory, name));
            }
            None => alone(name),
        }
    }
    let mut joined = Vec::new();
    for (ending, files) in by_ending {
        let mut by_directory: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for &(directory, name) in &files {
            by_directory.entry(directory).or_default().insert(name);
        }
        if by_directory.len() >= PATTERN_FROM {
            let above = common(by_directory.keys().copied());
            let pattern =
                format!("{}**/*{}", TextMatcher::escape(above), TextMatcher::escape(ending));
            joined.push((pattern, files.len() as u64));
            continue;
        }
        for (directory, names) in by_directory {
            let here = files.iter().filter(|(of, _)| *of == directory);
            if names.len() >= PATTERN_FROM {
                let pattern =
                    format!("{}*{}", TextMatcher::escape(directory), TextMatcher::escape(ending));
                joined.push((pattern, here.count() as u64));
            } else {
                here.for_each(|(_, name)| alone(name));
            }
        }
    }
    for (pattern, count) in joined {
        *out.entry(Some(pattern)).or_default() += count;
    }
    out
}

/// The directory with its slash, and the ending with its dot, of what looks like a file's name.
fn shape(name: &str) -> Option<(&str, &str)> {
    let split = name.rfind('/').map_or(0, |at| at + 1);
    let (directory, file) = name.split_at(split);
    let dot = file.rfind('.').filter(|&at| at > 0 && at + 1 < file.len())?;
    (!name.contains(char::is_whitespace)).then_some((directory, &file[dot..]))
}

/// The longest directory (with its slash) above all of `directories`.
fn common<'a>(mut directories: impl Iterator<Item = &'a str>) -> &'a str {
    let mut above = directories.next().unwrap_or_default();
    for directory in directories {
        while !directory.starts_with(above) {
            above = above[..above.len() - 1].rfind('/').map_or("", |at| &above[..=at]);
        }
    }
    above
}

/// The pattern for what `finding` is about, with a variable in place of what differs from machine
/// to machine. Bytes that are no UTF-8 become `?`.
fn path_pattern(finding: &Finding, build: &Build) -> Option<String> {
    let path = finding.path.0.as_slice();
    if path.is_empty() {
        return (!finding.subject.is_empty()).then(|| TextMatcher::escape(&finding.subject));
    }
    for (name, directory) in [("$WORKSPACE", &build.workspace), ("$HOME", &build.home)] {
        let useful = !directory.is_empty() && directory != b"/";
        if let Some(rest) = below(path, directory).filter(|_| useful) {
            let slash = if rest.is_empty() { "" } else { "/" };
            return Some(format!("{name}{slash}{}", escape(rest)));
        }
    }
    Some(escape(path))
}

fn escape(bytes: &[u8]) -> String {
    let mut pattern = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        pattern += &TextMatcher::escape(chunk.valid());
        pattern.extend(chunk.invalid().iter().map(|_| '?'));
    }
    pattern
}
