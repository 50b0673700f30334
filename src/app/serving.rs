//! Serving HTTP beside the edge: the control API, probes, the sample API.
//!
//! axum's own server waits for as long as callers like; these callers have deadlines, and there are only so many of
//! them. A listener that speaks TLS offers HTTP/2 as well as HTTP/1.1; a plain one speaks HTTP/1.1 alone.

mod activity;
mod places;

use super::handover::{Doors, Stage};
use crate::model::NetworkSet;
use crate::telemetry::InFlight;
use crate::tls::{HSTS_HEADER, ServerTls};
use activity::Activity;
use anyhow::Context;
use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::http::{HeaderName, HeaderValue, Version, header};
use axum::response::Response;
use hyper::body::Incoming;
use hyper::rt::{Read, Write};
use hyper::server::conn::{http1, http2};
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
pub(super) use places::Places;
use prometheus::IntGauge;
use rustix::process::{Resource, getrlimit};
use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;

/// So many connections of one listener are open at the same time. One more is closed.
const CONNECTIONS: usize = 512;
/// And no more than this part of the files that the process may open: callers here must leave the edge its own.
const PART_OF_FILES: u64 = 8;
/// So many of them, a fourth, are of one address that is not this machine.
const PART_OF_ONE: usize = 4;
/// So many requests of one HTTP/2 connection are answered at the same time.
const STREAMS: u32 = 100;
/// The fields of a head in bytes, with HTTP/2.
const HEAD_BYTES: u32 = 64 * 1024;
/// How long to wait where no connection can be taken, for want of file descriptors most likely.
const PAUSE: Duration = Duration::from_secs(1);
/// What is on its way on a connection that is kept is still answered, once another process has the new ones.
const IDLE_GRACE: Duration = Duration::from_secs(1);
/// How often to say that there are too many connections.
const SAY: Duration = Duration::from_secs(60);
/// The first bytes of a record that begins a handshake (RFC 8446 section 5.1).
const HANDSHAKE_RECORD: u8 = 22;
const PLAIN_ANSWER: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\n\
    content-length: 49\r\nconnection: close\r\n\r\nThis port speaks TLS: ask again with `https://`.\n";

/// What is served on a listener, and how.
pub(super) struct Served {
    /// What answers.
    pub(super) router: Router,
    /// How it speaks TLS; `None` is plain HTTP.
    pub(super) tls: Option<ServerTls>,
    /// Its open connections.
    pub(super) open: IntGauge,
    /// How many connections there are, on all of the listener's sockets together.
    pub(super) places: Arc<Places>,
    /// Whether this process takes connections.
    pub(super) stage: Arc<Stage>,
}

/// Room for the connections of one listener. Trusted proxies are counted with all only: they speak for others.
pub(super) fn places(trusted: &NetworkSet) -> Arc<Places> {
    let most = most_connections(getrlimit(Resource::Nofile).maximum);
    Places::new(most, most / PART_OF_ONE, trusted.clone())
}

/// How long callers may take.
#[derive(Clone, Copy)]
struct Times {
    /// A request's head, a TLS handshake, and the first request of a connection.
    head: Duration,
    /// Between requests of an HTTP/2 connection, and without taking a piece of an answer.
    still: Duration,
}

const TIMES: Times = Times { head: Duration::from_secs(10), still: Duration::from_secs(60) };

/// Serves plain HTTP on a bound socket, on the current runtime, until the stage's doors close.
pub(super) fn serve_http(listener: TcpListener, router: Router, stage: &Arc<Stage>) -> anyhow::Result<()> {
    let open = IntGauge::new("open", "open")?;
    let places = places(&NetworkSet::default());
    serve(listener, Served { router, tls: None, open, places, stage: Arc::clone(stage) })
}

/// Serves on a bound socket, on the current runtime, until the stage's doors close.
pub(super) fn serve(listener: TcpListener, served: Served) -> anyhow::Result<()> {
    serve_within(TIMES, listener, served)
}

fn serve_within(times: Times, listener: TcpListener, served: Served) -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let Served { router, tls, open, places, stage } = served;
    let hsts = tls.as_ref().and_then(|tls| tls.hsts.as_deref()).map(HeaderValue::from_str);
    let hsts = hsts.transpose().context("hsts")?;
    let tls = tls.map(|tls| TlsAcceptor::from(tls.config));
    tokio::spawn(async move {
        let (mut said, mut doors): (Option<Instant>, _) = (None, stage.doors());
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = doors.wait_for(|doors| *doors != Doors::Open) => return,
            };
            let (stream, address) = match accepted {
                Ok(accepted) => accepted,
                Err(error) if is_of_one_connection(&error) => continue,
                Err(error) => {
                    tracing::error!(%error, "no connection can be taken; it is tried again");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            let Some(place) = places.enter(address.ip()) else {
                if said.is_none_or(|said| said.elapsed() >= SAY) {
                    said = Some(Instant::now());
                    tracing::warn!("a connection of {} was closed: {places}", address.ip());
                }
                continue;
            };
            let counted = InFlight::enter(&open);
            let conversation = Conversation {
                times,
                address,
                router: router.clone(),
                hsts: hsts.clone(),
                activity: Activity::new(),
                stage: Arc::clone(&stage),
            };
            let tls = tls.clone();
            tokio::spawn(async move {
                conversation.hold(stream, tls).await;
                drop((place, counted));
            });
        }
    });
    Ok(())
}

