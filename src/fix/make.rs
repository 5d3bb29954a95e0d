//! Edits of makefiles: lines that give a target further prerequisites.
//!
//! Such a line stands behind the rule that is declared at the action's place, or, for pattern rules
//! and what is not found there, at the end of the makefile that make was given: a line that is met
//! before the first rule would become the default goal.

use super::names::{self, relative};
use super::{
    Advice, Lack, Manual, Places, Site, Texts, Wish, is_generated, line_start, lines, path, shown,
    words,
};
use airtight_policy::build::{Action, ActionId, Run};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The variable that holds `LEVEL:MEMBER:TARGET` in the processes of a recipe.
const MARK: &str = "AIRTIGHT_TARGET";

/// Collects what targets lack, so that those that lack the same share a line.
#[derive(Debug, Default)]
pub(super) struct Planner {
    /// By file and the place of the line, the prerequisites by target.
    lines: Places<BTreeMap<Vec<u8>, BTreeSet<Vec<u8>>>>,
    /// By the place of a rule: words that move before its `|`.
    moved: Places<(Rule, BTreeSet<Vec<u8>>)>,
    advice: BTreeSet<Advice>,
}

impl Planner {
    pub(super) fn add(
        &mut self,
        site: &Site<'_>,
        wish: &Wish<'_>,
        texts: &mut Texts,
    ) -> Result<(), Manual> {
        let action = wish.action;
        let cwd = site.cwd(action);
        let name = relative(&wish.path, cwd);
        let target = target(site, wish.id, action);
        if wish.lack == Lack::Output {
            let line = format!("{}: {} ;", shown(&name), shown(&target));
            let why = "a rule of make can't declare a second file that its recipe makes; if this \
                       one is meant, it needs a rule of its own";
            return Err(Manual::new(why, line));
        }
        let name = match wish.maker {
            Some(maker) => made_name(site, wish, maker, &name)?,
            None => name,
        };
        let cant = || {
            let line = format!("{}: {}", shown(&target), shown(&name));
            Manual::new("make has no way to write this name", line)
        };
        let name = names::make(&name).ok_or_else(cant)?;
        let target = names::make(&target).ok_or_else(cant)?;
        // make forgets an order-only prerequisite that a depfile names too, so a plain one is added
        // for Lack::Order: what the depfile says makes it a reason to run again anyway.
        let line = format!("{}: {}", shown(&target), shown(&name));
        let manual = |why: &str| Manual::new(why, line.as_str());
        if wish.lack != Lack::Order && uses_all(&action.command) {
            let why = "the recipe uses $^, $+ or $?, which would name this file too: filter it \
                       there, then add the line";
            return Err(manual(why));
        }
        let (file, number) = site.file(action).ok_or_else(|| manual("its place is not known"))?;
        let opened = texts.open(&file).map_err(|why| manual(&why))?;
        let unknown = || manual("its place is not known");
        let text = texts.get(&opened).ok_or_else(unknown)?.old();
        if is_generated(text) {
            return self.automake(site, wish, &file, &opened, number, (target, name), texts);
        }
        let rule = Rule::find(text, number);
        if rule.as_ref().is_some_and(|rule| rule.double) {
            return Err(manual("a rule with `::` stands for itself alone"));
        }
        let near = rule.as_ref().filter(|rule| rule.targets.contains(&target) && rule.plain);
        if let Some(rule) = near
            && wish.lack == Lack::Promotion
            && rule.targets.len() == 1
            && rule.order.contains_key(&name)
        {
            let place = (opened.clone(), rule.end);
            let moved = self.moved.entry(place).or_insert_with(|| (rule.clone(), BTreeSet::new()));
            moved.1.insert(name);
            return Ok(());
        }
        let (opened, at) = match near.map(|rule| rule.end) {
            Some(end) => (opened, end),
            None => {
                let main = action.run.and_then(|run| main_makefile(site, site.graph().run(run)));
                let main =
                    main.ok_or_else(|| manual("which makefile to add it to is not known"))?;
                let opened = texts.open(&main).map_err(|why| manual(&why))?;
                let text = texts.get(&opened).ok_or_else(unknown)?.old();
                check_end(text).map_err(manual)?;
                (opened, text.len())
            }
        };
        let text = texts.get(&opened).ok_or_else(unknown)?.old();
        if find(text, b".RECIPEPREFIX").is_some() {
            return Err(manual("the makefile sets .RECIPEPREFIX, so lines can't be told apart"));
        }
        if name.contains(&b'$') && find(text, b".SECONDEXPANSION").is_some() {
            return Err(manual("with .SECONDEXPANSION a `$` has other rules"));
        }
        self.put(opened, at, target, name);
        if wish.lack != Lack::Order && compiles(action) && is_header(&wish.path) {
            self.advice.insert(Advice {
                action: action.name.clone(),
                place: action.declared_at.clone(),
                line: "-MMD -MP for the compiler, and `-include $(OBJS:.o=.d)` in the makefile"
                    .to_owned(),
                why: String::new(),
            });
        }
        Ok(())
    }

