//! Ports that the tests' servers don't take from each other.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// A TCP port on loopback that no other server of the tests takes while this value lives.
#[derive(Debug)]
pub(crate) struct Port {
    number: u16,
    /// The name of an abstract Unix socket can be taken by one process only and is given back
    /// when that process ends, however it ends.
    _reservation: UnixListener,
}

impl Port {
    /// Below the ports that the kernel hands out to clients, which could otherwise take it
    /// between this look and the server's own bind.
    const FIRST: u16 = 12000;
    const COUNT: u16 = 20000;

    /// A port, and the listener that has shown that it is free.
    pub(crate) fn reserve() -> (Port, TcpListener) {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        // Processes start at different places, so that they don't ask for the same ones.
        let start = (std::process::id().wrapping_mul(331) % u32::from(Port::COUNT)) as u16;
        for _ in 0..Port::COUNT {
            let step = NEXT.fetch_add(1, Ordering::Relaxed) % Port::COUNT;
            let number = Port::FIRST + (start + step) % Port::COUNT;
            let name = UnixAddr::from_abstract_name(format!("airtight-test-port-{number}"));
            let Ok(reservation) = UnixListener::bind_addr(&name.expect("a short name")) else {
                continue;
            };
            if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, number)) {
                return (Port { number, _reservation: reservation }, listener);
            }
        }
        panic!("no port is free")
    }

    pub(crate) fn number(&self) -> u16 {
        self.number
    }

    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.number).into()
    }
}
