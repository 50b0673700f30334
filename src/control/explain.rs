//! What would become of a request, and which check decides: the request path's own order of checks, run over the live
//! tables for a key, a request and an address that somebody names. Nothing is sent anywhere, and no token is needed:
//! one that the key could get now is taken for granted.

use super::caller::{Asking, Right};
use super::field::FieldErrors;
use super::{Control, ControlProblem};
use crate::access::Denial;
use crate::model::{AccessTokenClaims, ApiKey, ClientId, EnvironmentId, Method, Timestamp, quoted};
use crate::tables::{Asker, EnvironmentTable, Judged, Line, Snapshot, Step};
use std::cmp::Ordering;
use std::net::IpAddr;
use std::sync::Arc;

/// The longest path that can be asked about, in bytes.
const MAX_PATH: usize = 8000;
/// The longest method, as on the request path.
const MAX_METHOD: usize = 32;

/// A request to be explained, as it was asked for.
#[derive(Clone, Debug, Default)]
pub struct ExplainDraft {
    /// Whose request it is.
    pub client_id: Option<String>,
    /// Its method.
    pub method: Option<String>,
    /// Its path below the base URL, without query.
    pub path: Option<String>,
    /// Where it comes from.
    pub address: Option<String>,
}

/// What would become of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// How it would go on.
    pub verdict: ExplainedVerdict,
    /// Each check, in its order.
    pub steps: Vec<ExplainedStep>,
}

/// How a request would go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExplainedVerdict {
    /// Portcullis answers the path itself.
    Answer,
    /// The API behind the gate gets it, as this operation.
    Forward(Arc<str>),
    /// It is refused.
    Refuse(Denial),
}

/// One check and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExplainedStep {
    /// Which check.
    pub check: Check,
    /// `None` where it was not looked at.
    pub passed: Option<bool>,
    /// For people.
    pub detail: String,
}

/// The checks in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Check {
    /// Some environment serves the request.
    Environment,
    /// The path has one reading.
    Path,
    /// Whether Portcullis answers the path itself.
    Reserved,
    /// Whether the operation needs no token.
    Public,
    /// The token is of this environment and alive.
    Token,
    /// The key is live.
    Key,
    /// The key may be used from the address.
    Address,
    /// The operation is known, and the key holds a permission for it.
    Permission,
}

impl Check {
    const ALL: [Self; 8] = [
        Self::Environment,
        Self::Path,
        Self::Reserved,
        Self::Public,
        Self::Token,
        Self::Key,
        Self::Address,
        Self::Permission,
    ];

    /// What there is to say where it was passed.
    const fn passed(self) -> &'static str {
        match self {
            Self::Environment => "the environment serves this host and path",
            Self::Path => "the path has one reading",
            Self::Reserved => "Portcullis does not answer this path itself",
            Self::Public => "the operation is not public: a token is asked for",
            Self::Token => "a token that the key could get now is taken for granted",
            Self::Key => "the key is live",
            Self::Address => "the key may be used from this address",
            Self::Permission => "the key holds a permission for the operation",
        }
    }
}

/// A request that can be explained.
struct Sound {
    client_id: ClientId,
    method: Method,
    path: String,
    address: IpAddr,
}

impl Control {
    /// Runs the checks of the request path. `found` is what reading the draft found wrong already.
    /// Errors: `NotFound`, `NotAllowed`, `Invalid`, `Unavailable`, `Fault`.
    pub async fn explain(
        &self,
        asking: &Asking,
        environment: &EnvironmentId,
        draft: ExplainDraft,
        found: FieldErrors,
    ) -> Result<Explanation, ControlProblem> {
        asking.caller.require_in(Right::See, environment)?;
        self.with_environment(environment, |_| ())?;
        let request = judge(draft, found)?;
        let key = match self.show_key(asking, environment, &request.client_id).await {
            Err(ControlProblem::NotFound) => return Err(unknown_key().into()),
            key => key?,
        };
        self.with_environment(environment, |snapshot| {
            snapshot.environment(environment).map(|table| run(snapshot, table, &key, &request, asking.act.at))
        })?
        .ok_or(ControlProblem::NotFound)
    }
}

fn unknown_key() -> FieldErrors {
    let mut errors = FieldErrors::default();
    errors.add("/client_id", "key_unknown", "the environment has no key of that client id");
    errors
}

fn judge(draft: ExplainDraft, mut errors: FieldErrors) -> Result<Sound, FieldErrors> {
    let ExplainDraft { client_id, method, path, address } = draft;
    let mut given = |pointer: &str, text: Option<String>| {
        if text.is_none() {
            errors.add(pointer, "field_required", "this is needed");
        }
        text
    };
    let texts =
        (given("/client_id", client_id), given("/method", method), given("/path", path), given("/address", address));
    let (Some(client_id), Some(method), Some(path), Some(address)) = texts else { return errors.or(None) };
    let client_id =
        ClientId::parse(&client_id).map_err(|_| errors.add("/client_id", "key_unknown", "no key has that id"));
    let method = method_of(&method).ok_or_else(|| {
        errors.add(
            "/method",
            "method_invalid",
            "a method is 1 to 32 characters of a token; CONNECT and TRACE are not served",
        );
    });
    if !is_path(&path) {
        let message = "the path below the base URL starts with `/`, has no query, and holds nothing that HTTP wants \
                       percent-encoded";
        errors.add("/path", "path_invalid", message);
    }
    let address = address.parse::<IpAddr>().map_err(|_| {
        errors.add("/address", "address_invalid", format!("`{}` is not an IP address", quoted(&address)));
    });
    let sound = match (client_id, method, address) {
        (Ok(client_id), Ok(method), Ok(address)) => {
            Some(Sound { client_id, method, path, address: address.to_canonical() })
        }
        _ => None,
    };
    errors.or(sound)
}

