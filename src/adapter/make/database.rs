//! Reads what `make --print-data-base` prints (`print_data_base` in GNU make's main.c, 4.0 to 4.4).
//!
//! Names are printed raw, without any escapes, so a name with a space in it can only be told from
//! two names by knowing all names: every prerequisite has an entry of its own.

use std::collections::HashSet;

/// What make knows after it has read its makefiles and searched for implicit rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Database {
    /// The version, as printed; none if GNU make did not print this.
    pub(crate) version: Option<(u32, u32)>,
    /// The makefiles that were read, as they were named.
    pub(crate) makefiles: Vec<Vec<u8>>,
    /// All targets and prerequisites; a double-colon target once for each of its rules.
    pub(crate) files: Vec<File>,
}

/// A target or a prerequisite.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct File {
    /// Its name, as make has it.
    pub(crate) name: Vec<u8>,
    /// Whether a rule names it as a target.
    pub(crate) is_target: bool,
    /// Whether its rules have two colons.
    pub(crate) double_colon: bool,
    /// Its prerequisites, in order; one for each time that a rule names it.
    pub(crate) inputs: Vec<Vec<u8>>,
    /// Its order-only prerequisites.
    pub(crate) order_only: Vec<Vec<u8>>,
    /// Whether it is a prerequisite of `.PHONY`.
    pub(crate) phony: bool,
    /// Whether make comes with this rule.
    pub(crate) builtin: bool,
    /// Whether make looked for it and did not find it.
    pub(crate) absent: bool,
    /// Whether make removes it after use.
    pub(crate) intermediate: bool,
    /// The other targets that one run of its recipe makes (and, in some versions, itself).
    pub(crate) also_makes: Vec<Vec<u8>>,
    /// Its recipe.
    pub(crate) recipe: Option<Recipe>,
}

/// A recipe.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Recipe {
    /// The makefile it is from, as it was named; none for a rule that make comes with.
    pub(crate) file: Option<Vec<u8>>,
    /// The line in that file; 0 when it is not known.
    pub(crate) line: u32,
    /// Its text with nothing expanded, without the prefix of each line.
    pub(crate) text: Vec<u8>,
}

/// No name of a file is longer (`PATH_MAX`).
const LONGEST_NAME: usize = 4096;

/// Reads a data base. What it does not know is skipped; a text without a list of files yields
/// none.
pub(crate) fn parse(text: &[u8]) -> Database {
    let mut database = Database::default();
    let lines: Vec<&[u8]> = text.split(|&byte| byte == b'\n').collect();
    // The word may stand in the value of a variable as well; these come before.
    let start = lines.iter().rposition(|&line| line == b"# Files").unwrap_or(lines.len());
    let (variables, files) = lines.split_at(start);
    for line in variables {
        if let Some(version) = line.strip_prefix(b"# GNU Make ") {
            database.version = database.version.or_else(|| number_pair(version));
        } else if let Some(list) = line.strip_prefix(b"MAKEFILE_LIST :=") {
            database.makefiles = words(list).map(<[u8]>::to_vec).collect();
        }
    }
    let headers = headers(files);
    let spaced = headers
        .iter()
        .map(|header| header.name)
        .filter(|name| name.contains(&b' '))
        .collect::<HashSet<_>>();
    let longest = spaced.iter().map(|name| name.len()).max().unwrap_or(0).min(LONGEST_NAME);
    let names = Names { spaced, longest };
    for header in &headers {
        database.files.push(file(header, files, &names));
    }
    database
}

/// The first line of an entry.
struct Header<'a> {
    /// Its index.
    line: usize,
    name: &'a [u8],
    /// What stands after the colon.
    rest: &'a [u8],
    double_colon: bool,
    is_target: bool,
    /// What recipe lines begin with.
    prefix: u8,
}

/// Finds the entries: a line with a colon, followed by a comment of the kind that only entries
/// have. The lines of target-specific variables look alike and have none.
fn headers<'a>(lines: &[&'a [u8]]) -> Vec<Header<'a>> {
    let mut headers = Vec::new();
    let mut prefix = b'\t';
    let mut previous: &[u8] = b"";
    for (index, &line) in lines.iter().enumerate() {
        if line.starts_with(b"# files hash-table stats:") {
            break;
        }
        if previous.is_empty()
            && let Some(value) = line.strip_prefix(b".RECIPEPREFIX = ")
        {
            prefix = value.first().copied().unwrap_or(b'\t');
        }
        let next = lines.get(index + 1).copied().unwrap_or_default();
        if next.starts_with(b"#  ") && !line.starts_with(b"#") && line.first() != Some(&prefix) {
            let is_target = previous != b"# Not a target:";
            headers.extend(
                header(line, is_target, prefix).map(|header| Header { line: index, ..header }),
            );
        }
        previous = line;
    }
    headers
}

