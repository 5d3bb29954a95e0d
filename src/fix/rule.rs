//! The rules of a makefile, as they stand there.

use super::{line_start, lines};
use std::collections::{BTreeMap, BTreeSet};

/// A rule as it stands in a makefile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rule {
    /// Its targets, as they are written.
    pub(super) targets: BTreeSet<Vec<u8>>,
    /// Whether it is no pattern, and nothing conditional is in or behind its recipe.
    pub(super) plain: bool,
    /// Whether it has `::`.
    pub(super) double: bool,
    /// Where its `|` and the space before it are.
    pub(super) bar: (usize, usize),
    /// Words behind `|`, each with where it and the space before it are.
    pub(super) order: BTreeMap<Vec<u8>, (usize, usize)>,
    /// Where its last line ends.
    pub(super) end: usize,
}

impl Rule {
    /// The rule whose recipe begins at this line.
    pub(super) fn find(text: &[u8], line: u32) -> Option<Rule> {
        let recipe = line_start(text, line)?;
        let all: Vec<(usize, &[u8])> = lines(text).collect();
        let at = all.iter().position(|(start, _)| *start == recipe)?;
        let goes_on = |line: &[u8]| {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            line.iter().rev().take_while(|&&byte| byte == b'\\').count() % 2 == 1
        };
        let blank = |line: &[u8]| {
            let line = line.trim_ascii();
            line.is_empty() || line.starts_with(b"#")
        };
        // The head is on the line itself (`a: b ; recipe`), or the last line above that is none of
        // a recipe.
        let mut last = at;
        if all[at].1.starts_with(b"\t") {
            last = (0..at).rev().find(|&at| !blank(all[at].1))?;
        }
        let mut first = last;
        while first > 0 && goes_on(all[first - 1].1) {
            first -= 1;
        }
        let mut end = last;
        let mut next = last + 1;
        while let Some((_, line)) = all.get(next) {
            if line.starts_with(b"\t") || goes_on(all[next - 1].1) {
                end = next;
            } else if !blank(line) {
                break;
            }
            next += 1;
        }
        let directives: [&[u8]; 6] = [b"ifeq", b"ifneq", b"ifdef", b"ifndef", b"else", b"endif"];
        let conditional = all.get(next).is_some_and(|(_, line)| {
            directives.iter().any(|word| line.trim_ascii_start().starts_with(word))
        });
        let from = all[first].0;
        let head = &text[from..all[last].0 + all[last].1.len()];
        let mut rule = Rule::head(head, from)?;
        rule.plain &= !conditional;
        rule.end = all[end].0 + all[end].1.len();
        Some(rule)
    }

    /// Reads `targets: prerequisites | order-only ; recipe`.
    fn head(head: &[u8], from: usize) -> Option<Rule> {
        if head.starts_with(b"\t") {
            return None;
        }
        let mut rule = Rule { plain: true, ..Rule::default() };
        let words = Words { text: head, at: 0 };
        let mut colons = 0;
        let mut order = false;
        for (start, end) in words {
            let word = &head[start..end];
            let blanks = head[..start].iter().rev();
            let blanks = blanks.take_while(|&&b| b == b' ' || b == b'\t').count();
            let span = (from + start - blanks, from + end);
            match word {
                b":" | b"::" | b"&:" | b"&::" => {
                    colons += 1;
                    rule.double |= word.ends_with(b"::");
                }
                b"|" if colons > 0 => {
                    order = true;
                    rule.bar = span;
                }
                b";" => break,
                // An assignment.
                b"=" if colons == 0 => return None,
                _ if colons == 0 => {
                    rule.plain &= !word.contains(&b'%');
                    rule.targets.insert(word.to_vec());
                }
                _ if order => {
                    rule.order.insert(word.to_vec(), span);
                }
                _ => {}
            }
        }
        (colons > 0 && !rule.targets.is_empty()).then_some(rule)
    }
}

/// The words of a rule's head; what is in parentheses behind `$` is within a word.
struct Words<'a> {
    text: &'a [u8],
    at: usize,
}

