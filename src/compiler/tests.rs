//! Real command lines.

use super::*;
use proptest::prelude::*;

fn words(line: &str) -> Vec<OsString> {
    line.split_whitespace().map(OsString::from).collect()
}

fn none(_: &Path) -> io::Result<Vec<u8>> {
    Err(io::ErrorKind::NotFound.into())
}

/// What a command line is, in short: `inputs -> outputs | depfile`.
fn compile(line: &str) -> Result<String, String> {
    match parse(&words(line), &mut none) {
        Parsed::PassThrough(reason) => Err(reason),
        Parsed::Compile(compile) => {
            let list = |names: &[OsString]| {
                names.iter().map(|name| name.display().to_string()).collect::<Vec<_>>().join(" ")
            };
            let depfile = match compile.depfile {
                Depfile::None => String::new(),
                Depfile::Named(name) => format!(" | {}", name.display()),
                Depfile::Needless => " | needless".to_owned(),
            };
            Ok(format!("{} -> {}{depfile}", list(&compile.inputs), list(&compile.outputs)))
        }
    }
}

#[test]
fn compilations_of_real_builds() {
    for (line, expected) in [
        ("gcc -c a.c", "a.c -> a.o"),
        ("gcc -c src/a.c", "src/a.c -> a.o"),
        ("gcc -S src/a.c", "src/a.c -> a.s"),
        ("gcc -c -o out/a.o src/a.c", "src/a.c -> out/a.o"),
        ("cc -oa.o -c a.c", "a.c -> a.o"),
        // CMake with make and with ninja.
        (
            "/usr/bin/cc -DNDEBUG -I/w/include -isystem /w/third -O3 -std=gnu11 -fPIC -MD -MT \
             CMakeFiles/x.dir/a.c.o -MF CMakeFiles/x.dir/a.c.o.d -o CMakeFiles/x.dir/a.c.o \
             -c /w/a.c",
            "/w/a.c -> CMakeFiles/x.dir/a.c.o | CMakeFiles/x.dir/a.c.o.d",
        ),
        (
            "/usr/bin/c++ -Dx_EXPORTS -g -std=gnu++20 -fvisibility=hidden -MD -MT a.cpp.o \
             -MF a.cpp.o.d -o a.cpp.o -c ../a.cpp -fdiagnostics-color=always",
            "../a.cpp -> a.cpp.o | a.cpp.o.d",
        ),
        // Meson.
        (
            "clang++ -Ilib.p -I. -I.. -fcolor-diagnostics -D_FILE_OFFSET_BITS=64 -Wall \
             -Winvalid-pch -O0 -g -fPIC -pthread -MD -MQ lib.p/a.cc.o -MF lib.p/a.cc.o.d \
             -o lib.p/a.cc.o -c ../a.cc",
            "../a.cc -> lib.p/a.cc.o | lib.p/a.cc.o.d",
        ),
        // automake, and libtool's second call.
        (
            "gcc -DHAVE_CONFIG_H -I. -I.. -g -O2 -MT a.o -MD -MP -MF .deps/a.Tpo -c -o a.o a.c",
            "a.c -> a.o | .deps/a.Tpo",
        ),
        (
            "x86_64-linux-gnu-gcc-12 -DPACKAGE_NAME=\"x\" -I. -MT la.lo -MD -MP -MF .deps/la.Tpo \
             -c a.c  -fPIC -DPIC -o .libs/la.o",
            "a.c -> .libs/la.o | .deps/la.Tpo",
        ),
        // Linux.
        (
            "gcc -Wp,-MMD,init/.main.o.d -nostdinc -I./include -include ./include/kconfig.h \
             -D__KERNEL__ -fmacro-prefix-map=./= -std=gnu11 -mno-sse -mcmodel=kernel \
             --param=allow-store-data-races=0 -Wa,--noexecstack -c -o init/main.o init/main.c",
            "init/main.c -> init/main.o | init/.main.o.d",
        ),
        // qmake, Ninja of GN, old make.
        (
            "g++ -c -pipe -O2 -Wall -W -D_REENTRANT -fPIC -I. -o main.o main.cpp",
            "main.cpp -> main.o",
        ),
        ("clang -MMD -MF obj/a.o.d -DX=1 -c ../a.c -o obj/a.o", "../a.c -> obj/a.o | obj/a.o.d"),
        ("cc -O -c -MD a.c", "a.c -> a.o | a.d"),
        ("gcc -MD -c a.c -o obj/b.x.o", "a.c -> obj/b.x.o | obj/b.x.d"),
        ("gcc -MMD -c a.c -o obj/b", "a.c -> obj/b | obj/b.d"),
        // What else is made.
        ("gcc -g -gsplit-dwarf -c a.c -o o/a.o", "a.c -> o/a.o o/a.dwo"),
        ("gcc --coverage -fstack-usage -c a.c", "a.c -> a.o a.gcno a.su"),
        ("gcc -ftest-coverage -fprofile-arcs -S a.c -o b.s", "a.c -> b.s b.gcno"),
        ("clang -MJ a.o.json -c a.c", "a.c -> a.o a.o.json"),
        // Languages.
        ("gcc -x c -c a.txt", "a.txt -> a.o"),
        ("gcc -xassembler-with-cpp -c a.inc -o a.o", "a.inc -> a.o"),
        ("gcc -x c++ -x none -c a.c", "a.c -> a.o"),
        ("gcc -c a.S", "a.S -> a.o"),
        ("gcc -c a.s", "a.s -> a.o | needless"),
        ("g++ -c a.ii", "a.ii -> a.o | needless"),
        // Options whose values look like something else.
        ("gcc -c -I -c -D -E -include -M a.c", "a.c -> a.o"),
        ("gcc -c -MD -MT -E -MF a.d a.c", "a.c -> a.o | a.d"),
        ("clang -Xclang -fno-pch-timestamp -mllvm -inline-threshold=5 -c a.c", "a.c -> a.o"),
        ("clang -target aarch64-linux-gnu -c a.c", "a.c -> a.o"),
        ("gcc -specs=my.specs -fplugin=./p.so -fplugin-arg-p-x=y -c a.c", "a.c -> a.o"),
        ("gcc -fprofile-use=p.gcda -fprofile-generate -c a.c", "a.c -> a.o"),
    ] {
        assert_eq!(compile(line).as_deref(), Ok(expected), "{line}");
    }
}

