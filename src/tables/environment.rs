//! One environment as the request path reads it, and how requests find theirs.

use crate::catalogue::Catalogue;
use crate::model::{
    ApiKey, BaseUrl, Cors, Environment, EnvironmentIndex, EnvironmentPolicy, Holding, ImportReport, KeyKind,
    LiveAllowlist, LiveKey, ManagedBy, ManagementSet, PathRules, PermissionName, PermissionSet, PlatformAddresses,
    Preset, Role, RoleIndex, SwitchGuarded, Upstream, percent_decode,
};
use std::collections::HashMap;
use std::sync::Arc;

/// So many roles may be gone, beside as many as there are, before places are given anew.
const MOST_ROLES_GONE: usize = 1000;

/// Everything about an environment that does not change with a single key.
#[derive(Debug)]
pub struct EnvironmentTable {
    /// `org/env`, as metrics and log lines show it.
    pub label: String,
    /// Issuer and audience of its tokens.
    pub base_url: BaseUrl,
    /// Its authority in its one spelling, which upstreams get whatever callers wrote; `None` where it cannot be a field.
    pub authority: Option<http::HeaderValue>,
    /// What decisions depend on.
    pub policy: EnvironmentPolicy,
    /// Its operations and permissions; shared by environments that say the same.
    pub catalogue: Arc<Catalogue>,
    /// Selections to start a key from that were declared.
    pub(super) presets: Vec<Preset>,
    /// Sets of permissions for legacy keys.
    pub roles: Vec<Role>,
    /// The names behind role indices; those of roles that are gone too.
    pub(super) role_places: Box<[Box<str>]>,
    /// How strictly paths are read.
    pub paths: PathRules,
    /// Where allowed requests go.
    pub upstream: Arc<Upstream>,
    /// The header that carries the bearer token.
    pub token_header: http::HeaderName,
    /// Where the OAuth endpoints live below the base URL, such as `/oauth2`.
    pub oauth_prefix: String,
    /// What becomes of preflights.
    pub cors: Cors,
    /// The largest request body, where it says so.
    pub body_limit: Option<u64>,
    /// The platform's own addresses.
    pub platform: PlatformAddresses,
    /// What the import of its OpenAPI document had to tell.
    pub report: Option<Arc<ImportReport>>,
    /// Who describes it.
    pub managed_by: ManagedBy,
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

    /// Builds the table of `environment`. What `before` (the same environment until now) knew keeps its place.
    pub(super) fn new(
        environment: Environment,
        managed_by: ManagedBy,
        catalogue: Arc<Catalogue>,
        index: EnvironmentIndex,
        before: Option<&Self>,
    ) -> Self {
        let Environment { id, base_url, upstream, presets, roles, platform, paths, .. } = environment;
        let (report, token_header, oauth_prefix) =
            (environment.report, environment.token_header, environment.oauth_prefix);
        let (cors, body_limit) = (environment.cors, environment.body_limit);
        let role_places = role_places(&roles, before);
        // What is known of an upstream is found by its place in memory: the same one keeps its place.
        let known = before.filter(|before| *before.upstream == upstream).map(|before| Arc::clone(&before.upstream));
        let upstream = known.unwrap_or_else(|| Arc::new(upstream));
        let policy = EnvironmentPolicy {
            id: Arc::new(id),
            index,
            platform: platform.network_set(),
            roles: role_places.iter().map(|name| role_set(&catalogue, &roles, name)).collect(),
            permissions: Arc::clone(catalogue.names()),
        };
        Self {
            label: policy.id.to_string(),
            authority: http::HeaderValue::from_str(&base_url.authority()).ok(),
            base_url,
            policy,
            catalogue,
            presets,
            roles,
            role_places,
            paths,
            upstream,
            token_header,
            oauth_prefix,
            cors,
            body_limit,
            platform,
            report,
            managed_by,
        }
    }

    /// What it was built from, without keys.
    pub fn to_environment(&self) -> Environment {
        Environment {
            id: self.policy.id.as_ref().clone(),
            base_url: self.base_url.clone(),
            upstream: self.upstream.as_ref().clone(),
            public: self.catalogue.public().to_vec(),
            permissions: Arc::clone(self.catalogue.declared()),
            report: self.report.clone(),
            presets: self.presets.clone(),
            roles: self.roles.clone(),
            platform: self.platform.clone(),
            paths: self.paths,
            token_header: self.token_header.clone(),
            oauth_prefix: self.oauth_prefix.clone(),
            cors: self.cors,
            body_limit: self.body_limit,
            keys: Vec::new(),
        }
    }

    /// Whether it was built from the same, keys apart.
    pub(super) fn is(&self, environment: &Environment, managed_by: ManagedBy) -> bool {
        // Every field by name: one that is added must be thought of here.
        let Environment {
            id,
            base_url,
            upstream,
            public,
            permissions,
            report,
            presets,
            roles,
            platform,
            paths,
            token_header,
            oauth_prefix,
            cors,
            body_limit,
            keys: _,
        } = environment;
        self.managed_by == managed_by
            && *self.policy.id == *id
            && self.base_url == *base_url
            && *self.upstream == *upstream
            && same(self.catalogue.declared(), permissions)
            && self.report == *report
            && self.catalogue.public() == public.as_slice()
            && self.paths == *paths
            && self.presets == *presets
            && self.roles == *roles
            && self.platform == *platform
            && self.token_header == *token_header
            && self.oauth_prefix == *oauth_prefix
            && self.cors == *cors
            && self.body_limit == *body_limit
    }

