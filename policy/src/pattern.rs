//! Path patterns: a literal path, or a glob, relative to a directory or absolute.

use crate::name::{absolute, below};
use globset::{Candidate, Glob, GlobBuilder, GlobMatcher, GlobSet, GlobSetBuilder};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use std::fmt;

/// A path or glob as written by people. `*` and `?` stop at a slash, `**` does not; `[a-z]` and
/// `{a,b}` work. Checked when it is made.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Pattern(String);

/// A glob that can't be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bad pattern `{pattern}`: {message}")]
pub struct PatternError {
    /// The pattern.
    pub pattern: String,
    /// What is wrong with it.
    pub message: String,
}

impl Pattern {
    /// Checks and keeps a pattern.
    ///
    /// # Errors
    /// When it is empty or no valid glob.
    pub fn new(text: &str) -> Result<Pattern, PatternError> {
        let bad = |message: String| PatternError { pattern: text.to_owned(), message };
        if text.is_empty() {
            return Err(bad("empty".into()));
        }
        glob(text).map_err(|e| bad(e.kind().to_string()))?;
        Ok(Pattern(text.to_owned()))
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it matches a plain text (an action's name, a host).
    pub fn matches_text(&self, text: &str) -> bool {
        glob(&self.0).is_ok_and(|glob| glob.compile_matcher().is_match(text))
    }

    /// Made absolute: the literal directory it starts in, and the glob below, if there is one.
    /// `$NAME/` at the start is replaced by what `variable` knows; none if it knows nothing.
    fn anchor(
        &self,
        base: &[u8],
        variable: &dyn Fn(&str) -> Option<Vec<u8>>,
    ) -> Option<(Vec<u8>, String)> {
        let mut text = self.0.as_str();
        let mut start = base.to_vec();
        if let Some(rest) = text.strip_prefix('$') {
            let (name, rest) = rest.split_once('/').unwrap_or((rest, ""));
            start = variable(name)?;
            text = rest;
        }
        let meta = text.find(['*', '?', '[', '{', '\\']);
        let split = match meta {
            None => text.len(),
            Some(at) => text[..at].rfind('/').map_or(0, |slash| slash + 1),
        };
        Some((absolute(&start, &text.as_bytes()[..split]), text[split..].to_owned()))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Pattern::new(&text).map_err(D::Error::custom)
    }
}

fn glob(text: &str) -> Result<Glob, globset::Error> {
    GlobBuilder::new(text).literal_separator(true).backslash_escape(true).build()
}

/// A pattern over plain texts, compiled; one without signs is compared.
#[derive(Debug)]
pub(crate) enum TextMatcher {
    Literal(String),
    Glob(GlobMatcher),
    /// A part of a good glob that is bad alone.
    Nothing,
}

impl TextMatcher {
    pub(crate) fn new(pattern: &str) -> TextMatcher {
        match (TextMatcher::literal(pattern), glob(pattern)) {
            (Some(text), _) => TextMatcher::Literal(text),
            (None, Ok(glob)) => TextMatcher::Glob(glob.compile_matcher()),
            (None, Err(_)) => TextMatcher::Nothing,
        }
    }

    /// What a pattern stands for that has signs only behind a backslash; none of another.
    pub(crate) fn literal(pattern: &str) -> Option<String> {
        let mut text = String::with_capacity(pattern.len());
        let mut chars = pattern.chars();
        while let Some(c) = chars.next() {
            match c {
                '\\' => text.push(chars.next()?),
                '*' | '?' | '[' | '{' => return None,
                c => text.push(c),
            }
        }
        Some(text)
    }

    /// The pattern that stands for `text` alone.
    pub(crate) fn escape(text: &str) -> String {
        let mut pattern = String::with_capacity(text.len());
        for c in text.chars() {
            if matches!(c, '*' | '?' | '[' | ']' | '{' | '}' | '\\') {
                pattern.push('\\');
            }
            pattern.push(c);
        }
        pattern
    }

    pub(crate) fn is_match(&self, text: &str) -> bool {
        match self {
            TextMatcher::Literal(literal) => literal == text,
            TextMatcher::Glob(glob) => glob.is_match(text),
            TextMatcher::Nothing => false,
        }
    }

    pub(crate) fn as_literal(&self) -> Option<&str> {
        match self {
            TextMatcher::Literal(text) => Some(text),
            TextMatcher::Glob(_) | TextMatcher::Nothing => None,
        }
    }
}

/// Many patterns, compiled. Literal ones are not looked at here but handed back, because a hash
/// look-up serves them better.
#[derive(Debug, Default)]
pub(crate) struct Globs {
    /// Those with no other sign than `*`: compiling a regular expression for each would take longer
    /// than all else that a cache hit does.
    stars: Vec<Stars>,
    /// Sets of globs that start in the same directory, with the number of each pattern.
    groups: Vec<(Vec<u8>, GlobSet, Vec<usize>)>,
}

/// What became of one pattern.
#[derive(Debug)]
pub(crate) struct Anchored {
    /// The number of the pattern.
    pub(crate) index: usize,
    /// The literal start, absolute.
    pub(crate) base: Vec<u8>,
    /// The rest; empty if the whole pattern is literal.
    pub(crate) glob: String,
}

/// Makes patterns absolute. Patterns with an unknown variable vanish.
pub(crate) fn anchor<'a>(
    patterns: impl Iterator<Item = &'a Pattern>,
    base: &[u8],
    variable: &dyn Fn(&str) -> Option<Vec<u8>>,
) -> Vec<Anchored> {
    patterns
        .enumerate()
        .filter_map(|(index, pattern)| {
            let (base, glob) = pattern.anchor(base, variable)?;
            Some(Anchored { index, base, glob })
        })
        .collect()
}

impl Globs {
    /// Compiles those that are globs; with `trees`, what lies below a match matches too.
    pub(crate) fn compile<'a>(patterns: impl Iterator<Item = &'a Anchored>, trees: bool) -> Globs {
        let mut building: Vec<(Vec<u8>, GlobSetBuilder, Vec<usize>)> = Vec::new();
        let mut stars = Vec::new();
        for pattern in patterns.filter(|p| !p.glob.is_empty()) {
            if let Some(simple) = Stars::new(pattern, trees) {
                stars.push(simple);
                continue;
            }
            let at = building.iter().position(|(b, ..)| *b == pattern.base).unwrap_or_else(|| {
                building.push((pattern.base.clone(), GlobSetBuilder::new(), Vec::new()));
                building.len() - 1
            });
            let tree = format!("{}/**", pattern.glob.trim_end_matches('/'));
            let texts = [pattern.glob.trim_end_matches('/'), tree.as_str()];
            for text in &texts[..if trees { 2 } else { 1 }] {
                // Checked when the pattern was made; a part of a good glob that is bad alone
                // (a slash inside of braces) matches nothing.
                if let Ok(glob) = glob(text) {
                    building[at].1.add(glob);
                    building[at].2.push(pattern.index);
                }
            }
        }
        let groups = building
            .into_iter()
            .filter_map(|(base, set, index)| Some((base, set.build().ok()?, index)))
            .collect();
        Globs { stars, groups }
    }

