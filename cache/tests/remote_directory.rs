//! The shared directory as a remote: what it stores, and what it makes of damage, links, a full
//! disk and other writers.

mod client;

use airtight_cache::remote::{
    Credentials, MAX_ENTRY, RemoteError, RemoteOptions, Secret, Tls, open,
};
use airtight_cache::{Blob, Digest, digest};
use client::{Client, contents, entry, noise};
use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};
use std::{env, thread};
use tempfile::TempDir;

/// Where a test that runs in namespaces of its own finds its directory.
const INSIDE: &str = "AIRTIGHT_TEST_DIRECTORY";

fn options(directory: &Path) -> RemoteOptions {
    let url = format!("file://{}", directory.to_str().expect("a name in UTF-8"));
    // The machine may be busy with other tests.
    RemoteOptions { idle_timeout: Duration::from_secs(20), ..RemoteOptions::new(url) }
}

fn shared() -> (TempDir, Client) {
    let directory = tempfile::tempdir().expect("a directory");
    let client = Client::new(&options(directory.path()));
    (directory, client)
}

fn path(root: &Path, bucket: &str, digest: &Digest) -> PathBuf {
    let name = digest::hex(digest);
    root.join(bucket).join(&name[..2]).join(name)
}

/// Every file below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() && !path.is_symlink() {
            found.extend(files(&path))
        } else {
            found.push(path)
        }
    }
    found
}

fn wrong<T: std::fmt::Debug>(result: Result<T, RemoteError>) {
    assert!(matches!(result, Err(RemoteError::Wrong(_))), "{result:?}");
}

fn refused<T: std::fmt::Debug>(result: Result<T, RemoteError>) {
    assert!(matches!(result, Err(RemoteError::Refused(_))), "{result:?}");
}

/// Runs `test` of this program again under `unshare` with these flags, after the shell commands
/// `setup`, in which `$DIR` is a new directory. Inside, gives that directory.
fn inside(test: &str, flags: &str, setup: &str) -> Option<PathBuf> {
    if let Some(directory) = env::var_os(INSIDE) {
        return Some(directory.into());
    }
    let directory = tempfile::tempdir().expect("a directory");
    let program = env::current_exe().expect("this program");
    let script = format!("set -e; DIR=${INSIDE}; {setup}; exec \"$0\" --exact {test} --nocapture");
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user"]).args(flags.split_whitespace());
    command.args(["sh", "-c", &script]).arg(program).env(INSIDE, directory.path());
    let output = command.output().expect("unshare is there");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success() && out.contains("1 passed"), "{out}{err}");
    None
}

#[test]
fn everything_is_stored_under_its_name() {
    let (directory, client) = shared();
    client.round_trip();
    let key = Digest::of(b"an action");
    let mut expected = vec![path(directory.path(), "ac", &key)];
    for content in &contents()[1..] {
        let path = path(directory.path(), "cas", &Digest::of(content));
        assert!(fs::read(&path).expect("a blob") == *content);
        expected.push(path);
    }
    expected.sort();
    let mut found = files(directory.path());
    found.sort();
    assert_eq!(found, expected);
    // Others may read it.
    for path in found {
        let mode = path.metadata().expect("a file").permissions().mode();
        assert_eq!(mode & 0o111, 0, "{path:?}");
        assert_ne!(mode & 0o400, 0, "{path:?}");
    }
    // By another way to the same place.
    let other = directory.path().join("other name");
    symlink(directory.path(), &other).expect("a link");
    let url = format!("file://localhost{}", other.to_str().expect("UTF-8").replace(' ', "%20"));
    let client = Client::new(&RemoteOptions::new(url));
    assert_eq!(client.get_entry(&key), Ok(Some(entry(b"second"))));
}