#[test]
fn what_is_no_compilation_of_one_source_passes_through() {
    for (line, reason) in [
        ("gcc", "no source"),
        ("gcc --version", "it only asks the compiler something"),
        ("gcc -v", "no source"),
        ("gcc -dumpmachine", "it only asks the compiler something"),
        ("gcc -print-search-dirs", "it only asks the compiler something"),
        ("gcc a.c -o a", "it links"),
        ("gcc a.o b.o -o a", "it links"),
        ("gcc -c a.o", "a.o is not known as a source"),
        ("gcc -shared -fPIC a.lo -Wl,-soname -Wl,x.so -o x.so", "it links"),
        ("gcc -c a.c b.c", "several sources"),
        ("gcc -c -", "the source is standard input"),
        ("gcc -E a.c", "it only preprocesses"),
        ("gcc -E -c a.c -o a.i", "it only preprocesses"),
        ("gcc -M a.c", "it only preprocesses"),
        ("gcc -MM -MG -MF a.d a.c", "it only preprocesses"),
        ("gcc -fsyntax-only a.c", "it makes nothing"),
        ("gcc -c a.c -o -", "an output that is no file"),
        ("gcc -c a.c -o /dev/null", "an output that is no file"),
        ("gcc -c a.c -MD -MF /dev/stdout", "an output that is no file"),
        ("gcc -c a.c -o", "-o without value"),
        ("gcc -c a.c -o a.o -o b.o", "-o twice"),
        ("gcc -c -S a.c", "both -c and -S"),
        ("gcc -c a.h", "a precompiled header is made"),
        ("gcc -x c-header -c a.h", "the language c-header"),
        ("gcc -c a.f90", "a.f90 is not known as a source"),
        ("gcc -x ada -c a", "the language ada"),
        ("gcc -save-temps -c a.c", "it makes further files"),
        ("gcc -save-temps=obj -c a.c", "it makes further files"),
        ("gcc -fdump-tree-all -c a.c", "it makes further files"),
        ("gcc -fdump-rtl-expand=x -c a.c", "it makes further files"),
        ("gcc -da -c a.c", "-da is not known"),
        ("gcc -dumpdir x -c a.c", "it changes the names of what is made"),
        ("gcc -Wa,-adhln=a.lst -c a.c", "-Wa,-adhln=a.lst may make further files"),
        ("gcc -Wa,--noexecstack,-MD,a.d -c a.c", "-Wa,-MD may make further files"),
        ("gcc -Wp,-MD,a.d -MD -c a.c", "its depfile is not clear"),
        ("gcc -MF a.d -c a.c", "its depfile is not clear"),
        ("gcc -Wp,-o,x -c a.c", "-Wp,-o is not known"),
        ("gcc -MD -c a.s", "a depfile without preprocessor"),
        ("gcc -gsplit-dwarf -c a.c", "-gsplit-dwarf without a clear -g, or without -c"),
        ("gcc -gsplit-dwarf -g -g0 -c a.c", "-gsplit-dwarf without a clear -g, or without -c"),
        ("gcc -frecord-gcc-switches -c a.c", "the object would record the options of the depfile"),
        ("clang -fmodules -c a.c", "modules are files that others make"),
        ("clang -Xclang -load -Xclang p.so -c a.c", "-Xclang -load is not known"),
        ("clang -c -- a.c", "names behind `--`"),
        ("gcc -x c -c .c", ".c has no name before its suffix"),
        ("gcc -c @absent.rsp", "@absent.rsp: can't be read: entity not found"),
        ("ccache gcc -c a.c", "ccache is not known as a compiler"),
        ("gcc-ar rcs a.a", "gcc-ar is not known as a compiler"),
        ("/usr/lib/cc1 -c a.c", "/usr/lib/cc1 is not known as a compiler"),
        ("nvcc -c a.c", "nvcc is not known as a compiler"),
        ("gcc --foo -c a.c", "--foo is not known"),
    ] {
        assert_eq!(compile(line).err().as_deref(), Some(reason), "{line}");
    }
}

