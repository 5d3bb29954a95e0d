//! ninja: the language of its manifests, its ways to learn of inputs, and each finding.

use crate::support::{Audit, Project};

/// Rules that the manifests below share.
const RULES: &str = "\
-- rules.ninja --
rule cat
  command = cat $in > $out
rule sh
  command = $sh
rule cc
  command = cc -MD -MF $out.d -c $in -o $out
  depfile = $out.d
  deps = gcc
";

fn project(files: &str) -> Project {
    Project::new(&format!("{RULES}{files}"))
}

#[track_caller]
fn audit(files: &str, code: i32, findings: &[(&str, &str, &str)]) -> Audit {
    let audit = project(files).audit(&["ninja", "-j1"]);
    audit.expect(code, findings);
    audit
}

#[test]
fn a_build_that_declares_all_is_clean() {
    let project = project(
        "-- build.ninja --
include rules.ninja
builddir = out
flags = -O0
rule link
  command = cc @$rspfile -o $out
  rspfile = $out.rsp
  rspfile_content = $in_newline
rule touch
  command = touch $out
  restat = 1
build out/gen.h: cat gen.in | gen.sh
build generated: phony out/gen.h
build out/a.o: cc a.c || generated
build out/main: link out/a.o out/b$ c.o | stamp
build stamp: touch
subninja sub/sub.ninja
build out/joined | out/list: sh gen.in a.c || stamp
  sh = cat gen.in a.c > out/joined && echo a.c > out/list
build all: phony out/main out/joined out/from$ it's
default all
-- sub/sub.ninja --
rule cat
  command = cat $in $also > $out
build out/b$ c.o: cc sub/b.c
build out/from$ it's: cat sub/b.c | gen.in
  also = gen.in
-- gen.in --
#define A 1
-- gen.sh --
-- a.c --
#include \"out/gen.h\"
int b(void);
int main(void) { return A + b(); }
-- sub/b.c --
#include \"b.h\"
int b(void) { return B; }
-- sub/b.h --
#define B 2
",
    );
    project.audit(&["ninja"]).expect(0, &[]);
    // What depfiles said is known from ninja's own record when nothing but it is left.
    project.write("sub/b.h", "#define B 3\n");
    project.audit(&["ninja"]).expect(0, &[]);
    project.audit(&["ninja"]).expect(0, &[]);
}

#[test]
fn a_read_that_no_statement_tells_is_stale() {
    let audit = audit(
        "-- build.ninja --
include rules.ninja
build out: sh in
  sh = cat in other > out
-- in --
-- other --
",
        120,
        &[("R001", "out", "other")],
    );
    let finding = audit.finding("R001", "out", "other");
    assert_eq!(finding["declared_at"]["file"], "build.ninja");
    assert_eq!(finding["declared_at"]["line"], 2);
}

#[test]
fn a_header_without_depfile_is_stale() {
    audit(
        "-- build.ninja --
rule cc
  command = cc -c $in -o $out
build a.o: cc a.c
-- a.c --
#include \"a.h\"
-- a.h --
",
        120,
        &[("R001", "a.o", "a.h")],
    );
}

#[test]
fn a_depfile_that_stays_on_disk_counts() {
    audit(
        "-- build.ninja --
rule cc
  command = cc -MD -MF $out.d -c $in -o $out
  depfile = $out.d
build sub/a.o: cc sub/a.c
-- sub/a.c --
#include \"a.h\"
-- sub/a.h --
",
        0,
        &[],
    );
}

#[test]
fn a_failed_compile_leaves_no_depfile_and_owes_none() {
    let files = "-- build.ninja --
include rules.ninja
build a.o: cc a.c
-- a.c --
#include \"a.h\"
-- a.h --
#error not yet
";
    audit(files, 1, &[]);
}

