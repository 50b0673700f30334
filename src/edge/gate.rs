//! The edge's side of the order of checks, which stands in `tables/order.rs`: what a request shows at each step.
//! Step 1 is `head.rs`'s and happens before this room is asked; step 11 is `forward.rs`'s, with the permit in hand.
//! Every step that fails stops there; nothing has been sent upstream before step 11.

use super::arrival::Arrival;
use super::bearer::bearer;
use super::endpoints::Endpoint;
use super::methods;
use super::reserved::Document;
use crate::access::{self, Denial, Permit};
use crate::model::{AccessTokenClaims, ClientId, NetworkSet, Timestamp};
use crate::tables::{Asker, EnvironmentTable, Judged, Line, Reserved, Snapshot};
use http::{HeaderMap, Method};
use std::net::IpAddr;
use std::sync::Arc;

/// A request as it arrived, its head already judged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrived<'a> {
    pub(super) method: &'a Method,
    /// Raw path and query, exactly as they will be forwarded.
    pub(super) target: &'a [u8],
    pub(super) headers: &'a HeaderMap,
    pub(super) peer: IpAddr,
    /// Whether forwarding headers count at all, see [`Arrival::may_forward`].
    pub(super) may_forward: bool,
}

impl<'a> Arrived<'a> {
    /// The raw path, and the query without `?`.
    pub(super) fn split_target(&self) -> (&'a [u8], Option<&'a [u8]>) {
        match memchr::memchr(b'?', self.target) {
            Some(at) => (self.target.get(..at).unwrap_or_default(), self.target.get(at + 1..)),
            None => (self.target, None),
        }
    }
}

/// What the checks found out on the way, for answer, log and metrics, whatever the verdict.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) environment: Option<Arc<EnvironmentTable>>,
    pub(super) address: Option<IpAddr>,
    /// The key of a proven token.
    pub(super) client_id: Option<ClientId>,
    pub(super) claims: Option<Arc<AccessTokenClaims>>,
    /// Whether the token had been proven before; `None` where none was looked at.
    pub(super) token_known: Option<bool>,
}

/// What Portcullis answers itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Own {
    /// An OPTIONS that may go no further.
    Options,
    Document(Document),
    Endpoint(Endpoint),
}

/// How a request goes on.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Portcullis answers it.
    Answer(Own),
    /// The upstream answers it.
    Forward(Permit),
}

/// What the checks need besides the tables.
#[derive(Debug)]
pub(super) struct Gate {
    pub(super) trusted_proxies: NetworkSet,
}

impl Gate {
    /// Whether this connection's forwarding headers are believed.
    pub(super) fn trusts(&self, arrival: &Arrival) -> bool {
        arrival.may_forward && self.trusted_proxies.contains(arrival.peer)
    }

    /// Runs the checks in their order.
    pub(super) fn check(
        &self,
        tables: &Snapshot,
        request: &Arrived<'_>,
        sni: Option<&str>,
        now: Timestamp,
        seen: &mut Seen,
    ) -> Result<Verdict, Denial> {
        let (path, _) = request.split_target();
        let preflight = methods::preflight(request.method, request.headers);
        let authority = authority(request.headers);
        let line = Line { authority, sni, method: request.method, path, preflight: preflight.as_ref() };
        let mut asker = Arriving { gate: self, tables, request, seen };
        match tables.judge(&line, &mut asker, now)? {
            Judged::Answer(reserved) => own(reserved).map(Verdict::Answer).ok_or(Denial::OperationUnknown),
            Judged::Forward(permit) => Ok(Verdict::Forward(permit)),
        }
    }
}

/// A request at its place in the order of checks.
struct Arriving<'a> {
    gate: &'a Gate,
    tables: &'a Snapshot,
    request: &'a Arrived<'a>,
    seen: &'a mut Seen,
}

impl Asker for Arriving<'_> {
    fn address(&mut self, environment: &Arc<EnvironmentTable>) -> Result<IpAddr, Denial> {
        self.seen.environment = Some(Arc::clone(environment));
        let Arrived { peer, headers, may_forward, .. } = *self.request;
        let forwarded = || access::client_address(peer, headers, &self.gate.trusted_proxies);
        let address = if may_forward { forwarded()? } else { peer };
        self.seen.address = Some(address);
        Ok(address)
    }

    /// Step 5: exactly one bearer credential; its signature, `typ` and `alg`.
    fn claims(&mut self, environment: &EnvironmentTable) -> Result<Arc<AccessTokenClaims>, Denial> {
        let token = bearer(self.request.headers, &environment.token_header)?;
        let (claims, known) = self.tables.claims(token).map_err(|_| Denial::TokenInvalid)?;
        self.seen.token_known = Some(known);
        self.seen.client_id = Some(claims.client_id.clone());
        self.seen.claims = Some(Arc::clone(&claims));
        Ok(claims)
    }
}

/// Step 4: what answers a reserved path; `None` where nothing does.
const fn own(reserved: Reserved) -> Option<Own> {
    Some(match reserved {
        Reserved::Introspect => Own::Endpoint(Endpoint::Introspect),
        Reserved::Jwks => Own::Document(Document::Jwks),
        Reserved::Metadata => Own::Document(Document::Metadata),
        Reserved::Revoke => Own::Endpoint(Endpoint::Revoke),
        Reserved::Token => Own::Endpoint(Endpoint::Token),
        Reserved::Unserved => return None,
    })
}

/// The one Host the head was judged to have.
fn authority(headers: &HeaderMap) -> &str {
    headers.get(http::header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default()
}