#[test]
fn many_write_at_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let blobs: Vec<Blob> = (0..30_u8).map(|n| Blob::of(vec![n; 300_000])).collect();
    let key = Digest::of(b"an action");
    thread::scope(|scope| {
        for writer in 0..4_u8 {
            let (blobs, directory) = (&blobs, directory.path());
            scope.spawn(move || {
                let client = Client::new(&options(directory));
                for blob in blobs {
                    assert_eq!(client.put_blob(blob), Ok(()));
                    assert_eq!(client.put_entry(&key, entry(&vec![writer; 50_000])), Ok(()));
                    let entry = client.get_entry(&key).expect("it works").expect("it is there");
                    assert!((0..4_u8).any(|n| entry == client::entry(&vec![n; 50_000])));
                }
                assert_eq!(client.put_blobs(blobs), Ok(()));
            });
        }
    });
    let client = Client::new(&options(directory.path()));
    for blob in &blobs {
        assert!(client.get_blob(blob.digest()) == Ok(Some(blob.bytes().expect("bytes").to_vec())));
    }
    assert_eq!(files(&directory.path().join("tmp")), Vec::<PathBuf>::new());
}

#[test]
fn damage_is_noticed_and_healed() {
    let (directory, client) = shared();
    let content = noise(700_000);
    let blob = Blob::of(content.clone());
    let file = path(directory.path(), "cas", &blob.digest());
    let longer = [content.as_slice(), b"x"].concat();
    let mut other = content.clone();
    other[699_999] ^= 1;
    for (damaged, seen) in [
        (&content[..699_999], true),
        (&content[..300_000], true),
        (&content[..0], true),
        (&longer, true),
        // Only the hash shows it.
        (&other, false),
    ] {
        assert_eq!(client.put_blob(&blob), Ok(()));
        fs::write(&file, damaged).expect("it can be damaged");
        wrong(client.get_blob(blob.digest()));
        let missing = if seen { vec![blob.digest()] } else { vec![] };
        assert_eq!(client.missing(&[blob.digest()]), Ok(missing));
        assert_eq!(client.put_blob(&blob), Ok(()));
        assert!(client.get_blob(blob.digest()) == Ok(Some(content.clone())));
    }
    let key = Digest::of(b"an action");
    let most = vec![b'x'; MAX_ENTRY as usize];
    assert_eq!(client.put_entry(&key, most.clone().into()), Ok(()));
    assert!(client.get_entry(&key) == Ok(Some(most.into())));
    let file = File::options().write(true).open(path(directory.path(), "ac", &key));
    file.and_then(|file| file.set_len(1 << 40)).expect("a file with a hole");
    wrong(client.get_entry(&key));
}

#[test]
fn links_are_not_followed() {
    let outside = tempfile::tempdir().expect("a directory");
    let target = outside.path().join("target");
    let content = noise(1000);
    let (blob, key) = (Blob::of(content.clone()), Digest::of(b"an action"));
    for (bucket, digest) in [("cas", blob.digest()), ("ac", key)] {
        // The object itself: read by nobody, replaced by a writer.
        let (directory, client) = shared();
        let get = |client: &Client| match bucket {
            "cas" => client.get_blob(digest).map(drop),
            _ => client.get_entry(&digest).map(drop),
        };
        let put = |client: &Client| match bucket {
            "cas" => client.put_blob(&blob),
            _ => client.put_entry(&digest, content.clone().into()),
        };
        fs::write(&target, &content).expect("a file");
        let file = path(directory.path(), bucket, &digest);
        assert_eq!(put(&client), Ok(()));
        fs::remove_file(&file).expect("it is there");
        symlink(&target, &file).expect("a link");
        wrong(get(&client));
        assert_eq!(client.missing(&[blob.digest()]), Ok(vec![blob.digest()]));
        assert_eq!(put(&client), Ok(()));
        assert_eq!(get(&client), Ok(()));
        assert!(!file.is_symlink());
        fs::remove_file(&file).expect("it is there");
        symlink("/dev/zero", &file).expect("a link");
        wrong(get(&client));

        // A directory on the way: read and written by nobody.
        for level in [bucket.to_owned(), format!("{bucket}/{}", &digest::hex(&digest)[..2])] {
            let (directory, client) = shared();
            let level = directory.path().join(level);
            let elsewhere = tempfile::tempdir().expect("a directory");
            fs::create_dir_all(level.parent().expect("a directory above")).expect("a directory");
            symlink(elsewhere.path(), &level).expect("a link");
            wrong(get(&client));
            wrong(put(&client));
            assert_eq!(files(elsewhere.path()), Vec::<PathBuf>::new());
            assert_eq!(files(&directory.path().join("tmp")), Vec::<PathBuf>::new());
        }
        let (directory, client) = shared();
        symlink(outside.path(), directory.path().join("tmp")).expect("a link");
        wrong(put(&client));
    }
    assert_eq!(files(outside.path()), [target.as_path()]);
    assert!(fs::read(target).expect("a file") == content);
}