/// A shell that is called ccache, with files of its own in the home directory.
#[test]
fn the_files_of_a_compiler_cache_are_its_own() {
    let project = project(
        "-- build.ninja --
include rules.ninja
build out: sh in | ccache
  sh = ./ccache -c 'read x < in; read x < $$HOME/entry; echo $$x > $$HOME/stats; echo $$x > out'
-- in --
1
",
    );
    project.prepare(&["cp", "/bin/sh", "ccache"]).prepare(&["cp", "in", "../home/entry"]);
    project.audit(&["ninja"]).expect(0, &[("I004", "out", "")]);
}

#[test]
fn a_directory_may_be_a_link() {
    let project = project(
        "-- build.ninja --
include rules.ninja
build a.o: cc src/a.c
-- real/a.c --
#include \"a.h\"
-- real/a.h --
int a;
",
    );
    project.prepare(&["ln", "-s", "real", "src"]);
    project.audit(&["ninja"]).expect(0, &[]);
}

#[test]
fn a_header_known_from_a_depfile_alone_is_a_race() {
    let files = "-- build.ninja --
include rules.ninja
build gen.h: cat gen.in
build a.o: cc a.c
-- gen.in --
-- a.c --
#include \"gen.h\"
";
    audit(files, 120, &[("R003", "a.o", "gen.h")]);
    audit(&files.replace("cc a.c", "cc a.c || gen.h"), 0, &[]);
    audit(&files.replace("cc a.c", "cc a.c | gen.h"), 0, &[]);
}

#[test]
fn what_is_read_and_only_made_first_is_stale() {
    let files = "-- build.ninja --
include rules.ninja
build made: cat in
build names: phony made
build out: sh in || names file
  sh = cat made file in > out
-- in --
-- file --
";
    audit(files, 120, &[("R002", "out", "made"), ("R001", "out", "file")]);
    audit(&files.replace("|| names", "| names"), 0, &[]);
}

#[test]
fn a_read_of_what_nothing_orders_is_a_race() {
    audit(
        "-- build.ninja --
include rules.ninja
build made: cat in
build out: sh in
  sh = cat made > out
-- in --
",
        120,
        &[("R003", "out", "made")],
    );
}

#[test]
fn a_read_of_an_undeclared_output_is_told_at_the_reader() {
    audit(
        "-- build.ninja --
include rules.ninja
build made: sh in
  sh = cat in > made; cat in > made.log
build out: sh made
  sh = cat made made.log > out
-- in --
",
        120,
        &[("R005", "out", "made.log")],
    );
}

#[test]
fn reading_what_comes_later_is_a_cycle() {
    let project = project(
        "-- build.ninja --
include rules.ninja
build first: sh in
  sh = cat in last > first
build last: cat first
-- in --
-- last --
old
",
    );
    project.audit(&["ninja", "-j1"]).expect(120, &[("R004", "first", "last")]);
}

#[test]
fn a_file_that_two_edges_write_has_two_writers() {
    audit(
        "-- build.ninja --
include rules.ninja
build a: sh in
  sh = cat in > a; cat in > both
build b: sh in
  sh = cat in > b; cat in > both
-- in --
",
        120,
        &[("W003", "b", "both")],
    );
}

#[test]
fn a_temporary_that_two_edges_share_is_told() {
    let files = "-- build.ninja --
include rules.ninja
build a: sh in
  sh = cat in > temporary; mv temporary a
build b: sh in
  sh = cat in > temporary; mv temporary b
-- in --
";
    audit(files, 120, &[("W008", "b", "temporary")]);
    audit(&files.replace("b: sh in", "b: sh in || a"), 0, &[]);
    audit(&files.replace("temporary; mv temporary b", "b.tmp; mv b.tmp b"), 0, &[]);
}

#[test]
fn an_output_that_is_not_made_is_told() {
    audit(
        "-- build.ninja --
include rules.ninja
build made | not_made: cat in
build all: phony made no_file
build no_file: phony made
-- in --
",
        120,
        &[("W002", "made", "not_made")],
    );
}

