//! What is not taken in, and what is told of what is.

use crate::support::{Bench, Outcome, is_root, strings};
use airtight_cache::outputs::{CollectError, Found, Refusal, collect};
use nix::sys::stat::Mode;
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

/// What `collect` says of these outputs: the path and the refusal.
fn refusal(bench: &Bench, outputs: &[&str]) -> Result<(String, Refusal), String> {
    match bench.collect(outputs) {
        Err(CollectError::Refused { path, refusal }) => Ok((path, refusal)),
        other => Err(format!("{other:?}")),
    }
}

#[test]
fn what_can_t_be_stored_is_refused_by_name() -> Outcome {
    let bench = Bench::new()?;
    let at = |name: &str| bench.workspace().join(name);
    bench.directory("d", 0o755)?;
    for place in ["", "d/"] {
        let name = |name: &str| format!("{place}{name}");
        let fifo = name("fifo");
        nix::unistd::mkfifo(&at(&fifo), Mode::S_IRWXU)?;
        let _socket = UnixListener::bind(at(&name("socket")))?;
        bench.file(&name("setuid"), 0o4755, "x")?;
        bench.file(&name("setgid"), 0o2755, "x")?;
        bench.link("/etc/passwd", &name("absolute"))?;
        bench.link("../../x", &name("out"))?;
        bench.link("a/../../../x", &name("sideways"))?;
        fs::write(bench.workspace().join(place).join(OsStr::from_bytes(b"latin-\xe4")), "")?;
        fs::write(at(&name(".airtight-0123456789abcdef.0")), "")?;
        let mut expected = vec![
            ("fifo", Refusal::Kind("FIFO")),
            ("socket", Refusal::Kind("socket")),
            ("setuid", Refusal::Privileged("a set-user-id or set-group-id bit")),
            ("setgid", Refusal::Privileged("a set-user-id or set-group-id bit")),
            ("absolute", Refusal::Link("a link to an absolute path")),
            ("out", Refusal::Link("a link that leads out of the workspace")),
            ("sideways", Refusal::Link("a link with `..` behind a name")),
        ];
        if place.is_empty() {
            expected.push(("missing", Refusal::Missing));
            expected.push(("missing/too", Refusal::Missing));
            let own = "a name that Airtight's own temporary files have";
            expected.push((".airtight-0123456789abcdef.0", Refusal::Name(own)));
            for (name, refusal) in expected {
                assert_eq!(self::refusal(&bench, &[name])?, (name.to_owned(), refusal));
            }
        } else {
            // Each alone in the directory, else the first hides the others.
            let all: Vec<_> = fs::read_dir(at("d"))?.collect::<Result<_, _>>()?;
            let aside = bench.dir.path().join("aside");
            fs::create_dir(&aside)?;
            for entry in &all {
                fs::rename(entry.path(), aside.join(entry.file_name()))?;
            }
            for entry in all {
                fs::rename(aside.join(entry.file_name()), entry.path())?;
                let (path, found) = self::refusal(&bench, &["d"])?;
                let name = entry.file_name();
                assert_eq!(path, format!("d/{}", name.to_string_lossy()));
                let known = expected.iter().find(|(known, _)| OsStr::new(known) == name);
                match known {
                    Some((_, expected)) => assert_eq!(found, *expected),
                    None if name.to_str().is_none() => assert_eq!(found, Refusal::NotText),
                    None => assert!(matches!(found, Refusal::Name(_)), "{found:?}"),
                }
                fs::rename(entry.path(), aside.join(name))?;
            }
        }
    }
    Ok(())
}

