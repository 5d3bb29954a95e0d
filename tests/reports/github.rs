//! What GitHub gets: annotations that no name can forge, and the summary of the step.

use crate::site::Site;
use std::fs;

#[test]
fn annotations_are_one_line_each_and_point_at_declarations() {
    let site = Site::new();
    site.save_action("action");
    site.save_build("build", 20, 10);
    let action = site.report("action", "github", &[]);
    let build = site.report("build", "github", &["--saved-graph"]);
    for line in action.lines().chain(build.lines()) {
        assert!(line.starts_with("::error file="), "{line}");
    }
    insta::assert_snapshot!("action", action);
    insta::assert_snapshot!("build", build);
}

#[test]
fn nine_are_shown_and_the_rest_is_counted() {
    let site = Site::new();
    let names: Vec<String> = (0..25).map(|number| format!("d{number:02}/a.h")).collect();
    let names: Vec<&[u8]> = names.iter().map(String::as_bytes).collect();
    site.save_reads("ten", &names[..10]);
    let text = site.report("ten", "github", &[]);
    assert_eq!(text.lines().count(), 10);
    assert!(!text.contains("summary of this step"));
    site.save_reads("many", &names);
    let text = site.report("many", "github", &[]);
    assert_eq!(text.lines().count(), 10);
    assert_eq!(
        text.lines().last(),
        Some("::error title=Airtight::16 more errors in the summary of this step")
    );
}

#[test]
fn the_summary_is_appended_and_stays_below_its_limit() {
    let site = Site::new();
    site.save_action("action");
    let summary = site.path("summary.md");
    let run = |file: &str, formats: &[&str]| {
        let file = site.path(file).display().to_string();
        let mut command = site.command(&[&["check", &file], formats].concat());
        command.env("GITHUB_STEP_SUMMARY", &summary);
        let output = command.output().expect("airtight starts");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        assert_eq!(output.status.code(), Some(1));
    };
    fs::write(&summary, "before\n").expect("written");
    run("action", &["--format", "human"]);
    assert_eq!(fs::read_to_string(&summary).expect("there"), "before\n");
    run("action", &["--format", "github"]);
    let text = fs::read_to_string(&summary).expect("there");
    let own = text.strip_prefix("before\n").expect("kept").to_owned();
    insta::assert_snapshot!("summary", own);
    // Asked for as a file, it is the same.
    let target = format!("--report=github={}", site.path("annotations").display());
    fs::write(&summary, "").expect("written");
    run("action", &[&target]);
    assert_eq!(fs::read_to_string(&summary).expect("there"), own);
    // GitHub takes 1 MiB, and drops all of what is larger.
    let names: Vec<String> =
        (0..9000).map(|number| format!("d{number}/{}.h", "x".repeat(99))).collect();
    let names: Vec<&[u8]> = names.iter().map(String::as_bytes).collect();
    site.save_reads("many", &names);
    let before = "x".repeat(1000);
    fs::write(&summary, &before).expect("written");
    run("many", &["--format", "github"]);
    let text = fs::read_to_string(&summary).expect("there");
    assert!(text.starts_with(&before));
    assert!((1 << 19..=1 << 20).contains(&text.len()), "{}", text.len());
    let last = text.lines().last().expect("lines");
    let left: usize = last
        .strip_prefix("… ")
        .and_then(|rest| rest.strip_suffix(" more"))
        .and_then(|number| number.parse().ok())
        .unwrap_or_else(|| panic!("{last}"));
    let rows = text.lines().filter(|line| line.starts_with("| error |")).count();
    assert_eq!(rows + left, 9000);
    // Nothing is added where nothing finds room.
    fs::write(&summary, "x".repeat(1 << 20)).expect("written");
    run("many", &["--format", "github"]);
    assert_eq!(fs::metadata(&summary).expect("there").len(), 1 << 20);
}
