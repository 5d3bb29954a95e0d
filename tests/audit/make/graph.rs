//! What make says of its targets, and whose work each process does.

use super::saved::{Saved, set};
use crate::support::Project;
use airtight_policy::build::Nature;

const PLAIN: &str = "-- Makefile --
V := $(shell cat version)
all: a.o b.o prog gen.txt
prog: a.o b.o | order
	cat $^ > $@
	@echo linked $(V)
%.o: %.c
	cp $< $@
a.o: a.h
gen.txt: names; cat $(shell cat names) > gen.txt
order: ; touch order
.PHONY: all
-- a.c --
-- b.c --
-- a.h --
-- version --
-- names --
names
";

#[test]
fn a_plain_project() {
    let project = Project::new(PLAIN);
    for flags in [["make", "-j4"], ["make", "-s"]] {
        project.prepare(&["rm", "-f", "a.o", "b.o", "prog", "gen.txt", "order"]);
        project.audit(&flags).expect(0, &[]);
        let saved = Saved::open(&project);
        let work = [
            "[parsing 0]: cat version",
            "a.o: cp a.c a.o",
            "b.o: cp b.c b.o",
            "gen.txt: /bin/sh -c cat names > gen.txt",
            "gen.txt: cat names",
            "order: touch order",
            "prog: /bin/sh -c cat a.o b.o > prog",
            "prog: echo linked",
        ];
        assert_eq!(saved.work(), work);
        assert_eq!(saved.inputs("prog"), set(&["a.o", "b.o", "| order"]));
        assert_eq!(saved.inputs("a.o"), set(&["a.c", "a.h"]));
        assert_eq!(saved.nature("all"), Nature::Alias);
        assert_eq!(saved.nature("gen.txt"), Nature::Normal);
        assert_eq!(saved.place("prog"), "Makefile:4");
        assert_eq!(saved.runs(), ["/: "]);
    }
}

#[test]
fn makes_within_makes() {
    let project = Project::new(
        "-- Makefile --
export SUFFIX = ending
all: by-c by-f by-cd by-script
by-c: ; $(MAKE) -C one
by-f: ; $(MAKE) -f other.mk NAME=two
by-cd: ; cd one && $(MAKE) x DEEP=1
by-script: ; ./script
.PHONY: all by-c by-f by-cd by-script
-- script --
#!/bin/sh
unset MAKEFLAGS
make -C lone
make -f other.mk NAME=three
-- other.mk --
all: $(NAME).$(SUFFIX)
$(NAME).%: base ; cp base $@
-- base --
-- one/Makefile --
all: y.$(SUFFIX)
y.$(SUFFIX): z ; cp z $@
x: z ; cp $< x; $(if $(DEEP),$(MAKE) -C ../deep)
-- one/z --
-- deep/Makefile --
deepest: in ; cp in $@
-- deep/in --
-- lone/Makefile --
lonely: in
	cp in $@
	@echo done
-- lone/in --
",
    );
    project.audit(&["make", "-j2"]).expect(0, &[]);
    let saved = Saved::open(&project);
    let work = [
        "by-c: make -C one",
        "by-cd: /bin/sh -c cd one && make x DEEP=1",
        "by-f: make -f other.mk NAME=two",
        "by-script: /bin/sh ./script",
        "deep/deepest: cp in deepest",
        "lone/lonely: cp in lonely",
        "lone/lonely: echo done",
        "one/x: /bin/sh -c cp z x; make -C ../deep",
        "one/y.ending: cp z y.ending",
        "three.ending: cp base three.ending",
        "two.ending: cp base two.ending",
    ];
    assert_eq!(saved.work(), work);
    let mut runs = saved.runs();
    runs.sort();
    let expected =
        ["/: ", "/: by-c", "/: by-f", "/: by-script", "/: by-script", "/one: by-cd", "/one: one/x"];
    assert_eq!(runs, expected);
    assert_eq!(saved.inputs("two.ending"), set(&["base"]));
    assert_eq!(saved.inputs("one/y.ending"), set(&["one/z"]));
    assert_eq!(saved.inputs("deep/deepest"), set(&["deep/in"]));
    assert_eq!(saved.inputs("lone/lonely"), set(&["lone/in"]));
    assert_eq!(saved.nature("by-c"), Nature::Always);
}

#[test]
fn a_recipe_is_one_action_however_it_is_run() {
    let project = Project::new(
        "-- Makefile --
.ONESHELL:
SHELL = /bin/bash
.SHELLFLAGS = -eu -o pipefail -c
all: one two
one: in
	x=in
	cat $$x > one
two: in ; cat in | cat > two
-- more.mk --
all: three four five
three: in
	@cat in > three.tmp
	-false
	+mv three.tmp three
four: in ; sh -c 'cat in > four && true'
five: in ; ./wrap cp in five
-- in --
",
    );
    project.audit(&["make"]).expect(0, &[]);
    let work = [
        "one: /bin/bash -eu -o pipefail -c x=in\ncat $x > one",
        "two: /bin/bash -eu -o pipefail -c cat in | cat > two",
    ];
    assert_eq!(Saved::open(&project).work(), work);
    project.write("wrap", "#!/bin/sh\nexec \"$@\"\n");
    let audit = project.audit(&["make", "-f", "more.mk", "-j3"]);
    audit.expect(120, &[("R006", "five", "wrap")]);
    let work = [
        "five: /bin/sh ./wrap cp in five",
        "four: sh -c cat in > four && true",
        "three: /bin/sh -c cat in > three.tmp",
        "three: false",
        "three: mv three.tmp three",
    ];
    assert_eq!(Saved::open(&project).work(), work);
}

