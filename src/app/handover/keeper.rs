//! The side of the node that serves: it keeps its listening sockets at hand for a successor, gives them to one at a
//! time, and goes on serving until that one has shown that it can.

use super::line::{Descriptor, Line, PROTOCOL, Said, Unheard};
use super::stage::{Neighbour, Stage};
use super::{PROBATION, SERVE_TIME, SIDE_BY_SIDE, socket};
use anyhow::{Context as _, bail};
use parking_lot::Mutex;
use rustix::process::geteuid;
use std::future::poll_fn;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::UnixListener;
use tokio::sync::{Notify, Semaphore};

/// Whoever connects says who it is within this time.
const HELLO_TIME: Duration = Duration::from_secs(5);
/// The longest that a successor may take to load everything.
const LONGEST: Duration = Duration::from_secs(600);
/// So many connections to the private socket are heard at once.
const HEARD_AT_ONCE: usize = 8;
const PAUSE: Duration = Duration::from_secs(1);
/// How long a connection is left to the process that takes over.
const YIELD: Duration = Duration::from_millis(10);

const DRAINS: &str = "this node is draining";

type Accepted = std::io::Result<tokio::net::UnixStream>;

/// What a node hands over, and to whom.
pub(in crate::app) struct Keeper {
    state: Mutex<State>,
    stage: Arc<Stage>,
    /// Told when the successor has the node's work: the edge drains then.
    let_go: Arc<Notify>,
    /// Told when the node as a whole is to end: the edge drains then as well.
    drain: Arc<Notify>,
    /// The node before, until that one was told that this one ends or has a successor.
    before: Mutex<Option<UnixStream>>,
    /// Told when nobody is listened to any more.
    closed: Notify,
    notify_socket: Option<String>,
    version: &'static str,
}

enum State {
    /// Nobody can take over yet.
    Unopened,
    /// The node serves; a successor may be under way.
    Serving {
        kept: Vec<(Descriptor, OwnedFd)>,
        path: Option<PathBuf>,
        successor: Option<UnixStream>,
        /// Whether that one is about to be heard in this one's place.
        yields: bool,
        /// Whether the node was told to drain: nobody takes over then.
        drains: bool,
    },
    /// The node drains.
    Closed,
    /// Another process has its work; the line to it stays open until this one is gone.
    HandedOver { line: Box<Line>, _after: Neighbour },
}

impl Keeper {
    pub(in crate::app) fn new(
        stage: Arc<Stage>,
        let_go: Arc<Notify>,
        drain: Arc<Notify>,
        notify_socket: Option<String>,
        version: &'static str,
    ) -> Self {
        let (state, before, closed) = (Mutex::new(State::Unopened), Mutex::default(), Notify::new());
        Self { state, stage, let_go, drain, before, closed, notify_socket, version }
    }

    /// The node before is told where all of the node is to end, and that whoever took over from it is not lost.
    pub(in crate::app) fn follow(&self, before: Option<UnixStream>) {
        *self.before.lock() = before;
    }

    /// Has the node drain; `false`, and nothing done, where another process has its work or is about to.
    pub(in crate::app) fn drain(&self) -> bool {
        // Under the lock: whoever takes over does so before this, or not at all.
        let mut state = self.state.lock();
        if self.is_others(&state) {
            return false;
        }
        if let State::Serving { drains, .. } = &mut *state {
            *drains = true;
        }
        self.drain.notify_one();
        true
    }

    /// Whether another process has the node's work, or is about to.
    pub(in crate::app) fn has_handed_over(&self) -> bool {
        self.is_others(&self.state.lock())
    }

    fn is_others(&self, state: &State) -> bool {
        matches!(state, State::Serving { yields: true, .. } | State::HandedOver { .. }) || self.stage.is_released()
    }

    /// Whether the node was told to end.
    pub(in crate::app) fn is_closed(&self) -> bool {
        matches!(*self.state.lock(), State::Closed)
    }

    /// Listens for successors from now on. `kept` are clones of what the node listens on. Inside a runtime.
    pub(in crate::app) fn open(self: &Arc<Self>, private: socket::Private, mut kept: Vec<(Descriptor, OwnedFd)>) {
        let socket::Private { listener, path } = private;
        let mut state = self.state.lock();
        if let State::Closed = *state {
            // It was told to end before its turn came.
            let _ = std::fs::remove_file(path);
            return;
        }
        let listener = match listener.try_clone().and_then(|clone| {
            listener.set_nonblocking(true)?;
            kept.push((Descriptor::Node, OwnedFd::from(clone)));
            UnixListener::from_std(listener)
        }) {
            Ok(listener) => listener,
            Err(error) => return tracing::warn!(%error, "no upgrades: the private socket cannot be used"),
        };
        *state = State::Serving { kept, path: Some(path), successor: None, yields: false, drains: false };
        drop(state);
        tokio::spawn(Arc::clone(self).listen(listener));
    }

