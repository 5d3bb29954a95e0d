//! The commands in CMake files (cmake-language(7)).

use std::ops::Range;

/// One command of a CMake file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    /// Its name, in lower case: case does not matter to CMake.
    pub(crate) name: String,
    /// The line of the name, from 1.
    pub(crate) line: u32,
    /// The arguments without their quotes; those in inner parentheses too.
    pub(crate) arguments: Vec<String>,
    /// Where in the text each argument stands, with its quotes.
    pub(crate) spans: Vec<Range<usize>>,
    /// Where its closing parenthesis is; none if it has none.
    pub(crate) close: Option<usize>,
}

/// The commands of a CMake file, as far as they can be read.
pub(crate) fn calls(text: &str) -> Vec<Call> {
    let mut lexer = Lexer { text, at: 0, start: 0, line: 1 };
    let mut calls = Vec::new();
    let mut name: Option<(String, u32)> = None;
    loop {
        match lexer.next() {
            None => return calls,
            // A word is on one line, which is that of its end.
            Some(Token::Word(word)) => name = Some((word.to_ascii_lowercase(), lexer.line)),
            Some(Token::Open) => {
                let (name, line) = name.take().unwrap_or_default();
                let mut call =
                    Call { name, line, arguments: Vec::new(), spans: Vec::new(), close: None };
                arguments(&mut lexer, &mut call);
                if !call.name.is_empty() {
                    calls.push(call);
                }
            }
            Some(Token::Text(_) | Token::Close) => name = None,
        }
    }
}

fn arguments(lexer: &mut Lexer<'_>, call: &mut Call) {
    let mut open = 1;
    while let Some(token) = lexer.next() {
        match token {
            Token::Word(text) | Token::Text(text) => {
                call.arguments.push(text);
                call.spans.push(lexer.start..lexer.at);
            }
            Token::Open => open += 1,
            Token::Close => open -= 1,
        }
        if open == 0 {
            call.close = Some(lexer.start);
            break;
        }
    }
}

enum Token {
    Word(String),
    /// In quotes or brackets.
    Text(String),
    Open,
    Close,
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    /// Where the last token began.
    start: usize,
    line: u32,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip(&mut self, length: usize) -> &'a str {
        let skipped = &self.rest()[..length];
        self.line += skipped.bytes().filter(|&b| b == b'\n').count() as u32;
        self.at += length;
        skipped
    }

    fn next(&mut self) -> Option<Token> {
        loop {
            let rest = self.rest();
            self.start = self.at;
            match rest.chars().next()? {
                '(' => {
                    self.skip(1);
                    return Some(Token::Open);
                }
                ')' => {
                    self.skip(1);
                    return Some(Token::Close);
                }
                '"' => return Some(Token::Text(self.quoted())),
                '#' if self.bracket(1).is_some() => {}
                '#' => {
                    self.skip(rest.find('\n').unwrap_or(rest.len()));
                }
                '[' => match self.bracket(0) {
                    Some(text) => return Some(Token::Text(text)),
                    None => return Some(Token::Word(self.word())),
                },
                c if c.is_whitespace() => {
                    self.skip(c.len_utf8());
                }
                _ => return Some(Token::Word(self.word())),
            }
        }
    }

    /// `[[…]]` or `[=[…]=]`, `before` characters from here.
    fn bracket(&mut self, before: usize) -> Option<String> {
        let inner = self.rest()[before..].strip_prefix('[')?;
        let signs = inner.bytes().take_while(|&b| b == b'=').count();
        let body = inner[signs..].strip_prefix('[')?;
        let close = format!("]{}]", "=".repeat(signs));
        let end = body.find(&close)?;
        let text = body[..end].to_owned();
        self.skip(before + 2 + signs + end + close.len());
        Some(text)
    }

    fn quoted(&mut self) -> String {
        let mut text = String::new();
        let mut escaped = false;
        let mut length = 1;
        for c in self.rest()[1..].chars() {
            length += c.len_utf8();
            match c {
                '\\' if !escaped => escaped = true,
                '"' if !escaped => break,
                // A line that is continued.
                '\n' if escaped => escaped = false,
                c => {
                    text.push(c);
                    escaped = false;
                }
            }
        }
        self.skip(length);
        text
    }

    fn word(&mut self) -> String {
        let mut escaped = false;
        let mut nested = 0u32;
        let end = self.rest().char_indices().find(|&(_, c)| {
            let ends = !escaped && (c.is_whitespace() || "()\"#".contains(c) && nested == 0);
            escaped = c == '\\' && !escaped;
            nested += u32::from(c == '<');
            nested = nested.saturating_sub(u32::from(c == '>'));
            ends
        });
        let length = end.map_or(self.rest().len(), |(at, _)| at);
        // A character that begins nothing would stop us here for ever.
        let length = length.max(self.rest().chars().next().map_or(0, char::len_utf8));
        self.skip(length).replace('\\', "")
    }
}
