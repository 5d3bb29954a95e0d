//! Whole builds: each kind of finding, and each thing that looks like one and is none.

mod common;

use airtight_policy::Severity;
use airtight_policy::build::{ActionId, Nature, Owner, RunId};
use airtight_recording::{Completeness, Exit, HostKind, Kind, Op, ProcessId, Reason, ReasonCode};
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
    assert_eq!(finding.fix, "b.o: cfg.h");
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

#[test]
fn double_writes_that_are_none() {
    // A directory that several make, and metadata.
    let mut scene = Scene::new();
    let a = scene.rule(&["out/a"], &["x"]);
    let b = scene.rule(&["out/b"], &["y"]);
    scene.does(a, |w| {
        w.mkdir("out").create("out/a");
    });
    scene.does(b, |w| {
        w.mkdir("out").create("out/b").chmod("out/a");
    });
    scene.finds(&[]);

    // What swallows everything, known by its name or by its type.
    let mut scene = Scene::new();
    for (name, device) in [("a", true), ("b", false)] {
        let action = scene.rule(&[name], &["x"]);
        scene.does(action, |w| {
            w.read("/dev/null").truncate("/dev/null").truncate("/dev/tty").create(name);
            if device {
                w.add(Kind::Write, Op::Open, "/dev/null").object = 0o020_000;
            }
            w.read("undeclared").add(Kind::Write, Op::Truncate, "/ws/device").object = 0o020_000;
        });
    }
    scene.finds(&["R001 a undeclared", "R001 b undeclared"]);
    assert!(scene.verdict().actions.iter().all(|action| action.uncacheable.len() < 2));

    // The same rule in a second run of the tool in the same script.
    let mut scene = Scene::new();
    let first = scene.rule(&["a"], &["x"]);
    scene.does(first, |w| {
        w.create("a");
    });
    scene.ends(ProcessId(1), Exit::Code(0));
    let run = scene.run("/ws", ActionId(0));
    let again = scene.rule_of(run, "/ws", &["a"], &["x"]);
    scene.does(again, |w| {
        w.truncate("a");
    });
    scene.finds(&[]);
}

#[test]
fn double_writes_are_told_of_the_one_that_does_not_declare() {
    let mut scene = Scene::new();
    let a = scene.rule(&["a"], &["x"]);
    let b = scene.rule(&["b"], &["a"]);
    scene.does(a, |w| {
        w.create("a").create("b");
    });
    scene.does(b, |w| {
        w.read("a").truncate("b");
    });
    scene.finds(&["W003 a b"]);
    let finding = &scene.verdict().findings[0];
    assert_eq!(finding.message, "b is written by another action too, one after the other");

    // One rule in two runs at the same time.
    let mut scene = Scene::new();
    let one = scene.rule(&["one"], &[]);
    let two = scene.rule(&["two"], &[]);
    scene.does(one, |_| {});
    scene.does(two, |_| {});
    let runs = [scene.run("/ws/lib", one), scene.run("/ws/lib", two)];
    let inner = runs.map(|run| scene.rule_of(run, "/ws/lib", &["x.o"], &["x.c"]));
    for action in inner {
        scene.does(action, |w| {
            w.read("lib/x.c").create("lib/x.o");
        });
    }
    assert_eq!(scene.found(), ["W003 lib/x.o lib/x.o"]);
}

#[test]
fn changed_sources() {
    // Its own input.
    compile(&["b.c"], |w| {
        w.truncate("b.c");
    })
    .finds(&["W004 b.o b.c"]);
    // That of another action.
    let mut scene = compile(&["b.c"], |w| {
        w.stat("c.c").truncate("c.c");
    });
    scene.rule(&["c.o"], &["c.c"]);
    scene.finds(&["R007 b.o c.c", "W005 b.o c.c"][1..]);
    assert_eq!(scene.verdict().findings[0].related[1].what, "needed by c.o");
    // Times and modes.
    compile(&["b.c"], |w| {
        w.chmod("b.c");
    })
    .finds(&[]);
    // Nobody's.
    compile(&["b.c"], |w| {
        w.truncate("notes.txt");
    })
    .finds(&[]);
}

#[test]
fn looks_for_what_is_made_later() {
    let looks = |of_b: &[&str], of_late: &[&str], first: bool| {
        let mut scene = Scene::new();
        let b = scene.rule(&["b.o"], of_b);
        let late = scene.rule(&["early/x.h"], of_late);
        let look = |scene: &mut Scene| {
            scene.does(b, |w| {
                w.read("b.c").absent_below("early", "early/x.h").create("b.o");
            });
        };
        if first {
            look(&mut scene);
        }
        scene.does(late, |w| {
            w.mkdir("early").create("early/x.h");
        });
        if !first {
            look(&mut scene);
        }
        scene.found()
    };
    assert_eq!(looks(&["b.c"], &[], true), ["W006 early/x.h early/x.h"]);
    assert_eq!(looks(&["b.c"], &["b.o"], true), ["W006 early/x.h early/x.h"]);
    assert_eq!(looks(&["b.c", "|early/x.h"], &[], true), [""; 0]);
    assert_eq!(looks(&["b.c"], &[], false), [""; 0]);
}

