//! An oracle that knows nothing of tracing: buildbox-casd executes real actions in a sandbox with
//! exactly the inputs that are declared, and its results are held against Airtight's verdicts.
//!
//! - A clean verdict: it makes the same there, to the byte.
//! - Each declared input left out in turn: Airtight names it, and the oracle fails without it or
//!   makes something else. Where a file is read and has no influence, the case says why.
//! - What counts without a declaration (a link on the way, a name in a listed directory), since it
//!   is in the key: the oracle needs it, and without it Airtight's cache misses.
//! - A file that appears where it was looked for: the cache misses, and the oracle makes of it what
//!   Airtight makes.
#![forbid(unsafe_code)]

mod case;
mod cases;
mod examples;
mod execution;
mod facts;
#[path = "../real_tools/findings.rs"]
mod findings;
mod limits;
#[allow(dead_code, reason = "shared with the tests of caching")]
#[path = "../caching/support.rs"]
mod support;
mod tree;

/// One test for each case.
macro_rules! tests {
    ($($group:ident: $($case:ident)*;)*) => {
        $(
            mod $group {
                $(
                    #[test]
                    fn $case() {
                        crate::facts::hold(&crate::cases::$group::$case());
                    }
                )*
            }
        )*
    };
}

tests! {
    compile: c cxx macro_include has_include search_order include_next forced_include response_file specs precompiled_header depfile preprocess search_variable clang overlay assembler incbin linked_directory linked_header modules debug_information compressed_debug_information lto profile profile_by_place kernel_name own_assembler search_up;
    self_declared: c cxx macro_include has_include search_order depfile incbin clang precompiled_header debug_information;
    link: archive archive_script program library_order thin_archive implicit_script linker_script version_script needed_library response_file lto relocatable objcopy strip symbols built_tool preloaded library_variable;
    generate: python python_package python_zip python_settings descriptions dotfile directory shell interpreters program_search pipeline join glob whole_directory listing directory_test file_test link_text without_influence perl m4 bison flex startup_file chain_of_links up_from_link absent_directories intermediate list_of_files time_zone listed_types up_from_directory;
    tools: tar untar gzip xxd git_attributes git_archive make cmake ninja xml openssl make_path patch checksums;
}
