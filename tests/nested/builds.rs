//! Builds that call `airtight`, as a whole.

use crate::support::{Site, words};
use crate::{AIRTIGHT, shell};

/// A makefile whose compiler is `airtight cc`, with a header that the build makes.
fn build() -> Site {
    let site = Site::new();
    site.write(
        "Makefile",
        "CC = $(A) cc gcc\n\
         all: prog\n\
         prog: a.o b.o c.o main.o; gcc -o $@ $^\n\
         %.o: %.c gen.h; $(CC) -c -o $@ $<\n\
         gen.h: gen.in; sed 's/^/#define /' gen.in > gen.h\n\
         clean: ; rm -f *.o prog gen.h\n",
    )
    .write("gen.in", "N 1\n")
    .write(
        "main.c",
        "int a(void), b(void), c(void);\nint main(void) { return a() + b() + c(); }\n",
    );
    for name in ["a", "b", "c"] {
        let text = format!("#include \"gen.h\"\nint {name}(void) {{ return N; }}\n");
        site.write(&format!("{name}.c"), text);
    }
    site
}

#[test]
fn make_with_cc_under_trace() {
    let site = build();
    let outer = site.root().join("outer.bin");
    let outer = ["trace", "-o", outer.to_str().expect("UTF-8")];
    let (end, counters) = site.end(shell(&site, &outer, "make -j2 all"));
    assert_eq!((end.code, end.stderr.as_str()), (Some(0), ""), "{}", end.show());
    assert_eq!(counters.published, 4, "{counters:?}");

    // Alone, each is a hit.
    let (end, counters) = site.end(shell(&site, &outer, "make clean"));
    end.code(0);
    assert_eq!(counters, Default::default());
    let mut make = std::process::Command::new("make");
    let alone = site.airtight(&[""]);
    make.arg("-j2").current_dir(site.path("")).env_clear();
    make.envs(alone.get_envs().filter_map(|(name, value)| Some((name, value?))));
    make.env("A", AIRTIGHT);
    let (end, counters) = site.end(make);
    end.code(0);
    assert_eq!(counters.local_hits, 4, "{counters:?}\n{}", end.show());

    // The header was made in the traced build: that it counts was seen all the same.
    site.write("gen.in", "N 2\n");
    let (end, counters) = site.end(shell(&site, &outer, "make && ./prog"));
    end.code(6);
    assert_eq!(counters.hits(), 0, "{counters:?}");
}

#[test]
fn make_with_cc_under_run() {
    let site = build();
    site.write("airtight.toml", "");
    // make looks whether there is such a program.
    let args = format!(
        "--env HOME --env A --in {AIRTIGHT} --in Makefile --in gen.in --in airtight.toml --in a.c \
         --in b.c --in c.c --in main.c --out prog --side-effect '*.o' --side-effect gen.h -- make -j2"
    );
    let mut command = site.airtight(&words(&args));
    command.env("A", AIRTIGHT);
    let (end, counters) = site.end(command);
    end.code(0);
    assert_eq!(end.stderr, "", "{}", end.show());
    assert_eq!(counters.published, 5, "{counters:?}");
}

#[test]
fn make_with_cc_under_audit() {
    let site = build();
    let saved = site.root().join("audit.bin");
    let outer = ["audit", "-o", saved.to_str().expect("UTF-8")];
    let (end, counters) = site.end(shell(&site, &outer, "make -j2 all"));
    for never in ["airtight/", "H001", "H002", "H003", ".cache"] {
        assert!(!end.stderr.contains(never), "{never} in {}", end.show());
    }
    assert!([Some(0), Some(120)].contains(&end.code), "{}", end.show());
    assert_eq!(counters.published, 4, "{counters:?}");
}

/// A makefile with a rule that does not declare what it reads.
fn careless() -> Site {
    let site = Site::new();
    site.write("Makefile", "all: out\nout: in ; cat in hidden > out\n");
    site.write("in", "").write("hidden", "");
    site
}

#[test]
fn an_audit_is_the_same_within_anything() {
    let site = careless();
    // The report alone: the last line tells how long it took.
    let report = |text: &str| text[..text.find("told ").expect("the last line")].to_owned();
    let (alone, _) = site.end(site.airtight(&["audit", "-o", "alone.bin", "--", "make"]));
    alone.code(120).says("undeclared read of hidden").says("0 unattributed");
    let outer = site.root().join("outer.bin");
    let outer = outer.to_str().expect("UTF-8");
    for kind in [&["trace", "-o", outer][..], &["audit", "-o", outer], &["run", "--no-cache"]] {
        site.remove("out");
        let script = "$A audit -o inner.bin -- make 2> inner.err; echo $?";
        let extra: &[&str] = match kind[0] {
            "run" => &["--env", "A", "--side-effect", "**", "--in", "in", "--in", "hidden"],
            _ => &[],
        };
        let (end, _) = site.end(shell(&site, &[kind, extra].concat(), script));
        assert!(end.stdout.ends_with("120\n"), "{}{}", end.show(), site.text("inner.err"));
        assert_eq!(report(&site.text("inner.err")), report(&alone.stderr), "{kind:?}");
    }
}

#[test]
fn what_an_inner_audit_needs_is_noted_for_it_alone() {
    let site = careless();
    let outer = site.root().join("outer.json");
    let args = ["trace", "--format", "json", "-o", outer.to_str().expect("UTF-8")];
    let (end, _) = site.end(shell(&site, &args, "$A audit -o inner.bin -- make"));
    end.code(120);
    let outer = std::fs::read(outer).expect("the recording");
    let outer: serde_json::Value = serde_json::from_slice(&outer).expect("JSON");
    let processes = outer["processes"].as_array().expect("a list");
    let execs = processes.iter().flat_map(|process| process["execs"].as_array()).flatten();
    assert!(execs.clone().count() > 5, "make and its children");
    assert!(execs.clone().all(|exec| exec["env"].is_null()), "nobody asked for variables there");
}