    /// The node drains: nobody takes over any more, and no clone keeps a listening socket alive that nobody accepts on.
    pub(in crate::app) fn close(&self) {
        self.tell_before();
        let mut state = self.state.lock();
        if let State::Serving { path, successor, .. } = &mut *state {
            if let Some(stream) = successor.take() {
                let refused = Said::Refused { reason: "the node was told to end".to_owned() };
                let _ = Line::new(stream).say(&refused, &[]);
            }
            if let Some(path) = path {
                let _ = std::fs::remove_file(path);
            }
        }
        if !matches!(*state, State::HandedOver { .. }) {
            *state = State::Closed;
        }
        drop(state);
        self.closed.notify_one();
    }

    /// The process ends in order. Whether nobody has the node's work then, though somebody had taken it over.
    pub(in crate::app) fn end(&self) -> bool {
        self.tell_before();
        self.is_abandoned()
    }

    /// Whether the process that took over ended without a word: killed, most likely.
    pub(in crate::app) fn is_abandoned(&self) -> bool {
        matches!(&*self.state.lock(), State::HandedOver { line, .. } if line.is_lost())
    }

    fn tell_before(&self) {
        // Whoever is told may be gone already.
        if let Some(before) = self.before.lock().take() {
            let _ = Line::new(before).say(&Said::Ending, &[]);
        }
    }

