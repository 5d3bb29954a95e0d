//! What to do about a finding, in the words of the build system. The one place to teach a new
//! flavour.

use crate::declaration::Flavour;
use crate::name::{below, printable, relative};
use std::borrow::Cow;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fix {
    /// Declare an input.
    Input,
    /// Declare an input of which only the existence matters.
    Look,
    /// Declare an output.
    Output,
    /// Declare what is left behind.
    Leftover,
    /// Declare a variable.
    Environment,
}

/// What an action does, as far as its description has other words for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// It compiles this source, by its absolute name.
    Compile(Vec<u8>),
    /// It links objects.
    Link,
    /// Anything else.
    Command,
}

/// The action that a line is for. Names are absolute.
#[derive(Clone, Debug)]
pub(crate) struct Target<'a> {
    pub(crate) workspace: &'a [u8],
    /// Where the action runs, and where names in its description start.
    pub(crate) cwd: &'a [u8],
    /// Its first output; empty if it has none.
    pub(crate) output: &'a [u8],
    pub(crate) work: Work,
    /// Whether the description stands in a directory below the workspace.
    pub(crate) below: bool,
}

/// The line to paste that declares `path`; empty where none does.
pub(crate) fn line(flavour: Flavour, fix: Fix, path: &[u8], target: &Target<'_>) -> String {
    let named = |path: &[u8]| relative(path, target.cwd, target.workspace);
    let name = named(path);
    let output = named(target.output);
    let fix = match (flavour, fix) {
        (Flavour::Scons, _) => fix,
        (_, Fix::Look) => Fix::Input,
        _ => fix,
    };
    match (flavour, fix) {
        (Flavour::Flags | Flavour::Spec, _) => of_word(flavour, fix, &printable(&name)),
        (Flavour::Make, Fix::Input) if !target.output.is_empty() => {
            format!("{}: {}", in_make(&output), in_make(&name))
        }
        (Flavour::Ninja, Fix::Input) if !target.output.is_empty() => {
            format!("build {}: … | {}", in_ninja(&output), in_ninja(&name))
        }
        (Flavour::Ninja, Fix::Output | Fix::Leftover) if !target.output.is_empty() => {
            format!("build {} | {}: …", in_ninja(&output), in_ninja(&name))
        }
        (Flavour::Cmake, Fix::Input) => cmake_input(path, target),
        (Flavour::Cmake, Fix::Output | Fix::Leftover) => {
            format!("BYPRODUCTS {}", in_cmake(path, target))
        }
        (Flavour::Meson, Fix::Input) => {
            let file = format!("files('{}')", in_meson(&relative_to_root(path, target)));
            match target.work {
                Work::Command => format!("depend_files: {file}"),
                Work::Link => format!("link_depends: {file}"),
                Work::Compile(_) => format!("dependencies: declare_dependency(sources: {file})"),
            }
        }
        (Flavour::Scons, _) if target.output.is_empty() => String::new(),
        (Flavour::Scons, _) => in_scons(fix, path, target),
        _ => String::new(),
    }
}

/// The line to paste that declares a variable; empty where none does.
pub(crate) fn variable(flavour: Flavour, name: &str) -> String {
    of_word(flavour, Fix::Environment, name)
}

fn of_word(flavour: Flavour, fix: Fix, word: &str) -> String {
    match flavour {
        Flavour::Flags => {
            let flag = match fix {
                Fix::Input | Fix::Look => "--in",
                Fix::Output => "--out",
                Fix::Leftover => "--side-effect",
                Fix::Environment => "--env",
            };
            format!("{flag} {}", quoted(word))
        }
        Flavour::Spec => {
            let text = serde_json::Value::from(word);
            match fix {
                Fix::Input | Fix::Look => format!("\"inputs\": [{text}]"),
                Fix::Output => format!("\"outputs\": [{text}]"),
                Fix::Leftover => format!("\"side_effects\": [{text}]"),
                Fix::Environment => format!("\"environment\": {{\"tracked\": [{text}]}}"),
            }
        }
        Flavour::Make | Flavour::Ninja | Flavour::Cmake | Flavour::Meson | Flavour::Scons => {
            String::new()
        }
    }
}

/// As a word of a POSIX shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./+=:,@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// As a name in a rule of a makefile (GNU make, Rule Syntax).
fn in_make(name: &[u8]) -> String {
    let mut out = String::new();
    for c in printable(name).chars() {
        match c {
            '$' => out.push('$'),
            ' ' | '#' | '%' | ':' => out.push('\\'),
            _ => {}
        }
        out.push(c);
    }
    out
}

/// As a path in a build statement (the ninja manual, Lexical syntax).
fn in_ninja(name: &[u8]) -> String {
    let mut out = String::new();
    for c in printable(name).chars() {
        if matches!(c, '$' | ' ' | ':') {
            out.push('$');
        }
        out.push(c);
    }
    out
}

fn cmake_input(path: &[u8], target: &Target<'_>) -> String {
    let name = in_cmake(path, target);
    match &target.work {
        Work::Compile(source) => {
            let source = in_cmake(source, target);
            format!("set_source_files_properties({source} PROPERTIES OBJECT_DEPENDS {name})")
        }
        Work::Link => {
            let output = crate::name::file_name(target.output);
            let built = printable(output);
            let built = built.strip_prefix("lib").unwrap_or(&built);
            let built = built.split('.').next().unwrap_or(built);
            format!("set_property(TARGET {built} APPEND PROPERTY LINK_DEPENDS {name})")
        }
        Work::Command => format!("DEPENDS {name}"),
    }
}

