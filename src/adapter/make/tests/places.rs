//! Lines of makefiles.

use crate::adapter::make::places::lines;

#[test]
fn rules_are_found_and_variables_are_not() {
    let text = b"# x: y\nA := b: c\nB ::= d\nC = e: f\nall: g h\n\tcc: not\ng  h &: i \\\n  j: k\n\
        g: again\nl:: m\nt: V = 1\n";
    let mut found: Vec<(String, u32)> = lines(text)
        .into_iter()
        .map(|(name, line)| (String::from_utf8_lossy(name).into_owned(), line))
        .collect();
    found.sort();
    let expected = [("all", 5), ("g", 7), ("h", 7), ("l", 10), ("t", 11)];
    assert_eq!(found, expected.map(|(name, line)| (name.to_owned(), line)));
}