#[test]
fn looks_that_are_harmless() {
    let mut scene = Scene::new();
    let a = scene.rule(&["a"], &["x"]);
    let b = scene.rule(&["b"], &["a"]);
    scene.does(a, |w| {
        // Its own output, a directory, and what is removed again.
        w.absent("a").absent("out").absent("gone").create("a");
    });
    scene.does(b, |w| {
        w.mkdir("out").create("out/x").create("gone").unlink("gone").create("b");
    });
    scene.finds(&[]);
}

#[test]
fn shared_temporaries() {
    let shares = |of_b: &[&str], exclusive: bool| {
        let mut scene = Scene::new();
        let a = scene.rule(&["a"], &["x"]);
        let b = scene.rule(&["b"], of_b);
        for (action, name) in [(a, "a"), (b, "b")] {
            scene.does(action, |w| {
                if exclusive {
                    w.create_new("lock");
                } else {
                    w.create("lock");
                }
                w.unlink("lock").create(name);
            });
        }
        scene.found()
    };
    assert_eq!(shares(&["y"], false), ["W008 b lock"]);
    assert_eq!(shares(&["|a"], false), [""; 0]);
    assert_eq!(shares(&["y"], true), [""; 0]);
}

#[test]
fn missing_outputs() {
    let mut scene = Scene::new();
    let a = scene.rule(&["a.o", "a.d"], &["a.c"]);
    let phony = scene.rule(&["all"], &[]);
    scene.change(phony, |action| action.nature = Nature::Always);
    let failed = scene.rule(&["f.o"], &[]);
    let kept = scene.rule(&["kept.h"], &[]);
    scene.works(Owner::Tool(RunId(0)), &["make"], |w| {
        w.absent("a.o").absent("a.d").absent("all").absent("f.o").stat("kept.h");
    });
    scene.does(a, |w| {
        w.create("a.obj").create("a.d").unlink("a.d");
    });
    scene.does(phony, |_| {});
    scene.does_as(failed, "/usr/bin/cc", Exit::Code(1), |_| {});
    scene.does(kept, |w| {
        w.create("kept.h.new").unlink("kept.h.new");
    });
    scene.finds(&["W002 a.o a.d", "W002 a.o a.o"]);
}

#[test]
fn removals() {
    let mut scene = Scene::new();
    let a = scene.rule(&["a"], &["x"]);
    let b = scene.rule(&["b"], &["a"]);
    let clean = scene.rule(&["clean"], &[]);
    scene.change(clean, |action| action.nature = Nature::Always);
    scene.does(clean, |w| {
        w.stat("a").unlink("a").stat("b").unlink("b");
    });
    scene.does(a, |w| {
        // Its own of an earlier build.
        w.stat("a.tmp").unlink("a.tmp").create("a");
    });
    scene.does(b, |w| {
        w.read("a").create("b");
    });
    scene.finds(&[]);
    let c = scene.rule(&["c"], &["y"]);
    scene.does(c, |w| {
        w.stat("b").unlink("b").create("c");
    });
    // `clean` removed what was there before; c removes what this build has made.
    let found = scene.found();
    assert!(found.contains(&"W009 c b".to_owned()), "{found:?}");
}

#[test]
fn to_clean_up_is_meant() {
    let found = |later: bool| {
        let mut scene = Scene::new();
        let a = scene.rule(&["a"], &["x"]);
        scene.does(a, |w| {
            w.read("x").create("a");
        });
        let mut run = RunId(0);
        if later {
            scene.ends(ProcessId(1), Exit::Code(0));
            run = scene.run("/ws", ActionId(0));
        }
        let clean = scene.rule_of(run, "/ws", &["clean"], &[]);
        scene.change(clean, |action| action.nature = Nature::Always);
        scene.does(clean, |w| {
            w.stat("a").unlink("a");
        });
        let verdict = scene.verdict();
        let told = verdict.findings.iter();
        told.map(|f| format!("{} {} {} {:?}", f.rule, f.action, f.subject, f.severity))
            .collect::<Vec<_>>()
    };
    // `make; make clean`
    assert_eq!(found(true), ["W009 clean a Record"]);
    // `make -j2 all clean`
    assert_eq!(found(false), ["W009 clean a Error"]);
}

#[test]
fn writes_elsewhere() {
    let mut scene = compile(&["b.c"], |w| {
        w.create("/var/lib/x").create("/tmp/left").create("/tmp/gone").unlink("/tmp/gone");
        w.create("b.lst");
    });
    let expected = ["W001 b.o /var/lib/x", "W007 b.o /tmp/left"];
    scene.finds(&expected);
    // Where everything can be declared, what is not is worth a note.
    scene.change(ActionId(1), |action| action.closed = true);
    scene.finds(&[expected[0], expected[1], "W001 b.o b.lst"]);
    let verdict = scene.verdict();
    let note = verdict.findings.iter().find(|f| f.subject == "b.lst").expect("just found");
    assert_eq!(note.severity, Severity::Note);
}

