//! Any bytes, read as an entry, a list of path sets and a path set: never a panic, and what is taken
//! has exactly the declared outputs, and nothing that a restore could not bound.
#![no_main]

use airtight_cache::key::PathSet;
use airtight_cache::{MAX_STREAM, check_entry, check_path_sets};
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeSet;

/// The outputs of the seeds.
const OUTPUTS: [&str; 4] = ["out.txt", "tool", "link", "tree"];

fuzz_target!(|bytes: &[u8]| {
    if let Ok(result) = check_entry(bytes, &OUTPUTS) {
        let files = result.files.iter().map(|file| &file.path);
        let links = result.links.iter().map(|link| &link.path);
        let directories = result.directories.iter().map(|directory| &directory.path);
        let given: Vec<&str> = files.chain(links).chain(directories).map(String::as_str).collect();
        assert_eq!(given.len(), OUTPUTS.len());
        assert_eq!(given.into_iter().collect::<BTreeSet<_>>(), BTreeSet::from(OUTPUTS));
        assert!(result.files.iter().all(|file| file.mode <= 0o777));
        let streams = [result.stdout, result.stderr];
        assert!(streams.iter().flatten().all(|digest| digest.size() <= MAX_STREAM));
    }
    if let Ok(list) = check_path_sets(bytes) {
        assert_eq!(check_path_sets(&list).as_deref(), Ok(list.as_slice()));
    }
    if let Ok(set) = PathSet::decode(bytes) {
        assert_eq!(set.encode(), bytes);
    }
});
