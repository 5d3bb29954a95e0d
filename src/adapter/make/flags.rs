//! The command line of GNU make and what it hands down in `MAKEFLAGS` (make manual, "Summary of
//! Options" and "Communicating Options to a Sub-make").

/// What one call of make was asked for, as far as it decides what make knows: which makefiles,
/// which variables, which goals. How it was to work (in parallel, silently, …) is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Call {
    /// Whether it only tells its version or its options.
    pub(super) informs: bool,
    /// `-C`: where it goes, one after the other.
    pub(super) directories: Vec<Vec<u8>>,
    /// `-f`: the makefiles; none for `GNUmakefile`, `makefile` or `Makefile`.
    pub(super) makefiles: Vec<Vec<u8>>,
    /// Other options that change what the makefiles mean, as they were given.
    pub(super) options: Vec<Vec<u8>>,
    /// `NAME=value`.
    pub(super) assignments: Vec<Vec<u8>>,
    /// What to make.
    pub(super) goals: Vec<Vec<u8>>,
}

/// Which argument an option takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    Nothing,
    /// A text, in the same word or the next.
    Text,
    /// Perhaps a text, in the same word.
    Perhaps,
    /// Perhaps a number, in the same word or the next.
    Number,
}

/// Every long option and its letter (0 if it has none).
#[rustfmt::skip]
const LONG: &[(&str, u8, Takes)] = &[
    ("always-make", b'B', Takes::Nothing), ("assume-new", b'W', Takes::Text),
    ("assume-old", b'o', Takes::Text), ("check-symlink-times", b'L', Takes::Nothing),
    ("debug", 0, Takes::Perhaps), ("directory", b'C', Takes::Text), ("dry-run", b'n', Takes::Nothing),
    ("environment-overrides", b'e', Takes::Nothing), ("eval", b'E', Takes::Text),
    ("file", b'f', Takes::Text), ("help", b'h', Takes::Nothing),
    ("ignore-errors", b'i', Takes::Nothing), ("include-dir", b'I', Takes::Text),
    ("jobs", b'j', Takes::Number), ("jobserver-auth", 0, Takes::Text),
    ("jobserver-fds", 0, Takes::Text), ("jobserver-style", 0, Takes::Text),
    ("just-print", b'n', Takes::Nothing), ("keep-going", b'k', Takes::Nothing),
    ("load-average", b'l', Takes::Number), ("makefile", b'f', Takes::Text),
    ("max-load", b'l', Takes::Number), ("new-file", b'W', Takes::Text),
    ("no-builtin-rules", b'r', Takes::Nothing), ("no-builtin-variables", b'R', Takes::Nothing),
    ("no-keep-going", b'S', Takes::Nothing), ("no-print-directory", 0, Takes::Nothing),
    ("no-silent", 0, Takes::Nothing), ("old-file", b'o', Takes::Text),
    ("output-sync", b'O', Takes::Perhaps), ("print-data-base", b'p', Takes::Nothing),
    ("print-directory", b'w', Takes::Nothing), ("question", b'q', Takes::Nothing),
    ("quiet", b's', Takes::Nothing), ("recon", b'n', Takes::Nothing),
    ("shuffle", 0, Takes::Perhaps), ("silent", b's', Takes::Nothing),
    ("stop", b'S', Takes::Nothing), ("sync-mutex", 0, Takes::Text),
    ("touch", b't', Takes::Nothing), ("trace", 0, Takes::Nothing),
    ("version", b'v', Takes::Nothing), ("warn-undefined-variables", 0, Takes::Nothing),
    ("what-if", b'W', Takes::Text),
];

fn takes(letter: u8) -> Takes {
    match letter {
        b'C' | b'E' | b'f' | b'I' | b'o' | b'W' => Takes::Text,
        b'j' | b'l' => Takes::Number,
        b'O' => Takes::Perhaps,
        _ => Takes::Nothing,
    }
}

impl Call {
    /// Reads the arguments after the program's own name.
    pub(super) fn parse(arguments: &[impl AsRef<[u8]>]) -> Call {
        let mut call = Call::default();
        let mut words = arguments.iter().map(AsRef::as_ref).peekable();
        let mut only_names = false;
        while let Some(word) = words.next() {
            if only_names || !word.starts_with(b"-") || word == b"-" {
                call.name(word);
                continue;
            }
            if word == b"--" {
                only_names = true;
                continue;
            }
            let (letter, kind, mut value);
            if let Some(long) = word.strip_prefix(b"--") {
                let (name, text) = match long.iter().position(|&byte| byte == b'=') {
                    Some(at) => (&long[..at], Some(&long[at + 1..])),
                    None => (long, None),
                };
                (letter, kind) = long_option(name).unwrap_or((0, Takes::Nothing));
                value = text;
            } else {
                // Letters that take nothing may share a word with one more that takes something.
                let letters = &word[1..];
                let last = letters.iter().position(|&letter| takes(letter) != Takes::Nothing);
                let last = last.unwrap_or(letters.len());
                letters[..last].iter().for_each(|&letter| call.option(letter, b""));
                let Some((&option, rest)) = letters[last..].split_first() else { continue };
                (letter, kind) = (option, takes(option));
                value = (!rest.is_empty()).then_some(rest);
            }
            let number = |word: &&[u8]| word.first().is_some_and(u8::is_ascii_digit);
            match kind {
                Takes::Text if value.is_none() => value = words.next(),
                Takes::Number if value.is_none() => value = words.next_if(number),
                _ => {}
            }
            call.option(letter, value.unwrap_or_default());
        }
        call
    }