#[test]
fn a_build_apart_from_its_sources() {
    let mut scene = Scene::new();
    let run = scene.run("/ws/out", ActionId(0));
    let b = scene.rule_of(run, "/ws/out", &["b.o"], &["/ws/src/b.c", "/ws/src/b.h"]);
    scene.does(b, |w| {
        w.read("src/b.c").create("out/b.o").create("out/b.lst").create("src/b.log");
    });
    scene.finds(&["W001 out/b.o src/b.log"]);
    // `-C out`: the tool is started elsewhere.
    scene.graph.runs[1].cwd = scene.graph.paths.intern(b"/ws");
    scene.finds(&["W001 out/b.o src/b.log"]);
}

#[test]
fn understood() {
    let mut scene = Scene::new();
    let y = scene.rule(&["y.tab.c", "y.tab.h"], &["y.y"]);
    let lib = scene.rule(&["lib.a"], &["y.tab.c"]);
    let link = scene.rule(&["prog"], &["lib.a", "args.rsp"]);
    scene.does(y, |w| {
        w.read("y.y").create("y.tmp").read("y.tmp").unlink("y.tmp");
        w.create("y.tab.c").create("y.tab.h");
        // Python's own cache.
        w.read("tools/__pycache__/m.cpython-311.pyc");
        w.create("tools/__pycache__/n.cpython-311.pyc.7").list("tools");
    });
    scene.does(lib, |w| {
        // A sibling of what it declares, and its output of an earlier build.
        w.read("y.tab.c").read("y.tab.h").read("lib.a").truncate("lib.a");
    });
    scene.works(Owner::Tool(RunId(0)), &["make"], |w| {
        w.create("args2.rsp").read("Makefile");
    });
    scene.does(link, |w| {
        // The sources of a library again, as link-time optimization does.
        w.read("lib.a").read("y.tab.c").read("y.y").read("args2.rsp").create("prog");
    });
    scene.works(Owner::Tool(RunId(0)), &["make"], |w| {
        w.unlink("args2.rsp");
    });
    assert_eq!(scene.found(), ["R008 lib.a lib.a"]);
    assert_eq!(scene.verdict().counts.note, 1);
}

#[test]
fn git_is_understood() {
    let mut scene = Scene::new();
    let version = scene.rule(&["version.h"], &["version.sh"]);
    scene.does_as(version, "/usr/bin/git", Exit::Code(0), |w| {
        w.read(".git/HEAD").read("src/b.c").stat("src/c.c").read("/home/me/.gitconfig");
        w.create(".git/index.lock").unlink(".git/index").create(".git/index");
        let (sh, git) = (Owner::Action(version), w.id);
        let scene = w.scene();
        // What git starts belongs to it until it becomes something else.
        let child = scene.process(Some(git), sh, "/usr/lib/git-core/git-diff", &["git", "diff"]);
        scene.worker(child).read("src/d.c");
        scene.exec(child, "/usr/bin/cat", &["cat"]);
        scene.worker(child).read("src/e.c").create("version.h");
    });
    scene.finds(&["R001 version.h src/e.c"]);
}

#[test]
fn what_always_runs_is_never_stale() {
    let mut scene = Scene::new();
    let prog = scene.rule(&["prog"], &["p.c"]);
    let check = scene.rule(&["check"], &[]);
    scene.change(check, |action| action.nature = Nature::Always);
    scene.does(prog, |w| {
        w.read("p.c").create("prog");
    });
    scene.does(check, |w| {
        w.read("data.txt").stat("more.txt").execs("run.sh");
    });
    scene.finds(&[]);
    scene.does(check, |w| {
        w.execs("prog");
    });
    scene.finds(&["R003 check prog"]);
    scene.change(check, |action| action.inputs = Vec::new());
    let path = scene.graph.paths.intern(b"/ws/prog");
    let via = airtight_policy::build::Via::OrderOnly;
    scene.change(check, |action| {
        action.inputs.push(airtight_policy::build::Input { path, via });
    });
    scene.finds(&[]);
}

#[test]
fn a_name_that_is_never_there_forces() {
    let forced = |nature: Nature, flavour: &[&str]| {
        let mut scene = compile(flavour, |w| {
            w.read("cfg.h");
        });
        let force = scene.rule(&["FORCE"], &[]);
        scene.change(force, |action| action.nature = nature);
        scene.found()
    };
    assert_eq!(forced(Nature::Alias, &["b.c", "FORCE"]), [""; 0]);
    assert_eq!(forced(Nature::Always, &["b.c", "FORCE"]), [""; 0]);
    assert_eq!(forced(Nature::Normal, &["b.c", "FORCE"]), ["R001 b.o cfg.h"]);
    assert_eq!(forced(Nature::Alias, &["b.c", "|FORCE"]), ["R001 b.o cfg.h"]);

    // A phony name with inputs forces in make, and joins in ninja.
    let joined = |tool: &str| {
        let mut scene = compile(&["b.c", "names"], |w| {
            w.read("cfg.h");
        });
        scene.graph.runs[0].tool = tool.into();
        let names = scene.rule(&["names"], &["x"]);
        scene.change(names, |action| action.nature = Nature::Alias);
        scene.found()
    };
    assert_eq!(joined("make"), [""; 0]);
    assert_eq!(joined("ninja"), ["R001 b.o cfg.h"]);
}

