//! Where something stands in a file, and errors that say so.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A place in a text file. Line and column count from 1; 0 means "not known".
#[derive(
    Clone,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
pub struct Place {
    /// The file as people know it.
    pub file: String,
    /// The line.
    pub line: u32,
    /// The column, in characters.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub column: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// `file:line:column`, without what is not known.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        if self.column > 0 {
            write!(f, ":{}", self.column)?;
        }
        Ok(())
    }
}

/// Reads `SConstruct:14` or `SConstruct:14:3`; a text without a number is a file alone.
impl From<&str> for Place {
    fn from(text: &str) -> Place {
        let number = |t: &str| t.parse::<u32>().ok().filter(|&n| n > 0);
        let mut place = Place { file: text.to_owned(), line: 0, column: 0 };
        if let Some((head, last)) = text.rsplit_once(':')
            && let Some(last) = number(last)
        {
            (place.file, place.line) = (head.to_owned(), last);
            if let Some((head, line)) = head.rsplit_once(':')
                && let Some(line) = number(line)
            {
                place = Place { file: head.to_owned(), line, column: last };
            }
        }
        place
    }
}

/// A named text, so that an offset into it can be told as a place.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The file name for messages.
    pub name: &'a str,
    /// The whole text.
    pub text: &'a str,
}

impl Source<'_> {
    /// The place of the byte at `offset`.
    pub fn place(&self, offset: usize) -> Place {
        let before = &self.text.as_bytes()[..offset.min(self.text.len())];
        let start = before.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
        let line = before.iter().filter(|&&b| b == b'\n').count() + 1;
        let column = String::from_utf8_lossy(&before[start..]).chars().count() + 1;
        Place {
            file: self.name.to_owned(),
            line: u32::try_from(line).unwrap_or(u32::MAX),
            column: u32::try_from(column).unwrap_or(u32::MAX),
        }
    }
}

/// A text that does not say what it should.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}{}", .suggestion.as_ref().map(|s| format!("; did you mean `{s}`?")).unwrap_or_default())]
pub struct ParseError {
    /// Where.
    pub place: Place,
    /// What is wrong, a lower-case fragment.
    pub message: String,
    /// What was probably meant.
    pub suggestion: Option<String>,
}

impl ParseError {
    pub(crate) fn new(place: Place, message: &str) -> ParseError {
        let message = message.trim().to_owned();
        let suggestion = suggestion(&message);
        // With a suggestion at hand the long list of all that is allowed helps nobody.
        let message = match (&suggestion, message.find(", expected ")) {
            (Some(_), Some(at)) => message[..at].to_owned(),
            _ => message,
        };
        ParseError { place, message, suggestion }
    }
}

/// Parses TOML into any type; the error names file, line and column, and for an unknown key or
/// value what was probably meant.
///
/// # Errors
/// When the text is no TOML or does not fit the type.
pub fn parse_toml<T: DeserializeOwned>(source: Source<'_>) -> Result<T, ParseError> {
    toml::from_str(source.text).map_err(|error| {
        let place = match error.span() {
            Some(span) => source.place(span.start),
            None => Place { file: source.name.to_owned(), ..Place::default() },
        };
        ParseError::new(place, error.message())
    })
}

/// Parses JSON into any type, with the same errors as [`parse_toml`].
///
/// # Errors
/// When the text is no JSON or does not fit the type.
pub fn parse_json<T: DeserializeOwned>(source: Source<'_>) -> Result<T, ParseError> {
    serde_json::from_str(source.text).map_err(|error| {
        let clip = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let place = Place {
            file: source.name.to_owned(),
            line: clip(error.line()),
            column: clip(error.column()),
        };
        let text = error.to_string();
        let message = text.rfind(" at line ").map_or(text.as_str(), |at| &text[..at]);
        ParseError::new(place, message)
    })
}

/// Serde words its errors as "unknown field `x`, expected one of `a`, `b`": the nearest of the
/// expected words, if one is near.
fn suggestion(message: &str) -> Option<String> {
    if !message.starts_with("unknown ") {
        return None;
    }
    let mut quoted = message.split('`').skip(1).step_by(2);
    let wrong = quoted.next()?;
    nearest(wrong, quoted).map(str::to_owned)
}

/// The word nearest to `wrong`, if it is near enough to have been meant.
pub(crate) fn nearest<'a>(wrong: &str, words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let fold = |s: &str| s.to_ascii_lowercase().replace('_', "-");
    let wrong = fold(wrong);
    words
        .map(|word| (strsim::damerau_levenshtein(&wrong, &fold(word)), word))
        .min()
        .filter(|&(distance, word)| distance <= 1 + word.len() / 4)
        .map(|(_, word)| word)
}