    fn put(&mut self, file: PathBuf, at: usize, target: Vec<u8>, name: Vec<u8>) {
        self.lines.entry((file, at)).or_default().entry(target).or_default().insert(name);
    }

    /// A rule in a makefile that automake makes is given to its Makefile.am, where that is certain:
    /// what stands there goes into the makefile as it is, and for an object that comes from a
    /// suffix rule automake has no rule that it could replace.
    #[expect(clippy::too_many_arguments, reason = "all of it is of one wish")]
    fn automake(
        &mut self,
        site: &Site<'_>,
        wish: &Wish<'_>,
        file: &Path,
        opened: &Path,
        number: u32,
        (target, name): (Vec<u8>, Vec<u8>),
        texts: &mut Texts,
    ) -> Result<(), Manual> {
        let line = format!("{}: {}", shown(&target), shown(&name));
        let manual = |why: &str| Manual::new(why, line.as_str());
        let Some(text) = texts.get(opened).map(|text| text.old().to_vec()) else {
            return Err(manual("its place is not known"));
        };
        let own = find(&text[..text.len().min(4096)], b"automake").is_some();
        if !own {
            return Err(manual("a program makes the makefile: change what it makes it from"));
        }
        let source = lines(&text).find_map(|(_, line)| line.strip_prefix(b"srcdir = "));
        let source = source.map(|name| path(name.trim_ascii_end()).to_owned());
        let directory = file.parent().map(Path::to_owned).zip(source);
        let Some(am) = directory.map(|(build, source)| build.join(source).join("Makefile.am"))
        else {
            return Err(manual("a program makes the makefile: add it to Makefile.am"));
        };
        let suffix = Rule::find(&text, number).is_some_and(|rule| {
            rule.targets.iter().all(|name| name.starts_with(b".") && name.len() > 1)
        });
        if !suffix || !compiles(wish.action) {
            let name = format!("EXTRA_NAME_DEPENDENCIES = {}", shown(&name));
            let why =
                format!("automake makes this rule; in {}, with the program's name", am.display());
            return Err(Manual::new(why, name));
        }
        let am = texts.open(&am).map_err(|why| manual(&why))?;
        let end = texts.get(&am).map(|text| text.old()).ok_or_else(|| manual("it is gone"))?;
        check_end(end).map_err(manual)?;
        let at = end.len();
        let _ = site;
        self.put(am, at, target, name);
        Ok(())
    }

    /// Makes the edits; what else there is to say comes back.
    pub(super) fn finish(self, texts: &mut Texts) -> BTreeSet<Advice> {
        for ((file, _), (rule, names)) in self.moved {
            let Some(text) = texts.get(&file) else { continue };
            let (start, end) = rule.bar;
            if rule.order.keys().all(|name| names.contains(name)) {
                text.edit(start..end, Vec::new());
            }
            text.edit(start..start, [b" ".as_slice(), &words(&names)].concat());
            for name in &names {
                if let Some(&(start, end)) = rule.order.get(name) {
                    text.edit(start..end, Vec::new());
                }
            }
        }
        for ((file, at), targets) in self.lines {
            let Some(text) = texts.get(&file) else { continue };
            let mut by_wanted: BTreeMap<BTreeSet<Vec<u8>>, BTreeSet<Vec<u8>>> = BTreeMap::new();
            for (target, wanted) in targets {
                by_wanted.entry(wanted).or_default().insert(target);
            }
            for (wanted, targets) in by_wanted {
                let line = [&words(&targets), b": ".as_slice(), &words(&wanted)].concat();
                // Asked for before, and make was not run since.
                let there = lines(text.old()).any(|(_, old)| old.trim_ascii_end() == line);
                if !there {
                    text.insert_line(at, &line);
                }
            }
        }
        self.advice
    }
}

/// The name that make has for the target of an action: as its recipe's processes saw it, else
/// relative to make's directory.
fn target(site: &Site<'_>, id: ActionId, action: &Action) -> Vec<u8> {
    let cwd = site.cwd(action);
    let paths = &site.graph().paths;
    let mut marks = site.marks(id, MARK).filter_map(|mark| mark.splitn(3, |&b| b == b':').nth(2));
    let own = marks.find(|name| {
        let absolute = airtight_policy::absolute(cwd, name);
        action.outputs.iter().any(|output| *paths.get(*output) == *absolute)
    });
    match (own, action.outputs.first()) {
        (Some(name), _) => name.to_vec(),
        (None, Some(output)) => relative(paths.get(*output), cwd),
        (None, None) => action.name.clone().into_bytes(),
    }
}