#[test]
fn what_makes_the_description_may_look_anywhere() {
    let mut scene = Scene::new();
    let configure = scene.rule(&["Makefile"], &["configure"]);
    scene.change(configure, |action| action.nature = Nature::Configure);
    let b = scene.rule(&["b.o"], &["b.c", ".d config.h"]);
    scene.does(configure, |w| {
        w.read("anything").stat("b.c").absent("prog").create("config.h").create("Makefile");
    });
    scene.does(b, |w| {
        w.read("b.c").read("config.h").create("b.o").create("prog");
    });
    scene.finds(&[]);
    // Without the depfile it is a source like any other.
    scene.change(b, |action| action.inputs.truncate(1));
    scene.finds(&["R001 b.o config.h"]);
}

#[test]
fn names_that_join() {
    let mut scene = Scene::new();
    let gen_h = scene.rule(&["gen.h"], &["gen.in"]);
    let alias = scene.rule(&["headers"], &["gen.h"]);
    scene.change(alias, |action| action.nature = Nature::Alias);
    scene.graph.runs[0].tool = "ninja".into();
    let b = scene.rule(&["b.o"], &["b.c", "headers"]);
    let c = scene.rule(&["c.o"], &["c.c", "|headers", ".d gen.h"]);
    let d = scene.rule(&["d.o"], &["d.c", "|headers"]);
    scene.does(gen_h, |w| {
        w.read("gen.in").create("gen.h");
    });
    for (action, source, object) in [(b, "b.c", "b.o"), (c, "c.c", "c.o"), (d, "d.c", "d.o")] {
        scene.does(action, |w| {
            w.read(source).read("gen.h").create(object);
        });
    }
    scene.finds(&["R002 d.o gen.h"]);
    let finding = &scene.verdict().findings[0];
    assert_eq!(finding.message, "undeclared read of generated gen.h, which is known as order-only");
}

#[test]
fn cycles_are_found() {
    let mut scene = Scene::new();
    let a = scene.rule(&["a"], &["x"]);
    let b = scene.rule(&["b"], &["a"]);
    scene.does(a, |w| {
        w.read("x").read("b").create("a");
    });
    scene.does(b, |w| {
        w.read("a").create("b");
    });
    scene.finds(&["R004 a b"]);
    assert_eq!(scene.verdict().findings[0].severity, Severity::Error);
    // `a: FORCE`, which looks whether b has to be made anew.
    scene.change(a, |action| action.nature = Nature::Always);
    scene.finds(&["R004 a b"]);
    assert_eq!(scene.verdict().findings[0].severity, Severity::Note);
}

#[test]
fn a_make_within_a_make() {
    let mut scene = Scene::new();
    let conf = scene.rule(&["conf.h"], &[]);
    let sub = scene.rule(&["sub/lib.a"], &["|conf.h", "sub/l.c"]);
    let prog = scene.rule(&["prog"], &["sub/lib.a"]);
    let other = scene.rule(&["other"], &["o.c"]);
    scene.does(conf, |w| {
        w.create("conf.h");
    });
    scene.does(sub, |w| {
        w.create("sub/config.mk");
    });
    let run = scene.run("/ws/sub", sub);
    let l = scene.rule_of(run, "/ws/sub", &["l.o"], &["l.c", ".d /ws/conf.h", "config.mk"]);
    let lib = scene.rule_of(run, "/ws/sub", &["lib.a"], &["l.o"]);
    scene.does(l, |w| {
        w.read("sub/l.c").read("conf.h").read("sub/config.mk").create("sub/l.o");
    });
    scene.does(lib, |w| {
        w.read("sub/l.o").create("sub/lib.a");
    });
    scene.ends(scene.graph.run(run).process, Exit::Code(0));
    scene.does(sub, |w| {
        // What its own make has made is its own.
        w.read("sub/l.o").chmod("sub/lib.a");
    });
    scene.does(prog, |w| {
        // The names of both makes meet.
        w.read("sub/lib.a").read("sub/l.o").read("sub/l.c").create("prog");
    });
    scene.finds(&[]);
    scene.does(other, |w| {
        w.read("o.c").read("sub/l.o").create("other");
    });
    scene.finds(&["R003 other sub/l.o"]);
}

#[test]
fn runs_of_a_script_follow_each_other() {
    let after = |overlap: bool| {
        let mut scene = Scene::new();
        let lib = scene.rule(&["lib.a"], &["l.c"]);
        scene.does(lib, |w| {
            w.read("l.c").create("lib.a");
        });
        if !overlap {
            scene.ends(ProcessId(1), Exit::Code(0));
        }
        let run = scene.run("/ws/test", ActionId(0));
        let test = scene.rule_of(run, "/ws/test", &["t"], &["t.c"]);
        scene.does(test, |w| {
            w.read("test/t.c").read("lib.a").create("test/t");
        });
        scene.does(ActionId(0), |w| {
            w.read("test/t").read("lib.a").read("anything").create("log");
        });
        scene.found()
    };
    assert_eq!(after(false), ["R002 test/t lib.a"]);
    assert_eq!(after(true), ["R003 test/t lib.a"]);
}