#[test]
fn rules_of_every_kind() {
    let project = Project::new(
        "-- Makefile --
VPATH = src
all: lib.a(x.o) lib.a(y.o) g1 p.tab.h st1 double prog
g1 g2 &: in ; cat in > g1; cat in > g2
%.tab.c %.tab.h: %.y ; cat $< > $*.tab.c; cat $< > $*.tab.h
st1: %: %.in | dir ; cp $< $@
dir: ; mkdir -p $@
double:: in ; cp in double
double:: in2 ; cat in2 >> double
prog: prog.c
%.o: %.c ; cp $< $@
.PHONY: all
-- in --
-- in2 --
-- p.y --
-- st1.in --
-- src/x.c --
-- src/y.c --
-- prog.c --
int main(void) { return 0; }
",
    );
    project.audit(&["make"]).expect(0, &[]);
    let saved = Saved::open(&project);
    assert_eq!(saved.outputs("g1"), set(&["g1", "g2"]));
    assert_eq!(saved.outputs("p.tab.c"), set(&["p.tab.c", "p.tab.h"]));
    assert_eq!(saved.inputs("p.tab.c"), set(&["p.y"]));
    assert_eq!(saved.inputs("st1"), set(&["st1.in", "| dir"]));
    assert_eq!(saved.inputs("double"), set(&["in", "in2"]));
    assert_eq!(saved.inputs("x.o"), set(&["src/x.c"]));
    assert_eq!(saved.outputs("lib.a"), set(&["lib.a"]));
    assert_eq!(saved.inputs("lib.a"), set(&["x.o", "y.o"]));
    assert_eq!(saved.inputs("all"), set(&["double", "g1", "lib.a", "p.tab.h", "prog", "st1"]));
    assert_eq!(saved.inputs("prog"), set(&["prog.c"]));
    assert_eq!(saved.place("prog"), "Makefile:9");
    assert_eq!(saved.place("st1"), "Makefile:5");
}

#[test]
fn targets_have_any_names() {
    let project = Project::new(
        "-- Makefile --
all: out\\ x d$$r a\\:b 'q' ü nested/../up link/below
out\\ x: sp\\ ace plain ; cat 'sp ace' plain > '$@'
d$$r: co\\:l ; cp co:l '$@'
a\\:b: in ; cp in $@
'q': in ; cp in \"$@\"
ü: in ; cp in $@
nested/../up: in ; cp in up
link/below: in ; cp in $@
-- sp ace --
-- plain --
-- co:l --
-- in --
-- nested/in --
-- real/in --
",
    );
    project.prepare(&["ln", "-s", "real", "link"]);
    project.audit(&["make"]).expect(0, &[]);
    let saved = Saved::open(&project);
    assert_eq!(saved.inputs("out x"), set(&["sp ace", "plain"]));
    assert_eq!(saved.inputs("d$r"), set(&["co:l"]));
    for name in ["a:b", "'q'", "ü", "up", "real/below"] {
        assert_eq!(saved.inputs(name), set(&["in"]), "{name}");
    }
}

#[test]
fn flags_of_the_caller_change_nothing() {
    let project = Project::new(
        "-- Makefile --
all: one sub
one: in ; cp in $@
sub: ; $(MAKE) -f sub.mk
.PHONY: all sub
-- sub.mk --
$(info s=$(findstring s,$(filter-out --%,$(MAKEFLAGS))) n=$(findstring n,$(firstword -$(MAKEFLAGS))))
two: in ; cp in $@
-- in --
",
    );
    let expected = [
        "one: cp in one".to_owned(),
        "sub: make -f sub.mk".to_owned(),
        "two: cp in two".to_owned(),
    ];
    for (variable, value) in [
        ("GNUMAKEFLAGS", "k"),
        ("GNUMAKEFLAGS", "--no-print-directory X=1"),
        ("MAKEFLAGS", "rR"),
        ("MAKEFLAGS", "e"),
        ("MAKEFLAGS", "-- CC=other"),
        ("MAKELEVEL", "7"),
        ("LC_ALL", "C.UTF-8"),
    ] {
        project.prepare(&["rm", "-f", "one", "two"]);
        let args = ["audit", "--", "make"];
        let mut command = project.command(env!("CARGO_BIN_EXE_airtight"), &args);
        let end = project.end({
            command.env(variable, value);
            command
        });
        assert!(end.code(0).stdout.contains("s= n=\n"), "{}", end.show());
        let saved = Saved::open(&project);
        let work: Vec<_> = saved.work().iter().map(|line| line.replace("gmake", "make")).collect();
        assert_eq!(work, expected, "{variable}={value}");
        assert_eq!(saved.inputs("two"), set(&["in"]));
    }
}

