//! One compilation.

use crate::site::Site;

const SOURCE: &str = "#include \"a.h\"\n#include <stddef.h>\nint f(void) { return X; }\n";

fn site() -> Site {
    let site = Site::new();
    site.write("src/a.c", SOURCE).write("src/a.cc", SOURCE).write("src/a.h", "#define X 1\n");
    site.write("src/a.S", "#include \"a.h\"\n.globl f\nf: .long X\n");
    site.write("src/plain.s", ".globl f\nf: .long 1\n");
    std::fs::create_dir(site.path("out")).expect("out");
    site
}

/// Options, and what they make in `out`.
const LINES: &[(&str, &[&str])] = &[
    ("-g -O2 -c src/a.c -o out/a.o", &["a.o"]),
    ("-S src/a.c -o out/a.s", &["a.s"]),
    ("-c src/a.S -o out/a.o", &["a.o"]),
    ("-c src/plain.s -o out/a.o", &["a.o"]),
    ("-x c -c src/a.cc -o out/a.o", &["a.o"]),
    ("-MD -c src/a.c -o out/a.x.o", &["a.x.d", "a.x.o"]),
    ("-MMD -MP -MT target -MF out/other.d -c src/a.c -o out/a.o", &["a.o", "other.d"]),
    ("-Wp,-MMD,out/.a.d -c src/a.c -o out/a.o", &[".a.d", "a.o"]),
    ("-g -gsplit-dwarf -c src/a.c -o out/a.o", &["a.dwo", "a.o"]),
    ("-frandom-seed=1 --coverage -fstack-usage -c src/a.c -o out/a.o", &["a.gcno", "a.o", "a.su"]),
    ("@out.rsp -DY=\"two\"", &["a.o"]),
];

/// What the compiler makes with Airtight (run, restored, for a depfile of its own) is what it makes
/// without.
fn as_without(compiler: &str) {
    let site = site();
    site.write("out.rsp", "-c -o 'out/a.o'\n\"src/a.c\"");
    let wipe = || {
        for name in site.files("out").into_keys() {
            site.remove(&format!("out/{}", name.display()));
        }
    };
    for (options, made) in LINES {
        let line = format!("{compiler} {options}");
        site.quiet(&line);
        let expected = site.files("out");
        let names: Vec<_> = expected.keys().map(|name| name.to_str().expect("UTF-8")).collect();
        assert_eq!(names, *made, "{line}");
        for round in ["run", "restored"] {
            wipe();
            site.quiet(&format!("airtight cc --why {line}"));
            assert!(site.files("out") == expected, "{line}: {round}");
        }
        wipe();
    }
    // Without -o, into the current directory.
    site.quiet(&format!("airtight cc {compiler} -MD -c src/a.c"));
    assert!(site.path("a.o").exists() && site.path("a.d").exists());
}

#[test]
fn gcc_makes_the_same() {
    as_without("gcc");
}

#[test]
fn clang_makes_the_same() {
    as_without("clang");
}

#[test]
fn gxx_makes_the_same() {
    as_without("g++ -x c++ -x none");
}

/// A compiler that says who it is: a restored result has the number of the process that made it.
fn tell_tale(site: &Site) {
    site.script("tools/gcc", "echo \"by $$\" >&2\nexec gcc \"$@\"");
}

#[test]
fn a_hit_is_no_compilation_and_a_change_is_no_hit() {
    let site = site();
    tell_tale(&site);
    let compile = |more: &str| {
        let line = format!("airtight cc --in tools/gcc tools/gcc -Iinc -Isrc {more} -c src/a.c");
        site.ends(0, &line)
    };
    let first = compile("");
    assert!(first.starts_with("by "), "{first}");
    assert_eq!(compile(""), first);
    let object = site.read("a.o");
    site.remove("a.o");
    assert_eq!(compile(""), first);
    assert_eq!(site.read("a.o"), object);
    // Each of these is another compilation; what was undone is the first again.
    assert_ne!(compile("-DY"), first);
    site.write("src/a.h", "#define X 2\n");
    let second = compile("");
    assert_ne!(second, first);
    assert_ne!(site.read("a.o"), object);
    site.write("src/a.h", "#define X 1\n");
    assert_eq!(compile(""), first);
    assert_eq!(site.read("a.o"), object);
    // A header that appears earlier on the way: no file that was read has changed.
    site.write("src/a.c", SOURCE.replace("\"a.h\"", "<a.h>"));
    let plain = compile("");
    assert_eq!(compile(""), plain);
    site.write("inc/a.h", "#define X 3\n");
    assert_ne!(compile(""), plain);
}

#[test]
fn variables_of_the_compiler_count() {
    let site = site();
    site.write("one/b.h", "#define X 10\n").write("two/b.h", "#define X 20\n");
    site.write("b.c", "#include <b.h>\nint x = X;\n");
    let compile = |path: &str| {
        let mut command = site.command(&["airtight", "cc", "gcc", "-c", "b.c"]);
        let output = command.env("CPATH", path).output().expect("it runs");
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        site.read("b.o")
    };
    let (one, two) = (compile("one"), compile("two"));
    assert_ne!(one, two);
    assert_eq!((compile("one"), compile("two")), (one, two));
}

#[test]
fn what_the_depfile_does_not_tell_is_a_finding() {
    let site = site();
    site.write("logo", "bytes");
    site.write("b.c", "__asm__(\".incbin \\\"logo\\\"\");\nint b;\n");
    for compiler in ["gcc", "clang"] {
        let said = site.ends(120, &format!("airtight cc {compiler} -c b.c -o {compiler}.o"));
        assert!(said.contains("error[R001]: undeclared read of logo"), "{said}");
        assert!(said.contains("--in logo"), "{said}");
        assert_eq!(said.matches("error[").count(), 1, "{said}");
        // A first adoption: said, and not fatal.
        let line = format!("airtight cc --reaction R001=warn {compiler} -c b.c -o {compiler}.o");
        assert!(site.ends(0, &line).contains("[R001]: undeclared read of logo"));
        // Declared.
        site.quiet(&format!("airtight cc --in logo {compiler} -c b.c -o {compiler}.o"));
    }
    // So are a header that gcc has precompiled, and a specs file.
    site.quiet("gcc -x c-header -c src/a.h -o src/a.h.gch");
    let said = site.ends(120, "airtight cc gcc -c src/a.c -o a.o");
    assert!(said.contains("undeclared read of src/a.h.gch"), "{said}");
    site.quiet("airtight cc --in src/*.gch gcc -c src/a.c -o a.o");
    site.remove("src/a.h.gch");
    site.write("my.specs", "*asm:\n+ \n\n");
    let said = site.ends(120, "airtight cc gcc -specs=my.specs -c src/a.c -o a.o");
    assert!(said.contains("undeclared read of my.specs"), "{said}");
}

#[test]
fn a_compilation_that_fails_ends_as_without() {
    let site = site();
    site.write("bad.c", "int f( {\n");
    let alone = site.run("gcc -c bad.c");
    let launched = site.run("airtight cc gcc -c bad.c");
    assert_eq!(launched.status.code(), alone.status.code());
    assert_eq!(launched.stderr, alone.stderr);
    let said = site.ends(1, "airtight cc gcc -c absent.c");
    assert!(said.contains("absent.c: No such file"), "{said}");
    let said = site.ends(127, "airtight cc absent-gcc -c src/a.c");
    assert!(said.contains("absent-gcc"), "{said}");
}
