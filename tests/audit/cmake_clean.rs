//! CMake projects with nothing wrong that an audit could trip over.

use crate::cmake::{GENERATORS, build, configured};
use crate::support::Project;

/// Nothing is found in the build of this project, with either generator.
#[track_caller]
fn clean(list_and_files: &str, options: &[&str]) {
    for generator in GENERATORS {
        let project = configured(generator, list_and_files, options);
        build(&project).expect(0, &[]);
    }
}

const MAIN: &str = "-- main.c --\nint answer(void);\nint main(void) { return answer(); }\n\
                    -- answer.c --\n#include \"answer.h\"\nint answer(void) { return ANSWER; }\n\
                    -- answer.h --\n#define ANSWER 0\n";

#[test]
fn libraries_of_every_kind() {
    clean(
        &format!(
            "project(p C)
add_library(object OBJECT answer.c)
set_target_properties(object PROPERTIES POSITION_INDEPENDENT_CODE ON)
add_library(static STATIC $<TARGET_OBJECTS:object>)
add_library(shared SHARED $<TARGET_OBJECTS:object>)
set_target_properties(shared PROPERTIES VERSION 1.2.3 SOVERSION 1)
add_library(module MODULE answer.c)
add_executable(with_static main.c)
target_link_libraries(with_static static)
add_executable(with_shared main.c)
target_link_libraries(with_shared shared)
{MAIN}"
        ),
        &[],
    );
}

#[test]
fn a_generated_header_among_the_sources() {
    clean(
        "project(p C)
add_custom_command(OUTPUT gen.h DEPENDS gen.in COMMAND cp ${CMAKE_SOURCE_DIR}/gen.in gen.h)
add_executable(program main.c gen.h)
target_include_directories(program PRIVATE ${CMAKE_BINARY_DIR})
-- main.c --
#include \"gen.h\"
int main(void) { return ONE - 1; }
-- gen.in --
#define ONE 1
",
        &[],
    );
}

#[test]
fn a_generated_header_of_another_target() {
    clean(
        "project(p C)
add_custom_command(OUTPUT gen.h DEPENDS gen.in COMMAND cp ${CMAKE_SOURCE_DIR}/gen.in gen.h)
add_custom_target(headers DEPENDS gen.h)
add_executable(program main.c)
target_include_directories(program PRIVATE ${CMAKE_BINARY_DIR})
add_dependencies(program headers)
-- main.c --
#include \"gen.h\"
int main(void) { return ONE - 1; }
-- gen.in --
#define ONE 1
",
        &[],
    );
}

#[test]
fn byproducts_and_several_outputs() {
    clean(
        "project(p NONE)
add_custom_command(OUTPUT a.txt b.txt BYPRODUCTS c.txt
  COMMAND echo 1 > a.txt COMMAND echo 2 > b.txt COMMAND echo 3 > c.txt)
add_custom_command(OUTPUT sum.txt DEPENDS a.txt b.txt
  COMMAND cat a.txt b.txt > between COMMAND cp between sum.txt)
add_custom_target(sum ALL DEPENDS sum.txt)
",
        &[],
    );
}

/// With makefiles the depfile is heeded from the second build on, and not read here.
#[test]
fn a_depfile_of_a_custom_command() {
    let list = r#"project(p NONE)
add_custom_command(OUTPUT table.txt DEPENDS table.sh DEPFILE table.d
  COMMAND sh ${CMAKE_SOURCE_DIR}/table.sh)
add_custom_target(table ALL DEPENDS table.txt)
-- table.sh --
cat "${0%/*}/table.in" > table.txt
echo "table.txt: ${0%/*}/table.in" > table.d
-- table.in --
1
"#;
    build(&configured("Ninja", list, &[])).expect(0, &[]);
}

#[test]
fn link_time_optimisation() {
    clean(
        &format!("project(p C)\nadd_executable(program main.c answer.c)\n{MAIN}"),
        &["-DCMAKE_INTERPROCEDURAL_OPTIMIZATION=ON"],
    );
}

#[test]
fn unity_builds_and_precompiled_headers() {
    clean(
        &format!(
            "project(p C)
add_executable(program main.c answer.c)
target_precompile_headers(program PRIVATE answer.h)
{MAIN}"
        ),
        &["-DCMAKE_UNITY_BUILD=ON"],
    );
    clean(
        &format!(
            "project(p C)
add_executable(program main.c answer.c)
target_precompile_headers(program PRIVATE answer.h)
{MAIN}"
        ),
        &[],
    );
}

#[test]
fn response_files() {
    clean(
        &format!(
            "project(p C)
set(CMAKE_C_USE_RESPONSE_FILE_FOR_OBJECTS 1)
set(CMAKE_C_USE_RESPONSE_FILE_FOR_INCLUDES 1)
add_library(answer STATIC answer.c)
add_executable(program main.c)
target_include_directories(program PRIVATE ${{CMAKE_SOURCE_DIR}})
target_link_libraries(program answer)
{MAIN}"
        ),
        &["-DCMAKE_NINJA_FORCE_RESPONSE_FILE=ON"],
    );
}

