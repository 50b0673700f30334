//! pingora's hooks: the checks, then what a permit lets through, and how.

use super::account::Accounts;
use super::answer::{Answer, DRAIN_TIME, PORTCULLIS_ERROR};
use super::arrival::Arrival;
use super::body::{self, Body};
use super::context::{RequestContext, RequestIds};
use super::endpoints::{self, Answered, Asked, Endpoint, Endpoints};
use super::gate::{Arrived, Gate, Own, Seen, Verdict};
use super::identity;
use super::lease::{AskedFor, Holder};
use super::methods;
use super::overload::Room;
use super::panics::caught;
use super::reserved;
use super::upstreams::{Failure, Upstreams};
use crate::access::{Denial, PREFLIGHT};
use crate::config::EdgeLimits;
use crate::model::{Timestamp, UpstreamHost, UpstreamProtocol};
use crate::tables::{EnvironmentTable, Tables};
use crate::telemetry::{Outcome, Told, UsageRecorder};
use async_trait::async_trait;
use bytes::Bytes;
use http::StatusCode;
use http::header::{EXPECT, HOST, SET_COOKIE, STRICT_TRANSPORT_SECURITY, TRANSFER_ENCODING, UPGRADE};
use http::request::Parts as RequestParts;
use pingora::proxy::{FailToProxy, ProxyHttp, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora_core::protocols::Digest;
use pingora_core::{Error, ErrorSource, ErrorType, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Waiting for the caller to take the next bytes of an answer.
const DOWNSTREAM_IDLE: Duration = Duration::from_secs(30);

/// The edge, as pingora's proxy calls it.
#[derive(Debug)]
pub(super) struct Forward {
    pub(super) tables: Arc<Tables>,
    pub(super) gate: Gate,
    pub(super) upstreams: Arc<Upstreams>,
    pub(super) limits: EdgeLimits,
    pub(super) room: Arc<Room>,
    pub(super) accounts: Arc<Accounts>,
    pub(super) request_ids: Arc<RequestIds>,
    pub(super) endpoints: Endpoints,
    pub(super) usage: Arc<UsageRecorder>,
    pub(super) clock: fn() -> Timestamp,
}

impl Forward {
    fn decide(
        &self,
        arrived: &Arrived<'_>,
        sni: Option<&str>,
        now: Timestamp,
        seen: &mut Seen,
    ) -> Result<Verdict, Denial> {
        methods::served(arrived.method)?;
        let hops_left = methods::hops_left(arrived.method, arrived.headers)?;
        match self.gate.check(&self.tables.load(), arrived, sni, now, seen)? {
            Verdict::Forward(_) if hops_left == Some(0) => Ok(Verdict::Answer(Own::Options)),
            verdict => Ok(verdict),
        }
    }

    /// The checks, and the answer where it is ours; whether there was one.
    async fn begin(&self, session: &mut Session, context: &mut RequestContext) -> Result<bool> {
        let denial = match self.admit(session, context) {
            Ok(Verdict::Forward(permit)) => {
                context.permit = Some(permit);
                return Ok(false);
            }
            Ok(Verdict::Answer(own)) => {
                context.lease.leave();
                return self.answer(session, context, own).await.map(|()| true);
            }
            Err(denial) => denial,
        };
        // Whoever takes its time with the rest of its body, or with the answer, keeps nobody else out.
        context.lease.leave();
        self.refuse(session, context, &denial).await.map(|()| true)
    }

    fn admit(&self, session: &mut Session, context: &mut RequestContext) -> Result<Verdict, Denial> {
        context.lease.occupy(self.room.enter().ok_or(Denial::Overloaded)?);
        let verdict = self.check(session, context)?;
        let Verdict::Forward(permit) = &verdict else { return Ok(verdict) };
        if permit.client_id().is_some_and(|key| !context.lease.share(key)) {
            return Err(Denial::Overloaded);
        }
        if !session.is_body_empty() {
            if permit.operation().as_ref() == PREFLIGHT {
                return Err(Denial::MalformedRequest { reason: "a preflight has no body" });
            }
            let stream_idle = context.environment.as_ref().and_then(|known| stream_idle(session, known));
            let own = context.environment.as_ref().and_then(|known| known.body_limit);
            let headers = &session.req_header().headers;
            context.body = Some(Body::expect(headers, &self.limits.body, own, stream_idle)?);
        }
        // Nothing refuses it any more.
        if let (Some(client_id), Some(address)) = (permit.client_id(), context.address) {
            context.is_sample = self.usage.record(client_id, permit.operation(), address, context.at);
        }
        context.upstream_since = Some(Instant::now());
        Ok(verdict)
    }

    /// Runs the checks and notes what they saw.
    fn check(&self, session: &Session, context: &mut RequestContext) -> Result<Verdict, Denial> {
        let mut seen = Seen::default();
        let now = (self.clock)();
        let arrived = arrived(session.req_header(), context);
        let verdict = self.decide(&arrived, context.arrival.sni(), now, &mut seen);
        match seen.token_known {
            Some(true) => self.accounts.metrics.token_cache_hits.inc(),
            Some(false) => self.accounts.metrics.token_cache_misses.inc(),
            None => {}
        }
        context.metrics = seen.environment.as_ref().map(|known| self.accounts.metrics.environment(&known.label));
        context.environment = seen.environment;
        context.address = seen.address;
        context.client_id = seen.client_id;
        context.at = now;
        if let (Ok(Verdict::Forward(permit)), Some(address)) = (&verdict, seen.address)
            && permit.client_id().is_some()
            && let (Some(asked), Some(claims)) = (context.asked.clone(), seen.claims)
        {
            context.lease.hold(Holder { asked, claims, address });
        }
        self.accounts.metrics.overhead.observe(context.started.elapsed().as_secs_f64());
        verdict
    }

    async fn refuse(&self, session: &mut Session, context: &mut RequestContext, denial: &Denial) -> Result<()> {
        context.note(denial, Outcome::Denied);
        context.status = denial.status();
        Answer::refusal(denial, &context.request_id).write(&mut session.downstream_session, &context.request_id).await
    }

    async fn answer(&self, session: &mut Session, context: &mut RequestContext, own: Own) -> Result<()> {
        context.outcome = Outcome::Answered;
        let Some(environment) = context.environment.clone() else { return Err(no_permit()) };
        let answer = match own {
            Own::Document(kind) => {
                reserved::document(kind, &session.req_header().method, &environment, &self.tables.load())
            }
            Own::Options => {
                let (path, _) = arrived(session.req_header(), context).split_target();
                methods::options(&environment, path)
            }
            Own::Endpoint(endpoint) => self.endpoint_answer(session, context, &environment, endpoint).await,
        };
        context.status = answer.status;
        answer.write(&mut session.downstream_session, &context.request_id).await
    }

    async fn endpoint_answer(
        &self,
        session: &mut Session,
        context: &mut RequestContext,
        environment: &EnvironmentTable,
        endpoint: Endpoint,
    ) -> Answer {
        let body = endpoints::read_body(&mut session.downstream_session).await;
        let asked = Asked {
            address: context.address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            now: (self.clock)(),
            request_id: &context.request_id,
        };
        let arrived = arrived(session.req_header(), context);
        let answered = self.endpoints.answer(endpoint, &arrived, &body, environment, &self.tables, &asked).await;
        let Answered { answer, result, proven, told } = answered;
        (context.proven, context.told) = (proven, told);
        if let Some(metrics) = &context.metrics {
            self.accounts.metrics.count_endpoint_request(metrics, endpoint.as_str(), result);
        }
        if endpoint == Endpoint::Token {
            self.accounts.metrics.token_duration.observe(context.started.elapsed().as_secs_f64());
        }
        context.code = (answer.status != 200).then_some(result);
        answer
    }
}

fn arrived<'r>(header: &'r RequestHeader, context: &RequestContext) -> Arrived<'r> {
    let Arrival { peer, may_forward, .. } = *context.arrival;
    Arrived { method: &header.method, target: header.raw_path(), headers: &header.headers, peer, may_forward }
}

