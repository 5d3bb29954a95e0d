//! Command lines of make.

use crate::adapter::Adapter as _;
use crate::adapter::make::flags::{Call, meaning};
use crate::adapter::make::{FLAGS, Make, is_make};
use proptest::prelude::*;

fn call(line: &str) -> Call {
    Call::parse(&line.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>())
}

fn words(line: &str) -> Vec<Vec<u8>> {
    line.split(' ').filter(|word| !word.is_empty()).map(|word| word.into()).collect()
}

#[test]
fn only_what_decides_the_graph_is_kept() {
    let kept = |line: &str| {
        let words = call(line).arguments().into_iter().map(|word| String::from_utf8(word).unwrap());
        words.collect::<Vec<_>>().join(" ")
    };
    for (given, left) in [
        ("", "--"),
        ("-j4 all", "-- all"),
        ("-j 4 all", "-- all"),
        ("-j all", "-- all"),
        ("--jobs 8 --load-average=2 x", "-- x"),
        ("-kj4 -sC sub -fMakefile.x V=1", "-C sub -f Makefile.x -- V=1"),
        ("-C a -C b --directory=c --direc d", "-C a -C b -C c -C d --"),
        ("--file x --makefile=y -f z", "-f x -f y -f z --"),
        ("-rR -e -n -t -q -w -B", "-r -R -e --"),
        ("--no-builtin-rules --environment-overrides", "-r -e --"),
        ("-I inc --include-dir=more", "-I inc -I more --"),
        ("-W a.c -o b.h --what-if=c --old-file d all", "-- all"),
        ("-Oline -d --debug --debug=b --trace goal", "-- goal"),
        ("--jobserver-auth=3,4 -l 2.5 x", "-- x"),
        ("x -- -y Z=1", "-- Z=1 x -y"),
        ("--shuffle=reverse --output-sync a", "-- a"),
    ] {
        assert_eq!(kept(given), left, "{given}");
    }
}

#[test]
fn questions_about_make_itself_are_no_runs() {
    for line in ["-v", "--version", "--help", "-h", "-kv", "--vers"] {
        assert!(call(line).informs, "{line}");
    }
    for line in ["", "-p", "-n", "-q all", "--verbose", "-f -v", "-C --help"] {
        assert!(!call(line).informs, "{line}");
    }
}

#[test]
fn makeflags_lose_what_is_no_meaning() {
    let kept = |flags: &str| String::from_utf8(meaning(flags.as_bytes())).unwrap();
    for (given, left) in [
        ("", ""),
        ("ks", ""),
        ("rRs -j4 --jobserver-auth=3,4 -- CC=gcc X=a\\ b", "-r -R -- CC=gcc X=a\\ b"),
        ("e --no-print-directory", "-e"),
        (" -j2 --jobserver-auth=fifo:/tmp/x --no-print-directory", ""),
        ("CC=clang", "CC=clang"),
        ("w -Iinc --eval=A\\ =\\ 1", "-Iinc --eval=A\\ =\\ 1"),
        ("-r --include-dir=x -s", "-r --include-dir=x"),
    ] {
        assert_eq!(kept(given), left, "{given}");
    }
    assert_eq!(kept(&format!("rs -j2 {FLAGS} -- V=1")), "-r -- V=1");
}

#[test]
fn the_callers_own_flags_stay() {
    let with = |own: &'static str| {
        let own = move |name: &str| (name == "GNUMAKEFLAGS").then(|| own.into());
        let added = Make.environment(&own);
        added[0].1.clone().into_string().unwrap()
    };
    assert_eq!(with(""), FLAGS);
    // The first word alone may be letters without a dash.
    assert_eq!(with("ks"), format!("ks {FLAGS}"));
    assert_eq!(with("-k -- A=1"), format!("{FLAGS} -k -- A=1"));
    assert_eq!(with("A=1"), format!("{FLAGS} A=1"));
}

#[test]
fn make_has_several_names() {
    for name in ["make", "/usr/bin/gmake", "gnumake", "/opt/make-4.4.1", "make4.2", ".make-wrapped"]
    {
        assert!(is_make(name.as_bytes()), "{name}");
    }
    for name in ["cmake", "bmake", "qmake", "makefile", "/make/sh", "makedepend", "nmake"] {
        assert!(!is_make(name.as_bytes()), "{name}");
    }
}

proptest! {
    /// What is left of a call means the same, and nothing more can be left out.
    #[test]
    fn arguments_are_read_back(line in "( ?(-[a-zA-Z]{1,3}|--[a-z-]{1,12}(=x)?|[a-z=]{1,3}|--|-)){0,8}") {
        let once = Call::parse(&words(&line));
        let again = Call::parse(&once.arguments());
        prop_assert_eq!(Call { informs: false, ..once }, again);
    }

    #[test]
    fn any_flags_are_read(flags in prop::collection::vec(any::<u8>(), 0..200)) {
        let once = meaning(&flags);
        let words: Vec<_> = flags.split(|&byte| byte == b' ').collect();
        Call::parse(&words);
        prop_assert!(once.len() <= flags.len() * 2 + 1);
    }
}
