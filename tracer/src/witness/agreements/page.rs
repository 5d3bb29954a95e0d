//! The page `docs/witness.md`, made from the table.

use super::{AGREEMENTS, EXCEPTIONS};
use crate::log::Deeds;
use std::fmt::Write;

const HEAD: &str = include_str!("page.md");

fn words(deeds: Deeds) -> String {
    let words = Deeds::WORDS.iter().filter(|(deed, _)| deed.meets(deeds));
    words.map(|(_, word)| *word).collect::<Vec<_>>().join(", ")
}

/// The whole page.
fn page() -> String {
    let mut page = String::from(HEAD);
    page.push_str(
        "\n## What accounts for what\n\n| the kernel saw | recorded of the name | why |\n",
    );
    page.push_str("|---|---|---|\n");
    for agreement in &AGREEMENTS {
        let (event, by, why) = (agreement.event, words(agreement.by), agreement.why);
        writeln!(page, "| {event} | {by} | {why} |").unwrap();
    }
    page.push_str("\nBesides:\n\n| event | why it is no disagreement |\n|---|---|\n");
    for (event, why) in EXCEPTIONS {
        writeln!(page, "| {event} | {why} |").unwrap();
    }
    page
}

#[test]
fn the_page_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/witness.md");
    if std::env::var_os("AIRTIGHT_BLESS").is_some() {
        std::fs::write(path, page()).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(written == page(), "docs/witness.md is not what the table says: set AIRTIGHT_BLESS=1");
}

#[test]
fn each_act_has_one_row() {
    // That a file is read shows when it is opened.
    use crate::kernel::view::Act::*;
    for act in [Open, List, Exec, Modify, CloseWrite, Create, Delete, MovedFrom, MovedTo, Attrib] {
        for dir in [false, true] {
            if (act, dir) == (List, false) {
                assert!(super::agreement(act, dir).is_none());
                continue;
            }
            let fits = |a: &&super::Agreement| a.act == act && a.dir.is_none_or(|d| d == dir);
            assert_eq!(AGREEMENTS.iter().filter(fits).count(), 1, "{act:?} {dir}");
            assert!(super::agreement(act, dir).is_some_and(|a| a.by != Deeds::NONE));
        }
    }
}
