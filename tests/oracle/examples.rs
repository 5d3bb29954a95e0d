//! The examples, with the declaration that they should have: what their files `expected` name is
//! added to it.

use crate::case::Case;
use crate::facts::hold;
use serde_json::Value;
use std::fs;
use std::path::Path;

/// Holds the facts against an example; `told` are the inputs that its depfile tells, which
/// need no declaration.
fn example(name: &str, told: &[&str]) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name);
    let read = |file: &str| fs::read_to_string(source.join(file)).expect(file);
    let action: Value = serde_json::from_str(&read("action.json")).expect("JSON");
    let list = |name: &str| -> Vec<String> {
        let values = action[name].as_array().into_iter().flatten();
        values.map(|value| value.as_str().expect("text").to_owned()).collect()
    };
    let (mut inputs, mut outputs) = (list("inputs"), list("outputs"));
    let depfile = action["depfile"].as_str().unwrap_or_default();
    outputs.retain(|output| output != depfile);
    inputs.retain(|input| !told.contains(&input.as_str()));
    for line in read("expected").lines().skip(1) {
        match line.split_once(' ').expect("a rule and a path") {
            ("R001", path) => inputs.push(path.to_owned()),
            ("W001", path) => outputs.push(path.to_owned()),
            other => panic!("{other:?} is known to no case"),
        }
    }
    let keyed: Vec<_> = told.iter().map(|name| (*name, "the depfile tells it")).collect();
    hold(&Case {
        before: &format!(
            "cp -R {}/. . && rm action.json && if [ -e prepare.sh ]; then ./prepare.sh; fi",
            source.display()
        ),
        run: &list("argv").join(" "),
        inputs: &inputs.iter().map(String::as_str).collect::<Vec<_>>(),
        outputs: &outputs.iter().map(String::as_str).collect::<Vec<_>>(),
        depfile,
        keyed: &keyed,
        ..Case::EMPTY
    });
}

#[test]
fn macro_include() {
    example("macro-include", &[]);
}

#[test]
fn codegen() {
    example("codegen", &[]);
}

#[test]
fn archive() {
    example("archive", &[]);
}

#[test]
fn sideways() {
    example("sideways", &[]);
}

#[test]
fn clean() {
    example("clean", &["src/hello.c", "src/hello.h"]);
}

/// One action of the example that is a whole build.
fn of_whole_build(run: &str, inputs: &[&str], output: &str) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/whole-build");
    let before = format!("cp -R {}/. . && make -s build/version.h", source.display());
    hold(&Case { before: &before, run, inputs, outputs: &[output], ..Case::EMPTY });
}

#[test]
fn whole_build_main() {
    of_whole_build(
        "cc -O2 -Isrc -Ibuild -c src/main.c -o build/main.o",
        &["src/main.c", "src/shapes.h", "src/bounds.h"],
        "build/main.o",
    );
}

#[test]
fn whole_build_area() {
    of_whole_build(
        "cc -O2 -Isrc -Ibuild -c src/area.c -o build/area.o",
        &["src/area.c", "src/shapes.h", "src/bounds.h", "build/version.h"],
        "build/area.o",
    );
}
