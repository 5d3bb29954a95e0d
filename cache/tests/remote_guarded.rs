//! What is around a remote, held against one that does what the test says, on a clock that only
//! goes on when everybody waits.

use airtight_cache::local::{Incoming, LocalStore};
use airtight_cache::remote::{self, Counters, Guarded, Remote, RemoteError, RemoteOptions};
use airtight_cache::{Blob, Digest};
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

const MINUTE: Duration = Duration::from_secs(60);

/// What the remote does when it is asked for the next time.
#[derive(Clone)]
enum Step {
    /// It lacks what it is asked for, or takes what it is given.
    Fine,
    /// It has it.
    Has(Bytes),
    /// It fails.
    Fails(RemoteError),
    /// It is silent for so long, and then fails.
    Silent(Duration),
    /// So many bytes each second until all are there; the first number is those sent at once.
    Flows(usize, usize),
    /// Half of the bytes, and then it fails.
    Half,
}
use Step::{Fails, Fine, Flows, Half, Has, Silent};

/// What it does when nothing more is written: each blob in full, no entries.
#[derive(Clone, Debug, Default)]
struct Scripted(Arc<Mutex<Script>>);

#[derive(Default)]
struct Script {
    steps: VecDeque<Step>,
    /// When each request came, and what it was.
    asked: Vec<(Instant, &'static str)>,
    content: Bytes,
}

impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Script")
    }
}

impl Scripted {
    fn new(steps: impl IntoIterator<Item = Step>) -> Scripted {
        let scripted = Scripted::default();
        scripted.then(steps);
        scripted
    }

    fn then(&self, steps: impl IntoIterator<Item = Step>) {
        self.0.lock().unwrap().steps.extend(steps);
    }

    fn guarded(&self, change: impl FnOnce(&mut RemoteOptions)) -> Guarded {
        self.process(None, change)
    }

    fn process(&self, down: Option<&TempDir>, change: impl FnOnce(&mut RemoteOptions)) -> Guarded {
        let mut options =
            RemoteOptions::new("http://user:hunter2@cache.example.com/main?t=hunter2");
        change(&mut options);
        Guarded::new(Box::new(self.clone()), &options, down.map(TempDir::path))
    }

    fn asked(&self) -> Vec<&'static str> {
        self.0.lock().unwrap().asked.iter().map(|(_, what)| *what).collect()
    }

    fn pauses(&self) -> Vec<Duration> {
        let times: Vec<Instant> = self.0.lock().unwrap().asked.iter().map(|(at, _)| *at).collect();
        times.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }

    async fn next(&self, what: &'static str) -> Result<Option<Step>, RemoteError> {
        let step = {
            let mut script = self.0.lock().unwrap();
            script.asked.push((Instant::now(), what));
            script.steps.pop_front()
        };
        match step {
            Some(Fails(error)) => Err(error),
            Some(Silent(time)) => {
                sleep(time).await;
                Err(busy("no byte for a while"))
            }
            step => Ok(step),
        }
    }
}

#[async_trait::async_trait]
impl Remote for Scripted {
    async fn get_entry(&self, _: &Digest) -> Result<Option<Bytes>, RemoteError> {
        match self.next("get_entry").await? {
            Some(Has(bytes)) => Ok(Some(bytes)),
            _ => Ok(None),
        }
    }

    async fn put_entry(&self, _: &Digest, _: Bytes) -> Result<(), RemoteError> {
        self.next("put_entry").await.map(drop)
    }

    async fn get_blob(&self, into: &mut Incoming) -> Result<bool, RemoteError> {
        let step = self.next("get_blob").await?;
        let content = self.0.lock().unwrap().content.clone();
        let local = |error: std::io::Error| RemoteError::Local(error.to_string());
        match step {
            Some(Fine) => return Ok(false),
            Some(Half) => {
                into.write(&content[..content.len() / 2]).map_err(local)?;
                return Err(busy("closed in the middle"));
            }
            Some(Has(bytes)) => into.write(&bytes).map_err(local)?,
            Some(Flows(start, rate)) => {
                into.write(&content[..start]).map_err(local)?;
                for part in content[start..].chunks(rate.div_ceil(100)) {
                    sleep(Duration::from_millis(10)).await;
                    into.write(part).map_err(local)?;
                }
            }
            _ => into.write(&content).map_err(local)?,
        }
        Ok(true)
    }

