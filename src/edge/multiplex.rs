//! One HTTP/2 connection (RFC 9113), whose streams become requests like any other.
//!
//! pingora's own loop is not used: it has no deadline for the connection preface, and a stream must be judged before it
//! is a request. What floods do to a connection is bounded by the codec (resets that come too quickly, frames without
//! end, empty frames); what a slow one may hold is bounded here.

use super::alarm::Alarm;
use super::answer::Answer;
use super::arrival::Arrival;
use super::connections::Refused;
use super::front::Front;
use super::slow_heads::Heads;
use super::streams;
use crate::access::Denial;
use bytes::Bytes;
use h2::Reason;
use h2::server::Connection;
use http::HeaderValue;
use http::header::{COOKIE, HOST};
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::http::v2::server::{H2Accept, H2Options, HttpSession, default_h2_options, handshake};
use pingora_core::protocols::{Digest, Stream};
use pingora_core::server::ShutdownWatch;
use pingora_core::{Error, Result};
use pingora_http::RequestHeader;
use pingora_timeout::fast_timeout::fast_timeout;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, watch};

/// So many streams of a connection may be no requests at all; then it ends.
const MOST_MALFORMED: usize = 32;
/// What a stream may send before it is read on. A connection may send as much as all of its streams together, so that
/// uploads that nobody reads on cannot stop the others. The least that a connection begins with (RFC 9113 section 6.9.2).
const STREAM_WINDOW: usize = 65_535;
/// What a connection may send at most; where it has room for more streams than that, each has less.
const MOST_WINDOW: usize = 16 * 1024 * 1024;
/// What waits to be sent of a stream.
const SEND_BUFFER: usize = 64 * 1024;
/// How long the caller may take to read that its connection ends.
const LAST_WORDS: Duration = Duration::from_secs(5);

impl Front {
    /// Serves a connection to its end.
    pub(super) async fn multiplex(self: &Arc<Self>, stream: Stream, arrival: &Arc<Arrival>, shutdown: &ShutdownWatch) {
        let limits = &self.limits.connection;
        let digest = Arc::new(digest_of(&stream));
        let late = Arc::<Notify>::default();
        let stream = Heads::around(stream, self.limits.head.header_timeout, &late);
        let shaken = fast_timeout(limits.handshake_timeout, handshake(stream, Some(self.h2_options()))).await;
        let Ok(Ok(mut connection)) = shaken else {
            return self.door.connections.count_refused(Refused::Http2Preface);
        };
        let served = Arc::new(watch::Sender::new(0));
        let (mut waits, mut drain) = (served.subscribe(), shutdown.clone());
        let (mut draining, mut malformed) = (false, 0);
        loop {
            let next = tokio::select! {
                biased;
                () = begins(&mut drain), if !draining => {
                    // Streams that are on their way are still taken (RFC 9113 section 6.8).
                    connection.graceful_shutdown();
                    draining = true;
                    continue;
                }
                next = HttpSession::from_h2_conn(&mut connection, Arc::clone(&digest)) => next,
                () = late.notified() => {
                    self.note_refused(arrival, &Denial::RequestTimeout);
                    return end(connection).await;
                }
                () = idle(&mut waits, limits.idle_timeout) => return,
            };
            match next {
                Ok(Some(H2Accept::Session(session))) => self.take(session, arrival, shutdown, &served),
                Ok(Some(H2Accept::Rejected)) => {
                    self.note_refused(arrival, &streams::REJECTED);
                    malformed += 1;
                    if malformed > MOST_MALFORMED {
                        self.door.connections.count_refused(Refused::Http2Violation);
                        return end(connection).await;
                    }
                }
                Ok(None) => return,
                Err(error) => {
                    // Most callers just close the connection; what they did wrong was said in a GOAWAY.
                    if is_violation(&error) {
                        self.door.connections.count_refused(Refused::Http2Violation);
                    }
                    return;
                }
            }
        }
    }

    /// Counts and logs a stream that ended before it was a request.
    fn note_refused(&self, arrival: &Arc<Arrival>, denial: &Denial) {
        self.note_refusal(arrival, denial, &self.request_ids.draw(), Instant::now());
    }