#[test]
fn what_is_no_file_is_not_read() {
    let (directory, client) = shared();
    let blob = Blob::of(noise(1000));
    let file = path(directory.path(), "cas", &blob.digest());
    fs::create_dir_all(&file).expect("a directory");
    wrong(client.get_blob(blob.digest()));
    assert_eq!(client.missing(&[blob.digest()]), Ok(vec![blob.digest()]));
    wrong(client.put_blob(&blob));
    assert_eq!(files(&directory.path().join("tmp")), Vec::<PathBuf>::new());
    fs::remove_dir(&file).expect("an empty directory");
    // A pipe without a writer would be waited for.
    let made = Command::new("mkfifo").arg(&file).status().expect("mkfifo is there");
    assert!(made.success());
    wrong(client.get_blob(blob.digest()));
    assert_eq!(client.missing(&[blob.digest()]), Ok(vec![blob.digest()]));
    assert_eq!(client.put_blob(&blob), Ok(()));
    assert!(client.get_blob(blob.digest()).is_ok_and(|blob| blob.is_some()));
}

#[test]
fn a_directory_that_is_not_there_is_not_made() {
    let directory = tempfile::tempdir().expect("a directory");
    let mount = directory.path().join("mount");
    let client = Client::new(&options(&mount));
    let blob = Blob::of("x");
    for made in [false, true] {
        if made {
            fs::write(&mount, "a file").expect("room");
        }
        refused(client.get_entry(&blob.digest()));
        refused(client.put_entry(&blob.digest(), entry(b"")));
        refused(client.get_blob(blob.digest()));
        refused(client.missing(&[blob.digest()]));
        refused(client.put_blob(&blob));
        assert_eq!(mount.exists(), made);
    }
    fs::remove_file(&mount).expect("it is there");
    fs::create_dir(&mount).expect("room");
    client.round_trip();
}

#[test]
fn a_blob_that_changes_is_not_stored() {
    let (directory, client) = shared();
    let file = directory.path().join("file");
    for (size, now) in [(700_000, 700_000), (700_000, 699_999), (700_000, 1), (9, 9)] {
        let mut content = noise(size);
        let digest = Digest::of(&content);
        content.truncate(now);
        content[0] ^= 1;
        fs::write(&file, content).expect("a file");
        let blob = Blob::file(File::open(&file).expect("a file"), digest);
        let result = client.put_blob(&blob);
        assert!(matches!(result, Err(RemoteError::Local(_))), "{result:?}");
        assert_eq!(files(directory.path()), [file.as_path()]);
    }
}

#[test]
fn what_the_dead_left_behind_goes() {
    let (directory, client) = shared();
    let room = directory.path().join("tmp");
    fs::create_dir(&room).expect("a directory");
    let old = SystemTime::now() - Duration::from_secs(25 * 60 * 60);
    for name in ["old", "new"] {
        let file = File::create(room.join(name)).expect("a file");
        if name == "old" {
            file.set_modified(old).expect("our own file");
        }
    }
    assert_eq!(client.put_blob(&Blob::of("x")), Ok(()));
    assert_eq!(files(&room), [room.join("new")]);
}

