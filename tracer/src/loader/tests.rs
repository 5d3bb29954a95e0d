use super::*;
use proptest::prelude::*;
use std::collections::HashMap;
use std::rc::Rc;

const ENOENT: i32 = 2;
const ENOEXEC: i32 = 8;
const EACCES: i32 = 13;
const ELOOP: i32 = 40;

fn head(text: &[u8]) -> [u8; HEAD] {
    let mut head = [0; HEAD];
    let length = text.len().min(HEAD);
    head[..length].copy_from_slice(&text[..length]);
    head
}

fn line(text: &[u8]) -> Option<(String, Option<String>)> {
    let text_of = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    script::parse(&head(text)).map(|s| (text_of(s.interpreter), s.argument.map(text_of)))
}

#[test]
fn lines_are_read_like_the_kernel_reads_them() {
    let script = |name: &str, argument: Option<&str>| {
        Some((name.to_owned(), argument.map(ToOwned::to_owned)))
    };
    assert_eq!(line(b"#!/bin/sh\n"), script("/bin/sh", None));
    assert_eq!(line(b"#!/bin/sh"), script("/bin/sh", None), "no newline, end of file");
    assert_eq!(line(b"#! \t /bin/sh \t\n"), script("/bin/sh", None));
    assert_eq!(line(b"#!/usr/bin/env -S  a b \n"), script("/usr/bin/env", Some("-S  a b")));
    assert_eq!(line(b"#!bin/sh\t-e"), script("bin/sh", Some("-e")));
    assert_eq!(line(b"#!/bin/sh\r\n"), script("/bin/sh\r", None));
    assert_eq!(line(b"#!/bin/sh\0 x\n"), script("/bin/sh", None), "a zero ends the name");
    assert_eq!(line(b"#!/bin/sh x\0y\n"), script("/bin/sh", Some("x")));
    assert_eq!(line(b"#!\n"), None);
    assert_eq!(line(b"#!  \n/bin/sh\n"), None);
    assert_eq!(line(b"#!"), script("", None), "an empty name");
    assert_eq!(line(b"# !/bin/sh\n"), None);
    assert_eq!(line(b""), None);
}

#[test]
fn long_lines_are_cut_but_never_the_name() {
    let long = |name: usize, rest: &[u8]| {
        let mut text = b"#!".to_vec();
        text.resize(2 + name, b'a');
        text.extend_from_slice(rest);
        line(&text)
    };
    assert_eq!(long(253, b"\n").map(|l| l.0.len()), Some(253));
    assert_eq!(long(254, b"\n"), None, "the newline is not among the first 256 bytes");
    assert_eq!(long(253, b" x\n").map(|l| l.0.len()), Some(253));
    assert_eq!(long(300, b" x\n"), None);
    let (name, argument) = long(10, b" ").expect("a script");
    assert_eq!((name.len(), argument.as_deref()), (10, Some("")), "the kernel sees an argument");
    let mut text = b" ".to_vec();
    text.resize(400, b'b');
    // 256 bytes, less "#!", ten of the name, the blank, and the last one for the zero.
    assert_eq!(long(10, &text).and_then(|l| l.1).map(|a| a.len()), Some(242));
    assert_eq!(line(&[b"#!".as_slice(), &[b' '; 300]].concat()), None);
}

/// A 64-bit program with one program header and the loader's name behind it.
fn elf64(name: &[u8]) -> Vec<u8> {
    let mut file = vec![0; 64 + 56];
    file[..6].copy_from_slice(b"\x7fELF\x02\x01");
    file[16] = 3;
    file[18] = 62;
    file[32] = 64;
    file[54] = 56;
    file[56] = 1;
    file[64] = 3;
    file[72] = 120;
    file[96..104].copy_from_slice(&(name.len() as u64).to_le_bytes());
    file.extend_from_slice(name);
    file
}

