//! Our own front inside pingora's service: it reads each HTTP/1 head under a deadline and judges it before pingora
//! parses it. Only sound heads go on.

use super::alarm::Alarm;
use super::answer::Answer;
use super::arrival::Arrival;
use super::behind::{self, Fence, LineEnd};
use super::connections::Open;
use super::context::RequestIds;
use super::door::{Door, Entered};
use super::forward::Forward;
use super::head::{self, Scan};
use super::lease::Keeper;
use super::service::IDLE_GRACE;
use crate::access::Denial;
use crate::config::EdgeLimits;
use crate::model::Timestamp;
use crate::telemetry::{AccessLine, AccessLog, Metrics, NO_ENVIRONMENT, Outcome};
use async_trait::async_trait;
use bytes::BytesMut;
use http::header::STRICT_TRANSPORT_SECURITY;
use pingora::proxy::HttpProxy;
use pingora_core::apps::{HttpPersistentSettings, HttpServerApp, ReusedHttpStream, ServerApp};
use pingora_core::protocols::Stream;
use pingora_core::protocols::http::ServerSession;
use pingora_core::server::ShutdownWatch;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// How long a refused connection is still read from, so that the answer is not lost to a reset.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 1 << 20;

/// The edge's application: one call a connection.
pub(super) struct Front {
    pub(super) proxy: Arc<HttpProxy<Forward>>,
    pub(super) limits: EdgeLimits,
    pub(super) metrics: Arc<Metrics>,
    pub(super) door: Door,
    pub(super) access_log: Arc<AccessLog>,
    pub(super) request_ids: Arc<RequestIds>,
    pub(super) clock: fn() -> Timestamp,
    pub(super) keeper: Keeper,
}

/// What a connection waits with, from its first request to its last.
struct Waits<D> {
    alarm: Alarm,
    /// Done once a drain ends its wait for a request.
    drained: D,
}

/// How reading a head ended.
enum Read {
    /// It is sound. With it comes what is known of the request's end.
    Head(BytesMut, Fence),
    /// It is refused.
    Refused(Denial),
    /// The caller is gone, idle, or the node drains.
    Gone,
}

#[async_trait]
impl ServerApp for Front {
    async fn process_new(self: &Arc<Self>, stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        let Entered { stream, arrival, mut open } = self.door.enter(stream).await?;
        if arrival.http2() {
            // Its streams count each, and it is told when to send no more.
            open.set_busy(false);
            self.multiplex(stream, &arrival, shutdown).await;
            return None;
        }
        let mut carried: Option<HttpPersistentSettings> = None;
        let mut waits = Waits { alarm: Alarm::new(), drained: Box::pin(idle_end(shutdown.clone())) };
        let mut passed = LineEnd::default();
        let mut watched = Fence::around(stream);
        loop {
            let head = match self.read_head(&mut watched.stream, passed, &mut open, &mut waits).await {
                Read::Head(head, fence) => {
                    watched.look = fence;
                    head
                }
                Read::Refused(denial) => {
                    self.refuse(watched.stream, &arrival, &denial).await;
                    return None;
                }
                Read::Gone => return None,
            };
            let is_last = watched.look.is_crossed();
            let mut session = ServerSession::new_http1(watched);
            session
                .set_keepalive((!*shutdown.borrow()).then_some(self.limits.connection.idle_timeout.as_secs().max(1)));
            let mut settings = carried.take().unwrap_or_else(|| HttpPersistentSettings::for_session(&session));
            settings.set_pipelined_prefix(head);
            settings.apply_to_session(&mut session);
            if is_last {
                // pingora asks the head about the connection once more, but not about this.
                session.set_keepalive_reuses_remaining(Some(0));
            }
            let (next, settings) = self.serve(session, &arrival, shutdown, &mut waits.alarm).await?.consume();
            open.set_busy(false);
            (watched, passed) = Fence::given_back(next).await?;
            carried = settings;
        }
    }

    async fn cleanup(&self) {
        self.proxy.http_cleanup().await;
    }
}

impl Front {
    /// Serves one request, whichever version of HTTP it came by. The only way to pingora's proxy.
    pub(super) async fn serve(
        &self,
        session: ServerSession,
        arrival: &Arc<Arrival>,
        shutdown: &ShutdownWatch,
        alarm: &mut Alarm,
    ) -> Option<ReusedHttpStream> {
        let is_stream = session.is_http2();
        let request = arrival.serving(self.proxy.process_new_http(session, shutdown));
        self.keeper.keep(is_stream, alarm, request).await
    }

    /// Reads the next head. `passed` is what was passed over behind the request before.
    async fn read_head<D: Future<Output = ()> + Unpin>(
        &self,
        stream: &mut Stream,
        passed: LineEnd,
        open: &mut Open,
        waits: &mut Waits<D>,
    ) -> Read {
        let mut buffer = BytesMut::with_capacity(4096);
        buffer.extend_from_slice(passed.half());
        if !self.first_bytes(stream, &mut buffer, passed, open, waits).await {
            return Read::Gone;
        }
        open.set_busy(true);
        // Most heads arrive whole: they need no timer.
        if let Ok(Scan::Complete(end)) = head::scan(&buffer, 0, &self.limits.head) {
            let judged = head::judge(buffer.get(..end).unwrap_or_default(), &self.limits.head);
            return judged.map_or_else(Read::Refused, |judged| sound(buffer, end, &judged));
        }
        let whole = self.whole_head(stream, &mut buffer);
        match tokio::time::timeout(self.limits.head.header_timeout, whole).await {
            Ok(Some(Ok((end, judged)))) => sound(buffer, end, &judged),
            Ok(Some(Err(denial))) => Read::Refused(denial),
            Ok(None) => Read::Gone,
            Err(_) => Read::Refused(Denial::RequestTimeout),
        }
    }

