//! Sockets: contacts with the world outside the tree, names made by bind, descriptors that arrive.

use super::*;
use crate::table::Decoder;

/// `AF_UNIX`, `AF_INET`, `AF_INET6` and `AF_UNSPEC` of <bits/socket.h>.
const UNSPEC: u16 = libc::AF_UNSPEC as u16;
const UNIX: u16 = libc::AF_UNIX as u16;
const INET: u16 = libc::AF_INET as u16;
const INET6: u16 = libc::AF_INET6 as u16;

/// A socket address as far as it matters here.
enum Address {
    /// A name in the file system.
    Named(Vec<u8>),
    /// A name of its own kind, or none.
    Abstract(Vec<u8>),
    /// `address:port`.
    Internet(String),
    Other,
}

fn parse(raw: &[u8]) -> Address {
    let Some((family, rest)) = raw.split_first_chunk::<2>() else { return Address::Other };
    match u16::from_ne_bytes(*family) {
        UNIX => match rest.split_first() {
            None => Address::Other,
            Some((0, name)) => Address::Abstract([b"@", name].concat()),
            Some(_) => Address::Named(rest.split(|b| *b == 0).next().unwrap_or(&[]).to_vec()),
        },
        INET if rest.len() >= 6 => {
            let port = u16::from_be_bytes([rest[0], rest[1]]);
            Address::Internet(format!("{}.{}.{}.{}:{port}", rest[2], rest[3], rest[4], rest[5]))
        }
        INET6 if rest.len() >= 22 => {
            let port = u16::from_be_bytes([rest[0], rest[1]]);
            let mut octets = [0u8; 16];
            octets.copy_from_slice(&rest[6..22]);
            Address::Internet(format!("[{}]:{port}", std::net::Ipv6Addr::from(octets)))
        }
        UNSPEC => Address::Other,
        // netlink, packet, vsock, …: netlink answers from the kernel; others are devices.
        _ => Address::Other,
    }
}

/// The calls behind socketcall(2), <linux/net.h>, as the decoders of the calls they stand for.
fn multiplexed(number: u64) -> Option<(Decoder, usize)> {
    Some(match number {
        2 => (Decoder::Bind { fd: 0, addr: 1, len: 2 }, 3),
        3 => (Decoder::Connect { fd: 0, addr: 1, len: 2 }, 3),
        11 => (Decoder::SendTo { fd: 0, addr: 4, len: 5 }, 6),
        16 => (Decoder::SendMsg { fd: 0, msg: 1 }, 3),
        17 => (Decoder::ReceiveMsg { fd: 0, msg: 1 }, 3),
        19 => (Decoder::ReceiveMmsg { fd: 0, msgs: 1, count: 2 }, 5),
        20 => (Decoder::SendMmsg { fd: 0, msgs: 1, count: 2 }, 4),
        _ => return None,
    })
}

/// Offsets in `struct msghdr` by size of a pointer: name, namelen, control, controllen, size.
const fn header_layout(pointer: usize) -> [usize; 5] {
    if pointer == 8 { [0, 8, 32, 40, 56] } else { [0, 4, 16, 20, 28] }
}

impl Tracer<'_, '_> {
    fn word(&mut self, tid: i32, addr: u64, size: usize) -> Option<u64> {
        let mut raw = [0; 8];
        let known = self.read_exact(tid, addr, &mut raw[..size]);
        known.then(|| u64::from_le_bytes(raw))
    }

    fn address(&mut self, tid: i32, addr: u64, len: u64) -> Option<Address> {
        // sizeof(struct sockaddr_storage)
        let mut raw = [0; 128];
        let len = usize::try_from(len).ok().filter(|len| *len <= raw.len())?;
        (len >= 2 && self.read_exact(tid, addr, &mut raw[..len])).then(|| parse(&raw[..len]))
    }

    /// For socketcall: the call it stands for, with its arguments in the place of its own.
    fn unfold(&mut self, tid: i32, decoder: Decoder, p: &mut Pending) -> Option<Decoder> {
        if decoder != Decoder::SocketCall {
            return Some(decoder);
        }
        let (inner, count) = multiplexed(p.args[0])?;
        let (words, mut args) = (p.args[1], [0; 6]);
        for (i, arg) in args.iter_mut().enumerate().take(count) {
            *arg = self.word(tid, words + 4 * i as u64, 4)?;
        }
        p.args = args;
        Some(inner)
    }

