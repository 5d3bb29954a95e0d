//! Where the files of a meson project declare targets, so that a finding can name a line that
//! people write. meson tells which file declares what (`meson-info/intro-targets.json`, meson
//! manual, "IDE integration"); the line is that of the call with the target's name.

use super::files;
use airtight_policy::{Place, absolute, display};
use serde::Deserialize;
use std::collections::HashMap;

/// What stands before the name of a target without a file, in what meson writes for ninja.
pub(crate) const INTERNAL: &[u8] = b"meson-internal__";

/// One call of a function or method in a meson.build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    /// The function; of a method only its own name.
    pub(crate) name: String,
    /// The line of the name, from 1.
    pub(crate) line: u32,
    /// The first argument, if it is a plain string.
    pub(crate) first: Option<String>,
}

/// The functions that declare a target of this type, as meson names types.
fn functions(kind: &str) -> &'static [&'static str] {
    match kind {
        "executable" => &["executable", "build_target"],
        "static library" => &["static_library", "library", "both_libraries", "build_target"],
        "shared library" => &["shared_library", "library", "both_libraries", "build_target"],
        "shared module" => &["shared_module", "build_target"],
        "jar" => &["jar", "build_target"],
        "run" => &["run_target"],
        "custom" => &["custom_target", "vcs_tag"],
        _ => &[],
    }
}

/// The calls in a meson.build, as far as they can be read.
pub(crate) fn calls(text: &str) -> Vec<Call> {
    let mut calls = Vec::new();
    let mut rest = text;
    let mut line = 1;
    // The last word and its line, if nothing but space stands behind it.
    let mut word: Option<(&str, u32)> = None;
    // A call whose first argument is yet to come.
    let mut open: Option<usize> = None;
    while let Some(c) = rest.chars().next() {
        let (length, text) = match c {
            '#' => (rest.find('\n').unwrap_or(rest.len()), None),
            '\'' => string(rest),
            c if c.is_alphanumeric() || c == '_' => {
                let wordy = |c: char| c.is_alphanumeric() || c == '_';
                let length = rest.find(|c| !wordy(c)).unwrap_or(rest.len());
                (length, Some(&rest[..length]))
            }
            c => (c.len_utf8(), None),
        };
        match (c, text) {
            (c, None) if c.is_whitespace() || c == '#' => {}
            ('(', _) => {
                open = word.take().map(|(name, line)| {
                    calls.push(Call { name: name.to_owned(), line, first: None });
                    calls.len() - 1
                });
            }
            ('\'', Some(text)) => {
                word = None;
                if let Some(call) = open.take() {
                    // An operator behind it would make it something else.
                    let after = rest[length..].trim_start();
                    let whole = after.starts_with([',', ')']);
                    calls[call].first = whole.then(|| text.to_owned());
                }
            }
            (_, text) => {
                word = text.map(|text| (text, line));
                open = None;
            }
        }
        line += rest[..length].bytes().filter(|&b| b == b'\n').count() as u32;
        rest = &rest[length..];
    }
    calls
}

/// The length of the string that `text` begins with, and what is in it.
pub(crate) fn string(text: &str) -> (usize, Option<&str>) {
    if let Some(body) = text.strip_prefix("'''") {
        let end = body.find("'''");
        return end.map_or((text.len(), None), |end| (end + 6, Some(&body[..end])));
    }
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '\'' if !escaped => return (at + 1, Some(&text[1..at])),
            // Not closed on its line: no string.
            '\n' => return (1, None),
            c => escaped = c == '\\' && !escaped,
        }
    }
    (1, None)
}

/// Finds the declarations of a project's targets.
#[derive(Debug, Default)]
pub(crate) struct Places {
    /// By the absolute name of an output.
    places: HashMap<Vec<u8>, Place>,
}

impl Places {
    /// The project that the build directory `build` was set up for.
    pub(crate) fn load(build: &[u8], workspace: &[u8]) -> Places {
        let mut places = Places::default();
        let Ok(text) = files::read(&absolute(build, b"meson-info/intro-targets.json")) else {
            return places;
        };
        let targets: Vec<Target> = serde_json::from_slice(&text).unwrap_or_default();
        let mut known: HashMap<String, Vec<Call>> = HashMap::new();
        for target in targets {
            let file = absolute(build, target.defined_in.as_bytes());
            let calls = known.entry(target.defined_in).or_insert_with(|| {
                files::read(&file).map_or(Vec::new(), |text| calls(&String::from_utf8_lossy(&text)))
            });
            let Some(line) = find(calls, &target.name, &target.kind) else { continue };
            let file = display(&file, workspace).into_owned();
            for output in target.filename {
                let place = Place { file: file.clone(), line, column: 0 };
                places.places.insert(absolute(build, output.as_bytes()), place);
            }
        }
        places
    }

