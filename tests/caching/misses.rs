//! What changes makes a miss, once, and the right result. What changes back is known again.

use crate::support::Site;
use airtight_cache::stats::MissReason::{NoEntry, PathsChanged};
use std::fs;
use std::process::Command;

/// An action whose result tells what it was made of.
struct Action {
    site: Site,
    args: &'static str,
    output: &'static str,
}

impl Action {
    fn new(args: &'static str, output: &'static str) -> Action {
        Action { site: Site::new(), args, output }
    }

    /// The first run, and a second one that doesn't run.
    #[track_caller]
    fn known(&self) -> Vec<u8> {
        self.site.runs(self.args);
        let made = self.site.read(self.output);
        self.site.restores(self.args);
        assert_eq!(self.site.read(self.output), made);
        made
    }

    /// After a change: one miss for this reason, another result than before, and then a hit.
    #[track_caller]
    fn misses(&self, reason: airtight_cache::stats::MissReason, before: &[u8]) -> Vec<u8> {
        self.site.runs_because(reason, self.args);
        let made = self.site.read(self.output);
        assert!(made != before, "the result is as before");
        self.site.remove(self.output);
        self.site.restores(self.args);
        assert_eq!(self.site.read(self.output), made);
        made
    }

    /// After the change was taken back.
    #[track_caller]
    fn knows_again(&self, before: &[u8]) {
        self.site.restores(self.args);
        assert_eq!(self.site.read(self.output), before);
    }
}

const COMPILE: &str = "--in a.c --in include/a.h --out a.o -- gcc -Ifirst -Iinclude -c a.c -o a.o";

fn compile() -> Action {
    let action = Action::new(COMPILE, "a.o");
    action
        .site
        .write("a.c", "#include \"a.h\"\nint a = A;\n")
        .write("include/a.h", "#define A 1\n");
    action
}

#[test]
fn a_source() {
    let action = compile();
    let before = action.known();
    action.site.write("a.c", "#include \"a.h\"\nint b = A;\n");
    action.misses(NoEntry, &before);
    action.site.write("a.c", "#include \"a.h\"\nint a = A;\n");
    action.knows_again(&before);
}

#[test]
fn a_header_that_is_declared() {
    let action = compile();
    let before = action.known();
    action.site.write("include/a.h", "#define A 2\n");
    action.misses(NoEntry, &before);
}

#[test]
fn a_header_that_only_the_depfile_names() {
    let args = "--in a.c --depfile a.d --out a.o -- gcc -MD -Iinclude -c a.c -o a.o";
    let action = Action { args, ..compile() };
    let before = action.known();
    // Neither size nor time tells.
    let path = action.site.path("include/a.h");
    let time = fs::metadata(&path).and_then(|m| m.modified()).expect("a time");
    action.site.write("include/a.h", "#define A 2\n");
    fs::File::options().write(true).open(&path).and_then(|f| f.set_modified(time)).expect("set");
    let after = action.misses(PathsChanged, &before);
    action.site.write("include/a.h", "#define A 1\n");
    action.knows_again(&before);
    action.site.write("include/a.h", "#define A 2\n");
    action.knows_again(&after);
}

#[test]
fn a_flag() {
    let action = compile();
    let before = action.known();
    let args =
        "--in a.c --in include/a.h --out a.o -- gcc -Ifirst -Iinclude -fno-ident -c a.c -o a.o";
    Action { args, ..action }.misses(NoEntry, &before);
}

#[test]
fn a_declared_variable_and_no_other() {
    let args = "--env LEVEL --out out -- sh -c 'echo ${LEVEL}${OTHER} > out'";
    let action = Action::new(args, "out");
    let site = |value| action.site.with("LEVEL", value);
    site("1").runs(args);
    assert_eq!(action.site.text("out"), "1\n");
    site("1").with("OTHER", "3").restores(args);
    site("2").runs(args);
    assert_eq!(action.site.text("out"), "2\n");
    site("1").restores(args);
    assert_eq!(action.site.text("out"), "1\n");
}

#[test]
fn a_tracked_variable_of_the_default() {
    let args = "--out out -- sh -c 'date -d @0 > out'";
    let action = Action::new(args, "out");
    action.site.runs(args);
    let before = action.site.read("out");
    action.site.with("TZ", "UTC-5").runs(args);
    assert_ne!(action.site.read("out"), before);
}

#[test]
fn a_system_header() {
    let args = "--in a.c --out a.o -- gcc -isystem sdk -c a.c -o a.o";
    let action = Action { args, ..compile() };
    action.site.write("airtight.toml", "[policy.scopes]\ntoolchain = [\"sdk\"]\n");
    action.site.write("a.c", "#include <sys.h>\nint a = SYS;\n");
    action.site.write("sdk/sys.h", "#define SYS 1\n");
    let before = action.known();
    action.site.write("sdk/sys.h", "#define SYS 2\n");
    action.misses(PathsChanged, &before);
    // What the action has nothing to do with may change.
    action.site.write("sdk/other.h", "");
    action.site.restores(args);
}

