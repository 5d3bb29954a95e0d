//! Command lines that are passed through.

use crate::site::Site;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;

#[test]
fn every_word_arrives_as_it_is() {
    let site = Site::new();
    site.script("gcc", "printf '<%s>' \"$@\"; exit 7");
    // Words that a parser of flags would like to have for itself.
    let words = [
        "--help",
        "-h",
        "--version",
        "-V",
        "--",
        "-C",
        "/",
        "--color",
        "never",
        "",
        " ",
        "a b",
        "*",
        "--in",
        "x",
        "--why",
        "$HOME",
        "-",
        "@absent",
        "--no-cache",
        "-c",
        "\n",
        "--spec=x",
        "--",
    ];
    for compiler in
        [&["./gcc"][..], &["--", "./gcc"], &["--why", "./gcc"], &["--no-cache", "./gcc"]]
    {
        let mut command = site.command(&["airtight", "cc"]);
        command.args(compiler).args(words).arg(OsStr::from_bytes(b"\xff\xfe"));
        let output = command.output().expect("it runs");
        assert_eq!(output.status.code(), Some(7));
        let mut expected: Vec<u8> =
            words.iter().flat_map(|w| format!("<{w}>").into_bytes()).collect();
        expected.extend(b"<\xff\xfe>");
        assert_eq!(output.stdout, expected, "{compiler:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        let why = "passed through: --help is not known\n";
        let asked = compiler.contains(&"--why");
        // It asks the compiler something, which is all that is told.
        assert_eq!(said.is_empty(), !asked, "{said}");
        assert!(!asked || said.starts_with(&why[..15]), "{said}");
    }
}

#[test]
fn the_compiler_gets_everything_that_airtight_got() {
    let site = Site::new();
    site.script("gcc", "echo \"$SOME_VARIABLE\" \"$TMPDIR\"; cat; exit 3");
    let mut command = site.command(&["airtight", "cc", "./gcc", "-E", "-"]);
    command.env("SOME_VARIABLE", "kept");
    let input = site.path("input");
    std::fs::write(&input, "from outside\n").expect("input");
    command.stdin(std::fs::File::open(input).expect("input"));
    let output = command.output().expect("it runs");
    assert_eq!(output.status.code(), Some(3));
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(said, format!("kept {}\nfrom outside\n", site.root().join("tmp").display()));
    // The signal of the compiler is the signal of the launcher.
    site.script("gcc", "kill -9 $$");
    assert_eq!(site.run("airtight cc ./gcc --version").status.signal(), Some(9));
}

#[test]
fn what_is_no_compilation_runs_untraced() {
    let site = Site::new();
    site.write("a.c", "int main(void) { return 5; }\n").write("b.c", "int b;\n");
    for (line, reason) in [
        ("gcc a.c -o a", "it links"),
        ("gcc -c a.c b.c", "several sources"),
        ("gcc -E a.c -o a.i", "it only preprocesses"),
        ("gcc -c a.c -o /dev/null", "an output that is no file"),
        ("gcc -dumpversion", "it only asks the compiler something"),
        ("gcc -save-temps -c a.c", "it makes further files"),
    ] {
        let said = site.ends(0, &format!("airtight cc --why {line}"));
        assert_eq!(said, format!("passed through: {reason}\n"), "{line}");
        site.quiet(&format!("airtight cc {line}"));
    }
    assert_eq!(site.run("./a").status.code(), Some(5));
    // A file that several compilations append to.
    let mut command = site.command(&["airtight", "cc", "--why", "gcc", "-c", "a.c"]);
    let output = command.env("DEPENDENCIES_OUTPUT", "all.d").output().expect("it runs");
    assert_eq!(output.stderr, b"passed through: DEPENDENCIES_OUTPUT is set\n");
    assert!(site.path("all.d").exists());
}

#[test]
fn flags_of_airtight_stand_before_the_compiler() {
    let site = Site::new();
    let said = site.ends(125, "airtight cc --bogus gcc -c a.c");
    assert!(said.contains("--bogus"), "{said}");
    site.ends(125, "airtight cc");
    let output = site.run("airtight cc --help");
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&output.stdout).contains("CMAKE_C_COMPILER_LAUNCHER"));
    let said = site.ends(127, "airtight cc absent --version");
    assert!(said.contains("absent"), "{said}");
    site.write("gcc", "");
    site.ends(126, "airtight cc ./gcc --version");
}
