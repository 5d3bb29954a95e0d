//! Every format, of one action and of a build whose files have hostile names, held against its
//! schema and against the exact facts.

use crate::site::{HOSTILE, Site, schema};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// A site with a recording `action`, and an audit `build` of 20 compiles of which 10 are bad.
fn site() -> Site {
    let site = Site::new();
    site.save_action("action");
    site.save_build("build", 20, 10);
    site
}

/// The report on the action, and that on the build.
fn both(site: &Site, format: &str) -> [String; 2] {
    [site.report("action", format, &[]), site.report("build", format, &["--saved-graph"])]
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("it is JSON")
}

#[track_caller]
fn valid(document: &Value, schema: &Path) {
    let text = std::fs::read_to_string(schema).expect("the schema is there");
    // A bracket too many in SARIF's schema, which only some dialects of patterns let pass.
    let text = text.replace("-[a-zA-Z]{2}]?$", "-[a-zA-Z]{2}?$");
    let validator = jsonschema::options()
        .should_validate_formats(true)
        .build(&json(&text))
        .expect("the schema is one");
    let wrong: Vec<String> = validator
        .iter_errors(document)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert_eq!(wrong, [""; 0]);
}

/// No control character but line feeds, and none that turns the direction of text.
#[track_caller]
fn harmless(text: &str) {
    let bad = |c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c);
    assert_eq!(text.chars().find(|&c| bad(c)), None, "{text}");
}

#[test]
fn sarif_is_valid_and_points_at_declarations() {
    let site = site();
    let documents = both(&site, "sarif").map(|text| json(&text));
    for document in &documents {
        valid(document, &schema("sarif-schema-2.1.0.json"));
    }
    let [action, build] = documents.map(|document| document["runs"][0].clone());
    let uri = |result: &Value| {
        let place = &result["locations"][0]["physicalLocation"]["artifactLocation"];
        assert_eq!(place["uriBaseId"], "%SRCROOT%");
        place["uri"].as_str().expect("a text").to_owned()
    };
    let results = action["results"].as_array().expect("results");
    // Without a declaration the file itself is the place, with all its bytes.
    let uris: BTreeSet<String> = results.iter().map(uri).collect();
    assert_eq!(uris.len(), HOSTILE.len());
    for expected in ["invalid-%FF%FE.h", "new%0Aline%0D%3A%3Aerror%3A%3Aforged.h", "plain.h"] {
        assert!(uris.contains(expected), "{uris:?}");
    }
    let root = action["originalUriBaseIds"]["%SRCROOT%"]["uri"].as_str().expect("a root");
    assert_eq!(root, format!("file://{}/", site.path("work").display()));

    let results = build["results"].as_array().expect("results");
    assert_eq!(results.len(), 30);
    let rules = build["tool"]["driver"]["rules"].as_array().expect("rules");
    let ids: Vec<&str> = rules.iter().filter_map(|rule| rule["id"].as_str()).collect();
    assert_eq!(ids, ["R001", "R003"]);
    let mut fingerprints = BTreeSet::new();
    for result in results {
        let index = result["ruleIndex"].as_u64().expect("an index") as usize;
        assert_eq!(result["ruleId"], ids[index]);
        assert_eq!(uri(result), "Makefile");
        let line = &result["locations"][0]["physicalLocation"]["region"]["startLine"];
        let action = result["properties"]["action"].as_str().expect("an action");
        let number = action.strip_prefix("obj/").and_then(|rest| rest.strip_suffix(".o"));
        assert_eq!(line.as_u64(), number.and_then(|n| Some(n.parse::<u64>().ok()? + 3)));
        harmless(result["message"]["text"].as_str().expect("a text"));
        let print = result["partialFingerprints"]["airtight/v1"].as_str().expect("a text");
        assert_eq!(print.len(), 64);
        fingerprints.insert(print.to_owned());
        let related = result["relatedLocations"].as_array().expect("the file itself");
        // A race has a producer too.
        assert_eq!(related.len(), if result["ruleId"] == "R003" { 2 } else { 1 });
    }
    assert_eq!(fingerprints.len(), 30);
    assert_eq!(build["invocations"][0]["exitCode"], 0);
    assert_eq!(build["invocations"][0]["executionSuccessful"], true);
    // The same on every machine.
    let elsewhere = json(&both(&self::site(), "sarif")[1])["runs"][0]["results"].clone();
    for result in elsewhere.as_array().expect("results") {
        let print = result["partialFingerprints"]["airtight/v1"].as_str().expect("a text");
        assert!(fingerprints.contains(print));
    }
}

