//! Edits of manifests of ninja that people write.

use super::names::{self, relative};
use super::{Lack, Manual, Places, Site, Texts, Wish, is_generated, line_start, shown, words};
use std::collections::BTreeSet;

/// What one build statement lacks.
#[derive(Debug, Default)]
struct Additions {
    implicit: BTreeSet<Vec<u8>>,
    order: BTreeSet<Vec<u8>>,
    outputs: BTreeSet<Vec<u8>>,
}

/// Collects what build statements lack, so that each is edited once.
#[derive(Debug, Default)]
pub(super) struct Planner {
    statements: Places<Additions>,
}

impl Planner {
    pub(super) fn add(
        &mut self,
        site: &Site<'_>,
        wish: &Wish<'_>,
        texts: &mut Texts,
    ) -> Result<(), Manual> {
        let name = relative(&wish.path, site.cwd(wish.action));
        let (behind, sign) = match wish.lack {
            Lack::Order => ("inputs", "||"),
            Lack::Input | Lack::Promotion => ("inputs", "|"),
            Lack::Output => ("outputs", "|"),
        };
        let escaped = names::ninja(&name)
            .ok_or_else(|| Manual::new("ninja has no way to write this name", shown(&name)))?;
        let manual = |why: &str| {
            Manual::new(why, format!("behind its {behind}: {sign} {}", shown(&escaped)))
        };
        let (file, line) =
            site.file(wish.action).ok_or_else(|| manual("its place is not known"))?;
        let file = texts.open(&file).map_err(|why| manual(&why))?;
        let text = texts.get(&file).ok_or_else(|| manual("its place is not known"))?;
        if is_generated(text.old()) {
            return Err(manual("a program makes the manifest: change what it makes it from"));
        }
        let start = line_start(text.old(), line).ok_or_else(|| manual("its place is not known"))?;
        let statement = Statement::read(text.old(), start)
            .ok_or_else(|| manual("no build statement is found at its place"))?;
        let own = Statement::names(text.old(), &statement.outputs);
        let cwd = site.cwd(wish.action);
        let is_own = |output: &Vec<u8>| {
            let absolute = airtight_policy::absolute(cwd, output);
            wish.action.outputs.iter().any(|id| *site.graph().paths.get(*id) == *absolute)
        };
        // Names with variables can't be compared.
        if !own.iter().any(|name| name.as_ref().is_none_or(is_own)) {
            return Err(manual("the build statement at its place is another"));
        }
        let additions = self.statements.entry((file, start)).or_default();
        match wish.lack {
            Lack::Input | Lack::Promotion => additions.implicit.insert(escaped),
            Lack::Order => additions.order.insert(escaped),
            Lack::Output => additions.outputs.insert(escaped),
        };
        Ok(())
    }

    /// Makes the edits.
    pub(super) fn finish(self, texts: &mut Texts) {
        for ((file, start), additions) in self.statements {
            let Some(text) = texts.get(&file) else { continue };
            let Some(statement) = Statement::read(text.old(), start) else { continue };
            let known = |part: &Option<Part>| -> BTreeSet<Vec<u8>> {
                let part = part.iter().flat_map(|part| &part.words);
                part.map(|word| text.old()[word.clone()].to_vec()).collect()
            };
            let Additions { implicit, order, outputs } = additions;
            let (now_implicit, now_order) = (known(&statement.implicit), known(&statement.order));
            // What becomes a reason to run again is no longer only made first.
            let moved: BTreeSet<&Vec<u8>> = now_order.intersection(&implicit).collect();
            let mut edits = Vec::new();
            if let Some(part) = &statement.order {
                let words: Vec<_> = part.words.iter().collect();
                let gone = |word: &&&std::ops::Range<usize>| {
                    moved.iter().any(|name| text.old()[(**word).clone()] == ***name)
                };
                let all = words.iter().filter(gone).count() == words.len();
                if all && !moved.is_empty() && order.is_empty() {
                    let end = words.last().map_or(part.sign.end, |word| word.end);
                    edits.push((blank_before(text.old(), part.sign.start)..end, Vec::new()));
                } else {
                    for word in words.iter().filter(gone) {
                        let from = blank_before(text.old(), word.start);
                        edits.push((from..word.end, Vec::new()));
                    }
                }
            }
            let new: BTreeSet<Vec<u8>> = implicit.difference(&now_implicit).cloned().collect();
            let end = statement.inputs_end();
            let mut tail = Vec::new();
            if !new.is_empty() {
                let sign: &[u8] = if statement.implicit.is_some() { b" " } else { b" | " };
                tail.push((statement.implicit_end(), [sign, &words(&new)].concat()));
            }
            let order: BTreeSet<Vec<u8>> = order.difference(&now_order).cloned().collect();
            if !order.is_empty() {
                let sign: &[u8] = if statement.order.is_some() { b" " } else { b" || " };
                tail.push((end, [sign, &words(&order)].concat()));
            }
            let now_outputs = known(&statement.implicit_outputs);
            let outputs: BTreeSet<Vec<u8>> = outputs.difference(&now_outputs).cloned().collect();
            if !outputs.is_empty() {
                let sign: &[u8] = if statement.implicit_outputs.is_some() { b" " } else { b" | " };
                let at = blank_before(text.old(), statement.colon);
                tail.push((at, [sign, &words(&outputs)].concat()));
            }
            edits.extend(tail.into_iter().map(|(at, new)| (at..at, new)));
            for (range, new) in edits {
                text.edit(range, new);
            }
        }
    }
}

