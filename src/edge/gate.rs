//! **The order of checks.** One screen: steps 1 to 6 here, 7 to 9 in `access::decide`. The order is part of the contract.
//!
//! | step | check | where |
//! |---|---|---|
//! | 1 | framing and bytes are sound | `head.rs`, before this room is asked |
//! | 2 | environment by host and longest base path | [`Gate::check`] |
//! | 3 | path is unambiguous | `access::judge_path` |
//! | 4 | reserved paths; public operations | [`Gate::check`], `access::allow_public` |
//! | 5 | exactly one bearer credential | `bearer.rs` |
//! | 6 | the token is genuine, of this environment, and alive | [`proven`] |
//! | 7–9 | live key, caller's address, operation and permission | `access::decide` |
//! | 11 | forward with a permit in hand | `forward.rs` |
//!
//! Every step that fails stops there; nothing has been sent upstream before step 11.

use super::bearer::bearer;
use super::endpoints::Endpoint;
use super::reserved::Document;
use crate::access::{self, Denial, PathRule, Permit};
use crate::catalogue::{Ambiguity, Lookup};
use crate::model::{AccessTokenClaims, ClientId, NetworkSet, Timestamp};
use crate::tables::{EnvironmentTable, Reserved, Snapshot, is_well_known};
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
    /// Whether the token had been proven before; `None` where none was looked at.
    pub(super) token_known: Option<bool>,
}

/// What Portcullis answers itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Own {
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

impl Verdict {
    /// Whether the upstream answers.
    pub(super) const fn forwards(&self) -> bool {
        matches!(self, Self::Forward(_))
    }
}

/// What the checks need besides the tables.
#[derive(Debug)]
pub(super) struct Gate {
    pub(super) trusted_proxies: NetworkSet,
}

impl Gate {
    /// Runs the checks in their order.
    pub(super) fn check(
        &self,
        tables: &Snapshot,
        request: &Arrived<'_>,
        now: Timestamp,
        seen: &mut Seen,
    ) -> Result<Verdict, Denial> {
        let (path, _) = request.split_target();
        let environment = tables.route(authority(request.headers), path).ok_or(Denial::EnvironmentUnknown)?; // 2
        seen.environment = Some(Arc::clone(environment));
        let address = access::client_address(request.peer, request.headers, &self.trusted_proxies)?; // 4.3
        seen.address = Some(address);
        access::judge_path(path, &environment.paths).map_err(ambiguous)?; // 3
        if !tables.routes_alike(authority(request.headers), path, environment) {
            return Err(ambiguous(PathRule::Siblings)); // 3: a lenient reader would find another environment
        }
        if is_well_known(path, environment.base_url.path()) {
            return Ok(Verdict::Answer(Own::Document(Document::Metadata))); // 4
        }
        let relative = environment.relative(path);
        if let Some(reserved) = environment.reserved(relative) {
            return own(reserved).map(Verdict::Answer).ok_or(Denial::OperationUnknown); // 4
        }
        let lookup = environment.catalogue.lookup(request.method, relative);
        let operations = match &lookup {
            Lookup::Found(found) => found.operations(),
            Lookup::Unknown | Lookup::Ambiguous(_) => &[],
        };
        if let Some(permit) = access::allow_public(&environment.policy, operations) {
            return Ok(Verdict::Forward(permit)); // 4
        }
        let token = bearer(request.headers, &environment.token_header)?; // 5
        let claims = proven(tables, environment, token, now, seen)?; // 6
        let asked = access::Request { token: &claims, address, operations };
        let verdict = tables.with_key(claims.client_id.as_str(), |key| {
            access::decide(&environment.policy, key, &asked, now) // 7, 8, 9
        });
        match lookup {
            // Told only to whoever passed steps 5 to 8; `operation_unknown` is what decide says of no operations.
            Lookup::Ambiguous(why) if verdict == Err(Denial::OperationUnknown) => Err(ambiguous(rule(why))),
            Lookup::Ambiguous(_) | Lookup::Found(_) | Lookup::Unknown => verdict.map(Verdict::Forward),
        }
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

/// Step 6: signature, `typ`, `alg`, then issuer and audience, then expiry, then its own revocation.
fn proven(
    tables: &Snapshot,
    environment: &EnvironmentTable,
    token: &str,
    now: Timestamp,
    seen: &mut Seen,
) -> Result<Arc<AccessTokenClaims>, Denial> {
    let (claims, known) = tables.claims(token).map_err(|_| Denial::TokenInvalid)?;
    seen.token_known = Some(known);
    seen.client_id = Some(claims.client_id.clone());
    let base_url = environment.base_url.as_str();
    if *claims.issuer != *base_url || *claims.audience != *base_url {
        return Err(Denial::WrongEnvironment);
    }
    if claims.expires_at <= now {
        return Err(Denial::TokenExpired);
    }
    if tables.is_revoked(&claims.token_id) {
        return Err(Denial::TokenRevoked);
    }
    Ok(claims)
}

/// The one Host the head was judged to have.
fn authority(headers: &HeaderMap) -> &str {
    headers.get(http::header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default()
}

const fn ambiguous(rule: PathRule) -> Denial {
    Denial::TargetAmbiguous { rule }
}

const fn rule(why: Ambiguity) -> PathRule {
    match why {
        Ambiguity::Semicolon => PathRule::Semicolon,
        Ambiguity::Siblings => PathRule::Siblings,
    }
}
