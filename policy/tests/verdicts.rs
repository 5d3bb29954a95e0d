//! One small recording per rule and per tricky case, and what the judge says of it.

mod common;

use airtight_policy::{Declaration, Policy, Verdict, judge};
use airtight_recording::Recording;
use common::*;
use std::fmt::Write as _;

fn verdict(declaration: &Declaration, recording: &Recording) -> Verdict {
    judge(declaration, &Policy::default(), recording)
}

/// The findings, one line each, and the reasons against publishing.
fn told(verdict: &Verdict) -> String {
    let mut out = String::new();
    for f in verdict.findings() {
        let _ = writeln!(out, "{} {}: {} x{} [{}]", f.severity, f.rule, f.message, f.count, f.fix);
    }
    for s in verdict.suppressed() {
        let _ = writeln!(out, "suppressed {}: {}", s.finding.rule, s.finding.message);
    }
    let _ = write!(out, "{}", if verdict.fails() { "fails" } else { "passes" });
    if !verdict.is_cacheable() {
        let _ = write!(out, ", not cacheable: {}", verdict.uncacheable().join("; "));
    }
    out
}

#[test]
fn a_true_declaration_is_clean() {
    let recording = recorded(|_| {});
    insta::assert_snapshot!(told(&verdict(&action(), &recording)), @"passes");
}

#[test]
fn r001_an_undeclared_header_is_found() {
    let recording = recorded(|m| m.read("/ws/include/cfg_x.h"));
    insta::assert_snapshot!(told(&verdict(&action(), &recording)), @r"
    error R001: undeclared read of include/cfg_x.h x1 [--in include/cfg_x.h]
    fails, not cacheable: R001 undeclared-source-read
    ");
}