/// How long calls of gRPC may be silent, where they are possible at all.
fn stream_idle(session: &Session, environment: &EnvironmentTable) -> Option<Duration> {
    let upstream = &environment.upstream;
    let streams = session.is_http2() && upstream.protocol != UpstreamProtocol::Http1;
    streams.then_some(upstream.timeouts.upgraded_idle)
}

/// How long the next bytes of the body may take; an error where they took too long, or were too many.
fn pace(session: &mut Session, context: &RequestContext) -> Result<()> {
    let Some(body) = &context.body else { return Ok(()) };
    let patience = body.patience(session.body_bytes_read() as u64, Instant::now())?;
    session.set_read_timeout(Some(patience));
    context.lease.expect_body(Some(patience));
    Ok(())
}

/// As pingora tells it from another upgrade, and sends it on (RFC 6455 section 4.1).
fn asks_for_web_socket(session: &Session) -> bool {
    session.is_upgrade_req() && session.get_header_bytes(UPGRADE).eq_ignore_ascii_case(b"websocket")
}

fn asked_for(header: &RequestHeader) -> AskedFor {
    AskedFor {
        method: header.method.clone(),
        target: header.raw_path().into(),
        authority: header.headers.get(HOST).cloned(),
        trace_id: identity::trace_id(&header.headers),
    }
}

