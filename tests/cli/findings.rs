//! Findings as people and programs see them, and what `run` does around the command.

use crate::support::Site;
use insta::assert_snapshot;

/// A C file that includes a header through a macro.
fn compile(site: &Site) -> &'static [&'static str] {
    site.write("include/cfg_x.h", "#define V 1\n")
        .write("src/b.c", "#define H \"cfg_x.h\"\n#include H\nint v(void) { return V; }\n");
    &["--", "gcc", "-Iinclude", "-c", "src/b.c", "-o", "b.o"]
}

#[test]
fn a_compile_that_includes_an_undeclared_header() {
    let site = Site::new();
    let gcc = compile(&site);
    let run = |declared: &[&str]| site.run(&[&["run"], declared, gcc].concat());
    assert_snapshot!(run(&["--in", "src/b.c", "--out", "b.o"]).show());
    // With the line that the finding gives, nothing is left to say.
    run(&["--in", "src/b.c", "--out", "b.o", "--in", "include/cfg_x.h"]).silent(0);
    run(&["--in", "src/b.c", "--out", "b.o", "--in", "include/*.h"]).silent(0);
    run(&["--in", "src/b.c", "--out", "b.o", "--in-dir", "include"]).silent(0);
    assert_eq!(
        run(&["--in", "include"]).code(125).stderr,
        "error: --in include: this is a directory\n  \
         hint: `--in-dir include` declares everything in it\n"
    );
}

#[test]
fn a_depfile_declares_what_it_lists() {
    let site = Site::new();
    compile(&site);
    site.run(&[
        "run",
        "--in",
        "src/b.c",
        "--out",
        "b.o",
        "--depfile",
        "b.d",
        "--",
        "gcc",
        "-MD",
        "-Iinclude",
        "-c",
        "src/b.c",
        "-o",
        "b.o",
    ])
    .silent(0);
}

#[test]
fn an_action_file_is_an_action() {
    let site = Site::new();
    compile(&site);
    site.write(
        "action.json",
        r#"{
  "argv": ["gcc", "-Iinclude", "-c", "src/b.c", "-o", "b.o"],
  "inputs": ["src/b.c"],
  "outputs": ["b.o"],
  "declared_at": "SConstruct:14"
}"#,
    );
    assert_snapshot!(site.run(&["run", "--spec", "action.json"]).show());
}

#[test]
fn json_holds_the_verdict() {
    let site = Site::new();
    let gcc = compile(&site);
    let report = ["run", "--format", "json", "--report", "r.json", "--in", "src/b.c"];
    let end = site.run(&[report.as_slice(), &["--out", "b.o"], gcc].concat());
    assert_eq!(end.show(), "exit 120\n--- stdout\n--- stderr\n");
    let report: serde_json::Value = serde_json::from_str(&site.read("r.json")).expect("JSON");
    assert_eq!(report["version"], 1);
    assert_eq!(report["cacheable"], false);
    let finding = &report["verdict"]["findings"][0];
    assert_eq!(finding["rule"], "R001");
    assert_eq!(finding["subject"], "include/cfg_x.h");
    assert_eq!(finding["fix"], "--in include/cfg_x.h");
}

#[test]
fn a_refused_call_fails_in_the_act() {
    let site = Site::new();
    site.write("in", "content");
    let cat = |reaction| {
        let reaction = format!("R001={reaction}");
        site.run(&["run", "--format", "short", "--reaction", &reaction, "--", "cat", "in"])
    };
    assert!(cat("deny").code(1).stderr.starts_with("cat: in: Permission denied\n"));
    assert!(cat("hide").code(1).stderr.starts_with("cat: in: No such file or directory\n"));
    let end = cat("kill");
    assert_eq!(end.signal, Some(9));
    assert!(
        end.stderr.ends_with("error: killed because of [ROOT]/work/in, as the policy demands\n"),
        "{}",
        end.show()
    );
    assert_eq!(cat("warn").code(0).stdout, "content");
}

