//! Any bytes, read as the data base that make prints: never a panic, and nothing that is not in
//! them.
#![no_main]

// The parser is a part of the command, not of a library.
#[allow(dead_code)]
#[path = "../../src/adapter/make/database.rs"]
mod database;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let database = database::parse(bytes);
    let within = |name: &[u8]| name.is_empty() || bytes.windows(name.len()).any(|part| part == name);
    for file in database.files.iter().take(20) {
        assert!(!file.name.contains(&b'\n') && within(&file.name));
        let names = file.inputs.iter().chain(&file.order_only).chain(&file.also_makes);
        assert!(names.take(20).all(|name| !name.is_empty() && within(name)));
        assert!(file.recipe.iter().all(|recipe| recipe.text.len() <= bytes.len()));
    }
});