pub(super) fn method_of(text: &str) -> Option<Method> {
    let served = text.len() <= MAX_METHOD && text != "CONNECT" && text != "TRACE";
    Method::from_bytes(text.as_bytes()).ok().filter(|_| served)
}

/// What the request path lets through to its checks as a path.
pub(super) fn is_path(text: &str) -> bool {
    let sound = |byte: u8| byte.is_ascii_graphic() && !b"\"#<>?`".contains(&byte);
    text.starts_with('/') && text.len() <= MAX_PATH && text.bytes().all(sound)
}

/// Somebody who shows a token that the key could get now.
struct Presumed<'a> {
    key: &'a ApiKey,
    issuer: Arc<str>,
    address: IpAddr,
    now: Timestamp,
    reached: Option<Step>,
}

impl Asker for Presumed<'_> {
    fn address(&mut self, _: &Arc<EnvironmentTable>) -> Result<IpAddr, Denial> {
        Ok(self.address)
    }

    fn claims(&mut self, _: &EnvironmentTable) -> Result<Arc<AccessTokenClaims>, Denial> {
        Ok(Arc::new(AccessTokenClaims {
            issuer: Arc::clone(&self.issuer),
            audience: Arc::clone(&self.issuer),
            client_id: self.key.client_id.clone(),
            issued_at: self.now,
            expires_at: self.now.plus_seconds(1),
            // No token has this id, so none was revoked.
            token_id: "".into(),
            secret_version: self.key.secret_version,
            scope: None,
        }))
    }

    fn passed(&mut self, step: Step) {
        self.reached = Some(step);
    }
}

fn run(
    snapshot: &Snapshot,
    environment: &EnvironmentTable,
    key: &ApiKey,
    request: &Sound,
    now: Timestamp,
) -> Explanation {
    let base_url = &environment.base_url;
    let issuer = base_url.to_shared();
    let mut presumed = Presumed { key, issuer, address: request.address, now, reached: None };
    let authority = base_url.authorities().into_iter().next().unwrap_or_default();
    let path = format!("{}{}", base_url.path(), request.path);
    let line =
        Line { authority: &authority, sni: None, method: &request.method, path: path.as_bytes(), preflight: None };
    let judged = snapshot.judge(&line, &mut presumed, now);
    let (decisive, verdict) = match judged {
        Ok(Judged::Answer(_)) => (Check::Reserved, ExplainedVerdict::Answer),
        Ok(Judged::Forward(permit)) => {
            let decisive = if permit.client_id().is_some() { Check::Permission } else { Check::Public };
            (decisive, ExplainedVerdict::Forward(Arc::clone(permit.operation())))
        }
        Err(denial) => (failed(presumed.reached, &denial), ExplainedVerdict::Refuse(denial)),
    };
    let steps = Check::ALL.iter().map(|check| step(*check, decisive, &verdict)).collect();
    Explanation { verdict, steps }
}

/// The check that failed.
fn failed(reached: Option<Step>, denial: &Denial) -> Check {
    match reached {
        None => Check::Environment,
        Some(Step::Environment) => Check::Path,
        Some(Step::Path) => Check::Reserved,
        Some(Step::Reserved) => Check::Public,
        Some(Step::Public) => Check::Token,
        Some(Step::Token) if matches!(denial, Denial::IpNotAllowed { .. }) => Check::Address,
        Some(Step::Token) if is_about_operations(denial) => Check::Permission,
        Some(Step::Token) => Check::Key,
    }
}

const fn is_about_operations(denial: &Denial) -> bool {
    matches!(denial, Denial::OperationUnknown | Denial::PermissionMissing { .. } | Denial::TargetAmbiguous { .. })
}

fn step(check: Check, decisive: Check, verdict: &ExplainedVerdict) -> ExplainedStep {
    let (passed, detail) = match check.cmp(&decisive) {
        Ordering::Less => (Some(true), check.passed().to_owned()),
        Ordering::Greater => (None, "not looked at".to_owned()),
        Ordering::Equal => match verdict {
            ExplainedVerdict::Answer => (Some(true), "Portcullis answers this path itself".to_owned()),
            ExplainedVerdict::Forward(_) if check == Check::Public => {
                (Some(true), "the operation is public: no token is asked for".to_owned())
            }
            ExplainedVerdict::Forward(_) => (Some(true), check.passed().to_owned()),
            ExplainedVerdict::Refuse(denial) => (Some(false), denial.detail().into_owned()),
        },
    };
    ExplainedStep { check, passed, detail }
}