    fn name(&mut self, word: &[u8]) {
        if word.contains(&b'=') {
            self.assignments.push(word.to_vec());
        } else if word != b"-" {
            self.goals.push(word.to_vec());
        }
    }

    fn option(&mut self, letter: u8, value: &[u8]) {
        match letter {
            b'h' | b'v' => self.informs = true,
            b'C' => self.directories.push(value.to_vec()),
            b'f' => self.makefiles.push(value.to_vec()),
            b'I' => self.options.extend([b"-I".to_vec(), value.to_vec()]),
            b'E' if !is_ours(value) => self.options.push([b"--eval=", value].concat()),
            b'e' | b'r' | b'R' => self.options.push(vec![b'-', letter]),
            _ => {}
        }
    }

    /// The arguments that make a make of any mind learn the same.
    pub(super) fn arguments(&self) -> Vec<Vec<u8>> {
        let pair = |option: &[u8], value: &Vec<u8>| [option.to_vec(), value.clone()];
        let directories = self.directories.iter().flat_map(|value| pair(b"-C", value));
        let makefiles = self.makefiles.iter().flat_map(|value| pair(b"-f", value));
        let options = self.options.iter().cloned();
        let names = self.assignments.iter().chain(&self.goals).cloned();
        directories.chain(makefiles).chain(options).chain([b"--".to_vec()]).chain(names).collect()
    }
}

/// getopt takes every beginning of a name that fits only one.
fn long_option(name: &[u8]) -> Option<(u8, Takes)> {
    let exact = LONG.iter().find(|(long, ..)| long.as_bytes() == name);
    let start = || LONG.iter().find(|(long, ..)| long.as_bytes().starts_with(name));
    exact.or_else(start).map(|&(_, letter, kind)| (letter, kind))
}

/// Whether an `--eval` is what this adapter asked for.
fn is_ours(value: &[u8]) -> bool {
    value.windows(super::MARK.len()).any(|part| part == super::MARK.as_bytes())
}

/// The part of a `MAKEFLAGS` (or `GNUMAKEFLAGS`) that changes what makefiles mean: `-e`, `-r`,
/// `-R`, `-I`, `--eval` and the variables. The rest is how make was to work, and a job server
/// that is gone.
pub(super) fn meaning(makeflags: &[u8]) -> Vec<u8> {
    let mut kept: Vec<Vec<u8>> = Vec::new();
    let mut variables = false;
    for (index, word) in raw_words(makeflags).into_iter().enumerate() {
        let letters = match word.strip_prefix(b"-") {
            Some(letters) => letters,
            // The first word needs no dash.
            None if index == 0 && !word.contains(&b'=') => word,
            None => word,
        };
        if variables || word == b"--" {
            variables = true;
            kept.push(word.to_vec());
        } else if let Some(long) = word.strip_prefix(b"--") {
            let eval = long.starts_with(b"eval=") && !is_ours(long);
            if eval || long.starts_with(b"include-dir=") {
                kept.push(word.to_vec());
            }
        } else if letters.starts_with(b"I") && word.starts_with(b"-") {
            kept.push(word.to_vec());
        } else if word.contains(&b'=') {
            // Without `--`, as in a MAKEFLAGS that a person wrote.
            kept.push(word.to_vec());
        } else if index == 0 || word.starts_with(b"-") {
            let stop = letters.iter().position(|&letter| takes(letter) != Takes::Nothing);
            let letters = &letters[..stop.unwrap_or(letters.len())];
            let meant = letters.iter().filter(|letter| b"erR".contains(letter));
            kept.extend(meant.map(|&letter| vec![b'-', letter]));
        }
    }
    kept.join(&b' ')
}

/// Cuts at blanks that no backslash stands before.
fn raw_words(text: &[u8]) -> Vec<&[u8]> {
    let mut words = Vec::new();
    let (mut start, mut at) = (0, 0);
    while at < text.len() {
        match text[at] {
            b'\\' => at += 1,
            b' ' | b'\t' | b'\n' => {
                words.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    words.push(&text[start..]);
    let first_is_blank = text.first().is_some_and(|byte| byte.is_ascii_whitespace());
    let mut words: Vec<&[u8]> = words.into_iter().filter(|word| !word.is_empty()).collect();
    if first_is_blank {
        // Then the first word is none of letters.
        words.insert(0, b"");
    }
    words
}
