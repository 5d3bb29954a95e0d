use crate::adapter::files;
use crate::adapter::make::depfiles;
use nix::sys::stat::Mode;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

#[test]
fn only_regular_files_are_opened() {
    let directory = tempfile::tempdir().expect("a directory");
    let pipe = directory.path().join("a.d");
    nix::unistd::mkfifo(&pipe, Mode::S_IRWXU).expect("a pipe");
    let name = pipe.as_os_str().as_bytes().to_vec();
    // To open it would block for ever.
    let (sender, receiver) = mpsc::channel();
    let read = name.clone();
    thread::spawn(move || {
        sender.send((depfiles::read(&read).is_none(), files::read(&read).is_err()))
    });
    assert_eq!(receiver.recv_timeout(Duration::from_secs(20)), Ok((true, true)));
    fs::remove_file(&pipe).expect("removed");
    fs::write(&pipe, "a.o: a.c\n").expect("written");
    assert_eq!(depfiles::read(&name).map(|rules| rules.len()), Some(1));
}
