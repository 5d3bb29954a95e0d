//! Audits of whole builds, from outside. One module for each build system, and one for the command
//! itself; `support` lays out projects and reads reports.

mod command;
mod ninja;
mod support;
