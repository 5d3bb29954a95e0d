//! Writes and reads a recording of 10,000 processes and a million accesses, and prints what each
//! step takes: `cargo run --release -p airtight-recording --example million`.
//!
//! Each step runs in a process of its own, so that its peak memory is its own.
#![expect(clippy::print_stdout, reason = "this is a program for people")]

use airtight_recording::binary::{Digester, Reader, Writer};
use airtight_recording::{
    Access, BinarySource, Completeness, Event, Exit, Header, Image, Kind, Op, PathId, ProcessId,
    Recording, Sink, json,
};
use std::fs::File;
use std::io::{self, BufReader, BufWriter};
use std::path::Path;
use std::process::Command;
use std::time::Instant;
use std::{env, error, fs};

const PROCESSES: u32 = 10_000;
const ACCESSES: u32 = 100;

type Result<T> = std::result::Result<T, Box<dyn error::Error>>;

/// Puts the events of a made-up build: each process reads some files of its own, many that all
/// read, and probes for what is not there.
fn build(sink: &mut dyn Sink) -> io::Result<()> {
    sink.put(&Event::Header(&Header { backend: "none".into(), ..Header::default() }))?;
    let mut paths = 0;
    let mut path = |sink: &mut dyn Sink, name: String| {
        paths += 1;
        sink.put(&Event::Path(PathId(paths), name.as_bytes())).map(|()| PathId(paths))
    };
    let names = ["openat", "newfstatat", "readlink", "access"];
    for (index, name) in (1u16..).zip(names) {
        sink.put(&Event::Syscall(index, name))?;
    }
    let exe = path(sink, "/usr/lib/gcc/x86_64-linux-gnu/12/cc1".into())?;
    let cwd = path(sink, "/home/someone/project".into())?;
    let mut shared = Vec::new();
    for i in 0..2000 {
        shared.push(path(sink, format!("/usr/include/library/part{}/header{i}.h", i % 37))?);
    }
    let mut seq = 0;
    for id in 0..PROCESSES {
        let parent = (id > 0).then_some(ProcessId(id / 8));
        let process = ProcessId(id);
        sink.put(&Event::Process { id: process, parent, pid: 1000 + id, seq })?;
        let argv = ["cc1", "-quiet", "-O2", "-o"].map(|word| word.as_bytes().to_vec());
        let mut argv = argv.to_vec();
        argv.push(format!("/tmp/cc{id:06}.s").into_bytes());
        sink.put(&Event::Image(process, &Image { seq: seq + 1, exe, argv, cwd, env: Vec::new() }))?;
        for i in 0..ACCESSES {
            let absent = i % 5 == 0;
            let target = match i % 10 {
                0 => {
                    path(sink, format!("/home/someone/project/src/dir{}/file{id}_{i}.c", id % 97))?
                }
                _ => shared[(id as usize * 7 + i as usize * 13) % shared.len()],
            };
            seq += 3;
            sink.put(&Event::Access(&Access {
                process,
                path: target,
                requested: if i % 7 == 0 { shared[i as usize] } else { PathId::NONE },
                other: PathId::NONE,
                kind: if absent { Kind::Probe } else { Kind::Read },
                op: if absent { Op::Stat } else { Op::Open },
                errno: if absent { 2 } else { 0 },
                syscall: (i % 4 + 1) as u16,
                flags: 0o2_000_000,
                object: if absent { 0 } else { 0o100_000 },
                count: 1 + i % 3,
                first: seq,
                last: seq + u64::from(i % 3),
            }))?;
        }
        sink.put(&Event::Exit(process, seq, Exit::Code(0)))?;
    }
    sink.put(&Event::End(&Completeness::Complete))
}

fn step(name: &str, binary: &Path, text: &Path) -> Result<()> {
    let open = |path| File::open(path).map(BufReader::new);
    match name {
        "make events only" => {
            struct Nothing;
            impl Sink for Nothing {
                fn put(&mut self, _: &Event<'_>) -> io::Result<()> {
                    Ok(())
                }
            }
            build(&mut Nothing)?;
        }
        "digest" => {
            let mut digester = Digester::default();
            build(&mut digester)?;
            digester.finish()?;
        }
        "write binary" => {
            let mut writer = Writer::new(File::create(binary)?)?;
            build(&mut writer)?;
            writer.finish()?;
        }
        "stream binary" => {
            let mut reader = Reader::new(open(binary)?)?;
            while reader.next_event()?.is_some() {}
        }
        "binary to JSON" => {
            let out = BufWriter::new(File::create(text)?);
            json::write(BinarySource::new(File::open(binary)?), out)?;
        }
        "read binary" => drop(Recording::read(open(binary)?)?),
        "read binary and index" => {
            let (recording, _) = Recording::read(open(binary)?)?;
            let index = recording.index();
            let written = index.by_path().filter(|(path, _)| index.first_write(*path).is_some());
            assert_eq!(written.count(), 0);
        }
        "read JSON" => drop(Recording::read(open(text)?)?),
        other => return Err(format!("no step {other}").into()),
    }
    Ok(())
}

const STEPS: [&str; 8] = [
    "make events only",
    "digest",
    "write binary",
    "stream binary",
    "binary to JSON",
    "read binary",
    "read binary and index",
    "read JSON",
];

fn main() -> Result<()> {
    let directory = env::temp_dir().join("airtight-million");
    let (binary, text) = (directory.join("million.atrec"), directory.join("million.json"));
    if let Some(name) = env::args().nth(1) {
        let start = Instant::now();
        step(&name, &binary, &text)?;
        let time = start.elapsed();
        let status = fs::read_to_string("/proc/self/status")?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("?");
        println!("{name:22} {:8.0} ms, peak {}", time.as_secs_f64() * 1000.0, peak.trim());
        return Ok(());
    }
    fs::create_dir_all(&directory)?;
    for name in STEPS {
        if !Command::new(env::current_exe()?).arg(name).status()?.success() {
            return Err(format!("{name}: failed").into());
        }
    }
    for file in [&binary, &text] {
        println!("{:22} {:8} bytes", file.display(), fs::metadata(file)?.len());
    }
    fs::remove_dir_all(&directory)?;
    Ok(())
}