/// The same in the small layout.
fn elf32(name: &[u8]) -> Vec<u8> {
    let mut file = vec![0; 52 + 32];
    file[..6].copy_from_slice(b"\x7fELF\x01\x01");
    file[16] = 2;
    file[18] = 3;
    file[28] = 52;
    file[42] = 32;
    file[44] = 1;
    file[52] = 3;
    file[56] = 84;
    file[68..72].copy_from_slice(&(name.len() as u32).to_le_bytes());
    file.extend_from_slice(name);
    file
}

fn parse(file: &[u8]) -> Parsed {
    let head = head(file);
    let format = match script::parse(&head) {
        Some(script) => Format::Script(script),
        None => elf::parse(&head, |buffer, offset| {
            let rest = usize::try_from(offset).ok().and_then(|o| file.get(o..)).unwrap_or_default();
            let length = rest.len().min(buffer.len());
            buffer[..length].copy_from_slice(&rest[..length]);
            Ok(length)
        })
        .expect("memory can be read"),
    };
    Parsed { head: Box::new(head), format }
}

#[test]
fn the_loader_of_a_program_is_found() {
    let loader = |name: &[u8]| Format::Elf { loader: Some(name.to_vec()) };
    assert_eq!(parse(&elf64(b"/lib64/ld.so\0")).format, loader(b"/lib64/ld.so"));
    assert_eq!(parse(&elf32(b"/lib/ld.so\0")).format, loader(b"/lib/ld.so"));
    assert_eq!(parse(&elf64(b"/lib64/ld.so")).format, Format::Unknown, "no zero at its end");
    assert_eq!(parse(&elf64(b"\0")).format, Format::Unknown, "too short");
    let mut fixed = elf64(b"/lib64/ld.so\0");
    fixed[64] = 1;
    assert_eq!(parse(&fixed).format, Format::Elf { loader: None });
    let mut beyond = elf64(b"/lib64/ld.so\0");
    beyond[32..40].fill(0xff);
    assert_eq!(parse(&beyond).format, Format::Unknown);
    assert_eq!(parse(b"\x7fELF").format, Format::Unknown);
}

/// This test itself is a program with a loader, or static.
#[test]
fn a_real_program_is_read() {
    let file = File::open("/proc/self/exe").expect("our own program");
    let parsed = Parsed::of(&file).expect("readable");
    let Format::Elf { loader } = &parsed.format else { panic!("{parsed:?}") };
    if let Some(loader) = loader {
        assert!(loader.starts_with(b"/"), "{loader:?}");
    }
}

/// The names that an exec opens, and the errno it ends with.
fn chain(
    name: &str,
    misc: &[Misc],
    open: &dyn Fn(&str) -> io::Result<Rc<Parsed>>,
) -> (Vec<(String, Option<Role>)>, i32) {
    let mut files = Vec::new();
    let (mut name, mut role) = (name.to_owned(), None);
    loop {
        let opened = if name.is_empty() {
            // Inside the kernel an empty name is the current directory, which is no program.
            Err(io::Error::from_raw_os_error(EACCES))
        } else {
            open(&name)
        };
        files.push((name.clone(), role));
        let parsed = match opened {
            Err(e) => return (files, e.raw_os_error().expect("an errno")),
            Ok(_) if role == Some(Role::Loader) => return (files, 0),
            Ok(_) if files.len() == MOST_FILES => return (files, ELOOP),
            Ok(parsed) => parsed,
        };
        let Some((next, text)) = parsed.next(name.as_bytes(), misc) else {
            let errno = if parsed.format == Format::Unknown { ENOEXEC } else { 0 };
            return (files, errno);
        };
        (name, role) = (String::from_utf8_lossy(text).into_owned(), Some(next));
    }
}

fn walk(
    files: &[(&str, Vec<u8>)],
    misc: &[Misc],
    name: &str,
) -> (Vec<(String, Option<Role>)>, i32) {
    let files: HashMap<&str, Rc<Parsed>> =
        files.iter().map(|(name, file)| (*name, Rc::new(parse(file)))).collect();
    chain(name, misc, &|name| {
        files.get(name).cloned().ok_or_else(|| io::Error::from_raw_os_error(ENOENT))
    })
}

