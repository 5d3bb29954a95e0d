//! The page, in a real browser: what it shows, what its filters do, and that it asks nobody for
//! anything.

use crate::site::Site;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

/// What the browser made of a page.
struct Seen {
    /// The document after its scripts have run.
    dom: String,
    /// What was written to the console.
    console: Vec<String>,
    /// What was asked of the network: the first line of each request.
    requests: Vec<String>,
}

/// Chromium on a page. Whatever it wants of the network it asks of a proxy that has nothing.
fn browse(site: &Site, url: &str) -> Seen {
    let proxy = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = proxy.local_addr().expect("bound");
    let requests = thread::spawn(move || refuse(&proxy));
    let flag = format!("--proxy-server=http://{address}");
    let (dom, errors) =
        chromium(site, &[&flag, "--proxy-bypass-list=<-loopback>", "--dump-dom", url]);
    TcpStream::connect(address).and_then(|mut last| last.write_all(b"END\n")).expect("it listens");
    let mut requests = requests.join().expect("no panic");
    // The browser looks after itself, whatever the page is.
    requests.retain(|line| !line.contains(".google.com") && !line.contains(".googleapis.com"));
    assert!(dom.contains("</html>"), "{errors}");
    let console =
        errors.lines().filter(|line| line.contains("CONSOLE")).map(str::to_owned).collect();
    Seen { dom, console, requests }
}

/// Refuses all requests until one is `END`: the first line of each.
fn refuse(proxy: &TcpListener) -> Vec<String> {
    let mut lines = Vec::new();
    loop {
        let (mut connection, _) = proxy.accept().expect("it listens");
        // A connection that is opened ahead of need says nothing.
        connection.set_read_timeout(Some(Duration::from_secs(1))).expect("possible");
        let mut line = String::new();
        let read = BufReader::new(&connection).read_line(&mut line);
        if line.trim_end() == "END" {
            return lines;
        }
        if read.is_ok_and(|length| length > 0) {
            lines.push(line);
        }
        let _ = connection.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    }
}

/// Runs Chromium to its end: what it wrote to standard output and error. They go to files, because
/// its crash handlers may outlive it and would hold pipes open.
fn chromium(site: &Site, args: &[&str]) -> (String, String) {
    let home = tempfile::tempdir_in(site.path("home")).expect("a directory");
    let [out, err] = ["out", "err"].map(|name| home.path().join(name));
    let status = Command::new("timeout")
        .args(["120", "chromium", "--headless=new", "--no-sandbox", "--disable-gpu"])
        .args(["--hide-scrollbars", "--no-first-run", "--disable-background-networking"])
        .args(["--disable-component-update", "--disable-sync", "--disable-default-apps"])
        .args(["--disable-dev-shm-usage", "--disable-breakpad", "--disable-crash-reporter"])
        // The scripts' clock, so that nothing is waited for.
        .args(["--enable-logging=stderr", "--log-level=0", "--virtual-time-budget=10000"])
        .arg(format!("--user-data-dir={}", home.path().join("data").display()))
        .args(args)
        .env("HOME", home.path())
        .stdin(Stdio::null())
        .stdout(File::create(&out).expect("made"))
        .stderr(File::create(&err).expect("made"))
        .status()
        .expect("timeout and chromium are installed");
    let errors = String::from_utf8_lossy(&fs::read(err).expect("read")).into_owned();
    assert!(status.success(), "{status}: {errors}");
    (fs::read_to_string(out).expect("UTF-8"), errors)
}

impl Seen {
    /// Nothing was asked for and nothing went wrong.
    #[track_caller]
    fn quiet(self) -> Seen {
        assert_eq!(self.console, [""; 0]);
        assert_eq!(self.requests, [""; 0]);
        self
    }

    fn count(&self, what: &str) -> usize {
        self.dom.matches(what).count()
    }

    /// What stands in the element that begins so.
    #[track_caller]
    fn text(&self, start: &str) -> &str {
        let rest = self.dom.split_once(start).unwrap_or_else(|| panic!("no {start}")).1;
        rest.split_once('<').map_or(rest, |(text, _)| text)
    }

    fn shown(&self) -> &str {
        self.text("<p id=\"shown\" role=\"status\">")
    }
}

fn url(file: &Path, hash: &str) -> String {
    format!("file://{}{hash}", file.display())
}

/// The page on the audit of a build with 300 findings in 5,002 actions.
fn large(site: &Site) -> std::path::PathBuf {
    site.save_build("build", 5000, 100);
    let file = site.path("build.html");
    fs::write(&file, site.report("build", "html", &["--saved-graph"])).expect("written");
    file
}

