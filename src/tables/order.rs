//! **The order of checks.** One screen, one snapshot, and the same for requests and for whoever asks what would become
//! of one. The order is part of the contract: the first check that fails is the answer.
//!
//! | step | check | where |
//! |---|---|---|
//! | 2 | environment by host and longest base path; then the caller's address | `Snapshot::route`, [`Asker::address`] |
//! | 3 | path is unambiguous | `access::judge_path` |
//! | 4 | reserved paths; public operations | `EnvironmentTable::reserved`, `access::allow_public` |
//! | 5 | exactly one bearer credential, genuine | [`Asker::claims`] |
//! | 6 | the token is of this environment, and alive | `judge_claims` |
//! | 7–9 | live key, caller's address, operation and permission | `access::decide` |
//!
//! What it leaves to others: bytes and framing (step 1), and forwarding, with the permit in hand (step 11).

use super::{EnvironmentTable, Reserved, Snapshot, is_well_known};
use crate::access::{self, Denial, PathRule, Permit};
use crate::catalogue::{Ambiguity, Lookup};
use crate::model::{AccessTokenClaims, Cors, Method, Timestamp};
use std::net::IpAddr;
use std::sync::Arc;

/// What a request asks for, as it arrived.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// The one Host.
    pub authority: &'a str,
    /// The name that the caller asked for in TLS, in lower case; `None` where it asked for none, or there is no TLS.
    pub sni: Option<&'a str>,
    /// The method.
    pub method: &'a Method,
    /// The raw path, without query.
    pub path: &'a [u8],
    /// The method that a CORS preflight asks about; `None` for what is no preflight.
    pub preflight: Option<&'a Method>,
}

/// A step of the order that can be passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// 2: some environment serves host and path.
    Environment,
    /// 3: the path has one reading.
    Path,
    /// 4: Portcullis does not answer the path itself.
    Reserved,
    /// 4: the operation needs identity.
    Public,
    /// 5 and 6: the token is genuine, of this environment, and alive.
    Token,
}

/// Whoever asks. Each question is put at its place in the order, and only if everything before it passed.
pub trait Asker {
    /// Where the request comes from, canonical; asked once its environment is known.
    fn address(&mut self, environment: &Arc<EnvironmentTable>) -> Result<IpAddr, Denial>;

    /// The claims of a genuine token.
    fn claims(&mut self, environment: &EnvironmentTable) -> Result<Arc<AccessTokenClaims>, Denial>;

    /// A step was passed.
    fn passed(&mut self, _: Step) {}
}

/// How a request goes on.
#[derive(Debug)]
pub enum Judged {
    /// Portcullis answers it.
    Answer(Reserved),
    /// The upstream answers it.
    Forward(Permit),
}

impl Snapshot {
    /// Runs the checks in their order.
    pub fn judge(&self, line: &Line<'_>, asker: &mut impl Asker, now: Timestamp) -> Result<Judged, Denial> {
        let Line { authority, sni, method, path, .. } = *line;
        let environment = self.route(authority, path).ok_or(Denial::EnvironmentUnknown)?; // 2
        if sni.is_some_and(|sni| self.is_name_of_others(sni, environment)) {
            return Err(Denial::MisdirectedRequest); // 2
        }
        asker.passed(Step::Environment);
        let address = asker.address(environment)?;
        access::judge_path(path, &environment.paths).map_err(ambiguous)?; // 3
        if !self.routes_alike(authority, path, environment) {
            return Err(ambiguous(PathRule::Siblings)); // 3: a lenient reader would find another environment
        }
        asker.passed(Step::Path);
        if is_well_known(path, environment.base_url.path()) {
            return Ok(Judged::Answer(Reserved::Metadata)); // 4
        }
        let relative = environment.relative(path);
        match environment.reserved(relative) {
            Some(Reserved::Unserved) => return Err(Denial::OperationUnknown), // 4
            Some(reserved) => return Ok(Judged::Answer(reserved)),            // 4
            None => asker.passed(Step::Reserved),
        }
        let lookup = environment.catalogue.lookup(method, relative);
        let operations = match &lookup {
            Lookup::Found(found) => found.operations(),
            Lookup::Unknown | Lookup::Ambiguous(_) => &[],
        };
        if let Some(permit) = access::allow_public(&environment.policy, operations) {
            return Ok(Judged::Forward(permit)); // 4
        }
        let asked_about = line.preflight.filter(|_| environment.cors == Cors::Forward);
        if let Some(method) = asked_about
            && let Lookup::Found(found) = environment.catalogue.lookup(method, relative)
            && let Some(permit) = access::allow_preflight(&environment.policy, found.operations())
        {
            return Ok(Judged::Forward(permit)); // 4
        }
        asker.passed(Step::Public);
        let claims = asker.claims(environment)?; // 5
        self.judge_claims(environment, &claims, now)?; // 6
        asker.passed(Step::Token);
        let asked = access::Request { token: &claims, address, operations };
        let verdict = self.with_key(claims.client_id.as_str(), |key| {
            access::decide(&environment.policy, key, &asked, now) // 7, 8, 9
        });
        match lookup {
            // Told only to whoever passed steps 5 to 8; `operation_unknown` is what decide says of no operations.
            Lookup::Ambiguous(why) if verdict == Err(Denial::OperationUnknown) => Err(ambiguous(rule(why))),
            Lookup::Ambiguous(_) | Lookup::Found(_) | Lookup::Unknown => verdict.map(Judged::Forward),
        }
    }

    /// Whether a name is one that environments on another host are reached by. One that is nobody's says nothing.
    fn is_name_of_others(&self, name: &str, environment: &EnvironmentTable) -> bool {
        name != environment.base_url.host() && self.world.serves_name(name)
    }

    /// Step 6: issuer and audience, then expiry, then the token's own revocation.
    fn judge_claims(
        &self,
        environment: &EnvironmentTable,
        claims: &AccessTokenClaims,
        now: Timestamp,
    ) -> Result<(), Denial> {
        let base_url = environment.base_url.as_str();
        if *claims.issuer != *base_url || *claims.audience != *base_url {
            return Err(Denial::WrongEnvironment);
        }
        if claims.expires_at <= now {
            return Err(Denial::TokenExpired);
        }
        if self.is_revoked(&claims.token_id) {
            return Err(Denial::TokenRevoked);
        }
        Ok(())
    }
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
