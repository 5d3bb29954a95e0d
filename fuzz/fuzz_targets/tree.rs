//! Any bytes, read as a `Tree` message: never a panic, and what is taken stays as it is when it is
//! encoded and read again.
#![no_main]

use airtight_cache::outputs::check_tree;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    match check_tree(bytes) {
        Ok(encoded) => assert_eq!(check_tree(&encoded), Ok(encoded)),
        Err(what) => assert!(!what.is_empty()),
    }
});
