//! Edits of meson.build: files that a custom target or a link depends on.

use super::names::{self, below, relative};
use super::{Lack, Manual, Places, Site, Texts, Wish, is_generated, line_start};
use crate::adapter::meson::string;
use std::collections::BTreeSet;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;

/// Functions that link something.
const BINARIES: [&str; 4] = ["executable", "shared_library", "shared_module", "library"];

/// Collects what calls lack, so that each is edited once.
#[derive(Debug, Default)]
pub(super) struct Planner {
    /// By file and line: the keyword, and the files, as strings.
    calls: Places<(&'static str, BTreeSet<String>)>,
}

impl Planner {
    pub(super) fn add(
        &mut self,
        site: &Site<'_>,
        wish: &Wish<'_>,
        line: &str,
        texts: &mut Texts,
    ) -> Result<(), Manual> {
        let manual = |why: &str| Manual::new(why, line);
        let unknown = || manual("the line that declares it is not known");
        let (file, number) = site.file(wish.action).ok_or_else(unknown)?;
        if file.file_name().is_none_or(|name| name != "meson.build") {
            return Err(unknown());
        }
        if wish.lack == Lack::Output {
            return Err(manual("the outputs of a target are used by their numbers"));
        }
        if wish.maker.is_some() {
            return Err(manual(
                "another target makes it: give that a name, and add it to the sources, or to \
                 `depends` of a custom target",
            ));
        }
        let opened = texts.open(&file).map_err(|why| manual(&why))?;
        let text = texts.get(&opened).ok_or_else(unknown)?.old();
        if is_generated(text) {
            return Err(manual("a program makes the file: change what it makes it from"));
        }
        let text = std::str::from_utf8(text).map_err(|_| manual("the file is not UTF-8"))?;
        let call = Call::find(text, number).ok_or_else(unknown)?;
        let object = wish.action.name.ends_with(".o") || wish.action.name.ends_with(".obj");
        let keyword = match call.name.as_str() {
            "custom_target" => "depend_files",
            name if BINARIES.contains(&name) && !object => "link_depends",
            name if BINARIES.contains(&name) || name == "static_library" => {
                return Err(manual(
                    "meson knows what a compile reads from its depfile; a file that is not in it \
                     can be named among the sources of the target only",
                ));
            }
            _ => return Err(manual("the call that declares it has no list of such files")),
        };
        let directory = file.parent().map(|directory| directory.as_os_str().as_bytes());
        let workspace = site.workspace.as_os_str().as_bytes();
        let name = directory
            .filter(|_| below(&wish.path, workspace).is_some())
            .and_then(|directory| names::meson(&relative(&wish.path, directory)))
            .ok_or_else(|| manual("its name depends on the machine, or can't be written"))?;
        let place = (opened, usize::try_from(number).unwrap_or(usize::MAX));
        let lacks = self.calls.entry(place).or_insert_with(|| (keyword, BTreeSet::new()));
        if lacks.0 != keyword {
            return Err(manual("the call lacks something else as well"));
        }
        lacks.1.insert(name);
        Ok(())
    }

    /// Makes the edits.
    pub(super) fn finish(self, texts: &mut Texts) {
        for ((file, line), (keyword, files)) in self.calls {
            let Some(text) = texts.get(&file) else { continue };
            let Ok(old) = std::str::from_utf8(text.old()) else { continue };
            let call = u32::try_from(line).ok().and_then(|line| Call::find(old, line));
            let edits = call.map(|call| call.lacks(old, keyword, &files)).unwrap_or_default();
            for (at, new) in edits {
                text.edit(at..at, new.into_bytes());
            }
        }
    }
}

/// A call, and where its arguments are.
#[derive(Debug, Default, PartialEq, Eq)]
struct Call {
    name: String,
    /// With the keyword of each, if it has one.
    arguments: Vec<(Option<String>, Range<usize>)>,
    /// Whether a comma stands behind the last argument, and where that ends.
    comma: Option<usize>,
}

impl Call {
    /// The outermost call whose name is on this line (from 1), if it is the only one.
    fn find(text: &str, line: u32) -> Option<Call> {
        let start = line_start(text.as_bytes(), line)?;
        let mut at = 0;
        let mut word: Option<Range<usize>> = None;
        let mut found: Option<Call> = None;
        // From the beginning, so that no text in quotes is taken for a call.
        while let Some(token) = token(text, at) {
            let on_line = |word: &Range<usize>| {
                word.start >= start && !text[start..word.start].contains('\n')
            };
            if word.as_ref().is_some_and(|word| word.start > start && !on_line(word)) {
                break;
            }
            match token.kind {
                Kind::Space => {}
                Kind::Word => word = Some(token.span.clone()),
                Kind::Open(b'(') => {
                    if let Some(name) = word.take().filter(on_line) {
                        let (call, end) = Call::read(text, &text[name], token.span.end)?;
                        if found.replace(call).is_some() {
                            return None;
                        }
                        at = end;
                        continue;
                    }
                }
                _ => word = None,
            }
            at = token.span.end;
        }
        found
    }

