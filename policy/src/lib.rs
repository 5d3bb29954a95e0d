//! Judges a recording against a declaration. Pure: no input, no output, no environment, no clock.
//!
//! [`judge`] takes a [`Declaration`] (what an action says of itself), a [`Policy`] (how strictly
//! to take it) and a recording (what it did), and gives a [`Verdict`]: findings, each of one
//! [`Rule`]. A clean verdict can be turned into [`Verified`], the proof that a cache asks for.
//! [`Enforcer`] gives the same answers while the action runs.
#![forbid(unsafe_code)]

pub mod baseline;
pub mod build;
mod classify;
mod declaration;
mod declared;
mod dependencies;
pub mod depfile;
mod digests;
mod enforcer;
mod evidence;
mod finding;
mod fix;
mod judge;
mod name;
mod neighbours;
mod pattern;
mod policy;
mod producers;
pub mod rules;
mod scopes;
mod source;
mod spec;
mod suppress;
mod tree;
mod verdict;

pub use declaration::{Declaration, Depfile, Environment, Flavour};
pub use dependencies::{Dependency, InputRoots, Need, Seen};
pub use digests::{ActionDigest, RecordingDigest};
pub use enforcer::{Answer, Attempt, Enforcer, enforces};
pub use finding::{Confirmation, Evidence, Finding, PathBytes, Proof, Related, Step};
pub use judge::{Judge, judge};
pub use name::{absolute, display, printable};
pub use pattern::{Pattern, PatternError};
pub use policy::{
    DEFAULT_TOML, Date, Layer, Network, Policy, Reaction, ScopeLists, Severity, Stat, Strictness,
    Suppression, policy_schema,
};
pub use producers::{Order, Part, Producer, Producers};
pub use rules::{Rule, RuleDoc};
pub use source::{ParseError, Place, Source, parse_json, parse_toml};
pub use spec::{Spec, spec_schema};
pub use verdict::{Counts, KnownBy, Refused, Suppressed, Verdict, Verified};
