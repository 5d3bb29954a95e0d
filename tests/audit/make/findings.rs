//! What is told of builds with make, exactly.

use super::saved::{Saved, set};
use crate::support::Project;

const HEADERS: &str = "-- a.c --
#include \"gen.h\"
#include \"plain.h\"
int a = A + B;
-- plain.h --
#define B 1
-- gen.in --
#define A 1
";

/// The sources above with a makefile.
fn headers(makefile: &str) -> Project {
    let project = Project::new(HEADERS);
    project.write("Makefile", makefile);
    project
}

#[test]
fn headers_that_make_does_not_know() {
    let project = headers("a.o: a.c gen.h\n\tcc -c a.c\ngen.h: gen.in\n\tcp gen.in gen.h\n");
    project.audit(&["make"]).expect(120, &[("R001", "a.o", "plain.h")]);
    let project = headers("all: gen.h a.o\na.o: plain.h\ngen.h: gen.in\n\tcp gen.in gen.h\n");
    project.audit(&["make"]).expect(120, &[("R003", "a.o", "gen.h")]);
}

#[test]
fn a_depfile_that_is_included_makes_headers_known() {
    let project = headers(
        "a.o: a.c | gen.h\n\tcc -MMD -c a.c\ngen.h: gen.in\n\tcp gen.in gen.h\n-include a.d\n",
    );
    project.audit(&["make"]).expect(0, &[]);
    let saved = Saved::open(&project);
    let inputs = ["a.c", "gen.h (.d)", "plain.h (.d)", "| gen.h"];
    assert_eq!(saved.inputs("a.o"), set(&inputs));
    // The same again, when nothing or only one thing has changed.
    project.audit(&["make"]).expect(0, &[]);
    project.write("plain.h", "#define B 2\n");
    project.audit(&["make"]).expect(0, &[]);
    assert_eq!(Saved::open(&project).inputs("a.o"), set(&inputs));
}

#[test]
fn a_depfile_that_nobody_includes_is_none() {
    let project = headers("a.o: a.c | gen.h\n\tcc -MMD -c a.c\ngen.h: gen.in\n\tcp gen.in gen.h\n");
    project.audit(&["make"]).expect(120, &[("R002", "a.o", "gen.h"), ("R001", "a.o", "plain.h")]);
}

/// Every usual way to say that a generated header comes first, while only depfiles name it as a
/// prerequisite. GNU make prints `a.o: a.c a.c gen/v.h | gen/v.h` of a target that is up to date
/// when it is asked, and `a.o: a.c gen/v.h a.c gen/v.h` of one that is not.
#[test]
fn headers_that_are_ordered_by_rules_and_known_by_depfiles() {
    let ways = [
        ("of the target", "a.o: | gen/v.h"),
        ("of all objects", "OBJECTS := a.o\n$(OBJECTS): | gen/v.h"),
        ("expanded late", ".SECONDEXPANSION:\na.o: | $$(HEADER)\nHEADER = gen/v.h"),
        ("by a phony target", ".PHONY: headers\nheaders: gen/v.h\na.o: | headers"),
        ("of a pattern", "%.o: %.c | gen/v.h"),
        ("by a recipe", "a.o: | first\n.PHONY: first\nfirst: ; $(MAKE) -C other"),
    ];
    let (makes, no_rule) = ("gen/v.h: v.in ; mkdir -p gen; cp v.in gen/v.h", "");
    for (way, order) in ways {
        let pattern = if way == "of a pattern" { "" } else { "%.o: %.c" };
        let generate = if way == "by a recipe" { no_rule } else { makes };
        for old in ["", "; touch -d '1 hour ago' $@"] {
            let project = Project::new(
                "-- a.c --\n#include \"gen/v.h\"\nint a = V;\n-- v.in --\n#define V 1\n-- other/Makefile --\n\
                 ../gen/v.h: ../v.in ; mkdir -p ../gen; cp ../v.in ../gen/v.h\n",
            );
            let compile = format!("\tcc -I. -MMD -MP -c $< -o $@ {old}");
            let makefile = [
                "all: a.o\n.PHONY: all",
                order,
                pattern,
                &compile,
                generate,
                "-include $(wildcard *.d)\n",
            ];
            project.write("Makefile", makefile.join("\n"));
            for changed in ["a.c", "v.in", "a.c"] {
                project.write(changed, project.read(changed));
                project.audit(&["make", "-j2"]).expect(0, &[]);
            }
        }
    }
}

