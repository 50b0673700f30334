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
    /// How many other processes of this node serve, or are about to.
    beside: watch::Sender<usize>,
    doors: watch::Sender<Doors>,
    connections: AtomicUsize,
    /// Whether the node's work is still another process's.
    waits: AtomicBool,
}

impl Stage {
    /// How many other processes of this node serve, or are about to, beside this one: what they change must be seen soon.
    pub(in crate::app) fn beside(&self) -> watch::Receiver<usize> {
        self.beside.subscribe()
    }

    /// Another process of this node is there until this is dropped: the one before, or the one after, or both.
    pub(in crate::app) fn neighbour(self: &Arc<Self>) -> Neighbour {
        self.beside.send_modify(|count| *count += 1);
        Neighbour(Arc::clone(self))
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

/// Another process of this node.
#[derive(Debug)]
pub(in crate::app) struct Neighbour(Arc<Stage>);

impl Drop for Neighbour {
    fn drop(&mut self) {
        self.0.beside.send_modify(|count| *count -= 1);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_neighbour_goes_and_the_other_is_still_there() {
        let stage = Arc::<Stage>::default();
        let beside = stage.beside();
        let (before, after) = (stage.neighbour(), stage.neighbour());
        drop(before);
        assert_eq!(*beside.borrow(), 1);
        drop(after);
        assert_eq!(*beside.borrow(), 0);
    }
}
