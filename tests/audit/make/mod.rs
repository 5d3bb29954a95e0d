//! Audits of builds with GNU make.

mod cmake;
mod findings;
mod graph;
mod saved;
