//! One environment as the request path reads it, and how requests find theirs.

use crate::catalogue::Catalogue;
use crate::model::{
    ApiKey, BaseUrl, EnvironmentIndex, EnvironmentPolicy, Holding, KeyKind, LiveAllowlist, LiveKey, ManagementSet,
    PathRules, PermissionSet, Preset, Role, RoleIndex, Upstream, percent_decode,
};
use std::collections::HashMap;

/// Everything about an environment that does not change with a single key.
#[derive(Debug)]
pub struct EnvironmentTable {
    /// `org/env`, as metrics and log lines show it.
    pub label: String,
    /// Issuer and audience of its tokens.
    pub base_url: BaseUrl,
    /// What decisions depend on.
    pub policy: EnvironmentPolicy,
    /// Its operations and permissions.
    pub catalogue: Catalogue,
    /// Selections to start a key from.
    pub presets: Vec<Preset>,
    /// Sets of permissions for legacy keys.
    pub roles: Vec<Role>,
    /// How strictly paths are read.
    pub paths: PathRules,
    /// Where allowed requests go.
    pub upstream: Upstream,
    /// The header that carries the bearer token.
    pub token_header: http::HeaderName,
    /// Where the OAuth endpoints live below the base URL, such as `/oauth2`.
    pub oauth_prefix: String,
    /// The platform's name for its own addresses.
    pub platform_label: String,
}

/// A path that Portcullis answers itself (step 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reserved {
    /// The introspection endpoint (RFC 7662).
    Introspect,
    /// The public signing keys.
    Jwks,
    /// The metadata of RFC 8414.
    Metadata,
    /// The revocation endpoint (RFC 7009).
    Revoke,
    /// The token endpoint.
    Token,
    /// Below the OAuth prefix, but nothing that is served: it never reaches the upstream either.
    Unserved,
}

impl EnvironmentTable {
    /// What stands after the base path in a raw path that was routed here.
    pub fn relative<'p>(&self, path: &'p [u8]) -> &'p [u8] {
        path.strip_prefix(self.base_url.path().as_bytes()).unwrap_or_default()
    }

    /// Whether Portcullis answers the path itself; `relative` is what stands after the base path.
    pub fn reserved(&self, relative: &[u8]) -> Option<Reserved> {
        match relative.strip_prefix(self.oauth_prefix.as_bytes()) {
            Some(b"/token") => Some(Reserved::Token),
            Some(b"/introspect") => Some(Reserved::Introspect),
            Some(b"/jwks") => Some(Reserved::Jwks),
            Some(b"/revoke") => Some(Reserved::Revoke),
            Some(rest) if rest.is_empty() || rest.starts_with(b"/") => Some(Reserved::Unserved),
            _ if relative == b"/.well-known/openid-configuration" => Some(Reserved::Metadata),
            _ => None,
        }
    }

    /// The key as the request path sees it. Permissions that the catalogue does not know open nothing.
    pub(super) fn live_key(&self, index: usize, key: &ApiKey) -> LiveKey {
        let holding = match &key.kind {
            KeyKind::FineGrained { permissions } => Holding::Permissions(PermissionSet::new(
                permissions.iter().filter_map(|name| self.catalogue.permission(name.as_str())),
            )),
            KeyKind::Legacy { role } => (0u32..)
                .zip(&self.roles)
                .find(|(_, known)| known.name == *role)
                .map_or(Holding::Nothing, |(at, _)| Holding::Role(RoleIndex(at))),
        };
        let management = match &key.kind {
            KeyKind::FineGrained { permissions } => ManagementSet::of(permissions),
            KeyKind::Legacy { .. } => ManagementSet::default(),
        };
        let allowlist = key.allowlist.as_ref().map_or(LiveAllowlist::Any, |list| LiveAllowlist::Only {
            networks: list.network_set(),
            platform: list.platform(),
        });
        LiveKey {
            client_id: key.client_id.clone(),
            environment: EnvironmentIndex(u32::try_from(index).unwrap_or(u32::MAX)),
            secret_digest: key.secret_digest,
            secret_version: key.secret_version,
            expires_at: key.expires_at,
            revoked: key.revoked_at.is_some(),
            allowlist,
            holding,
            management,
            revision: key.revision,
        }
    }
}

