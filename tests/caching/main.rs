//! The cache behind `airtight run`: what is restored, what isn't, who shares it, and what never
//! gets into it.

mod misses;
mod support;
mod tools;
