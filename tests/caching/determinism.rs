//! Actions that don't make the same each time.

use crate::support::Site;
use airtight_cache::stats::MissReason::{NoEntry, PathsChanged, Refreshed, Sampled};
use airtight_cache::stats::NotCachedReason::NotDeterministic;

/// Makes one file of random bytes, and one that is always the same.
const RANDOM: &str =
    "--out same --out random -- sh -c 'echo same > same; head -c 16 /dev/urandom > random'";
const SAME: &str = "--in in --out out -- sh -c 'cat in > out; echo done'";

fn site() -> Site {
    let site = Site::new();
    site.write("in", "content");
    site
}

#[test]
fn two_runs_that_agree_are_published_once() {
    let site = site();
    let end = site.runs_because(Refreshed, &format!("--repeat 2 {SAME}"));
    assert_eq!(end.stdout, "done\ndone\n");
    assert_eq!(site.restores(SAME).stdout, "done\n");
}

#[test]
fn two_runs_that_differ_are_a_finding() {
    let site = site();
    let end = site.withholds(120, NotDeterministic, &format!("--repeat 2 {RANDOM}"));
    end.says("error[I005]: random differs between two runs of same\n");
    end.says("16 bytes, first at byte ");
    assert!(!end.stderr.contains("I005]: same "), "{}", end.show());
    // Once is as always.
    site.runs_because(NoEntry, RANDOM);
    // What was known goes with it.
    let (end, counters) = site.run(&format!("--repeat 3 {RANDOM}"));
    end.code(120).says("I005");
    assert_eq!((counters.published, counters.not_cached["not-deterministic"]), (0, 1));
}

#[test]
fn a_difference_in_what_is_said_is_one() {
    let site = site();
    let args = "--repeat 2 --out out -- sh -c 'echo 1 > out; head -c 8 /dev/urandom | od'";
    site.withholds(120, NotDeterministic, args).says("error[I005]: standard output differs");
    // Stated in the policy, it costs no more than the result.
    site.write("airtight.toml", "[policy.severity]\nI005 = \"warn\"\n");
    site.withholds(0, NotDeterministic, args).says("warning[I005]: standard output differs");
}

#[test]
fn a_date_in_what_a_compiler_makes() {
    let site = Site::new();
    site.write("a.c", "const char *when = __DATE__ __TIME__;\n");
    // The clock of the second run is another one.
    site.program("cc.sh", "#!/bin/sh\nSOURCE_DATE_EPOCH=$(date +%N) exec gcc -c a.c -o a.o\n");
    let args = "--repeat 2 --in a.c --in cc.sh --out a.o -- ./cc.sh";
    site.withholds(120, NotDeterministic, args).says("error[I005]: a.o differs");
}

#[test]
fn hits_are_run_again_and_compared() {
    let site = site();
    site.runs(SAME);
    site.write("airtight.toml", "[cache]\nverify-hits = 100\n");
    let end = site.runs_because(Sampled, SAME);
    assert_eq!(end.stdout, "done\n");
    site.write("airtight.toml", "[cache]\nverify-hits = 0\n").restores(SAME);
}

#[test]
fn a_hit_that_differs_from_a_new_run_is_gone() {
    let site = site();
    site.runs(RANDOM);
    site.restores(RANDOM).silent();
    site.write("airtight.toml", "[cache]\nverify-hits = 100\n");
    let (end, counters) = site.run(RANDOM);
    end.code(120).says("error[I005]: random differs between two runs of same");
    assert_eq!((counters.hits(), counters.published), (0, 0), "{counters:?}");
    assert_eq!((counters.misses["sampled"], counters.not_cached["not-deterministic"]), (1, 1));
    // Nobody gets it any more.
    site.remove("airtight.toml").runs_because(PathsChanged, RANDOM);
}
