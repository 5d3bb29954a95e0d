//! The page `docs/syscalls.md`, made from the table.

use super::{Abi, GROUPS, HOLES, IOCTLS, IoctlEffect, Only, Row, Test, Verdict, When};
use std::fmt::Write;

const HEAD: &str = "\
# System calls

This page is made from the table in `tracer/src/table/`; do not edit it. After a change of the
table run `AIRTIGHT_BLESS=1 cargo test -p airtight-tracer page`.

Every number of every ABI that a process can use has one row here. A number that has none, or an
architecture that is not listed, stops and makes the recording incomplete.

- **entry**: one stop, before the call. What the end of the call would tell, a look at the file
  system tells too. For processes whose view differs from the tracer's the end is awaited as well.
- **entry, exit**: two stops. Success or failure decides what is recorded.
- **pass**: no stop.
- **answered**: the filter gives the answer itself, without a stop.

Where a condition is given, calls that do not meet it run without a stop. `argN` counts from 0.
x32 calls have bit 30 set (0x40000000) and the number of x86-64; where they have a number of their
own it is given after a slash.
";

/// The whole page.
fn page() -> String {
    let mut page = String::from(HEAD);
    for (title, rows) in GROUPS {
        write!(page, "\n## {title}\n\n| call | x86-64 | i386 | aarch64 | stops | why |\n").unwrap();
        page.push_str("|---|---|---|---|---|---|\n");
        for row in *rows {
            line(&mut page, row);
        }
    }
    page.push_str(
        "\n## ioctl requests that stop\n\n| request | number | effect |\n|---|---|---|\n",
    );
    for (number, name, effect) in IOCTLS {
        let effect = match effect {
            IoctlEffect::Metadata => "changes attributes of the file",
            IoctlEffect::Opaque => "can't be decoded; the recording is incomplete if it succeeds",
            IoctlEffect::Refuse => "answered ENOSYS and noted",
        };
        writeln!(page, "| {name} | {number:#010x} | {effect} |").unwrap();
    }
    page.push_str("\n## Numbers without a call\n\nThe kernel answers them with ENOSYS.\n\n");
    for abi in Abi::ALL {
        let ranges: Vec<String> = HOLES
            .iter()
            .filter(|(of, ..)| *of == abi)
            .map(|(_, a, b)| if a == b { a.to_string() } else { format!("{a} to {b}") })
            .collect();
        writeln!(page, "- {}: {}", abi.name(), ranges.join(", ")).unwrap();
    }
    page
}

fn line(page: &mut String, row: &Row) {
    let number = |n: Option<u32>| n.map_or_else(|| "–".to_owned(), |n| n.to_string());
    let mut x86_64 = number(row.x86_64);
    if let Some(x32) = row.x32 {
        write!(x86_64, "/{x32}").unwrap();
    }
    let mut stops = match row.verdict {
        Verdict::Trace(_, When::Entry) => "entry".to_owned(),
        Verdict::Trace(_, When::Exit) => "entry, exit".to_owned(),
        Verdict::Pass => "pass".to_owned(),
        Verdict::Deny(38) => "answered ENOSYS".to_owned(),
        Verdict::Deny(errno) => format!("answered with errno {errno}"),
    };
    if row.only != Only::Always {
        write!(stops, "; only if {}", condition(&row.only)).unwrap();
    }
    let (i386, aarch64) = (number(row.i386), number(row.aarch64));
    let name = row.name.replace('_', "\\_");
    writeln!(page, "| {name} | {x86_64} | {i386} | {aarch64} | {stops} | {} |", row.why).unwrap();
}

fn condition(only: &Only) -> String {
    let join = |tests: &[Test], word| tests.iter().map(test).collect::<Vec<_>>().join(word);
    match only {
        Only::Always => String::new(),
        Only::All(tests) => join(tests, " and "),
        Only::Any(tests) => join(tests, " or "),
        Only::OneOf { values, .. } if values.len() == IOCTLS.len() => {
            "the request is one of those below".to_owned()
        }
        Only::OneOf { arg, mask, values } => {
            let mask = if *mask == u32::MAX { String::new() } else { format!(" & {mask:#x}") };
            let values: Vec<String> = values.iter().map(u32::to_string).collect();
            format!("arg{arg}{mask} is one of {}", values.join(", "))
        }
    }
}

fn test(test: &Test) -> String {
    let Test { arg, mask, value, equal } = *test;
    let is = if equal { "=" } else { "≠" };
    match mask {
        u64::MAX | 0xffff_ffff => format!("arg{arg} {is} {value}"),
        _ => format!("arg{arg} & {mask:#x} {is} {value:#x}"),
    }
}

#[test]
fn the_page_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/syscalls.md");
    if std::env::var_os("AIRTIGHT_BLESS").is_some() {
        std::fs::create_dir_all(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs")).unwrap();
        std::fs::write(path, page()).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(written == page(), "docs/syscalls.md is not what the table says: set AIRTIGHT_BLESS=1");
}