#[test]
fn an_edge_that_changes_its_input_is_told() {
    audit(
        "-- build.ninja --
include rules.ninja
build a: sh in
  sh = cat in > a; echo >> in
-- in --
",
        120,
        &[("W004", "a", "in")],
    );
}

#[test]
fn a_file_that_comes_after_it_was_looked_for_is_told() {
    let files = "-- build.ninja --
include rules.ninja
build a: sh in
  sh = test -e settings && cat settings > a || cat in > a
build settings: cat in
-- in --
";
    audit(files, 120, &[("W006", "settings", "settings")]);
}

#[test]
fn an_edge_that_runs_in_every_build_is_never_stale() {
    for depends in ["always", "name"] {
        let manifest = format!(
            "-- build.ninja --
include rules.ninja
build always: phony
build name: phony always
build version: sh | {depends}
  sh = cat revision > version
build user: sh version
  sh = cat version other > user
-- revision --
-- other --
"
        );
        audit(&manifest, 0, &[]);
        // An edge that finds its output as it was stops what it would cause.
        let restat = manifest.replace("> version\n", "> version\n  restat = 1\n");
        audit(&restat, 120, &[("R001", "user", "other")]);
        // The same name as a file: made once.
        audit(
            &format!("{manifest}-- always --\n"),
            120,
            &[("R001", "version", "revision"), ("R001", "user", "other")],
        );
    }
}

#[test]
fn a_dyndep_file_is_as_good_as_the_manifest() {
    let files = "-- build.ninja --
include rules.ninja
build made.h: cat in
build dd: sh scan
  sh = cat scan > dd
build out: sh src || dd
  sh = cat src made.h > out; cat src > out.more
  dyndep = dd
-- in --
-- src --
-- scan --
ninja_dyndep_version = 1
build out | out.more: dyndep | made.h
";
    let clean = audit(files, 0, &[]);
    assert_eq!(clean.of_severity(&["note"]), [].into());
    let less = files.replace(" | made.h\n", "\n").replace(" | out.more", "");
    let less = audit(&less, 120, &[("R003", "out", "made.h")]);
    let undeclared = ("W001".to_owned(), "out".to_owned(), "out.more".to_owned());
    assert_eq!(less.of_severity(&["note"]), [undeclared].into());
}

#[test]
fn edges_with_one_command_are_told_apart_by_what_they_write() {
    let project = project(
        "-- build.ninja --
include rules.ninja
build b: sh b.in | step
  sh = ./step
build a: sh a.in | step
  sh = ./step
build c: sh c.in | step
  sh = ./step
-- step --
#!/bin/sh
for name in a b c; do
  [ -e $name ] || { cat $name.in > $name; exit; }
done
-- a.in --
-- b.in --
-- c.in --
",
    );
    // ninja runs the edge of b first, but the script makes a then; and it looks for the others.
    let looks = [("R003", "b", "a"), ("R003", "c", "a"), ("R003", "c", "b")];
    project.audit(&["ninja", "-j1"]).expect(120, &looks);
}

#[test]
fn edges_with_one_command_and_nothing_written_go_by_order() {
    audit(
        "-- build.ninja --
include rules.ninja
build a: sh in
  sh = test -e in
build b: sh in
  sh = test -e in
-- in --
",
        120,
        &[("W002", "a", "a"), ("W002", "b", "b")],
    );
}

#[test]
fn a_long_command_is_matched() {
    let long = "x".repeat(100_000);
    audit(
        &format!(
            "-- build.ninja --
include rules.ninja
build out: sh in
  sh = : {long}; cat in > out
-- in --
"
        ),
        0,
        &[],
    );
}

#[test]
fn the_directory_and_the_manifest_can_be_named() {
    let project = Project::new(
        "-- sub/other.ninja --
rule cat
  command = cat $in > $out
include deep/x.ninja
build out: cat ../in
-- sub/deep/x.ninja --
build deep/out: cat out
-- in --
",
    );
    let audit = project.audit(&["ninja", "-vC", "sub", "-fother.ninja"]);
    audit.expect(0, &[]);
    assert!(audit.actions().is_superset(&["sub/out", "sub/deep/out"].map(str::to_owned).into()));
}