#[test]
fn a_full_disk_keeps_what_it_has() {
    let test = "a_full_disk_keeps_what_it_has";
    let mount = "mount -t tmpfs -o size=1m tmpfs $DIR";
    let Some(directory) = inside(test, "--mount", mount) else { return };
    let client = Client::new(&options(&directory));
    let (key, small) = (Digest::of(b"an action"), Blob::of(noise(100_000)));
    assert_eq!(client.put_entry(&key, entry(b"first")), Ok(()));
    assert_eq!(client.put_blob(&small), Ok(()));
    let results = [
        client.put_blob(&Blob::of(noise(2_000_000))),
        client.put_entry(&key, noise(2_000_000).into()),
    ];
    for result in results {
        assert!(matches!(result, Err(RemoteError::Full(_))), "{result:?}");
    }
    assert_eq!(client.get_entry(&key), Ok(Some(entry(b"first"))));
    assert_eq!(client.get_blob(small.digest()), Ok(Some(noise(100_000))));
    assert_eq!(files(&directory).len(), 2);
}

#[test]
fn a_directory_for_reading_is_read() {
    let test = "a_directory_for_reading_is_read";
    let mount = "mount -t tmpfs tmpfs $DIR; mkdir $DIR/d; mount --bind $DIR/d $DIR/d";
    let Some(directory) = inside(test, "--mount", mount) else { return };
    let directory = directory.join("d");
    let client = Client::new(&options(&directory));
    client.round_trip();
    let mut command = Command::new("mount");
    command.args(["-o", "remount,bind,ro"]).arg(&directory);
    assert!(command.status().expect("mount is there").success());
    let (key, blob) = (Digest::of(b"an action"), Blob::of("new"));
    assert_eq!(client.get_entry(&key), Ok(Some(entry(b"second"))));
    assert_eq!(client.missing(&[blob.digest()]), Ok(vec![blob.digest()]));
    refused(client.put_entry(&key, entry(b"third")));
    refused(client.put_blob(&blob));
    assert_eq!(client.get_entry(&key), Ok(Some(entry(b"second"))));
}

#[test]
fn a_directory_of_others_is_denied() {
    let test = "a_directory_of_others_is_denied";
    // Root may write anywhere, so its capabilities go.
    let drop = "exec setpriv --bounding-set=-all \"$0\" --exact";
    let Some(directory) = inside(test, "", &format!("{drop} {test} --nocapture")) else { return };
    let client = Client::new(&options(&directory));
    let key = Digest::of(b"an action");
    assert_eq!(client.put_entry(&key, entry(b"first")), Ok(()));
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("our own file");
    };
    mode(&directory.join("tmp"), 0o555);
    let denied = |result| assert!(matches!(result, Err(RemoteError::Denied(_))), "{result:?}");
    denied(client.put_entry(&key, entry(b"second")));
    denied(client.put_blob(&Blob::of("x")));
    assert_eq!(client.get_entry(&key), Ok(Some(entry(b"first"))));
    mode(&path(&directory, "ac", &key), 0);
    denied(client.get_entry(&key).map(|_| ()));
    mode(&directory, 0);
    denied(client.get_blob(key).map(|_| ()));
    mode(&directory, 0o755);
}

#[test]
fn urls_that_are_no_directories_are_refused() {
    let with = |credentials, tls, url: &str| {
        let options = RemoteOptions { credentials, tls, ..RemoteOptions::new(url) };
        open(&options).expect_err("the options are wrong").to_string()
    };
    for url in ["file://", "file:///", "file://host/share", "file:///share?x", "file:///share#x"] {
        let error = with(Credentials::None, Tls::default(), url);
        assert!(error.contains("not a directory; like file:///mnt/cache"), "{error}");
    }
    let token = Credentials::Bearer(Secret::new("s3cret"));
    let error = with(token, Tls::default(), "file:///share");
    assert_eq!(error, "file:///share: a directory takes no credentials");
    let tls = Tls { authorities: Some(Vec::new()), identity: None };
    let error = with(Credentials::None, tls, "file:///share");
    assert_eq!(error, "file:///share: a directory takes no credentials");
}