/// As an argument: what is built by the directory that it is built in, the rest by the sources.
fn in_cmake(path: &[u8], target: &Target<'_>) -> String {
    let apart = target.cwd != target.workspace;
    let (root, rest) = match (below(path, target.cwd), below(path, target.workspace)) {
        (Some(rest), _) if apart => ("${CMAKE_BINARY_DIR}/", rest),
        (_, Some(rest)) => ("${CMAKE_SOURCE_DIR}/", rest),
        _ => ("", path),
    };
    let text = printable(rest);
    let escaped: Cow<'_, str> = match text.contains(['\\', '"', '$', ';']) {
        true => text.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "\\$").into(),
        false => text,
    };
    match escaped.contains([' ', ';', '(', ')', '#', '"']) {
        true => format!("\"{root}{escaped}\""),
        false => format!("{root}{escaped}"),
    }
}

fn relative_to_root(path: &[u8], target: &Target<'_>) -> Vec<u8> {
    below(path, target.workspace).unwrap_or(path).to_vec()
}

/// A call in an SConscript. Names there start in its own directory, or with `#` at the top (the
/// SCons manual, File and Directory Nodes).
fn in_scons(fix: Fix, path: &[u8], target: &Target<'_>) -> String {
    let named = |path: &[u8]| {
        let (top, rest) = match below(path, target.workspace) {
            Some(rest) => (if target.below { "#" } else { "" }, rest),
            None => ("", path),
        };
        // The same escapes serve in a Python string.
        format!("'{top}{}'", in_meson(rest))
    };
    let (name, output) = (named(path), named(target.output));
    match fix {
        Fix::Input => format!("Depends({output}, {name})"),
        Fix::Look => format!("Requires({output}, {name})"),
        Fix::Output | Fix::Leftover => format!("SideEffect({name}, {output})"),
        Fix::Environment => String::new(),
    }
}

/// Within a meson string.
fn in_meson(name: &[u8]) -> String {
    printable(name).replace('\\', "\\\\").replace('\'', "\\'")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(flavour: Flavour, fix: Fix, path: &str, work: Work) -> String {
        let (cwd, output) = (b"/ws/out".as_slice(), b"/ws/out/lib b.so.1".as_slice());
        let target =
            Target { workspace: b"/ws", cwd, output, work, below: path.ends_with("below") };
        line(flavour, fix, path.as_bytes(), &target)
    }

    #[test]
    fn each_flavour_has_its_words() {
        let compile = || Work::Compile(b"/ws/src/b.c".to_vec());
        let cases = [
            (Flavour::Flags, Fix::Input, "/ws/a b", Work::Command, "--in '../a b'"),
            (Flavour::Spec, Fix::Output, "/ws/a", Work::Command, "\"outputs\": [\"../a\"]"),
            (Flavour::Make, Fix::Input, "/ws/$a#b", Work::Command, "lib\\ b.so.1: ../$$a\\#b"),
            (Flavour::Make, Fix::Output, "/ws/a", Work::Command, ""),
            (Flavour::Ninja, Fix::Input, "/ws/out/a:b", Work::Link, "build lib$ b.so.1: … | a$:b"),
            (Flavour::Ninja, Fix::Output, "/x/a", Work::Link, "build lib$ b.so.1 | /x/a: …"),
            (
                Flavour::Cmake,
                Fix::Input,
                "/ws/out/gen.h",
                compile(),
                "set_source_files_properties(${CMAKE_SOURCE_DIR}/src/b.c PROPERTIES \
                 OBJECT_DEPENDS ${CMAKE_BINARY_DIR}/gen.h)",
            ),
            (
                Flavour::Cmake,
                Fix::Input,
                "/ws/x.map",
                Work::Link,
                "set_property(TARGET  b APPEND PROPERTY LINK_DEPENDS ${CMAKE_SOURCE_DIR}/x.map)",
            ),
            (
                Flavour::Cmake,
                Fix::Input,
                "/ws/a b",
                Work::Command,
                "DEPENDS \"${CMAKE_SOURCE_DIR}/a b\"",
            ),
            (Flavour::Cmake, Fix::Output, "/x/y", Work::Command, "BYPRODUCTS /x/y"),
            (
                Flavour::Meson,
                Fix::Input,
                "/ws/it's",
                Work::Command,
                "depend_files: files('it\\'s')",
            ),
            (Flavour::Meson, Fix::Input, "/ws/x.map", Work::Link, "link_depends: files('x.map')"),
            (
                Flavour::Meson,
                Fix::Input,
                "/ws/x.bin",
                compile(),
                "dependencies: declare_dependency(sources: files('x.bin'))",
            ),
            (
                Flavour::Scons,
                Fix::Input,
                "/ws/it's.h",
                compile(),
                "Depends('out/lib b.so.1', 'it\\'s.h')",
            ),
            (
                Flavour::Scons,
                Fix::Input,
                "/ws/a/below",
                Work::Command,
                "Depends('#out/lib b.so.1', '#a/below')",
            ),
            (Flavour::Scons, Fix::Look, "/x", Work::Command, "Requires('out/lib b.so.1', '/x')"),
            (
                Flavour::Scons,
                Fix::Output,
                "/ws/out/log",
                Work::Link,
                "SideEffect('out/log', 'out/lib b.so.1')",
            ),
            (Flavour::Make, Fix::Look, "/ws/a", Work::Command, "lib\\ b.so.1: ../a"),
        ];
        for (flavour, fix, path, work, expected) in cases {
            assert_eq!(told(flavour, fix, path, work), expected);
        }
        assert_eq!(variable(Flavour::Flags, "CC"), "--env CC");
    }
}
