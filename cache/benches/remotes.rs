//! What remotes cost on this machine: small hits by the number of connections, and one large blob.
//!
//! `cargo bench -p airtight-cache --bench remotes`. Needs the test servers (scripts/test.sh installs
//! them). Each figure is the median of interleaved rounds.
#![allow(clippy::print_stdout, reason = "a benchmark prints its table")]

use airtight_cache::local::LocalStore;
use airtight_cache::remote::{Guarded, Remote, RemoteOptions, open};
use airtight_cache::{Blob, Digest};
use airtight_test_servers::{Casd, Nginx, nginx};
use futures_util::StreamExt;
use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant};

const SMALL: usize = 1000;
const ROUNDS: usize = 5;
const LARGE: u64 = 1 << 30;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let (casd, http) = (Casd::start(), Nginx::start(nginx::Options::default()));
    let remotes = [("HTTP, nginx", http.url()), ("gRPC, buildbox-casd", casd.url())];
    println!("| {SMALL} small hits (entry and 1 KiB blob) | 1 connection | 10 | 100 |");
    println!("|---|---|---|---|");
    for (name, url) in &remotes {
        let mut rounds: Vec<[Duration; 3]> = Vec::new();
        prepare(url)?;
        for _ in 0..ROUNDS {
            let mut times = [Duration::ZERO; 3];
            for (time, connections) in times.iter_mut().zip([1, 10, 100]) {
                *time = small_hits(url, connections)?;
            }
            rounds.push(times);
        }
        let cell = |at: usize| format!("{:.0} ms", median(&rounds, at).as_secs_f64() * 1e3);
        println!("| {name} | {} | {} | {} |", cell(0), cell(1), cell(2));
    }
    println!("\n| 1 GiB | up | down |\n|---|---|---|");
    for (name, url) in &remotes {
        let (up, down) = large(url)?;
        let speed = |time: Duration| format!("{:.0} MiB/s", 1024.0 / time.as_secs_f64());
        println!("| {name} | {} | {} |", speed(up), speed(down));
    }
    Ok(())
}

fn median(rounds: &[[Duration; 3]], at: usize) -> Duration {
    let mut times: Vec<Duration> = rounds.iter().map(|round| round[at]).collect();
    times.sort();
    times[times.len() / 2]
}

/// The small blobs and the keys of entries.
fn items() -> Vec<(Digest, Blob)> {
    let item = |n: usize| {
        let blob = Blob::of(n.to_le_bytes().repeat(128));
        (Digest::of(&n.to_le_bytes()), blob)
    };
    (0..SMALL).map(item).collect()
}

fn connect(url: &str, connections: usize) -> Result<(tokio::runtime::Runtime, Guarded)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut options = RemoteOptions::new(url);
    options.connections = connections;
    let remote = {
        let _inside = runtime.enter();
        Guarded::new(open(&options)?, &options, None)
    };
    Ok((runtime, remote))
}

fn prepare(url: &str) -> Result<()> {
    let (runtime, remote) = connect(url, 100)?;
    runtime.block_on(async {
        let items = items();
        let blobs: Vec<Blob> = items.iter().map(|(_, blob)| blob.clone()).collect();
        remote.put_blobs(&blobs).await?;
        for (key, blob) in &items {
            remote.put_entry(key, entry(blob)).await?;
        }
        Ok(())
    })
}

/// An `ActionResult` with one output.
fn entry(blob: &Blob) -> bytes::Bytes {
    use bazel_remote_apis::build::bazel::remote::execution::v2 as reapi;
    let digest = blob.digest();
    let file = reapi::OutputFile {
        path: "o".into(),
        digest: Some(reapi::Digest {
            hash: airtight_cache::digest::hex(&digest),
            size_bytes: i64::try_from(digest.size()).unwrap_or(0),
        }),
        ..reapi::OutputFile::default()
    };
    let result = reapi::ActionResult { output_files: vec![file], ..Default::default() };
    prost::Message::encode_to_vec(&result).into()
}

/// Fetches all entries and blobs into a new store, as many at once as there are connections.
fn small_hits(url: &str, connections: usize) -> Result<Duration> {
    let directory = tempfile::tempdir()?;
    let store = LocalStore::open(&directory.path().join("store"))?;
    let (runtime, remote) = connect(url, connections)?;
    let items = items();
    let start = Instant::now();
    let (remote, store) = (&remote, &store);
    let done: Vec<Result<()>> = runtime.block_on(
        futures_util::stream::iter(&items)
            .map(|(key, blob)| async move {
                remote.get_entry(key).await?.ok_or("no entry")?;
                let mut incoming = store.incoming(blob.digest())?;
                if !remote.get_blob(&mut incoming).await? {
                    return Err("no blob".into());
                }
                incoming.commit()?;
                Ok(())
            })
            .buffer_unordered(connections)
            .collect(),
    );
    let time = start.elapsed();
    done.into_iter().collect::<Result<Vec<()>>>()?;
    Ok(time)
}

/// Sends a large blob and fetches it again.
fn large(url: &str) -> Result<(Duration, Duration)> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("large");
    let mut file = File::create(&path)?;
    let mut hasher = airtight_cache::digest::Hasher::new();
    let mut random = fastrand::Rng::with_seed(7);
    let mut chunk = vec![0; 1 << 20];
    for _ in 0..LARGE >> 20 {
        random.fill(&mut chunk);
        file.write_all(&chunk)?;
        hasher.update(&chunk);
    }
    let blob = Blob::file(File::open(&path)?, hasher.finish());
    let store = LocalStore::open(&directory.path().join("store"))?;
    let (runtime, remote) = connect(url, 100)?;
    runtime.block_on(async {
        let start = Instant::now();
        remote.put_blob(&blob).await?;
        let up = start.elapsed();
        let mut incoming = store.incoming(blob.digest())?;
        let start = Instant::now();
        if !remote.get_blob(&mut incoming).await? {
            return Err("the large blob is gone".into());
        }
        incoming.commit()?;
        Ok((up, start.elapsed()))
    })
}
