//! Who may speak to the control API with an access token: a living management key, from its own addresses.

use super::{Denial, check_key};
use crate::model::{
    AccessTokenClaims, ClientId, EnvironmentId, EnvironmentPolicy, LiveKey, ManagementPermission, ManagementSet,
    Timestamp,
};
use std::net::IpAddr;
use std::sync::Arc;

/// A management key that showed a living token. What it may do counts in its own environment and nowhere else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManagementCaller {
    /// The key.
    pub client_id: ClientId,
    /// Where it works.
    pub environment: Arc<EnvironmentId>,
    /// What key and scope hold; at least one permission over keys.
    pub management: ManagementSet,
}

/// What the control API was shown, the token proven genuine.
#[derive(Clone, Copy, Debug)]
pub struct ManagementRequest<'a> {
    /// The claims of the proven token.
    pub token: &'a AccessTokenClaims,
    /// Whether the token was revoked by itself.
    pub token_revoked: bool,
    /// The control API's URL, canonical: the audience of its tokens.
    pub control_url: &'a str,
    /// Where the request comes from, canonical.
    pub address: IpAddr,
}

/// The environment a key works in: its policy and its base URL, which issued the key's tokens.
#[derive(Clone, Copy, Debug)]
pub struct Issuer<'a> {
    /// What decisions depend on.
    pub policy: &'a EnvironmentPolicy,
    /// `iss` of its tokens.
    pub base_url: &'a str,
}

/// Judges a caller of the control API by the same steps, in the same order, as the edge judges callers of the API:
/// audience and issuer, the token's own life, the live key, the address, the permission. `key` comes with the
/// environment it works in.
pub fn judge_management(
    key: Option<(&LiveKey, Issuer<'_>)>,
    request: &ManagementRequest<'_>,
    now: Timestamp,
) -> Result<ManagementCaller, Denial> {
    let token = request.token;
    let foreign = |issuer: &Issuer<'_>| *token.issuer != *issuer.base_url || issuer.base_url == request.control_url;
    if *token.audience != *request.control_url || key.as_ref().is_some_and(|(_, issuer)| foreign(issuer)) {
        return Err(Denial::WrongEnvironment);
    }
    if token.expires_at <= now {
        return Err(Denial::TokenExpired);
    }
    if request.token_revoked {
        return Err(Denial::TokenRevoked);
    }
    let (key, Issuer { policy, .. }) = key.ok_or(Denial::KeyRevoked)?;
    let key = check_key(policy, Some(key), token, now)?;
    if !key.admits(request.address, &policy.platform) {
        return Err(Denial::IpNotAllowed { address: request.address });
    }
    let management = key.management.narrowed(token.scope.as_deref());
    if !management.manages_keys() {
        let permission = ManagementPermission::KeysView.as_str().into();
        return Err(Denial::PermissionMissing { permission, operation: "the control API".into() });
    }
    Ok(ManagementCaller { client_id: key.client_id.clone(), environment: Arc::clone(&policy.id), management })
}
