//! Depfiles: the make rules that compilers write with `-MD`.

/// What a depfile says. Names are bytes as written, unescaped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dependencies {
    /// What stands before a colon, phony targets (of `-MP`) left out.
    pub targets: Vec<Vec<u8>>,
    /// What stands after one, each once, in order of appearance.
    pub inputs: Vec<Vec<u8>>,
}

/// One rule of a depfile. Names are bytes as written, unescaped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// What stands before its colon.
    pub targets: Vec<Vec<u8>>,
    /// What stands after it.
    pub inputs: Vec<Vec<u8>>,
}

/// A depfile that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct DepfileError {
    /// The line, from 1.
    pub line: u32,
    /// What is wrong.
    pub message: &'static str,
}

/// Reads make rules: several of them, `\` at the end of a line, `\ `, `\#` and `\:`, `$$`,
/// comments, and phony targets without prerequisites.
///
/// The rules of escaping are those that GCC writes and GNU make reads (make manual, "Rule
/// Syntax"): a run of n backslashes before a space, `#` or `:` is n/2 backslashes, and an odd
/// one makes the character part of the name; before the end of a line an odd one continues it;
/// elsewhere a backslash is itself. A `|` (order-only) is skipped.
///
/// # Errors
/// When a line names files and has no colon.
pub fn parse(text: &[u8]) -> Result<Dependencies, DepfileError> {
    let mut out = Dependencies::default();
    let mut phony: Vec<Vec<u8>> = Vec::new();
    let mut seen = rustc_hash::FxHashSet::default();
    for Rule { targets, inputs } in rules(text)? {
        if inputs.is_empty() {
            phony.extend(targets);
        } else {
            out.targets.extend(targets);
        }
        out.inputs.extend(inputs.into_iter().filter(|input| seen.insert(input.clone())));
    }
    // A rule without prerequisites is phony if its target is somebody's input, else it is a
    // target that depends on nothing.
    out.targets.extend(phony.into_iter().filter(|name| !seen.contains(name)));
    Ok(out)
}

/// Reads the same text rule by rule, with each input as often as it is named.
///
/// # Errors
/// When a line names files and has no colon.
pub fn rules(text: &[u8]) -> Result<Vec<Rule>, DepfileError> {
    let mut rules = Vec::new();
    let mut lexer = Lexer { text, at: 0, line: 1 };
    loop {
        let line = lexer.line;
        let (mut targets, mut inputs, mut colon) = (Vec::new(), Vec::new(), false);
        let ended = loop {
            match lexer.next(colon) {
                Token::Word(word) if colon => inputs.push(word),
                Token::Word(word) => targets.push(word),
                Token::Colon => colon = true,
                Token::Line => break false,
                Token::End => break true,
            }
        };
        if !colon && !targets.is_empty() {
            return Err(DepfileError { line, message: "no `:` after the target" });
        }
        if colon && targets.is_empty() {
            return Err(DepfileError { line, message: "no target before `:`" });
        }
        if colon {
            rules.push(Rule { targets, inputs });
        }
        if ended {
            return Ok(rules);
        }
    }
}

enum Token {
    Word(Vec<u8>),
    Colon,
    Line,
    End,
}

struct Lexer<'a> {
    text: &'a [u8],
    at: usize,
    line: u32,
}

impl Lexer<'_> {
    fn peek(&self, ahead: usize) -> Option<u8> {
        self.text.get(self.at + ahead).copied()
    }

    /// The length of a line end at `ahead` (LF or CR LF).
    fn line_end(&self, ahead: usize) -> Option<usize> {
        match (self.peek(ahead), self.peek(ahead + 1)) {
            (Some(b'\n'), _) => Some(1),
            (Some(b'\r'), Some(b'\n')) => Some(2),
            _ => None,
        }
    }

    /// The next token; `inputs` tells that the colon has been seen, after which a colon is a
    /// part of a name.
    fn next(&mut self, inputs: bool) -> Token {
        loop {
            if let Some(length) = self.line_end(0) {
                self.at += length;
                self.line += 1;
                return Token::Line;
            }
            match self.peek(0) {
                None => return Token::End,
                Some(b' ' | b'\t') => self.at += 1,
                Some(b'#') => {
                    while self.peek(0).is_some() && self.line_end(0).is_none() {
                        self.at += 1;
                    }
                }
                Some(b'|') if inputs && matches!(self.peek(1), None | Some(b' ' | b'\t')) => {
                    self.at += 1;
                }
                Some(b'\\') if self.line_end(1).is_some() => self.continue_line(),
                Some(b':') if !inputs => {
                    // `::` is a rule too.
                    self.at += 1 + usize::from(self.peek(1) == Some(b':'));
                    return Token::Colon;
                }
                Some(_) => return Token::Word(self.word(inputs)),
            }
        }
    }

    fn continue_line(&mut self) {
        self.at += 1 + self.line_end(1).unwrap_or(0);
        self.line += 1;
    }

    fn word(&mut self, inputs: bool) -> Vec<u8> {
        let mut word = Vec::new();
        while let Some(byte) = self.peek(0) {
            match byte {
                b' ' | b'\t' => break,
                _ if self.line_end(0).is_some() => break,
                b'\\' => {
                    let run = self.text[self.at..].iter().take_while(|&&b| b == b'\\').count();
                    if self.line_end(run).is_some() {
                        // An odd one continues the line; it is left for the caller.
                        word.resize(word.len() + run / 2, b'\\');
                        self.at += run - run % 2;
                        break;
                    }
                    match self.peek(run) {
                        // At the end of a target a backslash is a part of the name.
                        Some(b':') if !inputs && self.ends_target(run) => {
                            word.resize(word.len() + run, b'\\');
                            self.at += run;
                        }
                        Some(special @ (b' ' | b'\t' | b'#' | b':')) => {
                            word.resize(word.len() + run / 2, b'\\');
                            self.at += run;
                            if run % 2 == 1 {
                                word.push(special);
                                self.at += 1;
                            }
                        }
                        _ => {
                            word.resize(word.len() + run, b'\\');
                            self.at += run;
                        }
                    }
                }
                b'$' if self.peek(1) == Some(b'$') => {
                    word.push(b'$');
                    self.at += 2;
                }
                b':' if !inputs && self.ends_target(0) => break,
                byte => {
                    word.push(byte);
                    self.at += 1;
                }
            }
        }
        word
    }

    /// Whether the colon at `ahead` ends the targets: one inside of a name does not.
    fn ends_target(&self, ahead: usize) -> bool {
        matches!(self.peek(ahead + 1), None | Some(b' ' | b'\t' | b'\n' | b'\r' | b':' | b'\\'))
    }
}
