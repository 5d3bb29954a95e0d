//! Real tools under Airtight: they behave as without it, their true declarations are clean, one
//! declaration left out is exactly one finding, and no path that strace sees is missed.

mod bench;
mod findings;
mod strace;
mod tools;

use bench::Bench;
use std::collections::BTreeSet;
use tools::Tool;

/// Runs the tool untraced and traced from the same start, and compares all that can be seen of it.
fn same_and_clean(tool: &Tool) {
    let bench = Bench::new(tool);
    let untraced = bench.untraced();
    let files = bench.files();
    assert_eq!(untraced.code, Some(0), "{}: {}", tool.name, untraced.stderr);
    bench.reset();
    let traced = bench.airtight(&tool.declared);
    assert_eq!(traced, untraced, "{} traced", tool.name);
    let now = bench.files();
    let names: BTreeSet<_> = files.keys().chain(now.keys()).collect();
    let other: Vec<_> = names.iter().filter(|name| files.get(**name) != now.get(**name)).collect();
    assert!(other.is_empty(), "{} traced made other files: {other:?}", tool.name);
}

/// Leaves one input out of the declaration.
fn one_left_out(tool: &Tool) {
    let bench = Bench::new(tool);
    let (gap, expected) = &tool.gap;
    let position = tool.declared.iter().position(|flag| flag == gap);
    let position = position.unwrap_or_else(|| panic!("{}: {gap} is declared", tool.name));
    let mut declared = tool.declared.clone();
    declared.remove(position);
    // The flag before it: --in or --in-dir.
    declared.remove(position - 1);
    let findings = bench.findings(&declared);
    assert_eq!(findings, std::slice::from_ref(expected), "{} without {gap}", tool.name);
}

/// Every path in a call that strace shows is also in the recording.
fn as_much_as_strace(tool: &Tool) {
    let bench = Bench::new(tool);
    let seen = bench.strace();
    assert!(!seen.is_empty(), "strace saw no path of {}", tool.name);
    bench.reset();
    let recorded = bench.recorded();
    let missed: Vec<_> = seen.difference(&recorded).collect();
    assert!(missed.is_empty(), "{}: strace shows what Airtight does not: {missed:#?}", tool.name);
}

/// One module of three tests for each tool.
macro_rules! tests {
    ($($tool:ident),* $(,)?) => {
        $(
            mod $tool {
                #[test]
                fn same_and_clean() {
                    super::same_and_clean(&crate::tools::$tool());
                }

                #[test]
                fn one_left_out() {
                    super::one_left_out(&crate::tools::$tool());
                }

                #[test]
                fn as_much_as_strace() {
                    super::as_much_as_strace(&crate::tools::$tool());
                }
            }
        )*
    };
}

tests! {
    ar, clang, cmake, gcc, gcc_link, git_archive, git_commit, gxx, ld, make, python3, rustc, tar,
}
