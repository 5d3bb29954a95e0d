//! Compiles that declare themselves: by their command line, and by the depfile that the compiler
//! writes. So their inputs are `keyed`.

use super::compile;
use crate::case::Case;

const SOURCE: &str = "the command line names it";
const TOLD: &str = "the compiler tells it";

/// The command of a case as a compile that declares itself, with what is left to declare.
fn declared(
    case: Case<'static>,
    inputs: &'static [&'static str],
    keyed: &'static [(&'static str, &'static str)],
) -> Case<'static> {
    Case { compile: true, inputs, keyed, ..case }
}

pub(crate) fn c() -> Case<'static> {
    declared(compile::c(), &[], &[("a.c", SOURCE), ("inc/a.h", TOLD), ("inc/b.h", TOLD)])
}

pub(crate) fn cxx() -> Case<'static> {
    let keyed = &[("a.cc", SOURCE), ("include/pair.hpp", TOLD), ("include/pair.ipp", TOLD)];
    declared(compile::cxx(), &[], keyed)
}

pub(crate) fn macro_include() -> Case<'static> {
    declared(compile::macro_include(), &[], &[("a.c", SOURCE), ("cfg_x.h", TOLD)])
}

/// A header that is only asked for is in no depfile.
pub(crate) fn has_include() -> Case<'static> {
    declared(compile::has_include(), &["feature.h"], &[("a.c", SOURCE)])
}

pub(crate) fn search_order() -> Case<'static> {
    let keyed = &[("a.c", SOURCE), ("second/a.h", TOLD), ("third/b.h", TOLD)];
    declared(compile::search_order(), &[], keyed)
}

pub(crate) fn depfile() -> Case<'static> {
    declared(compile::depfile(), &[], &[("src/a.c", SOURCE), ("include/a.h", TOLD)])
}

/// What the assembler takes in itself is in no depfile.
pub(crate) fn incbin() -> Case<'static> {
    let inputs = &["include/part.s", "include/blob"];
    declared(compile::incbin(), inputs, &[("a.c", SOURCE)])
}

pub(crate) fn clang() -> Case<'static> {
    let case = compile::clang();
    let keyed = &[("a.c", SOURCE), ("a.h", TOLD)];
    declared(Case { run: "clang -DB=2 -O1 -c a.c -o a.o", ..case }, &[], keyed)
}

pub(crate) fn precompiled_header() -> Case<'static> {
    declared(compile::precompiled_header(), &[], &[("a.c", SOURCE), ("a.h", TOLD)])
}

pub(crate) fn debug_information() -> Case<'static> {
    declared(compile::debug_information(), &[], &[("a.c", SOURCE)])
}