/// Where the blanks before `at` begin, continued lines among them.
fn blank_before(text: &[u8], mut at: usize) -> usize {
    loop {
        if at > 0 && text[at - 1] == b' ' {
            at -= 1;
        } else if text[..at].ends_with(b"$\n") {
            at -= 2;
        } else if text[..at].ends_with(b"$\r\n") {
            at -= 3;
        } else {
            return at;
        }
    }
}

type Span = std::ops::Range<usize>;

/// Names behind a sign.
#[derive(Debug)]
struct Part {
    sign: Span,
    words: Vec<Span>,
}

/// Where the parts of `build … : rule … | … || … |@ …` are.
#[derive(Debug, Default)]
struct Statement {
    outputs: Vec<Span>,
    implicit_outputs: Option<Part>,
    colon: usize,
    /// The rule and the explicit inputs.
    explicit: Vec<Span>,
    implicit: Option<Part>,
    order: Option<Part>,
}

impl Statement {
    /// Reads the statement that begins at `start`.
    fn read(text: &[u8], start: usize) -> Option<Statement> {
        let rest = text.get(start..)?;
        rest.strip_prefix(b"build")
            .filter(|rest| rest.starts_with(b" ") || rest.starts_with(b"$"))?;
        let mut at = start + 5;
        let mut statement = Statement::default();
        let mut before_colon = true;
        // What was met last: nothing, `|`, `||` or `|@`.
        let mut sign: &[u8] = b"";
        loop {
            at = skip_blanks(text, at);
            let rest = &text[at..];
            if rest.is_empty() || rest.starts_with(b"\n") || rest.starts_with(b"\r\n") {
                break;
            }
            let found: &[u8] = match rest {
                [b'|', b'|', ..] => b"||",
                [b'|', b'@', ..] => b"|@",
                [b'|', ..] => b"|",
                [b':', ..] if before_colon => b":",
                _ => b"",
            };
            let span = at..at + found.len();
            let part = || Some(Part { sign: span.clone(), words: Vec::new() });
            match (found, before_colon) {
                (b"", _) => {
                    let end = word_end(text, at).filter(|&end| end > at)?;
                    let into = match (before_colon, sign) {
                        (true, b"") => Some(&mut statement.outputs),
                        (true, _) => statement.implicit_outputs.as_mut().map(|p| &mut p.words),
                        (false, b"") => Some(&mut statement.explicit),
                        (false, b"|") => statement.implicit.as_mut().map(|p| &mut p.words),
                        (false, b"||") => statement.order.as_mut().map(|p| &mut p.words),
                        _ => None,
                    };
                    if let Some(into) = into {
                        into.push(at..end);
                    }
                    at = end;
                    continue;
                }
                (b":", _) => {
                    statement.colon = at;
                    before_colon = false;
                }
                (b"|", true) => statement.implicit_outputs = part(),
                (b"|", false) => statement.implicit = part(),
                (b"||", false) => statement.order = part(),
                (b"|@", false) => {}
                _ => return None,
            }
            sign = if found == b":" { b"" } else { found };
            at = span.end;
        }
        (!before_colon && !statement.explicit.is_empty()).then_some(statement)
    }