#[test]
fn a_chain_goes_from_script_to_loader() {
    let files = [
        ("a", b"#!b -x\n".to_vec()),
        ("b", b"#! /bin/sh\n".to_vec()),
        ("/bin/sh", elf64(b"/ld\0")),
        ("/ld", elf64(b"/other\0")),
        ("text", b"echo\n".to_vec()),
        ("lost", b"#!/nowhere\n".to_vec()),
        ("empty", b"#!".to_vec()),
    ];
    let loads = |name| walk(&files, &[], name);
    let (names, errno) = loads("a");
    let sh = ("/bin/sh".to_owned(), Some(Role::Interpreter));
    let ld = ("/ld".to_owned(), Some(Role::Loader));
    assert_eq!(errno, 0);
    let expected = [("a".to_owned(), None), ("b".to_owned(), Some(Role::Interpreter)), sh, ld];
    assert_eq!(names, expected);
    assert_eq!(loads("text").1, ENOEXEC);
    assert_eq!(loads("empty").1, EACCES);
    let (names, errno) = loads("lost");
    assert_eq!(errno, ENOENT);
    assert_eq!(
        names[1],
        ("/nowhere".to_owned(), Some(Role::Interpreter)),
        "not the script is missing"
    );
}

#[test]
fn nesting_ends_where_the_kernel_ends_it() {
    let mut files: Vec<(String, Vec<u8>)> =
        (0..8).map(|i| (format!("s{i}"), format!("#!s{}\n", i + 1).into_bytes())).collect();
    files.push(("s8".into(), elf64(b"/ld\0")));
    files.push(("/ld".into(), elf64(b"/ld\0")));
    let files: Vec<(&str, Vec<u8>)> =
        files.iter().map(|(name, file)| (name.as_str(), file.clone())).collect();
    assert_eq!(walk(&files, &[], "s3").1, 0, "five scripts and a program");
    let (names, errno) = walk(&files, &[], "s2");
    assert_eq!((names.len(), errno), (7, ELOOP), "six scripts");
    assert_eq!(walk(&files, &[], "s0").1, ELOOP);
}

/// The errno of executing the file, as the kernel gives it.
fn execute(path: &std::path::Path) -> i32 {
    use std::process::{Command, Stdio};
    const ETXTBSY: i32 = 26;
    loop {
        let child = Command::new(path).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        match child.map_err(|e| e.raw_os_error()) {
            Ok(mut child) => {
                child.wait().expect("a child to wait for");
                return 0;
            }
            // A child of another thread still holds the file that we have just written.
            Err(Some(ETXTBSY)) => {}
            Err(errno) => return errno.expect("an errno"),
        }
    }
}

#[test]
fn the_kernel_agrees() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("a directory");
    let make = |name: &str, content: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, content).expect("written");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("executable");
        path
    };
    let long = |n, rest: &str| format!("#!/bin/{}true{rest}", "/".repeat(n)).into_bytes();
    let mut cases = vec![
        b"#!/bin/true\n".to_vec(),
        b"#!/bin/true".to_vec(),
        b"#! \t/bin/true \t x y \n".to_vec(),
        b"#!/bin/true\r\n".to_vec(),
        b"#!/bin/true\0x\n".to_vec(),
        b"#!\n".to_vec(),
        b"#!  \n".to_vec(),
        b"#!".to_vec(),
        b"#!/nowhere\n".to_vec(),
        b"#!/etc\n".to_vec(),
        b"".to_vec(),
        b"true\n".to_vec(),
        [b"#!".as_slice(), &[b' '; 300]].concat(),
    ];
    if cfg!(target_arch = "x86_64") {
        cases.extend([elf64(b"/nowhere\0"), elf64(b"/nowhere"), elf64(b"\0"), elf64(b"\0\0")]);
    }
    cases.extend((236..250).flat_map(|n| [long(n, "\n"), long(n, ""), long(n, " x\n")]));
    let mut previous = std::path::PathBuf::from("/bin/true");
    for i in 0..8 {
        let content = format!("#!{}\n", previous.display());
        previous = make(&format!("nested{i}"), content.as_bytes());
        cases.push(content.into_bytes());
    }
    for (i, content) in cases.iter().enumerate() {
        let path = make(&format!("case{i}"), content);
        let name = path.to_str().expect("text");
        let (_, errno) = chain(name, &[], &|name| {
            let file = File::open(name)?;
            if file.metadata()?.is_dir() {
                return Err(io::Error::from_raw_os_error(EACCES)); // no regular file
            }
            Parsed::of(&file).map(Rc::new)
        });
        assert_eq!(errno, execute(&path), "{:?}", String::from_utf8_lossy(content));
    }
}

