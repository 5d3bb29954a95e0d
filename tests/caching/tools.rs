//! Real tools: the second run is restored, byte for byte.

use crate::support::Site;

/// Runs an action, takes its outputs away, and has them restored, also over what somebody has
/// written there.
#[track_caller]
fn restored(site: &Site, args: &str, outputs: &[&str]) {
    let first = site.runs(args);
    let made = site.snapshot(outputs);
    for name in outputs {
        site.remove(name);
    }
    let again = site.restores(args);
    assert_eq!(again.show(), first.show());
    assert_eq!(site.snapshot(outputs), made);
    for name in made.keys().filter(|name| site.path(name).is_file()) {
        site.chmod(name, 0o600).write(name, "something else");
    }
    assert_eq!(site.restores(args).show(), first.show());
    assert_eq!(site.snapshot(outputs), made);
}

fn with_c() -> Site {
    let site = Site::new();
    site.write(
        "src/a.c",
        "#include <stdio.h>\n#include \"a.h\"\nint a(void) { int x; return A; }\n",
    );
    site.write("include/a.h", "#define A 1\n");
    site
}

#[test]
fn a_c_compiler_with_its_warnings() {
    let site = with_c();
    let args = "--in src/a.c --in include/a.h --out build/a.o -- gcc -Wall -Iinclude -c src/a.c -o build/a.o";
    site.write("build/other", "");
    restored(&site, args, &["build/a.o"]);
    let end = site.restores(args);
    end.says("unused variable");
}

#[test]
fn a_compiler_whose_depfile_declares_the_headers() {
    let site = with_c();
    let args = "--in src/a.c --depfile a.d --out a.o -- gcc -MD -Iinclude -c src/a.c -o a.o";
    restored(&site, args, &["a.o", "a.d"]);
    assert!(site.text("a.d").contains("include/a.h"));
}

#[test]
fn a_cpp_compiler() {
    let site = Site::new();
    site.write("a.cc", "#include <utility>\nint a(int b) { return std::exchange(b, 1); }\n");
    let args = "--in a.cc --out a.o -- g++ -O1 -c a.cc -o a.o";
    restored(&site, args, &["a.o"]);
}

#[test]
fn an_archiver_and_a_linker() {
    let site = Site::new();
    site.write("main.c", "int a(void);\nint main(void) { return a(); }\n");
    site.write("a.c", "int a(void) { return 42; }\n");
    for name in ["main", "a"] {
        let compile = format!("--in {name}.c --out {name}.o -- gcc -c {name}.c -o {name}.o");
        site.runs(&compile).silent();
    }
    let archive = "--in a.o --out lib/liba.a -- ar rcsD lib/liba.a a.o";
    site.write("lib/other", "");
    restored(&site, archive, &["lib/liba.a"]);
    let link = "--in main.o --in lib/liba.a --out prog -- gcc main.o -Llib -la -o prog";
    site.restores(archive);
    restored(&site, link, &["prog"]);
    site.restores(link).silent();
    let status = std::process::Command::new(site.path("prog")).status().expect("it runs");
    assert_eq!(status.code(), Some(42));
}

#[test]
fn a_generator_that_fills_a_directory() {
    let site = Site::new();
    site.write("in/a.proto", "message A\n");
    site.program(
        "gen.sh",
        "#!/bin/sh\nset -e\nmkdir -p out/sub/empty\nread -r text < in/a.proto\n\
         echo \"// $text\" > out/a.h\necho \"#!/bin/sh\" > out/sub/tool\nchmod 750 out/sub/tool\n\
         ln -s ../a.h out/sub/link.h\n: > out/sub/nothing\nchmod 400 out/sub/nothing\n\
         echo a.h > list.txt\necho generated\necho careful >&2\n",
    );
    let args = "--in gen.sh --in in/a.proto --out out --out list.txt -- ./gen.sh";
    let first = site.runs(args);
    assert_eq!((first.stdout.as_str(), first.stderr.as_str()), ("generated\n", "careful\n"));
    let made = site.snapshot(&["out", "list.txt"]);
    assert_eq!(made.len(), 8, "{made:?}");
    site.remove("out").remove("list.txt");
    for _ in 0..2 {
        assert_eq!(site.restores(args).show(), first.show());
        assert_eq!(site.snapshot(&["out", "list.txt"]), made);
        // What doesn't belong there goes.
        site.write("out/stranger", "").remove("out/a.h");
    }
}

#[test]
fn a_python_script_that_is_not_run_again() {
    let site = Site::new();
    site.write(
        "gen.py",
        "import time, helper\nopen('out', 'w').write(helper.of('in'))\nprint(time.time_ns())\n",
    );
    site.write(
        "helper.py",
        "import time\ndef of(name): return open(name).read() + str(time.time_ns())\n",
    );
    site.write("in", "some input");
    let args = "--in gen.py --in helper.py --in in --out out -- python3 -B gen.py";
    // If it ran again, both the output and what it prints would be others.
    restored(&site, args, &["out"]);
    // And so they are when it does.
    let before = site.text("out");
    site.runs(&format!("--env X=1 {args}"));
    assert_ne!(site.text("out"), before);
}