#[test]
fn a_large_build_is_shown_whole_and_can_be_filtered() {
    let site = Site::new();
    let file = large(&site);
    let seen = browse(&site, &url(&file, "")).quiet();
    assert_eq!(seen.count("<details class=\"finding error\""), 300);
    assert_eq!(seen.count("<details class=\"group error\""), 3);
    assert_eq!(seen.shown(), "300 of 300 findings shown");
    let shown = "<p id=\"actions-shown\" role=\"status\">";
    assert_eq!(seen.text(shown), "25 of 5,003 actions shown");
    let rows = seen.text("<tbody id=\"actions-body\">");
    assert_eq!(rows, "");
    assert_eq!(seen.count("<td class=\"number\">1</td>"), 25);
    // The root, the make, and the first of its children.
    assert_eq!(seen.text("<ul class=\"tree\" id=\"tree\">"), "");
    assert!(
        seen.dom.contains("<code>make -j8</code> <span class=\"tag\">300 findings below</span>")
    );
    assert!(seen.dom.contains("4,802 more</button>"));

    let filtered = browse(&site, &url(&file, "#rule=R003&action=obj%2F3")).quiet();
    // obj/3.o and obj/30.o to obj/39.o
    assert_eq!(filtered.shown(), "11 of 300 findings shown");
    assert!(filtered.dom.contains("100 findings<span class=\"left\">, 11 of them shown</span>"));
    let path = browse(&site, &url(&file, "#path=COMMON.h&severity=error")).quiet();
    assert_eq!(path.shown(), "100 of 300 findings shown");
    let words = browse(&site, &url(&file, "#q=src%2F7.c+races")).quiet();
    assert_eq!(words.shown(), "1 of 300 findings shown");
    let nothing = browse(&site, &url(&file, "#q=nowhere")).quiet();
    assert_eq!(nothing.shown(), "0 of 300 findings shown");
    // The address of a finding opens it and draws what is around it.
    let dom = &seen.dom;
    let id = dom.split("id=\"R003-").nth(1).and_then(|rest| rest.split('"').next()).expect("an id");
    let one = browse(&site, &url(&file, &format!("#R003-{id}"))).quiet();
    assert_eq!(one.count("<svg"), 1);
    assert!(one.dom.contains(">makes it</text>") && one.dom.contains(">used by</text>"));
    assert!(one.dom.contains("<title>What stands before and after obj/0.o</title>"));
}

#[test]
fn hostile_names_are_text() {
    let site = Site::new();
    site.save_action("action");
    let file = site.path("action.html");
    let html = site.report("action", "html", &[]);
    assert!(!html.contains("alert(1)</script>"));
    fs::write(&file, &html).expect("written");
    let seen = browse(&site, &url(&file, "")).quiet();
    // Two that are ours: the data and the code.
    assert_eq!(seen.count("<script"), 2);
    assert_eq!(seen.count("<details class=\"finding error\""), 9);
    assert!(
        seen.dom
            .contains("undeclared read of &lt;/script&gt;&lt;script&gt;alert(1)&lt;/script&gt;.h")
    );
    assert!(seen.dom.contains("rtl-\\u{202e}gpj.h"));
    assert!(!seen.dom.contains('\u{202e}'));
}

#[test]
fn findings_can_be_read_without_scripts() {
    let site = Site::new();
    site.save_build("build", 20, 10);
    let file = site.path("build.html");
    let html = site.report("build", "html", &["--saved-graph"]);
    // What the browser does not have it can't run.
    let code = html.rfind("<script>").expect("the code");
    let end = code + html[code..].find("</script>").expect("its end");
    fs::write(&file, [&html[..code], &html[end..]].concat()).expect("written");
    let seen = browse(&site, &url(&file, "")).quiet();
    assert_eq!(seen.count("<details class=\"finding error\""), 30);
    assert_eq!(seen.shown(), "");
    assert!(
        seen.dom.contains(
            "<form id=\"filters\" role=\"search\" aria-label=\"Filter findings\" hidden="
        )
    );
    // The ten with findings stand in the table.
    assert_eq!(seen.count("<td class=\"number\">3</td>"), 10);
}

#[test]
fn the_page_may_ask_for_nothing() {
    let site = Site::new();
    site.save_action("action");
    let html = site.report("action", "html", &[]);
    // What somebody smuggled in would have to get past the page's own policy.
    let inserts = "<img src=\"http://forged.example/a.png\"><script>console.error('forged')</script>\
                   <link rel=\"stylesheet\" href=\"http://forged.example/a.css\"><h1 style=\"color:red\">";
    let forged = html.replacen("<main>", &format!("<main>{inserts}"), 1);
    let file = site.path("forged.html");
    fs::write(&file, &forged).expect("written");
    let seen = browse(&site, &url(&file, ""));
    assert_eq!(seen.requests, [""; 0]);
    assert!(seen.console.iter().all(|line| line.contains("Content Security Policy")));
    assert_eq!(seen.console.len(), 4, "{:?}", seen.console);
    // Without it the same page does ask, so the test would see it.
    let start = forged.find("<meta http-equiv").expect("the policy");
    let end = start + forged[start..].find('>').expect("its end");
    fs::write(&file, [&forged[..start], &forged[end + 1..]].concat()).expect("written");
    let seen = browse(&site, &url(&file, ""));
    assert!(seen.requests.iter().any(|line| line.contains("forged.example")));
    assert!(seen.console.iter().any(|line| line.contains("forged")), "{:?}", seen.console);
}

#[test]
fn light_and_dark_are_drawn_in_their_colours() {
    let site = Site::new();
    site.save_action("action");
    let file = site.path("action.html");
    fs::write(&file, site.report("action", "html", &[])).expect("written");
    let shot = |name: &str, more: &[&str]| {
        let picture = site.path(name);
        let argument = format!("--screenshot={}", picture.display());
        let size = "--window-size=1000,700";
        let page = url(&file, "");
        chromium(&site, &[&[argument.as_str(), size], more, &[page.as_str()]].concat());
        fs::read(picture).expect("a picture")
    };
    let light = shot("light.png", &[]);
    let dark = shot("dark.png", &["--force-dark-mode"]);
    for picture in [&light, &dark] {
        assert!(picture.starts_with(b"\x89PNG"));
        // Width and height, in the first chunk.
        assert_eq!(picture[16..24], [0, 0, 3, 232, 0, 0, 2, 188]);
    }
    assert_ne!(light, dark);
}
