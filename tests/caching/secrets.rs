//! No secret is seen anywhere, whatever goes wrong.

use crate::support::{End, Site, files, words};
use airtight_cache::SigningKey;
use airtight_test_servers::nginx::{Auth, Backend, Options, Tls};
use airtight_test_servers::{Casd, Certificates, Fault, Faults, Nginx, S3};
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use tempfile::TempDir;

const SECRET: &str = "s3cr3t-of-the-tests-9f2c41d7";
const ARGS: &str = "--in in --out out -- cp in out";

/// Somebody whose secrets are in files and variables, and all that they see.
struct Person {
    site: Site,
    /// The files, beside everything that is searched.
    place: TempDir,
    secrets: Vec<String>,
}

impl Person {
    fn new() -> Person {
        let place = tempfile::tempdir().expect("a directory");
        let site = Site::new().with("TOKEN", SECRET);
        site.write("in", "content");
        let mut person = Person { site, place, secrets: vec![SECRET.into()] };
        let signing = SigningKey::from_seed(&[7; 32]).text().reveal().to_owned();
        let base64 = signing.split_whitespace().last().expect("a key");
        person.secrets.push(base64.into());
        person.file("signing", &signing);
        person.file("password", SECRET);
        // What is sent is the secret too.
        person.secrets.push("bWU6czNjcjN0LW9mLXRoZS10ZXN0cy05ZjJjNDFkNw==".into());
        person
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.place.path().join(name);
        fs::write(&path, text).expect("a file of ours");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("a file of ours");
        path
    }

    /// The settings of one remote.
    fn remote(&self, settings: &str) {
        let signing = self.place.path().join("signing");
        let settings = format!(
            "[cache]\nsigning-key = \"{}\"\n[[cache.remote]]\nretries = 0\n\
             idle-timeout = \"2s\"\nbudget = \"4s\"\n{settings}",
            signing.display()
        );
        self.site.write("airtight.toml", settings);
    }

    fn password(&self) -> String {
        let file = self.place.path().join("password");
        format!("user = \"me\"\npassword-file = \"{}\"\n", file.display())
    }

    /// Runs whatever tells something, and searches everything that was told or written. The
    /// remote fails or doesn't, as `failing` says, and the build goes on.
    #[track_caller]
    fn sees_none(&self, failing: bool) {
        let plain = self.site.run(&format!("--refresh {ARGS}")).0;
        plain.code(0);
        assert_eq!(plain.stderr.matches("warning: ").count() > 0, failing, "{}", plain.show());
        let reported = self.site.run(&format!(
            "--recording ../trace.json --report ../report.json --format json {ARGS}"
        ));
        reported.0.code(0);
        let mut seen = plain.show() + &reported.0.show();
        for args in [["config", "show"].as_slice(), &["config", "show", "--format", "json"]] {
            let (end, _) = self.site.end(self.site.airtight(args));
            seen += &end.code(0).show();
        }
        for args in [["cache", "stats"], ["cache", "verify"]] {
            seen += &self.site.end(self.site.airtight(&args)).0.show();
        }
        self.in_none("what was said", seen.as_bytes());
        for path in files(&self.site.root()) {
            self.in_none(&path.display().to_string(), &fs::read(&path).expect("a file of ours"));
        }
    }

    #[track_caller]
    fn in_none(&self, place: &str, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        for secret in &self.secrets {
            assert!(!text.contains(secret), "{secret} is in {place}:\n{text}");
        }
    }
}

fn url(url: &str) -> String {
    format!("url = \"{url}\"\n")
}

fn file(name: &str, path: &Path) -> String {
    format!("{name} = \"{}\"\n", path.display())
}