    /// Reads the arguments from behind the parenthesis on; and where the call ends.
    fn read(text: &str, name: &str, from: usize) -> Option<(Call, usize)> {
        let mut call = Call { name: name.to_owned(), ..Call::default() };
        let mut at = from;
        let mut open = 0;
        let mut keyword: Option<String> = None;
        // The argument so far.
        let mut argument: Option<Range<usize>> = None;
        loop {
            let token = token(text, at)?;
            at = token.span.end;
            let ends = open == 0 && matches!(token.kind, Kind::Comma | Kind::Close(_));
            if ends {
                let last = argument.is_none();
                if let Some(argument) = argument.take() {
                    call.arguments.push((keyword.take(), argument));
                    call.comma = None;
                }
                if token.kind == Kind::Comma {
                    call.comma = (!last).then_some(token.span.end);
                    continue;
                }
                return (token.kind == Kind::Close(b')')).then_some((call, at));
            }
            match token.kind {
                Kind::Space => continue,
                Kind::Colon if open == 0 && keyword.is_none() => {
                    keyword = argument.take().map(|span| text[span].to_owned());
                    continue;
                }
                Kind::Open(_) => open += 1,
                Kind::Close(_) => open -= 1,
                _ => {}
            }
            let start = argument.map_or(token.span.start, |argument| argument.start);
            argument = Some(start..token.span.end);
        }
    }

