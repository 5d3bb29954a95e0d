//! Edits of CMake files: arguments of custom commands, and properties of sources and targets.

use super::names::{self, below, relative};
use super::{Lack, Manual, Places, Site, Texts, Wish, is_generated, path};
use crate::adapter::cmake::{Call, KEYWORDS, calls};
use airtight_policy::build::{Action, Via};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Commands that declare binaries.
const BINARIES: [&str; 2] = ["add_executable", "add_library"];
/// More directories above a build than any has.
const DEEPEST: usize = 64;

/// What one custom command lacks, by keyword.
type Lacks = BTreeMap<&'static str, BTreeSet<String>>;

/// Collects what commands lack, so that each is edited once.
#[derive(Debug, Default)]
pub(super) struct Planner {
    /// By file and number of the call in it.
    custom: Places<Lacks>,
    /// Lines behind a call: `set_property(… PROPERTY P` and what belongs to it.
    properties: Places<BTreeMap<String, BTreeSet<String>>>,
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
        let name = file.file_name().unwrap_or_default().as_bytes();
        if name != b"CMakeLists.txt" && !name.ends_with(b".cmake") {
            return Err(unknown());
        }
        let opened = texts.open(&file).map_err(|why| manual(&why))?;
        let text = texts.get(&opened).ok_or_else(unknown)?.old();
        if is_generated(text) {
            return Err(manual("a program makes the file: change what it makes it from"));
        }
        let text = std::str::from_utf8(text).map_err(|_| manual("the file is not UTF-8"))?;
        let calls = calls(text);
        let mut here = calls.iter().enumerate().filter(|(_, call)| call.line == number);
        let (at, call) = here.next().ok_or_else(unknown)?;
        if here.next().is_some() || call.close.is_none() {
            return Err(manual("more than one command is on that line"));
        }
        if let Some(maker) = wish.maker.filter(|_| wish.lack != Lack::Output) {
            let of = |action: &Action| action.declared_at.as_ref().map(|place| place.file.clone());
            if of(maker) != of(wish.action) {
                let why = format!(
                    "{} makes it in another directory, where files are no dependencies: make it a \
                     target of its own, and use add_dependencies",
                    maker.name
                );
                return Err(manual(&why));
            }
        }
        let directory = file.parent().unwrap_or(Path::new("/"));
        let argument = Directories::of(site, wish.action, directory)
            .ok_or_else(|| manual("the build directory is not known"))?
            .argument(&wish.path, wish.maker.is_some() || wish.lack == Lack::Output)
            .ok_or_else(|| manual("its name depends on the machine, or can't be written"))?;
        let first = call.arguments.first().map_or("", String::as_str);
        match call.name.as_str() {
            "add_custom_command" | "add_custom_target" => {
                let keyword = match wish.lack {
                    Lack::Output => "BYPRODUCTS",
                    _ => "DEPENDS",
                };
                if keyword == "DEPENDS" && first == "TARGET" {
                    return Err(manual(
                        "a command for a TARGET has no DEPENDS: make its file with OUTPUT",
                    ));
                }
                let lacks = self.custom.entry((opened, at)).or_default();
                lacks.entry(keyword).or_default().insert(argument);
                Ok(())
            }
            _ if wish.lack == Lack::Output => {
                Err(manual("a compile or link has no way to declare a second file"))
            }
            _ if is_object(&wish.action.name) => {
                if name != b"CMakeLists.txt" {
                    return Err(manual("properties of sources hold in one directory only"));
                }
                let source = source(site, wish.action)
                    .and_then(|source| {
                        Directories::of(site, wish.action, directory)?.source(&source)
                    })
                    .ok_or_else(|| manual("its source is not known"))?;
                let head = format!("set_property(SOURCE {source} APPEND PROPERTY OBJECT_DEPENDS");
                self.property(opened, at, head, argument);
                Ok(())
            }
            name if BINARIES.contains(&name) => {
                let archive = [".a", ".lib"].iter().any(|end| wish.action.name.ends_with(end));
                let plain = |c: char| c.is_ascii_alphanumeric() || "_-.+".contains(c);
                if archive || call.arguments.iter().any(|word| word == "STATIC") {
                    return Err(manual("CMake has no such property for static libraries"));
                }
                if first.is_empty() || !first.chars().all(plain) {
                    return Err(manual("the name of the target is in a variable"));
                }
                let head = format!("set_property(TARGET {first} APPEND PROPERTY LINK_DEPENDS");
                self.property(opened, at, head, argument);
                Ok(())
            }
            _ => Err(manual("the command that declares it is the project's own")),
        }
    }

    fn property(&mut self, file: std::path::PathBuf, at: usize, head: String, argument: String) {
        self.properties.entry((file, at)).or_default().entry(head).or_default().insert(argument);
    }

    /// Makes the edits.
    pub(super) fn finish(self, texts: &mut Texts) {
        for ((file, at), lacks) in self.custom {
            let Some(text) = texts.get(&file) else { continue };
            let Ok(old) = std::str::from_utf8(text.old()) else { continue };
            let calls = calls(old);
            let Some(call) = calls.get(at) else { continue };
            // What belongs to a list that is there goes before a new keyword in the same place.
            let (there, new): (Vec<_>, Vec<_>) = lacks
                .into_iter()
                .partition(|(keyword, _)| call.arguments.iter().any(|word| word == keyword));
            let all = there.into_iter().chain(new);
            let edits: Vec<(usize, String)> = all
                .filter_map(|(keyword, arguments)| insertion(old, call, keyword, arguments))
                .collect();
            for (at, new) in edits {
                text.edit(at..at, new.into_bytes());
            }
        }
        for ((file, at), heads) in self.properties {
            let Some(text) = texts.get(&file) else { continue };
            let Ok(old) = std::str::from_utf8(text.old()) else { continue };
            let calls = calls(old);
            let Some(close) = calls.get(at).and_then(|call| call.close) else { continue };
            let end = old[close..].find('\n').map_or(old.len(), |length| close + length + 1);
            let indent = indent(old, calls[at].spans.first().map_or(close, |span| span.start));
            let mut new = Vec::new();
            for (head, mut arguments) in heads {
                // Written before, and not built since.
                let there = |argument: &String| {
                    old.lines().any(|line| {
                        let line = line.trim_start().strip_prefix(head.as_str());
                        line.is_some_and(|rest| {
                            let words = rest.trim_end().trim_end_matches(')');
                            words.split_whitespace().any(|word| word == argument)
                        })
                    })
                };
                arguments.retain(|argument| !there(argument));
                if !arguments.is_empty() {
                    let arguments: Vec<String> = arguments.into_iter().collect();
                    new.push(format!("{indent}{head} {})", arguments.join(" ")));
                }
            }
            for line in new {
                text.insert_line(end, line.as_bytes());
            }
        }
    }
}

