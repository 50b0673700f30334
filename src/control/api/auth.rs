//! Who asks: the bearer token of a request becomes an [`Asking`], and what is refused is counted for the audit log.

use super::answer::{Refusal, RequestId};
use super::body;
use super::places::Place;
use super::{BodyLimit, DOCUMENT_BODY, Shared};
use crate::access::client_address;
use crate::control::{Asking, Attempt, Caller, Control, ControlProblem, Incoming, Unproven};
use crate::model::{Act, Actor, Idempotency, Identifier, Timestamp, hex, percent_decode};
use axum::RequestExt;
use axum::body::HttpBody;
use axum::extract::{ConnectInfo, FromRequestParts, MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use std::net::{IpAddr, SocketAddr};
use zeroize::Zeroizing;

/// The longest idempotency key, in bytes.
const MAX_IDEMPOTENCY_KEY: usize = 255;

/// The methods of the routes. Any other is a word of the caller's.
const METHODS: [Method; 6] = [Method::DELETE, Method::GET, Method::HEAD, Method::PATCH, Method::POST, Method::PUT];

/// Lets a request pass if it carries a token that counts.
pub(super) async fn require(State(control): State<Shared>, request: Request, next: Next) -> Response {
    let arrival = match Arrival::of(&control, &request) {
        Ok(arrival) => arrival,
        Err(refusal) => return refusal.into_response(),
    };
    let (caller, response) = match admit(&control, &arrival, request).await {
        // The room is kept until what was sent is done with.
        Ok((caller, request, _room)) => (Some(caller), next.run(request).await),
        Err(refusal) => (None, refusal.into_response()),
    };
    arrival.note_answer(&control, caller.as_ref(), &response);
    response
}

/// Lets a request pass whoever asks: what it carries is its body's business.
pub(super) async fn let_pass(State(control): State<Shared>, request: Request, next: Next) -> Response {
    let arrival = match Arrival::of(&control, &request) {
        Ok(arrival) => arrival,
        Err(refusal) => return refusal.into_response(),
    };
    let response = match body::whole(request).await {
        Ok(mut request) => {
            // What the body shows is judged at the instant at which it is there.
            request.extensions_mut().insert(Anybody { act: arrival.act(Actor::Anonymous, control.now()) });
            next.run(request).await
        }
        Err(refusal) => refusal.into_response(),
    };
    arrival.note_answer(&control, None, &response);
    response
}

/// Proves the caller. A body takes as long as its sender likes: who sends one is proven again once it is there, so that
/// nobody keeps a right that they lost meanwhile.
async fn admit(
    control: &Shared,
    arrival: &Arrival,
    mut request: Request,
) -> Result<(Caller, Request, Option<Incoming>), Refusal> {
    let token = bearer(request.headers()).map(|token| Zeroizing::new(token.to_owned()));
    let token = token.ok_or_else(Refusal::not_authenticated)?;
    let is_status = request.method() == Method::GET && request.uri().path() == "/v1/status";
    let mut caller = prove(control, &token, arrival.address, is_status).await?;
    let mut room = None;
    if !request.body().is_end_stream() {
        room = make_room(control, &caller, &mut request).await?;
        request = body::whole(request).await?;
        caller = prove(control, &token, arrival.address, is_status).await?;
    }
    let act = arrival.act(caller.actor(), control.now());
    request.extensions_mut().insert(Asking { caller: caller.clone(), act });
    Ok((caller, request, room))
}

/// Where documents are sent to, a body is large: who may not send one is told before it is read, and few are read at once.
async fn make_room(control: &Shared, caller: &Caller, request: &mut Request) -> Result<Option<Incoming>, Refusal> {
    let limit = request.extensions().get::<BodyLimit>();
    if limit.is_none_or(|limit| limit.bytes < DOCUMENT_BODY.bytes) {
        return Ok(None);
    }
    let place: Place = request.extract_parts_with_state(control).await?;
    let replaces = request.method() == Method::PUT;
    Ok(Some(control.receive_document(caller, &place.environment()?, replaces)?))
}

/// What is known of a request before anybody is proven.
#[derive(Clone, Debug)]
pub(in crate::control) struct Arrival {
    pub(in crate::control) address: Option<IpAddr>,
    request_id: String,
    route: String,
    organization: Option<Identifier>,
}

impl Arrival {
    /// Errors: where forwarding headers cannot be read.
    pub(in crate::control) fn of(control: &Control, request: &Request) -> Result<Self, Refusal> {
        Ok(Self {
            address: address(control, request)?,
            request_id: request.extensions().get::<RequestId>().map_or_else(String::new, |id| id.0.clone()),
            route: route(request),
            organization: organization(request.uri()),
        })
    }

    /// What somebody does with the request.
    pub(in crate::control) fn act(&self, actor: Actor, now: Timestamp) -> Act {
        Act { address: self.address, request_id: self.request_id.clone(), ..Act::of(actor, now) }
    }

    /// The organization that the path names.
    pub(in crate::control) const fn organization(&self) -> Option<&Identifier> {
        self.organization.as_ref()
    }

    fn note_answer(self, control: &Control, caller: Option<&Caller>, response: &Response) {
        if let Some(refusal) = response.extensions().get::<Refusal>() {
            self.note(control, caller, refusal);
        }
    }

    /// Counts what was refused. An organization's own log tells of nobody who has no part in it.
    pub(in crate::control) fn note(self, control: &Control, caller: Option<&Caller>, refusal: &Refusal) {
        let Some(code) = refusal.attempt() else { return };
        let Self { address, request_id, route, organization } = self;
        let sees = |organization: &Identifier| caller.is_some_and(|caller| caller.sees(organization));
        let organization = organization.filter(|organization| refusal.is_insiders() && sees(organization));
        let actor = caller.map_or(Actor::Anonymous, Caller::actor);
        control.note_refused(Attempt { organization, actor, address, route, code }, &request_id);
    }
}

/// The caller's address: the peer's, or what a trusted proxy says. Without one nothing that asks for it is allowed.
fn address(control: &Control, request: &Request) -> Result<Option<IpAddr>, Refusal> {
    let Some(ConnectInfo(peer)) = request.extensions().get::<ConnectInfo<SocketAddr>>() else { return Ok(None) };
    let judged = client_address(peer.ip(), request.headers(), &control.trusted_proxies);
    judged.map(Some).map_err(|denial| Refusal::malformed(denial.detail()))
}

async fn prove(control: &Control, token: &str, address: Option<IpAddr>, is_status: bool) -> Result<Caller, Refusal> {
    control.authenticate(token, address, control.now(), is_status).await.map_err(|unproven| match unproven {
        Unproven::Nobody => Refusal::not_authenticated(),
        Unproven::Problem(problem) => problem.into(),
        Unproven::Refused(denial) => Refusal::denied(&denial),
    })
}

/// Method and template of the route: bounded, and free of what callers wrote.
fn route(request: &Request) -> String {
    let path = request.extensions().get::<MatchedPath>().map_or("*", MatchedPath::as_str);
    let path = if path.ends_with("{*rest}") { "*" } else { path };
    let method = Some(request.method()).filter(|method| METHODS.contains(method));
    format!("{} {path}", method.map_or("*", Method::as_str))
}

/// The organization that the path names, read as the router reads it.
fn organization(uri: &Uri) -> Option<Identifier> {
    let path = uri.path();
    let rest = path.strip_prefix("/v1/organizations/").or_else(|| path.strip_prefix("/o/"))?;
    let name = percent_decode(rest.split('/').next()?.as_bytes());
    Identifier::parse(std::str::from_utf8(&name).ok()?).ok()
}

/// The token of the one `Authorization: Bearer` (RFC 6750 section 2.1; the scheme in any case).
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (given.next(), given.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    let token = token.trim_matches(' ');
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// Whoever asks, where nobody need say who they are.
#[derive(Clone, Debug)]
pub(super) struct Anybody {
    /// From where, in which request, when; the actor is nobody.
    pub(super) act: Act,
}

impl FromRequestParts<Shared> for Anybody {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Self, Refusal> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| Refusal::from(ControlProblem::Fault))
    }
}

