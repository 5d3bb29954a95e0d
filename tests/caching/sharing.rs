//! Two workspaces at different paths share what doesn't hold their path, over every kind of store.

use crate::support::Site;
use airtight_cache::stats::MissReason::PathsChanged;
use airtight_test_servers::nginx::{Auth, Backend, Options, Tls};
use airtight_test_servers::{BazelRemote, BuildGrid, Casd, Nginx, S3, bazel_remote};
use std::path::Path;

const COMPILE: &str =
    "--in a.c --in include/a.h --out build/a.o -- gcc -Wall -Iinclude -c a.c -o build/a.o";
const GENERATE: &str = "--in gen.sh --in seed --out gen -- ./gen.sh";

/// Two workspaces with the same files, in which everything else differs.
fn two() -> (Site, Site) {
    two_of(1)
}

/// The same, for another seed with other files.
fn two_of(mut state: u32) -> (Site, Site) {
    let one = Site::new();
    let other = one.at("another/place", "another-home");
    let mut seed = Vec::new();
    for site in [&one, &other] {
        site.write("a.c", "#include \"a.h\"\nint a(void) { int unused; return A; }\n");
        site.write("include/a.h", "#define A 1\n").write("build/other", "");
        // Small files and one that no single message holds.
        site.program(
            "gen.sh",
            "#!/bin/sh\nset -e\nmkdir -p gen/sub/empty\ncp seed gen/small\nchmod 755 gen/small\n\
             ln -s ../small gen/sub/link\nfor i in 1 2 3 4 5; do cat seed seed seed seed; done > gen/large\n\
             : > gen/nothing\necho made\n",
        );
        let random = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        });
        seed.extend(random.take(300_000 - seed.len()));
        site.write("seed", &seed);
    }
    (one, other)
}

/// What one has made, the other takes from this remote, and then from its own store.
#[track_caller]
fn share(remote: &str) {
    share_between(two(), remote, GENERATE, "gen");
}

#[track_caller]
fn share_between((one, other): (Site, Site), remote: &str, args: &str, output: &str) {
    for site in [&one, &other] {
        site.write("airtight.toml", format!("[[cache.remote]]\n{remote}"));
    }
    let first = one.runs(args);
    let again = other.fetches(args);
    assert_eq!(again.show(), first.show());
    assert_eq!(other.snapshot(&[output]), one.snapshot(&[output]));
    other.remove(output);
    assert_eq!(other.restores(args).show(), first.show());
    assert_eq!(other.snapshot(&[output]), one.snapshot(&[output]));
}

fn url(url: &str) -> String {
    format!("url = \"{url}\"\n")
}

fn file(name: &str, path: &Path) -> String {
    format!("{name} = \"{}\"\n", path.display())
}

#[test]
fn over_one_local_store() {
    let (one, other) = two();
    let other = other.at("another/place", "home");
    for (args, output) in [(COMPILE, "build/a.o"), (GENERATE, "gen")] {
        let first = one.runs(args);
        assert_eq!(other.restores(args).show(), first.show());
        assert_eq!(other.snapshot(&[output]), one.snapshot(&[output]));
    }
}

#[test]
fn not_what_holds_the_name_of_the_workspace() {
    let (one, other) = two();
    let other = other.at("another/place", "home");
    let args = "--in a.c --in include/a.h --out a.o -- gcc -g -Iinclude -c a.c -o a.o";
    one.runs(args);
    other.runs_because(PathsChanged, args);
    for (site, stranger) in [(&one, &other), (&other, &one)] {
        let object = site.read("a.o");
        let names = |site: &Site| {
            let path = site.path("");
            let name = path.to_str().expect("UTF-8").trim_end_matches('/').as_bytes();
            object.windows(name.len()).any(|window| window == name)
        };
        assert!(names(site) && !names(stranger));
        // Both are known now.
        site.remove("a.o").restores(args);
        assert_eq!(site.read("a.o"), object);
    }
    // What it says holds it too.
    let args = "--out out -- sh -c 'pwd; echo 1 > out'";
    let first = one.runs(args);
    let second = other.runs_because(PathsChanged, args);
    assert_eq!(one.restores(args).show(), first.show());
    assert_eq!(other.restores(args).show(), second.show());
}

#[test]
fn over_a_directory() {
    let place = tempfile::tempdir().expect("a directory");
    share(&url(&format!("file://{}", place.path().display())));
}

