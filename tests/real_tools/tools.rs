//! The tools, each with a small job, its true declaration, and what is found when one part of the
//! declaration is missing.

use std::path::Path;
use std::process::Command;

/// A job of a tool.
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    /// Files that are there at the start: name and text.
    pub(crate) files: &'static [File],
    /// Shell commands that make the rest of the start, untraced.
    pub(crate) before: &'static str,
    pub(crate) argv: Vec<String>,
    /// Flags of `airtight run` that declare everything.
    pub(crate) declared: Vec<String>,
    /// Which value among `declared` is left out together with its flag, and what is found then:
    /// the rule and the path.
    pub(crate) gap: (String, (String, String)),
    /// Files whose content differs from run to run without Airtight too.
    pub(crate) random: &'static [&'static str],
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn tool(name: &'static str, argv: &str, declared: &str, gap: (&str, &str, &str)) -> Tool {
    let (value, rule, path) = gap;
    Tool {
        name,
        files: &[],
        before: "",
        argv: words(argv),
        declared: words(declared),
        gap: (value.to_owned(), (rule.to_owned(), path.to_owned())),
        random: &[],
    }
}

type File = (&'static str, &'static str);

const A: File =
    ("a.c", "#include \"inc/a.h\"\n#include <stdio.h>\nint main(void) { return puts(A) < 0; }\n");
const A_HEADER: File = ("inc/a.h", "#define A \"a\"\n");
const B: File = ("b.c", "int b(void) { return 2; }\n");
const C: &[File] = &[A, A_HEADER, B];

const CXX: &[File] = &[
    ("a.cc", "#include \"inc/a.h\"\n#include <iostream>\nint main() { std::cout << A; }\n"),
    A_HEADER,
];

/// A program without a C library.
const BARE: &[File] = &[("start.c", "int b(void);\nvoid _start(void) { for (;;) b(); }\n"), B];

pub(crate) fn gcc() -> Tool {
    let declared = "--in a.c --in inc/a.h --out a.o";
    Tool {
        files: C,
        ..tool("gcc", "gcc -g -O2 -c a.c -o a.o", declared, ("inc/a.h", "R001", "inc/a.h"))
    }
}

pub(crate) fn gcc_link() -> Tool {
    Tool {
        files: C,
        before: "gcc -c a.c && gcc -c b.c",
        ..tool(
            "gcc as a linker",
            "gcc a.o b.o -o prog",
            "--in a.o --in b.o --out prog",
            ("b.o", "R001", "b.o"),
        )
    }
}

pub(crate) fn gxx() -> Tool {
    let declared = "--in a.cc --in inc/a.h --out a.o";
    Tool {
        files: CXX,
        ..tool("g++", "g++ -c a.cc -o a.o", declared, ("inc/a.h", "R001", "inc/a.h"))
    }
}

pub(crate) fn clang() -> Tool {
    let declared = "--in a.c --in inc/a.h --out a.o";
    Tool { files: C, ..tool("clang", "clang -O1 -c a.c -o a.o", declared, ("a.c", "R001", "a.c")) }
}

pub(crate) fn ld() -> Tool {
    Tool {
        files: BARE,
        before: "gcc -c -ffreestanding start.c b.c",
        ..tool(
            "ld",
            "ld -o prog start.o b.o",
            "--in start.o --in b.o --out prog",
            ("start.o", "R001", "start.o"),
        )
    }
}

pub(crate) fn ar() -> Tool {
    Tool {
        files: BARE,
        before: "gcc -c -ffreestanding start.c b.c",
        ..tool(
            "ar",
            "ar rcsvD lib.a start.o b.o",
            "--in start.o --in b.o --out lib.a",
            ("b.o", "R001", "b.o"),
        )
    }
}

pub(crate) fn make() -> Tool {
    Tool {
        files: &[
            (
                "Makefile",
                "prog: a.o b.o\n\tgcc -o $@ a.o b.o\na.o: inc/a.h\n%.o: %.c\n\tgcc -c $<\n",
            ),
            A,
            A_HEADER,
            B,
        ],
        ..tool(
            "make",
            "make prog",
            "--in Makefile --in a.c --in inc/a.h --in b.c --out prog --out a.o --out b.o",
            ("b.c", "R001", "b.c"),
        )
    }
}

