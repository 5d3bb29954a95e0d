//! What never gets into a cache, neither the local store nor a server's own storage.

use crate::support::{End, Site, files};
use airtight_cache::stats::MissReason::PathsChanged;
use airtight_cache::stats::NotCachedReason::{self, *};
use airtight_test_servers::{BazelRemote, Casd, Nginx, S3, bazel_remote, nginx};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;
use std::thread;

/// What the outputs hold, to be looked for.
const MARK: &str = "MARK-5f3a";

/// A workspace whose results would go to a server.
struct Kept {
    site: Site,
    server: BazelRemote,
}

impl Kept {
    fn new(policy: &str) -> Kept {
        let kept = Kept {
            site: Site::new(),
            server: BazelRemote::start(bazel_remote::Options::default()),
        };
        let url = kept.server.url();
        let settings = format!("[[cache.remote]]\nurl = \"{url}\"\n{policy}");
        kept.site.write("airtight.toml", settings);
        kept
    }

    /// The action ends with this code, and its result is nowhere.
    #[track_caller]
    fn out(&self, code: i32, reason: NotCachedReason, args: &str) -> End {
        let end = self.site.withholds(code, reason, args);
        self.nowhere(&end);
        end
    }

    #[track_caller]
    fn nowhere(&self, end: &End) {
        assert_eq!(holds(self.server.storage()), Vec::<String>::new(), "{}", end.show());
        assert!(self.server.requests().iter().all(|r| r.method != "PUT"), "{}", end.show());
    }

    /// The same action without its fault is published, so that the storage would show it.
    #[track_caller]
    fn in_when_clean(&self, args: &str) {
        self.site.runs(args);
        assert_ne!(holds(self.server.storage()), Vec::<String>::new());
        self.site.restores(args);
    }
}

/// The files below a directory that hold the mark, and the entries of an action cache.
fn holds(storage: &Path) -> Vec<String> {
    let mark = MARK.as_bytes();
    let holds = |path: &Path| {
        let content = fs::read(path).unwrap_or_default();
        let entry = path.components().any(|c| c.as_os_str() == "ac" || c.as_os_str() == "ac-v1");
        entry || content.windows(mark.len()).any(|window| window == mark)
    };
    let found = files(storage).into_iter().filter(|path| holds(path));
    found.map(|path| path.display().to_string()).collect()
}

#[test]
fn an_undeclared_read() {
    let kept = Kept::new("");
    kept.site.write("header", MARK);
    kept.out(120, Findings, "--out out -- cp header out").says("R001");
    kept.in_when_clean("--in header --out out -- cp header out");
}

#[test]
fn an_undeclared_write() {
    let kept = Kept::new("");
    let write = |more| format!("--out out -- sh -c 'echo {MARK} > out{more}'");
    kept.out(120, Findings, &write("; echo > more")).says("W001");
    kept.site.remove("more");
    kept.in_when_clean(&write(""));
}

#[test]
fn a_failed_command() {
    let kept = Kept::new("");
    let end = |code| format!("--out out -- sh -c 'echo {MARK} > out; exit {code}'");
    kept.out(3, Failed, &end(3));
    kept.in_when_clean(&end(0));
}

#[test]
fn a_killed_command() {
    let kept = Kept::new("");
    let args = format!("--out out -- sh -c 'echo {MARK} > out; kill -KILL $$'");
    let (end, counters) = kept.site.run(&args);
    assert_eq!(end.signal, Some(9), "{}", end.show());
    assert_eq!((counters.published, counters.not_cached["failed"]), (0, 1), "{counters:?}");
    assert_eq!(kept.site.entries(), 0);
    kept.nowhere(&end);
}

#[test]
fn a_command_whose_time_is_up() {
    let kept = Kept::new("");
    let sleep = |time| format!("--timeout 2s --out out -- sh -c 'echo {MARK} > out; sleep {time}'");
    kept.out(124, TimedOut, &sleep(600));
    kept.in_when_clean(&sleep(0));
}