#[test]
fn what_is_suppressed_is_so_in_sarif() {
    let site = site();
    let policy = "[[suppress]]\nrules = ['R003']\nreason = 'known \"since\" ever'\n";
    std::fs::write(site.path("policy.toml"), policy).expect("written");
    let policy = site.path("policy.toml").display().to_string();
    let text = site.report("build", "sarif", &["--saved-graph", "--policy", &policy]);
    let document = json(&text);
    valid(&document, &schema("sarif-schema-2.1.0.json"));
    let results = document["runs"][0]["results"].as_array().expect("results");
    let known: Vec<&Value> =
        results.iter().filter(|result| !result["suppressions"].is_null()).collect();
    assert_eq!((results.len(), known.len()), (30, 10));
    for result in known {
        assert_eq!(result["ruleId"], "R003");
        assert_eq!(result["suppressions"][0]["kind"], "external");
        assert_eq!(result["suppressions"][0]["justification"], "known \"since\" ever");
        assert_eq!(result["baselineState"], Value::Null);
    }
}

#[test]
fn what_the_baseline_knows_is_unchanged_in_sarif() {
    let site = site();
    let debt = "[[debt]]\nrule = \"R003\"\naction = \"obj/*.o\"\n\
                path = \"$WORKSPACE/gen/version.h\"\ncount = 10\nsince = 2026-01-01\n";
    std::fs::write(site.path("work/airtight-baseline.toml"), debt).expect("written");
    let document = json(&site.report("build", "sarif", &["--saved-graph"]));
    valid(&document, &schema("sarif-schema-2.1.0.json"));
    let mut states: BTreeMap<String, u32> = BTreeMap::new();
    for result in document["runs"][0]["results"].as_array().expect("results") {
        let state = format!("{} {}", result["ruleId"], result["baselineState"]);
        *states.entry(state).or_default() += 1;
    }
    let expected = [("\"R001\" \"new\"".to_owned(), 20), ("\"R003\" \"unchanged\"".to_owned(), 10)];
    assert_eq!(states, BTreeMap::from(expected));
}

/// What `xmllint` prints for an XPath expression.
fn xpath(file: &Path, expression: &str) -> String {
    let output = Command::new("xmllint").args(["--xpath", expression]).arg(file).output();
    let output = output.expect("xmllint is installed");
    String::from_utf8(output.stdout).expect("UTF-8").trim_end().to_owned()
}

#[test]
fn junit_is_valid_and_has_a_case_for_each_action() {
    let site = site();
    let [action, build] = both(&site, "junit");
    for (name, text) in [("action.xml", action), ("build.xml", build)] {
        let file = site.path(name);
        std::fs::write(&file, &text).expect("written");
        let output = Command::new("xmllint")
            .args(["--noout", "--nonet", "--schema"])
            .args([schema("junit-10.xsd"), file])
            .output()
            .expect("xmllint is installed");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        harmless(&text);
    }
    let build = |expression: &str| xpath(&site.path("build.xml"), expression);
    assert_eq!(build("count(//testcase)"), "23");
    assert_eq!(build("count(//testcase/failure)"), "10");
    assert_eq!(build("string(//testsuite/@tests)"), "23");
    assert_eq!(build("string(//testsuite/@failures)"), "10");
    assert_eq!(build("string(//testsuite/@errors)"), "0");
    assert_eq!(build("string(//testcase[@name='obj/3.o']/@classname)"), "Makefile:6");
    let message = build("string(//testcase[@name='obj/1.o']/failure/@message)");
    assert!(message.ends_with(" and 2 more"), "{message}");
    let text = build("string(//testcase[@name='obj/1.o']/failure)");
    assert!(text.contains("include/</script><script>alert(1)</script>.h"), "{text}");
    let text = xpath(&site.path("action.xml"), "string(//testcase[@name='sh']/failure)");
    assert!(text.contains("]]>\\u{b}\u{fffd}.h"), "{text}");
}

#[test]
fn gitlab_gets_issues_with_fingerprints_of_their_own() {
    let site = Site::new();
    site.save_action("action");
    // So many that hostile names come again, in other actions.
    site.save_build("build", 40, 30);
    let [action, build] = both(&site, "gitlab").map(|text| json(&text));
    for (document, count) in [(&action, HOSTILE.len()), (&build, 90)] {
        valid(document, &schema("gitlab-code-quality.schema.json"));
        let issues = document.as_array().expect("issues");
        let prints: BTreeSet<&str> =
            issues.iter().filter_map(|issue| issue["fingerprint"].as_str()).collect();
        assert_eq!((issues.len(), prints.len()), (count, count));
        for issue in issues {
            harmless(issue["description"].as_str().expect("a text"));
            assert!(!issue["description"].as_str().is_some_and(|text| text.contains('\n')));
        }
    }
    let paths: BTreeSet<&str> = build
        .as_array()
        .expect("issues")
        .iter()
        .filter_map(|issue| issue["location"]["path"].as_str())
        .collect();
    assert_eq!(paths, BTreeSet::from(["Makefile"]));
}