/// The name that make has for what `maker` makes.
fn made_name(
    site: &Site<'_>,
    wish: &Wish<'_>,
    maker: &Action,
    name: &[u8],
) -> Result<Vec<u8>, Manual> {
    let graph = site.graph();
    let same = maker.run.is_some() && site.cwd(maker) == site.cwd(wish.action);
    if !same {
        let why = format!("another run of make makes it ({}): order the two runs", maker.name);
        return Err(Manual::new(why, shown(name)));
    }
    let id = graph.actions.iter().position(|action| std::ptr::eq(action, maker));
    let id = id.and_then(|id| u32::try_from(id).ok()).map(ActionId);
    let marked = id.map(|id| target(site, id, maker));
    let is_it = |marked: &Vec<u8>| airtight_policy::absolute(site.cwd(maker), marked) == wish.path;
    Ok(marked.filter(is_it).unwrap_or_else(|| name.to_vec()))
}

/// Whether a recipe uses all of its prerequisites.
fn uses_all(command: &str) -> bool {
    ["$^", "$+", "$?", "$(^", "$(+", "$(?", "${^", "${+", "${?"]
        .iter()
        .any(|variable| command.contains(variable))
}

/// Whether an action compiles C or C++, and no depfile is known of it.
fn compiles(action: &Action) -> bool {
    let object = |name: &str| [".o", ".obj", ".lo"].iter().any(|ending| name.ends_with(ending));
    let depfile = action.inputs.iter().any(|i| i.via == airtight_policy::build::Via::Depfile);
    object(&action.name) && action.depfile.is_none() && !depfile
}

fn is_header(path: &[u8]) -> bool {
    let endings: [&[u8]; 8] = [b".h", b".hh", b".hpp", b".hxx", b".inc", b".inl", b".ipp", b".tcc"];
    endings.iter().any(|ending| path.ends_with(ending))
}

/// The last makefile that a run of make was given, or the one that it finds by itself.
fn main_makefile(site: &Site<'_>, run: &Run) -> Option<PathBuf> {
    let cwd = path(site.graph().paths.get(run.cwd));
    let mut given = None;
    let mut arguments = run.argv.iter().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "-f" | "--file" | "--makefile" => given = arguments.next().map(String::as_str),
            long if long.starts_with("--") => {
                let value = ["--file=", "--makefile="].iter().find_map(|p| long.strip_prefix(p));
                given = value.or(given);
            }
            short if short.starts_with('-') => {
                if let Some((_, value)) = short.split_once('f') {
                    // `-kf FILE`, and `-fFILE`; other letters may hide it.
                    given = match value {
                        "" => arguments.next().map(String::as_str),
                        value => Some(value),
                    };
                }
            }
            _ => {}
        }
    }
    if let Some(given) = given {
        return (given != "-").then(|| cwd.join(given));
    }
    let names = ["GNUmakefile", "makefile", "Makefile"];
    names.iter().map(|name| cwd.join(name)).find(|path| path.is_file())
}

/// Whether a line can be added at the end.
fn check_end(text: &[u8]) -> Result<(), &'static str> {
    if is_generated(text) {
        return Err("a program makes the makefile: change what it makes it from");
    }
    let end = text.strip_suffix(b"\n").unwrap_or(text);
    let end = end.strip_suffix(b"\r").unwrap_or(end);
    if end.ends_with(b"\\") {
        return Err("the last line of the makefile goes on");
    }
    Ok(())
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

/// A rule as it stands in a makefile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Rule {
    /// Its targets, as they are written.
    targets: BTreeSet<Vec<u8>>,
    /// Whether it is no pattern, and nothing conditional is in or behind its recipe.
    plain: bool,
    /// Whether it has `::`.
    double: bool,
    /// Where its `|` and the space before it are.
    bar: (usize, usize),
    /// Words behind `|`, each with where it and the space before it are.
    order: BTreeMap<Vec<u8>, (usize, usize)>,
    /// Where its last line ends.
    end: usize,
}

impl Rule {
    /// The rule whose recipe begins at this line.
    fn find(text: &[u8], line: u32) -> Option<Rule> {
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
        let mut words = Words { text: head, at: 0 };
        let mut colons = 0;
        let mut order = false;
        while let Some((start, end)) = words.next() {
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
    use super::*;

    fn rule(text: &str, line: u32) -> Option<(Vec<String>, bool, bool, Vec<String>, String)> {
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
}
