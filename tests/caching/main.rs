//! The cache behind `airtight run`: what is restored, what isn't, who shares it, and what never
//! gets into it.

mod circumstances;
mod determinism;
mod misses;
mod secrets;
mod sharing;
mod signatures;
mod support;
mod tiers;
mod tools;
mod why;
mod withheld;