/// Who asks for what. A request that repeats itself under an `Idempotency-Key` is told by [`once`](Self::once).
pub(super) struct Asked {
    asking: Asking,
    /// The idempotency key, and the digest of method and path so far.
    repeatable: Option<(String, Sha256)>,
}

impl FromRequestParts<Shared> for Asked {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Self, Refusal> {
        let asking = parts.extensions.get::<Asking>().cloned().ok_or_else(Refusal::not_authenticated)?;
        let repeatable = idempotency_key(&parts.headers)?.map(|key| {
            let mut digest = Sha256::new();
            digest.update(format!("{} {}\n", parts.method, parts.uri));
            (key, digest)
        });
        Ok(Self { asking, repeatable })
    }
}

impl Asked {
    /// Who asks, where a repetition does no harm.
    pub(super) fn asking(self) -> Asking {
        self.asking
    }

    /// Who asks to have this body done, and once where an idempotency key came with it.
    pub(super) fn once(self, body: &[u8]) -> Asking {
        let mut asking = self.asking;
        asking.act.idempotency = self.repeatable.map(|(key, mut digest)| {
            digest.update(body);
            Idempotency { key, fingerprint: hex(&digest.finalize()) }
        });
        asking
    }
}

/// The `Idempotency-Key`, where there is one.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let mut given = headers.get_all("idempotency-key").iter();
    let (value, more) = (given.next(), given.next());
    let Some(value) = value else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    let sound = (1..=MAX_IDEMPOTENCY_KEY).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if sound && more.is_none() {
        return Ok(Some(text.to_owned()));
    }
    Err(Refusal::malformed("`Idempotency-Key` is one value of 1 to 255 visible ASCII characters"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_organization_is_found_however_it_is_written() {
        let found = |path: &str| organization(&path.parse().unwrap()).map(|id| id.to_string());
        for path in ["/v1/organizations/acme", "/v1/organizations/%61cm%65/members", "/o/acme/settings", "/o/%61cme"] {
            assert_eq!(found(path).as_deref(), Some("acme"), "{path}");
        }
        for path in ["/v1/organizations/", "/o/%2561cme", "/o/acme%2Fx", "/o/%ff", "/o/acme%", "/assets/acme"] {
            assert_eq!(found(path), None, "{path}");
        }
    }
}