#[test]
fn paths_that_no_output_may_have_are_refused() -> Outcome {
    let bench = Bench::new()?;
    bench.file("d/a", 0o644, "")?;
    for bad in ["", "/etc/passwd", "d/../d/a", "./d", "d//a", "d/", "..", "a\0b"] {
        assert!(matches!(refusal(&bench, &[bad])?, (path, Refusal::Name(_)) if path == bad));
    }
    let part = Refusal::PartOf("d".into());
    assert_eq!(refusal(&bench, &["d/a", "d"])?, ("d/a".into(), part.clone()));
    assert_eq!(refusal(&bench, &["d", "d"])?, ("d".into(), part.clone()));
    // Two names for one directory.
    bench.link("d", "e")?;
    assert_eq!(refusal(&bench, &["e/a", "d"])?, ("d/a".into(), part));
    Ok(())
}

#[test]
fn links_above_an_output_stay_in_the_workspace() -> Outcome {
    let bench = Bench::new()?;
    bench.file("../other/secret", 0o644, "secret")?;
    for (name, target) in
        [("up", "../other"), ("over", "x/../../other"), ("absolute", "/etc"), ("hop", "up")]
    {
        bench.directory("x", 0o755)?;
        bench.link(target, name)?;
        let output = format!("{name}/secret");
        assert_eq!(refusal(&bench, &[&output])?, (output.clone(), Refusal::Escapes));
    }
    bench.link("round", "round")?;
    assert!(matches!(bench.collect(&["round/x"]), Err(CollectError::Unreadable { .. })));
    // Deeper by name than in truth: what the link's text says would lead out.
    bench.link("..", "x/back")?;
    bench.link("../other/secret", "link")?;
    let (path, found) = refusal(&bench, &["x/back/link"])?;
    assert_eq!(path, "x/back/link");
    assert_eq!(found, Refusal::Link("a link that leads out of the workspace"));
    Ok(())
}

#[test]
fn what_can_t_be_read_is_an_error() -> Outcome {
    let bench = Bench::new()?;
    bench.file("file", 0o000, "x")?;
    bench.file("dir/closed/x", 0o644, "x")?;
    bench.directory("dir/closed", 0o300)?;
    bench.file("around/x", 0o644, "x")?;
    bench.directory("around", 0o000)?;
    for (output, named) in [("file", "file"), ("dir", "dir/closed"), ("around/x", "around/x")] {
        match bench.collect(&[output]) {
            Err(CollectError::Unreadable { path, .. }) => assert_eq!(path, named),
            // Root reads everything.
            Ok(collected) if is_root() => assert!(!collected.blobs.is_empty()),
            other => return Err(format!("{output}: {other:?}").into()),
        }
    }
    for dir in ["dir/closed", "around"] {
        fs::set_permissions(bench.workspace().join(dir), Permissions::from_mode(0o755))?;
    }
    Ok(())
}

#[test]
fn needles_are_found_wherever_they_are() -> Outcome {
    let bench = Bench::new()?;
    let needle = b"/home/me/project".as_slice();
    // Across the parts in which a file is read, at both ends, and almost.
    let part = 256 << 10;
    let mut across = vec![b'.'; 3 * part];
    for at in [part, 2 * part] {
        let start = at - 5;
        across[start..start + needle.len()].copy_from_slice(needle);
    }
    bench.file("across", 0o644, &across)?;
    bench.file("start", 0o644, [needle, b"..."].concat())?;
    bench.file("end", 0o644, [b"...", needle].concat())?;
    bench.file("almost", 0o644, &needle[..needle.len() - 1])?;
    bench.file("dir/sub/in", 0o644, needle)?;
    bench.link("a/tmp/xyz", "dir/link")?;
    let outputs = ["across", "start", "end", "almost", "dir"];
    let needles = [needle, b"", b"/tmp/xyz", b"absent"];
    let collected = collect(&bench.workspace(), &strings(&outputs), &needles, &bench.store)?;
    let found = |path: &str, needle| Found { path: path.into(), needle };
    let expected =
        [found("across", 0), found("dir/link", 2), found("dir/sub/in", 0), found("end", 0)];
    assert_eq!(collected.contains[..4], expected);
    assert_eq!(collected.contains[4..], [found("start", 0)]);
    Ok(())
}