    async fn missing(&self, digests: &[Digest]) -> Result<Vec<Digest>, RemoteError> {
        self.next("missing").await?;
        Ok(digests.to_vec())
    }

    async fn put_blob(&self, blob: &Blob) -> Result<(), RemoteError> {
        let step = self.next("put_blob").await?;
        blob.read(0, usize::MAX).map_err(|error| RemoteError::Local(error.to_string()))?;
        match step {
            Some(Half) => Err(busy("closed in the middle")),
            _ => Ok(()),
        }
    }
}

fn busy(what: &str) -> RemoteError {
    RemoteError::Transient { what: what.to_owned(), retry_after: None }
}

fn busy_for(time: Duration) -> RemoteError {
    RemoteError::Transient { what: "busy".to_owned(), retry_after: Some(time) }
}

fn denied() -> RemoteError {
    RemoteError::Denied("401 Unauthorized".to_owned())
}

fn key() -> Digest {
    Digest::of(b"key")
}

fn store() -> (TempDir, LocalStore) {
    let directory = tempfile::tempdir().unwrap();
    let store = LocalStore::open(directory.path()).unwrap();
    (directory, store)
}

/// The counters but for time, which tests of time look at.
fn counters(guarded: &Guarded) -> Counters {
    let mut counters = guarded.counters();
    (counters.busy, counters.waited) = Default::default();
    counters
}

macro_rules! counters {
    ($($name:ident: $value:expr),*) => {{
        let mut counters = Counters::default();
        $(counters.$name = $value;)*
        counters
    }};
}

#[tokio::test(start_paused = true)]
async fn what_may_go_better_is_tried_again_and_nothing_else() {
    for (steps, tries, ok) in [
        (vec![Fine], 1, true),
        (vec![Fails(busy("x")), Fine], 2, true),
        (vec![Fails(busy("x")), Fails(busy("x")), Fine], 3, true),
        (vec![Fails(busy("x")), Fails(busy("x")), Fails(busy("x")), Fine], 3, false),
        (vec![Fails(denied()), Fine], 1, false),
        (vec![Fails(RemoteError::Full(String::new())), Fine], 1, false),
        (vec![Fails(RemoteError::Wrong(String::new())), Fine], 1, false),
        (vec![Fails(RemoteError::Refused(String::new())), Fine], 1, false),
        (vec![Fails(RemoteError::Local(String::new())), Fine], 1, false),
    ] {
        let remote = Scripted::new(steps);
        let answer = remote.guarded(|_| {}).get_entry(&key()).await;
        assert_eq!((remote.asked().len(), answer.is_ok()), (tries, ok));
    }
    let remote = Scripted::new([Fails(busy("x")), Fine]);
    assert_eq!(
        remote.guarded(|options| options.retries = 0).get_entry(&key()).await,
        Err(busy("x"))
    );
}