#[test]
fn a_depfile_does_not_order() {
    let project = headers(
        "all: gen.h a.o\na.o: a.c\n\tcc -MMD -c a.c\ngen.h: gen.in\n\tcp gen.in gen.h\n-include a.d\n",
    );
    project.audit(&["make"]).expect(120, &[("R003", "a.o", "gen.h")]);
    let saved = Saved::open(&project);
    assert_eq!(saved.inputs("a.o"), set(&["a.c", "gen.h (.d)", "plain.h (.d)"]));
    // Later too, and whatever is ordered behind the header beside it.
    for changed in ["gen.in", "a.c"] {
        project.write(changed, project.read(changed));
        let order = "\nb.o: | gen.h\na.o: | gen.in\n";
        project.write("Makefile", project.read("Makefile") + order);
        project.audit(&["make"]).expect(120, &[("R003", "a.o", "gen.h")]);
    }
}

#[test]
fn dependencies_that_are_made_first_are_known_in_time() {
    let project = headers(
        "a.o: a.c\n\tcc -c a.c\ngen.h: gen.in\n\tcp gen.in gen.h\n\
         a.d: a.c gen.h plain.h\n\tcc -MM -MF a.d -MT 'a.o' a.c\ninclude a.d\n",
    );
    project.audit(&["make"]).expect(0, &[]);
    assert_eq!(Saved::open(&project).inputs("a.o"), set(&["a.c", "gen.h", "plain.h"]));
}

#[test]
fn one_depfile_for_all() {
    let project = headers(
        "all: a.o\na.o: gen.h\ngen.h: gen.in\n\tcp gen.in gen.h\n\
         depend: gen.h\n\tcc -MM a.c > .depend\n-include .depend\n",
    );
    project.audit(&["sh", "-c", "make depend && make"]).expect(0, &[]);
    let inputs = Saved::open(&project).inputs("a.o");
    assert_eq!(inputs, set(&["a.c", "gen.h", "plain.h"]));
}

#[test]
fn what_every_directory_knows_ties_none_to_another() {
    // As automake has it: every makefile can make the description anew, and install.
    let common = "config.status: configure ; touch $@\n";
    let status = "../config.status: ../configure ; touch $@\n\
                  ../configure: ../configure.ac ; touch $@\n\
                  Makefile: Makefile.in ../config.status ; touch $@\n\
                  install: all ../lib/x.a ; cp x.a ../inst\n.PHONY: all install\n";
    let project = Project::new(
        "-- configure.ac --
-- configure --
-- config.status --
-- lib/Makefile.in --
-- bin/Makefile.in --
-- lib/x.c --
-- bin/x.c --
",
    );
    let top = "all: all-recursive\nall-recursive:\n\
               \tfor dir in lib bin; do $(MAKE) -C $$dir all || exit 1; done\n\
               .PHONY: all all-recursive\n";
    project.write("Makefile", format!("{top}{common}"));
    let rules = "all: x.a\nx.lo: x.c ; mkdir -p .libs; cp x.c .libs/x.o; cp x.c x.lo\n\
                 x.a: x.lo ; cat .libs/x.o > x.a\n";
    for directory in ["lib", "bin"] {
        project.write(&format!("{directory}/Makefile"), format!("{rules}{status}"));
    }
    project.audit(&["make", "-j2"]).expect(0, &[]);
    // One of them reads what the other makes.
    let bin = project.read("bin/Makefile").replace("x.a: x.lo ;", "x.a: x.lo ; cat ../lib/x.a;");
    project.write("bin/Makefile", bin);
    project.audit(&["make", "-j2"]).expect(0, &[]);
    for directory in ["lib", "bin"] {
        project.write(&format!("{directory}/x.c"), "");
    }
    project.audit(&["make", "-j2"]).expect(120, &[("R002", "bin/x.a", "lib/x.a")]);
}