#[test]
fn what_did_not_run_ties_no_runs_together() {
    let found = |lib_reads: &str, bin_reads: &str, y_reads: &str| {
        let mut scene = Scene::new();
        let all = scene.rule(&["all-recursive"], &[]);
        scene.change(all, |action| action.nature = Nature::Always);
        scene.does(all, |_| {});
        for (dir, reads) in [("/ws/lib", lib_reads), ("/ws/bin", bin_reads)] {
            let run = scene.run(dir, all);
            // Both know how the description is made anew, and how all is installed.
            let status = scene.rule_of(run, dir, &["/ws/config.status"], &["/ws/configure"]);
            let configure = scene.rule_of(run, dir, &["/ws/configure"], &["/ws/configure.ac"]);
            for id in [status, configure] {
                scene.change(id, |action| action.nature = Nature::Configure);
            }
            let install = scene.rule_of(run, dir, &["install"], &["/ws/lib/x.a", "/ws/bin/x.a"]);
            scene.change(install, |action| action.nature = Nature::Always);
            let o = scene.rule_of(run, dir, &["x.o"], &["x.c"]);
            let a = scene.rule_of(run, dir, &["x.a"], &["x.o"]);
            scene.does(o, |w| {
                w.create(&format!("{dir}/x.o")).create(&format!("{dir}/.libs/x.o"));
            });
            scene.does(a, |w| {
                w.read(&format!("{dir}/.libs/x.o")).read(reads).create(&format!("{dir}/x.a"));
            });
            let y = scene.rule_of(run, dir, &["y"], &["/ws/lib/x.c"]);
            scene.does(y, |w| {
                w.read(y_reads).create(&format!("{dir}/y"));
            });
            scene.ends(scene.graph.run(run).process, Exit::Code(0));
        }
        scene.found()
    };
    assert_eq!(found("lib/x.o", "bin/x.o", "lib/x.c"), [""; 0]);
    // The second directory is built after the first, and never the other way round.
    assert_eq!(found("lib/x.o", "lib/x.a", "lib/x.c"), ["R002 bin/x.a lib/x.a"]);
    assert_eq!(found("bin/x.a", "bin/x.o", "lib/x.c"), ["R004 lib/x.a bin/x.a"]);
    // Nothing orders what is in the same directory.
    let unordered = found("lib/x.o", "bin/x.o", "bin/x.a");
    assert_eq!(unordered, ["R003 bin/y bin/x.a", "R004 lib/y bin/x.a"]);
    let unordered = found("lib/x.o", "bin/x.o", "lib/x.a");
    assert_eq!(unordered, ["R002 bin/y lib/x.a", "R003 lib/y lib/x.a"]);
}

#[test]
fn what_did_not_have_to_run_is_still_made_first() {
    let mut scene = Scene::new();
    let sub = scene.rule(&["sub"], &[]);
    scene.change(sub, |action| action.nature = Nature::Always);
    let prog = scene.rule(&["prog"], &["sub"]);
    let other = scene.rule(&["other"], &["o.c"]);
    scene.does(sub, |_| {});
    let run = scene.run("/ws/sub", sub);
    scene.rule_of(run, "/ws/sub", &["lib.a"], &["l.c"]);
    scene.ends(scene.graph.run(run).process, Exit::Code(0));
    scene.does(prog, |w| {
        w.read("sub/lib.a").create("prog");
    });
    scene.finds(&[]);
    scene.does(other, |w| {
        w.read("sub/lib.a").create("other");
    });
    scene.finds(&["R003 other sub/lib.a"]);
}

#[test]
fn what_the_script_makes_is_a_source() {
    let mut scene = Scene::new();
    scene.does(ActionId(0), |w| {
        w.create("config.h");
    });
    scene.works(Owner::Parsing(RunId(0)), &["sh"], |w| {
        w.read("anything").create("list.mk");
    });
    let b = scene.rule(&["b.o"], &["b.c", ".d config.h"]);
    let c = scene.rule(&["c.o"], &["c.c"]);
    scene.does(b, |w| {
        w.read("b.c").read("config.h").read("list.mk").create("b.o");
    });
    scene.does(c, |w| {
        w.read("c.c").read("config.h").create("c.o");
    });
    scene.finds(&["R001 b.o list.mk", "R001 c.o config.h"]);
}

#[test]
fn a_directory_as_output_is_all_that_is_in_it() {
    let mut scene = Scene::new();
    let docs = scene.rule(&["docs"], &["d.in"]);
    let pack = scene.rule(&["docs.tar"], &["docs"]);
    let other = scene.rule(&["other"], &["o"]);
    for id in [docs, pack, other] {
        scene.change(id, |action| action.closed = true);
    }
    scene.does(docs, |w| {
        w.read("d.in").mkdir("docs").create("docs/a.html");
    });
    scene.does(pack, |w| {
        w.list("docs").read("docs/a.html").create("docs.tar");
    });
    scene.does(other, |w| {
        w.read("o").read("docs/a.html").create("other");
    });
    scene.finds(&["R003 other docs/a.html"]);
}