#[test]
fn the_compiler_behind_the_driver() {
    let args = "--in a.c --out a.o -- gcc -Bsdk/ -c a.c -o a.o";
    let action = Action { args, ..compile() };
    action.site.write("airtight.toml", "[policy.scopes]\ntoolchain = [\"sdk\"]\n");
    action.site.write("a.c", "int a = sizeof(V);\n");
    let cc1 = Command::new("gcc").arg("-print-prog-name=cc1").output().expect("gcc").stdout;
    let cc1 = String::from_utf8(cc1).expect("UTF-8");
    let wrapper = |more| format!("#!/bin/sh\nexec {} {more} \"$@\"\n", cc1.trim());
    action.site.program("sdk/cc1", &wrapper("-DV=char"));
    let before = action.known();
    action.site.program("sdk/cc1", &wrapper("-DV=long"));
    action.misses(PathsChanged, &before);
    // One that doesn't work is not hidden by a hit.
    action.site.program("sdk/cc1", "#!/bin/sh\nexit 1\n");
    let (end, counters) = action.site.run(args);
    end.code(1);
    assert_eq!((counters.hits(), counters.published), (0, 0), "{counters:?}");
}

#[test]
fn a_new_header_earlier_on_the_include_path() {
    let action = compile();
    action.site.write("first/other.h", "");
    let before = action.known();
    action.site.write("first/a.h", "#define A 2\n");
    // It isn't declared, so the right result comes with a finding and is not kept.
    let (end, counters) = action.site.run(COMPILE);
    end.code(120).says("R001");
    assert_eq!((counters.misses["paths-changed"], counters.hits()), (1, 0), "{counters:?}");
    assert_ne!(action.site.read("a.o"), before);
    action.site.remove("first/a.h");
    action.knows_again(&before);
    // With a depfile it is declared as soon as it is read.
    let args = "--in a.c --depfile a.d --out a.o -- gcc -MD -Ifirst -Iinclude -c a.c -o a.o";
    let action = Action { args, ..action };
    let before = action.known();
    action.site.write("first/a.h", "#define A 2\n");
    action.misses(PathsChanged, &before);
    action.site.remove("first/a.h");
    action.knows_again(&before);
}

