//! Compilers and assemblers.

use crate::case::Case;

pub(crate) fn c() -> Case<'static> {
    Case {
        files: &[
            ("a.c", "#include \"inc/a.h\"\nint f(void) { return A; }\n"),
            ("inc/a.h", "#include \"b.h\"\n#define A B\n"),
            ("inc/b.h", "#define B 1\n"),
        ],
        run: "gcc -O2 -c a.c -o a.o",
        inputs: &["a.c", "inc/a.h", "inc/b.h"],
        outputs: &["a.o"],
        ..Case::EMPTY
    }
}

pub(crate) fn cxx() -> Case<'static> {
    Case {
        files: &[
            ("a.cc", "#include \"pair.hpp\"\nint f() { return pair<int>{1, 2}.sum(); }\n"),
            (
                "include/pair.hpp",
                "template <class T> struct pair { T a, b; T sum() const; };\n\
                 #include \"pair.ipp\"\n",
            ),
            ("include/pair.ipp", "template <class T> T pair<T>::sum() const { return a + b; }\n"),
        ],
        run: "g++ -std=c++17 -O1 -Iinclude -c a.cc -o a.o",
        inputs: &["a.cc", "include/pair.hpp", "include/pair.ipp"],
        outputs: &["a.o"],
        ..Case::EMPTY
    }
}

/// Which header it is only the preprocessor knows.
pub(crate) fn macro_include() -> Case<'static> {
    Case {
        files: &[
            (
                "a.c",
                "#define STRING(x) #x\n#define HEADER(x) STRING(cfg_##x.h)\n\
                 #include HEADER(x)\nint f(void) { return A; }\n",
            ),
            ("cfg_x.h", "#define A 1\n"),
        ],
        run: "gcc -c a.c -o a.o",
        inputs: &["a.c", "cfg_x.h"],
        outputs: &["a.o"],
        ..Case::EMPTY
    }
}

/// The header's content does not count, and that it is there does.
pub(crate) fn has_include() -> Case<'static> {
    Case {
        files: &[
            (
                "a.c",
                "#if __has_include(\"feature.h\")\nint feature;\n#endif\n\
                 #if __has_include(\"other.h\")\nint other;\n#endif\n",
            ),
            ("feature.h", "#error\n"),
        ],
        run: "gcc -c a.c -o a.o",
        inputs: &["a.c", "feature.h"],
        outputs: &["a.o"],
        appearing: &[("other.h", "touch other.h")],
        ..Case::EMPTY
    }
}

pub(crate) fn search_order() -> Case<'static> {
    Case {
        files: &[
            ("a.c", "#include \"a.h\"\n#include <b.h>\nint f(void) { return A + B; }\n"),
            ("second/a.h", "#define A 1\n"),
            ("third/b.h", "#define B 1\n"),
        ],
        before: "mkdir first",
        run: "gcc -Ifirst -Isecond -isystem third -c a.c -o a.o",
        inputs: &["a.c", "second/a.h", "third/b.h"],
        outputs: &["a.o"],
        appearing: &[
            ("a.h", "echo '#define A 2' > a.h"),
            ("first/a.h", "echo '#define A 3' > first/a.h"),
            ("second/b.h", "echo '#define B 4' > second/b.h"),
        ],
        ..Case::EMPTY
    }
}

pub(crate) fn include_next() -> Case<'static> {
    Case {
        files: &[
            ("a.c", "#include <a.h>\nint f(void) { return A; }\n"),
            ("over/a.h", "#include_next <a.h>\n#define A (BASE + 1)\n"),
            ("base/a.h", "#define BASE 1\n"),
        ],
        run: "gcc -Iover -idirafter base -c a.c -o a.o",
        inputs: &["a.c", "over/a.h", "base/a.h"],
        outputs: &["a.o"],
        ..Case::EMPTY
    }
}

