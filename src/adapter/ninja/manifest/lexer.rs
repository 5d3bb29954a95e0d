//! The words of a manifest. What is a word depends on where it stands, so the parser asks for
//! tokens, names and texts apart (ninja manual, "Lexical syntax").

use super::Message;
use super::text::Text;

/// What stands at the beginning of a statement or between its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Build,
    Pool,
    Rule,
    Default,
    Include,
    Subninja,
    Name,
    Equals,
    Colon,
    Pipe,
    DoublePipe,
    PipeAt,
    Indent,
    Newline,
    End,
    Other,
}

impl Token {
    /// Its name in messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Token::Build => "`build`",
            Token::Pool => "`pool`",
            Token::Rule => "`rule`",
            Token::Default => "`default`",
            Token::Include => "`include`",
            Token::Subninja => "`subninja`",
            Token::Name => "a name",
            Token::Equals => "`=`",
            Token::Colon => "`:`",
            Token::Pipe => "`|`",
            Token::DoublePipe => "`||`",
            Token::PipeAt => "`|@`",
            Token::Indent => "an indented line",
            Token::Newline => "the end of the line",
            Token::End => "the end of the file",
            Token::Other => "a character that begins nothing",
        }
    }
}

/// A position in one file.
pub(super) struct Lexer<'a> {
    text: &'a [u8],
    at: usize,
    /// Where the last token began.
    last: usize,
    /// A position and its line, from which later lines are counted.
    counted: (usize, u32),
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a [u8]) -> Lexer<'a> {
        Lexer { text, at: 0, last: 0, counted: (0, 1) }
    }

    /// The line of the last token, from 1.
    pub(super) fn line(&mut self) -> u32 {
        let (from, line) = self.counted;
        let (from, line) = if from <= self.last { (from, line) } else { (0, 1) };
        let newlines = self.text[from..self.last].iter().filter(|&&b| b == b'\n').count();
        let line = line.saturating_add(u32::try_from(newlines).unwrap_or(u32::MAX));
        self.counted = (self.last, line);
        line
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.text.get(self.at + ahead).copied()
    }

    fn rest(&self) -> &'a [u8] {
        &self.text[self.at..]
    }

    /// The length of a line end at `ahead` (LF or CR LF).
    fn line_end(&self, ahead: usize) -> Option<usize> {
        match (self.peek(ahead), self.peek(ahead + 1)) {
            (Some(b'\n'), _) => Some(1),
            (Some(b'\r'), Some(b'\n')) => Some(2),
            _ => None,
        }
    }

    /// Skips spaces and continued lines.
    fn skip_space(&mut self) {
        loop {
            match (self.peek(0), self.line_end(1)) {
                (Some(b' '), _) => self.at += 1,
                (Some(b'$'), Some(length)) => self.at += 1 + length,
                _ => return,
            }
        }
    }

    fn skip_blanks(&mut self) {
        while self.peek(0) == Some(b' ') {
            self.at += 1;
        }
    }

    /// The next token, and what space follows it.
    pub(super) fn token(&mut self) -> Token {
        let token = loop {
            self.last = self.at;
            self.skip_blanks();
            if self.peek(0) == Some(b'#') {
                while self.peek(0).is_some_and(|b| b != b'\n') {
                    self.at += 1;
                }
                self.at = self.text.len().min(self.at + 1);
                continue;
            }
            if let Some(length) = self.line_end(0) {
                self.at += length;
                break Token::Newline;
            }
            if self.at > self.last {
                break Token::Indent;
            }
            break self.word_or_sign();
        };
        if !matches!(token, Token::Newline | Token::End) {
            self.skip_space();
        }
        token
    }

    fn word_or_sign(&mut self) -> Token {
        let (length, token) = match self.rest() {
            [] => (0, Token::End),
            [b'=', ..] => (1, Token::Equals),
            [b':', ..] => (1, Token::Colon),
            [b'|', b'@', ..] => (2, Token::PipeAt),
            [b'|', b'|', ..] => (2, Token::DoublePipe),
            [b'|', ..] => (1, Token::Pipe),
            rest => {
                let length = rest.iter().position(|&b| !in_name(b)).unwrap_or(rest.len());
                match &rest[..length] {
                    b"" => (1, Token::Other),
                    b"build" => (length, Token::Build),
                    b"pool" => (length, Token::Pool),
                    b"rule" => (length, Token::Rule),
                    b"default" => (length, Token::Default),
                    b"include" => (length, Token::Include),
                    b"subninja" => (length, Token::Subninja),
                    _ => (length, Token::Name),
                }
            }
        };
        self.at += length;
        token
    }

    /// Takes back the last token.
    pub(super) fn unread(&mut self) {
        self.at = self.last;
    }

    /// Takes the next token if it is this one.
    pub(super) fn take(&mut self, token: Token) -> bool {
        let found = self.token() == token;
        if !found {
            self.unread();
        }
        found
    }

    /// A name of a variable, rule or pool.
    pub(super) fn name(&mut self) -> Option<&'a [u8]> {
        self.last = self.at;
        let length = self.rest().iter().position(|&b| !in_name(b)).unwrap_or(self.rest().len());
        let name = &self.rest()[..length];
        self.at += length;
        if length > 0 {
            self.skip_space();
        }
        (length > 0).then_some(name)
    }

    /// A name of a file, up to a space, `:`, `|` or the end of the line. Empty when none stands
    /// here.
    pub(super) fn path(&mut self) -> Result<Text, Message> {
        let text = self.text(true)?;
        self.skip_space();
        Ok(text)
    }

    /// The value of a variable: the rest of the line.
    pub(super) fn value(&mut self) -> Result<Text, Message> {
        self.text(false)
    }

    fn text(&mut self, path: bool) -> Result<Text, Message> {
        let mut text = Text::default();
        loop {
            let plain = |b: &u8| !b"$ :\r\n|\0".contains(b);
            let length = self.rest().iter().take_while(|b| plain(b)).count();
            text.literal(&self.rest()[..length]);
            self.at += length;
            self.last = self.at;
            if let Some(length) = self.line_end(0) {
                self.at += if path { 0 } else { length };
                return Ok(text);
            }
            match self.peek(0) {
                Some(b' ' | b':' | b'|') if path => return Ok(text),
                Some(sign @ (b' ' | b':' | b'|')) => {
                    text.literal(&[sign]);
                    self.at += 1;
                }
                Some(b'$') => self.escape(&mut text)?,
                None => return Err("the file ends within a line".into()),
                Some(_) => return Err("a NUL or a lone carriage return".into()),
            }
        }
    }

    /// What stands behind a `$`.
    fn escape(&mut self, text: &mut Text) -> Result<(), Message> {
        if let Some(length) = self.line_end(1) {
            self.at += 1 + length;
            self.skip_blanks();
            return Ok(());
        }
        let rest = &self.rest()[1..];
        match rest.first() {
            Some(&sign @ (b'$' | b' ' | b':')) => {
                text.literal(&[sign]);
                self.at += 2;
                return Ok(());
            }
            // New in ninja 1.14.
            Some(b'^') => {
                text.literal(b"\n");
                self.at += 2;
                return Ok(());
            }
            Some(b'{') => {
                let name = &rest[1..];
                let length = name.iter().take_while(|b| in_name(**b)).count();
                if length > 0 && name.get(length) == Some(&b'}') {
                    text.variable(&name[..length]);
                    self.at += length + 3;
                    return Ok(());
                }
            }
            _ => {
                // Without braces a name holds no dot.
                let length = rest.iter().take_while(|b| in_name(**b) && **b != b'.').count();
                if length > 0 {
                    text.variable(&rest[..length]);
                    self.at += length + 1;
                    return Ok(());
                }
            }
        }
        Err("a `$` that is no escape (a literal `$` is written `$$`)".into())
    }
}

fn in_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_.-".contains(&byte)
}