#[test]
fn response_files_are_inputs() {
    let mut read = |path: &Path| match path.to_str() {
        Some("a.rsp") => Ok(b"-c -o 'out dir/a.o'\n@more.rsp".to_vec()),
        Some("more.rsp") => Ok(b"\"a b.c\" -MD".to_vec()),
        _ => Err(io::ErrorKind::NotFound.into()),
    };
    let Parsed::Compile(compile) = parse(&words("gcc -O2 @a.rsp"), &mut read) else {
        panic!("a compilation");
    };
    assert_eq!(compile.inputs, ["a b.c", "a.rsp", "more.rsp"]);
    assert_eq!(compile.outputs, ["out dir/a.o"]);
    assert_eq!(compile.depfile, Depfile::Named("out dir/a.d".into()));
}

#[test]
fn compilers_are_known_by_their_names() {
    for name in ["gcc", "/usr/bin/g++-12", "clang-14.0.6", "aarch64-linux-gnu-c++", "c99", "cc"] {
        assert!(is_compiler(OsStr::new(name)), "{name}");
    }
    for name in ["", "gcc-ranlib", "cc1", "clang-cl", "clang-tidy", "sccache", "12", "-12", "ld"] {
        assert!(!is_compiler(OsStr::new(name)), "{name}");
    }
}

/// Words that mean something, and some that don't.
fn word() -> impl Strategy<Value = OsString> {
    const KNOWN: &[&str] = &[
        "-c",
        "-S",
        "-E",
        "-o",
        "-oa.o",
        "a.o",
        "a.c",
        "b.cc",
        "c.s",
        "-MD",
        "-MF",
        "a.d",
        "-MT",
        "-x",
        "c",
        "-xc++",
        "-g",
        "-gsplit-dwarf",
        "--coverage",
        "-Wp,-MD,x.d",
        "-Wa,-I,x",
        "-I",
        "-Xclang",
        "-include",
        "-",
        "--",
        "-Iinclude",
        "-DX=1",
        "-W",
        "-Wall",
        "@r",
        "-MJ",
        "-fstack-usage",
    ];
    prop_oneof![
        8 => prop::sample::select(KNOWN).prop_map(OsString::from),
        1 => proptest::collection::vec(1_u8.., 0..6).prop_map(|bytes| {
            std::os::unix::ffi::OsStringExt::from_vec(bytes)
        }),
    ]
}

proptest! {
    #[test]
    fn what_is_understood_is_named_on_the_command_line(
        words in proptest::collection::vec(word(), 0..9),
        response in proptest::collection::vec(any::<u8>(), 0..20),
    ) {
        let argv: Vec<OsString> = std::iter::once("gcc".into()).chain(words).collect();
        let mut none = |_: &Path| Err(io::ErrorKind::NotFound.into());
        if let Parsed::Compile(compile) = parse(&argv, &mut none) {
            prop_assert!(argv.contains(&compile.inputs[0]));
            prop_assert!(argv.iter().any(|word| word == "-c" || word == "-S"));
            // After an option it may be its value: `-o -E` names the output.
            let mut own = argv.windows(2).filter(|pair| !pair[0].as_bytes().starts_with(b"-"));
            prop_assert!(!own.any(|pair| pair[1] == "-E" || pair[1] == "-" || pair[1] == "--"));
            prop_assert!(compile.outputs.iter().all(|name| !name.is_empty()));
        }
        // Nothing in a response file is a reason to die.
        parse(&argv, &mut |_: &Path| Ok(response.clone()));
    }

    #[test]
    fn no_word_is_lost_for_a_depfile(words in proptest::collection::vec(word(), 0..9)) {
        let argv: Vec<OsString> = std::iter::once("gcc".into()).chain(words).collect();
        let parse = |argv: &[OsString]| parse(argv, &mut |_| Err(io::ErrorKind::NotFound.into()));
        let longer = with_depfile(&argv, Path::new("/tmp/x.d"));
        prop_assert!(longer.starts_with(&argv));
        if let Parsed::Compile(compile) = parse(&argv)
            && compile.depfile == Depfile::None
        {
            // It is the same compilation, and tells now what it reads.
            let depfile = Depfile::Named("/tmp/x.d".into());
            prop_assert_eq!(parse(&longer), Parsed::Compile(Compile { depfile, ..compile }));
        }
    }
}