#[test]
fn a_failure_tells_what_is_missing_first() {
    let mut scene = Scene::new();
    scene.rule(&["gen.h"], &["gen.in"]);
    let b = scene.rule(&["b.o"], &["b.c"]);
    scene.does_as(b, "/usr/bin/cc", Exit::Code(1), |w| {
        w.read("b.c").read("a.h").absent("gen.h").absent("inc/gen.h");
    });
    scene.finds(&["R003 b.o gen.h", "R001 b.o a.h"]);
    let verdict = scene.verdict();
    assert!(verdict.findings[0].missing_generated);
    assert_eq!(verdict.actions[1].uncacheable[0], "the action failed with 1");

    let mut scene = Scene::new();
    let b = scene.rule(&["b.o"], &["b.c"]);
    scene.does_as(b, "/usr/bin/cc", Exit::Signal(9), |w| {
        w.read("a.h");
    });
    scene.finds(&[]);
    assert_eq!(scene.verdict().actions[1].uncacheable, ["signal 9 killed the action"]);
}

#[test]
fn the_last_line_of_a_recipe_tells_how_it_ended() {
    let mut scene = Scene::new();
    let b = scene.rule(&["b.o"], &["b.c"]);
    scene.does_as(b, "/usr/bin/cmp", Exit::Code(1), |w| {
        w.read("b.c").create("b.i");
    });
    scene.does(b, |w| {
        w.read("b.i").create("b.o");
    });
    scene.finds(&[]);
    let verdict = scene.verdict();
    assert_eq!(verdict.actions[1].processes, 2);
    assert!(verdict.actions[1].uncacheable.is_empty());
}

#[test]
fn what_must_not_be_published_taints() {
    let mut scene = Scene::new();
    let a = scene.rule(&["a"], &["x"]);
    let b = scene.rule(&["b"], &["a"]);
    let c = scene.rule(&["c"], &["b"]);
    let d = scene.rule(&["d"], &["y"]);
    for (action, input, output) in [(a, "x", "a"), (b, "a", "b"), (c, "b", "c"), (d, "y", "d")] {
        scene.does(action, |w| {
            w.read(input).create(output);
            if action == a {
                w.read("undeclared");
            }
        });
    }
    scene.finds(&["R001 a undeclared"]);
    let verdict = scene.verdict();
    let reasons = |at: usize| verdict.actions[at].uncacheable.join("; ");
    assert_eq!(reasons(1), "R001 undeclared-source-read");
    assert_eq!(reasons(2), "it used a of a, which must not be published");
    assert_eq!(reasons(3), "it used b of b, which must not be published");
    assert_eq!(reasons(4), "");
}

#[test]
fn the_host_and_the_recording() {
    let mut scene = Scene::new();
    let a = scene.rule(&["a"], &["x"]);
    let b = scene.rule(&["b"], &["x"]);
    for action in [a, b] {
        scene.does(action, |w| {
            w.note(HostKind::Random, "").note(HostKind::Random, "");
        });
    }
    scene.works(Owner::Tool(RunId(0)), &["make"], |w| {
        w.note(HostKind::Random, "").read("/proc/loadavg");
    });
    scene.does(b, |w| {
        w.note(HostKind::Network, "192.0.2.1:443");
    });
    let code = ReasonCode::UnknownSyscall;
    let reason = Reason { code, detail: "syscall 999".into(), process: None };
    scene.end = Completeness::Incomplete { reasons: vec![reason] };
    scene.finds(&[
        "H001 b 192.0.2.1:443",
        "I002 sh -c build syscall 999",
        "H004 a getrandom",
        "H004 b getrandom",
    ]);
    let verdict = scene.verdict();
    assert!(verdict.actions.iter().all(|action| !action.uncacheable.is_empty()));
}

#[test]
fn processes_of_nobody_are_told_and_count() {
    let mut scene = Scene::new();
    let a = scene.rule(&["a"], &["x"]);
    let b = scene.rule(&["b"], &["y"]);
    scene.works(Owner::Nobody(RunId(0)), &["helper", "--all"], |w| {
        w.read("anything").create("gen.h").create("b");
        let parent = w.id;
        let scene = w.scene();
        let owner = Owner::Nobody(RunId(0));
        let child = scene.process(Some(parent), owner, "/usr/bin/cat", &["cat"]);
        scene.worker(child).create("/var/lib/x");
    });
    scene.does(a, |w| {
        w.read("x").read("gen.h").create("a");
    });
    scene.does(b, |w| {
        w.read("y").create("b");
    });
    scene.finds(&["R005 a gen.h", "W001 helper --all /var/lib/x", "W003 helper --all b"]);
    let verdict = scene.verdict();
    assert_eq!(verdict.unattributed.len(), 1);
    assert_eq!(verdict.unattributed[0].accesses, 4);
    let argv: Vec<_> = verdict.unattributed[0].chain.iter().map(|s| s.argv.join(" ")).collect();
    assert_eq!(argv, ["helper --all", "make", "sh -c build"]);
    assert_eq!(verdict.actions.len(), 3);
}

#[test]
fn suppressions_are_for_single_actions_and_judged_once() {
    let mut scene = compile(&["b.c"], |w| {
        w.read("cfg.h");
    });
    let c = scene.rule(&["c.o"], &["c.c"]);
    scene.does(c, |w| {
        w.read("c.c").read("cfg.h").create("c.o");
    });
    let suppress = |text: &str| format!("[[suppress]]\nreason = 'known'\n{text}\n");
    scene.policy = suppress("action = 'b.*'") + &suppress("action = '*.o'\nrules = ['R006']");
    scene.finds(&["R001 c.o cfg.h", "U002 sh -c build known"]);
    assert_eq!(scene.verdict().suppressed.len(), 1);
    assert_eq!(scene.verdict().counts.suppressed, 1);
}

