//! Judges a recording against a declaration. Pure: no input, no output, no kernel.
#![forbid(unsafe_code)]
