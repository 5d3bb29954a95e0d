//! The files made from the code are up to date, and the errors of bad ones say where and what.

use airtight_policy::{
    Date, Pattern, Place, Policy, Rule, Source, Spec, policy_schema, rules, spec_schema,
};
use std::path::Path;

fn committed(name: &str, made: &str, how: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(there == made, "docs/{name} is out of date; make it anew with\n  {how}");
}

#[test]
fn the_rules_page_is_up_to_date() {
    let how = "cargo run -p airtight-policy --example rules > docs/rules.md";
    committed("rules.md", &rules::markdown(), how);
}

#[test]
fn the_schemas_are_up_to_date() {
    for (name, schema) in [("policy", policy_schema()), ("action", spec_schema())] {
        let made = format!("{}\n", serde_json::to_string_pretty(&schema).expect("JSON"));
        let how = "cargo run -p airtight-policy --example schema docs";
        committed(&format!("{name}.schema.json"), &made, how);
    }
}

#[test]
fn every_rule_is_documented_once_and_in_order() {
    let all: Vec<Rule> = Rule::all().map(|doc| doc.rule).collect();
    assert_eq!(all.len(), 32);
    for doc in Rule::all() {
        assert_eq!(Rule::find(&doc.rule.id()), Some(doc.rule));
        assert_eq!(Rule::find(doc.slug), Some(doc.rule));
        assert_eq!(doc.rule.doc().slug, doc.slug);
        for text in [doc.what, doc.why, doc.example, doc.fix] {
            assert!(text.ends_with('.'), "{}: {text}", doc.rule);
        }
    }
}

fn policy_error(text: &str) -> String {
    Policy::parse(Source { name: "airtight.toml", text }).expect_err("bad").to_string()
}

fn spec_error(text: &str) -> String {
    Spec::parse(Source { name: "action.json", text }).expect_err("bad").to_string()
}

#[test]
fn a_bad_policy_is_told_with_its_place() {
    let cases = [
        "strictnes = 'all'",
        "\n[scopes]\n  toolchian = ['/nix']",
        "strictness = 'everything'",
        "[severity]\nR01 = 'note'",
        "[severity]\nundeclared-source-reed = 'note'",
        "[severity]\nR001 = 'fatal'",
        "[reaction-of]\nR001 = 'wran'",
        "[scopes]\ndenied = ['/a', '[z']",
        "[[suppress]]\nrules = ['R001']",
        "[[suppress]]\nreason = ' '",
        "[[suppress]]\nreason = 'x'\nuntil = '2026-13-01'",
        "[[suppress]]\nreason = 'x'\nresaon = 'x'",
        "strictness = ",
        "unsafe-allow-io_uring = true",
    ];
    let told: Vec<String> = cases.iter().map(|text| policy_error(text)).collect();
    insta::assert_snapshot!("policy_errors", told.join("\n"));
}

#[test]
fn a_bad_spec_is_told_with_its_place() {
    let cases = [
        "{\n  \"argv\": [\"cc\"],\n  \"inptus\": []\n}",
        "{\"argv\": [\"cc\"], \"environment\": {\"traked\": []}}",
        "{\"argv\": \"cc\"}",
        "{\"argv\": []}",
        "{\"argv\": [\"cc\"], \"input_globs\": [\"{a\"]}",
        "{\"argv\": [\"cc\"]",
        "[]",
    ];
    let told: Vec<String> = cases.iter().map(|text| spec_error(text)).collect();
    insta::assert_snapshot!("spec_errors", told.join("\n"));
}

#[test]
fn a_spec_becomes_a_declaration() {
    let text = r#"{"argv": ["cc", "-c", "b.c"], "cwd": "sub", "inputs": ["b.c", "../a.h"],
        "outputs": ["b.o"], "depfile": "b.d", "environment": {"fixed": {"LANG": "C"}}}"#;
    let spec = Spec::parse(Source { name: "action.json", text }).expect("good");
    let again = serde_json::to_string(&spec).expect("JSON");
    assert_eq!(Spec::parse(Source { name: "again", text: &again }).expect("good"), spec);
    let declaration = spec.declaration(b"/ws", "action.json");
    assert_eq!(declaration.name, "b.o");
    assert_eq!(declaration.cwd, b"/ws/sub");
    assert_eq!(declaration.declared_at, Some(Place::from("action.json")));
    assert_eq!(declaration.environment.fixed["LANG"], "C");
}

#[test]
fn layers_add_and_replace_and_change_the_epoch() {
    let plain = Policy::default();
    assert_eq!(plain.digest(), Policy::default().digest());
    let text = "strictness = 'all'\nscopes.toolchain = ['/nix']\n\n[[suppress]]\nreason = 'x'";
    let layered = Policy::parse(Source { name: "p.toml", text }).expect("good");
    assert_ne!(layered.digest(), plain.digest());
    assert_eq!(layered.scopes.toolchain.len(), plain.scopes.toolchain.len() + 1);
    assert_eq!(layered.suppress_places[0].to_string(), "p.toml:4:1");
    assert_eq!(layered.origins, ["default policy", "p.toml"]);
}

#[test]
fn places_are_read_and_written() {
    for text in ["SConstruct", "SConstruct:14", "a:b/Makefile:3:7", "x:", "x:0"] {
        assert_eq!(Place::from(text).to_string(), text);
    }
    assert_eq!(Place::from("SConstruct:14").line, 14);
}

#[test]
fn dates_follow_the_calendar() {
    for (seconds, text) in [
        (0, "1970-01-01"),
        (951_782_399, "2000-02-28"),
        (951_782_400, "2000-02-29"),
        (951_868_800, "2000-03-01"),
        (1_798_761_599, "2026-12-31"),
        (1_798_761_600, "2027-01-01"),
    ] {
        assert_eq!(Date::from_unix(seconds).to_string(), text);
        assert_eq!(Date::parse(text), Some(Date::from_unix(seconds)));
    }
    assert_eq!(Date::parse("2026-00-01"), None);
    assert_eq!(Date::parse("2026-1"), None);
}

#[test]
fn patterns_are_checked() {
    assert!(Pattern::new("src/**/*.{c,h}").is_ok());
    let error = Pattern::new("a[").expect_err("bad").to_string();
    assert!(error.starts_with("bad pattern `a[`: "), "{error}");
    assert!(Pattern::new("").is_err());
}
