//! The parsers, on what make prints and on anything else. Whole builds are audited in
//! `tests/audit/make`.

mod database;
mod depfiles;
mod flags;
mod places;
mod recipes;
