//! Any bytes, read as a ninja manifest that may include itself, as a dyndep file and as ninja's
//! record of depfiles: never a panic, and no more than what the limits allow.
#![no_main]

// The parsers are parts of the command, not of a library.
#[allow(dead_code, unused_imports)]
#[path = "../../src/adapter/ninja/log.rs"]
mod log;
#[allow(dead_code, unused_imports)]
#[path = "../../src/adapter/ninja/manifest/mod.rs"]
mod manifest;

use libfuzzer_sys::fuzz_target;
use manifest::{Limits, Manifest, Quoting, dyndep};
use std::io;

fuzz_target!(|bytes: &[u8]| {
    // The first part is build.ninja, the second is what it includes.
    let (first, second) = match bytes.iter().position(|&b| b == 0) {
        Some(at) => (&bytes[..at], &bytes[at + 1..]),
        None => (bytes, &b""[..]),
    };
    let mut read = |name: &[u8]| match name {
        b"build.ninja" => Ok(first.to_vec()),
        b"i" => Ok(second.to_vec()),
        _ => Err(io::Error::from(io::ErrorKind::NotFound)),
    };
    let limits = Limits { files: 50, depth: 10, bytes: 1 << 20, value: 1 << 16 };
    match Manifest::read(b"build.ninja", &mut read, limits) {
        Ok(manifest) => {
            for edge in manifest.edges.iter().take(100) {
                assert!(!edge.outputs.is_empty() && edge.line > 0);
                let _ = manifest.command(edge).map(|command| assert!(command.len() <= 1 << 16));
                let _ = manifest.binding(edge, b"depfile", Quoting::None);
            }
        }
        Err(error) => assert!(error.line > 0 && !error.message.is_empty()),
    }
    let _ = dyndep::read(b"dd", first);
    if let Ok(log) = log::Log::read(bytes) {
        let known = |id: &u32| (*id as usize) < log.names().len();
        assert!(log.entries().all(|(output, inputs)| known(&output) && inputs.iter().all(known)));
    }
});
