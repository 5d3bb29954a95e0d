//! Archives, linkers, and tools for object files.

use crate::case::Case;

const MAIN: (&str, &str) = ("main.c", "int f(void);\nint main(void) { return f(); }\n");
const ONE: (&str, &str) = ("one.c", "int g(void);\nint f(void) { return g() + 1; }\n");
const TWO: (&str, &str) = ("two.c", "int g(void) { return 2; }\n");
const ALL: &[(&str, &str)] = &[MAIN, ONE, TWO];

/// Of a program without a C library.
const START: (&str, &str) = ("start.c", "int g(void);\nvoid _start(void) { for (;;) g(); }\n");

pub(crate) fn archive() -> Case<'static> {
    Case {
        files: ALL,
        before: "gcc -c one.c two.c",
        run: "ar rcsD libshapes.a one.o two.o",
        inputs: &["one.o", "two.o"],
        outputs: &["libshapes.a"],
        ..Case::EMPTY
    }
}

/// What ar does is in a script on its standard input.
pub(crate) fn archive_script() -> Case<'static> {
    Case {
        files: &[
            MAIN,
            ONE,
            TWO,
            ("script", "CREATE all.a\nADDLIB first.a\nADDMOD two.o\nSAVE\nEND\n"),
        ],
        before: "gcc -c one.c two.c && ar rcD first.a one.o",
        run: "sh -c 'ar -M < script'",
        inputs: &["script", "first.a", "two.o"],
        outputs: &["all.a"],
        ..Case::EMPTY
    }
}

pub(crate) fn program() -> Case<'static> {
    Case {
        files: ALL,
        before: "gcc -c main.c one.c two.c",
        run: "gcc main.o one.o two.o -o prog",
        inputs: &["main.o", "one.o", "two.o"],
        outputs: &["prog"],
        ..Case::EMPTY
    }
}

/// A library is looked for in one directory after another, shared before static.
pub(crate) fn library_order() -> Case<'static> {
    Case {
        files: ALL,
        before: "mkdir early late && gcc -c main.c one.c two.c && ar rcD late/libf.a one.o two.o",
        run: "gcc main.o -Learly -Llate -lf -o prog",
        inputs: &["main.o", "late/libf.a"],
        outputs: &["prog"],
        appearing: &[
            (
                "early/libf.a",
                "echo 'int f(void) { return 3; }' | gcc -x c -c -o three.o -
                              ar rcD early/libf.a three.o && rm three.o",
            ),
            ("late/libf.so", "gcc -shared one.o two.o -o late/libf.so"),
        ],
        ..Case::EMPTY
    }
}

/// A thin archive holds names only.
pub(crate) fn thin_archive() -> Case<'static> {
    Case {
        files: ALL,
        before: "gcc -c main.c one.c two.c && ar rcDT thin.a one.o two.o",
        run: "gcc main.o thin.a -o prog",
        inputs: &["main.o", "thin.a", "one.o", "two.o"],
        outputs: &["prog"],
        ..Case::EMPTY
    }
}

/// A library that is a text with the names of others.
pub(crate) fn implicit_script() -> Case<'static> {
    Case {
        files: &[MAIN, ONE, TWO, ("lib/libf.so", "INPUT(one.o -ltwo)\n")],
        before: "gcc -c main.c one.c two.c && mv one.o lib && ar rcD lib/libtwo.a two.o",
        run: "gcc main.o -Llib -lf -o prog",
        inputs: &["main.o", "lib/libf.so", "lib/one.o", "lib/libtwo.a"],
        outputs: &["prog"],
        ..Case::EMPTY
    }
}

pub(crate) fn linker_script() -> Case<'static> {
    Case {
        files: &[
            START,
            TWO,
            ("prog.ld", "ENTRY(_start)\nSECTIONS { INCLUDE text.ld .data : { *(.data) } }\n"),
            ("scripts/text.ld", ".text 0x400000 : { *(.text) }\n"),
        ],
        before: "gcc -ffreestanding -c start.c two.c",
        run: "ld -Lscripts -T prog.ld -o prog start.o two.o",
        inputs: &["start.o", "two.o", "prog.ld", "scripts/text.ld"],
        outputs: &["prog"],
        appearing: &[("text.ld", "echo '.text 0x500000 : { *(.text) }' > text.ld")],
        ..Case::EMPTY
    }
}

pub(crate) fn version_script() -> Case<'static> {
    Case {
        files: &[ONE, TWO, ("one.map", "V1 { global: f; local: *; };\n")],
        before: "gcc -fPIC -c one.c two.c",
        run: "gcc -shared -Wl,--version-script=one.map one.o two.o -o libone.so",
        inputs: &["one.o", "two.o", "one.map"],
        outputs: &["libone.so"],
        ..Case::EMPTY
    }
}

/// The linker looks into a library that only another library needs.
pub(crate) fn needed_library() -> Case<'static> {
    Case {
        files: ALL,
        before: "mkdir deep && gcc -fPIC -c main.c one.c two.c
                 gcc -shared two.o -o deep/libtwo.so
                 gcc -shared one.o -Ldeep -ltwo -o libone.so",
        run: "gcc main.o -L. -lone -Wl,-rpath-link,deep -o prog",
        inputs: &["main.o", "libone.so", "deep/libtwo.so"],
        outputs: &["prog"],
        ..Case::EMPTY
    }
}