    /// A header list may take what HTTP/1 allows, and a little more, so that it is we who answer.
    fn h2_options(&self) -> H2Options {
        let head = &self.limits.head;
        // The codec counts 32 bytes more a field (RFC 9113 section 6.5.2).
        let list = head.header_bytes * 2 + 64 * (head.header_fields + 1);
        let streams = self.limits.connection.streams.max(1);
        let window = STREAM_WINDOW.min(MOST_WINDOW / streams);
        let mut options = default_h2_options();
        options
            .max_header_list_size(u32::try_from(list).unwrap_or(u32::MAX))
            .max_concurrent_streams(u32::try_from(streams).unwrap_or(u32::MAX))
            .initial_window_size(u32::try_from(window).unwrap_or(u32::MAX))
            .initial_connection_window_size(u32::try_from(window * streams).unwrap_or(u32::MAX))
            .max_send_buffer_size(SEND_BUFFER);
        options
    }

    /// Serves a stream beside the others.
    fn take(
        self: &Arc<Self>,
        session: HttpSession,
        arrival: &Arc<Arrival>,
        shutdown: &ShutdownWatch,
        served: &Arc<watch::Sender<usize>>,
    ) {
        let place = self.door.streams.enter().and_then(|mut place| place.count(arrival.peer).map(|()| place));
        let Ok(place) = place else {
            // Dropped, it is reset.
            return self.door.connections.count_refused(Refused::Http2Streams);
        };
        let (front, arrival, shutdown) = (Arc::clone(self), Arc::clone(arrival), shutdown.clone());
        let served = Served::one_more(served);
        tokio::spawn(async move {
            let _served = (served, place);
            front.serve_stream(session, &arrival, &shutdown).await;
        });
    }

    async fn serve_stream(&self, mut stream: HttpSession, arrival: &Arc<Arrival>, shutdown: &ShutdownWatch) {
        let head = stream.req_header();
        let judged = streams::judge(&head.method, &head.uri, &head.headers, &self.limits.head);
        let named = judged.map(HeaderValue::from_bytes);
        let prepared = match named {
            Ok(Ok(host)) => as_if_http1(stream.req_header_mut(), host).map_err(|_| Denial::InternalError),
            Ok(Err(_)) => Err(Denial::InternalError),
            Err(denial) => Err(denial),
        };
        let mut session = ServerSession::new_http2(stream);
        match prepared {
            Ok(()) => drop(self.serve(session, arrival, shutdown, &mut Alarm::new()).await),
            Err(denial) => self.refuse_stream(&mut session, arrival, &denial).await,
        }
    }

    async fn refuse_stream(&self, session: &mut ServerSession, arrival: &Arc<Arrival>, denial: &Denial) {
        let started = Instant::now();
        let request_id = self.request_ids.draw();
        // It has its own deadline, after which the stream is left.
        let _ = arrival.serving(Answer::refusal(denial, &request_id).write(session, &request_id)).await;
        self.note_refusal(arrival, denial, &request_id, started);
    }
}

/// Until a drain begins.
async fn begins(drain: &mut ShutdownWatch) {
    let _ = drain.wait_for(|down| *down).await;
}

/// Tells the caller that it is enough (RFC 9113 section 7), and closes.
async fn end(mut connection: Connection<Stream, Bytes>) {
    connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
    let _ = tokio::time::timeout(LAST_WORDS, poll_fn(|task| connection.poll_closed(task))).await;
}

/// Whether the codec ended the connection by itself.
fn is_violation(error: &Error) -> bool {
    let cause = error.cause.as_ref().and_then(|cause| cause.downcast_ref::<h2::Error>());
    cause.is_some_and(|cause| cause.is_go_away() && cause.is_library())
}

/// What is asked of a stream further on stands where HTTP/1 has it.
fn as_if_http1(head: &mut RequestHeader, host: HeaderValue) -> Result<()> {
    let target = head.raw_path().to_vec();
    head.set_raw_path(&target)?;
    head.insert_header(HOST, host)?;
    if let Some(cookie) = streams::whole_cookie(&head.headers) {
        head.insert_header(COOKIE, cookie)?;
    }
    Ok(())
}

fn digest_of(stream: &Stream) -> Digest {
    Digest {
        ssl_digest: stream.get_ssl_digest(),
        timing_digest: stream.get_timing_digest(),
        proxy_digest: stream.get_proxy_digest(),
        socket_digest: stream.get_socket_digest(),
    }
}

/// Until no stream has been served for so long.
async fn idle(served: &mut watch::Receiver<usize>, timeout: Duration) {
    loop {
        let _ = served.wait_for(|count| *count == 0).await;
        if tokio::time::timeout(timeout, served.changed()).await.is_err() {
            return;
        }
    }
}

/// A stream that is being served.
struct Served(Arc<watch::Sender<usize>>);

impl Served {
    fn one_more(served: &Arc<watch::Sender<usize>>) -> Self {
        served.send_modify(|count| *count += 1);
        Self(Arc::clone(served))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}