/// How many connections a listener has where so many files may be open; `None` is any number.
fn most_connections(files: Option<u64>) -> usize {
    let part = files.and_then(|files| usize::try_from(files / PART_OF_FILES).ok());
    part.map_or(CONNECTIONS, |part| part.min(CONNECTIONS))
}

/// Whether the connection was gone before it was taken.
fn is_of_one_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// One connection.
struct Conversation {
    times: Times,
    address: SocketAddr,
    router: Router,
    /// What answers say about TLS (RFC 6797).
    hsts: Option<HeaderValue>,
    activity: Arc<Activity>,
    stage: Arc<Stage>,
}

impl Conversation {
    async fn hold(self, stream: TcpStream, tls: Option<TlsAcceptor>) {
        let _counted = self.stage.connection();
        let Some(acceptor) = tls else { return self.http1(TokioIo::new(stream)).await };
        let Ok(shaken) = timeout(self.times.head, shake(stream, &acceptor)).await else { return };
        match shaken {
            Ok(Some(stream)) if stream.get_ref().1.alpn_protocol() == Some(b"h2") => {
                self.http2(TokioIo::new(stream)).await;
            }
            Ok(Some(stream)) => self.http1(TokioIo::new(stream)).await,
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "a handshake failed"),
        }
    }

    /// Answers requests one after the other.
    async fn http1(self, io: impl Read + Write + Unpin) {
        let mut server = http1::Builder::new();
        server.timer(TokioTimer::new()).header_read_timeout(self.times.head);
        let still = self.activity.stood_still(self.times.still, self.times.still);
        let mut serving = pin!(server.serve_connection(io, service_fn(|request| self.answer(request))));
        let mut doors = self.stage.doors();
        let ended = async {
            tokio::select! {
                ended = serving.as_mut() => ended,
                () = closing(&mut doors) => {
                    serving.as_mut().graceful_shutdown();
                    serving.await
                }
            }
        };
        tokio::select! {
            ended = ended => tell(ended),
            () = still => {}
        }
    }

    /// Answers requests as they come.
    async fn http2(self, io: impl Read + Write + Unpin + Send + 'static) {
        let mut server = http2::Builder::new(TokioExecutor::new());
        server.timer(TokioTimer::new()).max_concurrent_streams(STREAMS).max_header_list_size(HEAD_BYTES);
        server.keep_alive_interval(self.times.head).keep_alive_timeout(self.times.head);
        let (activity, times, mut doors) = (Arc::clone(&self.activity), self.times, self.stage.doors());
        let conversation = Arc::new(self);
        let service = service_fn(move |request| {
            let conversation = Arc::clone(&conversation);
            async move { conversation.answer(request).await }
        });
        let mut serving = pin!(server.serve_connection(io, service));
        let still = activity.stood_still(times.head, times.still);
        let mut still = pin!(still);
        tokio::select! {
            ended = serving.as_mut() => return tell(ended),
            () = still.as_mut() => {
                serving.as_mut().graceful_shutdown();
                // What does not end by itself ends now.
                let _ = timeout(PAUSE, serving).await;
                return;
            }
            () = closing(&mut doors) => serving.as_mut().graceful_shutdown(),
        }
        tokio::select! {
            ended = serving => tell(ended),
            () = still => {}
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Response, Infallible> {
        let running = self.activity.begin();
        let version = request.version();
        let mut request = request.map(Body::new);
        name_host(&mut request);
        request.extensions_mut().insert(ConnectInfo(self.address));
        let mut response = TowerToHyperService::new(self.router.clone()).call(request).await?;
        if let Some(hsts) = &self.hsts {
            response.headers_mut().insert(HeaderName::from_static(HSTS_HEADER), hsts.clone());
        }
        if self.stage.is_released() && version < Version::HTTP_2 {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(response.map(|body| running.answer(body)))
    }
}

/// A handshake; nothing where the caller speaks plain HTTP, and is told.
async fn shake(
    mut stream: TcpStream,
    acceptor: &TlsAcceptor,
) -> std::io::Result<Option<tokio_rustls::server::TlsStream<TcpStream>>> {
    let mut first = [0];
    if stream.peek(&mut first).await? == 1 && first != [HANDSHAKE_RECORD] {
        // What it sent is read first: closing over unread bytes would take the answer back.
        let mut sent = [0; 4096];
        let _ = stream.read(&mut sent).await?;
        stream.write_all(PLAIN_ANSWER).await?;
        stream.shutdown().await?;
        return Ok(None);
    }
    acceptor.accept(stream).await.map(Some)
}

/// A target that names its host counts more than `Host` (RFC 9112 section 3.2.2), and with HTTP/2 mostly stands in its
/// place (RFC 9113 section 8.3.1): whoever asks for the host finds one.
fn name_host(request: &mut Request) {
    let named = request.uri().authority().map(|authority| HeaderValue::from_str(authority.as_str()));
    if let Some(Ok(host)) = named {
        request.headers_mut().insert(header::HOST, host);
    }
}

/// When a connection without a request is closed.
async fn closing(doors: &mut watch::Receiver<Doors>) {
    // Nobody closes them any more where nobody is left.
    let _ = doors.wait_for(|doors| *doors != Doors::Open).await;
    tokio::select! {
        () = tokio::time::sleep(IDLE_GRACE) => {}
        _ = doors.wait_for(|doors| *doors == Doors::Ending) => {}
    }
}

fn tell(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended");
    }
}

#[cfg(test)]
mod tests;
