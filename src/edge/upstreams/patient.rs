//! A connection whose patience changes while it is used: what is asked to become a WebSocket is waited for as long as any
//! answer, and only what has become one may be silent for longer.
//!
//! pingora has one read timeout for a whole exchange, and none of its hooks can change it once the request went out. So
//! requests that ask for a WebSocket go over a connection that counts by itself. Nobody else gets it before or after them.

use crate::edge::alarm::poll_timer;
use async_trait::async_trait;
use pingora_core::connectors::L4Connect;
use pingora_core::protocols::l4::ext;
use pingora_core::protocols::l4::socket::SocketAddr;
use pingora_core::protocols::l4::stream::Stream;
use pingora_core::protocols::l4::virt::{VirtualSockOpt, VirtualSocket, VirtualSocketStream};
use pingora_core::{Error, ErrorType, Result};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

/// How long the other end may be silent, at present.
#[derive(Debug)]
pub(in crate::edge) struct Patience {
    millis: AtomicU64,
    ran_out: AtomicBool,
}

impl Patience {
    pub(super) fn new(at_first: Duration) -> Arc<Self> {
        Arc::new(Self { millis: AtomicU64::new(super::pool::millis(at_first)), ran_out: AtomicBool::new(false) })
    }

    /// From now on it is this, for what is being waited for as well.
    pub(in crate::edge) fn set(&self, patience: Duration) {
        self.millis.store(super::pool::millis(patience), Ordering::Relaxed);
    }

    /// Whether the connection was given up because it had been silent for too long.
    pub(in crate::edge) fn ran_out(&self) -> bool {
        self.ran_out.load(Ordering::Relaxed)
    }

    fn now(&self) -> Duration {
        Duration::from_millis(self.millis.load(Ordering::Relaxed))
    }
}

/// Makes such connections.
#[derive(Debug)]
pub(super) struct Connector {
    pub(super) patience: Arc<Patience>,
    /// How long connecting may take.
    pub(super) within: Duration,
}

#[async_trait]
impl L4Connect for Connector {
    /// As pingora connects, and with the errors that it has for it.
    async fn connect(&self, address: &SocketAddr) -> Result<Stream> {
        let SocketAddr::Inet(address) = address else {
            return Err(Error::explain(ErrorType::InternalError, "upstreams have addresses of the internet"));
        };
        let connected = tokio::time::timeout(self.within, ext::connect(address, None)).await;
        let socket = connected.map_err(|_| Error::explain(ErrorType::ConnectTimedout, "connecting took too long"))?;
        let socket = socket.map_err(|error| match error.etype() {
            ErrorType::SocketError | ErrorType::BindError => {
                Error::because(ErrorType::InternalError, "no socket to connect with", error)
            }
            _ => error,
        })?;
        let patient = Patient::new(socket, Arc::clone(&self.patience));
        Ok(VirtualSocketStream::new(Box::new(patient)).into())
    }
}

/// A socket that gives up on the other end once it was silent for too long.
#[derive(Debug)]
struct Patient<S = TcpStream> {
    socket: S,
    patience: Arc<Patience>,
    timer: Pin<Box<Sleep>>,
    /// Since when something is waited for.
    since: Option<Instant>,
}

impl<S> Patient<S> {
    fn new(socket: S, patience: Arc<Patience>) -> Self {
        Self { socket, patience, timer: Box::pin(sleep_until(Instant::now())), since: None }
    }

    /// Ready once nothing came for too long. The patience is asked for anew when the time that it was is over.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        let is_new = self.since.is_none();
        let since = *self.since.get_or_insert_with(Instant::now);
        if is_new {
            self.timer.as_mut().reset(since + self.patience.now());
        }
        loop {
            ready!(poll_timer(self.timer.as_mut(), context));
            let end = since + self.patience.now();
            if end <= self.timer.deadline() {
                self.patience.ran_out.store(true, Ordering::Relaxed);
                return Poll::Ready(io::ErrorKind::TimedOut.into());
            }
            self.timer.as_mut().reset(end);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Poll::Ready(read) = Pin::new(&mut self.socket).poll_read(context, buffer) {
            self.since = None;
            return Poll::Ready(read);
        }
        self.poll_end(context).map(Err)
    }
}

/// Whoever is spoken to may take its time from then on.
impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.since = None;
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.since = None;
        Pin::new(&mut self.socket).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

impl VirtualSocket for Patient {
    fn set_socket_option(&self, option: VirtualSockOpt) -> io::Result<()> {
        match option {
            VirtualSockOpt::NoDelay => self.socket.set_nodelay(true),
            // No upstream of ours asks for another.
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    const SHORT: Duration = Duration::from_millis(40);
    const LONG: Duration = Duration::from_secs(3600);

    fn patient() -> (DuplexStream, Patient<DuplexStream>, Arc<Patience>) {
        let (other, socket) = duplex(64);
        let patience = Patience::new(SHORT);
        (other, Patient::new(socket, Arc::clone(&patience)), patience)
    }

    /// What is there at once, if anything.
    fn at_once(patient: &mut Patient<DuplexStream>) -> Option<io::Result<usize>> {
        patient.read(&mut [0; 8]).now_or_never()
    }

    #[tokio::test]
    async fn silence_has_an_end_however_often_it_is_listened_to_anew() {
        let (mut other, mut patient, patience) = patient();
        other.write_all(b"x").await.unwrap();
        assert_eq!(patient.read(&mut [0; 8]).await.unwrap(), 1);
        assert!(!patience.ran_out());
        let end = loop {
            match at_once(&mut patient) {
                None => tokio::time::sleep(Duration::from_millis(5)).await,
                Some(end) => break end,
            }
        };
        assert_eq!(end.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(patience.ran_out());
    }

    #[tokio::test]
    async fn what_comes_and_what_is_said_begin_it_anew() {
        let (mut other, mut patient, _) = patient();
        assert!(at_once(&mut patient).is_none());
        tokio::time::sleep(SHORT * 2).await;
        other.write_all(b"x").await.unwrap();
        assert_eq!(at_once(&mut patient).unwrap().unwrap(), 1);
        assert!(at_once(&mut patient).is_none());
        tokio::time::sleep(SHORT * 2).await;
        patient.write_all(b"x").await.unwrap();
        assert!(at_once(&mut patient).is_none());
        tokio::time::sleep(SHORT * 2).await;
        assert!(at_once(&mut patient).unwrap().is_err());
    }

    #[tokio::test]
    async fn more_patience_counts_for_what_is_waited_for_already() {
        let (_other, mut patient, patience) = patient();
        assert!(at_once(&mut patient).is_none());
        patience.set(LONG);
        tokio::time::sleep(SHORT * 3).await;
        assert!(at_once(&mut patient).is_none());
        assert!(!patience.ran_out());
    }
}
