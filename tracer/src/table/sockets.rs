//! Calls through which a process talks to others, and may get their descriptors.

use super::Decoder::*;
use super::When::Exit;
use super::{Only, Row, Test, pass, rows, trace};

const REACHES: &str = "its end tells whether somebody was reached";
const ARRIVES: &str = "descriptors may arrive with the message";
const CONNECTED: &str = "talks over a socket whose connecting or binding was recorded";

/// Numbers of `linux/net.h`: bind, connect, sendto, sendmsg, recvmsg, recvmmsg, sendmmsg.
const CALLS: &[u32] = &[2, 3, 11, 16, 17, 19, 20];

pub(super) const ROWS: &[Row] = rows! {
    connect 42 362 203 => trace(Connect { fd: 0, addr: 1, len: 2 }, Exit, REACHES);
    bind 49 361 200 =>
        trace(Bind { fd: 0, addr: 1, len: 2 }, Exit, "makes a name only if it succeeds");
    sendto 44 369 206 => trace(SendTo { fd: 0, addr: 4, len: 5 }, Exit, REACHES)
        .only(Only::All(&[Test::word_not(4, 0)]));
    sendmsg 46 370 211 x32 518 => trace(SendMsg { fd: 0, msg: 1 }, Exit, REACHES);
    sendmmsg 307 345 269 x32 538 =>
        trace(SendMmsg { fd: 0, msgs: 1, count: 2 }, Exit, REACHES);
    recvmsg 47 372 212 x32 519 => trace(ReceiveMsg { fd: 0, msg: 1 }, Exit, ARRIVES);
    recvmmsg 299 337 243 x32 537 =>
        trace(ReceiveMmsg { fd: 0, msgs: 1, count: 2 }, Exit, ARRIVES);
    recvmmsg_time64 _ 417 _ =>
        trace(ReceiveMmsg { fd: 0, msgs: 1, count: 2 }, Exit, ARRIVES);
    pidfd_getfd 438 438 438 =>
        trace(PidfdGetfd, Exit, "its end is a descriptor of another process");
    socketcall _ 102 _ => trace(SocketCall, Exit, REACHES)
        .only(Only::OneOf { arg: 0, mask: u32::MAX, values: CALLS });

    socket 41 359 198 => pass("reaches nobody before connect, bind or sendto");
    socketpair 53 360 199 => pass("both ends are its own");
    listen 50 363 201 => pass(CONNECTED);
    accept 43 _ 202 => pass(CONNECTED);
    accept4 288 364 242 => pass(CONNECTED);
    recvfrom 45 371 207 x32 517 => pass(CONNECTED);
    shutdown 48 373 210 => pass(CONNECTED);
    getsockname 51 367 204 => pass(CONNECTED);
    getpeername 52 368 205 => pass(CONNECTED);
    setsockopt 54 366 208 x32 541 => pass(CONNECTED);
    getsockopt 55 365 209 x32 542 => pass(CONNECTED);
};