#[test]
fn a_missing_output() {
    let kept = Kept::new("");
    kept.out(122, OutputMissing, &format!("--out out --out more -- sh -c 'echo {MARK} > out'"));
}

#[test]
fn a_link_out_of_the_workspace() {
    let kept = Kept::new("");
    let args = |to| format!("--out out --out link -- sh -c 'echo {MARK} > out; ln -s {to} link'");
    kept.out(0, OutputUnfit, &args("/etc/passwd"));
    kept.in_when_clean(&args("out"));
}

#[test]
fn a_process_that_stays() {
    let kept = Kept::new("[run]\ngrace = \"100ms\"\n");
    let args = format!("--out out -- sh -c 'echo {MARK} > out; sleep 600 &'");
    kept.out(120, Incomplete, &args).says("H003");
    // Allowed, it changes nothing but the exit code.
    let kept = Kept::new("[run]\ngrace = \"100ms\"\n[policy]\nsurvivors = [\"sleep\"]\n");
    let args = format!("--out out -- sh -c 'echo {MARK} > out; sleep 10 > /dev/null 2>&1 &'");
    let (end, counters) = kept.site.run(&args);
    assert_eq!((counters.published, kept.site.entries()), (0, 0), "{counters:?}\n{}", end.show());
    kept.nowhere(&end);
}

#[test]
fn a_recording_that_is_not_complete() {
    let kept = Kept::new("");
    // io_uring_setup, whose operations nobody sees.
    kept.site.write(
        "ring.py",
        format!(
            "import ctypes, sys\nif len(sys.argv) > 1: ctypes.CDLL(None).syscall(425, 1, bytes(120))\n\
             open('out', 'w').write('{MARK}')\n"
        ),
    );
    let args = |more| format!("--allow-io-uring --in ring.py --out out -- python3 ring.py {more}");
    kept.out(121, Incomplete, &args("ring"));
    kept.in_when_clean(&args(""));
}

#[test]
fn what_ccache_hides() {
    let kept = Kept::new("");
    kept.site.write("a.c", format!("const char *mark = \"{MARK}\";\n"));
    let cache = kept.site.root().join("tmp/ccache").display().to_string();
    let compile = |before: &str| format!("--in a.c --out a.o -- env {before} gcc -c a.c -o a.o");
    let end = kept.out(0, Findings, &compile(&format!("CCACHE_DIR={cache} ccache")));
    end.says("warning[I004]");
    kept.in_when_clean(&compile(""));
}

#[test]
fn a_finding_that_is_tolerated() {
    let args = "--out out -- cp header out";
    let suppress = |cacheable| {
        format!(
            "[[policy.suppress]]\nrules = [\"R001\"]\nreason = \"a test\"\ncacheable = {cacheable}\n"
        )
    };
    let kept = Kept::new(&suppress(false));
    kept.site.write("header", MARK);
    kept.out(0, Suppressed, args).silent();
    let kept = Kept::new("[policy.severity]\nR001 = \"warn\"\n");
    kept.site.write("header", MARK);
    kept.out(0, Findings, args).says("R001");
    let kept = Kept::new("[policy.reaction-of]\nR001 = \"warn\"\n");
    kept.site.write("header", MARK);
    kept.out(0, Findings, args).says("R001");
    // As if it had not happened, but what was read counts.
    for policy in [suppress(true), "[policy.severity]\nR001 = \"note\"\n".to_owned()] {
        let kept = Kept::new(&policy);
        kept.site.write("header", MARK);
        kept.in_when_clean(args);
        kept.site.write("header", "other");
        kept.site.runs_because(PathsChanged, args);
        assert_eq!(kept.site.text("out"), "other");
    }
}