#[test]
fn an_edge_can_run_ninja() {
    let files = "-- build.ninja --
include rules.ninja
build made: cat in
build sub/out: sh sub/in made
  sh = ninja -C sub
build user: cat sub/out
-- in --
-- sub/in --
-- sub/build.ninja --
rule cat
  command = cat $in > $out
build out: cat in ../made
";
    let audit = audit(files, 0, &[]);
    assert!(audit.actions().contains("sub/out"));
}

#[test]
fn what_runs_later_comes_later() {
    let project = project(
        "-- build.ninja --
include rules.ninja
build always: phony
build out: cat in
build check: sh | always
  sh = test -e out
default out
-- in --
",
    );
    project.audit(&["sh", "-c", "ninja && ninja check"]).expect(0, &[]);
    project.prepare(&["rm", "out"]);
    project.audit(&["ninja", "-j1", "out", "check"]).expect(120, &[("R003", "check", "out")]);
}

#[test]
fn a_manifest_that_writes_itself_again_is_followed() {
    let project = Project::new(
        "-- configure --
#!/bin/sh
cat > build.ninja <<END
rule configure
  command = : $(cat version); ./configure
  generator = 1
rule cat
  command = : $(cat version); cat \\$in > \\$out
build build.ninja: configure | configure version
build out: cat in
END
-- version --
1
-- in --
",
    );
    project.prepare(&["./configure"]);
    project.audit(&["ninja"]).expect(0, &[]);
    project.write("version", "2\n").prepare(&["touch", "-d", "2000-01-01", "build.ninja"]);
    let audit = project.audit(&["ninja"]);
    audit.expect(0, &[]);
    assert_eq!(audit.actions().len(), 3, "{:?}", audit.actions());
}

#[test]
fn a_command_that_fails_is_judged_and_keeps_its_code() {
    audit(
        "-- build.ninja --
include rules.ninja
build out: sh in
  sh = cat other > out; false
-- in --
-- other --
",
        1,
        &[("R001", "out", "other")],
    );
}

#[test]
fn a_manifest_that_is_gone_is_told() {
    let project = project(
        "-- build.ninja --
include rules.ninja
build out: cat in
-- in --
",
    );
    let audit = project.audit(&["sh", "-c", "ninja && rm build.ninja"]);
    audit.expect(0, &[]);
    assert!(audit.end.stderr.contains("was removed during the build"), "{}", audit.end.show());
}

#[test]
fn a_manifest_that_can_not_be_read_is_an_error_with_its_place() {
    let project = project(
        "-- build.ninja --
include rules.ninja
build out: cat in
-- in --
",
    );
    let audit = project.audit(&["sh", "-c", "ninja && echo 'build x: y' >> build.ninja"]);
    assert_eq!(audit.end.code, Some(125), "{}", audit.end.show());
    for part in ["build.ninja:3: there is no rule `y`", "hint: an audit needs the manifest"] {
        assert!(audit.end.stderr.contains(part), "{}", audit.end.show());
    }
}

#[test]
fn ninja_that_runs_nothing_is_no_run() {
    let project = project("-- build.ninja --\ninclude rules.ninja\nbuild out: cat in\n-- in --\n");
    let script = "ninja --version; ninja -n; ninja -t targets all; ninja -t query out";
    let audit = project.audit(&["sh", "-c", script]);
    audit.expect(0, &[]);
    assert_eq!(audit.actions().len(), 1, "{:?}", audit.actions());
}