/// A server that wants another password or token, one that fails, one that isn't there, one whose
/// certificate nobody has signed, and one that works.
fn wherever_it_goes(backend: &Backend) {
    let person = Person::new();
    let token = "token-env = \"TOKEN\"\n".to_owned();
    let other = "another-one".to_owned();
    let basic =
        |password: &str| Auth::Basic { user: "me".to_owned(), password: password.to_owned() };
    let start = |tls, auth, status| {
        Nginx::start(Options { backend: backend.clone(), tls, auth, status, ..Options::default() })
    };
    let ca = |server: &Nginx| file("ca", &server.certificates().authority());
    let refusing = start(Tls::On, Auth::Bearer(other.clone()), None);
    let basically = start(Tls::On, basic(&other), None);
    let failing = start(Tls::On, Auth::Open, Some(500));
    let working = start(Tls::On, basic(SECRET), None);
    let gone = start(Tls::On, Auth::Open, None);
    let absent = url(&gone.url()) + &ca(&failing);
    drop(gone);
    for (server, credentials, fails) in [
        (url(&refusing.url()) + &ca(&refusing), token.clone(), true),
        (url(&basically.url()) + &ca(&basically), person.password(), true),
        (url(&failing.url()) + &ca(&failing), token.clone(), true),
        (url(&failing.url()) + &ca(&failing), person.password(), true),
        (absent, token.clone(), true),
        (url(&working.url()) + &file("ca", &working.certificates().other_authority()), token, true),
        (url(&working.url()) + &ca(&working), person.password(), false),
    ] {
        person.remote(&(server + &credentials));
        // What was found down is else left alone for a while.
        let _ = fs::remove_dir_all(person.site.store().join("remotes-v1"));
        person.sees_none(fails);
    }
}

#[test]
fn passwords_and_tokens_over_http() {
    wherever_it_goes(&Backend::Store);
}

#[test]
fn passwords_and_tokens_over_grpc() {
    let casd = Casd::start();
    wherever_it_goes(&Backend::Grpc(casd.address()));
}

#[test]
fn the_private_key_of_a_client() {
    let mut person = Person::new();
    let server = Nginx::start(Options { tls: Tls::Mutual, ..Options::default() });
    for (pair, fails) in
        [(server.certificates().client(), false), (server.certificates().stranger(), true)]
    {
        let (certificate, key) = pair;
        let text = fs::read_to_string(&key).expect("a key");
        person.secrets.push(text.lines().nth(1).expect("the first line of a key").into());
        let key = person.file("client", &text);
        person.remote(
            &(url(&server.url())
                + &file("ca", &server.certificates().authority())
                + &file("cert", &certificate)
                + &file("key", &key)),
        );
        let _ = fs::remove_dir_all(person.site.store().join("remotes-v1"));
        person.sees_none(fails);
        // A key that doesn't belong to the certificate.
        let (_, other) = Certificates::create(person.place.path()).client();
        let settings = person.site.text("airtight.toml");
        let settings = settings.replace(&key.display().to_string(), &other.display().to_string());
        person.site.write("airtight.toml", settings);
        let end = person.site.run(&format!("--refresh {ARGS}")).0;
        person.in_none("the message", end.show().as_bytes());
    }
}

#[test]
fn the_keys_of_a_bucket() {
    let mut person = Person::new();
    let server = S3::start();
    let faults = Faults::in_front_of(&server.endpoint());
    person.secrets.push(server.secret_key().into());
    let wrong = "wrong/test/only/secret/key/of/characters";
    person.secrets.push(wrong.into());
    person.site = person.site.with("ACCESS", server.access_key());
    let settings = |secret: &str| {
        let secret = person.file("s3", secret);
        format!(
            "url = \"s3://{}/prefix\"\nendpoint = \"{}\"\naccess-key-env = \"ACCESS\"\n",
            server.bucket(),
            faults.url()
        ) + &file("secret-key-file", &secret)
            + "session-token-env = \"TOKEN\"\n"
    };
    for (secret, fault, fails) in [
        (server.secret_key(), Fault::None, false),
        (wrong, Fault::None, true),
        (server.secret_key(), Fault::status(500), true),
        (server.secret_key(), Fault::Garbage, true),
    ] {
        person.remote(&settings(secret));
        faults.set(fault);
        let _ = fs::remove_dir_all(person.site.store().join("remotes-v1"));
        person.sees_none(fails);
    }
}