pub(crate) fn response_file() -> Case<'static> {
    Case {
        files: &[MAIN, ONE, TWO, ("objects", "main.o one.o\ntwo.o\n")],
        before: "gcc -c main.c one.c two.c",
        run: "gcc @objects -o prog",
        inputs: &["objects", "main.o", "one.o", "two.o"],
        outputs: &["prog"],
        ..Case::EMPTY
    }
}

/// The compiler runs at link time, on what the objects hold.
pub(crate) fn lto() -> Case<'static> {
    Case {
        files: ALL,
        before: "gcc -O2 -flto -c main.c one.c two.c && gcc-ar rcD libtwo.a two.o",
        run: "gcc -O2 -flto main.o one.o libtwo.a -o prog",
        inputs: &["main.o", "one.o", "libtwo.a"],
        outputs: &["prog"],
        ..Case::EMPTY
    }
}

pub(crate) fn relocatable() -> Case<'static> {
    Case {
        files: &[START, TWO, ("symbols", "g\n")],
        before: "gcc -ffreestanding -c start.c two.c",
        run: "ld -r --retain-symbols-file=symbols start.o two.o -o all.o",
        inputs: &["start.o", "two.o", "symbols"],
        outputs: &["all.o"],
        ..Case::EMPTY
    }
}

pub(crate) fn objcopy() -> Case<'static> {
    Case {
        files: &[TWO, ("names", "g renamed\n"), ("note", "a note\n")],
        before: "gcc -c two.c",
        run: "objcopy --redefine-syms=names --add-section .note=note two.o new.o",
        inputs: &["two.o", "names", "note"],
        outputs: &["new.o"],
        ..Case::EMPTY
    }
}

pub(crate) fn strip() -> Case<'static> {
    Case {
        files: &[ONE, TWO, ("options", "--strip-all --keep-symbol=f\n")],
        before: "gcc -g -c one.c two.c && ld -r one.o two.o -o all.o",
        run: "strip @options -o stripped.o all.o",
        inputs: &["all.o", "options"],
        outputs: &["stripped.o"],
        ..Case::EMPTY
    }
}

/// A list of symbols, and a header made of it.
pub(crate) fn symbols() -> Case<'static> {
    Case {
        files: &[ONE, TWO, ("filter.awk", "$2 == \"T\" { print \"#define HAS_\" $3 }\n")],
        before: "gcc -c one.c two.c",
        run: "sh -c 'nm one.o two.o | awk -f filter.awk > has.h'",
        inputs: &["one.o", "two.o", "filter.awk"],
        outputs: &["has.h"],
        ..Case::EMPTY
    }
}

/// A tool of the build, with a library of the build that the loader finds by the tool's own place.
pub(crate) fn built_tool() -> Case<'static> {
    Case {
        files: &[
            (
                "tool.c",
                "#include <stdio.h>\nint f(void);\nint main(void) { return printf(\"%d\\n\", f()) < 0; }\n",
            ),
            ("f.c", "int f(void) { return 1; }\n"),
        ],
        before: "mkdir -p tools/lib tools/early && gcc -shared -fPIC f.c -o tools/lib/libf.so
                 gcc tool.c -Ltools/lib -lf '-Wl,-rpath,$ORIGIN/early:$ORIGIN/lib' -o tools/tool",
        run: "sh -c './tools/tool > out'",
        inputs: &["tools/tool", "tools/lib/libf.so"],
        outputs: &["out"],
        appearing: &[(
            "tools/early/libf.so",
            "echo 'int f(void) { return 2; }' | gcc -shared -fPIC -x c - -o tools/early/libf.so",
        )],
        ..Case::EMPTY
    }
}

/// A library that a variable puts before all others.
pub(crate) fn preloaded() -> Case<'static> {
    Case {
        files: &[
            (
                "puts.c",
                "#include <stdio.h>\nint puts(const char *s) { return printf(\"<%s>\\n\", s); }\n",
            ),
            ("say.c", "#include <stdio.h>\nint main(void) { return puts(\"a\") < 0; }\n"),
        ],
        before: "gcc -shared -fPIC puts.c -o puts.so && gcc -O0 say.c -o say",
        run: "sh -c 'LD_PRELOAD=./puts.so ./say > out'",
        inputs: &["say", "puts.so"],
        outputs: &["out"],
        ..Case::EMPTY
    }
}

/// The loader looks for a library in the directories of a variable.
pub(crate) fn library_variable() -> Case<'static> {
    Case {
        before: "mkdir -p early late && gcc -shared -fPIC f.c -o late/libf.so
                 gcc tool.c -Llate -lf -o tool",
        run: "sh -c 'LD_LIBRARY_PATH=early:late ./tool > out'",
        inputs: &["tool", "late/libf.so"],
        appearing: &[(
            "early/libf.so",
            "echo 'int f(void) { return 2; }' | gcc -shared -fPIC -x c - -o early/libf.so",
        )],
        ..built_tool()
    }
}
