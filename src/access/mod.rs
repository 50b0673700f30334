//! The decision, as a pure function of values: no clock, no I/O, no tables.
//!
//! [`decide`] is steps 7 to 9 of the order of checks; the steps before it, and the order itself, stand in
//! `tables/order.rs`, its one caller. Step 3 is [`judge_path`].
//!
//! **Invariant:** only this room makes a [`Permit`], and nothing reaches an upstream without one. A [`Denial`] is a
//! value: each variant is one HTTP answer, one metric label, one log value and one documented code.
//!
//! To add a check: add a `Denial` variant (the compiler then names every place that must know of it), and the
//! step below or in `tables/order.rs`.

mod address;
mod denial;
mod management;
mod path;

pub use address::client_address;
pub use denial::{Challenge, Denial};
pub use management::{Issuer, ManagementCaller, ManagementRequest, judge_management};
pub use path::{PathRule, judge_path};

use crate::model::{
    AccessTokenClaims, ClientId, CoveredOperation, EnvironmentId, EnvironmentPolicy, KeyEnded, LiveKey,
    PermissionIndex, Timestamp,
};
use std::net::IpAddr;
use std::sync::Arc;

/// Leave to forward one request. Made by this room alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permit {
    environment: Arc<EnvironmentId>,
    operation: Arc<str>,
    client_id: Option<ClientId>,
}

impl Permit {
    /// Where the request goes.
    pub fn environment(&self) -> &EnvironmentId {
        &self.environment
    }

    /// What it does, as the catalogue names it.
    pub fn operation(&self) -> &Arc<str> {
        &self.operation
    }

    /// Whose key allowed it; `None` for a public operation.
    pub fn client_id(&self) -> Option<&ClientId> {
        self.client_id.as_ref()
    }
}

/// What one request asks for, its token proven genuine.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The claims of the proven token.
    pub token: &'a AccessTokenClaims,
    /// Where the request comes from, canonical.
    pub address: IpAddr,
    /// The operations it may run: first the one the catalogue matches, then those that a lenient upstream could
    /// run instead. Empty: the catalogue knows none.
    pub operations: &'a [&'a CoveredOperation],
}

/// Steps 7 to 9: the live key behind the token, the caller's address, the operation and its permission.
/// Everything not granted is denied.
pub fn decide(
    environment: &EnvironmentPolicy,
    key: Option<&LiveKey>,
    request: &Request<'_>,
    now: Timestamp,
) -> Result<Permit, Denial> {
    let key = check_key(environment, key, request.token, now)?;
    if !key.admits(request.address, &environment.platform) {
        return Err(Denial::IpNotAllowed { address: request.address });
    }
    let operation = check_operations(environment, key, request)?;
    Ok(Permit {
        environment: Arc::clone(&environment.id),
        operation: Arc::clone(&operation.id),
        client_id: Some(key.client_id.clone()),
    })
}

/// Step 4: a request needs no identity where every operation it could run is public.
pub fn allow_public(environment: &EnvironmentPolicy, operations: &[&CoveredOperation]) -> Option<Permit> {
    let first = operations.first().filter(|_| operations.iter().all(|operation| operation.public))?;
    Some(Permit { environment: Arc::clone(&environment.id), operation: Arc::clone(&first.id), client_id: None })
}

/// Step 4: a preflight needs no identity where the operation that it asks about is known. It runs none itself.
pub fn allow_preflight(environment: &EnvironmentPolicy, asked_about: &[&CoveredOperation]) -> Option<Permit> {
    asked_about.first()?;
    Some(Permit { environment: Arc::clone(&environment.id), operation: PREFLIGHT.into(), client_id: None })
}

/// What the operation of a preflight is called, upstream and in logs.
pub const PREFLIGHT: &str = "portcullis:preflight";

/// Step 7: the key exists, is not revoked, has the secret the token was got with, and is not expired.
fn check_key<'a>(
    environment: &EnvironmentPolicy,
    key: Option<&'a LiveKey>,
    token: &AccessTokenClaims,
    now: Timestamp,
) -> Result<&'a LiveKey, Denial> {
    // INVARIANT: a genuine token whose key is gone (a declared key taken out of its file) is as good as revoked.
    let key = key.ok_or(Denial::KeyRevoked)?;
    // INVARIANT: permission and role indices mean nothing outside their environment (a declared key may have moved).
    if key.environment != environment.index {
        return Err(Denial::WrongEnvironment);
    }
    match key.ended(now) {
        Some(KeyEnded::Revoked) => Err(Denial::KeyRevoked),
        _ if key.secret_version != token.secret_version => Err(Denial::SecretRotated),
        Some(KeyEnded::Expired) => Err(Denial::KeyExpired),
        None => Ok(key),
    }
}

/// Step 9: the catalogue knows the operation, and key and scope hold a permission that covers it; the same for
/// every operation that a lenient upstream could run instead.
fn check_operations<'a>(
    environment: &EnvironmentPolicy,
    key: &LiveKey,
    request: &Request<'a>,
) -> Result<&'a CoveredOperation, Denial> {
    let first = request.operations.first().copied().ok_or(Denial::OperationUnknown)?;
    for operation in request.operations {
        let granted = operation.permissions.iter().any(|index| environment.grants(key, request.token, *index));
        if !granted {
            return Err(permission_missing(environment, operation));
        }
    }
    Ok(first)
}

fn permission_missing(environment: &EnvironmentPolicy, operation: &CoveredOperation) -> Denial {
    let narrowest: Option<PermissionIndex> = operation.permissions.first().copied();
    match narrowest.and_then(|index| environment.permission(index)) {
        Some(name) => {
            Denial::PermissionMissing { permission: name.to_shared(), operation: Arc::clone(&operation.label) }
        }
        // No permission covers it: nobody can hold one.
        None => Denial::OperationUnknown,
    }
}

#[cfg(test)]
mod tests;