const QEMU: &[u8] = b"enabled\ninterpreter /usr/bin/qemu\nflags: OCF\noffset 0\n\
    magic 7f454c460201\nmask ffffffffff00\n";

#[test]
fn binfmt_misc_comes_first() {
    let misc = [
        Misc::parse(QEMU).expect("an entry"),
        Misc::parse(b"enabled\ninterpreter /usr/bin/run\nflags: \nextension .jar\n")
            .expect("an entry"),
    ];
    assert!(misc[0].held && !misc[1].held);
    let files = [
        ("arm", elf64(b"/ld\0")),
        ("x.jar", b"PK".to_vec()),
        ("/usr/bin/qemu", elf32(b"/ld32\0")),
        ("/usr/bin/run", b"#!/usr/bin/qemu\n".to_vec()),
        ("/ld32", Vec::new()),
    ];
    let (names, _) = walk(&files, &misc, "arm");
    assert_eq!(names.len(), 1, "the interpreter is open already");
    let (names, errno) = walk(&files, &misc, "x.jar");
    assert_eq!((names.len(), errno), (4, 0));
    assert_eq!(names[1], ("/usr/bin/run".to_owned(), Some(Role::Interpreter)));
    assert_eq!(names[3], ("/ld32".to_owned(), Some(Role::Loader)));
}

#[test]
fn what_is_no_enabled_entry_is_left_out() {
    for text in [
        "disabled\ninterpreter /x\nflags: \nextension .a\n",
        "enabled\n",
        "enabled\ninterpreter /x\nflags: \n",
        "enabled\ninterpreter /x\nflags: \noffset 0\nmagic 7f4\n",
        "enabled\ninterpreter /x\nflags: \noffset 0\nmagic 7f45\nmask ff\n",
        "",
    ] {
        assert_eq!(Misc::parse(text.as_bytes()), None, "{text}");
    }
}

proptest! {
    #[test]
    fn no_bytes_are_too_strange(
        start in prop_oneof![Just(&b"#!"[..]), Just(&b"\x7fELF\x02\x01\x01"[..]), Just(&b""[..])],
        rest in prop::collection::vec(any::<u8>(), 0..600),
        lines in "(enabled\n)?((offset|magic|mask|flags:|extension|interpreter) ?[0-9a-f./]*\n)*",
    ) {
        let file = [start, &rest].concat();
        let parsed = parse(&file);
        if let Format::Script(script) = &parsed.format {
            prop_assert!(!script.interpreter.iter().any(|b| matches!(b, b' ' | b'\t' | b'\n' | 0)));
        }
        if let Some(entry) = Misc::parse(lines.as_bytes()) {
            entry.matches(&parsed.head, &rest);
        }
    }

    #[test]
    fn no_header_is_too_strange(
        name in prop::collection::vec(any::<u8>(), 0..40),
        small: bool,
        changes in prop::collection::vec((0..130_usize, any::<u8>()), 0..6),
    ) {
        let mut file = if small { elf32(&name) } else { elf64(&name) };
        for (at, byte) in changes {
            let length = file.len();
            file[at % length] = byte;
        }
        if let Format::Elf { loader: Some(loader) } = parse(&file).format {
            prop_assert!(loader.len() < 4096 && !loader.contains(&0));
        }
    }
}
