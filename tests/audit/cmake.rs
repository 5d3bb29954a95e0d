//! CMake projects with one fault each, built by Ninja and by makefiles: both tell the same.

use crate::support::{Audit, Project};

/// Where the build tree is, and what every project begins with.
const HEAD: &str = "-- CMakeLists.txt --\ncmake_minimum_required(VERSION 3.20)\n";

/// The generators whose builds are audited.
pub(crate) const GENERATORS: [&str; 2] = ["Ninja", "Unix Makefiles"];

/// Lays out a project and configures it in `build`. `list` goes into CMakeLists.txt; files follow.
pub(crate) fn configured(generator: &str, list_and_files: &str, options: &[&str]) -> Project {
    let project = Project::new(&format!("{HEAD}{list_and_files}"));
    let command = ["cmake", "-G", generator, "-S", ".", "-B", "build"];
    project.prepare(&[&command[..], options].concat());
    project
}

/// Audits the build of a configured project, one action at a time, so that it is the same every
/// time.
pub(crate) fn build(project: &Project) -> Audit {
    project.audit(&["cmake", "--build", "build", "-j1"])
}

/// Builds once with each generator and expects these findings.
#[track_caller]
fn expect(list_and_files: &str, findings: &[(&str, &str, &str)]) {
    for generator in GENERATORS {
        let project = configured(generator, list_and_files, &[]);
        build(&project).expect(120, findings);
    }
}

#[test]
fn a_custom_command_reads_a_file_that_it_does_not_declare() {
    expect(
        r#"project(p NONE)
add_custom_command(OUTPUT table.txt
  COMMAND sh ${CMAKE_SOURCE_DIR}/table.sh DEPENDS table.sh)
add_custom_target(table ALL DEPENDS table.txt)
-- table.sh --
cat "${0%/*}/table.in" > table.txt
-- table.in --
1
"#,
        &[("R001", "build/table.txt", "table.in")],
    );
}

#[test]
fn an_executable_is_linked_with_a_script_that_it_does_not_declare() {
    expect(
        r#"project(p C)
add_library(api SHARED api.c)
target_link_options(api PRIVATE -Wl,--version-script=${CMAKE_SOURCE_DIR}/api.map)
-- api.c --
int api(void) { return 1; }
-- api.map --
{ global: api; local: *; };
"#,
        &[("R001", "build/libapi.so", "api.map")],
    );
}

/// The header's generator comes first only because it stands in the outer directory.
#[test]
fn a_generated_header_is_included_without_an_order() {
    expect(
        r#"project(p C)
add_custom_target(a_header ALL DEPENDS gen.h)
add_custom_command(OUTPUT gen.h DEPENDS gen.in COMMAND cp ${CMAKE_SOURCE_DIR}/gen.in gen.h)
add_subdirectory(program)
-- program/CMakeLists.txt --
add_executable(program main.c)
target_include_directories(program PRIVATE ${CMAKE_BINARY_DIR})
-- program/main.c --
#include "gen.h"
int main(void) { return ONE - 1; }
-- gen.in --
#define ONE 1
"#,
        &[("R003", "build/program/CMakeFiles/program.dir/main.c.o", "build/gen.h")],
    );
}

/// `add_dependencies` makes the file first, and a change of it runs nothing again.
#[test]
fn a_file_of_another_target_is_known_by_its_order_only() {
    expect(
        r#"project(p NONE)
add_custom_command(OUTPUT data.txt COMMAND echo 1 > data.txt)
add_custom_target(data ALL DEPENDS data.txt)
add_custom_command(OUTPUT report.txt COMMAND cp data.txt report.txt)
add_custom_target(report ALL DEPENDS report.txt)
add_dependencies(report data)
"#,
        &[("R002", "build/report.txt", "build/data.txt")],
    );
}

#[test]
fn two_commands_write_one_file() {
    expect(
        r#"project(p NONE)
add_custom_command(OUTPUT a.txt COMMAND echo a > a.txt COMMAND echo a > build.log)
add_custom_command(OUTPUT b.txt DEPENDS a.txt COMMAND echo b > b.txt COMMAND echo b > build.log)
add_custom_target(both ALL DEPENDS a.txt b.txt)
"#,
        &[("W003", "build/b.txt", "build/build.log")],
    );
}

#[test]
fn two_commands_use_one_temporary_file() {
    expect(
        r#"project(p NONE)
add_custom_command(OUTPUT a.txt
  COMMAND echo a > temporary COMMAND cp temporary a.txt COMMAND rm temporary)
add_custom_command(OUTPUT b.txt
  COMMAND echo b > temporary COMMAND cp temporary b.txt COMMAND rm temporary)
add_custom_target(both ALL DEPENDS a.txt b.txt)
"#,
        &[("W008", "build/b.txt", "build/temporary")],
    );
}

