//! Whole builds: each kind of finding, and each thing that looks like one and is none.

mod common;

use common::scene::Scene;

/// A compile of b.c to b.o, which does `more` in between.
fn compile(inputs: &[&str], more: impl FnOnce(&mut common::scene::Worker<'_>)) -> Scene {
    let mut scene = Scene::new();
    let b = scene.rule(&["b.o"], inputs);
    scene.does(b, |w| {
        w.read("b.c");
        more(w);
        w.create("b.o");
    });
    scene
}

#[test]
fn what_is_declared_is_clean() {
    let scene = compile(&["b.c", "b.h", ".d c.h"], |w| {
        w.read("b.h").read("c.h").read("/usr/include/stdio.h").list("/ws").absent("inc/b.h");
    });
    scene.finds(&[]);
    let verdict = scene.verdict();
    assert!(verdict.unattributed.is_empty() && !verdict.fails());
    assert_eq!(verdict.processes, 3);
    assert_eq!(verdict.actions.len(), 2);
    assert!(verdict.actions.iter().all(|action| action.uncacheable.is_empty()));
}

#[test]
fn stale_dependencies() {
    let scene = compile(&["b.c"], |w| {
        w.read("cfg.h").execs("tools/gen.sh").stat("local.mk").read("/home/me/.toolrc");
    });
    scene.finds(&[
        "R001 b.o cfg.h",
        "R006 b.o tools/gen.sh",
        "R007 b.o local.mk",
        "R010 b.o /home/me/.toolrc",
    ]);
}

#[test]
fn order_only_is_no_dependency() {
    let scene = compile(&["b.c", "|cfg.h"], |w| {
        w.read("cfg.h");
    });
    scene.finds(&["R001 b.o cfg.h"]);
    let finding = &scene.verdict().findings[0];
    assert_eq!(finding.message, "undeclared read of cfg.h, which is known as order-only");
    assert!(finding.effect.contains("is built first"), "{}", finding.effect);
}

#[test]
fn reads_of_what_others_make() {
    let made = |of_b: &[&str], declared: bool, first: bool| {
        let mut scene = Scene::new();
        let gen_h = scene.rule(&[if declared { "gen.h" } else { "gen.c" }], &["gen.in"]);
        let b = scene.rule(&["b.o"], of_b);
        let make = |scene: &mut Scene| {
            scene.does(gen_h, |w| {
                w.read("gen.in").create("gen.c").create("gen.h");
            });
        };
        if first {
            make(&mut scene);
        }
        scene.does(b, |w| {
            w.read("b.c").read("gen.h").create("b.o");
        });
        if !first {
            make(&mut scene);
        }
        scene.found()
    };
    assert_eq!(made(&["b.c", "gen.h"], true, true), [""; 0]);
    assert_eq!(made(&["b.c", "|gen.h"], true, true), ["R002 b.o gen.h"]);
    assert_eq!(made(&["b.c", "|gen.h", ".d gen.h"], true, true), [""; 0]);
    assert_eq!(made(&["b.c", ".d gen.h"], true, true), ["R003 b.o gen.h"]);
    assert_eq!(made(&["b.c"], true, true), ["R003 b.o gen.h"]);
    assert_eq!(made(&["b.c"], true, false), ["R003 b.o gen.h"]);
    assert_eq!(made(&["b.c"], false, true), ["R005 b.o gen.h"]);
    assert_eq!(made(&["b.c", "|gen.c"], false, true), ["R005 b.o gen.h"]);
    // A name without a rule.
    assert_eq!(made(&["b.c", "gen.h"], false, true), ["R003 b.o gen.h"]);
    assert_eq!(made(&["b.c", "gen.h", "|gen.c"], false, true), [""; 0]);
    // In make nothing else can be said.
    assert_eq!(made(&["b.c", "gen.c"], false, true), [""; 0]);
}

#[test]
fn double_writes() {
    let mut scene = Scene::new();
    let a = scene.rule(&["a"], &["x"]);
    let b = scene.rule(&["b"], &["y"]);
    scene.does(a, |w| {
        w.create("a").create("shared");
    });
    scene.does(b, |w| {
        w.create("b").truncate("shared");
    });
    scene.finds(&["W003 b shared"]);
    let finding = &scene.verdict().findings[0];
    assert_eq!(
        finding.message,
        "shared is written by another action too, and nothing orders the two"
    );
    assert_eq!(finding.related[1].what, "made by a");
}