#[test]
fn many_findings_are_cut_unless_all_are_asked_for() {
    let site = Site::new();
    let names: Vec<String> = (0..25).map(|n| format!("d{n:02}/in")).collect();
    for name in &names {
        site.write(name, "");
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let cut = site.run(&[&["run", "--", "cat"], names.as_slice()].concat());
    assert_eq!(cut.code(120).stderr.matches("error[R001]").count(), 20);
    assert!(cut.stderr.contains("\n... 5 more (--all)\n"), "{}", cut.show());
    let all = site.run(&[&["run", "--all", "--", "cat"], names.as_slice()].concat());
    assert_eq!(all.code(120).stderr.matches("error[R001]").count(), 25);
    assert!(!all.stderr.contains("more (--all)"), "{}", all.show());
}

#[test]
fn findings_of_one_directory_are_told_together() {
    let site = Site::new();
    for name in ["in/a", "in/b", "in/c"] {
        site.write(name, "");
    }
    assert_snapshot!(site.run(&["run", "--", "cat", "in/a", "in/b", "in/c"]).show());
}

#[test]
fn the_action_gets_the_declared_environment_and_a_directory_of_its_own() {
    let site = Site::new();
    let run = |arguments: &[&str]| {
        let mut command = site.airtight(&[&["run"], arguments, &["--", "env"]].concat());
        command.env("GIVEN", "1").env("HIDDEN", "2").env_remove("HOME");
        let end = site.end(command);
        let lines = end.code(0).stdout.lines();
        let mut names: Vec<_> =
            lines.filter(|line| !line.starts_with("PATH=")).map(str::to_owned).collect();
        names.sort();
        names
    };
    let own = run(&["--env", "GIVEN", "--env", "SET=3"]);
    assert_eq!(own[..3], ["GIVEN=1", "LC_ALL=C", "SET=3"]);
    assert!(own[3].starts_with("TMPDIR=[ROOT]/tmp/airtight-"));
    assert_eq!(own.len(), 4);
    // The same name in every run, and nothing left of it.
    assert_eq!(run(&["--env", "GIVEN", "--env", "SET=3"]), own);
    let path = own[3].trim_start_matches("TMPDIR=[ROOT]/");
    assert!(!site.root().join(path).exists());
    assert!(run(&["--env-all"]).contains(&"HIDDEN=2".to_owned()));
}

#[test]
fn old_outputs_are_gone_before_the_command_starts() {
    let site = Site::new();
    site.write("out", "old");
    site.run(&["run", "--out", "out", "--", "test", "-e", "out"]).code(1);
    let end = site.run(&["run", "--out", ".", "--", "true"]);
    assert!(end.code(125).stderr.contains("an output is deleted before the run"), "{}", end.show());
}

#[test]
fn undeclared_outputs_are_removed_only_when_asked() {
    let site = Site::new();
    let script = ["--out", "a", "--", "sh", "-c", ": > a; : > b"];
    site.run(&[&["run"], script.as_slice()].concat()).code(120);
    assert!(site.path("b").exists());
    std::fs::remove_file(site.path("b")).expect("it is there");
    let end = site.run(&[&["run", "--remove-undeclared"], script.as_slice()].concat());
    assert!(end.code(120).stderr.ends_with("removed b\n"), "{}", end.show());
    assert!(!site.path("b").exists());
    assert!(site.path("a").exists());
    // What was there before is never removed, only changed.
    site.write("data", "before\n").write("other", "before");
    let script = "echo after >> data; : > new; mv new other";
    site.run(&["run", "--remove-undeclared", "--", "sh", "-c", script]).code(120);
    assert_eq!(site.read("data"), "before\nafter\n");
    assert!(site.path("other").exists());
}

#[test]
fn explain_tells_rules_paths_and_outputs() {
    let site = Site::new();
    let gcc = compile(&site);
    let text = site.run(&["explain", "R001"]).code(0).stdout.clone();
    assert_eq!(site.run(&["explain", "undeclared-source-read"]).stdout, text);
    assert_eq!(site.run(&["explain", "R001-12345678"]).stdout, text);
    assert!(text.starts_with("### R001 undeclared-source-read\n"));
    site.run(&[&["trace"], gcc].concat()).silent(0);
    assert_snapshot!(site.run(&["explain", "include/cfg_x.h"]).show());
    let output = site.run(&["explain", "b.o"]);
    let sources = output.code(0).stdout.split("made from\n").nth(1).expect("sources");
    let names: Vec<&str> = sources.lines().map(str::trim_start).take(2).collect();
    assert!(names[0].starts_with("[ROOT]/work/include/cfg_x.h  cc1 <- gcc "), "{sources}");
    assert!(names[1].starts_with("[ROOT]/work/src/b.c  cc1 <- gcc "), "{sources}");
    assert_eq!(
        site.run(&["explain", "cfg_x.h"]).code(2).stderr,
        "error: cfg_x.h: not touched in this recording\n  \
         hint: did you mean `[ROOT]/work/include/cfg_x.h`?\n"
    );
}
