//! CMake's Makefiles generator.

use super::saved::Saved;
use crate::support::Project;
use airtight_policy::build::Nature;

const PROJECT: &str = "-- CMakeLists.txt --
cmake_minimum_required(VERSION 3.10)
project(demo C)
add_custom_command(OUTPUT gen.h
  COMMAND ${CMAKE_COMMAND} -E copy ${CMAKE_SOURCE_DIR}/gen.h.in gen.h DEPENDS gen.h.in)
add_subdirectory(lib)
add_executable(app main.c gen.h)
target_include_directories(app PRIVATE ${CMAKE_BINARY_DIR})
target_link_libraries(app util)
-- lib/CMakeLists.txt --
add_library(util STATIC util.c)
-- gen.h.in --
#define A 0
-- main.c --
#include \"gen.h\"
#include \"lib/util.h\"
int main(void) { return A + util(); }
-- lib/util.h --
int util(void);
-- lib/util.c --
#include \"util.h\"
int util(void) { return 0; }
-- build.sh --
#!/bin/sh
set -e
cmake -G 'Unix Makefiles' -S . -B build
cmake --build build --parallel 2
";

#[test]
fn a_whole_project() {
    let project = Project::new(PROJECT);
    project.audit(&["./build.sh"]).expect(0, &[]);
    let saved = Saved::open(&project);
    let action = |name: &str| format!("build/{name}");
    let object = action("CMakeFiles/app.dir/main.c.o");
    let inputs = saved.inputs(&object);
    for input in ["main.c", "lib/util.h (.d)", "build/gen.h (.d)"] {
        assert!(inputs.contains(input), "{input}: {inputs:?}");
    }
    assert_eq!(saved.place(&object), "CMakeLists.txt:6");
    assert_eq!(saved.place(&action("gen.h")), "CMakeLists.txt:3");
    assert_eq!(saved.place(&action("lib/libutil.a")), "lib/CMakeLists.txt:1");
    for name in ["cmake_check_build_system", "CMakeFiles/app.dir/depend"] {
        assert_eq!(saved.nature(&action(name)), Nature::Configure, "{name}");
    }
    // Again, with what CMake has learned by then.
    project.write("lib/util.h", "int util(void); \n");
    project.audit(&["./build.sh"]).expect(0, &[]);
}

#[test]
fn a_custom_command_that_says_too_little() {
    let project = Project::new(PROJECT);
    project
        .write("CMakeLists.txt", project.read("CMakeLists.txt").replace(" DEPENDS gen.h.in", ""));
    project.audit(&["./build.sh"]).expect(120, &[("R001", "build/gen.h", "gen.h.in")]);
}

#[test]
fn the_depfile_of_a_custom_command_is_heeded() {
    let project = Project::new(
        "-- CMakeLists.txt --
cmake_minimum_required(VERSION 3.20)
project(demo C)
add_subdirectory(sub)
-- sub/CMakeLists.txt --
add_custom_command(OUTPUT table.txt DEPFILE table.d
  COMMAND ${CMAKE_SOURCE_DIR}/generate ${CMAKE_SOURCE_DIR} DEPENDS ${CMAKE_SOURCE_DIR}/generate)
add_custom_target(tables ALL DEPENDS table.txt)
-- generate --
#!/bin/sh
cat $1/names $1/others > table.txt
echo table.txt: $1/names > table.d
-- names --
-- others --
-- build.sh --
#!/bin/sh
set -e
cmake -G 'Unix Makefiles' -S . -B build
cmake --build build
",
    );
    for change in ["", "x"] {
        project.write("names", change);
        project.audit(&["./build.sh"]).expect(120, &[("R001", "build/sub/table.txt", "others")]);
        let inputs = Saved::open(&project).inputs("build/sub/table.txt");
        assert!(inputs.iter().any(|input| input.starts_with("names")), "{inputs:?}");
        assert!(!inputs.contains("others"), "{inputs:?}");
    }
}
