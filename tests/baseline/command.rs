//! A project's way with its baseline.

use crate::support::{Audit, Project};
use std::time::SystemTime;

const PROJECT: &str = "\
-- a --
-- b --
-- c --
";

/// Audits one action that declares `a` and reads these files.
fn audit(project: &Project, flags: &[&str], reads: &str) -> Audit {
    let flags = [&["--adapter", "none", "--in", "a", "--out", "out"], flags].concat();
    let script = format!("cat a {reads} > out");
    project.audit_with(&flags, &["sh", "-c", &script])
}

fn today() -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    airtight_policy::Date::from_unix(now.as_secs()).to_string()
}

/// The debt on one file.
fn debt(path: &str) -> String {
    let today = today();
    format!(
        "[[debt]]\nrule = \"R001\"\naction = \"out\"\npath = \"$WORKSPACE/{path}\"\ncount = 1\n\
         since = {today}\n"
    )
}

#[test]
fn from_first_audit_to_the_end_of_the_debt() {
    let project = Project::new(PROJECT);
    audit(&project, &[], "b").expect(120, &[("R001", "out", "b")]);
    let made = project.airtight(&["baseline", "create"]);
    made.code(0);
    assert_eq!(made.stderr, "wrote airtight-baseline.toml: 1 entry for 1 finding\n");
    let text = project.read("airtight-baseline.toml");
    assert!(text.ends_with(&format!("\n\n{}", debt("b"))), "{text}");

    // What is known is not told, what is new is; both stay out of the cache.
    let known = audit(&project, &[], "b");
    known.expect(0, &[]);
    let suppressed = &known.report["build"]["suppressed"][0];
    assert_eq!(suppressed["by"], "debt");
    assert_eq!(suppressed["cacheable"], false);
    assert_eq!(suppressed["reason"], format!("baseline since {}", today()));
    assert_eq!(suppressed["place"]["line"], 6);
    let uncacheable = &known.report["build"]["actions"][0]["uncacheable"];
    assert!(!uncacheable.as_array().expect("a list").is_empty());
    audit(&project, &["--no-baseline"], "b").expect(120, &[("R001", "out", "b")]);
    audit(&project, &[], "b c").expect(120, &[("R001", "out", "c")]);
    project.check(&[]).expect(1, &[("R001", "out", "c")]);
    project.check(&["--no-baseline"]).expect(1, &[("R001", "out", "b"), ("R001", "out", "c")]);

    // Nothing new gets in unasked.
    let again = project.airtight(&["baseline", "create"]);
    assert!(again.code(2).stderr.contains("already exists and is left as it is"));
    let unasked = project.airtight(&["baseline", "update"]);
    assert!(
        unasked.code(1).stderr.ends_with("not in the baseline: 1 R001\n"),
        "{}",
        unasked.show()
    );
    project.airtight(&["baseline", "update", "--accept", "W001"]).code(1);
    assert_eq!(project.read("airtight-baseline.toml"), text);
    let tried = project.airtight(&["baseline", "update", "--accept", "R001", "--dry-run"]);
    assert!(tried.code(1).stderr.starts_with("added R001 on $WORKSPACE/c in out, 1\n"));
    assert_eq!(project.read("airtight-baseline.toml"), text);
    project.airtight(&["baseline", "update", "--accept", "undeclared-source-read"]).code(0);
    let both = project.read("airtight-baseline.toml");
    assert_eq!(both, format!("{text}\n{}", debt("c")));
    audit(&project, &[], "b c").expect(0, &[]);

    // And what is mended is told, until it is pruned.
    let mended = audit(&project, &[], "c");
    mended.expect(0, &[]);
    let stale = mended.report["build"]["findings"].as_array().expect("a list");
    let stale: Vec<_> = stale.iter().filter(|finding| finding["rule"] == "U003").collect();
    assert_eq!(stale.len(), 1);
    assert_eq!(stale[0]["severity"], "note");
    assert_eq!(stale[0]["related"][0]["place"]["line"], 6);
    let shown = project.airtight(&["baseline", "show"]);
    let today = today();
    assert_eq!(
        shown.code(0).stdout,
        format!(
            "airtight-baseline.toml:6: debt      R001 on $WORKSPACE/b in out  covers 0 of 1 \
             since {today}  stale\n\
             airtight-baseline.toml:13: debt      R001 on $WORKSPACE/c in out  covers 1 of 1 \
             since {today}\n\
             2 entries cover 1 finding, 1 is stale (airtight baseline prune)\n"
        )
    );
    project.airtight(&["baseline", "prune", "--dry-run"]).code(1);
    assert_eq!(project.read("airtight-baseline.toml"), both);
    let pruned = project.airtight(&["baseline", "prune"]);
    assert_eq!(pruned.code(0).stderr, "removed R001 on $WORKSPACE/b in out\n");
    assert_eq!(
        project.read("airtight-baseline.toml"),
        both.replace(&format!("{}\n", debt("b")), "")
    );
    project.airtight(&["baseline", "prune", "--dry-run"]).code(0);
    project.airtight(&["baseline", "show"]).code(0);
}

