//! Any bytes, read as a policy, an action.json and a depfile: never a panic, and what is taken
//! can be judged by.
#![no_main]

use airtight_policy::{Declaration, Depfile, Policy, Source, Spec, depfile, judge};
use airtight_recording::Recording;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let recording = Recording::default();
    if let Ok(read) = depfile::parse(bytes) {
        assert!(read.inputs.iter().chain(&read.targets).all(|name| !name.is_empty()));
        let depfile = Depfile { path: b"x.d".to_vec(), content: Some(bytes.to_vec()) };
        let declaration = Declaration { depfile: Some(depfile), ..Declaration::default() };
        assert!(!judge(&declaration, &Policy::default(), &recording).is_cacheable());
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let source = Source { name: "fuzz", text };
    match Policy::parse(source) {
        Ok(policy) => {
            assert_eq!(policy.digest(), policy.clone().digest());
            assert_eq!(policy.suppress.len(), policy.suppress_places.len());
            assert!(!judge(&Declaration::default(), &policy, &recording).is_cacheable());
        }
        Err(error) => assert!(error.to_string().starts_with("fuzz")),
    }
    match Spec::parse(source) {
        Ok(spec) => {
            let again = serde_json::to_string(&spec).expect("a spec is JSON");
            let read = Spec::parse(Source { name: "again", text: &again });
            assert_eq!(read.expect("what was written can be read"), spec);
            let declaration = spec.declaration(b"/ws", "fuzz");
            assert!(!judge(&declaration, &Policy::default(), &recording).is_cacheable());
        }
        Err(error) => assert!(error.to_string().starts_with("fuzz")),
    }
});