/// What stands in while the real request is taken apart.
fn empty_request() -> RequestHeader {
    RequestHeader::from(http::Request::new(()).into_parts().0)
}

fn no_permit() -> Box<Error> {
    Error::explain(ErrorType::InternalError, "forwarding without a permit")
}

#[async_trait]
impl ProxyHttp for Forward {
    type CTX = RequestContext;

    fn new_ctx(&self) -> RequestContext {
        RequestContext::new(&self.accounts, self.request_ids.draw())
    }

    /// No compression, no modules: bytes pass as they are.
    fn init_downstream_modules(&self, _modules: &mut pingora_core::modules::http::HttpModules) {}

    async fn request_filter(&self, session: &mut Session, context: &mut RequestContext) -> Result<bool> {
        session.set_read_timeout(Some(self.limits.body.body_idle_timeout));
        session.set_write_timeout(Some(DOWNSTREAM_IDLE));
        session.set_total_drain_timeout(Some(DRAIN_TIME));
        // Callers of HTTP/1.0 were never taught what an interim answer is (RFC 9110 section 15.2).
        let is_old = session.req_header().version == http::Version::HTTP_10;
        session.set_ignore_info_resp(is_old);
        // A proxy that reads chunks otherwise than we do (bytes of extensions, say) would send on, after the answer, what
        // is a body to it and another caller's request to us.
        let is_chunked = session.req_header().headers.contains_key(TRANSFER_ENCODING);
        if is_chunked && self.gate.trusts(&context.arrival) {
            session.set_keepalive(None);
        }
        context.asked = Some(Arc::new(asked_for(session.req_header())));
        caught(self.begin(session, context)).await
    }

    async fn request_body_filter(
        &self,
        session: &mut Session,
        _body: &mut Option<Bytes>,
        end_of_stream: bool,
        context: &mut RequestContext,
    ) -> Result<()> {
        if !end_of_stream {
            return pace(session, context);
        }
        let whole = context.body.take().map_or(Ok(()), |body| body.ended(session.body_bytes_read() as u64));
        context.lease.expect_body(None);
        whole
    }

    async fn upstream_peer(&self, session: &mut Session, context: &mut RequestContext) -> Result<Box<HttpPeer>> {
        let (Some(_), Some(environment)) = (&context.permit, &context.environment) else { return Err(no_permit()) };
        let attempt = self.upstreams.pick(&environment.upstream, &context.tried).ok_or_else(no_address)?;
        let mut peer = attempt.peer();
        let is_http1 = environment.upstream.protocol == UpstreamProtocol::Http1;
        if is_http1 && asks_for_web_socket(session) {
            let (patient, patience) = attempt.web_socket_peer(self.upstreams.lone_group());
            (peer, context.patience) = (patient, Some(patience));
        }
        if is_http1 && context.resent {
            // On a connection of its own: another one of the pool may have ended as well.
            peer.group_key = self.upstreams.lone_group();
            peer.options.idle_timeout = Some(Duration::ZERO);
        }
        context.attempt = Some(attempt);
        Ok(Box::new(peer))
    }

    /// An address that could not be connected to is one of the others again.
    async fn connected_to_upstream(
        &self,
        session: &mut Session,
        reused: bool,
        _peer: &HttpPeer,
        #[cfg(unix)] _fd: std::os::unix::io::RawFd,
        _digest: Option<&Digest>,
        context: &mut RequestContext,
    ) -> Result<()> {
        if let Some(attempt) = context.attempt.as_ref().filter(|_| !reused) {
            attempt.connected();
        }
        if let (Some(patience), Some(environment)) = (&context.patience, &context.environment) {
            patience.set(environment.upstream.timeouts.read);
        }
        // From here on the body is waited for; what connecting took is not the caller's time.
        if let Some(body) = &mut context.body {
            body.begin();
        }
        pace(session, context)
    }

