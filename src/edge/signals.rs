//! The signals that a node listens to: those that end it, and those that would end a process that does not watch them.

use std::task::{Context, Waker};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// TERM and INT.
pub struct EndSignals {
    term: Signal,
    int: Signal,
    /// Whether one came already.
    told: bool,
    /// Whether whoever has the node's work was lost with it.
    is_left_alone: Box<dyn Fn() -> bool + Send + Sync>,
}

impl EndSignals {
    /// Starts watching. Must be called inside a runtime that lives as long as the node.
    pub fn watch() -> std::io::Result<Self> {
        let (term, int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        Ok(Self { term, int, told: false, is_left_alone: Box::new(|| false) })
    }

    /// No signal is let pass once this is true of the process that has the node's work: it was lost with it.
    #[must_use]
    pub fn unless(mut self, is_left_alone: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        self.is_left_alone = Box::new(is_left_alone);
        self
    }

    /// Ends the process at the first one: it serves nobody yet. Without this the first process of a container, which gets
    /// no signal that nobody watches, would lose it.
    pub async fn end_a_start(mut self) {
        self.next().await;
        tracing::info!("told to end before it served");
        std::process::exit(0);
    }

    /// Whether one came.
    pub fn came(&mut self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        self.term.poll_recv(&mut context).is_ready() || self.int.poll_recv(&mut context).is_ready()
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
        self.told = true;
    }

    /// Waits for the one that ends a drain: the second one. A drain that was asked for otherwise (the control API, a
    /// successor) lets the first one pass: whoever sends it means the drain that goes on already. Where the successor was
    /// lost nobody serves before this process has ended, and the first one is enough.
    pub async fn enough(&mut self) {
        if !self.told {
            self.next().await;
            if (self.is_left_alone)() {
                return tracing::warn!("the process that took over is gone: the signal ends the drain");
            }
            tracing::info!("draining already; a second signal ends at once");
        }
        self.next().await;
        tracing::warn!("a second signal ends the drain");
    }
}

/// HUP, QUIT, USR1 and USR2. They end nobody, from the moment on at which this is made: not a node that is on its way
/// either, which gets them with everybody of its name.
#[derive(Debug)]
pub struct OtherSignals {
    hup: Signal,
    quit: Signal,
    usr1: Signal,
    usr2: Signal,
}

impl OtherSignals {
    /// Starts watching. Must be called inside a runtime that lives as long as the node.
    pub fn watch() -> std::io::Result<Self> {
        Ok(Self {
            hup: signal(SignalKind::hangup())?,
            quit: signal(SignalKind::quit())?,
            usr1: signal(SignalKind::user_defined1())?,
            usr2: signal(SignalKind::user_defined2())?,
        })
    }

    /// Waits for the next HUP; the others are told.
    pub(super) async fn hangup(&mut self) {
        loop {
            let ignored = tokio::select! {
                _ = self.hup.recv() => return,
                _ = self.quit.recv() => "QUIT",
                _ = self.usr1.recv() => "USR1",
                _ = self.usr2.recv() => "USR2",
            };
            tracing::info!("{ignored} is ignored; TERM drains and ends, HUP reads the files again");
        }
    }
}

/// All of them.
pub struct NodeSignals {
    /// Those that end it.
    pub end: EndSignals,
    /// Those that do not.
    pub others: OtherSignals,
}
