//! Held against the real ninja: commands, inputs and recorded depfiles of whole projects.

use super::super::files;
use super::log::Log;
use super::manifest::{Limits, Manifest};
use super::*;
use airtight_policy::build::{Action, Nature};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// A directory with these files.
fn project(files: &[(&str, &str)]) -> TempDir {
    let root = TempDir::with_prefix("airtight-test-").expect("a directory");
    for (name, content) in files {
        let path = root.path().join(name);
        fs::create_dir_all(path.parent().expect("in a directory")).expect(name);
        fs::write(path, content).expect(name);
    }
    root
}

#[track_caller]
fn run(directory: &Path, words: &[&str]) -> String {
    let mut command = Command::new(words[0]);
    let output = command.args(&words[1..]).current_dir(directory).output().expect(words[0]);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert!(output.status.success(), "{words:?}: {out}{err}");
    out
}

fn manifest(directory: &Path) -> Manifest {
    let mut read = |name: &[u8]| files::read(&absolute(directory.as_os_str().as_bytes(), name));
    Manifest::read(b"build.ninja", &mut read, Limits::default()).expect("a manifest")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

/// Every edge has the command, inputs and outputs that ninja says it has. Returns how many run
/// something.
#[track_caller]
fn agrees_with_ninja(directory: &Path) -> usize {
    let manifest = manifest(directory);
    let mut ours = Vec::new();
    let mut targets = Vec::new();
    for edge in &manifest.edges {
        targets.extend(edge.outputs.iter().map(|&output| text(manifest.name(output))));
        if !edge.is_phony() {
            ours.push(text(&manifest.command(edge).expect("a command")));
        }
    }
    let ask = |tool: &[&'static str]| {
        let mut words: Vec<&str> = [&["ninja", "-t"], tool].concat();
        words.extend(targets.iter().map(String::as_str));
        run(directory, &words)
    };
    let mut theirs: Vec<String> = ask(&["commands"]).lines().map(str::to_owned).collect();
    let count = ours.len();
    ours.sort();
    theirs.sort();
    assert_eq!(ours, theirs);

    // `  input: rule`, then a line for each input, then `  outputs:` and who uses it.
    let queried = ask(&["query"]);
    let mut inputs: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let (mut target, mut within) = ("", false);
    for line in queried.lines() {
        match line.strip_prefix("    ") {
            Some(input) if within => inputs.entry(target).or_default().push(input.to_owned()),
            Some(_) => {}
            None if line.starts_with("  ") => within = line.starts_with("  input:"),
            None => target = line.strip_suffix(':').expect("a target"),
        }
    }
    for edge in &manifest.edges {
        for &output in &edge.outputs {
            let name = text(manifest.name(output));
            let theirs = inputs.remove(name.as_str()).unwrap_or_default();
            let ours: BTreeSet<String> =
                edge.all_inputs().iter().map(|&input| text(manifest.name(input))).collect();
            let bare = |input: &String| {
                input.trim_start_matches("| ").trim_start_matches("|| ").to_owned()
            };
            assert_eq!(ours, theirs.iter().map(bare).collect(), "{name}");
            let waits = theirs.iter().filter(|input| input.starts_with("|| ")).count();
            assert_eq!(edge.order_only().len(), waits, "{name}");
        }
    }
    count
}

/// What we read from ninja's record is what `ninja -t deps` prints. Returns how many outputs.
#[track_caller]
fn record_agrees_with_ninja(directory: &Path) -> usize {
    let bytes = fs::read(directory.join(".ninja_deps")).expect("a record");
    let log = Log::read(&bytes).expect("a known format");
    let name = |&id: &u32| text(&log.names()[id as usize]);
    let entries = log.entries();
    let ours: BTreeMap<String, Vec<String>> =
        entries.map(|(id, inputs)| (name(&id), inputs.iter().map(name).collect())).collect();
    let mut theirs: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let told = run(directory, &["ninja", "-t", "deps"]);
    let mut target = String::new();
    for line in told.lines() {
        if let Some(input) = line.strip_prefix("    ") {
            theirs.entry(target.clone()).or_default().push(input.to_owned());
        } else if let Some((name, _)) = line.split_once(": #deps") {
            target = name.to_owned();
        }
    }
    assert_eq!(ours, theirs);
    ours.len()
}

const BY_HAND: &[(&str, &str)] = &[
    (
        "build.ninja",
        "ninja_required_version = 1.8\n\
         builddir = .\n\
         flags = -a\n\
         late = early\n\
         # a comment\n\
         rule cc\n  command = cc $flags $late -o $out -c $in $more\n  depfile = $out.d\n  deps = gcc\n\
         rule link\n  command = $\n    ld @$rspfile $\n      -o $out\n  rspfile = $out.rsp\n\
         \x20 rspfile_content = $in_newline\n  pool = one\n\
         pool one\n  depth = 1\n\
         include rules.ninja\n\
         build a.o: cc a.c\n\
         build sub/b$ c.o: cc it's.c | gen.h || stamp\n  flags = $flags $$HOME ${late}\n  more = $in x\n\
         build out$:1 out2 | map: link a.o sub/b$ c.o $flags |@ check\n\
         build stamp: touch\n\
         build gen.h: touch ../in ./x//y/../z | a.o |@ check\n  description = own\n\
         build check: echo\n\
         build ${late}-file: echo ä.txt\n\
         subninja sub/sub.ninja\n\
         build all: phony out$:1 gen.h | sub/x || early-file\n\
         default all\n\
         late = late\n",
    ),
    (
        "rules.ninja",
        "rule touch\n  command = touch $out # $description\n  description = d $out\n  restat = 1\n\
         rule echo\n  command = echo '$in' $description \\$\n    && echo $late > $out\n\
         description = of the file\n",
    ),
    (
        "sub/sub.ninja",
        "flags = $flags -sub\nlate = sub\n\
         rule cc\n  command = subcc $flags $in -o $out\n\
         build sub/x: cc sub/x.c\n\
         build sub/y: echo sub/x\n  late = edge\n\
         subninja sub/deep.ninja\n",
    ),
    ("sub/deep.ninja", "build deep: cc ${flags}.c\nbuild deep2: touch deep\n"),
];

#[test]
fn a_manifest_by_hand_means_the_same_to_ninja() {
    let root = project(BY_HAND);
    assert_eq!(agrees_with_ninja(root.path()), 11);
}

#[test]
fn old_and_new_line_ends_mean_the_same_to_ninja() {
    let files: Vec<(&str, String)> =
        BY_HAND.iter().map(|(name, text)| (*name, text.replace('\n', "\r\n"))).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(n, t)| (*n, t.as_str())).collect();
    let root = project(&files);
    assert_eq!(agrees_with_ninja(root.path()), 11);
}