#[test]
fn what_is_compressed_may_hold_anything() -> Outcome {
    let bench = Bench::new()?;
    // A header, one section header of each width and order, the flag SHF_COMPRESSED or not.
    let elf = |wide: bool, big: bool, flags: u16, size: u16| {
        let mut bytes = vec![0; 64 + 64];
        bytes[..6].copy_from_slice(b"\x7fELF\x01\x01");
        (bytes[4], bytes[5]) = (1 + u8::from(wide), 1 + u8::from(big));
        let (table, sizes, width) = if wide { (40, 58, 8) } else { (32, 46, 4) };
        let mut put = |at: usize, width: usize, number: u16| {
            let mut field = vec![0; width];
            field[..2].copy_from_slice(&number.to_le_bytes());
            if big {
                field.reverse();
            }
            bytes[at..at + width].copy_from_slice(&field);
        };
        put(table, width, 64);
        put(sizes, 2, size);
        put(sizes + 2, 2, 1);
        put(64 + 8, width, flags);
        bytes
    };
    for (wide, big, size) in
        [(true, false, 64), (true, true, 64), (false, false, 40), (false, true, 40)]
    {
        bench.file(&format!("elf-{wide}-{big}-yes"), 0o644, elf(wide, big, 0x800, size))?;
        bench.file(&format!("elf-{wide}-{big}-no"), 0o644, elf(wide, big, 0x400, size))?;
        bench.file(&format!("elf-{wide}-{big}-odd-no"), 0o644, elf(wide, big, 0x800, size + 1))?;
        bench.file(
            &format!("elf-{wide}-{big}-short-no"),
            0o644,
            &elf(wide, big, 0x800, size)[..100],
        )?;
    }
    bench.file("gzip-yes", 0o644, b"\x1f\x8b")?;
    bench.file("gzip-no", 0o644, b"\x1f")?;
    bench.file("empty-no", 0o644, "")?;
    let part = 256 << 10;
    bench.file("archive-yes", 0o644, [&vec![b'.'; part - 4][..], b".gnu.lto_.decls"].concat())?;
    let outputs: Vec<String> = fs::read_dir(bench.workspace())?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<_, std::io::Error>>()?;
    let needles = [b"/home/me/project".as_slice()];
    let collected = collect(&bench.workspace(), &outputs, &needles, &bench.store)?;
    let mut expected: Vec<String> =
        outputs.iter().filter(|name| name.ends_with("-yes")).cloned().collect();
    expected.sort();
    assert_eq!(collected.opaque, expected);
    assert_eq!(collected.contains, []);
    Ok(())
}

#[test]
fn a_file_that_changes_meanwhile_is_not_taken() -> Outcome {
    let bench = Bench::new()?;
    let path = bench.workspace().join("busy");
    fs::write(&path, vec![0; 4 << 20])?;
    let stop = std::sync::atomic::AtomicBool::new(false);
    let outcome = std::thread::scope(|scope| {
        let writer = scope.spawn(|| -> std::io::Result<()> {
            use std::os::unix::fs::FileExt;
            let file = fs::File::options().write(true).open(&path)?;
            let mut byte = 0_u8;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                byte = byte.wrapping_add(1);
                file.write_all_at(&[byte], u64::from(byte) * 1000)?;
            }
            Ok(())
        });
        let mut refused = 0;
        for _ in 0..20 {
            match bench.collect(&["busy"]) {
                Err(CollectError::Refused { refusal: Refusal::Changed, .. }) => refused += 1,
                Err(error) => return Err(format!("{error}")),
                Ok(collected) => {
                    // It was quiet for that long: then what is stored is what was there.
                    assert_eq!(collected.result.files[0].digest.size(), 4 << 20);
                }
            }
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        writer.join().map_err(|_| "the writer died")?.map_err(|error| error.to_string())?;
        Ok(refused)
    });
    assert!(outcome? > 0);
    Ok(())
}
