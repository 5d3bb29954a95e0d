//! The baseline: findings that a project has and knows of, so that only new ones count.
//!
//! `airtight-baseline.toml` has two kinds of entries. `[[debt]]` is written by `airtight baseline`
//! and is meant to become less; `[[accepted]]` is written by people, with a reason, and no tool
//! changes it. An entry of either kind covers findings of one rule, on the paths and of the
//! actions that match it. With a count it covers that many findings and no more: the rest is new.

mod apply;
mod edit;
mod entries;
mod group;
mod matching;

pub use edit::{Change, Edit, EditError, create};
pub use entries::{Baseline, Entry, Section};
pub use matching::{Standing, Standings};

use crate::rules::Rule;

/// The name of the file, in the root of the workspace.
pub const FILE: &str = "airtight-baseline.toml";

/// Whether findings of `rule` may be entered by a tool. That a recording can't be believed is no
/// debt of the project, and what is said of the baseline itself must not get into it.
fn enters(rule: Rule) -> bool {
    !matches!(rule, Rule::I001 | Rule::I002 | Rule::I003) && rule.family() != 'U'
}

#[cfg(test)]
mod tests;
