//! The side of the process that takes over: it asks the node that serves for its sockets, loads everything, says so, and
//! touches no connection before it is told to go. Whatever fails before that costs nobody anything.

use super::line::{Descriptor, Line, PROTOCOL, Said, Unheard, is_nobody};
use super::{GO_TIME, Sockets, YOURS_TIME, before::Before, socket, unit};
use anyhow::{Context, bail};
use rustix::process::geteuid;
use std::fs::File;
use std::io::Write;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long the node waits with its sockets.
const SOCKETS_TIME: Duration = Duration::from_secs(10);
const LIVES: &str = "it closed the line, and nothing says that it has ended";
/// The one word on the first stdout of a detached successor, for whoever started it.
pub(in crate::app) const TAKEN_OVER: &str = "taken over\n";

/// How a node takes over from the one that runs.
#[derive(Clone, Copy, Debug)]
pub struct TakeOver {
    /// How long it may take until it is ready, at most 10 min. The node that runs goes on after that.
    pub within: Duration,
    /// Whether it leaves the terminal of whoever started it, and writes where the node before it does.
    pub detached: bool,
}

/// A take-over under way.
pub(in crate::app) struct Succession {
    line: Line,
    path: PathBuf,
    private: Option<UnixListener>,
    /// Where the node before writes.
    outputs: Option<(OwnedFd, OwnedFd)>,
    /// Whoever waits to hear of it.
    report: Option<File>,
    pub(in crate::app) notify_socket: Option<String>,
    /// The process of the node before.
    pid: u32,
    before: Before,
    /// Whether the node before is gone.
    alone: bool,
}

/// How it ended.
pub(in crate::app) enum Concluded {
    Yours(Line),
    /// The process of the node before is gone, in the midst of it. All is ours as well.
    Alone,
    /// The node as a whole was told to end: both do.
    Ending,
    /// The node before goes on.
    Refused(String),
}

impl Succession {
    /// Asks the node that runs on this data folder for its listening sockets.
    pub(in crate::app) fn begin(data_dir: &Path, take_over: TakeOver) -> anyhow::Result<(Self, Sockets)> {
        let path = data_dir.join(socket::FILE);
        let stream = UnixStream::connect(&path).map_err(|error| match is_nobody(&error) {
            true => anyhow::anyhow!(
                "no node runs on `{}` (nobody listens at `{}`): there is nothing to take over; start one without \
                 `--take-over`",
                data_dir.display(),
                path.display()
            ),
            false => anyhow::Error::from(error).context(format!("the node at `{}` cannot be asked", path.display())),
        })?;
        let mut line = Line::new(stream);
        let (user, own) = (line.user()?, geteuid().as_raw());
        if user != own {
            bail!("the node that runs is user {user}'s, and this process is user {own}'s: run it as that user");
        }
        let within_ms = u64::try_from(take_over.within.as_millis()).unwrap_or(u64::MAX);
        let version = env!("CARGO_PKG_VERSION").to_owned();
        line.say(&Said::Hello { protocol: PROTOCOL, version, pid: std::process::id(), within_ms }, &[])?;
        let (version, pid, descriptors, notify_socket) = match line.hear(SOCKETS_TIME) {
            Ok(Said::Sockets { version, pid, descriptors, notify_socket }) => {
                (version, pid, descriptors, notify_socket)
            }
            Ok(Said::Refused { reason }) => bail!("the node that runs refuses: {reason}"),
            Ok(_) => bail!("the node that runs said something else than what its sockets are"),
            Err(error) => return Err(error).context("the node that runs did not hand over its sockets"),
        };
        tracing::info!("taking over from process {pid} (version {version})");
        // While it is there: its number cannot be another one's yet.
        let before = Before::of(pid);
        let given = line.take_descriptors();
        let mut succession =
            Self { line, path, private: None, outputs: None, report: None, notify_socket, pid, before, alone: false };
        let sockets = succession.sort(descriptors, given)?;
        if !take_over.detached {
            succession.outputs = None;
        }
        Ok((succession, sockets))
    }

    /// Which descriptor is what.
    fn sort(&mut self, names: Vec<Descriptor>, given: Vec<OwnedFd>) -> anyhow::Result<Sockets> {
        if names.len() != given.len() {
            bail!("the node that runs named {} sockets and gave {}", names.len(), given.len());
        }
        let (mut sockets, mut outputs) = (Sockets::default(), (None, None));
        for (name, descriptor) in names.into_iter().zip(given) {
            match name {
                Descriptor::Listener { listener, bind } => {
                    sockets.add(listener, bind, TcpListener::from(descriptor));
                }
                Descriptor::Node => self.private = Some(UnixListener::from(descriptor)),
                Descriptor::Stdout => outputs.0 = Some(descriptor),
                Descriptor::Stderr => outputs.1 = Some(descriptor),
            }
        }
        self.outputs = outputs.0.zip(outputs.1);
        Ok(sockets)
    }

