//! Edits of makefiles: lines that give a target further prerequisites.
//!
//! Such a line stands behind the rule that is declared at the action's place, or, for pattern rules
//! and what is not found there, at the end of the makefile that make was given: a line that is met
//! before the first rule would become the default goal.

use super::names::{self, relative};
use super::rule::Rule;
use super::{
    Advice, Lack, Manual, Places, Site, Texts, Wish, is_generated, lines, path, shown, words,
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
            let rule = Rule::find(text, number);
            let am = makefile_am(text, &file).map_err(manual)?;
            return self.automake(wish, &am, rule.as_ref(), (target, name), texts);
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
    fn automake(
        &mut self,
        wish: &Wish<'_>,
        am: &Path,
        rule: Option<&Rule>,
        (target, name): (Vec<u8>, Vec<u8>),
        texts: &mut Texts,
    ) -> Result<(), Manual> {
        let suffix = |name: &Vec<u8>| name.starts_with(b".") && name.len() > 1;
        let suffix = rule.is_some_and(|rule| rule.targets.iter().all(suffix));
        if !suffix || !compiles(wish.action) {
            let why = format!("automake makes this rule; in {}, for its program", am.display());
            return Err(Manual::new(why, format!("EXTRA_NAME_DEPENDENCIES = {}", shown(&name))));
        }
        let line = format!("{}: {}", shown(&target), shown(&name));
        let manual = |why: &str| Manual::new(why, line.as_str());
        let am = texts.open(am).map_err(|why| manual(&why))?;
        let text = texts.get(&am).map(|text| text.old()).unwrap_or_default();
        check_end(text).map_err(manual)?;
        let at = text.len();
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

/// The Makefile.am that a makefile made by automake comes from.
fn makefile_am(text: &[u8], file: &Path) -> Result<PathBuf, &'static str> {
    if find(&text[..text.len().min(4096)], b"automake").is_none() {
        return Err("a program makes the makefile: change what it makes it from");
    }
    let source = lines(text).find_map(|(_, line)| line.strip_prefix(b"srcdir = "));
    let source = source.map(|name| path(name.trim_ascii_end()).to_owned());
    match file.parent().zip(source) {
        Some((build, source)) => Ok(build.join(source).join("Makefile.am")),
        None => Err("a program makes the makefile: add it to Makefile.am"),
    }
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
