//! What the kernel loads inside an exec: no system call shows it.

use crate::harness::{Case, Ended, Launch, World, program};
use std::path::Path;

/// The canonical name of the dynamic loader of an architecture.
fn loader(name: &str) -> String {
    let path = Path::new(name).canonicalize().expect("a dynamic loader");
    format!("exec {}", path.display())
}

const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";
const LOADER_32: &str = "/lib/ld-linux.so.2";

#[test]
fn a_dynamic_program() {
    Case::ops("copy prog ops", &["spawn :./prog = 0"]).facts(&["exec prog", &loader(LOADER)]);
}

#[test]
fn a_32_bit_program() {
    Case::ops("copy prog ops.m32", &["spawn :./prog = 0"])
        .facts(&["exec prog", &loader(LOADER_32)]);
}

#[test]
fn a_static_program_has_no_loader() {
    let trace =
        Case::run("copy prog ops.static", &["ops.static", "spawn :./prog"]).facts(&["exec prog"]);
    assert!(!trace.facts.outside.contains(&loader(LOADER)), "{:?}", trace.facts);
}

#[test]
fn the_first_program_is_executed_too() {
    let trace = Case::run("", &["ops"]).facts::<&str>(&[]);
    let name = program("ops").canonicalize().expect("a program");
    assert!(trace.facts.outside.contains(&format!("exec {}", name.display())), "{:?}", trace.facts);
    assert!(trace.facts.outside.contains(&loader(LOADER)), "{:?}", trace.facts);
}

#[test]
fn the_first_program_by_a_link_and_as_a_script() {
    Case::run("copy d/prog ops\nlink l d/prog", &["./l"]).facts(&["link l", "exec d/prog"]);
    Case::run("copy prog ops\nscript s #!$T/prog\\n", &["$T/s", "stat :x &buf"])
        .ends(Ended::Code(99))
        .facts(&["exec s", "exec prog"]);
}

#[test]
fn through_links() {
    Case::ops("copy d/prog ops\nlink l m\nlink m d/prog", &["spawn :./l = 0"]).facts(&[
        "link l",
        "link m",
        "exec d/prog",
    ]);
}

#[test]
fn a_program_that_names_its_own_loader() {
    // By a name relative to the cwd; here a link to the real one.
    let real = Path::new(LOADER).canonicalize().expect("a dynamic loader");
    let setup = format!("copy prog ops.ownld\nlink own/ld {}", real.display());
    Case::ops(&setup, &["spawn :./prog = 0"]).facts(&["exec prog", "link own/ld", &loader(LOADER)]);
}

#[test]
fn a_missing_loader() {
    // ENOENT names the program, and means its interpreter.
    let trace = Case::ops("copy prog ops.ownld", &["spawn :./prog = ENOENT"]).facts(&[
        "probe- own",
        "?exec prog",
        "?probe+ prog",
        "?read prog",
    ]);
    assert!(trace.facts.inside.len() > 1, "the program was read: {:?}", trace.facts);
}

#[test]
fn a_script() {
    Case::ops("copy prog ops\nscript s #!$T/prog\\n", &["spawn :./s = 99"]).facts(&[
        "exec s",
        "exec prog",
        &loader(LOADER),
    ]);
}

#[test]
fn a_script_of_the_shell() {
    let setup = "script s #!/bin/sh\\nread x < f; echo > g\nfile f text\\n";
    let trace = Case::ops(setup, &["spawn :./s = 0"]).trace();
    let facts = &trace.facts;
    for fact in ["exec s", "read s", "read f", "write g"] {
        assert!(facts.inside.contains(fact), "{fact} in {facts:?}");
    }
    let shell = Path::new("/bin/sh").canonicalize().expect("a shell");
    assert!(facts.outside.contains(&format!("exec {}", shell.display())), "{facts:?}");
}

