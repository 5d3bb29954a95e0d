//! The example workflows are YAML of the right shape, and their audits work.

use crate::support::Project;
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// A file of `integrations/`.
fn workflow(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("integrations").join(name);
    let script = "import json, sys, yaml; json.dump(yaml.safe_load(open(sys.argv[1])), sys.stdout)";
    let output = Command::new("/usr/bin/python3").args(["-c", script]).arg(&path).output();
    let output = output.expect("python3");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Runs the audit of a workflow in the example; it finds what is wrong there and writes these files.
#[track_caller]
fn run(script: &str, files: &[&str]) {
    let project = Project::new("");
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/whole-build/.");
    project.prepare(&["cp", "-r", example.to_str().expect("UTF-8"), "."]);
    // It may have been built where it lies.
    project.prepare(&["make", "clean"]);
    let program = Path::new(env!("CARGO_BIN_EXE_airtight")).parent().expect("a directory");
    // One job at a time: the example has a race in it.
    let script = script.replace("$(nproc)", "1");
    let mut shell = project.command("sh", &["-c", &script]);
    shell.env("PATH", format!("{}:/usr/bin:/bin", program.display()));
    project.end(shell).code(120);
    for file in files {
        assert!(project.path(file).exists(), "{file}");
    }
}

#[test]
fn github() {
    let workflow = workflow("github.yml");
    // YAML 1.1 takes the key `on` for a truth value.
    assert!(workflow["true"].get("pull_request").is_some(), "{workflow:#}");
    let job = &workflow["jobs"]["audit"];
    assert!(job["runs-on"].is_string());
    let steps = job["steps"].as_array().expect("steps");
    for step in steps {
        assert_ne!(step["uses"].is_string(), step["run"].is_string(), "{step:#}");
    }
    let of = |name: &str| steps.iter().find(|step| step["name"] == name).expect("the step");
    let sarif = of("Findings to code scanning")["with"]["sarif_file"].as_str().expect("a name");
    let kept = of("Keep the reports")["with"]["path"].as_str().expect("names");
    let files: Vec<&str> = kept.lines().chain([sarif]).collect();
    run(of("Build and audit")["run"].as_str().expect("a command"), &files);
}

#[test]
fn gitlab() {
    let workflow = workflow("gitlab-ci.yml");
    let job = &workflow["audit"];
    let [command] = job["script"].as_array().expect("a script").as_slice() else {
        panic!("{:#}", job["script"]);
    };
    let artifacts = &job["artifacts"];
    let kept = artifacts["paths"].as_array().expect("paths").iter();
    let reports = artifacts["reports"].as_object().expect("reports").values();
    let files: Vec<&str> = kept.chain(reports).filter_map(Value::as_str).collect();
    assert_eq!(files.len(), 4);
    run(command.as_str().expect("a command"), &files);
}