#[test]
fn unused_inputs_on_request() {
    let mut scene = compile(&["b.c", "old.h", "stamp", "FORCE"], |_| {});
    scene.graph.runs[0].tool = "ninja".into();
    let stamp = scene.rule(&["stamp"], &["y"]);
    scene.change(stamp, |action| action.nature = Nature::Alias);
    scene.works(Owner::Tool(RunId(0)), &["make"], |w| {
        w.stat("b.c").stat("old.h").absent("stamp").absent("FORCE");
    });
    scene.finds(&[]);
    scene.options.unused_inputs = true;
    scene.finds(&["U001 b.o old.h"]);
}

#[test]
fn names_do_not_tell_where_the_workspace_is() {
    let mut scene = Scene::new();
    let b = scene.rule(&["b.o"], &["b.c"]);
    scene.change(b, |action| action.name = "sh /ws/run.sh /ws/b.o".into());
    scene.does(b, |w| {
        w.read("cfg.h");
    });
    scene.finds(&["R001 sh run.sh b.o cfg.h"]);
    let finding = &scene.verdict().findings[0];
    assert_eq!(
        finding.declared_at.as_ref().map(ToString::to_string).as_deref(),
        Some("Makefile:1")
    );
    let chain = &finding.evidence.as_ref().expect("an access").chain;
    assert_eq!(chain.len(), 1, "the chain ends with the action's own process");
}

#[test]
fn equal_builds_give_equal_bytes() {
    let make = || {
        let mut scene = Scene::new();
        let actions: Vec<_> =
            (0..20).map(|n| scene.rule(&[format!("o{n}").as_str()], &["x"])).collect();
        for action in actions {
            scene.does(action, |w| {
                w.read("x").read("a.h").read("b.h").create("shared").create("t").unlink("t");
            });
        }
        serde_json::to_string(&scene.verdict()).expect("JSON")
    };
    assert_eq!(make(), make());
}

#[test]
fn what_a_baseline_accepts_can_be_published() {
    use airtight_policy::{Date, Policy, Source, baseline::Baseline};
    let mut scene = Scene::new();
    let a = scene.rule(&["a"], &["x"]);
    let b = scene.rule(&["b"], &["a"]);
    scene.does(a, |w| {
        w.read("x").read("undeclared").create("a");
    });
    scene.does(b, |w| {
        w.read("a").create("b");
    });
    let told = |cacheable: bool| {
        let text = format!(
            "[[accepted]]\nrule = 'R001'\npath = '$WORKSPACE/undeclared'\nreason = 'never changes'\n\
             cacheable = {cacheable}\n"
        );
        let baseline = Baseline::parse(Source { name: "b.toml", text: &text }).expect("good");
        let (build, _) = scene.build();
        let mut verdict = scene.verdict();
        let today = Some(Date { year: 2026, month: 6, day: 1 });
        baseline.apply(&mut verdict, &build, &Policy::default(), today);
        assert_eq!((verdict.findings.len(), verdict.actions[1].findings), (0, 0));
        verdict.actions.iter().map(|action| action.uncacheable.len()).collect::<Vec<_>>()
    };
    assert_eq!(told(true), [0, 0, 0]);
    assert_eq!(told(false), [0, 1, 1]);
}

#[test]
fn a_link_is_made_beside_what_it_leads_to() {
    let mut scene = Scene::new();
    let real = scene.rule(&["lib.so.1"], &["l.o"]);
    let link = scene.rule(&["lib.so"], &["lib.so.1"]);
    let prog = scene.rule(&["prog"], &["lib.so"]);
    scene.does(real, |w| {
        w.read("l.o").create("lib.so.1").symlink("lib.so");
    });
    scene.does(link, |w| {
        // CMake's makefiles touch the library through the link.
        w.follow("lib.so", "lib.so.1").chmod_as("lib.so", "lib.so.1");
    });
    scene.does(prog, |w| {
        w.follow("lib.so", "lib.so.1").read_as("lib.so", "lib.so.1").create("prog");
    });
    scene.finds(&[]);
    let other = scene.rule(&["other"], &["o"]);
    scene.does(other, |w| {
        w.read("o").follow("lib.so", "lib.so.1").read_as("lib.so", "lib.so.1").create("other");
    });
    scene.finds(&["R003 other lib.so.1"]);
}

#[test]
fn a_temporary_may_be_the_file_of_another() {
    let mut scene = Scene::new();
    let a = scene.rule(&["a"], &["x"]);
    let b = scene.rule(&["log"], &["y"]);
    scene.does(a, |w| {
        w.create("log").unlink("log").create("a");
    });
    scene.does(b, |w| {
        w.create("log");
    });
    scene.finds(&["W008 a log"]);
    assert_eq!(scene.verdict().findings[0].related[1].what, "used by log");
}