#[test]
fn a_generator_in_python_with_modules_of_its_own() {
    clean(
        r#"project(p NONE)
add_custom_command(OUTPUT table.txt DEPENDS generate.py tables/__init__.py tables/rows.py
  COMMAND /usr/bin/python3 ${CMAKE_SOURCE_DIR}/generate.py table.txt)
add_custom_target(table ALL DEPENDS table.txt)
-- generate.py --
import sys
from tables.rows import ROWS
open(sys.argv[1], "w").write(str(ROWS))
-- tables/__init__.py --
-- tables/rows.py --
ROWS = [1, 2, 3]
"#,
        &[],
    );
}

#[test]
fn the_version_comes_from_git() {
    for generator in GENERATORS {
        let project = Project::new(
            r#"-- CMakeLists.txt --
cmake_minimum_required(VERSION 3.20)
project(p NONE)
add_custom_target(version ALL BYPRODUCTS version.txt
  COMMAND git -C ${CMAKE_SOURCE_DIR} describe --always --dirty > version.txt
  COMMAND git -C ${CMAKE_SOURCE_DIR} status --short > status.txt)
add_custom_command(OUTPUT about.txt DEPENDS version.txt COMMAND cp version.txt about.txt)
add_custom_target(about ALL DEPENDS about.txt)
add_dependencies(about version)
-- source.txt --
1
"#,
        );
        let identity = ["git", "-c", "user.name=A", "-c", "user.email=a@example.com"];
        project
            .prepare(&["git", "init", "--quiet"])
            .prepare(&["git", "add", "."])
            .prepare(&[&identity[..], &["commit", "--quiet", "-m", "first"]].concat())
            .prepare(&["cmake", "-G", generator, "-S", ".", "-B", "build"]);
        project.write("source.txt", "2\n");
        build(&project).expect(0, &[]);
    }
}

/// `cmake --build` runs cmake again first: compilers are not looked for again, the whole tree is.
#[test]
fn the_build_description_is_made_anew() {
    for generator in GENERATORS {
        let list = format!(
            "project(p C)
configure_file(config.h.in config.h)
file(GLOB sources CONFIGURE_DEPENDS *.c)
add_executable(program ${{sources}})
target_include_directories(program PRIVATE ${{CMAKE_BINARY_DIR}})
{MAIN}-- config.h.in --\n#define CONFIG 1\n"
        );
        let project = configured(generator, &list, &[]);
        let lists = project.read("CMakeLists.txt");
        project.write("CMakeLists.txt", format!("{lists}# later\n"));
        build(&project).expect(0, &[]);
    }
}

/// Configuring is part of what is audited.
#[test]
fn a_build_from_nothing() {
    for generator in GENERATORS {
        let project = Project::new(&format!(
            "-- CMakeLists.txt --
cmake_minimum_required(VERSION 3.20)
project(p C)
include(CheckIncludeFile)
check_include_file(stdint.h HAVE_STDINT_H)
add_executable(program main.c answer.c)
{MAIN}"
        ));
        let script = format!("cmake -G '{generator}' -S . -B build && cmake --build build -j2");
        project.audit(&["sh", "-c", &script]).expect(0, &[]);
    }
}

#[test]
fn installing() {
    for generator in GENERATORS {
        let project = configured(
            generator,
            &format!(
                "project(p C)
add_library(answer SHARED answer.c)
add_executable(program main.c)
target_link_libraries(program answer)
install(TARGETS answer program)
install(FILES answer.h DESTINATION include)
{MAIN}"
            ),
            &["-DCMAKE_INSTALL_PREFIX=/usr"],
        );
        let stage = format!("DESTDIR={}", project.path("stage").display());
        let command = ["env", &stage, "cmake", "--build", "build", "--target", "install"];
        project.audit(&command).expect(0, &[]);
        assert!(project.path("stage/usr/bin/program").exists());
    }
}

/// A command of ninja's, or of make's, runs make itself.
#[test]
fn make_within_the_build() {
    clean(
        r#"project(p C)
add_custom_command(OUTPUT libold.a DEPENDS old/old.c old/Makefile
  COMMAND make -C ${CMAKE_SOURCE_DIR}/old OUT=${CMAKE_BINARY_DIR})
add_custom_target(old DEPENDS libold.a)
add_executable(program main.c)
target_link_libraries(program ${CMAKE_BINARY_DIR}/libold.a)
add_dependencies(program old)
-- main.c --
int old(void);
int main(void) { return old(); }
-- old/old.c --
int old(void) { return 0; }
-- old/Makefile --
$(OUT)/libold.a: $(OUT)/old.o
	ar rcs $@ $^
$(OUT)/old.o: old.c
	cc -c $< -o $@
"#,
        &[],
    );
}

#[test]
fn commands_around_the_link() {
    clean(
        &format!(
            "project(p C)
add_executable(program main.c answer.c)
add_custom_command(TARGET program PRE_LINK COMMAND echo linking)
add_custom_command(TARGET program POST_BUILD BYPRODUCTS program.sum
  COMMAND md5sum program > program.sum)
{MAIN}"
        ),
        &[],
    );
}

#[test]
fn several_directories() {
    clean(
        r#"project(p C)
add_subdirectory(lib)
add_executable(program main.c)
target_link_libraries(program answer)
-- main.c --
#include <answer.h>
int main(void) { return answer(); }
-- lib/CMakeLists.txt --
add_library(answer STATIC answer.c)
target_include_directories(answer PUBLIC ${CMAKE_CURRENT_SOURCE_DIR}/include)
-- lib/answer.c --
#include <answer.h>
int answer(void) { return 0; }
-- lib/include/answer.h --
int answer(void);
"#,
        &[],
    );
}
