//! meson projects: one with each fault, and what an audit could trip over.

use crate::support::{Audit, Project};

/// Configures in `build`, for a compiler that is named: otherwise meson puts ccache before it where
/// there is one, which hides what a compiler reads.
pub(crate) const SETUP: [&str; 5] = ["env", "CC=gcc", "meson", "setup", "build"];

/// Lays out a project of these files and configures it in `build`.
fn configured(files: &str, options: &[&str]) -> Project {
    let project = Project::new(files);
    project.prepare(&[&SETUP[..], options].concat());
    project
}

/// Audits the build of a configured project, one action at a time, so that it is the same every
/// time.
fn build(project: &Project) -> Audit {
    project.audit(&["meson", "compile", "-C", "build", "-j", "1"])
}

#[track_caller]
fn expect(files: &str, findings: &[(&str, &str, &str)]) {
    build(&configured(files, &[])).expect(120, findings);
}

#[track_caller]
fn clean(files: &str, options: &[&str]) {
    build(&configured(files, options)).expect(0, &[]);
}

#[test]
fn a_custom_target_reads_a_file_that_it_does_not_declare() {
    expect(
        r#"-- meson.build --
project('p')
custom_target('table', output: 'table.txt', build_by_default: true, capture: true,
  command: [files('table.sh')])
-- table.sh --
#!/bin/sh
cat "${0%/*}/table.in"
-- table.in --
1
"#,
        &[("R001", "build/table.txt", "table.in")],
    );
}

#[test]
fn a_library_is_linked_with_a_script_that_it_does_not_declare() {
    let files = |more: &str| {
        format!(
            "-- meson.build --
project('p', 'c')
map = meson.current_source_dir() / 'api.map'
shared_library('api', 'api.c', link_args: '-Wl,--version-script=' + map{more})
-- api.c --
int api(void) {{ return 1; }}
-- api.map --
{{ global: api; local: *; }};
"
        )
    };
    expect(&files(""), &[("R001", "build/libapi.so", "api.map")]);
    clean(&files(", link_depends: map"), &[]);
}

/// The header's generator comes first only by its place in the file.
#[test]
fn a_generated_header_is_included_without_an_order() {
    let files = |sources: &str| {
        format!(
            "-- meson.build --
project('p', 'c')
header = custom_target('header', output: 'gen.h', build_by_default: true, capture: true,
  command: ['echo', '#define ONE 1'])
subdir('program')
-- program/meson.build --
executable('program', {sources}, include_directories: '..')
-- program/main.c --
#include \"gen.h\"
int main(void) {{ return ONE - 1; }}
"
        )
    };
    let project = configured(&files("'main.c'"), &[]);
    build(&project).expect(120, &[("R003", "build/program/program.p/main.c.o", "build/gen.h")]);
    clean(&files("'main.c', header"), &[]);
}

#[test]
fn a_generated_header_is_known_to_a_dependency() {
    clean(
        "-- meson.build --
project('p', 'c')
header = custom_target('header', output: 'gen.h', capture: true,
  command: ['echo', '#define ONE 1'])
generated = declare_dependency(sources: header)
executable('program', 'main.c', dependencies: generated)
-- main.c --
#include \"gen.h\"
int main(void) { return ONE - 1; }
",
        &[],
    );
}

#[test]
fn a_target_writes_among_the_sources() {
    let project = configured(
        r#"-- meson.build --
project('p')
custom_target('stamp', input: 'stamp.in', output: 'stamp.txt', build_by_default: true,
  command: ['sh', '-c', 'cp "$1" "$2"; echo 1 > "$3/version.txt"', 'sh', '@INPUT@', '@OUTPUT@',
    meson.current_source_dir()])
-- stamp.in --
"#,
        &[],
    );
    let expected = [("W001", "build/stamp.txt", "version.txt")];
    project.audit(&["ninja", "-C", "build"]).expect(120, &expected);
}

