//! Where a node stands between the one before it and the one after: whether another process serves beside it, and
//! whether its doors are open.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::sync::watch;

/// The doors of the control and metrics listeners. The edge has its own drain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::app) enum Doors {
    #[default]
    Open,
    /// Somebody else takes the new connections; those that are open end politely.
    Released,
    /// The node ends now.
    Ending,
}

/// Shared by all that must know.
#[derive(Debug, Default)]
pub(in crate::app) struct Stage {
    beside: watch::Sender<bool>,
    doors: watch::Sender<Doors>,
    connections: AtomicUsize,
    /// Whether the node's work is still another process's.
    waits: AtomicBool,
}

impl Stage {
    /// Whether another process of this node serves, or is about to, beside this one: what it changes must be seen soon.
    pub(in crate::app) fn beside(&self) -> watch::Receiver<bool> {
        self.beside.subscribe()
    }

    pub(in crate::app) fn set_beside(&self, beside: bool) {
        self.beside.send_replace(beside);
    }

    pub(in crate::app) fn doors(&self) -> watch::Receiver<Doors> {
        self.doors.subscribe()
    }

    /// Whether another process has this node's work now.
    pub(in crate::app) fn is_released(&self) -> bool {
        *self.doors.borrow() >= Doors::Released
    }

    /// Another process has the node's work until it lets go.
    pub(in crate::app) fn set_waits(&self, waits: bool) {
        self.waits.store(waits, Ordering::Relaxed);
    }

    /// Whether this process has the node's work.
    pub(in crate::app) fn has_work(&self) -> bool {
        !self.is_released() && !self.waits.load(Ordering::Relaxed)
    }

    pub(in crate::app) fn release(&self) {
        self.doors.send_replace(Doors::Released);
    }

    /// Ends connections beside the edge, once each has its answer.
    pub(in crate::app) async fn end(&self) {
        self.doors.send_replace(Doors::Ending);
        while self.connections.load(Ordering::Relaxed) > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }

    /// Counts a connection until it is dropped.
    pub(in crate::app) fn connection(self: &Arc<Self>) -> Counted {
        self.connections.fetch_add(1, Ordering::Relaxed);
        Counted(Arc::clone(self))
    }
}

/// A connection that is open.
#[derive(Debug)]
pub(in crate::app) struct Counted(Arc<Stage>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