    /// What is inserted where, so that the keyword has these files.
    fn lacks(&self, text: &str, keyword: &str, files: &BTreeSet<String>) -> Vec<(usize, String)> {
        let own = self.arguments.iter().find(|(name, _)| name.as_deref() == Some(keyword));
        let there =
            |file: &String| own.is_some_and(|(_, span)| text[span.clone()].contains(file.as_str()));
        let new: Vec<&str> = files.iter().filter(|file| !there(file)).map(String::as_str).collect();
        if new.is_empty() {
            return Vec::new();
        }
        let new = format!("files({})", new.join(", "));
        if let Some((_, span)) = own {
            let value = &text[span.clone()];
            // A list takes it as its last; anything else becomes a list.
            let inner = value.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
            // The list must be all of it: `[a] + [b]` begins and ends alike.
            let whole = inner.is_some() && closing(text, span.start) == Some(span.end);
            return match inner.filter(|_| whole).map(last_in) {
                Some(Some((end, comma))) => {
                    let sign = if comma { " " } else { ", " };
                    vec![(span.start + 1 + end, format!("{sign}{new}"))]
                }
                Some(None) => vec![(span.end - 1, new)],
                None => vec![(span.start, "[".to_owned()), (span.end, format!(", {new}]"))],
            };
        }
        let Some((_, last)) = self.arguments.last() else { return Vec::new() };
        let argument = format!("{keyword}: {new}");
        // On a line of its own, if the last argument has one.
        let begin = self.arguments.last().map_or(0, |(name, span)| {
            name.as_ref()
                .and_then(|name| text[..span.start].rfind(name.as_str()))
                .unwrap_or(span.start)
        });
        let line = text[..begin].rfind('\n').map_or(0, |at| at + 1);
        let own_line = text[line..begin].trim().is_empty();
        let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
        let between = match own_line {
            true => format!("{newline}{}", &text[line..begin]),
            false => " ".to_owned(),
        };
        match self.comma {
            Some(comma) if own_line => vec![(comma, format!("{between}{argument},"))],
            Some(comma) => vec![(comma, format!(" {argument}"))],
            None => vec![(last.end, format!(",{between}{argument}"))],
        }
    }
}

/// Where the last thing in a list ends, behind its comma if it has one; none of an empty list.
fn last_in(inner: &str) -> Option<(usize, bool)> {
    let mut at = 0;
    let mut last = None;
    while let Some(token) = token(inner, at) {
        at = token.span.end;
        if token.kind != Kind::Space {
            last = Some((token.span.end, token.kind == Kind::Comma));
        }
    }
    last
}

/// Where the bracket at `from` is closed.
fn closing(text: &str, from: usize) -> Option<usize> {
    let mut at = from;
    let mut open = 0u32;
    loop {
        let token = token(text, at)?;
        at = token.span.end;
        match token.kind {
            Kind::Open(_) => open += 1,
            Kind::Close(_) => open = open.checked_sub(1)?,
            _ => {}
        }
        if open == 0 {
            return Some(at);
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Blanks, line ends and comments.
    Space,
    Word,
    Open(u8),
    Close(u8),
    Comma,
    Colon,
    /// Strings and signs.
    Other,
}

struct Token {
    kind: Kind,
    span: Range<usize>,
}

/// The token at `at`; none at the end.
fn token(text: &str, at: usize) -> Option<Token> {
    let rest = text.get(at..)?;
    let first = rest.chars().next()?;
    let wordy = |c: char| c.is_alphanumeric() || c == '_';
    let until = |ends: &dyn Fn(char) -> bool| rest.find(ends).unwrap_or(rest.len());
    let (kind, length) = match first {
        '#' => (Kind::Space, until(&|c| c == '\n')),
        '\'' => (Kind::Other, string(rest).0),
        c if c.is_whitespace() => (Kind::Space, until(&|c| !c.is_whitespace())),
        c if wordy(c) => (Kind::Word, until(&|c| !wordy(c))),
        '(' | '[' | '{' => (Kind::Open(first as u8), 1),
        ')' | ']' | '}' => (Kind::Close(first as u8), 1),
        ',' => (Kind::Comma, 1),
        ':' => (Kind::Colon, 1),
        c => (Kind::Other, c.len_utf8()),
    };
    Some(Token { kind, span: at..at + length })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn lacks(text: &str, line: u32, expected: &str) {
        let call = Call::find(text, line).expect("a call");
        let mut new = text.to_owned();
        let files = BTreeSet::from(["'x'".to_owned()]);
        let mut edits = call.lacks(text, "depend_files", &files);
        edits.sort_by_key(|(at, _)| *at);
        for (at, text) in edits.into_iter().rev() {
            new.insert_str(at, &text);
        }
        assert_eq!(new, expected);
        // Once is enough.
        let call = Call::find(&new, line).expect("a call");
        assert_eq!(call.lacks(&new, "depend_files", &files), []);
    }

    #[test]
    fn keywords_are_put_where_people_would() {
        for (text, expected) in [
            ("f('a', b: c)\n", "f('a', b: c, depend_files: files('x'))\n"),
            (
                "f('a', # it's (\n  b: [c, 'd)'],\n)\n",
                "f('a', # it's (\n  b: [c, 'd)'],\n  depend_files: files('x'),\n)\n",
            ),
            ("f('a',\n  b: c)\n", "f('a',\n  b: c,\n  depend_files: files('x'))\n"),
            ("f('a', depend_files: ['y'])", "f('a', depend_files: ['y', files('x')])"),
            ("f('a', depend_files: ['y',], z: 1)", "f('a', depend_files: ['y', files('x')], z: 1)"),
            ("f('a', depend_files: [])", "f('a', depend_files: [files('x')])"),
            ("f('a', depend_files: g('y') + h)", "f('a', depend_files: [g('y') + h, files('x')])"),
            ("f('a', depend_files: [a] + [b])", "f('a', depend_files: [[a] + [b], files('x')])"),
            (
                "v = m.f('a',\r\n  b: c)\r\n",
                "v = m.f('a',\r\n  b: c,\r\n  depend_files: files('x'))\r\n",
            ),
        ] {
            lacks(text, 1, expected);
        }
        lacks(
            "g(\n'''\nf('a'\n''')\nf('a', )",
            5,
            "g(\n'''\nf('a'\n''')\nf('a', depend_files: files('x') )",
        );
    }

    #[test]
    fn what_is_no_single_call_is_not_taken() {
        for (text, line) in [
            ("f(1); g(2)", 1),
            ("x = 1\n", 1),
            ("'''\nf(1)\n'''", 2),
            ("# f(1)\n", 1),
            ("f(", 1),
            ("f(1]", 1),
            ("f('", 1),
            ("", 1),
            ("f(1)", 2),
        ] {
            assert_eq!(Call::find(text, line), None, "{text}");
        }
        let nested = Call::find("f(g(1), h: i(2))", 1).expect("the outer one");
        assert_eq!((nested.name.as_str(), nested.arguments.len()), ("f", 2));
    }
}