    /// Waits for a request to begin. The one empty line that is skipped before it (RFC 9112 section 2.2) is not its
    /// beginning: until more comes the connection is as idle as before.
    async fn first_bytes<D: Future<Output = ()> + Unpin>(
        &self,
        stream: &mut Stream,
        buffer: &mut BytesMut,
        passed: LineEnd,
        open: &mut Open,
        waits: &mut Waits<D>,
    ) -> bool {
        let since = Instant::now();
        let mut patience = self.limits.connection.idle_timeout;
        let mut is_skipped = passed.is_whole();
        while self.more_bytes(stream, buffer, patience, open, waits).await {
            if !is_skipped && buffer.starts_with(b"\r\n") {
                drop(buffer.split_to(2));
                is_skipped = true;
            }
            let is_half = !is_skipped && buffer.as_ref() == b"\r";
            if !buffer.is_empty() && !is_half {
                return true;
            }
            open.set_busy(false);
            patience = self.limits.connection.idle_timeout.saturating_sub(since.elapsed());
        }
        false
    }

    /// Waits for bytes; a drain ends the wait, but for a connection that was just taken: its first request is on its way.
    async fn more_bytes<D: Future<Output = ()> + Unpin>(
        &self,
        stream: &mut Stream,
        buffer: &mut BytesMut,
        mut patience: Duration,
        open: &mut Open,
        waits: &mut Waits<D>,
    ) -> bool {
        if open.is_busy() {
            let soon = self.limits.head.header_timeout.min(patience);
            if let Some(read) = waits.alarm.within(soon, stream.read_buf(buffer)).await {
                return matches!(read, Ok(1..));
            }
            open.set_busy(false);
            patience = patience.saturating_sub(soon);
        }
        tokio::select! {
            biased;
            read = waits.alarm.within(patience, stream.read_buf(buffer)) => matches!(read, Some(Ok(1..))),
            () = &mut waits.drained => false,
        }
    }

    /// Reads to the end of the head, and judges it; `None` where the caller went away.
    async fn whole_head(
        &self,
        stream: &mut Stream,
        buffer: &mut BytesMut,
    ) -> Option<Result<(usize, head::Judged), Denial>> {
        let mut scanned = 0;
        loop {
            match head::scan(buffer, scanned, &self.limits.head) {
                Ok(Scan::Complete(end)) => {
                    let judged = head::judge(buffer.get(..end).unwrap_or_default(), &self.limits.head);
                    return Some(judged.map(|judged| (end, judged)));
                }
                Ok(Scan::Partial) => scanned = buffer.len().saturating_sub(3),
                Err(denial) => return Some(Err(denial)),
            }
            match stream.read_buf(buffer).await {
                Ok(1..) => {}
                Ok(0) | Err(_) => return None,
            }
        }
    }

    /// Answers, counts and logs a refused head, then closes without losing the answer to a reset.
    async fn refuse(&self, mut stream: Stream, arrival: &Arrival, denial: &Denial) {
        let started = Instant::now();
        let request_id = self.request_ids.draw();
        let mut answer = Answer::refusal(denial, &request_id);
        answer.headers.extend(arrival.hsts().map(|hsts| (STRICT_TRANSPORT_SECURITY, hsts.clone())));
        let answer = answer.into_bytes(&request_id);
        let write = async {
            stream.write_all(&answer).await?;
            stream.flush().await?;
            stream.shutdown().await
        };
        let _ = tokio::time::timeout(LINGER, write).await;
        self.note_refusal(arrival, denial, &request_id, started);
        let _ = tokio::time::timeout(LINGER, read_away(&mut stream)).await;
    }

    /// Counts and logs a refused head.
    pub(super) fn note_refusal(&self, arrival: &Arrival, denial: &Denial, request_id: &str, started: Instant) {
        let environment = self.metrics.environment(NO_ENVIRONMENT);
        self.metrics.count_request(&environment, "other", denial.status(), Outcome::Denied);
        self.metrics.count_denial(&environment, denial.code());
        self.access_log.write(&AccessLine {
            time: (self.clock)().to_string(),
            request_id,
            trace_id: request_id,
            environment: NO_ENVIRONMENT,
            client_id: None,
            address: Some(arrival.peer),
            method: "-",
            path: "-",
            operation: None,
            status: denial.status(),
            outcome: Outcome::Denied.as_str(),
            code: Some(denial.code()),
            duration_us: u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
            bytes_out: 0,
        });
    }
}

/// A sound head as pingora is to read it.
fn sound(mut buffer: BytesMut, end: usize, judged: &head::Judged) -> Read {
    let fence = behind::ends(&mut buffer, end, judged);
    head::to_origin_form(&mut buffer, judged);
    Read::Head(buffer, fence)
}

/// When a connection that waits for a request is closed by a drain.
async fn idle_end(mut shutdown: ShutdownWatch) {
    let _ = shutdown.wait_for(|down| *down).await;
    tokio::time::sleep(IDLE_GRACE).await;
}

async fn read_away(stream: &mut Stream) {
    let mut scratch = BytesMut::with_capacity(4096);
    let mut left = LINGER_BYTES;
    while let Ok(n @ 1..) = stream.read_buf(&mut scratch).await {
        left = left.saturating_sub(n);
        if left == 0 {
            return;
        }
        scratch.clear();
    }
}