impl Iterator for Words<'_> {
    type Item = (usize, usize);

    fn next(&mut self) -> Option<(usize, usize)> {
        loop {
            match &self.text[self.at..] {
                [b' ' | b'\t' | b'\n' | b'\r', ..] => self.at += 1,
                [b'\\', b'\n', ..] => self.at += 2,
                [b'\\', b'\r', b'\n', ..] => self.at += 3,
                [] | [b'#', ..] => return None,
                _ => break,
            }
        }
        let start = self.at;
        let length = match &self.text[start..] {
            [b'&', b':', b':', ..] => 3,
            [b'&', b':', ..] | [b':', b':', ..] => 2,
            [b':' | b'|' | b';' | b'=', ..] => 1,
            _ => 0,
        };
        if length > 0 {
            self.at += length;
            return Some((start, self.at));
        }
        let mut open = 0usize;
        while let Some(&byte) = self.text.get(self.at) {
            let next = self.text.get(self.at + 1);
            match byte {
                b'$' if matches!(next, Some(b'(' | b'{')) => {
                    open += 1;
                    self.at += 1;
                }
                b'(' | b'{' if open > 0 => open += 1,
                b')' | b'}' if open > 0 => open -= 1,
                _ if open > 0 => {}
                b'\\' if matches!(next, Some(b'\n' | b'\r')) => break,
                b'\\' if next.is_some() => self.at += 1,
                b' ' | b'\t' | b'\n' | b'\r' | b':' | b'|' | b';' | b'=' | b'#' => break,
                b'&' if next == Some(&b':') => break,
                _ => {}
            }
            self.at += 1;
        }
        Some((start, self.at))
    }
}

#[cfg(test)]
mod tests {
    use super::super::shown;
    use super::*;
    use proptest::prelude::*;

    type Told = (Vec<String>, bool, bool, Vec<String>, String);

    fn rule(text: &str, line: u32) -> Option<Told> {
        let rule = Rule::find(text.as_bytes(), line)?;
        let shown =
            |names: Vec<&Vec<u8>>| -> Vec<String> { names.into_iter().map(|n| shown(n)).collect() };
        Some((
            shown(rule.targets.iter().collect()),
            rule.plain,
            rule.double,
            shown(rule.order.keys().collect()),
            text[rule.end..].lines().next().unwrap_or_default().to_owned(),
        ))
    }

    #[test]
    fn rules_are_found_by_their_recipe() {
        let list =
            |text: &str| -> Vec<String> { text.split_terminator(',').map(str::to_owned).collect() };
        let told = |targets: &str, plain, double, order: &str, next: &str| {
            Some((list(targets), plain, double, list(order), next.to_owned()))
        };
        let text = "CC = gcc\na b: c | d e\n\t$(CC) \\\n  -o $@\n\n# why\n\techo\n\nnext: x\n";
        assert_eq!(rule(text, 3), told("a,b", true, false, "d,e", ""));
        assert_eq!(rule("a: b ; c\nn:\n", 1), told("a", true, false, "", "n:"));
        assert_eq!(rule("a: b \\\n c\n\tx\nn:\n", 3), told("a", true, false, "", "n:"));
        assert_eq!(rule("%.o: %.c\n\tx\n", 2), told("%.o", false, false, "", ""));
        assert_eq!(rule("a:: b\n\tx\n", 2), told("a", true, true, "", ""));
        assert_eq!(rule("a b &: c\n\tx\n", 2), told("a,b", true, false, "", ""));
        let conditional = "a: b\n\tx\nifdef Y\n\ty\nendif\n";
        assert_eq!(rule(conditional, 2), told("a", false, false, "", "ifdef Y"));
        assert_eq!(rule("$(A:b=c) x: d\n\ty\n", 2), told("$(A:b=c),x", true, false, "", ""));
        assert_eq!(rule("a\\ b\\:c: d\n\ty", 2), told("a\\ b\\:c", true, false, "", ""));
        for (text, line) in [
            ("$(eval a: b)\n", 1),
            ("\tx\n", 1),
            ("X = a: b\n\tc\n", 2),
            ("X := a\n\tc\n", 2),
            ("a: b\n", 9),
            ("", 1),
            ("a: b\n", 0),
        ] {
            let found = rule(text, line);
            assert!(found.is_none_or(|(targets, ..)| targets == ["X"]), "{text}");
        }
    }

    proptest! {
        /// Whatever stands in a makefile, what is found lies within it, on whole lines.
        #[test]
        fn places_are_within_the_text(
            text in "([ab:|;#=$(){}\\\\ \t]|\n|ifdef|%){0,40}",
            line in 0u32..6,
        ) {
            if let Some(rule) = Rule::find(text.as_bytes(), line) {
                prop_assert!(rule.end == text.len() || text.as_bytes()[rule.end - 1] == b'\n');
                let words = rule.order.values().chain([&rule.bar]);
                for &(start, end) in words {
                    prop_assert!(start <= end && end <= rule.end);
                }
            }
        }
    }
}
