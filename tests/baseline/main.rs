//! The baseline, from outside: what the command writes, and what audits make of it.

#[path = "../audit/support.rs"]
mod support;

mod command;
mod files;