/// In makefiles there is no way to declare it, and whenever it is made anew the reader runs.
#[test]
fn a_file_that_nobody_declares_is_made_and_read() {
    let list = r#"project(p NONE)
add_custom_command(OUTPUT main.txt COMMAND echo 1 > main.txt COMMAND echo 2 > beside.txt)
add_custom_command(OUTPUT user.txt DEPENDS main.txt COMMAND cat main.txt beside.txt > user.txt)
add_custom_target(user ALL DEPENDS user.txt)
"#;
    build(&configured("Ninja", list, &[]))
        .expect(120, &[("R005", "build/user.txt", "build/beside.txt")]);
    build(&configured("Unix Makefiles", list, &[])).expect(0, &[]);
}

#[test]
fn a_file_is_made_after_another_command_looked_for_it() {
    expect(
        r#"project(p NONE)
add_custom_command(OUTPUT first.txt COMMAND sh ${CMAKE_SOURCE_DIR}/look.sh DEPENDS look.sh)
add_custom_command(OUTPUT option.txt DEPENDS first.txt COMMAND echo 1 > option.txt)
add_custom_target(both ALL DEPENDS first.txt option.txt)
-- look.sh --
if [ -e option.txt ]; then echo with; else echo without; fi > first.txt
"#,
        &[("W006", "build/option.txt", "build/option.txt")],
    );
}

/// In makefiles a second output is a rule without a command of its own, which CMake has always run.
#[test]
fn a_declared_output_is_never_made() {
    let list = r#"project(p NONE)
add_custom_command(OUTPUT made.txt never.txt COMMAND echo 1 > made.txt)
add_custom_target(made ALL DEPENDS made.txt never.txt)
"#;
    build(&configured("Ninja", list, &[]))
        .expect(120, &[("W002", "build/made.txt", "build/never.txt")]);
    build(&configured("Unix Makefiles", list, &[])).expect(0, &[]);
}

#[test]
fn a_command_writes_into_the_source_tree() {
    expect(
        r#"project(p NONE)
add_custom_command(OUTPUT stamp.txt DEPENDS stamp.in
  COMMAND echo 1 > ${CMAKE_SOURCE_DIR}/version.txt COMMAND cp ${CMAKE_SOURCE_DIR}/stamp.in stamp.txt)
add_custom_target(stamp ALL DEPENDS stamp.txt)
-- stamp.in --
1
"#,
        &[("W001", "build/stamp.txt", "version.txt")],
    );
}

#[test]
fn a_command_changes_its_own_input() {
    expect(
        r#"project(p NONE)
add_custom_command(OUTPUT count.txt DEPENDS counter.in
  COMMAND echo 2 > ${CMAKE_SOURCE_DIR}/counter.in COMMAND echo 1 > count.txt)
add_custom_target(count ALL DEPENDS count.txt)
-- counter.in --
1
"#,
        &[("W004", "build/count.txt", "counter.in")],
    );
}

/// The second build reads what the first one made later.
#[test]
fn a_command_reads_what_is_made_of_its_own_result() {
    for generator in GENERATORS {
        let project = configured(
            generator,
            r#"project(p NONE)
add_custom_command(OUTPUT first.txt DEPENDS seed.txt COMMAND sh ${CMAKE_SOURCE_DIR}/first.sh)
add_custom_command(OUTPUT last.txt DEPENDS first.txt COMMAND cp first.txt last.txt)
add_custom_target(last ALL DEPENDS last.txt)
-- first.sh --
cat last.txt > first.txt 2>/dev/null || echo new > first.txt
-- seed.txt --
1
"#,
            &[],
        );
        project.prepare(&["cmake", "--build", "build"]);
        project.write("seed.txt", "2\n");
        build(&project).expect(
            120,
            &[
                ("R001", "build/first.txt", "first.sh"),
                ("R004", "build/first.txt", "build/last.txt"),
            ],
        );
    }
}

#[test]
fn a_failed_build_is_judged_and_keeps_its_code() {
    for generator in GENERATORS {
        let project = configured(
            generator,
            r#"project(p NONE)
add_custom_command(OUTPUT table.txt
  COMMAND sh ${CMAKE_SOURCE_DIR}/table.sh DEPENDS table.sh)
add_custom_target(table ALL DEPENDS table.txt)
-- table.sh --
cat "${0%/*}/table.in" > table.txt; exit 3
-- table.in --
1
"#,
            &[],
        );
        let code = project.command("cmake", &["--build", "build"]).status().expect("cmake").code();
        let code = code.expect("an exit code");
        assert_ne!(code, 0);
        build(&project).expect(code, &[("R001", "build/table.txt", "table.in")]);
    }
}