#[tokio::test(start_paused = true)]
async fn pauses_are_jittered_and_stay_within_a_bound_that_doubles() {
    let mut pauses = [Vec::new(), Vec::new()];
    for _ in 0..200 {
        let remote = Scripted::new([Fails(busy("x")), Fails(busy("x")), Fine]);
        remote.guarded(|_| {}).get_entry(&key()).await.unwrap();
        for (all, one) in pauses.iter_mut().zip(remote.pauses()) {
            all.push(one.as_millis());
        }
    }
    // The timer's grain is a millisecond. By chance alone 200 pauses don't leave a fifth of their
    // range unused in one run of 10^19.
    for (all, bound) in pauses.iter().zip([100, 200]) {
        assert_eq!(all.len(), 200);
        assert!(all.iter().all(|pause| *pause <= bound + 1), "{all:?}");
        assert!(all.iter().any(|pause| *pause < bound / 5), "{all:?}");
        assert!(all.iter().any(|pause| *pause > bound * 4 / 5), "{all:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_asks_for_time_gets_it_within_the_budget() {
    let remote = Scripted::new([Fails(busy_for(Duration::from_secs(7))), Fine]);
    remote.guarded(|_| {}).get_entry(&key()).await.unwrap();
    let pause = remote.pauses()[0];
    assert!(pause >= Duration::from_secs(7) && pause < Duration::from_secs(8), "{pause:?}");

    let remote = Scripted::new([Fails(busy_for(Duration::from_secs(31))), Fine]);
    let began = Instant::now();
    assert!(remote.guarded(|_| {}).get_entry(&key()).await.is_err());
    assert_eq!((remote.asked().len(), began.elapsed()), (1, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn each_try_of_a_blob_begins_at_its_first_byte() {
    let (_directory, store) = store();
    let remote = Scripted::new([Half, Half]);
    let content = Bytes::from(vec![7; 100_000]);
    remote.0.lock().unwrap().content = content.clone();
    let guarded = remote.guarded(|_| {});
    let mut into = store.incoming(Digest::of(&content)).unwrap();
    assert_eq!(guarded.get_blob(&mut into).await, Ok(true));
    into.commit().unwrap();
    let expected =
        counters! { requests: 3, hits: 1, retries: 2, unavailable: 2, received: 200_000 };
    assert_eq!(counters(&guarded), expected);

    // Half a blob that claims to be one is none.
    remote.then([Has(content.slice(..10))]);
    let mut into = store.incoming(Digest::of(&content)).unwrap();
    let error = guarded.get_blob(&mut into).await.unwrap_err();
    let what = format!("10 bytes came that are not the blob {}", into.digest());
    assert_eq!(error, RemoteError::Wrong(what));
    // Nor is another one of the same size.
    remote.then([Has(vec![8; 100_000].into())]);
    let mut into = store.incoming(Digest::of(&content)).unwrap();
    assert!(matches!(guarded.get_blob(&mut into).await, Err(RemoteError::Wrong(_))));
    assert_eq!((guarded.counters().wrong, guarded.counters().hits), (2, 1));

    let blob = Blob::of(content);
    remote.then([Half]);
    guarded.put_blob(&blob).await.unwrap();
    assert_eq!(guarded.counters().sent, 200_000);
}

#[tokio::test(start_paused = true)]
async fn of_a_batch_only_what_failed_is_tried_again() {
    let (_directory, store) = store();
    // In order: there, fails, missing, fails, wrong, there; then fails again, there; then there.
    let remote = Scripted::new([
        Has(Bytes::from_static(b"0")),
        Fails(busy("x")),
        Fine,
        Fails(busy("x")),
        Has(Bytes::new()),
        Has(Bytes::from_static(b"5")),
        Fails(busy("y")),
        Has(Bytes::from_static(b"3")),
        Has(Bytes::from_static(b"1")),
    ]);
    let guarded = remote.guarded(|_| {});
    let mut into: Vec<Incoming> =
        (0..6).map(|n: u8| store.incoming(Digest::of(n.to_string().as_bytes())).unwrap()).collect();
    let what = format!("0 bytes came that are not the blob {}", Digest::of(b"4"));
    let wrong = RemoteError::Wrong(what);
    let answers = guarded.get_blobs(&mut into).await;
    assert_eq!(answers, [Ok(true), Ok(true), Ok(false), Ok(true), Err(wrong), Ok(true)]);
    for (n, blob) in into.into_iter().enumerate() {
        assert_eq!(blob.digest(), Digest::of(n.to_string().as_bytes()));
        if answers[n] == Ok(true) {
            blob.commit().unwrap();
        }
    }
    assert_eq!(remote.asked().len(), 9);
    assert_eq!((guarded.counters().hits, guarded.counters().misses), (4, 1));
}

#[tokio::test(start_paused = true)]
async fn an_action_loses_no_more_than_the_budget() {
    // Each request is answered with silence of 12 s: the budget of 30 s ends in the third.
    let remote = Scripted::new(vec![Silent(Duration::from_secs(12)); 9]);
    let guarded = remote.guarded(|_| {});
    let began = Instant::now();
    assert!(matches!(guarded.get_entry(&key()).await, Err(RemoteError::Transient { .. })));
    assert_eq!(began.elapsed().as_secs(), 30);
    assert_eq!(remote.asked().len(), 3);
    for _ in 0..5 {
        assert!(matches!(guarded.get_entry(&key()).await, Err(RemoteError::Skipped(_))));
    }
    assert_eq!(began.elapsed().as_secs(), 30);
    let expected = counters! { requests: 3, retries: 2, unavailable: 3, skipped: 5 };
    assert_eq!(counters(&guarded), expected);
    assert_eq!(guarded.counters().waited.as_secs(), 30);

    // Another action does not wait either, until the remote has had time to recover.
    let next = guarded.for_action();
    assert!(matches!(next.get_entry(&key()).await, Err(RemoteError::Skipped(_))));
    sleep(MINUTE).await;
    remote.0.lock().unwrap().steps.clear();
    assert_eq!(next.get_entry(&key()).await, Ok(None));
    // The first action has had its share.
    assert!(matches!(guarded.get_entry(&key()).await, Err(RemoteError::Skipped(_))));
    let warning = guarded.take_warning().unwrap();
    assert_eq!(
        warning,
        "remote http://cache.example.com/main is skipped: an action has lost 30 s to it, and no \
         more is allowed (7 requests not made)"
    );
}

#[tokio::test(start_paused = true)]
async fn requests_at_the_same_time_lose_their_time_once() {
    let remote = Scripted::new(vec![Silent(Duration::from_secs(10)); 50]);
    let guarded = remote.guarded(|options| options.retries = 0);
    let key = key();
    let began = Instant::now();
    futures_util::future::join_all((0..50).map(|_| guarded.get_entry(&key))).await;
    assert_eq!(began.elapsed().as_secs(), 10);
    assert_eq!(guarded.counters().waited.as_secs(), 10);
    // And what they met was one hiccup.
    assert_eq!(guarded.get_entry(&key).await, Ok(None));
}

#[tokio::test(start_paused = true)]
async fn bytes_that_flow_cost_nothing_and_a_drip_costs_all_of_its_time() {
    let (_directory, store) = store();
    let content = Bytes::from(vec![1; 8 << 20]);
    let seconds = Duration::from_secs;
    for (step, budget, found, between) in [
        // 4 s at 2 MiB/s.
        (Flows(0, 2 << 20), seconds(1), true, 4..5),
        // The same, but a tenth as fast: nine tenths of the time are lost.
        (Flows(0, (1 << 20) / 10), seconds(9), false, 9..12),
        // A hundred bytes a second.
        (Flows(0, 100), seconds(5), false, 5..6),
        // A quick start pays for one second of silence and not for a minute.
        (Flows(7 << 20, 100), seconds(5), false, 5..7),
    ] {
        let remote = Scripted::new([step]);
        remote.0.lock().unwrap().content = content.clone();
        let guarded = remote.guarded(|options| options.budget = budget);
        let mut into = store.incoming(Digest::of(&content)).unwrap();
        let began = Instant::now();
        let answer = guarded.get_blob(&mut into).await;
        assert_eq!(answer.is_ok(), found, "{answer:?}");
        let took = began.elapsed();
        assert!(between.contains(&took.as_secs()), "{took:?}, not within {between:?}");
        assert!(guarded.counters().waited <= budget + Duration::from_millis(150));
    }
}

#[tokio::test(start_paused = true)]
async fn after_three_failures_it_is_skipped_and_then_probed_once() {
    let remote = Scripted::new(vec![Fails(busy("connection refused")); 4]);
    let guarded = remote.guarded(|options| options.retries = 0);
    for _ in 0..3 {
        assert_eq!(guarded.get_entry(&key()).await, Err(busy("connection refused")));
    }
    for _ in 0..12 {
        let skipped = RemoteError::Skipped("connection refused".to_owned());
        assert_eq!(guarded.get_entry(&key()).await, Err(skipped.clone()));
        assert_eq!(guarded.put_entry(&key(), Bytes::new()).await, Err(skipped));
    }
    assert_eq!(remote.asked().len(), 3);
    assert_eq!(
        guarded.take_warning().as_deref(),
        Some(
            "remote http://cache.example.com/main is skipped: connection refused (24 requests not \
             made)"
        )
    );

    // The probe fails, though there would be retries, and it is skipped again.
    sleep(Duration::from_secs(31)).await;
    assert_eq!(guarded.get_entry(&key()).await, Err(busy("connection refused")));
    assert!(matches!(guarded.get_entry(&key()).await, Err(RemoteError::Skipped(_))));
    assert_eq!(remote.asked().len(), 4);

    // While a probe is under way the others are skipped; when it succeeds they are not.
    sleep(Duration::from_secs(31)).await;
    let key = key();
    remote.then([Silent(Duration::from_secs(5))]);
    let (probe, ()) = tokio::join!(guarded.get_entry(&key), async {
        sleep(Duration::from_secs(1)).await;
        assert!(matches!(guarded.get_entry(&key).await, Err(RemoteError::Skipped(_))));
    });
    assert_eq!(probe, Err(busy("no byte for a while")));
    sleep(Duration::from_secs(31)).await;
    for _ in 0..3 {
        assert_eq!(guarded.get_entry(&key).await, Ok(None));
    }
    // A single failure shuts nothing then.
    remote.then([Fails(busy("x"))]);
    assert_eq!(guarded.get_entry(&key).await, Err(busy("x")));
    assert_eq!(guarded.get_entry(&key).await, Ok(None));
    assert_eq!(guarded.take_warning(), None);
}

#[tokio::test(start_paused = true)]
async fn an_answer_in_between_starts_the_count_anew() {
    let remote = Scripted::new([]);
    let guarded = remote.guarded(|options| options.retries = 0);
    for _ in 0..10 {
        remote.then([Fails(busy("x")), Fails(busy("x")), Fine]);
        for ok in [false, false, true] {
            assert_eq!(guarded.get_entry(&key()).await.is_ok(), ok);
        }
    }
    assert_eq!(remote.asked().len(), 30);
}

#[tokio::test(start_paused = true)]
async fn refused_credentials_shut_one_way_at_once() {
    let remote = Scripted::new([Fails(denied())]);
    let guarded = remote.guarded(|_| {});
    assert_eq!(guarded.put_entry(&key(), Bytes::new()).await, Err(denied()));
    for _ in 0..2 {
        let skipped = Err(RemoteError::Skipped("401 Unauthorized".to_owned()));
        assert_eq!(guarded.put_entry(&key(), Bytes::new()).await, skipped);
        assert_eq!(guarded.get_entry(&key()).await, Ok(None));
    }
    assert_eq!(remote.asked(), ["put_entry", "get_entry", "get_entry"]);
    assert_eq!(counters(&guarded), counters! { requests: 3, misses: 2, skipped: 2, denied: 1 });
}

#[tokio::test(start_paused = true)]
async fn a_full_store_is_left_alone_after_three_and_still_read() {
    let full = RemoteError::Full("507".to_owned());
    let remote = Scripted::new(vec![Fails(full.clone()); 3]);
    let guarded = remote.guarded(|_| {});
    let blob = Blob::of("x");
    for _ in 0..3 {
        assert_eq!(guarded.put_blob(&blob).await, Err(full.clone()));
    }
    let skipped = RemoteError::Skipped("507".to_owned());
    assert_eq!(guarded.put_blob(&blob).await, Err(skipped.clone()));
    assert_eq!(guarded.put_blobs(&[blob]).await, Err(skipped.clone()));
    assert_eq!(guarded.missing(&[key()]).await, Err(skipped));
    remote.then([Has(Bytes::from_static(b"entry"))]);
    assert_eq!(guarded.get_entry(&key()).await, Ok(Some(Bytes::from_static(b"entry"))));
    let expected = counters! { requests: 4, hits: 1, skipped: 3, full: 3, sent: 0, received: 5 };
    assert_eq!(counters(&guarded), expected);
}

#[tokio::test(start_paused = true)]
async fn one_process_tells_the_others() {
    let down = tempfile::tempdir().unwrap();
    let remote = Scripted::new(vec![Fails(busy("connection refused")); 3]);
    let second = remote.process(Some(&down), |options| options.retries = 0);
    let first = remote.process(Some(&down), |_| {});
    assert!(first.get_entry(&key()).await.is_err());
    assert!(first.take_warning().is_some());
    assert_eq!(remote.asked().len(), 3);

    // One that starts now does not ask, and does not warn: it has nothing to tell.
    let third = remote.process(Some(&down), |_| {});
    let skipped = third.get_entry(&key()).await.unwrap_err();
    assert_eq!(skipped, RemoteError::Skipped("another process has found it down".to_owned()));
    assert_eq!(third.take_warning(), None);
    // One that was there before believes it after its own first failure.
    remote.then([Fails(busy("x"))]);
    assert_eq!(second.get_entry(&key()).await, Err(busy("x")));
    assert!(matches!(second.get_entry(&key()).await, Err(RemoteError::Skipped(_))));
    assert_eq!(second.take_warning(), None);
    assert_eq!(remote.asked().len(), 4);
    // Another remote is not meant.
    let other = remote.process(Some(&down), |options| options.endpoint = Some("x".to_owned()));
    assert_eq!(other.get_entry(&key()).await, Ok(None));

    // When the time is over one asks, and those that start meanwhile don't.
    sleep(MINUTE).await;
    remote.then([Silent(Duration::from_secs(5))]);
    let key = key();
    let (probe, ()) = tokio::join!(third.get_entry(&key), async {
        sleep(Duration::from_secs(1)).await;
        let fourth = remote.process(Some(&down), |_| {});
        assert!(matches!(fourth.get_entry(&key).await, Err(RemoteError::Skipped(_))));
    });
    assert_eq!(probe, Err(busy("no byte for a while")));

    // When it is back everybody hears of it.
    sleep(MINUTE).await;
    assert_eq!(second.get_entry(&key).await, Ok(None));
    let last = remote.process(Some(&down), |_| {});
    assert_eq!(last.get_entry(&key).await, Ok(None));
    assert_eq!(std::fs::read_dir(down.path()).unwrap().count(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_others_say_is_not_believed_beyond_a_minute() {
    let down = tempfile::tempdir().unwrap();
    let remote = Scripted::new(vec![Fails(busy("x")); 3]);
    assert!(remote.process(Some(&down), |_| {}).get_entry(&key()).await.is_err());
    let file = std::fs::read_dir(down.path()).unwrap().next().unwrap().unwrap().path();
    for (text, skipped) in [("99999999999999", false), ("", false), ("\0\0", false), ("0", false)] {
        std::fs::write(&file, text).unwrap();
        let answer = remote.process(Some(&down), |_| {}).get_entry(&key()).await;
        assert_eq!(answer.is_err(), skipped, "{text}");
    }
    // A place where nothing can be written changes nothing.
    let nowhere = tempfile::tempdir().unwrap();
    std::fs::write(nowhere.path().join("file"), "").unwrap();
    let options = RemoteOptions::new("http://cache.example.com");
    let inside_a_file = nowhere.path().join("file/remotes-v1");
    let guarded = Guarded::new(Box::new(remote.clone()), &options, Some(&inside_a_file));
    remote.then(vec![Fails(busy("x")); 3]);
    assert_eq!(guarded.get_entry(&key()).await, Err(busy("x")));
    assert!(matches!(guarded.get_entry(&key()).await, Err(RemoteError::Skipped(_))));
}

#[tokio::test(start_paused = true)]
async fn one_warning_without_secrets() {
    let remote = Scripted::new([]);
    let guarded = remote.guarded(|_| {});
    assert_eq!(guarded.get_entry(&key()).await, Ok(None));
    assert_eq!(guarded.take_warning(), None);
    // The local end's own trouble is not the remote's.
    remote.then([Fails(RemoteError::Local("the disk is full".to_owned()))]);
    assert!(guarded.get_entry(&key()).await.is_err());
    assert_eq!(guarded.take_warning(), None);

    remote.then([Fails(RemoteError::Wrong("not a digest".to_owned()))]);
    assert!(guarded.get_entry(&key()).await.is_err());
    remote.then([Fails(RemoteError::Wrong("something else".to_owned()))]);
    assert!(guarded.get_entry(&key()).await.is_err());
    let other = guarded.for_action();
    let expected = "remote http://cache.example.com/main failed: not a digest";
    assert_eq!(other.take_warning().as_deref(), Some(expected));
    assert_eq!(other.take_warning(), None);
    assert_eq!(guarded.take_warning(), None);
    assert!(!format!("{guarded:?} {}", guarded.name()).contains("hunter2"));

    let guarded = Scripted::new([]).guarded(|_| {});
    guarded.found_wrong("an entry for another action");
    let warning = guarded.take_warning().unwrap();
    assert!(warning.ends_with("failed: an entry for another action"), "{warning}");
    assert_eq!(guarded.counters().wrong, 1);
}

#[tokio::test(start_paused = true)]
async fn without_permission_nothing_is_asked() {
    let (_directory, store) = store();
    let remote = Scripted::new([]);
    let blob = Blob::of("x");
    let read_only = remote.guarded(|options| options.push = false);
    assert!(read_only.fetches() && !read_only.pushes());
    assert!(matches!(
        read_only.put_entry(&key(), Bytes::new()).await,
        Err(RemoteError::Refused(_))
    ));
    assert!(matches!(read_only.put_blob(&blob).await, Err(RemoteError::Refused(_))));
    assert!(matches!(
        read_only.put_blobs(std::slice::from_ref(&blob)).await,
        Err(RemoteError::Refused(_))
    ));
    assert_eq!(read_only.missing(&[key()]).await, Ok(vec![]));
    assert_eq!(read_only.take_warning(), None);
    assert!(remote.asked().is_empty());
    assert_eq!(read_only.get_entry(&key()).await, Ok(None));
    assert_eq!(remote.asked(), ["get_entry"]);

    let remote = Scripted::new([]);
    let write_only = remote.guarded(|options| options.fetch = false);
    assert!(!write_only.fetches() && write_only.pushes());
    let mut into = [store.incoming(key()).unwrap()];
    assert_eq!(write_only.get_entry(&key()).await, Ok(None));
    assert_eq!(write_only.get_blob(&mut into[0]).await, Ok(false));
    assert_eq!(write_only.get_blobs(&mut into).await, [Ok(false)]);
    assert!(remote.asked().is_empty());
    write_only.put_blobs(&[blob]).await.unwrap();
    assert_eq!(remote.asked(), ["missing", "put_blob"]);
}

#[tokio::test(start_paused = true)]
async fn an_endless_entry_is_wrong() {
    let remote = Scripted::new([Has(Bytes::from(vec![0; (2 << 20) + 1]))]);
    let guarded = remote.guarded(|_| {});
    assert!(matches!(guarded.get_entry(&key()).await, Err(RemoteError::Wrong(_))));
}

#[tokio::test]
async fn servers_that_never_answer_cost_the_budget_on_the_real_clock() {
    // The kernel accepts for it.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    for url in [format!("http://{address}"), format!("grpc://{address}"), "s3://bucket".into()] {
        let mut options = RemoteOptions::new(url);
        if options.url.starts_with("s3:") {
            options.endpoint = Some(format!("http://{address}"));
        }
        options.idle_timeout = MINUTE;
        options.budget = Duration::from_millis(500);
        let guarded = Guarded::new(remote::open(&options).unwrap(), &options, None);
        let began = std::time::Instant::now();
        let (entry, put) = tokio::join!(async { guarded.get_entry(&key()).await }, async {
            guarded.put_blobs(&[Blob::of("x")]).await
        });
        assert!(matches!(entry, Err(RemoteError::Transient { .. })), "{entry:?}");
        assert!(matches!(put, Err(RemoteError::Transient { .. })), "{put:?}");
        let took = began.elapsed();
        assert!(took >= options.budget && took < MINUTE / 4, "{took:?}");
        let warning = guarded.take_warning().unwrap();
        assert!(warning.contains("an action has lost 0.5 s to it"), "{warning}");
    }
}