    /// Where the target is declared that makes `output` (absolute), or whose object it is: objects
    /// are in a directory named after the target's file, with `.p` behind it.
    pub(crate) fn target(&self, output: &[u8]) -> Option<Place> {
        let start = output.iter().rposition(|&b| b == b'/').map_or(0, |at| at + 1);
        if let Some(name) = output[start..].strip_prefix(INTERNAL) {
            return self.places.get(&[&output[..start], name].concat()).cloned();
        }
        let slashes = output.iter().enumerate().rev().filter(|&(_, &b)| b == b'/');
        let mut above = slashes.filter_map(|(at, _)| output[..at].strip_suffix(b".p"));
        let place = self.places.get(output);
        place.or_else(|| above.find_map(|name| self.places.get(name))).cloned()
    }
}

/// The line of the call that declares a target: a function for its type that is given its name; or
/// else the only call with that name (a method of a module, say); or else the only such function
/// whose name for the target is computed.
fn find(calls: &[Call], name: &str, kind: &str) -> Option<u32> {
    let declares = |call: &Call| functions(kind).contains(&call.name.as_str());
    let named = |call: &Call| call.first.as_deref() == Some(name);
    let only = |wanted: &dyn Fn(&Call) -> bool| {
        let mut found = calls.iter().filter(|call| wanted(call));
        found.next().filter(|_| found.next().is_none())
    };
    let call = calls
        .iter()
        .find(|call| declares(call) && named(call))
        .or_else(|| only(&named))
        .or_else(|| only(&|call| declares(call) && call.first.is_none()));
    call.map(|call| call.line)
}

/// An entry of `intro-targets.json`.
#[derive(Deserialize)]
struct Target {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    defined_in: String,
    #[serde(default)]
    filename: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Vec<(String, u32, Option<String>)> {
        calls(text).into_iter().map(|call| (call.name, call.line, call.first)).collect()
    }

    #[test]
    fn calls_have_a_line_and_a_name() {
        let text = "# executable('no')\nproject('p', 'c')\nx = executable(\n  # why\n  'main',\n  f('a' + 'b'))\n\
                    gnome.compile_resources('r', s)\nlibrary(name, 'x')\n'''\nf('y')\n'''\nz = g ('it\\'s')\nh()\n";
        let expected: &[(&str, u32, Option<&str>)] = &[
            ("project", 2, Some("p")),
            ("executable", 3, Some("main")),
            ("f", 6, None),
            ("compile_resources", 7, Some("r")),
            ("library", 8, None),
            ("g", 12, Some("it\\'s")),
            ("h", 13, None),
        ];
        let owned = |&(name, line, first): &(&str, u32, Option<&str>)| {
            (name.to_owned(), line, first.map(str::to_owned))
        };
        assert_eq!(told(text), expected.iter().map(owned).collect::<Vec<_>>());
    }

    #[test]
    fn a_target_is_found_by_its_declaration() {
        let calls = calls(
            "test('a', x)\nx = executable('a', 'a.c')\ni18n.gettext('b')\nf('c')\ng('c')\n\
             foreach n : ['d', 'e']\n  executable(n + 'x')\nendforeach\n\
             library(l)\nstatic_library(l)\nfunction('f')\n",
        );
        for (name, kind, line) in [
            ("a", "executable", Some(2)),
            ("b", "custom", Some(3)),
            ("c", "custom", None),
            ("dx", "executable", Some(7)),
            ("l", "shared library", Some(9)),
            ("l", "static library", None),
            ("l", "alias", None),
        ] {
            assert_eq!(find(&calls, name, kind), line, "{name}");
        }
    }

    #[test]
    fn text_that_is_no_meson_is_read_to_its_end() {
        for text in ["'", "f('", "f('''", "f('a", "é('ü')", "f(\n'", "(", "f((("] {
            calls(text);
        }
    }
}