const CMAKE: &str = "\
-- src/CMakeLists.txt --
cmake_minimum_required(VERSION 3.13)
project(p C)
add_subdirectory(lib)
add_executable(main main.c)
target_link_libraries(main lib)
add_custom_target(tool ALL COMMAND cat ${CMAKE_SOURCE_DIR}/data)
add_custom_command(TARGET main POST_BUILD COMMAND cmake -E copy main main.copy BYPRODUCTS main.copy)
-- src/data --
-- src/main.c --
int lib(void);
int main(void) { return lib(); }
-- src/lib/CMakeLists.txt --
add_custom_command(
  OUTPUT gen.h
  COMMAND cat ${CMAKE_CURRENT_SOURCE_DIR}/gen.in > gen.h
  DEPENDS gen.in)
add_library(lib lib.c gen.h)
target_include_directories(lib PRIVATE ${CMAKE_CURRENT_BINARY_DIR})
-- src/lib/gen.in --
#define N 0
-- src/lib/lib.c --
#include \"gen.h\"
int lib(void) { return N; }
";

#[test]
fn cmake_configures_and_builds_clean() {
    let project = Project::new(CMAKE);
    let script = "cmake -S src -B b -G Ninja && cmake --build b";
    let audit = project.audit(&["sh", "-c", script]);
    audit.expect(0, &[]);
    assert!(!audit.end.stderr.contains("warning"), "{}", audit.end.show());
    // Changed, so that ninja calls CMake first.
    project.write("src/lib/gen.in", "#define N 1\n");
    project.prepare(&["touch", "src/CMakeLists.txt"]);
    project.audit(&["cmake", "--build", "b"]).expect(0, &[]);
}

#[test]
fn a_finding_in_a_cmake_project_names_its_line() {
    let project = Project::new(&CMAKE.replace("\n  DEPENDS gen.in", ""));
    project.prepare(&["cmake", "-S", "src", "-B", "b", "-G", "Ninja"]);
    let audit = project.audit(&["cmake", "--build", "b"]);
    audit.expect(120, &[("R001", "b/lib/gen.h", "src/lib/gen.in")]);
    let finding = audit.finding("R001", "b/lib/gen.h", "src/lib/gen.in");
    assert_eq!(finding["declared_at"]["file"], "src/lib/CMakeLists.txt");
    assert_eq!(finding["declared_at"]["line"], 1);
}

// With CC in the environment meson takes no ccache, which hides what a compiler reads.
const MESON: &str = "\
-- meson.build --
project('p', 'c')
subdir('lib')
executable('main', 'main.c', link_with: lib)
-- main.c --
int lib(void);
int main(void) { return lib(); }
-- lib/meson.build --
gen = custom_target(
  'gen', output: 'gen.h', input: 'gen.in', capture: true, depend_files: 'more.in',
  command: ['cat', '@INPUT@', meson.current_source_dir() / 'more.in'])
lib = static_library('lib', 'lib.c', gen)
-- lib/gen.in --
#define N 0
-- lib/more.in --
-- lib/lib.c --
#include \"gen.h\"
int lib(void) { return N; }
";

#[test]
fn meson_configures_and_builds_clean() {
    let project = Project::new(MESON);
    let audit = project.audit(&["sh", "-c", "CC=gcc meson setup b && meson compile -C b"]);
    audit.expect(0, &[]);
    project.write("lib/gen.in", "#define N 1\n");
    project.prepare(&["touch", "meson.build"]);
    project.audit(&["ninja", "-C", "b"]).expect(0, &[]);
}

#[test]
fn a_finding_in_a_meson_project_names_its_line() {
    let project = Project::new(&MESON.replace(" depend_files: 'more.in',", ""));
    project.prepare(&["env", "CC=gcc", "meson", "setup", "b"]);
    let audit = project.audit(&["meson", "compile", "-C", "b"]);
    audit.expect(120, &[("R001", "b/lib/gen.h", "lib/more.in")]);
    let finding = audit.finding("R001", "b/lib/gen.h", "lib/more.in");
    assert_eq!(finding["declared_at"]["file"], "lib/meson.build");
    assert_eq!(finding["declared_at"]["line"], 1);
}