    pub(super) fn socket_entry(
        &mut self,
        tid: i32,
        decoder: Decoder,
        p: &mut Pending,
    ) -> io::Result<Option<Next>> {
        let Some(decoder) = self.unfold(tid, decoder, p) else { return Ok(None) };
        p.socket = Some(decoder);
        let arg = |i: u8| p.args[usize::from(i)];
        let pointer = p.abi.pointer();
        let [name, namelen, _, controllen, _] = header_layout(pointer).map(|n| n as u64);
        let address = match decoder {
            Decoder::Connect { addr, len, .. }
            | Decoder::SendTo { addr, len, .. }
            | Decoder::Bind { addr, len, .. } => {
                let (addr, len) = (arg(addr), arg(len) & 0xffff_ffff);
                self.address(tid, addr, len)
            }
            Decoder::SendMsg { msg, .. } | Decoder::SendMmsg { msgs: msg, .. } => {
                let msg = arg(msg);
                let addr = self.word(tid, msg + name, pointer).unwrap_or(0);
                let len = self.word(tid, msg + namelen, 4).unwrap_or(0);
                if addr == 0 {
                    return Ok(None);
                }
                self.address(tid, addr, len)
            }
            Decoder::ReceiveMsg { msg, .. } => {
                let room = self.word(tid, arg(msg) + controllen, pointer).unwrap_or(0);
                return Ok((room > 0).then_some(Next::ToExit));
            }
            Decoder::ReceiveMmsg { .. } => return Ok(Some(Next::ToExit)),
            _ => return Ok(None),
        };
        match address {
            Some(Address::Named(text)) => {
                p.looks[0].text = text;
                let follow = !matches!(decoder, Decoder::Bind { .. });
                self.look(tid, Base::Cwd, follow, &mut p.looks[0]);
            }
            Some(Address::Abstract(name)) => {
                if let Decoder::Connect { .. } = decoder
                    && self.part_signal(tid, &name)
                {
                    return Ok(None);
                }
                p.looks[1].text = name;
            }
            Some(Address::Internet(text)) => {
                p.looks[1].text = text.into_bytes();
                p.existed = true;
            }
            Some(Address::Other) | None => return Ok(None),
        }
        Ok(Some(Next::ToExit))
    }

    pub(super) fn socket_exit(&mut self, tid: i32, p: &mut Pending, rval: i64) -> io::Result<()> {
        let Some(decoder) = p.socket else { return Ok(()) };
        let tgid = self.tasks[&tid].tgid;
        let errno = if rval < 0 { -rval as u16 } else { 0 };
        let Some(id) = self.process_of(tid) else { return Ok(()) };
        let named = !p.looks[0].path.is_empty();
        match decoder {
            Decoder::ReceiveMsg { msg, .. } if rval >= 0 => {
                let at = p.args[usize::from(msg)];
                self.receive(tid, at, p);
            }
            Decoder::ReceiveMmsg { msgs, .. } if rval > 0 => {
                let pointer = p.abi.pointer();
                // struct mmsghdr: a msghdr and an int, padded.
                let size = header_layout(pointer)[4] + pointer;
                let first = p.args[usize::from(msgs)];
                for i in 0..rval as u64 {
                    self.receive(tid, first + i * size as u64, p);
                }
            }
            Decoder::ReceiveMsg { .. } | Decoder::ReceiveMmsg { .. } => {}
            Decoder::Bind { .. } => {
                if named && errno == 0 {
                    self.emit_hops(tgid, p.call(), &p.looks[0].hops);
                    let fact = Fact {
                        kind: Kind::Write,
                        op: Op::Mknod,
                        path: &p.looks[0].path,
                        requested: &p.looks[0].requested,
                        other: &[],
                        errno: 0,
                        flags: 0,
                        object: libc::S_IFSOCK,
                    };
                    self.emit(tgid, p.call(), &fact);
                    self.log.bound(id, &p.looks[0].path);
                } else if named {
                    self.emit_probe(tgid, p.call(), &p.looks[0], Op::Stat, errno, 0);
                } else if errno == 0 && !p.existed {
                    self.log.bound(id, &p.looks[1].text);
                } else if p.existed {
                    self.log.note(id, HostKind::Network, &p.looks[1].text, errno);
                }
            }
            _ => {
                if named {
                    self.emit_probe(tgid, p.call(), &p.looks[0], Op::Stat, 0, 0);
                }
                let name = if named { &p.looks[0].path } else { &p.looks[1].text };
                let kind = if p.existed { HostKind::Network } else { HostKind::UnixSocket };
                self.log.contact(id, kind, name, errno);
            }
        }
        Ok(())
    }

    /// Looks for descriptors in the control messages of a received message (unix(7)).
    fn receive(&mut self, tid: i32, msg: u64, p: &Pending) {
        let pointer = p.abi.pointer();
        let [_, _, control, controllen, _] = header_layout(pointer).map(|n| n as u64);
        let Some(addr) = self.word(tid, msg + control, pointer) else { return };
        let Some(len) = self.word(tid, msg + controllen, pointer) else { return };
        // SCM_MAX_FD 253 descriptors and credentials fit in this many times over.
        let mut raw = vec![0; usize::try_from(len).unwrap_or(0).min(16 * 1024)];
        if raw.is_empty() || !self.read_exact(tid, addr, &mut raw) {
            return;
        }
        let mut rest = raw.as_slice();
        // struct cmsghdr: length (of a pointer's size), level, type, data; aligned to it.
        while rest.len() >= pointer + 8 {
            let mut length = [0; 8];
            length[..pointer].copy_from_slice(&rest[..pointer]);
            let length = u64::from_le_bytes(length) as usize;
            if length < pointer + 8 || length > rest.len() {
                break;
            }
            let int = |at: usize| {
                i32::from_le_bytes([rest[at], rest[at + 1], rest[at + 2], rest[at + 3]])
            };
            if int(pointer) == libc::SOL_SOCKET && int(pointer + 4) == libc::SCM_RIGHTS {
                for fd in rest[pointer + 8..length].chunks_exact(4) {
                    let fd = i32::from_le_bytes([fd[0], fd[1], fd[2], fd[3]]);
                    self.taken(tid, fd, Op::Received, p.call());
                }
            }
            let step = length.next_multiple_of(pointer);
            rest = rest.get(step..).unwrap_or(&[]);
        }
    }
}