pub(crate) fn forced_include() -> Case<'static> {
    Case {
        files: &[
            ("a.c", "int f(void) { return A + B; }\n"),
            ("pre.h", "#define A 1\n"),
            ("macros.h", "int not_this;\n#define B 2\n"),
        ],
        run: "gcc -include pre.h -imacros macros.h -c a.c -o a.o",
        inputs: &["a.c", "pre.h", "macros.h"],
        outputs: &["a.o"],
        ..Case::EMPTY
    }
}

/// Response files, one within another.
pub(crate) fn response_file() -> Case<'static> {
    Case {
        files: &[
            ("a.c", "int f(void) { return A + B; }\n"),
            ("flags", "-DA=1 @more/flags\n"),
            ("more/flags", "-DB=2\n"),
        ],
        run: "gcc @flags -c a.c -o a.o",
        inputs: &["a.c", "flags", "more/flags"],
        outputs: &["a.o"],
        ..Case::EMPTY
    }
}

pub(crate) fn specs() -> Case<'static> {
    Case {
        files: &[
            ("a.c", "int f(void) { return A; }\n"),
            ("local.specs", "%include <part.specs>\n"),
            ("part.specs", "*cc1_options:\n+ -DA=1\n\n"),
        ],
        run: "gcc -specs=./local.specs -c a.c -o a.o",
        inputs: &["a.c", "local.specs", "part.specs"],
        outputs: &["a.o"],
        ..Case::EMPTY
    }
}

/// A header that gcc has precompiled is used in place of the header, and before it.
pub(crate) fn precompiled_header() -> Case<'static> {
    Case {
        files: &[
            ("a.c", "#include \"a.h\"\nint f(void) { return A; }\n"),
            ("a.h", "#define A 1\n"),
        ],
        run: "gcc -c a.c -o a.o",
        inputs: &["a.c", "a.h"],
        outputs: &["a.o"],
        appearing: &[("a.h.gch", "echo '#define A 2' > new.h && gcc new.h -o a.h.gch && rm new.h")],
        ..Case::EMPTY
    }
}

pub(crate) fn depfile() -> Case<'static> {
    Case {
        files: &[
            ("src/a.c", "#include \"a.h\"\nint f(void) { return A; }\n"),
            ("include/a.h", "#define A 1\n"),
        ],
        cwd: "build",
        run: "gcc -MMD -MF a.d -I../include -c ../src/a.c -o a.o",
        inputs: &["src/a.c", "include/a.h"],
        outputs: &["build/a.o", "build/a.d"],
        ..Case::EMPTY
    }
}

pub(crate) fn preprocess() -> Case<'static> {
    Case {
        files: &[("a.c", "#include \"a.h\"\nA\n"), ("a.h", "#define A 1\n")],
        run: "gcc -E a.c -o a.i",
        inputs: &["a.c", "a.h"],
        outputs: &["a.i"],
        ..Case::EMPTY
    }
}

/// A search path in a variable.
pub(crate) fn search_variable() -> Case<'static> {
    Case {
        files: &[
            ("a.c", "#include <a.h>\nint f(void) { return A; }\n"),
            ("sys/a.h", "#define A 1\n"),
        ],
        before: "mkdir early",
        environment: &[("CPATH", "early:sys")],
        run: "gcc -c a.c -o a.o",
        inputs: &["a.c", "sys/a.h"],
        outputs: &["a.o"],
        appearing: &[("early/a.h", "echo '#define A 2' > early/a.h")],
        ..Case::EMPTY
    }
}

pub(crate) fn clang() -> Case<'static> {
    Case {
        files: &[
            ("a.c", "#include \"a.h\"\nint f(void) { return A + B; }\n"),
            ("a.h", "#pragma once\n#define A 1\n"),
            ("local.cfg", "-DB=2\n"),
        ],
        run: "clang --config ./local.cfg -O1 -c a.c -o a.o",
        inputs: &["a.c", "a.h", "local.cfg"],
        outputs: &["a.o"],
        ..Case::EMPTY
    }
}

