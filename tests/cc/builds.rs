//! Whole builds with `airtight cc` for a compiler.

use crate::site::Site;
use std::collections::BTreeMap;
use std::path::PathBuf;

const CMAKE: &str = "cmake_minimum_required(VERSION 3.13)
project(sample C CXX)
add_library(part STATIC lib/part.c)
target_include_directories(part PUBLIC include)
add_custom_command(OUTPUT gen.h COMMAND cp ${CMAKE_SOURCE_DIR}/gen.in gen.h)
add_executable(main main.cpp gen.h)
target_include_directories(main PRIVATE ${CMAKE_CURRENT_BINARY_DIR})
target_link_libraries(main part)
";

fn project() -> Site {
    let site = Site::new();
    site.write("CMakeLists.txt", CMAKE)
        .write("include/part.h", "#ifdef __cplusplus\nextern \"C\"\n#endif\nint part(void);\n")
        .write("gen.in", "#define GENERATED 4\n")
        .write("lib/part.c", "#include \"part.h\"\nint part(void) { return 3; }\n")
        .write(
            "main.cpp",
            "#include \"part.h\"\n#include \"gen.h\"\n#include <vector>\n\
             int main() { return std::vector<int>(GENERATED, part()).size() + part(); }\n",
        );
    site
}

/// What was made, but for what has times in it.
fn made(site: &Site) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = site.files("build");
    files.retain(|path, _| {
        let name = path.to_string_lossy();
        name.ends_with(".o") || name.ends_with(".d") || name == "main" || name.ends_with(".h")
    });
    files
}

fn cmake(generator: &str) {
    let site = project();
    let build = |launcher: &str| {
        if site.path("build").exists() {
            std::fs::remove_dir_all(site.path("build")).expect("build");
        }
        let mut configure = site.command(&[
            "cmake",
            "-S",
            ".",
            "-B",
            "build",
            "-G",
            generator,
            "-DCMAKE_BUILD_TYPE=Debug",
        ]);
        if !launcher.is_empty() {
            configure
                .args(["C", "CXX"].map(|l| format!("-DCMAKE_{l}_COMPILER_LAUNCHER={launcher}")));
        }
        for mut command in [configure, site.command(&["cmake", "--build", "build", "-v", "-j2"])] {
            let output = command.output().expect("cmake runs");
            let said = String::from_utf8_lossy(&output.stdout);
            let errors = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(0), "{said}{errors}");
            assert_eq!(errors, "", "{said}");
        }
        assert_eq!(site.run("build/main").status.code(), Some(7));
        made(&site)
    };
    let without = build("");
    assert!(without.len() >= 4, "{:?}", without.keys());
    for round in ["run", "restored"] {
        let with = build("airtight;cc");
        let names = |files: &BTreeMap<PathBuf, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&with), names(&without), "{round}");
        for (name, content) in &with {
            assert!(without.get(name) == Some(content), "{round}: {}", name.display());
        }
    }
}

#[test]
fn cmake_with_make() {
    cmake("Unix Makefiles");
}

#[test]
fn cmake_with_ninja() {
    cmake("Ninja");
}

/// The checks of a configure script, as autoconf writes them, and a Makefile as automake does.
const CONFIGURE: &str = r#"set -e
: ${CC=gcc}
try() { cat > conftest.c; eval "$1" > conftest.out 2> conftest.err; }
echo 'int main(void) { return 0; }' | try '$CC -o conftest conftest.c'
./conftest
$CC --version > /dev/null
$CC -v > /dev/null 2>&1
echo 'int x;' | try '$CC -c conftest.c' && test -f conftest.o
echo '#error no' | try '$CC -c conftest.c' && exit 1
echo '#include <stdio.h>' | try '$CC -E conftest.c'
grep -q printf conftest.out
echo '#include <absent.h>' | try '$CC -E conftest.c' && exit 1
echo 'int main(void) { return cos(1); }' | try '$CC -o conftest conftest.c -labsent' && exit 1
echo 'int x;' | try '$CC -MT conftest.o -MD -MP -MF conftest.TPo -c -o conftest.o conftest.c'
grep -q conftest.o conftest.TPo
rm -f conftest*
echo "CC = $CC" > config.mk
"#;

const MAKEFILE: &str = "include config.mk
prog: a.o sub/b.o
\t$(CC) -g -o $@ a.o sub/b.o
a.o: a.c
\t$(CC) -DHAVE_CONFIG_H -I. -g -O2 -MT a.o -MD -MP -MF a.Tpo -c -o a.o a.c
\tmv -f a.Tpo a.Po
sub/b.o: sub/b.c
\tcd sub && $(CC) -I.. -g -c b.c
-include a.Po
";

#[test]
fn configure_and_make() {
    let build = |compiler: &str, again: bool| {
        let site = Site::new();
        site.script("configure", CONFIGURE).write("Makefile", MAKEFILE);
        site.write("config.h", "#define N 2\n");
        site.write(
            "a.c",
            "#include \"config.h\"\nint b(void);\nint main(void) { return b() + N; }\n",
        );
        site.write("sub/b.c", "#include \"config.h\"\nint b(void) { return 40 * N; }\n");
        let run = |line: &[&str]| {
            let output = site.command(line).env("CC", compiler).output().expect("it runs");
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!((output.status.code(), &*said), (Some(0), ""), "{line:?}");
        };
        run(&["./configure"]);
        run(&["make"]);
        assert_eq!(site.run("./prog").status.code(), Some(82));
        if again {
            // A change of the header is seen through the depfile of the user.
            site.write("config.h", "#define N 3\n");
            run(&["touch", "-d", "1 minute ago", "a.o", "sub/b.o", "prog"]);
            run(&["make"]);
            assert_eq!(site.run("./prog").status.code(), Some(123));
        }
        site.read("a.Po")
    };
    assert_eq!(build("gcc", false), build("airtight cc gcc", true));
}