#[test]
fn scripts_within_scripts() {
    // Each interpreter is itself a script, as deep as the kernel goes (five).
    let mut setup = "copy prog ops\nscript s1 #!$T/prog\\n\n".to_owned();
    for i in 2..=5 {
        setup += &format!("script s{i} #!$T/s{}\\n\n", i - 1);
    }
    Case::ops(&setup, &["spawn :./s4 = 99"]).facts(&[
        "exec s4",
        "exec s3",
        "exec s2",
        "exec s1",
        "exec prog",
    ]);
    Case::ops(&setup, &["spawn :./s5 = 99"]).facts(&[
        "exec s5",
        "exec s4",
        "exec s3",
        "exec s2",
        "exec s1",
        "exec prog",
    ]);
}

#[test]
fn scripts_within_scripts_too_deep() {
    let mut setup = "copy prog ops\nscript s1 #!$T/prog\\n\n".to_owned();
    for i in 2..=7 {
        setup += &format!("script s{i} #!$T/s{}\\n\n", i - 1);
    }
    let open: Vec<String> =
        (1..=7).flat_map(|i| [format!("?exec s{i}"), format!("?probe+ s{i}")]).collect();
    let trace = Case::ops(&setup, &["spawn :./s7 = ELOOP"]).facts(&open);
    assert!(!trace.facts.inside.is_empty(), "the script was looked at");
}

#[test]
fn a_script_with_an_argument() {
    Case::ops("copy prog ops\nscript s #!  $T/prog  stat :x &buf \\nrest", &["spawn :./s = 99"])
        .prints(&["stat = ENOENT", "spawn = 99"])
        .facts(&["exec s", "exec prog", "probe- x"]);
}

#[test]
fn a_script_with_an_interpreter_relative_to_the_cwd() {
    // Relative to the cwd of the caller, not to the script.
    let setup = "copy d/prog ops\nscript d/s #!./prog\\n\nscript e/s #!d/prog\\n";
    Case::ops(setup, &["spawn :e/s = 99"]).facts(&["exec e/s", "exec d/prog"]);
    Case::ops(setup, &["spawn :d/s = ENOENT"]).facts(&["?probe+ d/s", "?exec d/s", "probe- prog"]);
}

#[test]
fn a_script_whose_interpreter_is_a_link() {
    Case::ops("copy d/prog ops\nlink i d/prog\nscript s #!$T/i\\n", &["spawn :./s = 99"]).facts(&[
        "exec s",
        "link i",
        "exec d/prog",
    ]);
}

#[test]
fn a_script_with_a_missing_interpreter() {
    let trace = Case::ops("script s #!$T/no/such\\n", &["spawn :./s = ENOENT"]).facts(&[
        "probe- no",
        "?exec s",
        "?probe+ s",
        "?read s",
    ]);
    assert!(trace.facts.inside.len() > 1, "the script was read: {:?}", trace.facts);
}

#[test]
fn a_script_with_an_interpreter_that_may_not_be_executed() {
    let trace = Case::ops("file i\nscript s #!$T/i\\n", &["spawn :./s = EACCES"]).facts(&[
        "probe+ i",
        "?exec s",
        "?probe+ s",
        "?read s",
    ]);
    assert!(trace.facts.inside.len() > 1, "the script was read: {:?}", trace.facts);
}

#[test]
fn a_script_with_a_line_of_256_bytes() {
    // The kernel reads 256 bytes; what is longer is cut, and a name that is cut is refused.
    let part = "p".repeat(100);
    let fits = format!("copy {part}/{part}/prog ops\nscript s #!{part}/{part}/prog\\n");
    Case::ops(&fits, &["spawn :./s = 99"])
        .facts(&["exec s".to_owned(), format!("exec {part}/{part}/prog")]);
    let long =
        format!("copy {part}/{part}/{part}/prog ops\nscript s #!{part}/{part}/{part}/prog\\n");
    Case::ops(&long, &["spawn :./s = ENOEXEC"]).facts(&["?exec s", "?probe+ s", "?read s"]);
}

#[test]
fn a_script_without_a_line() {
    // The kernel says ENOEXEC, and it is for the caller to run a shell.
    Case::ops("script s echo hello", &["spawn :./s = ENOEXEC"]).facts(&["?probe+ s", "?exec s"]);
    let trace =
        Case::run("script s echo hello", &["/bin/sh", "-c", "./s"]).prints(&["hello"]).trace();
    assert!(trace.facts.inside.contains("read s"), "{:?}", trace.facts);
}