/// Where `arguments` go in a call, and in which form: behind what the keyword has already, else
/// with the keyword behind the last argument, on a line of their own if that has one.
fn insertion(
    text: &str,
    call: &Call,
    keyword: &str,
    mut arguments: BTreeSet<String>,
) -> Option<(usize, String)> {
    let last = call.spans.last()?;
    let begin = call.arguments.iter().rposition(|argument| argument == keyword);
    let raw = |at: usize| &text[call.spans[at].clone()];
    if let Some(begin) = begin {
        let list = begin + 1..call.arguments.len();
        let end = list
            .clone()
            .find(|&at| KEYWORDS.contains(&call.arguments[at].as_str()))
            .unwrap_or(call.arguments.len());
        arguments.retain(|argument| !(begin + 1..end).any(|at| raw(at) == argument));
        let new: String = arguments.iter().map(|argument| format!(" {argument}")).collect();
        return (!new.is_empty()).then(|| (call.spans[end - 1].end, new));
    }
    let words: Vec<String> = arguments.into_iter().collect();
    let new = format!("{keyword} {}", words.join(" "));
    // The line of the last keyword shows how they are laid out.
    let sample = call.arguments.iter().rposition(|argument| KEYWORDS.contains(&argument.as_str()));
    let sample = sample.map(|at| call.spans[at].start)?;
    let line = text[..sample].rfind('\n').map_or(0, |at| at + 1);
    let own = text[line..sample].trim().is_empty();
    let between = match own {
        true => {
            format!("{}{}", if text.contains("\r\n") { "\r\n" } else { "\n" }, &text[line..sample])
        }
        false => " ".to_owned(),
    };
    Some((last.end, format!("{between}{new}")))
}

/// The blanks at the beginning of the line of `at`.
fn indent(text: &str, at: usize) -> &str {
    let line = text[..at].rfind('\n').map_or(0, |at| at + 1);
    let rest = &text[line..];
    &rest[..rest.len() - rest.trim_start_matches([' ', '\t']).len()]
}

fn is_object(name: &str) -> bool {
    name.ends_with(".o") || name.ends_with(".obj")
}