#[test]
fn what_always_runs_is_known() {
    let project = Project::new(
        "-- Makefile --
all: stamp version.h user never chain plain ordered dotted
stamp: FORCE ; cat in > $@
version.h: FORCE ; cmp -s in $@ || cp in $@
user: version.h ; cp $< $@
never: in ; cat in
chain: via ; cat in > $@
via: FORCE
plain: in ; cp $< $@
ordered: in | FORCE ; cp $< $@
doubled:: ; cat in > $@
dotted: .FORCE ; cat in > $@
FORCE:
.FORCE:
.PHONY: all
-- in --
",
    );
    project.audit(&["make"]).expect(0, &[]);
    let saved = Saved::open(&project);
    for name in ["stamp", "version.h", "never", "chain", "doubled", "dotted"] {
        assert_eq!(saved.nature(name), Nature::Always, "{name}");
    }
    for name in ["user", "plain", "ordered"] {
        assert_eq!(saved.nature(name), Nature::Normal, "{name}");
    }
    for name in ["all", "via", "FORCE", ".FORCE"] {
        assert_eq!(saved.nature(name), Nature::Alias, "{name}");
    }
}

#[test]
fn makefiles_that_are_made_belong_to_configuration() {
    let project = Project::new(
        "-- Makefile --
V := $(shell cat version)
all: x ; 
x: in ; cp in x $(shell cat flags)
include config.mk
config.mk: config.in ; cp other config.mk; cat config.in >> $@
Makefile: Makefile.in ; cat Makefile.in > /dev/null; touch $@
-- Makefile.in --
-- config.in --
W := 1
-- other --
-- flags --
-- version --
-- in --
",
    );
    // Newer than what it is made from, or it would be made twice.
    project.prepare(&["touch", "-d", "2001-01-01", "Makefile.in"]);
    project.audit(&["make"]).expect(120, &[("R001", "x", "flags")]);
    let saved = Saved::open(&project);
    assert_eq!(saved.nature("config.mk"), Nature::Configure);
    assert_eq!(saved.nature("Makefile"), Nature::Configure);
    assert_eq!(saved.runs(), ["/: "]);
    let work = [
        "[parsing 0]: cat version",
        "[parsing 0]: cat version",
        "config.mk: /bin/sh -c cp other config.mk; cat config.in >> config.mk",
        "x: cat flags",
        "x: cp in x",
    ];
    assert_eq!(saved.work(), work);
}

#[test]
fn a_makefile_that_keeps_its_shell_is_told() {
    let project = Project::new(
        "-- Makefile --
override SHELL = /bin/sh
x: in ; cp in x
-- in --
",
    );
    let audit = project.audit(&["make"]);
    assert_eq!(audit.end.code, Some(125), "{}", audit.end.show());
    for part in ["/work: make can't be asked", "Makefile says `override SHELL`", "--adapter none"] {
        assert!(audit.end.stderr.contains(part), "{}", audit.end.show());
    }
}

#[test]
fn a_makefile_that_is_broken_by_now_is_an_error() {
    let project = Project::new(PLAIN);
    project.audit(&["make"]).expect(0, &[]);
    project.write("Makefile", "ifdef\n");
    let audit = project.check(&[]);
    assert_eq!(audit.end.code, Some(2), "{}", audit.end.show());
    assert!(audit.end.stderr.contains("make can't be asked"), "{}", audit.end.show());
}

#[test]
fn makefiles_that_are_gone_are_no_error() {
    let project = Project::new(
        "-- build --
#!/bin/sh
set -e
mkdir gone
printf 'x: ../in\\n\\tcp ../in x\\n' > gone/Makefile
make -C gone
rm -r gone
printf 'y: in\\n\\tcp in y\\n' | make -f -
make -f missing.mk || true
-- in --
",
    );
    let audit = project.audit(&["./build"]);
    audit.expect(0, &[]);
    let saved = Saved::open(&project);
    assert_eq!(saved.work(), ["gone/x: cp ../in x", "y: cp in y"]);
    assert_eq!(saved.nature("gone/x"), Nature::Configure);
    assert!(audit.end.stderr.contains("a makefile that make read from a pipe"));
}

#[test]
fn recipes_are_not_run_again() {
    let project = Project::new(
        "-- Makefile --
$(shell echo parsed >> count)
all: always sub made
always: ; echo always >> count
sub: ; +echo sub >> count; $(MAKE) -f sub.mk
made: in ; echo $(shell echo made >> count) >> count; cp in made
.PHONY: all always sub
include part.mk
part.mk: ; echo part >> count; echo > part.mk
-- sub.mk --
x: ; echo x >> count
-- in --
",
    );
    let audit = project.audit(&["make"]);
    assert_eq!(audit.unattributed(), 0);
    let mut count: Vec<String> = project.read("count").lines().map(str::to_owned).collect();
    count.sort();
    // Twice by make itself, since it remade a makefile, and once by the audit.
    let once = ["", "always", "made", "parsed", "parsed", "parsed", "part", "sub", "x"];
    assert_eq!(count, once);
}