#[test]
fn two_targets_write_one_file() {
    expect(
        "-- meson.build --
project('p')
a = custom_target('a', output: 'a.txt', build_by_default: true,
  command: ['sh', '-c', 'echo a > \"$1\"; echo a > build.log', 'sh', '@OUTPUT@'])
custom_target('b', output: 'b.txt', build_by_default: true, depends: a,
  command: ['sh', '-c', 'echo b > \"$1\"; echo b > build.log', 'sh', '@OUTPUT@'])
",
        &[("W003", "build/b.txt", "build/build.log")],
    );
}

#[test]
fn two_targets_use_one_temporary_file() {
    expect(
        "-- meson.build --
project('p')
foreach name : ['a', 'b']
  custom_target(name, output: name + '.txt', build_by_default: true,
    command: ['sh', '-c', 'echo $0 > temporary; cp temporary \"$1\"; rm temporary', name,
      '@OUTPUT@'])
endforeach
",
        &[("W008", "build/b.txt", "build/temporary")],
    );
}

#[test]
fn a_file_that_nobody_declares_is_made_and_read() {
    expect(
        "-- meson.build --
project('p')
main = custom_target('main', output: 'main.txt',
  command: ['sh', '-c', 'echo 1 > main.txt; echo 2 > beside.txt'])
custom_target('user', output: 'user.txt', input: main, build_by_default: true,
  command: ['sh', '-c', 'cat main.txt beside.txt > user.txt'])
",
        &[("R005", "build/user.txt", "build/beside.txt")],
    );
}

#[test]
fn a_file_is_made_after_another_target_looked_for_it() {
    expect(
        r#"-- meson.build --
project('p')
first = custom_target('first', output: 'first.txt', capture: true, command: [files('look.sh')])
custom_target('option', output: 'option.txt', depends: first, build_by_default: true,
  command: ['touch', '@OUTPUT@'])
-- look.sh --
#!/bin/sh
if [ -e option.txt ]; then echo with; else echo without; fi
"#,
        &[("W006", "build/option.txt", "build/option.txt")],
    );
}

#[test]
fn a_declared_output_is_never_made() {
    expect(
        "-- meson.build --
project('p')
custom_target('made', output: ['made.txt', 'never.txt'], build_by_default: true,
  command: ['touch', '@OUTPUT0@'])
",
        &[("W002", "build/made.txt", "build/never.txt")],
    );
}

/// The second build reads what the first one made later.
#[test]
fn a_target_reads_what_is_made_of_its_own_result() {
    let project = configured(
        "-- meson.build --
project('p')
first = custom_target('first', output: 'first.txt', input: 'seed.txt',
  command: ['sh', '-c', 'cat last.txt > first.txt 2>/dev/null || echo new > first.txt'])
custom_target('last', output: 'last.txt', input: first, build_by_default: true,
  command: ['cp', '@INPUT@', '@OUTPUT@'])
-- seed.txt --
1
",
        &[],
    );
    project.prepare(&["meson", "compile", "-C", "build"]);
    project.write("seed.txt", "2\n");
    build(&project).expect(120, &[("R004", "build/first.txt", "build/last.txt")]);
}

// --- nothing wrong --------------------------------------------------------------------------------

#[test]
fn libraries_of_every_kind_and_their_tests() {
    let files = "-- meson.build --
project('p', 'c', version: '1.2.3')
config = configuration_data({'ANSWER': 0})
configure_file(output: 'config.h', configuration: config)
both = both_libraries('answer', 'answer.c', version: '1.2.3', install: true)
static = static_library('more', 'more.c')
program = executable('program', 'main.c', link_with: [both.get_shared_lib(), static], install: true)
test('answer', program)
-- answer.c --
#include \"config.h\"
int answer(void) { return ANSWER; }
-- more.c --
int more(void) { return 0; }
-- main.c --
int answer(void);
int more(void);
int main(void) { return answer() + more(); }
";
    let project = configured(files, &["--prefix", "/usr"]);
    build(&project).expect(0, &[]);
    project.audit(&["meson", "test", "-C", "build"]).expect(0, &[]);
    let stage = format!("DESTDIR={}", project.path("stage").display());
    project.audit(&["env", &stage, "ninja", "-C", "build", "install"]).expect(0, &[]);
    assert!(project.path("stage/usr/bin/program").exists());
    for option in ["-Db_lto=true", "-Dunity=on", "-Ddefault_library=static"] {
        clean(files, &[option]);
    }
}