    async fn listen(self: Arc<Self>, listener: UnixListener) {
        let places = Arc::new(Semaphore::new(HEARD_AT_ONCE));
        loop {
            let accepted = tokio::select! {
                accepted = poll_fn(|context| self.poll_accept(&listener, context)) => accepted,
                () = self.closed.notified() => return,
            };
            let Some(accepted) = accepted else {
                tokio::time::sleep(YIELD).await;
                continue;
            };
            let stream = accepted.and_then(|stream| {
                let stream = stream.into_std()?;
                stream.set_nonblocking(false).map(|()| stream)
            });
            match (stream, Arc::clone(&places).try_acquire_owned()) {
                (Ok(stream), Ok(place)) => {
                    let keeper = Arc::clone(&self);
                    tokio::task::spawn_blocking(move || {
                        keeper.converse(stream);
                        drop(place);
                    });
                }
                (Ok(_), Err(_)) => tracing::warn!("too many connections to the private socket; one was closed"),
                (Err(error), _) => {
                    tracing::warn!(%error, "a connection to the private socket was lost");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// `None` where the next connection is another process's to hear: they share the socket's queue.
    fn poll_accept(&self, listener: &UnixListener, context: &mut Context<'_>) -> Poll<Option<Accepted>> {
        // Under the lock: what is taken here was there before that one heard `yours`.
        match &*self.state.lock() {
            State::Serving { yields: false, .. } => {
                listener.poll_accept(context).map_ok(|(stream, _)| stream).map(Some)
            }
            State::Serving { yields: true, .. } | State::Unopened | State::Closed | State::HandedOver { .. } => {
                Poll::Ready(None)
            }
        }
    }

    /// One connection to the private socket, from its first word to the end of it.
    fn converse(&self, stream: UnixStream) {
        let mut line = Line::new(stream);
        let (pid, within) = match self.hear_hello(&mut line) {
            Ok(hello) => hello,
            Err(error) => {
                let _ = line.say(&Said::Refused { reason: format!("{error:#}") }, &[]);
                return tracing::warn!("nobody takes over: {error:#}; this node goes on serving");
            }
        };
        tracing::info!("process {pid} is about to take over");
        let after = self.stage.neighbour();
        match self.hand_over(&mut line, within) {
            Ok(()) => {
                *self.state.lock() = State::HandedOver { line: Box::new(line), _after: after };
                self.stage.release();
                // The node has its process, whatever becomes of this one.
                self.tell_before();
                self.let_go.notify_one();
                self.closed.notify_one();
                tracing::info!("process {pid} has taken over; what is still being served here ends here");
            }
            Err(error) if error.is::<Ended>() => {
                tracing::info!("process {pid} was told to end, and the node with it: this one drains as well");
                let _ = line.say(&Said::Ending, &[]);
                self.regain();
                self.drain.notify_one();
            }
            Err(error) => {
                let _ = line.say(&Said::Refused { reason: format!("{error:#}") }, &[]);
                let goes_on = if self.regain() { "goes on serving" } else { "drains" };
                tracing::warn!("process {pid} has not taken over: {error:#}; this node {goes_on}");
            }
        }
    }

    /// After a successor that came to nothing. Whether this node goes on.
    fn regain(&self) -> bool {
        match &mut *self.state.lock() {
            State::Serving { successor, yields, drains, .. } => {
                (*successor, *yields) = (None, false);
                !*drains
            }
            State::Unopened | State::Closed | State::HandedOver { .. } => false,
        }
    }

    /// Who it is, and how long it may take. From here on it is the successor.
    fn hear_hello(&self, line: &mut Line) -> anyhow::Result<(u32, Duration)> {
        let (user, own) = (line.user()?, geteuid().as_raw());
        if user != own {
            bail!("user {user} is not the one that this node runs as ({own})");
        }
        let said = line.hear(HELLO_TIME).context("the process that connected")?;
        let Said::Hello { protocol, version, pid, within_ms } = said else {
            bail!("a successor says hello first");
        };
        if protocol != PROTOCOL {
            bail!(
                "version {version} speaks handshake {protocol}, and {} speaks {PROTOCOL}: start it anew instead",
                self.version
            );
        }
        match &mut *self.state.lock() {
            State::Serving { drains: true, .. } | State::Unopened | State::Closed => bail!(DRAINS),
            State::Serving { successor: Some(_), .. } => bail!("another upgrade is under way"),
            State::Serving { successor, .. } => *successor = Some(line.another()?),
            State::HandedOver { .. } => bail!("another process has taken over from this node"),
        }
        Ok((pid, Duration::from_millis(within_ms).min(LONGEST)))
    }

    /// Everything between "hello" and "yours". Until it returns, this node takes connections as ever.
    fn hand_over(&self, line: &mut Line, within: Duration) -> anyhow::Result<()> {
        self.give_sockets(line)?;
        match line.hear(within) {
            Ok(Said::Ready) => {}
            Err(Unheard::Late) => bail!("it was not ready within {within:?}"),
            other => return Err(not(other, "ready")),
        }
        tracing::info!("the next process is ready, and is watched for {PROBATION:?}");
        // It has no connection yet, so nothing is lost with it.
        watch(line, PROBATION)?;
        line.say(&Said::Go, &[])?;
        match line.hear(SERVE_TIME) {
            Ok(Said::Serving) => {}
            other => return Err(not(other, "serving")),
        }
        watch(line, SIDE_BY_SIDE)?;
        match &mut *self.state.lock() {
            State::Serving { yields, drains: false, .. } => *yields = true,
            _ => bail!(DRAINS),
        }
        Ok(line.say(&Said::Yours, &[])?)
    }

    fn give_sockets(&self, line: &mut Line) -> anyhow::Result<()> {
        let state = self.state.lock();
        let State::Serving { kept, .. } = &*state else { bail!(DRAINS) };
        let (stdout, stderr) = (std::io::stdout(), std::io::stderr());
        let names = kept.iter().map(|(name, _)| name.clone());
        let descriptors = kept.iter().map(|(_, descriptor)| descriptor.as_fd());
        let said = Said::Sockets {
            version: self.version.to_owned(),
            pid: std::process::id(),
            descriptors: names.chain([Descriptor::Stdout, Descriptor::Stderr]).collect(),
            notify_socket: self.notify_socket.clone(),
        };
        let descriptors: Vec<_> = descriptors.chain([stdout.as_fd(), stderr.as_fd()]).collect();
        Ok(line.say(&said, &descriptors)?)
    }
}

/// The successor takes connections, and was told to end.
#[derive(Debug, thiserror::Error)]
#[error("it was told to end")]
struct Ended;

/// The successor lives on and says nothing for so long.
fn watch(line: &mut Line, time: Duration) -> anyhow::Result<()> {
    match line.hear(time) {
        Err(Unheard::Late) => Ok(()),
        other => Err(not(other, "silent")),
    }
}

fn not(heard: Result<Said, Unheard>, expected: &str) -> anyhow::Error {
    match heard {
        Ok(Said::Ending) => Ended.into(),
        Ok(Said::Failed { reason }) => anyhow::anyhow!("{reason}"),
        Ok(_) => anyhow::anyhow!("it was to be {expected} and said something else"),
        Err(error) => anyhow::anyhow!("it was to be {expected}, but {error}"),
    }
}