/// A file that says where headers are.
pub(crate) fn overlay() -> Case<'static> {
    Case {
        files: &[
            ("a.c", "#include <a.h>\nint f(void) { return A; }\n"),
            ("real.h", "#define A 1\n"),
            (
                "overlay.yaml",
                "{'version': 0, 'overlay-relative': 'true', 'roots': [\n\
                 {'name': '/virtual/a.h', 'type': 'file', 'external-contents': 'real.h'}]}\n",
            ),
        ],
        run: "clang -ivfsoverlay overlay.yaml -I/virtual -c a.c -o a.o",
        inputs: &["a.c", "real.h", "overlay.yaml"],
        outputs: &["a.o"],
        ..Case::EMPTY
    }
}

/// Assembly that goes through the preprocessor.
pub(crate) fn assembler() -> Case<'static> {
    Case {
        files: &[
            ("a.S", "#include \"a.h\"\n.globl f\nf: mov $A, %eax\n ret\n"),
            ("a.h", "#define A 1\n"),
        ],
        run: "gcc -c a.S -o a.o",
        inputs: &["a.S", "a.h"],
        outputs: &["a.o"],
        ..Case::EMPTY
    }
}

/// What no depfile tells: files that the assembler takes in itself.
pub(crate) fn incbin() -> Case<'static> {
    Case {
        files: &[
            ("a.c", "__asm__(\".include \\\"part.s\\\"\\n.incbin \\\"blob\\\"\\n\");\n"),
            ("include/part.s", ".byte 1\n"),
            ("include/blob", "blob\n"),
        ],
        before: "mkdir early",
        run: "gcc -Wa,-Iearly,-Iinclude -c a.c -o a.o",
        inputs: &["a.c", "include/part.s", "include/blob"],
        outputs: &["a.o"],
        appearing: &[("early/part.s", "echo '.byte 2' > early/part.s")],
        ..Case::EMPTY
    }
}

/// The headers are in a directory of another name.
pub(crate) fn linked_directory() -> Case<'static> {
    Case {
        files: &[
            ("a.c", "#include <a.h>\nint f(void) { return A; }\n"),
            ("include-2/a.h", "#define A 1\n"),
        ],
        before: "ln -s include-2 include",
        run: "gcc -Iinclude -c a.c -o a.o",
        inputs: &["a.c", "include-2/a.h"],
        keyed: &[("include", "a link on the way is in the key, and either end may be declared")],
        outputs: &["a.o"],
        ..Case::EMPTY
    }
}

/// The header is a link, and that is what is declared.
pub(crate) fn linked_header() -> Case<'static> {
    Case {
        files: &[
            ("a.c", "#include \"current.h\"\nint f(void) { return A; }\n"),
            ("versions/2.h", "#define A 2\n"),
        ],
        before: "ln -s versions/2.h current.h",
        run: "gcc -c a.c -o a.o",
        inputs: &["a.c", "current.h"],
        keyed: &[("versions/2.h", "where a declared link leads is in the key")],
        outputs: &["a.o"],
        ..Case::EMPTY
    }
}

/// Headers through a map of modules.
pub(crate) fn modules() -> Case<'static> {
    Case {
        files: &[
            ("a.c", "#include \"a.h\"\nint f(void) { return A; }\n"),
            ("include/a.h", "#define A 1\n"),
            ("include/module.modulemap", "module a { header \"a.h\" }\n"),
        ],
        run: "sh -c 'clang -fmodules -fmodules-cache-path=modules -Iinclude -c a.c && rm -r modules'",
        inputs: &["a.c", "include/a.h", "include/module.modulemap"],
        outputs: &["a.o"],
        ..Case::EMPTY
    }
}

/// Debug information names the directory of the compile.
pub(crate) fn debug_information() -> Case<'static> {
    Case {
        files: &[("a.c", "int f(void) { return 1; }\n")],
        run: "gcc -g -c a.c -o a.o",
        inputs: &["a.c"],
        outputs: &["a.o"],
        here: "debug information names the directory",
        ..Case::EMPTY
    }
}

/// The same where no search finds it.
pub(crate) fn compressed_debug_information() -> Case<'static> {
    Case {
        files: &[("a.c", "#include <stdio.h>\nint f(void) { return puts(\"a\"); }\n")],
        run: "gcc -g -gz -c a.c -o a.o",
        inputs: &["a.c"],
        outputs: &["a.o"],
        here: "debug information names the directory",
        ..Case::EMPTY
    }
}

