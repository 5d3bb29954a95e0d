//! Outputs into the store and back: exact facts, attacks, faults.

mod attacks;
mod collecting;
mod faults;
mod support;
mod trees;
mod trip;
