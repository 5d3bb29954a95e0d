//! What `airtight doctor` tells of the cache.

use super::{Check, State};
use crate::caching;
use crate::command::cache::size;
use crate::config::Config;
use crate::error::Error;
use airtight_cache::Cache;
use airtight_cache::local::{LocalStore, can_clone};
use std::path::Path;

const NOTHING_CACHED: &str = "every action runs, and no result is kept";

/// The lines on the cache. Remotes are asked only with `remotes`: no network otherwise.
pub(super) fn checks(remotes: bool) -> Vec<Check> {
    let config = match Config::load(Vec::new(), None) {
        Ok(config) => config,
        Err(error) => {
            return vec![Check::bad(
                "settings",
                State::Missing,
                error.to_string(),
                "`run` ends with 125 before it starts the command",
                "mend the file; `airtight init` writes one with all defaults",
            )];
        }
    };
    if !config.cache.enabled {
        return vec![Check::ok("cache", "turned off in the settings")];
    }
    let mut checks = match caching::directory(&config) {
        Ok(directory) => store(&directory, config.cache.max_size),
        Err(error) => vec![unusable(&error, "set HOME, XDG_CACHE_HOME or AIRTIGHT_CACHE_DIR")],
    };
    checks.extend(remote(&config, remotes));
    checks
}

fn unusable(what: &impl ToString, remedy: &'static str) -> Check {
    Check::bad("cache", State::Degraded, what.to_string(), NOTHING_CACHED, remedy)
}

fn store(directory: &Path, limit: u64) -> Vec<Check> {
    const ELSEWHERE: &str = "set AIRTIGHT_CACHE_DIR, or `dir` under [cache], to a directory that is \
                             yours alone and can be written";
    let shown = directory.display();
    // Looking makes none.
    let found = if directory.symlink_metadata().is_ok() {
        let usage = LocalStore::open(directory).and_then(|store| store.usage());
        match usage {
            Ok(usage) => format!("{shown} holds {} of {}", size(usage.bytes), size(limit)),
            Err(error) => return vec![unusable(&error, ELSEWHERE)],
        }
    } else {
        format!("{shown} will be made; it may hold {}", size(limit))
    };
    let there = directory.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("/"));
    match can_clone(there) {
        Err(error) => {
            let what = format!("{}: can't be written: {error}", there.display());
            vec![Check::bad("cache", State::Degraded, what, "no new result is kept", ELSEWHERE)]
        }
        Ok(true) => vec![Check::ok("cache", found), Check::ok("reflink", "outputs are cloned")],
        Ok(false) => vec![
            Check::ok("cache", found),
            Check::bad(
                "reflink",
                State::Degraded,
                "the file system of the cache can't clone files",
                "outputs are copied into the cache and out of it",
                "put the cache and the workspace on one file system that can: btrfs, xfs, bcachefs",
            ),
        ],
    }
}

fn remote(config: &Config, ask: bool) -> Vec<Check> {
    const NAME: &str = "remote";
    let bad = |what: String| {
        Check::bad(
            NAME,
            State::Degraded,
            what,
            "it is left alone; results come from elsewhere, or the action runs",
            "see that it runs, and what airtight.toml says of it under [[cache.remote]]",
        )
    };
    match (config.cache.remote_count(), ask) {
        (0, _) => return Vec::new(),
        (1, false) => return vec![Check::ok(NAME, "1 in the settings; --remotes asks it")],
        (many, false) => {
            return vec![Check::ok(NAME, format!("{many} in the settings; --remotes asks them"))];
        }
        _ => {}
    }
    let asked = config.cache.remotes().map(|options| Cache::ping(&options));
    match asked {
        Err(error) => vec![bad(error.to_string())],
        Ok(Err(error)) => vec![bad(Error::from(error).to_string())],
        Ok(Ok(answers)) => answers
            .into_iter()
            .map(|(name, answer)| match answer {
                Ok(()) => Check::ok(NAME, format!("{name} answers")),
                Err(error) => bad(format!("{name}: {error}")),
            })
            .collect(),
    }
}
