//! The depfile parser against what compilers write, and against anything.

use airtight_policy::depfile::{Dependencies, parse};
use proptest::prelude::*;

fn inputs(text: &str) -> Vec<String> {
    let read = parse(text.as_bytes()).expect("a depfile");
    read.inputs.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect()
}

#[test]
fn as_compilers_write_them() {
    // gcc -MD -MP with names full of special characters
    let gcc = "b.o x.o: b.c \\\n inc/a\\ b.h inc/c\\#d.h \\\n inc/e$$f.h\n\ninc/a\\ b.h:\n\ninc/c\\#d.h:\n";
    assert_eq!(inputs(gcc), ["b.c", "inc/a b.h", "inc/c#d.h", "inc/e$f.h"]);
    let targets = parse(gcc.as_bytes()).expect("a depfile").targets;
    assert_eq!(targets, [b"b.o".to_vec(), b"x.o".to_vec()]);
    assert_eq!(inputs("a.o: a.c\r\nb.o: \\\r\n b.c a.c\r\n"), ["a.c", "b.c"]);
    assert_eq!(inputs("# made by hand\na.o : a.c # why\n"), ["a.c"]);
    assert_eq!(inputs("a.o: c:/x.h d\\:e.h | order"), ["c:/x.h", "d:e.h", "order"]);
    assert_eq!(inputs("a\\:b.o: x\\y z\\\\ w"), ["x\\y", "z\\", "w"]);
    assert_eq!(inputs("a.o:\\\n a.c\n"), ["a.c"]);
    assert_eq!(inputs("a.o:: a.c"), ["a.c"]);
    assert_eq!(inputs(""), [""; 0]);
}

#[test]
fn a_target_that_depends_on_nothing_is_no_phony_one() {
    let read = parse(b"a.o:\n").expect("a depfile");
    assert_eq!(read, Dependencies { targets: vec![b"a.o".to_vec()], inputs: Vec::new() });
}

#[test]
fn what_is_no_rule_is_refused_with_its_line() {
    let error = |text: &[u8]| parse(text).expect_err("bad").to_string();
    assert_eq!(error(b"a.o: a.c\nwhat is this\n"), "line 2: no `:` after the target");
    assert_eq!(error(b": a.c\n"), "line 1: no target before `:`");
}

/// Writes a name as a compiler does.
fn escape(name: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len());
    let mut run = 0;
    for &byte in name {
        match byte {
            b' ' | b'\t' | b'#' | b':' => {
                out.resize(out.len() + run, b'\\');
                out.extend_from_slice(&[b'\\', byte]);
            }
            b'$' => out.extend_from_slice(b"$$"),
            byte => out.push(byte),
        }
        run = if byte == b'\\' { run + 1 } else { 0 };
    }
    out.resize(out.len() + run, b'\\');
    out
}

/// Names that make can express: no line breaks and no NUL.
fn name() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        prop::sample::select(&b" \t#$\\:|ab"[..]),
        any::<u8>().prop_filter("no line end", |b| !matches!(b, b'\n' | b'\r' | 0)),
    ];
    prop::collection::vec(byte, 1..12).prop_filter("`|` alone means order-only", |n| n != b"|")
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn escaped_names_come_back(names in prop::collection::vec(name(), 1..6), wrapped in any::<bool>()) {
        let mut text = b"out.o:".to_vec();
        for name in &names {
            text.extend_from_slice(if wrapped { b" \\\n " } else { b" " });
            text.extend_from_slice(&escape(name));
        }
        text.push(b'\n');
        let mut once: Vec<Vec<u8>> = Vec::new();
        names.into_iter().for_each(|name| if !once.contains(&name) { once.push(name) });
        prop_assert_eq!(parse(&text).expect("a depfile").inputs, once);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(read) = parse(&bytes) {
            prop_assert!(read.inputs.iter().all(|name| !name.is_empty()));
        }
    }

    #[test]
    fn no_make_like_text_makes_it_panic(text in "[ab:|#$ \\\\\n\r\t]{0,60}") {
        if let Ok(read) = parse(text.as_bytes()) {
            prop_assert!(read.inputs.iter().chain(&read.targets).all(|name| !name.is_empty()));
        }
    }
}