pub(crate) fn python3() -> Tool {
    Tool {
        files: &[
            (
                "gen.py",
                "import sys, table\nopen(sys.argv[1], 'w').write(table.TEXT)\nprint('ok')\n",
            ),
            ("table.py", "TEXT = open('table.txt').read().upper()\n"),
            ("table.txt", "one two\n"),
        ],
        ..tool(
            "python3",
            "/usr/bin/python3 gen.py out.txt",
            "--in gen.py --in table.py --in table.txt --out out.txt",
            ("table.txt", "R001", "table.txt"),
        )
    }
}

pub(crate) fn cmake() -> Tool {
    Tool {
        files: &[
            (
                "CMakeLists.txt",
                "cmake_minimum_required(VERSION 3.20)\nproject(p C)\ninclude(part.cmake)\n\
                 configure_file(config.h.in config.h)\nadd_executable(a a.c b.c)\n",
            ),
            ("part.cmake", "set(NUMBER 7)\n"),
            ("config.h.in", "#define NUMBER @NUMBER@\n"),
            A,
            A_HEADER,
            B,
        ],
        random: &["build/CMakeFiles/CMakeOutput.log", "build/.ninja_log", "build/.ninja_deps"],
        ..tool(
            "cmake",
            "cmake -G Ninja -S . -B build",
            "--in CMakeLists.txt --in part.cmake --in config.h.in --in a.c --in b.c --out build",
            ("part.cmake", "R001", "part.cmake"),
        )
    }
}

pub(crate) fn tar() -> Tool {
    Tool {
        files: &[("src/a", "a\n"), ("src/deep/b", "b\n"), ("extra", "e\n")],
        ..tool(
            "tar",
            "tar -cf out.tar --sort=name --mtime=@0 src extra",
            "--in-dir src --in extra --out out.tar",
            ("extra", "R001", "extra"),
        )
    }
}

/// The index holds inode numbers and times.
const INDEX: &[&str] = &[".git/index"];

const REPOSITORY: &str = "git init -q . && git add a b && git commit -q -m one";

pub(crate) fn git_archive() -> Tool {
    Tool {
        files: &[("a", "a\n"), ("b", "b\n"), ("attributes", "b export-ignore\n")],
        before: REPOSITORY,
        random: INDEX,
        ..tool(
            "git archive",
            "git -c core.attributesFile=attributes archive --output=out.tar HEAD",
            "--in-dir .git --in attributes --out out.tar",
            ("attributes", "R001", "attributes"),
        )
    }
}

pub(crate) fn git_commit() -> Tool {
    Tool {
        files: &[("a", "a\n"), ("b", "b\n"), ("message", "two\n")],
        before: "git init -q .",
        random: INDEX,
        argv: ["sh", "-c", "git add a b && git commit -q -F message"].map(str::to_owned).into(),
        ..tool(
            "git commit",
            "",
            "--in-dir .git --in a --in b --in message --side-effect .git/**",
            ("message", "R001", "message"),
        )
    }
}

/// The compiler itself: what cargo's environment calls rustc may be rustup's proxy.
pub(crate) fn rustc() -> Tool {
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).output();
    let sysroot = String::from_utf8(sysroot.expect("rustc is needed").stdout).expect("UTF-8");
    let sysroot = Path::new(sysroot.trim()).canonicalize().expect("a sysroot");
    let sysroot = sysroot.to_str().expect("UTF-8");
    Tool {
        files: &[
            ("main.rs", "mod part;\nfn main() { println!(\"{}\", part::TEXT) }\n"),
            ("part.rs", "pub const TEXT: &str = include_str!(\"text\");\n"),
            ("text", "one\n"),
        ],
        ..tool(
            "rustc",
            &format!("{sysroot}/bin/rustc --edition 2024 main.rs -o prog"),
            &format!("--in main.rs --in part.rs --in text --in-dir {sysroot} --out prog"),
            ("text", "R001", "text"),
        )
    }
}
