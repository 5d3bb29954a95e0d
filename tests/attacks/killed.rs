//! Processes that are killed, and many at once.

use crate::build::{Backup, Build, remove, verify};
use crate::support::{End, Site, files};
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

/// A generator of numbers that gives the same after the same seed (SplitMix64).
struct Random(u64);

impl Random {
    /// Of the clock, and told, so that a failure can be had again.
    fn new() -> Random {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let seed = now.expect("a clock").as_nanos() as u64;
        let told =
            std::io::Write::write_all(&mut std::io::stderr(), format!("seed {seed}\n").as_bytes());
        told.expect("standard error");
        Random(seed)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)) % limit.max(1)
    }
}

/// Builds, and kills it after a while; whether it was killed before it had ended.
fn kill_after(build: &Build, delay: Duration) -> bool {
    let mut command = build.site.airtight(&build.args());
    let mut child =
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("airtight starts");
    thread::sleep(delay);
    child.kill().expect("it can be killed");
    child.wait().expect("it has ended").signal() == Some(9)
}

/// How long a build takes now.
fn time(build: &Build, what: &str) -> Duration {
    let began = Instant::now();
    build.build(what);
    began.elapsed()
}

/// No temporary name is left in the workspace.
#[track_caller]
fn is_swept(build: &Build, what: &str) {
    let left: Vec<_> = files(&build.site.path(""))
        .into_iter()
        .filter(|path| path.to_string_lossy().contains("/.airtight-"))
        .collect();
    assert!(left.is_empty(), "{what}: {left:?}");
}

const ROUNDS: u64 = 100;

#[test]
fn while_it_publishes() {
    let mut random = Random::new();
    let build = Build::new("publish");
    let shared = build.site.root().join("shared");
    fs::create_dir(&shared).expect("a directory");
    build.remote(&format!("file://{}", shared.display()), "");
    let empty = |build: &Build| {
        build.forget();
        remove(&shared.join("ac"));
        remove(&shared.join("cas"));
    };
    let mut whole = time(&build, "first");
    let mut killed = 0;
    for round in 0..ROUNDS {
        empty(&build);
        build.clean();
        let delay = Duration::from_micros(random.below(whole.as_micros() as u64 * 5 / 4));
        killed += u64::from(kill_after(&build, delay));
        let what = format!("round {round} after {delay:?}");
        // What a killed one has left is whole: it is found, or it isn't.
        build.store_is_clean(&what);
        let began = Instant::now();
        let (warning, counters) = build.build(&what);
        // The machine has other things to do too.
        if counters.published > 0 {
            whole = began.elapsed();
        }
        assert_eq!(warning, "", "{what}");
        assert_eq!(counters.published + counters.hits(), 1, "{what}: {counters:?}");
        build.is_local(&what);
        is_swept(&build, &what);
        // So is what stands in the shared directory. A result that was killed on its way there is
        // not sent again before it is made again.
        build.forget();
        build.build(&what);
        build.forget();
        build.is_remote(&what);
    }
    assert!(killed > ROUNDS / 5, "{killed} killed");
    build.store_is_clean("in the end");
}

#[test]
fn while_it_restores() {
    let mut random = Random::new();
    let build = Build::new("restore");
    build.runs("first");
    let old = Build::in_site(build.site.at("old", "home"), "something older");
    old.runs("old");
    let mut whole = time(&build, "again");
    let before = Backup::of(&build.site.path(""), |path| path.is_file());
    let mut killed = 0;
    for round in 0..ROUNDS {
        let what = format!("round {round}");
        // Either nothing stands there, or what an older run has made.
        let absent = random.below(2) == 0;
        build.clean();
        if !absent {
            old.copy_outputs_to(&build);
        }
        let delay = Duration::from_micros(random.below(whole.as_micros() as u64 * 5 / 4));
        killed += u64::from(kill_after(&build, delay));
        let what = format!("{what} after {delay:?}");
        build.is_old_or_right(&old, absent, &what);
        let began = Instant::now();
        build.is_local(&what);
        whole = began.elapsed();
        is_swept(&build, &what);
    }
    assert!(killed > ROUNDS / 5, "{killed} killed");
    build.store_is_clean("in the end");
    let after = Backup::of(&build.site.path(""), |path| path.is_file());
    assert_eq!(before.files(), after.files());
}

/// Eight at once on a store that is always full.
#[test]
fn in_a_crowd_with_eviction() {
    const WORKERS: u64 = 8;
    const RUNS: u64 = 40;
    let site = Site::new();
    let mut random = Random::new();
    let sites: Vec<(Site, u64)> = (0..WORKERS)
        .map(|worker| {
            let site = site.at(&format!("work{worker}"), "home");
            // Room for a few actions.
            site.write("airtight.toml", "[cache]\nmax-size = \"150KiB\"\n");
            (site, random.below(u64::MAX))
        })
        .collect();
    let commands: Vec<_> = sites
        .iter()
        .map(|(site, seed)| {
            let root = site.root();
            let paths = ["in.txt", "out.txt"].map(|name| site.path(name));
            let command = || {
                let mut command = site.airtight(&crate::support::words(
                    "--in in.txt --out out.txt -- sh -c 'read -r l < in.txt; echo $l$l > out.txt; echo $l'",
                ));
                command.stdin(Stdio::null());
                command
            };
            (root, paths, *seed, (0..RUNS).map(|_| command()).collect::<Vec<_>>())
        })
        .collect();
    thread::scope(|scope| {
        for (root, [input, output], seed, commands) in commands {
            scope.spawn(move || {
                let mut random = Random(seed);
                for mut command in commands {
                    // Actions that others have run too.
                    let text = format!("action {}", random.below(30));
                    fs::write(&input, format!("{text}\n")).expect("the input");
                    if random.below(2) == 0 {
                        remove(&output);
                    }
                    let end = End::new(&command.output().expect("airtight starts"), &root);
                    let shown = format!("exit 0\n--- stdout\n{text}\n--- stderr\n");
                    assert_eq!(end.show(), shown);
                    let made = fs::read_to_string(&output).expect("the output");
                    assert_eq!(made, format!("{text}{text}\n"));
                }
            });
        }
    });
    let stats = airtight_cache::stats::Stats::open(&sites[0].0.store()).read().expect("statistics");
    assert!(stats.evicted > 0 && stats.local_hits > 0, "{stats:?}");
    verify(&sites[0].0.store(), "in the end");
}