#[test]
fn what_somebody_else_changes_is_told_once() {
    let mut scene = Scene::new();
    let a = scene.rule(&["a"], &["x"]);
    let b = scene.rule(&["b"], &["x"]);
    for (action, name) in [(a, "a"), (b, "b")] {
        scene.does(action, |w| {
            w.read("x").stamp("x").create(name).stamp(name);
        });
    }
    scene.finds(&["I001 sh -c build x"]);
}

#[test]
fn caches_of_compilers_hide_what_an_action_reads() {
    let mut scene = Scene::new();
    let a = scene.rule(&["a.o"], &["a.c"]);
    scene.does_as(a, "/usr/bin/ccache", Exit::Code(0), |w| {
        w.create("a.o");
    });
    scene.finds(&["I004 a.o ccache"]);

    // What a cache does with its own files is nothing of the build's, nor is what it lets a
    // compiler do with them. What it does in the workspace is.
    let mut scene = Scene::new();
    let objects = ["a", "b"].map(|name| {
        scene.rule(&[&format!("{name}.o"), &format!("/out/{name}.s")], &[&format!("{name}.c")])
    });
    for (action, name) in objects.into_iter().zip(["a", "b"]) {
        let entry = format!("/home/me/.cache/ccache/{name}");
        let source = format!("/tmp/ccache/{name}.i");
        scene.does_as(action, "/usr/bin/ccache", Exit::Code(0), |w| {
            w.read("/home/me/.ccacherc").read(&entry).read("x.h").truncate("shared.log");
            w.truncate("/home/me/.cache/ccache/stats").stat("/home/me/.cache/ccache/tmp/.cleaned");
            w.create("/home/me/.cache/ccache/tmp/.cleaned").create("/tmp/ccache/lock");
            w.unlink("/tmp/ccache/lock").create(&source).chmod(&entry);
            let (id, scene) = (w.id, w.scene());
            let child = scene.process(Some(id), Owner::Action(action), "/usr/bin/cc", &["cc"]);
            let mut cc = scene.worker(child);
            cc.truncate(&source).read(&source).read("/home/me/y.h").create("/tmp/cc.log");
            scene.ends(child, Exit::Code(0));
            scene.worker(id).create(&format!("{name}.o")).create(&format!("/out/{name}.s"));
        });
    }
    let reads = scene.rule(&["c"], &["d"]);
    scene.does(reads, |w| {
        w.read("d").read("/out/a.s").create("c");
    });
    scene.finds(&[
        "R001 a.o x.h",
        "R001 b.o x.h",
        "R003 c /out/a.s",
        "R010 a.o /home/me/y.h",
        "R010 b.o /home/me/y.h",
        "W003 b.o /tmp/cc.log",
        "W003 b.o shared.log",
        "W007 a.o /tmp/cc.log",
        "I004 a.o ccache",
        "I004 b.o ccache",
    ]);
}

#[test]
fn a_failed_action_owes_its_depfile() {
    let failed = |depfile: bool, exit: u8| {
        let mut scene = Scene::new();
        let late = scene.rule(&["late.h"], &[]);
        let early = scene.rule(&["early.h"], &[]);
        let absent = scene.rule(&["absent.h"], &[]);
        let b = scene.rule(&["b.o"], &["b.c", "|early.h"]);
        if depfile {
            let path = scene.graph.paths.intern(b"/ws/b.o.d");
            scene.change(b, |action| action.depfile = path);
        }
        scene.does(early, |w| {
            w.create("early.h").create("beside.h");
        });
        scene.does_as(b, "/usr/bin/cc", Exit::Code(exit), |w| {
            w.read("b.c").read("source.h").execs("tool").stat("local.h").read("early.h");
            w.read("beside.h").read("late.h").absent("absent.h").create("b.o");
        });
        for (action, name) in [(late, "late.h"), (absent, "absent.h")] {
            scene.does(action, |w| {
                w.create(name);
            });
        }
        scene
    };
    let all = [
        "R003 b.o absent.h",
        "R001 b.o source.h",
        "R002 b.o early.h",
        "R003 b.o late.h",
        "R005 b.o beside.h",
        "R006 b.o tool",
        "R007 b.o local.h",
    ];
    failed(false, 1).finds(&all);
    let owing = failed(true, 1);
    owing.finds(&["R003 b.o absent.h", "R003 b.o late.h"]);
    let told = owing.verdict().findings;
    assert_eq!(told.iter().map(|f| f.missing_generated).collect::<Vec<_>>(), [true, false]);
    // When it works, it is the depfile that must name them.
    let works = failed(true, 0).found();
    assert!(works.contains(&"R001 b.o source.h".to_owned()), "{works:?}");
}

#[test]
fn links_to_directories_are_no_inputs() {
    compile(&["b.c", "src/b.inc"], |w| {
        // The kernel on the way to something declared, and a compiler by itself.
        w.follow("src", "real").readlink("src", "real").read_as("src/b.inc", "real/b.inc");
        w.readlink("inc", "include").list("include");
        w.readlink("lib", "other/lib").stat("b.c").read("/usr/include/stdio.h");
        w.readlink("tree", "deep").follow("tree", "deep").read_as("tree/x.h", "deep/x.h");
        w.readlink("out", "/usr/include");
    })
    .finds(&["R001 b.o deep/x.h", "R001 b.o lib", "R001 b.o out"]);
}