#[test]
fn nothing_is_gone_after_a_build_that_failed() {
    let project = Project::new(PROJECT);
    audit(&project, &[], "b").expect(120, &[("R001", "out", "b")]);
    project.airtight(&["baseline", "create"]).code(0);
    let text = project.read("airtight-baseline.toml");
    let failed = audit(&project, &[], "; exit 3");
    failed.expect(3, &[]);
    assert!(failed.of_severity(&["note"]).iter().all(|fact| fact.0 != "U003"));
    let pruned = project.airtight(&["baseline", "prune"]);
    assert!(pruned.code(0).stderr.contains("the build failed"), "{}", pruned.show());
    assert_eq!(project.read("airtight-baseline.toml"), text);
}

#[test]
fn without_findings_no_baseline_is_made() {
    let project = Project::new(PROJECT);
    audit(&project, &[], "").expect(0, &[]);
    let made = project.airtight(&["baseline", "create"]);
    assert_eq!(made.code(0).stderr, "no findings, so airtight-baseline.toml is not made\n");
    assert!(!project.path("airtight-baseline.toml").exists());
    let shown = project.airtight(&["baseline", "show"]);
    assert!(shown.code(2).stderr.contains("hint: `airtight baseline create`"), "{}", shown.show());
}

#[test]
fn what_people_accepted_stays_as_they_wrote_it() {
    let project = Project::new(PROJECT);
    let accepted = "# Ask Mia.\n[[accepted]]\nrule = 'R001' # reads\npath = \"b*\"\n\
                    reason = \"it is old\"\n\n# The end.\n";
    project.write("airtight-baseline.toml", accepted);
    let known = audit(&project, &[], "b c");
    known.expect(120, &[("R001", "out", "c")]);
    assert_eq!(known.report["build"]["suppressed"][0]["by"], "accepted");
    assert_eq!(known.report["build"]["suppressed"][0]["reason"], "it is old");
    project.airtight(&["baseline", "update", "--accept", "R001"]).code(0);
    let text = project.read("airtight-baseline.toml");
    assert_eq!(text, format!("{accepted}\n{}", debt("c")));
    audit(&project, &[], "").expect(0, &[]);
    project.airtight(&["baseline", "prune"]).code(0);
    assert_eq!(project.read("airtight-baseline.toml").trim_end(), accepted.trim_end());
}

#[test]
fn only_an_accepted_entry_lets_results_be_published() {
    let project = Project::new(
        "\
-- Makefile --
all: b.txt
a.txt: ; cat secret > $@
b.txt: a.txt ; cat a.txt > $@
-- secret --
",
    );
    let accepted = "[[accepted]]\nrule = \"R001\"\npath = \"secret\"\nreason = \"never changes\"\n";
    let uncacheable = |audit: &Audit| -> Vec<bool> {
        let actions = audit.report["build"]["actions"].as_array().expect("a list");
        let of = |name: &str| actions.iter().find(|action| action["name"] == name);
        ["a.txt", "b.txt"]
            .map(|name| {
                !of(name).expect(name)["uncacheable"].as_array().expect("a list").is_empty()
            })
            .to_vec()
    };
    project.write("airtight-baseline.toml", accepted);
    let audit = project.audit(&["make"]);
    audit.expect(0, &[]);
    assert_eq!(uncacheable(&audit), [true, true]);
    project.write("airtight-baseline.toml", format!("{accepted}cacheable = true\n"));
    let audit = project.check(&[]);
    audit.expect(0, &[]);
    assert_eq!(uncacheable(&audit), [false, false]);
}