    /// Nothing was sent yet: whatever was asked for may go to another address, within the time for connecting.
    fn fail_to_connect(
        &self,
        _session: &mut Session,
        _peer: &HttpPeer,
        context: &mut RequestContext,
        mut error: Box<Error>,
    ) -> Box<Error> {
        let again = context.connect_elsewhere(&error);
        error.set_retry(again);
        error
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        context: &mut RequestContext,
    ) -> Result<()> {
        let (Some(permit), Some(environment)) = (&context.permit, &context.environment) else {
            return Err(no_permit());
        };
        let trusted = self.gate.trusts(&context.arrival);
        let target = session.req_header().raw_path();
        let relative = target.get(environment.base_url.path().len()..).ok_or_else(no_permit)?;
        let attempt = context.attempt.as_ref().ok_or_else(no_permit)?;
        let target = upstream_target(attempt.url().path(), relative);
        // As plain parts: pingora's header type keeps a second map for the spelling of names, which costs more than
        // everything else here. Names go upstream in lower case; they are case-insensitive (RFC 9110 section 5.1).
        let mut parts: RequestParts = std::mem::replace(request, empty_request()).into();
        identity::set(&mut parts.headers, environment, permit, context, trusted)?;
        methods::count_down(&parts.method, &mut parts.headers);
        if session.req_header().version == http::Version::HTTP_10 {
            // An expectation of such a caller does not count (RFC 9110 section 10.1.1).
            parts.headers.remove(EXPECT);
        }
        identity::keep_te(&mut parts.headers, environment.upstream.protocol);
        if !session.is_body_empty() && methods::may_go_unread(&parts.method) {
            identity::end_after_answer(&mut parts.headers, environment.upstream.protocol);
        }
        let host = match environment.upstream.host {
            UpstreamHost::Upstream => attempt.host(),
            UpstreamHost::Caller => environment.authority.clone(),
        };
        parts.headers.insert(HOST, host.ok_or_else(no_permit)?);
        *request = RequestHeader::from(parts);
        request.set_raw_path(&target)
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        context: &mut RequestContext,
    ) -> Result<()> {
        context.answered = true;
        if let Some(attempt) = &context.attempt {
            attempt.answered();
        }
        if response.status == StatusCode::SWITCHING_PROTOCOLS {
            let idle = context.environment.as_ref().map(|environment| environment.upstream.timeouts.upgraded_idle);
            session.set_read_timeout(idle);
            if let Some((patience, idle)) = context.patience.as_ref().zip(idle) {
                patience.set(idle);
            }
            // What comes from here on is no body of a request.
            context.body = None;
            context.lease.expect_body(None);
            // It may well last for hours.
            context.lease.leave();
        }
        response.remove_header(&PORTCULLIS_ERROR);
        if let Some(lines) = identity::set_cookies_that_pass(&response.headers) {
            response.remove_header(&SET_COOKIE);
            for line in lines {
                response.append_header(SET_COOKIE, line)?;
            }
        }
        // No Via on answers: a gateway may leave it out there (RFC 9110 section 7.6.3).
        response.insert_header("x-request-id", context.request_id.as_str())
    }

    /// Trailers are the upstream's words too: none of them is one of ours.
    fn upstream_response_trailer_filter(
        &self,
        _session: &mut Session,
        trailers: &mut http::HeaderMap,
        _context: &mut RequestContext,
    ) -> Result<()> {
        trailers.remove(PORTCULLIS_ERROR);
        trailers.remove(SET_COOKIE);
        Ok(())
    }

