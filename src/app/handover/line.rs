//! What two processes of one node say to each other on the private socket: a JSON object a line, and descriptors beside
//! it. Blocking, with a deadline on every word; whoever is at the other end may be anything.

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, recv,
    recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};
use std::io::{Error, ErrorKind, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// The version of what is said here. Another one is refused: nothing is guessed between two binaries.
pub(super) const PROTOCOL: u32 = 1;
/// The longest line.
const LINE_BYTES: usize = 64 * 1024;
/// The most descriptors of a line. The kernel takes 253.
pub(super) const MOST_DESCRIPTORS: usize = 128;
/// The other side has this long to take a line.
const WRITE_TIME: Duration = Duration::from_secs(5);

/// Everything that is ever said. Members that are not known are passed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub(super) enum Said {
    /// The successor's first word.
    Hello {
        protocol: u32,
        version: String,
        pid: u32,
        /// How long it may take until it is ready.
        within_ms: u64,
    },
    /// What it takes over, one descriptor each, in this order.
    Sockets { version: String, pid: u32, descriptors: Vec<Descriptor>, notify_socket: Option<String> },
    /// The successor has everything loaded and touches no connection yet.
    Ready,
    /// It may take connections.
    Go,
    /// It takes connections, beside the one before.
    Serving,
    /// The one before takes no more.
    Yours,
    /// The successor gives up.
    Failed { reason: String },
    /// The one before goes on, and the successor must not.
    Refused { reason: String },
    /// The node as a whole was told to end. Whoever hears it first says it too, and ends as well.
    Ending,
}

/// What one descriptor is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub(in crate::app) enum Descriptor {
    /// A listening socket: of which listener, and by which address of the configuration.
    Listener {
        listener: String,
        bind: SocketAddr,
    },
    /// The private socket itself.
    Node,
    Stdout,
    Stderr,
}

/// Why nothing was heard.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unheard {
    #[error("it ended")]
    Closed,
    #[error("it said nothing in time")]
    Late,
    #[error("it said what nobody understands")]
    Garbage,
    #[error(transparent)]
    Io(#[from] Error),
}

/// One end of the conversation.
pub(in crate::app) struct Line {
    stream: UnixStream,
    heard: Vec<u8>,
    descriptors: Vec<OwnedFd>,
}

impl Line {
    pub(super) const fn new(stream: UnixStream) -> Self {
        Self { stream, heard: Vec::new(), descriptors: Vec::new() }
    }

    /// The user at the other end, as the kernel knows it.
    pub(super) fn user(&self) -> Result<u32, Error> {
        Ok(rustix::net::sockopt::socket_peercred(&self.stream)?.uid.as_raw())
    }

    /// Says one thing, with these descriptors beside it.
    pub(super) fn say(&mut self, said: &Said, descriptors: &[BorrowedFd<'_>]) -> Result<(), Error> {
        let mut line = serde_json::to_vec(said)?;
        line.push(b'\n');
        self.stream.set_write_timeout(Some(WRITE_TIME))?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(Error::other("too many listening sockets to hand over"));
        }
        let mut rest = line.as_slice();
        while !rest.is_empty() {
            match sendmsg(&self.stream, &[IoSlice::new(rest)], &mut control, SendFlags::NOSIGNAL) {
                Ok(sent) => {
                    rest = rest.get(sent..).unwrap_or_default();
                    // They went with the first byte.
                    control.clear();
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// The next thing that is said, within this time.
    pub(super) fn hear(&mut self, within: Duration) -> Result<Said, Unheard> {
        let deadline = Instant::now() + within;
        loop {
            if let Some(end) = self.heard.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.heard.drain(..=end).collect();
                return serde_json::from_slice(&line).map_err(|_| Unheard::Garbage);
            }
            if self.heard.len() > LINE_BYTES {
                return Err(Unheard::Garbage);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Unheard::Late);
            }
            self.read(left)?;
        }
    }

    /// Waits for the other side to end, however long that takes; whatever it says is passed over.
    pub(in crate::app) fn await_end(&mut self) {
        while !matches!(self.hear(Duration::from_secs(3600)), Err(Unheard::Closed | Unheard::Io(_))) {}
    }

    /// Whether the other side is gone and left no word behind that nobody has read. At once.
    pub(super) fn is_lost(&self) -> bool {
        let read = recv(&self.stream, &mut [0; 1][..], RecvFlags::PEEK | RecvFlags::DONTWAIT);
        self.heard.is_empty() && matches!(read, Ok((_, 0)) | Err(Errno::CONNRESET))
    }

    /// The same line for somebody who only says something.
    pub(super) fn another(&self) -> Result<UnixStream, Error> {
        self.stream.try_clone()
    }

    /// What came along with what was said so far.
    pub(super) fn take_descriptors(&mut self) -> Vec<OwnedFd> {
        std::mem::take(&mut self.descriptors)
    }

    fn read(&mut self, within: Duration) -> Result<(), Unheard> {
        self.stream.set_read_timeout(Some(within))?;
        let mut bytes = [0; 4096];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = recvmsg(&self.stream, &mut [IoSliceMut::new(&mut bytes)], &mut control, RecvFlags::CMSG_CLOEXEC);
        let received = match received {
            Ok(received) => received.bytes,
            Err(Errno::INTR) => return Ok(()),
            Err(Errno::AGAIN) => return Err(Unheard::Late),
            Err(Errno::CONNRESET) => return Err(Unheard::Closed),
            Err(error) => return Err(Error::from(error).into()),
        };
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                self.descriptors.extend(descriptors);
            }
        }
        if self.descriptors.len() > MOST_DESCRIPTORS {
            return Err(Unheard::Garbage);
        }
        if received == 0 {
            return Err(Unheard::Closed);
        }
        self.heard.extend_from_slice(bytes.get(..received).unwrap_or_default());
        Ok(())
    }
}

/// Whether a connection failed because nobody listens.
pub(super) fn is_nobody(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused)
}
