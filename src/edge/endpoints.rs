//! The endpoints that authenticate their clients: token (RFC 6749), introspection (RFC 7662), revocation (RFC 7009).
//!
//! What is decided is decided on one snapshot, without waiting; a revocation is then handed to the sink that `app`
//! injected, and answered once that has kept it.

use super::answer::{Answer, PORTCULLIS_ERROR};
use super::gate::Arrived;
use super::revocation::{RevocationRefused, RevocationSink, TokenRevocation};
use crate::model::{AccessTokenClaims, ClientId, LiveKey, Timestamp};
use crate::oauth::{
    self, AskedToken, ClientContext, ClientCredentials, ClientThrottle, Grant, GrantContext, OAuthError, ProvenClient,
    TokenQuestion, TokenRequest, WireRequest,
};
use crate::tables::{EnvironmentTable, Snapshot, Tables};
use crate::telemetry::{Told, UsageRecorder};
use crate::token;
use http::header::{PRAGMA, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Method};
use parking_lot::Mutex;
use pingora_core::protocols::http::ServerSession;
use serde_json::json;
use std::cell::Cell;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// The largest body these endpoints take, in bytes.
pub(super) const BODY_BYTES: usize = 16 * 1024;

/// A request's body has this long to arrive.
const BODY_TIME: Duration = Duration::from_secs(10);

/// One of the endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    Introspect,
    Revoke,
    Token,
}

impl Endpoint {
    /// What metrics call it.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Introspect => "introspect",
            Self::Revoke => "revoke",
            Self::Token => "token",
        }
    }
}

/// What the endpoints are made of.
pub(super) struct Endpoints {
    pub(super) control_url: Arc<str>,
    pub(super) token_lifetime: Duration,
    pub(super) revocations: Arc<dyn RevocationSink>,
    pub(super) usage: Arc<UsageRecorder>,
    /// Touched by failures alone.
    pub(super) throttle: Mutex<ClientThrottle>,
}

impl std::fmt::Debug for Endpoints {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoints").field("control_url", &self.control_url).finish_non_exhaustive()
    }
}

/// What is known of a request besides its head and body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub(super) address: IpAddr,
    pub(super) now: Timestamp,
    /// A new token's id as well.
    pub(super) request_id: &'a str,
}

/// An answer, and what else there is to tell of it.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) answer: Answer,
    /// What metrics call it: `issued`, `active`, `inactive`, `revoked`, `unchanged`, or the error's code.
    pub(super) result: &'static str,
    /// Whose secret was proven.
    pub(super) proven: Option<ClientId>,
    /// What the caller was told where it was refused.
    pub(super) told: Option<Told>,
}

/// What a request comes to before anybody has to wait.
enum Outcome {
    Answer(Answer, &'static str),
    Revoke(TokenRevocation),
}

impl Endpoints {
    /// Answers a request.
    pub(super) async fn answer(
        &self,
        endpoint: Endpoint,
        request: &Arrived<'_>,
        body: &Body,
        environment: &EnvironmentTable,
        tables: &Tables,
        asked: &Asked<'_>,
    ) -> Answered {
        let (outcome, proven) = {
            let snapshot = tables.load();
            // The tables may have been swapped while the body arrived: one snapshot decides.
            let environment = snapshot.environment(&environment.policy.id).map_or(environment, Arc::as_ref);
            let place = Place { endpoints: self, environment, tables: &snapshot, asked, proven: Cell::default() };
            let outcome = read(request, body).and_then(|wire| place.decide(endpoint, &wire.as_wire(request)));
            (outcome, place.proven.into_inner())
        };
        let error = match outcome {
            Ok(Outcome::Answer(answer, result)) => return Answered { answer, result, proven, told: None },
            Ok(Outcome::Revoke(revocation)) => match self.revocations.revoke(revocation).await {
                Ok(()) => return Answered { answer: nothing(), result: "revoked", proven, told: None },
                Err(RevocationRefused::TooMany { retry_after }) => OAuthError::TooManyRevoked { retry_after },
                Err(RevocationRefused::Unavailable) => OAuthError::Unavailable,
            },
            Err(error) => error,
        };
        let told = Some(Told::Words(error.code(), error.description()));
        Answered { answer: refusal(&error), result: error.code(), proven, told }
    }
}

/// Where a request is decided: one environment of one snapshot.
struct Place<'a> {
    endpoints: &'a Endpoints,
    environment: &'a EnvironmentTable,
    tables: &'a Snapshot,
    asked: &'a Asked<'a>,
    /// Whose secret was proven.
    proven: Cell<Option<ClientId>>,
}