    /// A caller of HTTP/1.0 knows no chunks: the end of the connection ends the answer (RFC 9112 section 6.1).
    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        context: &mut RequestContext,
    ) -> Result<()> {
        if let Some(hsts) = context.arrival.hsts().filter(|_| !response.headers.contains_key(STRICT_TRANSPORT_SECURITY))
        {
            response.insert_header(STRICT_TRANSPORT_SECURITY, hsts)?;
        }
        context.status = response.status.as_u16();
        if session.req_header().version == http::Version::HTTP_10
            && response.remove_header(&http::header::TRANSFER_ENCODING).is_some()
        {
            session.set_keepalive(None);
        }
        Ok(())
    }

    fn response_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        _end_of_stream: bool,
        context: &mut RequestContext,
    ) -> Result<Option<Duration>> {
        context.bytes_out += body.as_ref().map_or(0, |body| body.len() as u64);
        // An answer that flows gives a request that does not no more time.
        pace(session, context).map(|()| None)
    }

    /// Only what is safe to send twice, on a pooled connection that died before any byte of an answer.
    fn error_while_proxy(
        &self,
        peer: &HttpPeer,
        session: &mut Session,
        error: Box<Error>,
        context: &mut RequestContext,
        client_reused: bool,
    ) -> Box<Error> {
        let ran_out = context.patience.as_ref().is_some_and(|patience| patience.ran_out());
        let error = if ran_out { too_silent() } else { error };
        let mut error = error.more_context(format!("upstream {}", peer._address));
        // What pingora holds to be retryable at all: no byte of an answer was read.
        error.retry.decide_reuse(client_reused);
        let is_h2 = peer.options.alpn.get_min_http_version() == 2;
        let is_early = error.retry() && !context.answered && *error.esource() == ErrorSource::Upstream;
        // Once: what fails on a connection of its own too is no stale pool (RFC 9110 section 9.2.2).
        let may_resend = client_reused && !context.resent && session.req_header().method.is_idempotent();
        let resends = may_resend && before_any_answer(&error, is_h2);
        let again = is_early && !session.as_ref().retry_buffer_truncated() && (resends || was_not_taken_up(&error));
        context.note_failure(&error, client_reused);
        context.resent |= again && resends;
        error.set_retry(again);
        error
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, context: &mut RequestContext) -> FailToProxy {
        let Some(denial) = failure(error) else {
            // A refusal stays one, whether its caller takes all of it or not.
            if context.outcome == Outcome::Failed {
                context.code = Some("downstream_closed");
                context.told = Some(Told::Nothing("downstream_closed"));
            }
            return FailToProxy { error_code: 0, can_reuse_downstream: false };
        };
        context.note(&denial, Outcome::Failed);
        if let Some(metrics) = context.metrics.as_ref().filter(|_| *error.esource() == ErrorSource::Upstream) {
            self.accounts.metrics.count_upstream_error(metrics, denial.code());
        }
        tracing::warn!(request_id = %context.request_id, code = denial.code(), error = %error.etype().as_str(), "a request failed");
        // An interim answer (1xx) is not the last word.
        if session.response_written().is_none_or(|said| said.status.is_informational() && said.status != 101) {
            let mut answer = Answer::refusal(&denial, &context.request_id);
            answer.close = true;
            // The caller may be gone as well; there is nobody else to tell.
            let _ = answer.write(&mut session.downstream_session, &context.request_id).await;
        }
        FailToProxy { error_code: denial.status(), can_reuse_downstream: false }
    }

    /// pingora's own lines would hold paths and queries.
    fn suppress_error_log(&self, _session: &Session, _context: &RequestContext, _error: &Error) -> bool {
        true
    }

    fn request_summary(&self, _session: &Session, context: &RequestContext) -> String {
        format!("request {}", context.request_id)
    }

    async fn logging(&self, session: &mut Session, _error: Option<&Error>, context: &mut RequestContext) {
        let status = session.response_written().map_or(0, |response| response.status.as_u16());
        self.accounts.tell(context, status, session.body_bytes_sent() as u64);
    }
}

/// Whether the connection failed before any byte of an answer. pingora calls a broken answer head retryable as well and
/// tells the bytes it had read in words alone; should the words change, nothing is retried.
fn before_any_answer(error: &Error, is_h2: bool) -> bool {
    match error.root_etype() {
        // Of a head in HTTP/2 nothing is seen before it is whole.
        ErrorType::ReadError if is_h2 => true,
        ErrorType::ConnectionClosed | ErrorType::ReadError => error.to_string().contains("bytes already read: 0"),
        kind => *kind == ErrorType::WriteError,
    }
}

