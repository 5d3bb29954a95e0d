//! Arguments with variables in them, held against names.

/// A part of an argument: as it is, or anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Literal(String),
    Any,
}

/// Splits an argument at `${…}`, `$ENV{…}` and `$<…>`.
pub(super) fn pieces(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let close = match c {
            '$' if rest[1..].starts_with('<') => Some('>'),
            '$' if rest[1..].starts_with('{') || rest.starts_with("$ENV{") => Some('}'),
            _ => None,
        };
        let Some(close) = close else {
            literal.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        };
        if !literal.is_empty() {
            pieces.push(Piece::Literal(std::mem::take(&mut literal)));
        }
        pieces.push(Piece::Any);
        // To the sign that closes it, past those within.
        let open = if close == '>' { '<' } else { '{' };
        let mut depth = 0u32;
        let end = rest.char_indices().find(|&(_, c)| {
            depth += u32::from(c == open);
            c == close && {
                depth = depth.saturating_sub(1);
                depth == 0
            }
        });
        rest = end.map_or("", |(at, c)| &rest[at + c.len_utf8()..]);
    }
    if !literal.is_empty() {
        pieces.push(Piece::Literal(literal));
    }
    pieces
}

/// How many bytes of a name a pattern fixes; slashes tell nothing.
pub(super) fn literals(pattern: &[Piece]) -> usize {
    let length = |piece: &Piece| match piece {
        Piece::Literal(text) => text.bytes().filter(|&b| b != b'/').count(),
        Piece::Any => 0,
    };
    pattern.iter().map(length).sum()
}

pub(super) fn matches(pattern: &[Piece], name: &str) -> bool {
    let Some((first, rest)) = pattern.split_first() else { return name.is_empty() };
    match first {
        Piece::Literal(text) => {
            name.strip_prefix(text.as_str()).is_some_and(|name| matches(rest, name))
        }
        Piece::Any => greedy(rest, name),
    }
}

/// Whether something at the start of `name` can be left out so that `pattern` matches. The first
/// place that fits each literal will do, the last one has to be at the end.
fn greedy(pattern: &[Piece], mut name: &str) -> bool {
    let count = pattern.iter().filter(|piece| **piece != Piece::Any).count();
    let ends = pattern.last().is_some_and(|piece| *piece != Piece::Any);
    let mut seen = 0;
    for piece in pattern {
        let Piece::Literal(text) = piece else { continue };
        seen += 1;
        if seen == count && ends {
            return name.ends_with(text.as_str());
        }
        let Some(at) = name.find(text.as_str()) else { return false };
        name = &name[at + text.len()..];
    }
    true
}

/// Whether `pattern` is `name` or the end of it, from a directory on. An absolute name is taken to
/// begin with a directory that is not known.
pub(super) fn ends_with(pattern: &[Piece], name: &str) -> bool {
    let starts = |text: &str| text.starts_with('/');
    let mut pattern = pattern.to_vec();
    // `${CMAKE_CURRENT_BINARY_DIR}/x`: the directory may be nothing.
    if let [Piece::Any, Piece::Literal(text), ..] = pattern.as_mut_slice()
        && starts(text)
        && text.len() > 1
        && matches(&[&[Piece::Literal(text[1..].to_owned())], &pattern[2..]].concat(), name)
    {
        return true;
    }
    matches(&pattern, name)
        || name.char_indices().any(|(at, c)| c == '/' && matches(&pattern, &name[at + 1..]))
}