/// What is compiled again at link time names it too, and is compressed.
pub(crate) fn lto() -> Case<'static> {
    Case {
        files: &[
            ("a.c", "#include \"a.h\"\nint f(void) { return A; }\n"),
            ("a.h", "#define A 1\n"),
        ],
        run: "gcc -O2 -flto -frandom-seed=a -c a.c -o a.o",
        inputs: &["a.c", "a.h"],
        outputs: &["a.o"],
        here: "places in the source are told from the directory",
        ..Case::EMPTY
    }
}

/// A profile of an earlier run decides what is optimised.
pub(crate) fn profile() -> Case<'static> {
    Case {
        files: &[(
            "a.c",
            "int f(int n) { int s = 0; while (n--) s += n % 100 ? n ^ 5 : n * 7; return s; }\n\
             int main(void) { return f(5000) == 1; }\n",
        )],
        before: "gcc -O2 -fprofile-generate -fprofile-update=single -c a.c -o a.o
                 gcc -fprofile-generate a.o -o a && ./a && rm a a.o",
        run: "gcc -O2 -fprofile-use -c a.c -o a.o",
        inputs: &["a.c", "a.gcda"],
        outputs: &["a.o"],
        ..Case::EMPTY
    }
}

/// A profile that is looked for under the name of the whole path.
pub(crate) fn profile_by_place() -> Case<'static> {
    Case {
        run: "gcc -O2 -fprofile-use=profiles -c a.c -o a.o",
        before: "gcc -O2 -fprofile-generate -fprofile-update=single -c a.c -o a.o
                 gcc -fprofile-generate a.o -o a && ./a && rm a a.o
                 mkdir profiles && mv a.gcda profiles/$(pwd | tr / '#')#a.gcda",
        inputs: &["a.c", "profiles/"],
        here: "the name of the profile is made of the path",
        ..profile()
    }
}

/// The directory of the process under the name that the kernel has for it.
pub(crate) fn kernel_name() -> Case<'static> {
    Case {
        files: &[
            ("a.c", "#include <a.h>\nint f(void) { return A; }\n"),
            ("include/a.h", "#define A 1\n"),
        ],
        before: "mkdir early",
        run: "gcc -I/proc/self/cwd/early -I/proc/self/cwd/include -c a.c -o a.o",
        inputs: &["a.c", "include/a.h"],
        outputs: &["a.o"],
        appearing: &[("early/a.h", "echo '#define A 2' > early/a.h")],
        ..Case::EMPTY
    }
}

/// The driver looks for the assembler in a directory of ours first.
pub(crate) fn own_assembler() -> Case<'static> {
    Case {
        files: &[("a.c", "int f(void) { return 1; }\n")],
        before: "mkdir tools",
        run: "gcc -Btools/ -c a.c -o a.o",
        inputs: &["a.c"],
        outputs: &["a.o"],
        appearing: &[(
            "tools/as",
            "printf '#!/bin/sh\\nexec /usr/bin/as --defsym OWN=1 \"$@\"\\n' > tools/as
             chmod +x tools/as",
        )],
        ..Case::EMPTY
    }
}

/// A search path through a directory and up again.
pub(crate) fn search_up() -> Case<'static> {
    const REASON: &str = "that a directory left by `..` is one, and no link, is in the key";
    Case {
        files: &[
            ("a.c", "#include <a.h>\nint f(void) { return A; }\n"),
            ("include/a.h", "#define A 1\n"),
            ("other/include/a.h", "#define A 2\n"),
        ],
        before: "mkdir -p src other/src",
        run: "gcc -Isrc/../include -c a.c -o a.o",
        inputs: &["a.c", "include/a.h"],
        outputs: &["a.o"],
        keyed: &[("src/", REASON)],
        replaced: &[("src", "ln -s other/src src")],
        ..Case::EMPTY
    }
}