    /// What names stand for; none for one with a variable in it.
    fn names(text: &[u8], words: &[Span]) -> Vec<Option<Vec<u8>>> {
        let plain = |span: &Span| {
            let mut name = Vec::new();
            let mut bytes = text[span.clone()].iter();
            while let Some(&byte) = bytes.next() {
                match (byte, byte == b'$') {
                    (_, true) => match bytes.next() {
                        Some(&escaped @ (b' ' | b':' | b'$')) => name.push(escaped),
                        _ => return None,
                    },
                    (byte, false) => name.push(byte),
                }
            }
            Some(name)
        };
        words.iter().map(plain).collect()
    }

    /// Where the explicit inputs end.
    fn explicit_end(&self) -> usize {
        self.explicit.last().map_or(self.colon + 1, |word| word.end)
    }

    /// Where an implicit input is added.
    fn implicit_end(&self) -> usize {
        match &self.implicit {
            Some(part) => part.words.last().map_or(part.sign.end, |word| word.end),
            None => self.explicit_end(),
        }
    }

    /// Where an order-only input is added.
    fn inputs_end(&self) -> usize {
        match &self.order {
            Some(part) => part.words.last().map_or(part.sign.end, |word| word.end),
            None => self.implicit_end(),
        }
    }
}

fn skip_blanks(text: &[u8], mut at: usize) -> usize {
    loop {
        match &text[at..] {
            [b' ', ..] => at += 1,
            [b'$', b'\n', ..] => at += 2,
            [b'$', b'\r', b'\n', ..] => at += 3,
            _ => return at,
        }
    }
}

/// Where a name ends; none if it ends with the text in the middle of an escape.
fn word_end(text: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match &text[at..] {
            [] | [b' ' | b':' | b'|' | b'\n', ..] | [b'\r', b'\n', ..] => return Some(at),
            [b'$', b'\n', ..] | [b'$', b'\r', b'\n', ..] => return Some(at),
            [b'$', b'{', ..] => {
                at += text[at..].iter().position(|&byte| byte == b'}' || byte == b'\n')?;
                if text[at] == b'\n' {
                    return None;
                }
                at += 1;
            }
            [b'$', _, ..] => at += 2,
            [b'$'] => return None,
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn statements_are_read_as_ninja_reads_them() {
        let read = |text: &str| {
            let statement = Statement::read(text.as_bytes(), 0)?;
            let words = |words: &[Span]| -> Vec<String> {
                words.iter().map(|word| text[word.clone()].to_owned()).collect()
            };
            let part = |part: &Option<Part>| part.as_ref().map(|part| words(&part.words));
            let outputs = [words(&statement.outputs), words(&statement.explicit)];
            Some((
                outputs,
                [
                    part(&statement.implicit_outputs),
                    part(&statement.implicit),
                    part(&statement.order),
                ],
            ))
        };
        let all = "build a$ b ${c}d | e: rule $\n  f|g $:h || i |@ j\n  x = y\n";
        let list = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(
            read(all),
            Some((
                [list("a$ b,${c}d"), list("rule,f")],
                [Some(list("e")), Some(list("g,$:h")), Some(list("i"))]
            ))
        );
        for wrong in
            ["rule x", "build", "build a", "build a: ", "build a | b", "builda: x", "build a: b ${"]
        {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    proptest! {
        /// Whatever stands in a manifest, the parts that are found are within it and in order.
        #[test]
        fn places_are_within_the_text(text in "build ([ab:|@${} \n\r]){0,30}") {
            if let Some(statement) = Statement::read(text.as_bytes(), 0) {
                let parts = [&statement.implicit_outputs, &statement.implicit, &statement.order];
                let parts = parts.into_iter().flatten().flat_map(|part| &part.words);
                let words = statement.outputs.iter().chain(&statement.explicit).chain(parts);
                for word in words {
                    prop_assert!(word.start < word.end && word.end <= text.len());
                }
                prop_assert!(statement.explicit_end() <= statement.implicit_end());
            }
        }
    }
}
