//! The baseline, from outside: what the command writes, and what audits make of it.

#[allow(dead_code, reason = "the harness serves other tests too")]
#[path = "../audit/support.rs"]
mod support;

mod command;
mod files;
