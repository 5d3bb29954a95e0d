//! CMakeLists.txt.

use crate::support::Project;
use crate::{mend, mended};

const PROJECT: &str = "\
-- CMakeLists.txt --
cmake_minimum_required(VERSION 3.13)
project(demo C ASM)
add_custom_command(OUTPUT gen.txt
  COMMAND cat ${CMAKE_CURRENT_SOURCE_DIR}/a.in ${CMAKE_CURRENT_SOURCE_DIR}/b.in > gen.txt
  DEPENDS a.in
  VERBATIM)
add_custom_command(OUTPUT \"two.txt\" COMMAND cat gen.txt > two.txt COMMAND touch side.txt)
add_custom_command(
  OUTPUT three.txt
  COMMAND cat side.txt > three.txt
  DEPENDS two.txt
)
add_custom_target(all_texts ALL DEPENDS gen.txt two.txt three.txt)
add_subdirectory(app)
-- app/CMakeLists.txt --
add_executable(app main.c blob.S)
target_link_options(app PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/extra.ld)
-- app/main.c --
int main(void) { return 0; }
-- app/blob.S --
.section .note.GNU-stack,\"\",%progbits
.data
.incbin \"SOURCE/app/blob.bin\"
-- app/blob.bin --
x
-- app/extra.ld --
answer = 42;
-- a.in --
-- b.in --
";

#[test]
fn custom_commands_compiles_and_links() {
    let project = Project::new(PROJECT);
    let source = project.path("");
    let source = source.to_str().expect("UTF-8").trim_end_matches('/');
    project.write("app/blob.S", project.read("app/blob.S").replace("SOURCE", source));
    project.prepare(&["cmake", "-G", "Ninja", "-S", ".", "-B", "out"]);
    let build = ["ninja", "-C", "out", "-j1"];
    let audit = project.audit(&build);
    audit.expect(
        120,
        &[
            ("R001", "out/gen.txt", "b.in"),
            ("R003", "out/two.txt", "out/gen.txt"),
            ("R005", "out/three.txt", "out/side.txt"),
            ("R001", "out/app/CMakeFiles/app.dir/blob.S.o", "app/blob.bin"),
            ("R001", "out/app/app", "app/extra.ld"),
        ],
    );
    let (shown, written) = mend(&project, &["CMakeLists.txt", "app/CMakeLists.txt"]);
    let expected = "\
--- a/CMakeLists.txt
+++ b/CMakeLists.txt
@@ -2,13 +2,13 @@
 project(demo C ASM)
 add_custom_command(OUTPUT gen.txt
   COMMAND cat ${CMAKE_CURRENT_SOURCE_DIR}/a.in ${CMAKE_CURRENT_SOURCE_DIR}/b.in > gen.txt
-  DEPENDS a.in
+  DEPENDS a.in ${CMAKE_CURRENT_SOURCE_DIR}/b.in
   VERBATIM)
-add_custom_command(OUTPUT \"two.txt\" COMMAND cat gen.txt > two.txt COMMAND touch side.txt)
+add_custom_command(OUTPUT \"two.txt\" COMMAND cat gen.txt > two.txt COMMAND touch side.txt \
         BYPRODUCTS ${CMAKE_CURRENT_BINARY_DIR}/side.txt \
         DEPENDS ${CMAKE_CURRENT_BINARY_DIR}/gen.txt)
 add_custom_command(
   OUTPUT three.txt
   COMMAND cat side.txt > three.txt
-  DEPENDS two.txt
+  DEPENDS two.txt ${CMAKE_CURRENT_BINARY_DIR}/side.txt
 )
 add_custom_target(all_texts ALL DEPENDS gen.txt two.txt three.txt)
 add_subdirectory(app)
--- a/app/CMakeLists.txt
+++ b/app/CMakeLists.txt
@@ -1,2 +1,4 @@
 add_executable(app main.c blob.S)
+set_property(SOURCE blob.S APPEND PROPERTY OBJECT_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/blob.bin)
+set_property(TARGET app APPEND PROPERTY LINK_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/extra.ld)
 target_link_options(app PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/extra.ld)
";
    assert_eq!(shown.stdout, expected);
    written.code(0);
    // The graph is that of the last run of CMake; nothing is written twice all the same.
    let again = project.airtight(&["fix", "--diff"]);
    assert_eq!(again.code(0).stdout, "");
    project.prepare(&["ninja", "-C", "out", "-t", "clean"]);
    mended(&project, &build, &project.audit(&build));
}

#[test]
fn files_of_another_directory_are_left_to_people() {
    let project = Project::new(
        "\
-- CMakeLists.txt --
cmake_minimum_required(VERSION 3.13)
project(demo NONE)
add_subdirectory(gen)
add_subdirectory(use)
-- gen/CMakeLists.txt --
add_custom_command(OUTPUT gen.txt COMMAND echo > gen.txt)
add_custom_target(gen ALL DEPENDS gen.txt)
-- use/CMakeLists.txt --
add_custom_command(OUTPUT use.txt COMMAND cat ../gen/gen.txt > use.txt)
add_custom_target(use ALL DEPENDS use.txt)
",
    );
    project.prepare(&["cmake", "-G", "Ninja", "-S", ".", "-B", "out"]);
    let build = ["ninja", "-C", "out", "-j1", "gen", "use"];
    project.audit(&build).expect(120, &[("R003", "out/use/use.txt", "out/gen/gen.txt")]);
    let shown = project.airtight(&["fix"]);
    assert_eq!(shown.code(1).stdout, "");
    assert!(shown.stderr.contains("use add_dependencies"), "{}", shown.show());
}
