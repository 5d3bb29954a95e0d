//! Audits of whole builds, from outside. One module for each build system, and one for the command
//! itself; `support` lays out projects and reads reports.

mod adopting;
mod again;
mod cmake;
mod cmake_clean;
mod command;
mod confirm;
mod console;
mod containers;
mod integrations;
mod make;
mod meson;
mod ninja;
mod projects;
mod signals;
mod support;
