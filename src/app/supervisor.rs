//! Telling a service manager how things stand (`sd_notify`): ready, reloading, stopping, and which process is the main
//! one. Without `NOTIFY_SOCKET` nothing is told, and what cannot be told is nobody's failure.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Whoever started the node.
#[derive(Debug)]
pub(super) struct Supervisor {
    socket: Option<String>,
}

impl Supervisor {
    /// `socket` is what `NOTIFY_SOCKET` says: a path, or `@` and an abstract name.
    pub(super) const fn new(socket: Option<String>) -> Self {
        Self { socket }
    }

    /// Where it listens, for a successor of this process.
    pub(super) fn socket(&self) -> Option<String> {
        self.socket.clone()
    }

    /// Requests are served, by this process.
    pub(super) fn serving(&self) {
        self.tell(&format!("MAINPID={}\nREADY=1\nSTATUS=serving", std::process::id()));
    }

    /// This process became the main one, and drains already.
    pub(super) fn ending(&self) {
        self.tell(&format!("MAINPID={}\nSTATUS=draining", std::process::id()));
    }

    /// A reload is over. It does not say who is the main process: that may be another one by now.
    pub(super) fn reloaded(&self) {
        self.tell("READY=1\nSTATUS=serving");
    }

    /// The files are read again; [`Supervisor::reloaded`] follows.
    pub(super) fn reloading(&self) {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let microseconds = now.tv_sec.saturating_mul(1_000_000).saturating_add(now.tv_nsec / 1_000);
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={microseconds}\nSTATUS=reloading"));
    }

    /// The node drains and ends.
    pub(super) fn stopping(&self) {
        self.tell("STOPPING=1\nSTATUS=draining");
    }

    fn tell(&self, words: &str) {
        let Some(socket) = &self.socket else { return };
        let told = (|| {
            let address = match socket.strip_prefix('@') {
                Some(name) => SocketAddr::from_abstract_name(name)?,
                None => SocketAddr::from_pathname(socket)?,
            };
            let sender = UnixDatagram::unbound()?;
            sender.set_nonblocking(true)?;
            sender.send_to_addr(words.as_bytes(), &address)
        })();
        if let Err(error) = told {
            tracing::debug!(%error, "the service manager was not told");
        }
    }
}