/// `upstream + P` and the untouched query. The base URL itself was decided as `/` and goes on as that.
fn upstream_target(prefix: &str, relative: &[u8]) -> Vec<u8> {
    let mut target = Vec::with_capacity(prefix.len() + relative.len() + 1);
    target.extend_from_slice(prefix.as_bytes());
    if !relative.starts_with(b"/") {
        target.push(b'/');
    }
    target.extend_from_slice(relative);
    target
}

/// What HTTP/2 calls a stream that was refused, or came after the last one that the upstream takes up: it was not looked
/// at, whatever its method (RFC 9113 section 8.7). pingora holds no other failure of this kind to be retryable.
fn was_not_taken_up(error: &Error) -> bool {
    *error.etype() == ErrorType::H2Error
}

/// What a read timeout of pingora's own would be.
fn too_silent() -> Box<Error> {
    Error::explain(ErrorType::ReadTimedout, "the upstream was silent for too long").into_up()
}

fn no_address() -> Box<Error> {
    Error::explain(ErrorType::ConnectNoRoute, "no address of the upstream is in use").into_up()
}

impl RequestContext {
    /// Whether a request that found no connection goes to another address.
    fn connect_elsewhere(&mut self, error: &Error) -> bool {
        let (Some(attempt), Some(environment)) = (self.attempt.take(), &self.environment) else { return false };
        // A pooled connection of HTTP/2 that takes no more streams says nothing of its address, and is pooled no more.
        if *error.etype() != ErrorType::H2Error {
            self.tried.push(attempt.socket());
            if is_failed_connect(error.etype()) {
                attempt.failed(Failure::Connect);
            }
        }
        let bound = environment.upstream.timeouts.connect * 2;
        attempt.has_another(&self.tried) && self.upstream_since.is_some_and(|since| since.elapsed() < bound)
    }

    /// What a failure says of the address that the request went to.
    fn note_failure(&self, error: &Error, client_reused: bool) {
        let is_upstream = *error.esource() == ErrorSource::Upstream && !self.answered;
        // A body that did not end is a reason to give up on a request; whoever sends halves must not put upstreams out.
        let is_whole = self.body.is_none();
        // A pooled connection may end at any time, and one slow answer is no sign of a broken upstream.
        if let Some(attempt) = self.attempt.as_ref().filter(|_| is_upstream && is_whole && !client_reused)
            && upstream_failure(error.etype()) == Denial::UpstreamProtocol
        {
            attempt.failed(Failure::Answer);
        }
    }
}

/// Whether the upstream's address is at fault: what this machine has no more of, sockets for one, is not.
const fn is_failed_connect(kind: &ErrorType) -> bool {
    use ErrorType as E;
    matches!(
        kind,
        E::ConnectTimedout
            | E::ConnectRefused
            | E::ConnectNoRoute
            | E::ConnectError
            | E::TLSHandshakeFailure
            | E::TLSHandshakeTimedout
            | E::InvalidCert
    )
}

/// What a failure is called; `None` where the caller is gone and nobody is left to tell.
fn failure(error: &Error) -> Option<Denial> {
    match (error.esource(), error.etype()) {
        (ErrorSource::Downstream, ErrorType::ReadTimedout) => Some(Denial::RequestTimeout),
        (ErrorSource::Downstream, kind) if let Some(denial) = body::failure(kind) => Some(denial),
        (ErrorSource::Downstream, ErrorType::InvalidHTTPHeader | ErrorType::Custom(_) | ErrorType::CustomCode(..)) => {
            Some(Denial::MalformedRequest { reason: "the request's body is not framed as announced" })
        }
        (ErrorSource::Downstream, _) => None,
        (ErrorSource::Upstream, kind) => Some(upstream_failure(kind)),
        (ErrorSource::Internal | ErrorSource::Unset, _) => Some(Denial::InternalError),
    }
}

fn upstream_failure(kind: &ErrorType) -> Denial {
    use ErrorType as E;
    match kind {
        E::ConnectTimedout | E::ReadTimedout | E::WriteTimedout | E::TLSHandshakeTimedout => Denial::UpstreamTimeout,
        E::ConnectRefused
        | E::ConnectNoRoute
        | E::ConnectError
        | E::ConnectProxyFailure
        | E::BindError
        | E::SocketError
        | E::TLSHandshakeFailure
        | E::TLSWantX509Lookup
        | E::InvalidCert => Denial::UpstreamUnreachable,
        _ => Denial::UpstreamProtocol,
    }
}
