//! Calls that name files, or change one through its descriptor.

use super::Decoder::*;
use super::When::{Entry, Exit};
use super::decoder::REQUESTS;
use super::{At, Follow, Only, Row, Rule, Test, rows, trace};
use airtight_recording::Op;

/// A path relative to the current directory.
const fn path(path: u8) -> At {
    At { dir: None, path }
}

/// A path relative to the directory in an argument.
const fn at(dir: u8, path: u8) -> At {
    At { dir: Some(dir), path }
}

const AT_SYMLINK_NOFOLLOW: u32 = 0x100;
const AT_SYMLINK_FOLLOW: u32 = 0x400;
const IN_DONT_FOLLOW: u32 = 0x0200_0000;
const FAN_MARK_DONT_FOLLOW: u32 = 0x4;

const fn nofollow(arg: u8) -> Follow {
    Follow::Unless(arg, AT_SYMLINK_NOFOLLOW)
}

const OPENS: &str = "its end tells whether it opened, and the descriptor tells what";
const CHANGES: &str = "changes the file system only if it succeeds";
const LOOKS: &str = "a look at the name tells what the call will find";
const BY_FD: &str = "changes a file through a descriptor, perhaps one opened for reading";
const MOVES: &str = "relative names mean something else if it succeeds";

const fn stat(at: At, follow: Follow) -> Rule {
    trace(Probe { at, follow, op: Op::Stat, empty: None }, Entry, LOOKS)
}

/// A look-up that takes `AT_EMPTY_PATH` in argument `flags`.
const fn stat_or_fd(at: At, follow: Follow, flags: u8) -> Rule {
    trace(Probe { at, follow, op: Op::Stat, empty: Some(flags) }, Entry, LOOKS)
}

/// As before; since Linux 6.11 a null path is an empty one, which the filter can see.
const fn stat_or_null(at: At, follow: Follow, flags: u8) -> Rule {
    const NAMED: &[Test] = &[Test::word_not(1, 0)];
    stat_or_fd(at, follow, flags).only(Only::All(NAMED))
}

const fn check(at: At, follow: Follow, empty: Option<u8>) -> Rule {
    trace(Probe { at, follow, op: Op::Check, empty }, Entry, LOOKS)
}

const fn metadata(at: At, follow: Follow, empty: Option<u8>) -> Rule {
    trace(Metadata { at, follow, empty }, Exit, CHANGES)
}

const fn fd_metadata() -> Rule {
    trace(FdMetadata { fd: 0 }, Exit, BY_FD)
}

const fn fd_truncate() -> Rule {
    trace(FdTruncate { fd: 0 }, Exit, BY_FD)
}