/// The source that an action compiles: its first declared input that looks like one.
fn source(site: &Site<'_>, action: &Action) -> Option<Vec<u8>> {
    const ENDINGS: [&str; 15] =
        ["c", "cc", "cp", "cpp", "cxx", "c++", "C", "m", "mm", "s", "S", "asm", "cu", "f90", "f"];
    // CMake names an object after its source.
    let object = Path::new(&action.name).file_name()?.to_str()?;
    let inputs = action.inputs.iter().filter(|input| input.via == Via::Declared);
    let mut sources = inputs.map(|input| site.graph().paths.get(input.path)).filter(|name| {
        let file = path(name);
        let ending = file.extension().and_then(|ending| ending.to_str());
        let own = file.file_name().and_then(|name| name.to_str());
        ending.is_some_and(|ending| ENDINGS.contains(&ending))
            && own.is_some_and(|own| object.starts_with(own))
    });
    let source = sources.next()?.to_vec();
    sources.next().is_none().then_some(source)
}

/// The directories that the variables of a CMakeLists.txt stand for.
struct Directories {
    source: Vec<u8>,
    binary: Option<Vec<u8>>,
    home: Vec<u8>,
    build: Vec<u8>,
}

impl Directories {
    /// Those of the CMakeLists.txt in `directory`.
    fn of(site: &Site<'_>, action: &Action, directory: &Path) -> Option<Directories> {
        let cwd = path(site.cwd(action));
        let build =
            cwd.ancestors().take(DEEPEST).find(|dir| dir.join("CMakeCache.txt").is_file())?;
        let cache = fs::read(build.join("CMakeCache.txt")).ok()?;
        let mut lines = cache.split(|&byte| byte == b'\n');
        let home = lines.find_map(|line| line.strip_prefix(b"CMAKE_HOME_DIRECTORY:INTERNAL="))?;
        let source = directory.as_os_str().as_bytes().to_vec();
        let home = home.trim_ascii_end().to_vec();
        let build = build.as_os_str().as_bytes().to_vec();
        let rest = if source == home { b"".as_slice() } else { below(&source, &home)? };
        let binary = airtight_policy::absolute(&build, rest);
        // CMake makes this directory in every directory that it processes.
        let known = path(&binary).join("CMakeFiles").is_dir();
        Some(Directories { source, binary: known.then_some(binary), home, build })
    }

    /// `name` as an argument; with `made` it is rather of the build directory, where both are one.
    fn argument(&self, name: &[u8], made: bool) -> Option<String> {
        let in_build = below(name, &self.build).is_some() && (made || self.build != self.home);
        let (variable, base) = match (in_build, below(name, &self.home).is_some()) {
            (true, _) => ("${CMAKE_CURRENT_BINARY_DIR}/", self.binary.as_ref()?),
            (false, true) => ("${CMAKE_CURRENT_SOURCE_DIR}/", &self.source),
            (false, false) => return None,
        };
        names::cmake(variable, &relative(name, base))
    }

    /// The name of a source file as set_property(SOURCE) takes it.
    fn source(&self, name: &[u8]) -> Option<String> {
        match below(name, &self.build) {
            Some(_) if self.build != self.home => self.argument(name, true),
            _ => below(name, &self.home)
                .and_then(|_| names::cmake("", &relative(name, &self.source))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn inserted(text: &str, keyword: &str, argument: &str, expected: &str) {
        let calls = calls(text);
        let (at, new) =
            insertion(text, &calls[0], keyword, [argument.to_owned()].into()).expect("room");
        assert_eq!(format!("{}{new}{}", &text[..at], &text[at..]), expected);
    }

    #[test]
    fn arguments_are_put_where_people_would() {
        let custom = |rest: &str| format!("add_custom_command({rest}");
        for (text, expected) in [
            ("OUTPUT a COMMAND b)\n", "OUTPUT a COMMAND b DEPENDS x)\n"),
            (
                "OUTPUT a\n  COMMAND b # why (\n  VERBATIM)\n",
                "OUTPUT a\n  COMMAND b # why (\n  VERBATIM\n  DEPENDS x)\n",
            ),
            (
                "OUTPUT a\n\tCOMMAND b \"DEPENDS y\"\n)\n",
                "OUTPUT a\n\tCOMMAND b \"DEPENDS y\"\n\tDEPENDS x\n)\n",
            ),
            ("OUTPUT a DEPENDS y\n  z COMMAND b)", "OUTPUT a DEPENDS y\n  z x COMMAND b)"),
            ("OUTPUT a\r\n  COMMAND b)\r\n", "OUTPUT a\r\n  COMMAND b\r\n  DEPENDS x)\r\n"),
            ("OUTPUT a COMMAND b [[DEPENDS (]])", "OUTPUT a COMMAND b [[DEPENDS (]] DEPENDS x)"),
        ] {
            inserted(&custom(text), "DEPENDS", "x", &custom(expected));
        }
        let text = "add_custom_command(OUTPUT a DEPENDS \"${D}/x y\")";
        let call = &calls(text)[0];
        assert_eq!(insertion(text, call, "DEPENDS", ["\"${D}/x y\"".to_owned()].into()), None);
    }
}