#[test]
fn two_names_that_look_alike_have_fingerprints_of_their_own_in_gitlab() {
    let site = Site::new();
    site.save_reads("alike", &[b"a\xff.h", b"a\xfe.h", b"a\xfd.h"]);
    let document = json(&site.report("alike", "gitlab", &[]));
    let issues = document.as_array().expect("issues");
    let prints: BTreeSet<&str> =
        issues.iter().filter_map(|issue| issue["fingerprint"].as_str()).collect();
    assert_eq!((issues.len(), prints.len()), (3, 3));
}

#[test]
fn json_is_as_its_schema_says() {
    let site = site();
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/report.schema.json");
    let [action, build] = both(&site, "json").map(|text| json(&text));
    valid(&action, &ours);
    valid(&build, &ours);
    assert_eq!(action["version"], 1);
    assert_eq!(action["cacheable"], false);
    let findings = action["verdict"]["findings"].as_array().expect("findings");
    let encoded: Vec<&Value> =
        findings.iter().map(|finding| &finding["path_b64"]).filter(|b64| !b64.is_null()).collect();
    assert_eq!(encoded.len(), 1);
    assert_eq!(build["build"]["findings"].as_array().map(Vec::len), Some(30));
    assert_eq!(build["build"]["actions"].as_array().map(Vec::len), Some(23));
    // Neither of both is no report.
    let text = std::fs::read_to_string(ours).expect("the schema is there");
    let neither = serde_json::json!({ "version": 1, "airtight": "0" });
    assert!(!jsonschema::is_valid(&json(&text), &neither));
}

#[test]
fn people_see_one_group_for_one_cause() {
    let site = site();
    let [action, build] = both(&site, "human");
    harmless(&action);
    harmless(&build);
    insta::assert_snapshot!("human_action", action);
    insta::assert_snapshot!("human_build", build);
    insta::assert_snapshot!(
        "human_build_all",
        site.report("build", "human", &["--saved-graph", "--all"])
    );
    let [action, build] = both(&site, "short");
    harmless(&action);
    harmless(&build);
    assert_eq!(build.lines().count(), 30);
    insta::assert_snapshot!("short_action", action);
    insta::assert_snapshot!("short_build", build);
}

#[test]
fn a_clean_build_has_its_line_and_empty_reports() {
    let site = Site::new();
    site.save_build("build", 3, 0);
    let file = site.path("build").display().to_string();
    let report = |format: &str| {
        let (text, code) = site.airtight(&["check", &file, "--saved-graph", "--format", format]);
        assert_eq!(code, 0, "{text}");
        text
    };
    assert_eq!(
        report("human"),
        "make -j8: nothing found, 6 actions, 7 processes, 0 unattributed\n"
    );
    assert_eq!(report("short"), "");
    assert_eq!(report("github"), "");
    assert_eq!(json(&report("gitlab")), serde_json::json!([]));
    let sarif = json(&report("sarif"));
    valid(&sarif, &schema("sarif-schema-2.1.0.json"));
    assert_eq!(sarif["runs"][0]["results"], serde_json::json!([]));
    std::fs::write(site.path("clean.xml"), report("junit")).expect("written");
    assert_eq!(xpath(&site.path("clean.xml"), "count(//testcase)"), "6");
    assert_eq!(xpath(&site.path("clean.xml"), "count(//failure)"), "0");
}

#[test]
fn several_reports_are_written_at_once() {
    let site = site();
    let build = site.path("build").display().to_string();
    let formats = ["sarif", "junit", "gitlab", "json", "html", "short"];
    let mut args = vec!["check".to_owned(), build.clone(), "--saved-graph".to_owned()];
    for format in formats {
        args.push(format!("--report={format}={}", site.path(format).display()));
    }
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let (human, _) = site.airtight(&args);
    for format in formats {
        let written = std::fs::read_to_string(site.path(format)).expect(format);
        assert_eq!(written, site.report("build", format, &["--saved-graph"]), "{format}");
    }
    assert_eq!(human, site.report("build", "human", &["--saved-graph"]));
    // A file without a format takes the place of the stream.
    let plain = site.path("plain").display().to_string();
    let (nothing, _) = site.airtight(&[&args[..3], &["--report", &plain]].concat());
    assert_eq!(nothing, "");
    assert_eq!(std::fs::read_to_string(plain).expect("written"), human);
}