#[test]
fn over_casd() {
    let server = Casd::start();
    share(&url(&server.url()));
    share_between(two(), &url(&server.url()), COMPILE, "build/a.o");
}

#[test]
fn over_buildgrid_under_both_of_its_names() {
    let server = BuildGrid::start();
    share(&url(&server.url()));
    // They share what they store.
    let named = url(&format!("{}/{}", server.url(), BuildGrid::INSTANCE));
    share_between(two(), &named, COMPILE, "build/a.o");
}

#[test]
fn over_bazel_remote() {
    let server = BazelRemote::start(bazel_remote::Options::default());
    share(&url(&server.url()));
    share_between(two(), &url(&server.url()), COMPILE, "build/a.o");
}

#[test]
fn over_bazel_remote_with_a_password() {
    let user = Some(("me".to_owned(), "secret".to_owned()));
    let server = BazelRemote::start(bazel_remote::Options { user, ..Default::default() });
    let secret = secret("secret");
    share(&(url(&server.url()) + "user = \"me\"\n" + &file("password-file", secret.path())));
}

#[test]
fn over_webdav() {
    let server = Nginx::start(Options::default());
    share(&url(&format!("{}/some/prefix", server.url())));
}

#[test]
fn over_s3() {
    let server = S3::start();
    let secret = secret(server.secret_key());
    let settings = format!(
        "url = \"s3://{}/some/prefix\"\nendpoint = \"{}\"\nregion = \"{}\"\n\
         access-key-env = \"ACCESS\"\n",
        server.bucket(),
        server.endpoint(),
        server.region()
    );
    let (one, other) = two();
    let sites =
        (one.with("ACCESS", server.access_key()), other.with("ACCESS", server.access_key()));
    share_between(sites, &(settings + &file("secret-key-file", secret.path())), GENERATE, "gen");
}

/// A file with a secret and the end of a line.
fn secret(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), format!("{text}\n")).expect("a file of ours");
    file
}

/// The settings that an nginx with these options needs.
fn settings(server: &Nginx, options: &Options, token: &Path) -> String {
    let mut settings = url(&server.url());
    if options.tls != Tls::Off {
        settings += &file("ca", &server.certificates().authority());
    }
    if options.tls == Tls::Mutual {
        let (certificate, key) = server.certificates().client();
        settings += &file("cert", &certificate);
        settings += &file("key", &key);
    }
    match &options.auth {
        Auth::Open => {}
        Auth::Basic { .. } => {
            settings += "user = \"me\"\n";
            settings += &file("password-file", token);
        }
        Auth::Bearer(_) => settings += &file("token-file", token),
    }
    settings
}

/// TLS, mTLS, a bearer token and a password in front of this.
fn share_guarded(backend: &Backend) {
    let token = secret("t0ken-of-the-tests");
    let word = "t0ken-of-the-tests".to_owned();
    let basic = Auth::Basic { user: "me".to_owned(), password: word.clone() };
    for (seed, tls, auth) in [
        (1, Tls::On, Auth::Open),
        (2, Tls::Mutual, Auth::Open),
        (3, Tls::On, Auth::Bearer(word)),
        (4, Tls::On, basic),
    ] {
        let options = Options { backend: backend.clone(), tls, auth, ..Options::default() };
        let server = Nginx::start(options.clone());
        let whole = settings(&server, &options, token.path());
        share_between(two_of(seed), &whole, GENERATE, "gen");
        // Without what it asks for: the build goes on, and nothing is shared.
        let without: Vec<&str> = whole
            .lines()
            .filter(|line| match &options.auth {
                Auth::Open if tls == Tls::Mutual => {
                    !line.starts_with("cert") && !line.starts_with("key")
                }
                Auth::Open => !line.starts_with("ca"),
                _ => !["user", "password", "token"].iter().any(|word| line.starts_with(word)),
            })
            .collect();
        let (one, _) = two();
        one.write("airtight.toml", format!("[[cache.remote]]\n{}", without.join("\n")));
        let end = one.runs(GENERATE);
        assert!(end.stderr.contains("warning: "), "{}", end.show());
        assert_eq!(end.stderr.matches("warning: ").count(), 1, "{}", end.show());
    }
}

#[test]
fn over_http_with_tls_and_credentials() {
    share_guarded(&Backend::Store);
}

#[test]
fn over_grpc_with_tls_and_credentials() {
    let casd = Casd::start();
    share_guarded(&Backend::Grpc(casd.address()));
}