    /// The numbers of the patterns that match.
    pub(crate) fn matches(&self, path: &[u8], mut hit: impl FnMut(usize)) {
        self.stars.iter().filter(|stars| stars.is_match(path)).for_each(|stars| hit(stars.index));
        for (base, set, index) in &self.groups {
            if let Some(rest) = below(path, base).filter(|rest| !rest.is_empty()) {
                for at in set.matches_candidate(&Candidate::from_bytes(rest)) {
                    hit(index[at]);
                }
            }
        }
    }

    /// Whether any pattern matches.
    pub(crate) fn is_match(&self, path: &[u8]) -> bool {
        self.stars.iter().any(|stars| stars.is_match(path))
            || self.groups.iter().any(|(base, set, _)| {
                below(path, base)
                    .filter(|rest| !rest.is_empty())
                    .is_some_and(|rest| set.is_match_candidate(&Candidate::from_bytes(rest)))
            })
    }
}

/// A glob with no other sign than `*`, which stops at a slash.
#[derive(Debug)]
struct Stars {
    base: Vec<u8>,
    /// One for each component.
    parts: Vec<Vec<u8>>,
    /// Whether what lies below a match matches too.
    tree: bool,
    index: usize,
}

impl Stars {
    fn new(pattern: &Anchored, tree: bool) -> Option<Stars> {
        let glob = pattern.glob.trim_end_matches('/');
        let other = glob.contains(['?', '[', ']', '{', '}', '\\']) || glob.contains("**");
        let parts: Vec<Vec<u8>> = glob.split('/').map(|part| part.as_bytes().to_vec()).collect();
        let plain = !other && parts.iter().all(|part| !part.is_empty());
        let base = pattern.base.clone();
        plain.then_some(Stars { base, parts, tree, index: pattern.index })
    }

    fn is_match(&self, path: &[u8]) -> bool {
        let Some(rest) = below(path, &self.base).filter(|rest| !rest.is_empty()) else {
            return false;
        };
        let mut names = rest.split(|&byte| byte == b'/');
        let all = self.parts.iter().all(|part| names.next().is_some_and(|name| fits(part, name)));
        all && (self.tree || names.next().is_none())
    }
}

/// Whether `name` is what `part` says, in which `*` stands for anything.
fn fits(part: &[u8], name: &[u8]) -> bool {
    let mut pieces = part.split(|&byte| byte == b'*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    if first.len() == part.len() {
        return rest.is_empty();
    }
    let Some(last) = pieces.next_back() else { return rest.is_empty() };
    for piece in pieces {
        // The first place is the best one: it leaves most for what follows.
        let at = (0..=rest.len()).find(|&at| rest[at..].starts_with(piece));
        let Some(at) = at else { return false };
        rest = &rest[at + piece.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The short way says what the library says.
        #[test]
        fn stars_match_as_globs_do(
            text in "[ab*]{1,4}(/[ab*]{1,3}){0,2}",
            path in "[ab]{0,5}(/[ab]{1,4}){0,3}",
            tree: bool,
        ) {
            let anchored = Anchored { index: 0, base: b"/w".to_vec(), glob: text.clone() };
            let Some(stars) = Stars::new(&anchored, tree) else { return Ok(()) };
            let set = |text: &str| glob(text).map(|glob| glob.compile_matcher());
            let below = format!("{text}/**");
            let expected = !path.is_empty()
                && (set(&text).is_ok_and(|glob| glob.is_match(&path))
                    || (tree && set(&below).is_ok_and(|glob| glob.is_match(&path))));
            let full = format!("/w/{path}");
            prop_assert_eq!(stars.is_match(full.as_bytes()), expected, "{} on {}", text, path);
        }
    }
}