    /// The selections to start a key from: those that follow from its permissions, or an own one of that name in their
    /// place; then its other own ones.
    pub fn presets(&self) -> Vec<Preset> {
        let mut presets = self.catalogue.built_in_presets();
        for own in &self.presets {
            match presets.iter_mut().find(|known| known.name == own.name) {
                Some(known) => own.clone_into(known),
                None => presets.push(own.clone()),
            }
        }
        presets
    }

    /// The selection of that name, if there is one.
    pub fn preset(&self, name: &str) -> Option<Preset> {
        let named = |preset: &Preset| preset.name == name;
        let own = self.presets.iter().find(|preset| named(preset)).cloned();
        own.or_else(|| self.catalogue.built_in_presets().into_iter().find(named))
    }

    /// The role of that name, if the environment has it.
    pub fn role(&self, name: &str) -> Option<&Role> {
        self.roles.iter().find(|role| role.name == name)
    }

    /// Whether a key that names something which `before` did not know may be seen more fully now.
    pub(super) fn knows_more_than(&self, before: &Self) -> bool {
        self.catalogue.names().len() > before.catalogue.names().len()
            || self.role_places.len() > before.role_places.len()
    }

    /// Whether so many of its names are gone that the places are worth giving anew.
    pub(super) fn is_sparse(&self) -> bool {
        self.catalogue.is_sparse() || self.role_places.len() > self.roles.len() * 2 + MOST_ROLES_GONE
    }

    /// The key as the request path sees it. What the environment does not know opens nothing.
    pub(super) fn live_key(&self, key: &ApiKey) -> LiveKey {
        let (holding, is_incomplete) = self.holding(&key.kind);
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
            environment: self.policy.index,
            secret_digest: key.secret_digest,
            secret_version: key.secret_version,
            expires_at: key.expires_at,
            revoked: key.revoked_at.is_some(),
            allowlist,
            holding,
            management,
            is_incomplete,
            revision: key.revision,
        }
    }

    /// What a key holds, and whether it names something that was never known here.
    fn holding(&self, kind: &KeyKind) -> (Holding, bool) {
        match kind {
            KeyKind::FineGrained { permissions } => {
                let place = |name: &PermissionName| self.catalogue.place(name.as_str());
                let is_incomplete = permissions.iter().any(|name| !name.is_reserved() && place(name).is_none());
                (Holding::Permissions(PermissionSet::new(permissions.iter().filter_map(place))), is_incomplete)
            }
            KeyKind::Legacy { role } => {
                let place = (0u32..).zip(&self.role_places).find(|(_, known)| ***known == **role);
                (place.map_or(Holding::Nothing, |(at, _)| Holding::Role(RoleIndex(at))), place.is_none())
            }
        }
    }
}

/// Shared slices are mostly the very same.
pub(super) fn same<T: PartialEq>(one: &Arc<[T]>, other: &Arc<[T]>) -> bool {
    Arc::ptr_eq(one, other) || one == other
}

/// Role names by place: those of `before` keep theirs, new ones follow.
fn role_places(roles: &[Role], before: Option<&EnvironmentTable>) -> Box<[Box<str>]> {
    let mut places: Vec<Box<str>> = before.map(|before| before.role_places.to_vec()).unwrap_or_default();
    for role in roles {
        if !places.iter().any(|known| **known == *role.name) {
            places.push(role.name.as_str().into());
        }
    }
    places.into_boxed_slice()
}

/// What the role of that name holds: nothing where it is gone.
fn role_set(catalogue: &Catalogue, roles: &[Role], name: &str) -> PermissionSet {
    let permissions = roles.iter().find(|role| role.name == name).map_or(&[][..], |role| &role.permissions);
    PermissionSet::new(permissions.iter().filter_map(|name| catalogue.permission(name.as_str())))
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
    /// Who had the prefix before is answered.
    pub(super) fn insert(&mut self, prefix: &str, index: usize) -> Option<usize> {
        self.longest = self.longest.max(prefix.len());
        self.prefixes.insert(prefix.as_bytes().into(), index)
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

/// The path as the most lenient reader that the rules know of takes it: decoded twice, without path parameters and in
/// lower case.
pub(super) fn lenient(path: &[u8], rules: &PathRules) -> Vec<u8> {
    let mut read = percent_decode(path);
    if rules.double_encoding != SwitchGuarded::Opaque {
        read = percent_decode(&read);
    }
    if rules.semicolon != SwitchGuarded::Opaque {
        let segments: Vec<&[u8]> = read.split(|byte| *byte == b'/').map(bare).collect();
        read = segments.join(&b'/');
    }
    read.make_ascii_lowercase();
    read
}

fn bare(segment: &[u8]) -> &[u8] {
    segment.split(|byte| *byte == b';').next().unwrap_or_default()
}

/// Host names are compared in lower case and without the root's dot (RFC 3986 section 3.2.2). A dot behind a port is part
/// of no name.
pub(super) fn fold_authority(authority: &str) -> String {
    let lower = authority.to_ascii_lowercase();
    match lower.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => {
            format!("{}:{port}", host.strip_suffix('.').unwrap_or(host))
        }
        Some((_, port)) if port.bytes().any(|b| b.is_ascii_digit()) && !port.ends_with(']') => lower,
        _ => lower.strip_suffix('.').map(str::to_owned).unwrap_or(lower),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_are_folded() {
        for (said, folded) in [
            ("Api.Test", "api.test"),
            ("api.test.", "api.test"),
            ("API.test.:8080", "api.test:8080"),
            ("[::1]", "[::1]"),
            ("[::1]:80", "[::1]:80"),
            // No authority has a dot behind its port.
            ("api.test:8080.", "api.test:8080."),
        ] {
            assert_eq!(fold_authority(said), folded);
        }
    }

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