/// The environments of one host, by base path.
#[derive(Debug, Default)]
pub(super) struct Host {
    /// Base path without trailing slash, to the environment's place.
    prefixes: HashMap<Box<[u8]>, usize, ahash::RandomState>,
    /// The longest base path: nothing beyond it is looked at.
    longest: usize,
}

/// Where RFC 8414 puts an issuer's metadata: before the issuer's path.
const WELL_KNOWN: &[u8] = b"/.well-known/oauth-authorization-server";

impl Host {
    pub(super) fn insert(&mut self, prefix: &str, index: usize) {
        self.longest = self.longest.max(prefix.len());
        self.prefixes.insert(prefix.as_bytes().into(), index);
    }

    /// The longest base path that the raw path starts with, on a segment border.
    pub(super) fn route(&self, path: &[u8]) -> Option<usize> {
        if let Some(issuer_path) = path.strip_prefix(WELL_KNOWN)
            && let Some(index) = self.prefixes.get(issuer_path)
        {
            return Some(*index);
        }
        let mut end = path.len();
        loop {
            if end <= self.longest
                && let Some(index) = path.get(..end).and_then(|prefix| self.prefixes.get(prefix))
            {
                return Some(*index);
            }
            end = memchr::memrchr(b'/', path.get(..end)?)?;
        }
    }
}

/// Whether the raw path is where RFC 8414 puts the metadata of an issuer with this base path.
pub fn is_well_known(path: &[u8], base_path: &str) -> bool {
    path.strip_prefix(WELL_KNOWN) == Some(base_path.as_bytes())
}

/// The path as a lenient reader takes it: decoded once and in lower case.
pub(super) fn lenient(path: &[u8]) -> Vec<u8> {
    percent_decode(path).to_ascii_lowercase()
}

/// Host names are compared in lower case and without the root's dot (RFC 3986 section 3.2.2).
pub(super) fn fold_authority(authority: &str) -> String {
    let lower = authority.to_ascii_lowercase();
    match lower.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => {
            format!("{}:{port}", host.strip_suffix('.').unwrap_or(host))
        }
        _ => lower.strip_suffix('.').map(str::to_owned).unwrap_or(lower),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_base_path_wins_on_a_segment_border() {
        let mut host = Host::default();
        for (at, prefix) in ["", "/v1", "/v1/production", "/v2/x"].into_iter().enumerate() {
            host.insert(prefix, at);
        }
        for (path, index) in [
            ("/", 0),
            ("/v1", 1),
            ("/v1/", 1),
            ("/v12", 0),
            ("/v1/productions", 1),
            ("/v1/production", 2),
            ("/v1/production/cards/1", 2),
            ("/v2", 0),
            ("/v2/x/y", 3),
            ("/.well-known/oauth-authorization-server/v1", 1),
            ("/.well-known/oauth-authorization-server", 0),
        ] {
            assert_eq!(host.route(path.as_bytes()), Some(index), "{path}");
        }
        let mut host = Host::default();
        host.insert("/v1", 0);
        for path in ["/", "/v", "/V1", "/v10", "/a/v1", "", "*"] {
            assert_eq!(host.route(path.as_bytes()), None, "{path}");
        }
    }

    #[test]
    fn authorities_fold() {
        for (given, folded) in [
            ("API.Example.com.", "api.example.com"),
            ("a.:8080", "a:8080"),
            ("[::1]:80", "[::1]:80"),
            ("[::1]", "[::1]"),
        ] {
            assert_eq!(fold_authority(given), folded);
        }
    }
}