    /// Fails where the node would end with the process before: with its container, or because the service manager of that
    /// one would not follow it to this process, `is_told` of none of its own.
    pub(in crate::app) fn require_place(&self, is_told: bool) -> anyhow::Result<()> {
        let read = |file: String| std::fs::read_to_string(Path::new("/proc").join(file));
        let told = |file: &str| read(format!("{}/{file}", self.pid)).unwrap_or_default();
        let (status, arguments, first) =
            (told("status"), told("cmdline"), read("1/comm".to_owned()).unwrap_or_default());
        if let Some(reason) = unit::ends_container(&unit::Process { pid: self.pid, status, arguments, first }) {
            bail!(reason);
        }
        if is_told {
            return Ok(());
        }
        let cgroup = |process: &str| std::fs::read_to_string(format!("/proc/{process}/cgroup")).ok();
        let (before, own) = (cgroup(&self.pid.to_string()), cgroup("self"));
        let reason = unit::leaves(self.notify_socket.as_deref(), before.as_deref(), own.as_deref());
        reason.map_or(Ok(()), |reason| Err(anyhow::Error::msg(reason)))
    }

    /// Says that everything is loaded, and waits until it is our turn.
    pub(in crate::app) fn await_go(&mut self) -> anyhow::Result<()> {
        self.line.say(&Said::Ready, &[])?;
        match self.line.hear(GO_TIME) {
            Ok(Said::Go) => {}
            Ok(Said::Refused { reason }) => bail!("the node that runs goes on: {reason}"),
            Ok(_) => bail!("the node that runs said something else than `go`"),
            Err(Unheard::Closed) if self.before.is_gone() => {
                tracing::warn!("the node before has ended; its sockets are served from here at once");
                self.alone = true;
            }
            Err(Unheard::Closed) => bail!("the node that runs goes on: {LIVES}"),
            Err(error) => return Err(error).context("the node that runs did not say `go`"),
        }
        if let Some((stdout, stderr)) = self.outputs.take() {
            self.report = Some(File::from(rustix::io::fcntl_dupfd_cloexec(std::io::stdout().as_fd(), 3)?));
            rustix::stdio::dup2_stdout(&stdout)?;
            rustix::stdio::dup2_stderr(&stderr)?;
        }
        Ok(())
    }

    /// Tells the node before why nothing comes of it.
    pub(in crate::app) fn fail(&mut self, error: &anyhow::Error) {
        // It may be gone, or have heard enough.
        let _ = self.line.say(&Said::Failed { reason: format!("{error:#}") }, &[]);
    }

    /// The line to the node before, for whoever has to tell it that all of the node is to end.
    pub(in crate::app) fn another(&self) -> Option<UnixStream> {
        if self.alone { None } else { self.line.another().ok() }
    }

    /// The private socket, ours from now on.
    pub(in crate::app) fn take_private(&mut self) -> Option<socket::Private> {
        let listener = self.private.take()?;
        Some(socket::Private { listener, path: self.path.clone() })
    }

    /// Says that connections are taken here, and waits until the node before takes none.
    pub(in crate::app) fn conclude(mut self) -> Concluded {
        let said = if self.alone { Err(Unheard::Closed) } else { self.hear_yours() };
        let concluded = match said {
            Ok(Said::Yours) => Concluded::Yours(self.line),
            Ok(Said::Ending) => return Concluded::Ending,
            Ok(Said::Refused { reason }) => return Concluded::Refused(reason),
            Ok(_) => return Concluded::Refused("it says what nobody understands".to_owned()),
            Err(Unheard::Closed) if self.before.is_gone() => Concluded::Alone,
            Err(Unheard::Closed) => return Concluded::Refused(LIVES.to_owned()),
            // It may only stand still, and goes on when it wakes. Two at it would be worse than one of yesterday.
            Err(error) => return Concluded::Refused(error.to_string()),
        };
        if let Some(mut report) = self.report {
            // Whoever started this may have lost patience.
            let _ = report.write_all(TAKEN_OVER.as_bytes());
        }
        concluded
    }

    fn hear_yours(&mut self) -> Result<Said, Unheard> {
        // Where it has closed the line, what it said before still lies there: that it goes on, if it does.
        let _ = self.line.say(&Said::Serving, &[]);
        self.line.hear(YOURS_TIME)
    }
}