const CMAKE: &[(&str, &str)] = &[
    (
        "CMakeLists.txt",
        "cmake_minimum_required(VERSION 3.13)\nproject(p C)\n\
         add_custom_command(OUTPUT gen.h COMMAND sh -c \"echo '#define N 1' > $<SHELL_PATH:${CMAKE_BINARY_DIR}/gen.h>\" VERBATIM)\n\
         add_library(a STATIC a.c)\nadd_library(b SHARED \"b c.c\" gen.h)\n\
         target_include_directories(b PRIVATE ${CMAKE_BINARY_DIR})\n\
         target_compile_definitions(a PRIVATE \"TEXT=\\\"it's $x\\\"\")\n\
         add_executable(main main.c)\ntarget_link_libraries(main a b)\n\
         add_custom_target(tool ALL COMMAND echo tool)\n\
         add_custom_command(TARGET main POST_BUILD COMMAND echo built)\n\
         set_target_properties(b PROPERTIES VERSION 1.2 SOVERSION 1)\n\
         enable_testing()\nadd_test(NAME t COMMAND main)\ninstall(TARGETS main)\n",
    ),
    ("a.c", "int a(void) { return sizeof TEXT; }\n"),
    ("b c.c", "#include \"gen.h\"\nint b(void) { return N; }\n"),
    ("main.c", "int a(void); int b(void); int main(void) { return a() + b() == 0; }\n"),
];

#[test]
fn a_project_of_cmake_means_the_same_to_ninja() {
    let root = project(CMAKE);
    run(root.path(), &["cmake", "-S", ".", "-B", "b", "-G", "Ninja"]);
    let build = root.path().join("b");
    let count = agrees_with_ninja(&build);
    assert!(count > 15, "{count}");
    run(root.path(), &["cmake", "--build", "b"]);
    assert_eq!(record_agrees_with_ninja(&build), 3);
}

#[test]
fn a_project_of_cmake_with_several_configurations_means_the_same_to_ninja() {
    let root = project(CMAKE);
    run(root.path(), &["cmake", "-S", ".", "-B", "b", "-G", "Ninja Multi-Config"]);
    let count = agrees_with_ninja(&root.path().join("b"));
    assert!(count > 20, "{count}");
}

const MESON: &[(&str, &str)] = &[
    (
        "meson.build",
        "project('p', 'c')\n\
             gen = custom_target('gen', output: 'gen.h', input: 'in', capture: true,\n\
             \x20 command: ['sed', 's/x y/z/', '@INPUT@'])\n\
             lib = shared_library('lib', 'lib.c', gen)\n\
             executable('main', 'main.c', link_with: lib, c_args: ['-DT=\"a b\"'])\n\
             test('t', executable('t', 'main.c', link_with: lib, c_args: '-DT=\"\"'))\n\
             run_target('say', command: ['echo'])\n\
             foreach n : ['x', 'y']\n  custom_target('c' + n, output: 'c' + n, command: ['touch', '@OUTPUT@'])\nendforeach\n",
    ),
    ("in", "#define N 1\n"),
    ("lib.c", "#include \"gen.h\"\nint lib(void) { return N; }\n"),
    ("main.c", "int lib(void); int main(void) { return lib() - 1 + sizeof T * 0; }\n"),
];