fn header(line: &[u8], is_target: bool, prefix: u8) -> Option<Header<'_>> {
    let whole =
        |name, double_colon| Header { line: 0, name, rest: &[], double_colon, is_target, prefix };
    if !is_target {
        return line.strip_suffix(b":").map(|name| whole(name, false));
    }
    // A colon inside of a name is followed by more of the name.
    let mut at = 0;
    loop {
        at += line.get(at..)?.iter().position(|&byte| byte == b':')?;
        let (name, rest) = (&line[..at], &line[at + 1..]);
        let double_colon = rest.first() == Some(&b':');
        let rest = if double_colon { &rest[1..] } else { rest };
        if matches!(rest.first(), None | Some(b' ')) && !name.is_empty() {
            return Some(Header { rest, ..whole(name, double_colon) });
        }
        at += 1;
    }
}

fn file(header: &Header<'_>, lines: &[&[u8]], names: &Names<'_>) -> File {
    let mut file = File {
        name: header.name.to_vec(),
        is_target: header.is_target,
        double_colon: header.double_colon,
        ..File::default()
    };
    let mut order_only = false;
    for name in names.split(header.rest) {
        match name {
            b"|" => order_only = true,
            // Separates prerequisites since 4.4, and is none.
            b".WAIT" => {}
            name if order_only => file.order_only.push(name.to_vec()),
            name => file.inputs.push(name.to_vec()),
        }
    }
    for (index, line) in lines.iter().enumerate().skip(header.line + 1) {
        let Some(comment) = line.strip_prefix(b"#") else { break };
        let comment = comment.trim_ascii_start();
        match comment {
            _ if comment.starts_with(b"Phony target") => file.phony = true,
            _ if comment.starts_with(b"Builtin rule") => file.builtin = true,
            _ if comment.starts_with(b"File does not exist") => file.absent = true,
            _ if comment.starts_with(b"File is an intermediate") => file.intermediate = true,
            _ => {}
        }
        if let Some(list) = comment.strip_prefix(b"Also makes:") {
            file.also_makes = names.split(list).map(<[u8]>::to_vec).collect();
        } else if let Some(place) = comment.strip_prefix(b"recipe to execute ") {
            file.recipe = Some(recipe(place, lines.get(index + 1..).unwrap_or(&[]), header.prefix));
            break;
        }
    }
    file
}

/// Reads a recipe, given what says where it is from, and the lines after that.
fn recipe(place: &[u8], lines: &[&[u8]], prefix: u8) -> Recipe {
    let mut recipe = Recipe::default();
    if let Some(place) = place.strip_prefix(b"(from '")
        && let Some(at) = find_last(place, b"', line ")
    {
        let digits = &place[at + b"', line ".len()..];
        recipe.file = Some(place[..at].to_vec());
        recipe.line = number(digits).unwrap_or(0);
    }
    let mut continued = false;
    for line in lines {
        let text = match line.strip_prefix(&[prefix]) {
            Some(text) => text,
            None if continued => line,
            None => break,
        };
        if !recipe.text.is_empty() {
            recipe.text.push(b'\n');
        }
        recipe.text.extend_from_slice(text);
        continued = text.iter().rev().take_while(|&&byte| byte == b'\\').count() % 2 == 1;
    }
    recipe
}

/// All names with a space in them.
struct Names<'a> {
    spaced: HashSet<&'a [u8]>,
    /// The length of the longest one.
    longest: usize,
}

impl<'a> Names<'a> {
    /// Cuts a list at its spaces, except at those within a known name.
    fn split<'t>(&self, text: &'t [u8]) -> impl Iterator<Item = &'t [u8]> + use<'_, 'a, 't> {
        let mut rest = text.trim_ascii();
        std::iter::from_fn(move || {
            let end = |text: &[u8]| text.iter().position(|&b| b == b' ').unwrap_or(text.len());
            rest = rest.trim_ascii_start();
            if rest.is_empty() {
                return None;
            }
            let mut length = end(rest);
            let mut longer = length;
            while longer < rest.len() && longer < self.longest {
                longer += 1;
                longer += end(&rest[longer..]);
                if self.spaced.contains(&rest[..longer]) {
                    length = longer;
                }
            }
            let name;
            (name, rest) = rest.split_at(length);
            Some(name)
        })
    }
}

fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
}

fn find_last(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).rposition(|window| window == what)
}

/// The number at the start of a text.
fn number(text: &[u8]) -> Option<u32> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&text[..digits]).ok()?.parse().ok()
}

/// Two numbers with a dot between them.
fn number_pair(text: &[u8]) -> Option<(u32, u32)> {
    let dot = text.iter().position(|&byte| byte == b'.')?;
    Some((number(text)?, number(&text[dot + 1..])?))
}