#[test]
fn to_clean_up_is_no_finding() {
    let project = Project::new(
        "-- Makefile --
a: in ; cp in a
clean: ; rm -f a
.PHONY: clean
-- in --
",
    );
    for script in ["make clean; make", "make -j2; make clean", "make; make clean; make -j2"] {
        project.audit(&["sh", "-c", script]).expect(0, &[]);
    }
}

#[test]
fn what_always_runs_may_look_at_the_last_result() {
    let project = Project::new(
        "-- Makefile --
all: prog
prog: version.h ; cp version.h prog
stamp: .FORCE ; cmp -s in version.h || touch stamp
version.h: stamp in ; cp in version.h
.FORCE:
-- in --
one
",
    );
    for content in ["one\n", "one\n", "two\n"] {
        project.write("in", content);
        project.audit(&["make"]).expect(0, &[]);
    }
}

#[test]
fn a_rule_with_two_targets_runs_twice() {
    let project = Project::new(
        "-- Makefile --
all: p q
p q: in ; cat in > p; cat in > q
-- in --
",
    );
    let audit = project.audit(&["make", "-j2"]);
    let told = audit.findings();
    assert!(told.iter().all(|(rule, ..)| rule == "W003"), "{told:?}");
    let paths: Vec<&str> = told.iter().map(|(_, _, path)| path.as_str()).collect();
    assert!(paths.contains(&"p") || paths.contains(&"q"), "{told:?}");
    assert_eq!(audit.unattributed(), 0);
}

#[test]
fn wrapped_compilers_are_seen_through() {
    let project = headers(
        "OBJS = one.o two.o three.o\nall: $(OBJS)\n$(OBJS): gen.h plain.h a.c\n\
         one.o: ; ccache cc -c a.c -o $@\n\
         two.o: ; cd . && sh -c 'true && cc -c a.c -o two.o'\n\
         three.o: ; ./libtool --mode=compile cc -c a.c -o $@\n\
         three.o: libtool\n\
         gen.h: gen.in\n\tcp gen.in gen.h\n",
    );
    project.write("libtool", "#!/bin/sh\nshift\n\"$@\" -fPIC -o three.lo && exec \"$@\"\n");
    let args = ["audit", "--", "make", "-j4"];
    let mut command = project.command(env!("CARGO_BIN_EXE_airtight"), &args);
    command.env("CCACHE_DISABLE", "1");
    let end = project.end(command);
    assert!(end.stderr.contains("0 unattributed"), "{}", end.show());
    assert!(!end.stderr.contains("error[R"), "{}", end.show());
    let saved = Saved::open(&project);
    let owner = |line: &String| line.split(':').next().unwrap_or_default().to_owned();
    let owners: Vec<String> = saved.work().iter().map(owner).collect();
    assert_eq!(owners, ["gen.h", "one.o", "three.o", "two.o"]);
}

#[test]
fn several_makes_share_files() {
    let project = Project::new(
        "-- Makefile --
all: lib app
lib app: ; $(MAKE) -C $@
app: lib
.PHONY: all lib app
-- lib/Makefile --
out: in ; cp in out
-- lib/in --
-- app/Makefile --
prog: main ../lib/out ; cat main ../lib/out > prog
-- app/main --
",
    );
    project.audit(&["make", "-j2"]).expect(0, &[]);
    // Without the order of the two.
    let makefile = project.read("Makefile").replace("app: lib\n", "");
    project.write("Makefile", makefile);
    project.prepare(&["rm", "lib/out", "app/prog"]);
    project.audit(&["make"]).expect(120, &[("R003", "app/prog", "lib/out")]);
}