#[test]
fn an_empty_file_and_a_damaged_one() {
    Case::ops("script s \nscript e %7FELF", &["spawn :./s = ENOEXEC", "spawn :./e = ENOEXEC"])
        .facts(&["?probe+ s", "?exec s", "?probe+ e", "?exec e"]);
}

#[test]
fn failures() {
    let calls = [
        "spawn :./no = ENOENT",
        "spawn :./d = EACCES",
        "spawn :./f = EACCES",
        "spawn :./f/x = ENOTDIR",
        "spawn :no/x = ENOENT",
    ];
    Case::ops("dir d\nfile f", &calls).facts(&["probe- no", "probe+ d", "probe+ f", "probe- f/x"]);
}

#[test]
fn a_program_that_is_being_written() {
    Case::ops("copy prog ops", &["a: open :prog O_WRONLY|O_APPEND", "spawn :./prog = ETXTBSY"])
        .facts(&["write prog", "probe+ prog"]);
}

#[test]
fn too_many_arguments() {
    // A single argument may have 128 KiB.
    let script = "./prog $(printf %0140000d 0) 2>/dev/null; echo $?";
    let trace = Case::run("copy prog ops", &["/bin/sh", "-c", script]).prints(&["126"]).trace();
    assert!(trace.facts.inside.contains("probe+ prog"), "{:?}", trace.facts.inside);
    assert!(!trace.facts.inside.contains("exec prog"), "{:?}", trace.facts.inside);
}

#[test]
fn by_descriptor() {
    Case::run("copy prog ops\nscript s #!$T/prog\\n", &["execat", "prog"])
        .facts(&["probe+ prog", "exec prog"]);
    // A script by descriptor is read through /dev/fd.
    Case::run("copy prog ops\nscript s #!$T/prog\\n", &["execat", "s"])
        .ends(Ended::Code(99))
        .facts(&["probe+ s", "exec s", "exec prog"]);
}

#[test]
fn of_a_file_without_a_name() {
    // The program lies in a memfd: nothing under the world is executed.
    Case::run("copy prog ops", &["execmem", "prog"]).facts(&["read prog"]);
}

#[test]
fn from_a_thread_that_is_not_the_first() {
    // The thread takes over the process's id; the facts before and after belong to one process.
    Case::run("copy prog ops\nfile f\nfile g", &["threadexec", "f", "./prog", "stat :g &buf"])
        .prints(&["stat = ok"])
        .facts(&["read f", "exec prog", "probe+ g"]);
}

#[test]
fn a_chain_of_200() {
    Case::run("copy chain chain\nfile f", &["chain", "200"]).facts(&["exec chain", "read f"]);
}

#[test]
fn the_search_path() {
    let argv = ["/bin/sh", "-c", "PATH=$T/a:$T/no:$T/b; tool"];
    Case::run("dir a\ncopy b/tool ops", &argv).facts(&[
        "probe- a/tool",
        "probe- no",
        "?probe+ b/tool",
        "exec b/tool",
    ]);
}

#[test]
fn the_first_program_is_searched_too() {
    // 127 or 126, and no recording.
    for (name, code) in
        [("no-such-program-anywhere", 127), ("./no", 127), ("./f", 126), ("./d", 126)]
    {
        let world = World::new("file f\ndir d", false);
        world.build();
        let recording = world.recording();
        let file = recording.to_str().expect("a UTF-8 path");
        let airtight = env!("CARGO_BIN_EXE_airtight");
        let argv = [airtight, "trace", "--format", "json", "-o", file, "--", name];
        let run = Launch::new(&world, &argv.map(str::to_owned), false).end();
        assert_eq!(run.status, Ended::Code(code), "{name}: {}", run.stderr_text());
        assert!(run.stderr_text().contains(name), "{}", run.stderr_text());
        assert!(!recording.exists(), "{name}: a recording of nothing");
    }
}
