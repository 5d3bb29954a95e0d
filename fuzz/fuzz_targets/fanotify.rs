//! Any bytes, read as what the kernel writes of events: never a panic, always an end, and no name
//! that is none.
#![no_main]

use airtight_tracer::kernel::event::events;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut count = 0;
    let mut ended = false;
    for event in events(bytes) {
        // Nothing follows an error.
        assert!(!ended);
        count += 1;
        match event {
            Ok(event) => {
                for entry in [event.at, event.to].iter().flatten() {
                    assert!(!entry.name.is_empty() && !entry.name.contains(&b'/'));
                    assert!(entry.dir.handle.len() < bytes.len());
                }
            }
            Err(error) => {
                assert!(error.at < bytes.len());
                ended = true;
            }
        }
    }
    assert!(count <= bytes.len() / 24 + 1);
});