#[test]
fn a_url_with_a_password_in_it() {
    let person = Person::new();
    let url = format!("https://me:{SECRET}@127.0.0.1:1/");
    let told = |site: &Site, code: i32, args: &[&str]| {
        let end = site.end(site.airtight(args)).0;
        end.code(code);
        person.in_none("the message", end.show().as_bytes());
    };
    told(&person.site.with("AIRTIGHT_REMOTE", &url), 125, &words(ARGS));
    told(&person.site, 125, &words(&format!("--remote {url} {ARGS}")));
    // Nor do settings in the wrong place tell what they are.
    for wrong in [
        format!("url = \"{url}\"\n"),
        format!("url = \"http://127.0.0.1:1/\"\npassword = \"{SECRET}\"\n"),
        format!("url = \"http://127.0.0.1:1/?token={SECRET}\"\n"),
    ] {
        person.site.write("airtight.toml", format!("[[cache.remote]]\n{wrong}"));
        let shown = person.site.end(person.site.airtight(&words(ARGS))).0;
        person.in_none("the message", shown.show().as_bytes());
        let shown = person.site.end(person.site.airtight(&["config", "show"])).0;
        person.in_none("the message", shown.show().as_bytes());
    }
    for path in files(&person.site.home()) {
        person.in_none(&path.display().to_string(), &fs::read(&path).expect("a file"));
    }
}

/// All processes below one, by id.
fn below(root: u32) -> Vec<u32> {
    let mut parents: HashMap<u32, u32> = HashMap::new();
    for entry in fs::read_dir("/proc").expect("/proc").flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // The parent is the second word after the name, which is in brackets.
        let after = stat.rsplit_once(") ").map_or("", |(_, after)| after);
        if let Some(parent) = after.split(' ').nth(1).and_then(|word| word.parse().ok()) {
            parents.insert(pid, parent);
        }
    }
    let is_below = |pid: &u32| {
        std::iter::successors(Some(*pid), |pid| parents.get(pid).copied()).any(|pid| pid == root)
    };
    parents.keys().copied().filter(is_below).collect()
}

#[test]
fn the_environment_and_the_arguments_of_processes() {
    let person = Person::new();
    let server =
        Nginx::start(Options { auth: Auth::Bearer(SECRET.to_owned()), ..Options::default() });
    for flag in ["", "--env-all"] {
        person.remote(&(url(&server.url()) + "token-env = \"TOKEN\"\n"));
        let settings = person.site.text("airtight.toml");
        let scopes = "[policy.scopes]\nignored = [\"there\", \"back\"]\n";
        person.site.write("airtight.toml", settings + scopes);
        for name in ["there", "back"] {
            let _ = fs::remove_file(person.site.path(name));
            let mode = nix::sys::stat::Mode::S_IRWXU;
            nix::unistd::mkfifo(&person.site.path(name), mode).expect("a FIFO");
        }
        let script = "env > out; echo > there; read x < back";
        let args = format!("--refresh {flag} --out out -- sh -c '{script}'");
        let mut command = person.site.airtight(&words(&args));
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        let airtight = command.spawn().expect("airtight starts");
        let mut word = String::new();
        let there = File::open(person.site.path("there"));
        there.and_then(|mut file| file.read_to_string(&mut word)).expect("it comes");
        let own = fs::read_link(format!("/proc/{}/exe", airtight.id())).expect("its program");
        let mut looked = 0;
        for pid in below(airtight.id()) {
            let of = |name| fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
            person.in_none("a command line", &of("cmdline"));
            // Airtight itself was given it.
            if fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe != own) {
                person.in_none("an environment", &of("environ"));
                looked += 1;
            }
        }
        assert!(looked > 0);
        let waiting = thread::spawn(move || airtight.wait_with_output());
        let back = File::options().write(true).open(person.site.path("back"));
        back.and_then(|mut file| file.write_all(b"\n")).expect("it waits");
        let output = waiting.join().expect("a thread").expect("airtight ends");
        let end = End::new(&output, &person.site.root());
        assert!(person.site.text("out").contains("PATH="), "{}", end.show());
        for place in [person.site.root(), server.storage().to_owned()] {
            for path in files(&place)
                .iter()
                .filter(|path| !path.ends_with("there") && !path.ends_with("back"))
            {
                person.in_none(&path.display().to_string(), &fs::read(path).expect("a file"));
            }
        }
    }
    // Who declares it wants it to be there.
    let args = "--no-cache --env TOKEN --out out -- sh -c 'env > out'";
    person.site.run(args).0.code(0);
    assert!(person.site.text("out").contains(SECRET));
}