#[test]
fn a_project_of_meson_means_the_same_to_ninja() {
    let root = project(MESON);
    run(root.path(), &["meson", "setup", "b"]);
    let build = root.path().join("b");
    let count = agrees_with_ninja(&build);
    assert!(count > 10, "{count}");
    run(&build, &["ninja"]);
    assert_eq!(record_agrees_with_ninja(&build), 3);
}

/// Name, nature, where it is declared.
type Told = (String, Nature, String);

/// The actions of a project.
fn actions(root: &Path, build: &str) -> Vec<Told> {
    let root = root.canonicalize().expect("a directory");
    let workspace = root.as_os_str().as_bytes();
    let directory = absolute(workspace, build.as_bytes());
    let manifest = manifest(files::path(&directory));
    let warn = |what: String| panic!("{what}");
    let context = Context { workspace, warn: &warn };
    let mut graph = Graph::default();
    let project = graph::add(&manifest, RunId(0), &directory, b"build.ninja", &mut graph, &context);
    project.expect("a graph");
    let told = graph.actions.into_iter().filter(|action| action.nature != Nature::Alias);
    let place = |action: &Action| action.declared_at.as_ref().expect("a place").to_string();
    told.map(|action| (action.name.clone(), action.nature, place(&action))).collect()
}

#[track_caller]
fn declares(actions: &[Told], expected: &[(&str, Nature, &str)]) {
    for (name, nature, place) in expected {
        let found = actions.iter().find(|(other, ..)| other == name);
        let (_, its_nature, its_place) = found.unwrap_or_else(|| panic!("no {name}: {actions:#?}"));
        assert_eq!((its_nature, its_place.as_str()), (nature, *place), "{name}");
    }
}

const ALL_OF_CMAKE: &[(&str, Nature, &str)] = &[
    ("b/gen.h", Nature::Normal, "CMakeLists.txt:3"),
    ("b/CMakeFiles/a.dir/a.c.o", Nature::Normal, "CMakeLists.txt:4"),
    ("b/liba.a", Nature::Normal, "CMakeLists.txt:4"),
    ("b/CMakeFiles/b.dir/b_c.c.o", Nature::Normal, "CMakeLists.txt:5"),
    ("b/libb.so.1.2", Nature::Normal, "CMakeLists.txt:5"),
    ("b/libb.so.1", Nature::Normal, "CMakeLists.txt:5"),
    ("b/CMakeFiles/main.dir/main.c.o", Nature::Normal, "CMakeLists.txt:8"),
    ("b/main", Nature::Normal, "CMakeLists.txt:8"),
    ("b/CMakeFiles/tool", Nature::Always, "CMakeLists.txt:10"),
];

#[test]
fn lines_of_cmakelists_are_found() {
    let root = project(CMAKE);
    run(root.path(), &["cmake", "-S", ".", "-B", "b", "-G", "Ninja"]);
    let actions = actions(root.path(), "b");
    declares(&actions, ALL_OF_CMAKE);
    let configures = actions.iter().filter(|(_, nature, _)| *nature == Nature::Configure);
    assert_eq!(configures.map(|(name, ..)| name).collect::<Vec<_>>(), ["b/build.ninja"]);
    let mut always = actions.iter().filter(|(_, nature, _)| *nature == Nature::Always);
    let utilities = |(name, _, _): &&Told| {
        name.ends_with(".util")
            || name == "b/CMakeFiles/tool"
            || name == "b/clean"
            || name == "b/help"
    };
    assert_eq!(always.find(|action| !utilities(action)), None);
}

#[test]
fn what_cmake_says_of_its_targets_goes_before_a_search() {
    let mut files = CMAKE.to_vec();
    let text = files[0].1.replace(
        "add_library(a STATIC a.c)",
        "macro(lib n)\nadd_library(${n}${none} STATIC a.c)\nendmacro()\nlib(a)",
    );
    files[0].1 = &text;
    files.push(("b/.cmake/api/v1/query/codemodel-v2", ""));
    let root = project(&files);
    run(root.path(), &["cmake", "-S", ".", "-B", "b", "-G", "Ninja"]);
    declares(
        &actions(root.path(), "b"),
        &[
            ("b/liba.a", Nature::Normal, "CMakeLists.txt:7"),
            ("b/libb.so.1.2", Nature::Normal, "CMakeLists.txt:8"),
        ],
    );
}

#[test]
fn lines_of_meson_build_are_found() {
    let root = project(MESON);
    run(root.path(), &["meson", "setup", "b"]);
    declares(
        &actions(root.path(), "b"),
        &[
            ("b/gen.h", Nature::Normal, "meson.build:2"),
            ("b/liblib.so", Nature::Normal, "meson.build:4"),
            ("b/liblib.so.p/lib.c.o", Nature::Normal, "meson.build:4"),
            ("b/main", Nature::Normal, "meson.build:5"),
            ("b/main.p/main.c.o", Nature::Normal, "meson.build:5"),
            ("b/t", Nature::Normal, "meson.build:6"),
            ("b/meson-internal__say", Nature::Always, "meson.build:7"),
            ("b/cy", Nature::Normal, "meson.build:9"),
        ],
    );
}
