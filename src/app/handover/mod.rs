//! From one process of a node to the next, without a connection lost: a binary upgrade that can be taken back until the
//! last moment.
//!
//! ```text
//! successor                              the node that serves (it takes connections until it has said `yours`)
//!   hello (handshake, pid, within)  ->
//!                                   <-   sockets (listeners, the private socket, stdout, stderr as descriptors)
//!   loads configuration, store, tables
//!   ready                           ->   watches it for PROBATION: a process that lives, and touches no connection
//!                                   <-   go
//!   takes connections
//!   serving                         ->   watches it for SIDE_BY_SIDE: both take connections
//!                                   <-   yours; takes none any more, drains, ends
//! ```
//!
//! Whatever happens before `yours` (an end, a silence, a word that nobody understands) changes nothing in the node that
//! serves, but `ending`: a successor that is told to end once it takes connections (TERM, a drain) says so, and both end.
//! Before `go` it costs no connection either. `line.rs` is what is said, `keeper.rs` the node's side,
//! `successor.rs` the other one, `socket.rs` where they meet, `stage.rs` what the rest of a node must know of it.

mod activation;
mod before;
mod keeper;
mod line;
mod socket;
mod stage;
mod successor;
mod unit;
mod upgrade;

pub(super) use activation::passed;
pub(super) use keeper::Keeper;
pub(super) use line::Descriptor;
pub(super) use socket::{Private, make as make_private_socket};
pub(super) use stage::{Doors, Neighbour, Stage};
pub use successor::TakeOver;
pub(super) use successor::{Concluded, Succession};
pub use upgrade::{UpgradeOptions, upgrade};

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::time::Duration;

/// How long a successor that is ready is watched before it may touch a connection.
const PROBATION: Duration = Duration::from_secs(1);
/// How long both take connections before the one before lets go.
const SIDE_BY_SIDE: Duration = Duration::from_millis(500);
/// From `go` to `serving`.
const SERVE_TIME: Duration = Duration::from_secs(10);
/// From `ready` to `go`, and from `serving` to `yours`: far longer than they are.
const GO_TIME: Duration = Duration::from_secs(30);
const YOURS_TIME: Duration = Duration::from_secs(30);

/// Listening sockets that came from elsewhere, each for the address that a configuration names.
#[derive(Debug, Default)]
pub(super) struct Sockets(Vec<(String, SocketAddr, TcpListener)>);

impl Sockets {
    pub(super) fn add(&mut self, listener: String, bind: SocketAddr, socket: TcpListener) {
        self.0.push((listener, bind, socket));
    }

    /// The first one of this listener for this address.
    pub(super) fn take(&mut self, listener: &str, bind: SocketAddr) -> Option<TcpListener> {
        let at = self.0.iter().position(|(name, address, _)| name == listener && *address == bind)?;
        Some(self.0.remove(at).2)
    }

    /// Those that nobody took, in words.
    pub(super) fn left(&self) -> Vec<String> {
        self.0.iter().map(|(listener, bind, _)| format!("{listener} {bind}")).collect()
    }
}

/// A clone of a listening socket, to be handed over.
pub(super) fn keep(listener: &str, bind: SocketAddr, socket: &TcpListener) -> std::io::Result<(Descriptor, OwnedFd)> {
    let name = Descriptor::Listener { listener: listener.to_owned(), bind };
    Ok((name, OwnedFd::from(socket.try_clone()?)))
}
