//! `airtight cc` with real compilers and real builds.

mod builds;
mod compiling;
mod passing;
mod site;