#[test]
fn ccache_beside_it_misses_the_new_header() {
    let site = Site::new();
    site.write("a.c", "#include \"a.h\"\nint a = A;\n").write("include/a.h", "#define A 1\n");
    site.write("first/other.h", "");
    let ccache = |arguments: &[&str]| {
        let mut ccache = Command::new("ccache");
        ccache.args(arguments).current_dir(site.path("")).env_clear();
        ccache.env("PATH", "/usr/bin:/bin").env("HOME", site.home()).env("LC_ALL", "C");
        // Files as young as these are otherwise not trusted.
        ccache.env("CCACHE_SLOPPINESS", "include_file_mtime,include_file_ctime");
        let output = ccache.output().expect("ccache starts");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let version = ccache(&["--version"]);
    let compile = ["gcc", "-Ifirst", "-Iinclude", "-c", "a.c", "-o", "a.o"];
    ccache(&compile);
    let stale = site.read("a.o");
    site.write("first/a.h", "#define A 2\n");
    site.remove("a.o");
    ccache(&compile);
    let hits = ccache(&["--print-stats"]);
    if version.starts_with("ccache version 4.7") {
        assert!(hits.contains("direct_cache_hit\t1\n"), "{hits}");
        assert_eq!(site.read("a.o"), stale, "ccache 4.7 gives the old object");
    }
    // The same directory, the same command, the same change.
    let args = "--in a.c --depfile a.d --out a.o -- gcc -MD -Ifirst -Iinclude -c a.c -o a.o";
    site.remove("first/a.h");
    site.runs(args);
    assert_eq!(site.read("a.o"), stale);
    site.write("first/a.h", "#define A 2\n");
    site.runs_because(PathsChanged, args);
    assert_ne!(site.read("a.o"), stale);
}

#[test]
fn a_link_that_leads_elsewhere() {
    let args = "--in current/in --out out -- cp current/in out";
    let action = Action::new(args, "out");
    action.site.write("one/in", "1").write("two/in", "2").write("three/in", "1");
    action.site.link("current", "one");
    let before = action.known();
    action.site.link("current", "two");
    action.misses(NoEntry, &before);
    action.site.link("current", "one");
    action.knows_again(&before);
    // The same content, over another way.
    action.site.link("current", "three").runs_because(PathsChanged, args);
    assert_eq!(action.site.read("out"), before);
}

#[test]
fn a_link_that_leads_nowhere() {
    let args = "--in link --out out -- sh -c 'if test -L link; then readlink link; fi > out'";
    let action = Action::new(args, "out");
    action.site.link("link", "nowhere");
    let before = action.known();
    action.site.link("link", "elsewhere");
    action.misses(NoEntry, &before);
    action.site.link("link", "nowhere");
    action.knows_again(&before);
}

#[test]
fn a_declared_link() {
    let args = "--in in --out out -- cp in out";
    let action = Action::new(args, "out");
    action.site.write("one", "1").write("two", "2").link("in", "one");
    let before = action.known();
    action.site.link("in", "two");
    action.misses(NoEntry, &before);
    action.site.link("in", "one");
    action.knows_again(&before);
    // The same link, and another file behind it.
    action.site.write("one", "3");
    action.misses(PathsChanged, &before);
}

#[test]
fn a_directory_that_is_listed() {
    let args = "--out out -- sh -c 'ls parts > out'";
    let action = Action::new(args, "out");
    action.site.write("parts/a", "").write("parts/b", "");
    let before = action.known();
    action.site.write("parts/c", "");
    action.misses(PathsChanged, &before);
    action.site.remove("parts/c");
    action.knows_again(&before);
    action.site.remove("parts/b");
    action.misses(PathsChanged, &before);
    // What stands in the files is not asked.
    action.site.write("parts/b", "content");
    action.knows_again(&before);
}

#[test]
fn a_declared_directory_that_gains_a_file() {
    // The shell asks for `parts/a/` too, which is no directory.
    let args = "--in-dir parts --out out -- sh -c 'cat parts/*/* > out'";
    let action = Action::new(args, "out");
    action.site.write("parts/a", "a").write("parts/deep/b", "b");
    let before = action.known();
    action.site.write("parts/deep/c", "c");
    action.misses(NoEntry, &before);
    action.site.remove("parts/deep/c");
    action.knows_again(&before);
}

#[test]
fn a_glob_that_gains_a_file() {
    let args = "--in parts/*.txt --out out -- sh -c 'cat parts/*.txt > out'";
    let action = Action::new(args, "out");
    action.site.write("parts/a.txt", "a").write("parts/other", "");
    let before = action.known();
    action.site.write("parts/b.txt", "b");
    action.misses(NoEntry, &before);
    action.site.remove("parts/b.txt");
    action.knows_again(&before);
}

#[test]
fn an_executable_bit() {
    let args = "--in in --out out -- sh -c '{ if test -x in; then echo yes; else echo no; fi; cat in; } > out'";
    let action = Action::new(args, "out");
    action.site.write("in", "");
    let before = action.known();
    action.site.chmod("in", 0o755);
    action.misses(NoEntry, &before);
    action.site.chmod("in", 0o644);
    action.knows_again(&before);
}

#[test]
fn an_executable_bit_of_a_tool() {
    let args = "--out out -- sh -c 'if test -x sdk/tool; then echo yes; else echo no; fi > out'";
    let action = Action::new(args, "out");
    action.site.write("airtight.toml", "[policy.scopes]\ntoolchain = [\"sdk\"]\n");
    action.site.write("sdk/tool", "");
    let before = action.known();
    action.site.chmod("sdk/tool", 0o755);
    action.misses(PathsChanged, &before);
}

#[test]
fn a_tool_of_the_same_name_earlier_in_path() {
    let args = "--out out -- sh -c 'tool > out'";
    let action = Action::new(args, "out");
    action.site.write("airtight.toml", "[policy.scopes]\ntoolchain = [\"early\", \"late\"]\n");
    action.site.program("late/tool", "#!/bin/sh\necho late\n").write("early/other", "");
    let directories = ["early", "late"].map(|name| action.site.path(name).display().to_string());
    let path = format!("{}:{}:/usr/bin:/bin", directories[0], directories[1]);
    let action = Action { site: action.site.with("PATH", path), ..action };
    let before = action.known();
    assert_eq!(before, b"late\n");
    action.site.program("early/tool", "#!/bin/sh\necho early\n");
    assert_eq!(action.misses(PathsChanged, &before), b"early\n");
    action.site.remove("early/tool");
    action.knows_again(&before);
}

#[test]
fn the_command_itself_earlier_in_path() {
    // Not a shell but Airtight looks for it.
    let args = "--out out -- tool out";
    let action = Action::new(args, "out");
    action.site.write("airtight.toml", "[policy.scopes]\ntoolchain = [\"early\", \"late\"]\n");
    action.site.program("late/tool", "#!/bin/sh\necho late > $1\n").write("early/other", "");
    let directories = ["early", "late"].map(|name| action.site.path(name).display().to_string());
    let path = format!("{}:{}:/usr/bin:/bin", directories[0], directories[1]);
    let action = Action { site: action.site.with("PATH", path), ..action };
    let before = action.known();
    action.site.program("early/tool", "#!/bin/sh\necho early > $1\n");
    assert_eq!(action.misses(PathsChanged, &before), b"early\n");
    action.site.remove("early/tool");
    action.knows_again(&before);
    action.site.program("late/tool", "#!/bin/sh\necho later > $1\n");
    action.misses(PathsChanged, &before);
}
