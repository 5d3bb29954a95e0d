use super::*;

fn told(text: &str) -> Vec<(String, u32, Vec<String>)> {
    calls(text).into_iter().map(|call| (call.name, call.line, call.arguments)).collect()
}

#[test]
fn commands_have_a_line_and_arguments() {
    let text = "# add_library(no)\nADD_library(a \"b c\" ${d}/e.c) #[[ x(\n) ]]\n\
                set (x\n  [=[ ]] y ]=] \"q\\\"; \\\nz\" $<IF:$<BOOL:a(b>,c,d>)\nif(NOT (A AND B)) # x(y)\nendif()\n";
    let call = |name: &str, line, arguments: &[&str]| {
        (name.to_owned(), line, arguments.iter().map(|&text| text.to_owned()).collect())
    };
    assert_eq!(
        told(text),
        [
            call("add_library", 2, &["a", "b c", "${d}/e.c"]),
            call("set", 4, &["x", " ]] y ", "q\"; z", "$<IF:$<BOOL:a(b>,c,d>"]),
            call("if", 7, &["NOT", "A", "AND", "B"]),
            call("endif", 8, &[]),
        ]
    );
}

#[test]
fn text_that_is_no_cmake_is_read_to_its_end() {
    for text in
        ["\"", "a(", "a(\"", "[[", "a([[", "#[[", ")", "a(b", "é(ü ", "a(\\", "$<", "]", "a(<)"]
    {
        calls(text);
    }
}

fn places(files: &[(&str, &str)]) -> Places {
    let mut places = Places::default();
    for (name, text) in files {
        let calls = calls(text);
        places.learn(&calls);
        let directory = name.rsplit_once('/').map_or("", |(directory, _)| directory);
        places.files.push(File { shown: (*name).to_owned(), directory: directory.into(), calls });
    }
    places
}

fn shown(place: Option<Place>) -> String {
    place.map_or_else(|| "none".to_owned(), |place| place.to_string())
}

#[test]
fn targets_are_found_by_name() {
    let places = places(&[
        (
            "CMakeLists.txt",
            "project(p)\nset(lib core)\nadd_executable(${PROJECT_NAME} main.c)\n\
             add_library(${lib}_static a.c)\nadd_library(core_static_2 a.c)\n\
             foreach(t x y)\n  add_executable(test_${t} ${t}.c)\nendforeach()\n\
             target_link_libraries(made p)\n",
        ),
        ("sub/CMakeLists.txt", "my_test(made a.c)\nadd_custom_target(docs ALL)\n"),
        (
            "cmake/my.cmake",
            "function(my_test name)\n  add_executable(${name} ${ARGN})\nendfunction()\n",
        ),
    ]);
    for (target, expected) in [
        ("p", "CMakeLists.txt:3"),
        ("core_static", "CMakeLists.txt:4"),
        ("core_static_2", "CMakeLists.txt:5"),
        ("test_y", "CMakeLists.txt:7"),
        ("made", "sub/CMakeLists.txt:1"),
        ("docs", "sub/CMakeLists.txt:2"),
        ("absent", "none"),
    ] {
        assert_eq!(shown(places.target(target)), expected, "{target}");
    }
}

#[test]
fn custom_commands_are_found_by_what_they_make() {
    let places = places(&[
        (
            "CMakeLists.txt",
            "set(GEN ${CMAKE_CURRENT_BINARY_DIR}/by_variable.h)\n\
             add_custom_command(OUTPUT gen.h COMMAND x gen2.h DEPENDS y)\n\
             add_custom_command(OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/gen2.h \"a/with space.c\" COMMAND x)\n\
             add_custom_command(OUTPUT ${GEN} COMMAND x)\n\
             add_custom_command(OUTPUT ${name}_lex.c BYPRODUCTS lex.log COMMAND x)\n\
             add_custom_command(OUTPUT ${unknown} COMMAND x)\n\
             add_custom_command(OUTPUT ${f}.o2 COMMAND x)\nadd_custom_command(OUTPUT ${g}.o2 COMMAND x)\n\
             add_custom_command(TARGET t POST_BUILD COMMAND x gen3.h)\n",
        ),
        ("sub/CMakeLists.txt", "add_custom_command(OUTPUT gen.h COMMAND x)\n"),
    ]);
    for (output, expected) in [
        ("gen.h", "CMakeLists.txt:2"),
        ("sub/gen.h", "sub/CMakeLists.txt:1"),
        ("gen2.h", "CMakeLists.txt:3"),
        ("deep/gen2.h", "CMakeLists.txt:3"),
        ("a/with space.c", "CMakeLists.txt:3"),
        ("by_variable.h", "CMakeLists.txt:4"),
        ("c_lex.c", "CMakeLists.txt:5"),
        ("lex.log", "CMakeLists.txt:5"),
        ("x.o2", "none"),
        ("other_gen.h", "none"),
        ("gen3.h", "none"),
    ] {
        assert_eq!(shown(places.custom_command(output.as_bytes())), expected, "{output}");
    }
}

#[test]
fn variables_that_name_each_other_end() {
    let places =
        places(&[("CMakeLists.txt", "set(a ${b}x)\nset(b ${a}y)\nadd_library(${a} a.c)\n")]);
    assert_eq!(shown(places.target("a")), "none");
}