impl Place<'_> {
    fn decide(&self, endpoint: Endpoint, wire: &WireRequest<'_>) -> Result<Outcome, OAuthError> {
        match endpoint {
            Endpoint::Introspect => self.introspect(&TokenQuestion::parse(wire)?),
            Endpoint::Revoke => self.revoke(&TokenQuestion::parse(wire)?),
            Endpoint::Token => self.issue(&TokenRequest::parse(wire)?),
        }
    }

    fn issue(&self, request: &TokenRequest) -> Result<Outcome, OAuthError> {
        let context = GrantContext {
            base_url: &self.environment.base_url.to_shared(),
            control_url: &self.endpoints.control_url,
            lifetime: self.endpoints.token_lifetime,
            token_id: self.asked.request_id,
        };
        let grant = self.proven(&request.client, |client| oauth::grant(client, request, &context, self.asked.now))?;
        Ok(match token::sign(&grant.claims, self.tables.signing()) {
            Ok(token) => {
                self.endpoints.usage.record_issue(&grant.claims.client_id, self.asked.address, self.asked.now);
                Outcome::Answer(issued(&token, &grant), "issued")
            }
            Err(error) => {
                tracing::error!(%error, "a token could not be signed");
                let body = json!({"error": "server_error", "error_description": "the token could not be signed"});
                Outcome::Answer(Answer::document(500, &body, "no-store"), "server_error")
            }
        })
    }

    fn introspect(&self, question: &TokenQuestion) -> Result<Outcome, OAuthError> {
        let document = self.proven(&question.client, |client| {
            Ok(self.asked_token(&question.token, |token| oauth::introspection(client, token, self.asked.now)))
        })?;
        let result = if document.get("client_id").is_some() { "active" } else { "inactive" };
        let answer = Answer::document(200, &document, "no-store").header(PRAGMA, NO_CACHE);
        Ok(Outcome::Answer(answer, result))
    }

    fn revoke(&self, question: &TokenQuestion) -> Result<Outcome, OAuthError> {
        self.proven(&question.client, |client| {
            self.asked_token(&question.token, |token| {
                let ends = oauth::revocation(client, token, self.asked.now)?;
                Ok(ends.map_or_else(|| Outcome::Answer(nothing(), "unchanged"), |claims| self.revocation(claims)))
            })
        })
    }

    fn revocation(&self, claims: &AccessTokenClaims) -> Outcome {
        Outcome::Revoke(TokenRevocation {
            token_id: Arc::clone(&claims.token_id),
            client_id: claims.client_id.clone(),
            environment: (*self.environment.policy.id).clone(),
            // One that has expired is kept as one that expires now: for longer than any stream goes without a check.
            expires_at: claims.expires_at.max(self.asked.now),
            address: self.asked.address,
            request_id: self.asked.request_id.to_owned(),
            revoked_at: self.asked.now,
        })
    }

    /// Proves the client, and asks something of it.
    fn proven<R>(
        &self,
        credentials: &ClientCredentials,
        ask: impl FnOnce(&ProvenClient<'_>) -> Result<R, OAuthError>,
    ) -> Result<R, OAuthError> {
        self.own_key(&credentials.client_id, |key| {
            let context = ClientContext { environment: &self.environment.policy, key, address: self.asked.address };
            let client = oauth::authenticate(credentials, &context, self.asked.now);
            // A client is refused by a reason of its own once its secret is proven.
            if matches!(client, Ok(_) | Err(OAuthError::ClientRefused { .. })) {
                self.proven.set(key.map(|key| key.client_id.clone()));
            }
            ask(&client.map_err(|error| self.slowed_down(credentials, error))?)
        })
    }

    /// Whoever failed to prove a client too often is told to wait instead. A proven one never gets here.
    fn slowed_down(&self, credentials: &ClientCredentials, error: OAuthError) -> OAuthError {
        if !matches!(error, OAuthError::InvalidClient { .. }) {
            return error;
        }
        let mut throttle = self.endpoints.throttle.lock();
        let wait = throttle.failed(&credentials.client_id, self.asked.address, self.asked.now);
        wait.map_or(error, |retry_after| OAuthError::RateLimited { retry_after })
    }

    /// Asks something of a key, if there is one of that id in this environment.
    fn own_key<R>(&self, id: &str, ask: impl FnOnce(Option<&LiveKey>) -> R) -> R {
        self.tables.with_key(id, |key| ask(key.filter(|key| key.environment == self.environment.policy.index)))
    }

    /// Asks something of a token, if the text is a genuine one.
    fn asked_token<R>(&self, text: &str, ask: impl FnOnce(Option<&AskedToken<'_>>) -> R) -> R {
        let Ok((claims, _)) = self.tables.claims(text) else { return ask(None) };
        self.own_key(claims.client_id.as_str(), |key| {
            ask(Some(&AskedToken {
                claims: &claims,
                key,
                revoked: self.tables.is_revoked(&claims.token_id),
                base_url: self.environment.base_url.as_str(),
                control_url: &self.endpoints.control_url,
            }))
        })
    }
}

/// The parts of a request that are parsed.
struct Parts<'a> {
    authorization: Vec<&'a [u8]>,
    content_type: Option<&'a [u8]>,
    body: &'a [u8],
}

