//! Listening sockets that a service manager opened (`LISTEN_FDS`): a port below 1024 without a privilege, and callers
//! that wait instead of being refused while the node is not there.
//!
//! Each is called after its listener (`FileDescriptorName=edge`, `control`, `metrics`), and is used where the configuration
//! binds the very address that it listens on.

use super::Sockets;
use anyhow::{Context, bail};
use listenfd::ListenFd;

const LISTENERS: [&str; 3] = ["edge", "control", "metrics"];

/// What was passed to this process. `names` is `LISTEN_FDNAMES`.
pub(in crate::app) fn passed(names: Option<&str>) -> anyhow::Result<Sockets> {
    let (mut passed, mut sockets) = (ListenFd::from_env(), Sockets::default());
    let mut names = names.unwrap_or_default().split(':');
    for at in 0..passed.len() {
        let name = names.next().unwrap_or_default();
        if !LISTENERS.contains(&name) {
            bail!("a socket was passed that is called `{name}`: say FileDescriptorName=edge, control or metrics");
        }
        let socket = passed.take_tcp_listener(at).with_context(|| format!("the socket passed as `{name}`"))?;
        let socket = socket.with_context(|| format!("the socket passed as `{name}` is not there"))?;
        let address = socket.local_addr().with_context(|| format!("the socket passed as `{name}`"))?;
        sockets.add(name.to_owned(), address, socket);
    }
    Ok(sockets)
}
