//! Reports, from outside: what each format says of one action and of a whole build, held against
//! its published schema.

mod formats;
mod github;
mod page;
mod site;