#[test]
fn what_reads_standard_input() {
    let kept = Kept::new("");
    let feed = |input: &str| {
        let place = kept.site.root().join("input");
        fs::write(&place, input).expect("the input");
        let mut airtight =
            kept.site.airtight(&["run", "--stdin", "--out", "out", "--", "tee", "out"]);
        airtight.stdin(File::open(place).expect("the input"));
        let (end, _) = kept.site.end(airtight);
        end.code(0);
        assert_eq!(kept.site.text("out"), input);
        assert_eq!((end.stdout.as_str(), kept.site.entries()), (input, 0));
        kept.nowhere(&end);
    };
    feed(MARK);
    feed("MARK-5f3a and more");
    // Without the flag there is nothing to read.
    let mut airtight = kept.site.airtight(&["run", "--out", "out", "--", "tee", "out"]);
    airtight.stdin(File::open(kept.site.root().join("input")).expect("the input"));
    let (end, counters) = kept.site.end(airtight);
    end.silent();
    assert_eq!((kept.site.text("out"), counters.published), (String::new(), 1));
}

/// Runs a script that stops at `meet`, where the test does something.
#[track_caller]
fn meanwhile(
    kept: &Kept,
    args: &str,
    script: &str,
    change: impl FnOnce(&Site) -> &Site,
) -> (i32, String) {
    let site = &kept.site;
    for name in ["there", "back"] {
        let path = site.path(name);
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
    }
    let script = script.replace("meet", "echo > there; read x < back");
    let mut words: Vec<&str> = vec!["run"];
    words.extend(args.split_whitespace());
    words.extend(["--out", "out", "--", "sh", "-c", &script]);
    let command = site.airtight(&words);
    let (end, counters) = thread::scope(|scope| {
        let root = site.root();
        let run = scope.spawn(move || {
            let mut command = command;
            command.output().map(|output| End::new(&output, &root))
        });
        // The command has come there, and waits.
        let mut word = String::new();
        File::open(site.path("there"))
            .and_then(|mut f| f.read_to_string(&mut word))
            .expect("it comes");
        change(site);
        File::options()
            .write(true)
            .open(site.path("back"))
            .and_then(|mut f| f.write_all(b"\n"))
            .expect("it waits");
        let end = run.join().expect("a thread").expect("airtight starts");
        let stats = airtight_cache::stats::Stats::open(&site.store());
        (end, stats.read().expect("the statistics"))
    });
    assert_eq!(counters.not_cached.get("input-changed"), Some(&1), "{counters:?}\n{}", end.show());
    assert_eq!((counters.published, site.entries()), (0, 0), "{counters:?}\n{}", end.show());
    kept.nowhere(&end);
    (end.code.unwrap_or(-1), end.stderr)
}

/// A workspace where the two FIFOs and what is in `sdk` are no matter.
fn changing() -> Kept {
    let kept =
        Kept::new("[policy.scopes]\nignored = [\"there\", \"back\"]\ntoolchain = [\"sdk\"]\n");
    kept.site.write("in", MARK).write("sdk/tool", MARK).write("other", "other");
    kept.site.link("sdk/link", "tool");
    kept
}

#[test]
fn an_input_that_changes_after_it_was_read() {
    let kept = changing();
    let (code, said) =
        meanwhile(&kept, "--in in", "cat in > out; meet", |site| site.write("in", "new"));
    assert_eq!(code, 120, "{said}");
    assert!(said.contains("I001"), "{said}");
}

#[test]
fn an_input_that_changes_before_it_is_read() {
    let kept = changing();
    // The key holds the first content, the output the second.
    let (code, _) =
        meanwhile(&kept, "--in in", &format!("meet; cat in > out; echo {MARK} >> out"), |site| {
            site.write("in", "new")
        });
    assert_eq!(code, 0);
}

#[test]
fn an_input_that_changes_and_changes_back() {
    let kept = changing();
    let (code, said) = meanwhile(&kept, "--in in", "cat in > out; meet", |site| {
        site.write("in", "new").write("in", MARK)
    });
    assert_eq!(code, 120, "{said}");
}

