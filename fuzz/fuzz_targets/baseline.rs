//! Any bytes, read as a baseline: never a panic, and what is taken can be applied and edited.
#![no_main]

use airtight_policy::baseline::Baseline;
use airtight_policy::build::{Build, BuildVerdict};
use airtight_policy::{Date, Policy, Source};
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeSet;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let baseline = match Baseline::parse(Source { name: "fuzz", text }) {
        Ok(baseline) => baseline,
        Err(error) => {
            assert!(error.to_string().starts_with("fuzz"));
            return;
        }
    };
    let build = Build { workspace: b"/ws".to_vec(), home: b"/h".to_vec(), ..Build::default() };
    let mut verdict = BuildVerdict::default();
    verdict.exit = Some(airtight_recording::Exit::Code(0));
    verdict.completeness = Some(airtight_recording::Completeness::Complete);
    let today = Date { year: 2026, month: 11, day: 21 };
    let standings = baseline.standings(&verdict, &build, Some(today));
    // Without findings nothing is new, and all debt is gone.
    if let Ok(edit) = baseline.update(&verdict, &build, &standings, &BTreeSet::new(), today) {
        assert_eq!(edit.text, text);
    }
    if let Ok(edit) = baseline.prune(&standings) {
        assert!(edit.text.len() <= text.len());
        let left = Baseline::parse(Source { name: "again", text: &edit.text });
        let left = left.expect("what was written can be read");
        let standings = left.standings(&verdict, &build, Some(today));
        assert_eq!(left.prune(&standings).expect("it could be edited before").text, edit.text);
    }
    baseline.apply(&mut verdict, &build, &Policy::default(), Some(today));
    assert_eq!(verdict.findings.len(), baseline.entries().len());
});
