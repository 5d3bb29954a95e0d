//! Prints what a command does.
use airtight_recording::Recording;
fn main() {
    let argv: Vec<_> = std::env::args_os().skip(1).collect();
    let mut r = Recording::default();
    let c = airtight_tracer::Command { argv, env: None, cwd: None };
    let o = airtight_tracer::run(&c, airtight_tracer::Options::default(), &mut r);
    let mut out = String::new();
    r.accesses.sort_by_key(|a| (a.first, a.op));
    for a in &r.accesses {
        let s = |id| String::from_utf8_lossy(r.path(id)).into_owned();
        out += &format!(
            "{} p{} {:?}/{:?} {} req={} other={} e={} {} n={}\n",
            a.first,
            a.process.0,
            a.kind,
            a.op,
            s(a.path),
            s(a.requested),
            s(a.other),
            a.errno,
            r.syscalls[a.syscall as usize],
            a.count
        );
    }
    for p in &r.processes {
        out += &format!("{p:?}\n").chars().take(300).collect::<String>();
    }
    for h in &r.host {
        out += &format!("{h:?}\n");
    }
    out += &format!("{o:?} stamps {}\n", r.stamps.len());
    std::io::Write::write_all(&mut std::io::stderr(), out.as_bytes()).unwrap();
}