#[test]
fn an_input_that_is_replaced_before_it_is_read() {
    let kept = changing();
    let (code, _) =
        meanwhile(&kept, "--in in", &format!("meet; cat in > out; echo {MARK} >> out"), |site| {
            fs::rename(site.path("other"), site.path("in")).expect("a rename");
            site
        });
    assert_eq!(code, 0);
}

#[test]
fn a_tool_that_changes_after_it_was_read() {
    let kept = changing();
    let (code, said) =
        meanwhile(&kept, "", "cat sdk/tool > out; meet", |site| site.write("sdk/tool", "new"));
    assert_eq!(code, 120, "{said}");
}

#[test]
fn a_name_that_appears_after_it_was_found_absent() {
    let kept = changing();
    let script = format!("test -e absent; echo {MARK} > out; meet");
    let (code, _) = meanwhile(&kept, "", &script, |site| site.write("absent", ""));
    assert_eq!(code, 0);
}

#[test]
fn a_directory_that_gains_a_name_after_it_was_listed() {
    let kept = changing();
    let script = format!("ls sdk > out; echo {MARK} >> out; meet");
    let (code, _) = meanwhile(&kept, "", &script, |site| site.write("sdk/new", ""));
    assert_eq!(code, 0);
}

#[test]
fn a_directory_that_loses_a_name_after_it_was_listed() {
    let kept = changing();
    let script = format!("ls sdk > out; echo {MARK} >> out; meet");
    let (code, _) = meanwhile(&kept, "", &script, |site| site.remove("sdk/tool"));
    assert_eq!(code, 0);
}

#[test]
fn the_directory_of_the_outputs_that_loses_a_name() {
    let kept = changing();
    let script = format!("ls > out; echo {MARK} >> out; meet");
    let (code, _) = meanwhile(&kept, "", &script, |site| site.remove("other"));
    assert_eq!(code, 0);
}

#[test]
fn a_link_that_leads_elsewhere_after_it_was_followed() {
    let kept = changing();
    let script = "cat sdk/link > out; meet";
    let (code, _) = meanwhile(&kept, "", script, |site| site.link("sdk/link", "../other"));
    assert_eq!(code, 0);
}

/// Looks into what a server keeps, after a result that must not be there and after one that may.
#[track_caller]
fn kept_out_of(storage: &Path, remote: &str, variables: &[(&str, &str)]) {
    let mut site = Site::new();
    for (name, value) in variables {
        site = site.with(name, value);
    }
    site.write("header", MARK).write("airtight.toml", format!("[[cache.remote]]\n{remote}"));
    site.withholds(120, Findings, "--out out -- cp header out");
    assert_eq!(holds(storage), Vec::<String>::new());
    site.runs("--in header --out out -- cp header out").silent();
    assert_ne!(holds(storage), Vec::<String>::new());
}

#[test]
fn the_storage_of_casd() {
    let server = Casd::start();
    kept_out_of(server.storage(), &format!("url = \"{}\"\n", server.url()), &[]);
    assert_eq!(files(&server.storage().join("actioncache/objects")).len(), 2);
}

#[test]
fn the_storage_of_webdav() {
    let server = Nginx::start(nginx::Options::default());
    kept_out_of(server.storage(), &format!("url = \"{}\"\n", server.url()), &[]);
}

#[test]
fn a_shared_directory() {
    let place = tempfile::tempdir().expect("a directory");
    kept_out_of(place.path(), &format!("url = \"file://{}\"\n", place.path().display()), &[]);
}

#[test]
fn a_bucket() {
    let server = S3::start();
    let settings = format!(
        "url = \"s3://{}\"\nendpoint = \"{}\"\naccess-key-env = \"ACCESS\"\nsecret-key-env = \"SECRET\"\n",
        server.bucket(),
        server.endpoint()
    );
    let keys = [("ACCESS", server.access_key()), ("SECRET", server.secret_key())];
    kept_out_of(server.storage(), &settings, &keys);
}