impl Parts<'_> {
    fn as_wire<'w>(&'w self, request: &Arrived<'w>) -> WireRequest<'w> {
        let (_, query) = request.split_target();
        WireRequest {
            query: query.unwrap_or_default(),
            content_type: self.content_type,
            authorization: &self.authorization,
            body: self.body,
        }
    }
}

fn read<'a>(request: &Arrived<'a>, body: &'a Body) -> Result<Parts<'a>, OAuthError> {
    if request.method != Method::POST {
        return Err(OAuthError::MethodNotAllowed);
    }
    let body = match body {
        Body::Broken => return Err(OAuthError::InvalidRequest("the body did not arrive whole")),
        Body::TooLarge => return Err(OAuthError::TooLarge),
        Body::Whole(body) => body.as_slice(),
    };
    let authorization =
        request.headers.get_all(http::header::AUTHORIZATION).iter().map(HeaderValue::as_bytes).collect();
    let mut types = request.headers.get_all(http::header::CONTENT_TYPE).iter();
    let content_type = types.next().map(HeaderValue::as_bytes);
    if types.next().is_some() {
        return Err(OAuthError::InvalidRequest("Content-Type is repeated"));
    }
    Ok(Parts { authorization, content_type, body })
}

const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");

fn issued(token: &str, grant: &Grant) -> Answer {
    let body = json!({
        "access_token": token,
        "token_type": "Bearer",
        "expires_in": grant.expires_in,
        "scope": grant.scope,
    });
    Answer::document(200, &body, "no-store").header(PRAGMA, NO_CACHE)
}

/// RFC 7009 section 2.2: the status says it all.
fn nothing() -> Answer {
    Answer::document(200, &json!({}), "no-store").header(PRAGMA, NO_CACHE)
}

fn refusal(error: &OAuthError) -> Answer {
    let mut answer = Answer::document(error.status(), &error.body(), "no-store")
        .header(PRAGMA, NO_CACHE)
        .header(PORTCULLIS_ERROR, HeaderValue::from_static(error.code()));
    if error.challenges_basic() {
        answer = answer.header(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"portcullis\""));
    }
    if let Some(seconds) = error.retry_after() {
        answer = answer.header(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if *error == OAuthError::MethodNotAllowed {
        answer = answer.allow("POST");
    }
    answer.close = *error == OAuthError::TooLarge;
    answer
}

/// The body of a request to one of the endpoints.
#[derive(Debug)]
pub(super) enum Body {
    /// It ended early, or took too long.
    Broken,
    /// Larger than the endpoint takes.
    TooLarge,
    /// All of it; wiped when dropped.
    Whole(Zeroizing<Vec<u8>>),
}

/// Reads the whole body.
pub(super) async fn read_body(session: &mut ServerSession) -> Body {
    tokio::time::timeout(BODY_TIME, read_whole(session)).await.unwrap_or(Body::Broken)
}

async fn read_whole(session: &mut ServerSession) -> Body {
    let announced =
        session.get_header(http::header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > BODY_BYTES) {
        return Body::TooLarge;
    }
    let waits = session.get_header_bytes(http::header::EXPECT).eq_ignore_ascii_case(b"100-continue")
        && session.req_header().version != http::Version::HTTP_10;
    if waits && !session.is_body_done() && session.write_continue_response().await.is_err() {
        return Body::Broken;
    }
    let mut body = Zeroizing::new(Vec::with_capacity(announced.unwrap_or_default()));
    loop {
        match session.read_request_body().await {
            Ok(Some(bytes)) if body.len() + bytes.len() > BODY_BYTES => return Body::TooLarge,
            Ok(Some(bytes)) => body.extend_from_slice(&bytes),
            Ok(None) => return Body::Whole(body),
            Err(_) => return Body::Broken,
        }
    }
}