#[test]
fn a_target_with_a_depfile() {
    clean(
        r#"-- meson.build --
project('p')
custom_target('table', output: 'table.txt', depfile: 'table.d', build_by_default: true,
  command: [files('table.sh'), '@OUTPUT@', '@DEPFILE@'])
-- table.sh --
#!/bin/sh
cat "${0%/*}/table.in" > "$1"
echo "$1: ${0%/*}/table.in" > "$2"
-- table.in --
1
"#,
        &[],
    );
}

#[test]
fn generators_in_python_and_c() {
    clean(
        r#"-- meson.build --
project('p', 'c')
python = find_program('/usr/bin/python3')
table = custom_target('table', output: ['table.c', 'table.h'], input: 'table.py',
  depend_files: files('rows.py'), command: [python, '@INPUT@', '@OUTPUT@'])
upper = executable('upper', 'upper.c', native: true)
made = generator(upper, output: '@BASENAME@.c', arguments: ['@INPUT@', '@OUTPUT@'])
executable('program', 'main.c', table, made.process('word.txt'))
-- table.py --
import sys
from rows import ROWS
open(sys.argv[1], "w").write(f"int rows = {len(ROWS)};\n")
open(sys.argv[2], "w").write("extern int rows;\n")
-- rows.py --
ROWS = []
-- upper.c --
#include <stdio.h>
int main(int argc, char **argv) {
  FILE *in = fopen(argv[1], "r"), *out = fopen(argv[2], "w");
  fprintf(out, "int word = %d;\n", getc(in) - '0');
  return fclose(in) | fclose(out) | (argc != 3);
}
-- word.txt --
0
-- main.c --
#include "table.h"
extern int word;
int main(void) { return rows + word; }
"#,
        &[],
    );
}

#[test]
fn a_subproject() {
    clean(
        "-- meson.build --
project('p', 'c')
answer = subproject('answer').get_variable('answer')
executable('program', 'main.c', dependencies: answer)
-- main.c --
#include <answer.h>
int main(void) { return answer(); }
-- subprojects/answer/meson.build --
project('answer', 'c')
library = static_library('answer', 'answer.c')
answer = declare_dependency(link_with: library, include_directories: 'include')
-- subprojects/answer/answer.c --
int answer(void) { return 0; }
-- subprojects/answer/include/answer.h --
int answer(void);
",
        &[],
    );
}

#[test]
fn the_version_comes_from_git() {
    let project = Project::new(
        "-- meson.build --
project('p', 'c')
version = vcs_tag(command: ['git', 'describe', '--always', '--dirty'],
  input: 'version.h.in', output: 'version.h')
executable('program', 'main.c', version)
-- version.h.in --
#define VERSION \"@VCS_TAG@\"
-- main.c --
#include \"version.h\"
int main(void) { return sizeof VERSION == 0; }
",
    );
    let identity = ["git", "-c", "user.name=A", "-c", "user.email=a@example.com"];
    project
        .prepare(&["git", "init", "--quiet"])
        .prepare(&["git", "add", "."])
        .prepare(&[&identity[..], &["commit", "--quiet", "-m", "first"]].concat())
        .prepare(&SETUP);
    build(&project).expect(0, &[]);
}

#[test]
fn the_build_description_is_made_anew() {
    let project = configured(
        "-- meson.build --
project('p', 'c')
configure_file(input: 'config.h.in', output: 'config.h', configuration: {'ZERO': 0})
executable('program', 'main.c')
-- config.h.in --
#mesondefine ZERO
-- main.c --
#include \"config.h\"
int main(void) { return ZERO; }
",
        &[],
    );
    let description = project.read("meson.build");
    project.write("meson.build", format!("{description}# later\n"));
    build(&project).expect(0, &[]);
}

/// Configuring is part of what is audited.
#[test]
fn a_build_from_nothing() {
    let project = Project::new(
        "-- meson.build --
project('p', 'c')
meson.get_compiler('c').has_header('stdint.h')
executable('program', 'main.c')
-- main.c --
int main(void) { return 0; }
",
    );
    project.audit(&["sh", "-c", "CC=gcc meson setup build && ninja -C build"]).expect(0, &[]);
}
