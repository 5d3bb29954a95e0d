//! Which recipe a command is from, where make does not tell.

use airtight_recording::Image;

/// How many bytes of a recipe line have to be the same.
const LEAST_ALIKE: usize = 3;

/// What make told a process to run: the script of a shell, or a command without one.
pub(super) fn command(image: &Image) -> Vec<u8> {
    let is_flag = |flag: &Vec<u8>| flag.starts_with(b"-") && flag.ends_with(b"c");
    let program = image.argv.first().map_or(b"".as_slice(), Vec::as_slice);
    match image.argv.as_slice() {
        [_, .., flag, script] if program.ends_with(b"sh") && is_flag(flag) => script.clone(),
        words => words.join(&b' '),
    }
}

/// Whether a recipe has this command in a `$(shell …)`.
pub(super) fn calls_shell(recipe: &[u8], command: &[u8]) -> bool {
    let shell = |opening: &[u8]| {
        let starts = recipe.windows(opening.len()).enumerate();
        starts.filter(|(_, window)| *window == opening).any(|(at, _)| {
            let text = recipe[at + opening.len()..].trim_ascii_start();
            fits_start(text, command)
        })
    };
    !command.is_empty() && (shell(b"$(shell ") || shell(b"${shell "))
}

/// Whether a text begins with a command, up to the first variable in it.
fn fits_start(text: &[u8], command: &[u8]) -> bool {
    let literal = text.iter().position(|byte| b"$)}".contains(byte)).unwrap_or(text.len());
    let literal = text[..literal].trim_ascii_end();
    literal.len() >= LEAST_ALIKE && command.starts_with(literal)
}

/// Whether one line of a recipe can have become this command: variables stand for any text, `$@`
/// for the target.
pub(super) fn fits(recipe: &[u8], target: &[u8], command: &[u8]) -> bool {
    lines(recipe).any(|line| {
        let pattern = pattern(&line, target);
        let alike: usize = pattern.iter().flatten().map(Vec::len).sum();
        alike >= LEAST_ALIKE && matches(&pattern, command)
    })
}

/// The lines that make runs one by one, without what is for make itself.
fn lines(recipe: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let mut lines: Vec<Vec<u8>> = Vec::new();
    let mut continued = false;
    for line in recipe.split(|&byte| byte == b'\n') {
        match lines.last_mut() {
            Some(last) if continued => {
                last.push(b'\n');
                last.extend_from_slice(line);
            }
            _ => {
                let own = line.iter().take_while(|byte| b"@-+ \t".contains(byte)).count();
                lines.push(line[own..].to_vec());
            }
        }
        continued = line.ends_with(b"\\");
    }
    lines.into_iter()
}

/// Texts, and gaps of any length.
fn pattern(line: &[u8], target: &[u8]) -> Vec<Option<Vec<u8>>> {
    let mut pattern: Vec<Option<Vec<u8>>> = vec![Some(Vec::new())];
    let mut at = 0;
    while at < line.len() {
        let text: &[u8] = match (line[at], line.get(at + 1)) {
            (b'$', Some(b'$')) => {
                at += 2;
                b"$"
            }
            (b'$', Some(b'@')) => {
                at += 2;
                target
            }
            (b'$', Some(_)) => {
                at += variable(&line[at..]);
                pattern.extend([None, Some(Vec::new())]);
                continue;
            }
            // make and the shell see them differently.
            (b'\'' | b'"' | b' ' | b'\t' | b'\\' | b'\n', _) => {
                at += 1;
                continue;
            }
            (_, _) => {
                at += 1;
                &line[at - 1..at]
            }
        };
        if let Some(Some(last)) = pattern.last_mut() {
            last.extend_from_slice(text);
        }
    }
    pattern
}

/// How long `$(…)`, `${…}` or `$x` is.
fn variable(text: &[u8]) -> usize {
    let closing = match text.get(1) {
        Some(b'(') => b')',
        Some(b'{') => b'}',
        _ => return 2,
    };
    let mut open = 0usize;
    for (at, &byte) in text.iter().enumerate().skip(1) {
        open += usize::from(byte == text[1]);
        if byte == closing {
            open = open.saturating_sub(1);
            if open == 0 {
                return at + 1;
            }
        }
    }
    text.len()
}

/// Whether a command, quotes and blanks left out, is what the pattern stands for.
fn matches(pattern: &[Option<Vec<u8>>], command: &[u8]) -> bool {
    let blank = |byte: &&u8| !b"'\" \t\\\n".contains(byte);
    let command: Vec<u8> = command.iter().filter(blank).copied().collect();
    let mut rest = command.as_slice();
    let texts: Vec<&[u8]> = pattern.iter().flatten().map(Vec::as_slice).collect();
    let Some((first, others)) = texts.split_first() else { return false };
    let Some(after) = rest.strip_prefix(*first) else { return false };
    rest = after;
    let Some((last, between)) = others.split_last() else { return rest.is_empty() };
    for text in between.iter().filter(|text| !text.is_empty()) {
        let Some(at) = rest.windows(text.len()).position(|window| window == *text) else {
            return false;
        };
        rest = &rest[at + text.len()..];
    }
    rest.ends_with(last)
}