pub(super) const ROWS: &[Row] = rows! {
    open 2 5 _ => trace(Open { at: path(0), flags: 1 }, Exit, OPENS);
    openat 257 295 56 => trace(Open { at: at(0, 1), flags: 2 }, Exit, OPENS);
    openat2 437 437 437 => trace(OpenHow { at: at(0, 1), how: 2 }, Exit, OPENS);
    creat 85 8 _ => trace(Creat { at: path(0) }, Exit, OPENS);
    open_by_handle_at 304 342 265 => trace(OpenHandle { flags: 2 }, Exit, OPENS);

    stat 4 106 _ => stat(path(0), Follow::Always);
    lstat 6 107 _ => stat(path(0), Follow::Never);
    oldstat _ 18 _ => stat(path(0), Follow::Always);
    oldlstat _ 84 _ => stat(path(0), Follow::Never);
    stat64 _ 195 _ => stat(path(0), Follow::Always);
    lstat64 _ 196 _ => stat(path(0), Follow::Never);
    newfstatat 262 _ 79 => stat_or_null(at(0, 1), nofollow(3), 3);
    fstatat64 _ 300 _ => stat_or_null(at(0, 1), nofollow(3), 3);
    statx 332 383 291 => stat_or_null(at(0, 1), nofollow(2), 2);
    access 21 33 _ => check(path(0), Follow::Always, None);
    faccessat 269 307 48 => check(at(0, 1), Follow::Always, None);
    faccessat2 439 439 439 => check(at(0, 1), nofollow(3), Some(3));
    statfs 137 99 43 => stat(path(0), Follow::Always);
    statfs64 _ 268 _ => stat(path(0), Follow::Always);
    readlink 89 85 _ => trace(Readlink { at: path(0) }, Entry, LOOKS);
    readlinkat 267 305 78 => trace(Readlink { at: at(0, 1) }, Entry, LOOKS);
    getxattr 191 229 8 => stat(path(0), Follow::Always);
    lgetxattr 192 230 9 => stat(path(0), Follow::Never);
    getxattrat 464 464 464 => stat_or_fd(at(0, 1), nofollow(2), 2);
    listxattr 194 232 11 => stat(path(0), Follow::Always);
    llistxattr 195 233 12 => stat(path(0), Follow::Never);
    listxattrat 465 465 465 => stat_or_fd(at(0, 1), nofollow(2), 2);
    file_getattr 468 468 468 => stat_or_fd(at(0, 1), nofollow(4), 4);
    name_to_handle_at 303 341 264 => stat_or_fd(at(0, 1), Follow::If(4, AT_SYMLINK_FOLLOW), 4);
    inotify_add_watch 254 292 27 => stat(path(1), Follow::Unless(2, IN_DONT_FOLLOW));
    fanotify_mark 301 _ 263 => stat(at(3, 4), Follow::Unless(1, FAN_MARK_DONT_FOLLOW));
    // The mask takes two arguments.
    fanotify_mark _ 339 _ => stat(at(4, 5), Follow::Unless(1, FAN_MARK_DONT_FOLLOW));

    mkdir 83 39 _ => trace(Mkdir { at: path(0) }, Exit, CHANGES);
    mkdirat 258 296 34 => trace(Mkdir { at: at(0, 1) }, Exit, CHANGES);
    rmdir 84 40 _ => trace(Rmdir { at: path(0) }, Exit, CHANGES);
    unlink 87 10 _ => trace(Unlink { at: path(0), flags: None }, Exit, CHANGES);
    unlinkat 263 301 35 => trace(Unlink { at: at(0, 1), flags: Some(2) }, Exit, CHANGES);
    rename 82 38 _ => trace(Rename { from: path(0), to: path(1), flags: None }, Exit, CHANGES);
    renameat 264 302 38 =>
        trace(Rename { from: at(0, 1), to: at(2, 3), flags: None }, Exit, CHANGES);
    renameat2 316 353 276 =>
        trace(Rename { from: at(0, 1), to: at(2, 3), flags: Some(4) }, Exit, CHANGES);
    link 86 9 _ => trace(Link { from: path(0), to: path(1), flags: None }, Exit, CHANGES);
    linkat 265 303 37 =>
        trace(Link { from: at(0, 1), to: at(2, 3), flags: Some(4) }, Exit, CHANGES);
    symlink 88 83 _ => trace(Symlink { text: 0, at: path(1) }, Exit, CHANGES);
    symlinkat 266 304 36 => trace(Symlink { text: 0, at: at(1, 2) }, Exit, CHANGES);
    mknod 133 14 _ => trace(Mknod { at: path(0), mode: 1 }, Exit, CHANGES);
    mknodat 259 297 33 => trace(Mknod { at: at(0, 1), mode: 2 }, Exit, CHANGES);
    truncate 76 92 45 => trace(Truncate { at: path(0) }, Exit, CHANGES);
    truncate64 _ 193 _ => trace(Truncate { at: path(0) }, Exit, CHANGES);

    chmod 90 15 _ => metadata(path(0), Follow::Always, None);
    fchmodat 268 306 53 => metadata(at(0, 1), Follow::Always, None);
    fchmodat2 452 452 452 => metadata(at(0, 1), nofollow(3), Some(3));
    chown 92 182 _ => metadata(path(0), Follow::Always, None);
    chown32 _ 212 _ => metadata(path(0), Follow::Always, None);
    lchown 94 16 _ => metadata(path(0), Follow::Never, None);
    lchown32 _ 198 _ => metadata(path(0), Follow::Never, None);
    fchownat 260 298 54 => metadata(at(0, 1), nofollow(4), Some(4));
    utime 132 30 _ => metadata(path(0), Follow::Always, None);
    utimes 235 271 _ => metadata(path(0), Follow::Always, None);
    futimesat 261 299 _ => metadata(at(0, 1), Follow::Always, None);
    utimensat 280 320 88 => metadata(at(0, 1), nofollow(3), Some(3));
    utimensat_time64 _ 412 _ => metadata(at(0, 1), nofollow(3), Some(3));
    setxattr 188 226 5 => metadata(path(0), Follow::Always, None);
    lsetxattr 189 227 6 => metadata(path(0), Follow::Never, None);
    setxattrat 463 463 463 => metadata(at(0, 1), nofollow(2), Some(2));
    removexattr 197 235 14 => metadata(path(0), Follow::Always, None);
    lremovexattr 198 236 15 => metadata(path(0), Follow::Never, None);
    removexattrat 466 466 466 => metadata(at(0, 1), nofollow(2), Some(2));
    file_setattr 469 469 469 => metadata(at(0, 1), nofollow(4), Some(4));

    fchmod 91 94 52 => fd_metadata();
    fchown 93 95 55 => fd_metadata();
    fchown32 _ 207 _ => fd_metadata();
    fsetxattr 190 228 7 => fd_metadata();
    fremovexattr 199 237 16 => fd_metadata();
    ioctl 16 54 29 x32 514 => trace(Ioctl { fd: 0, request: 1 }, Exit, BY_FD)
        .only(Only::OneOf { arg: 1, mask: u32::MAX, values: &REQUESTS });
    ftruncate 77 93 46 => fd_truncate();
    ftruncate64 _ 194 _ => fd_truncate();
    fallocate 285 324 47 => fd_truncate();

    chdir 80 12 49 => trace(Chdir { at: path(0) }, Exit, MOVES);
    fchdir 81 133 50 => trace(Fchdir { fd: 0 }, Exit, MOVES);
    chroot 161 61 51 => trace(Chroot { at: path(0) }, Exit, MOVES);
};
