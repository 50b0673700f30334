//! Organizations and their environments, as tenant files describe them.

use super::{
    ApiKey, Identifier, ImportReport, Network, NetworkSet, OperationPattern, Permission, PermissionName, Upstream,
    quoted,
};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// An organization and an environment within it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EnvironmentId {
    /// The organization.
    pub organization: Identifier,
    /// The environment.
    pub environment: Identifier,
}

impl fmt::Display for EnvironmentId {
    /// `org/env`, as metrics and log lines show it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.organization, self.environment)
    }
}

/// An organization with its environments and the policies its file sets.
#[derive(Clone, Debug)]
pub struct Organization {
    /// Its id.
    pub id: Identifier,
    /// Its name for people.
    pub name: String,
    /// Whether new legacy keys are refused; `None` where no file says so.
    pub block_legacy_keys: Option<bool>,
    /// The longest life a key may be given; `None` where no file says so.
    pub max_key_lifetime: Option<Duration>,
    /// Its environments.
    pub environments: Vec<Environment>,
}

/// One environment: a base URL, the upstream behind it and what keys may do there.
#[derive(Clone, Debug)]
pub struct Environment {
    /// Which one.
    pub id: EnvironmentId,
    /// Where callers reach it; also the issuer and audience of its tokens.
    pub base_url: BaseUrl,
    /// Where allowed requests go.
    pub upstream: Upstream,
    /// Operations that need no token.
    pub public: Vec<OperationPattern>,
    /// What keys can hold; shared by environments that say the same. Empty: `api:read` and `api:write` over every path.
    pub permissions: Arc<[Permission]>,
    /// What the import of its OpenAPI document had to tell; `None` where it has no document.
    pub report: Option<Arc<ImportReport>>,
    /// Named selections of permissions to start a key from.
    pub presets: Vec<Preset>,
    /// Named sets of permissions for legacy keys.
    pub roles: Vec<Role>,
    /// The platform's own addresses.
    pub platform: PlatformAddresses,
    /// How strictly paths are read.
    pub paths: PathRules,
    /// The header that carries the bearer token; `authorization` unless the API needs that one itself.
    pub token_header: http::HeaderName,
    /// Where the OAuth endpoints live below the base URL, starting with `/`; `/oauth2` by default.
    pub oauth_prefix: String,
    /// What becomes of the questions that browsers ask before they send a request of another origin.
    pub cors: Cors,
    /// The largest request body in bytes, 1 KiB to 1 TiB; `None` is what the node takes.
    pub body_limit: Option<u64>,
    /// Keys declared in the file (digest only).
    pub keys: Vec<ApiKey>,
}

/// A named selection of permissions to start a key from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preset {
    /// Its name for people.
    pub name: String,
    /// What it selects.
    pub permissions: Vec<PermissionName>,
}

/// A named set of permissions for legacy keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// Its name.
    pub name: String,
    /// What it opens.
    pub permissions: Vec<PermissionName>,
}

/// The platform's own named address list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlatformAddresses {
    /// What pages call it.
    pub label: String,
    /// The networks.
    pub networks: Vec<Network>,
}

impl PlatformAddresses {
    /// Flattened for matching.
    pub fn network_set(&self) -> NetworkSet {
        NetworkSet::new(&self.networks)
    }
}

/// An encoding that is refused, or taken as part of one parameter's value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SwitchOpaque {
    /// Part of a value, never a separator.
    Opaque,
    /// 400 `target_ambiguous`.
    #[default]
    Refuse,
}

/// A spelling that is allowed where no lenient upstream could read it as something else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SwitchGuarded {
    /// Allowed where it is harmless, else 400 `target_ambiguous`.
    #[default]
    Guarded,
    /// Always part of a value.
    Opaque,
    /// Always 400 `target_ambiguous`.
    Refuse,
}

/// Empty segments (`//`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SwitchSegments {
    /// A segment like any other.
    Literal,
    /// 400 `target_ambiguous`.
    #[default]
    Refuse,
}

/// What becomes of a CORS preflight: an OPTIONS that asks on behalf of a page of another origin, without credentials.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cors {
    /// The API answers it, where it knows the operation that is asked about; it says whose pages may call.
    Forward,
    /// A request like any other: without a token, 401.
    #[default]
    Refuse,
}

/// How strictly the paths of one environment are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PathRules {
    /// `%2f`.
    pub encoded_slash: SwitchOpaque,
    /// `%5c`.
    pub encoded_backslash: SwitchOpaque,
    /// `%25` and two hexadecimal digits.
    pub double_encoding: SwitchGuarded,
    /// `;` in a parameter's value.
    pub semicolon: SwitchGuarded,
    /// `//`.
    pub empty_segments: SwitchSegments,
}

/// `http://127.0.0.1:9000/api`: one upstream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UpstreamUrl {
    tls: bool,
    host: String,
    port: u16,
    path: String,
}

impl UpstreamUrl {
    /// Parses an `http` or `https` URL without userinfo, query or fragment; a trailing slash is dropped.
    pub fn parse(text: &str) -> Result<Self, BaseUrlError> {
        let parts = UrlParts::parse(text)?;
        Ok(Self { tls: parts.tls, port: parts.effective_port(), host: parts.host, path: parts.path })
    }

    /// Whether it is reached by TLS.
    pub const fn tls(&self) -> bool {
        self.tls
    }

    /// Host name or address, IPv6 without brackets, lower case.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The path prefix: empty, or starting with `/` and not ending with one.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The value of Host for it: the port is left out where it is the scheme's own.
    pub fn authority(&self) -> String {
        authority(&self.host, (self.port != default_port(self.tls)).then_some(self.port))
    }
}

impl fmt::Display for UpstreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", if self.tls { "https" } else { "http" }, self.authority(), self.path)
    }
}

/// `https://api.example.com/v1/production`: where callers reach an environment; its tokens' `iss` and `aud`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BaseUrl {
    text: Arc<str>,
    parts: UrlParts,
}

/// Text that cannot be a base or upstream URL.
#[derive(Debug, thiserror::Error)]
#[error("`{given}` {reason}")]
pub struct BaseUrlError {
    given: String,
    reason: &'static str,
}

impl BaseUrl {
    /// Parses an `http` or `https` URL without userinfo, query or fragment. The host is folded to lower case, a
    /// trailing dot, a trailing slash and the scheme's own port are dropped.
    pub fn parse(text: &str) -> Result<Self, BaseUrlError> {
        let parts = UrlParts::parse(text)?;
        let port = parts.port.filter(|port| *port != default_port(parts.tls));
        let scheme = if parts.tls { "https" } else { "http" };
        let text = format!("{scheme}://{}{}", authority(&parts.host, port), parts.path).into();
        Ok(Self { text, parts })
    }

    /// The canonical text: issuer and audience of the environment's tokens.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The canonical text, shared.
    pub fn to_shared(&self) -> Arc<str> {
        Arc::clone(&self.text)
    }

    /// Host name or address, IPv6 without brackets, lower case.
    pub fn host(&self) -> &str {
        &self.parts.host
    }

    /// The value of Host for it: the port is left out where it is the scheme's own.
    pub fn authority(&self) -> String {
        authority(self.host(), (self.port() != default_port(self.tls())).then_some(self.port()))
    }

    /// Whether callers reach it by TLS.
    pub const fn tls(&self) -> bool {
        self.parts.tls
    }

    /// The port callers use.
    pub fn port(&self) -> u16 {
        self.parts.effective_port()
    }

    /// The values of Host that name it: with the port, and without where it is the scheme's own.
    pub fn authorities(&self) -> Vec<String> {
        let mut names = vec![authority(&self.parts.host, Some(self.port()))];
        if self.port() == default_port(self.parts.tls) {
            names.push(authority(&self.parts.host, None));
        }
        names
    }

    /// The path prefix: empty, or starting with `/` and not ending with one.
    pub fn path(&self) -> &str {
        &self.parts.path
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct UrlParts {
    tls: bool,
    host: String,
    port: Option<u16>,
    path: String,
}

impl UrlParts {
    fn parse(text: &str) -> Result<Self, BaseUrlError> {
        let error = |reason| BaseUrlError { given: quoted(&without_secrets(text)), reason };
        if text.contains(['?', '#']) {
            return Err(error("has a query or a fragment; a base is scheme, host, port and path"));
        }
        let uri: http::Uri = text.parse().map_err(|_| error("is not an http or https URL"))?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(error("is not an http or https URL")),
        };
        let named = uri.authority().ok_or_else(|| error("names no host"))?;
        if named.as_str().contains('@') {
            return Err(error("holds credentials; they do not belong in a URL"));
        }
        let host =
            named.host().trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_ascii_lowercase();
        if host.is_empty() || named.port().is_some_and(|port| port.as_u16() == 0) {
            return Err(error("names no host and port that can be reached"));
        }
        if named.port().is_none() && named.host().len() != named.as_str().len() {
            return Err(error("has a port that is not a number from 1 to 65535"));
        }
        let path = uri.path().trim_end_matches('/').to_owned();
        if !is_plain_path(&path) {
            return Err(error("has a path with empty or dot segments or characters that need encoding"));
        }
        Ok(Self { tls, host, port: named.port_u16(), path })
    }

    fn effective_port(&self) -> u16 {
        self.port.unwrap_or(default_port(self.tls))
    }
}

/// A URL that was not one, fit for a message: what stands before `@` or behind `?` or `#` may be a password.
fn without_secrets(text: &str) -> String {
    let shown = match text.find(['?', '#']) {
        Some(at) => format!("{}…", text.get(..=at).unwrap_or_default()),
        None => text.to_owned(),
    };
    let Some((userinfo, rest)) = shown.rsplit_once('@') else { return shown };
    let scheme = userinfo.split_once("://").map_or("", |(scheme, _)| scheme);
    let colon = if scheme.is_empty() { "" } else { "://" };
    format!("{scheme}{colon}…@{rest}")
}

const fn default_port(tls: bool) -> u16 {
    if tls { 443 } else { 80 }
}

fn authority(host: &str, port: Option<u16>) -> String {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    port.map_or_else(|| host.clone(), |port| format!("{host}:{port}"))
}

/// Segments of unreserved characters and sub-delimiters, none empty, none a dot segment (RFC 3986 section 3.3).
fn is_plain_path(path: &str) -> bool {
    path.is_empty()
        || path.strip_prefix('/').is_some_and(|rest| {
            rest.split('/').all(|segment| {
                !segment.is_empty()
                    && segment != "."
                    && segment != ".."
                    && segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,=:@".contains(&b))
            })
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_urls_are_canonical() {
        for (given, canonical) in [
            ("https://API.Example.com./v1/", "https://api.example.com/v1"),
            ("https://api.example.com:443", "https://api.example.com"),
            ("http://127.0.0.1:8080/v1/production", "http://127.0.0.1:8080/v1/production"),
            ("http://[::1]:8080/", "http://[::1]:8080"),
        ] {
            assert_eq!(BaseUrl::parse(given).unwrap().as_str(), canonical);
        }
    }

    #[test]
    fn hosts_that_name_a_base() {
        assert_eq!(
            BaseUrl::parse("https://api.example.com/v1").unwrap().authorities(),
            ["api.example.com:443", "api.example.com"]
        );
        assert_eq!(BaseUrl::parse("http://[::1]:8080").unwrap().authorities(), ["[::1]:8080"]);
    }

    #[test]
    fn odd_urls_are_refused() {
        for text in [
            "",
            "api.example.com",
            "ftp://x",
            "http://",
            "http://u:p@x",
            "http://x/?q",
            "http://x/#f",
            "http://x/a//b",
            "http://x/../a",
            "http://x/%2e",
            "http://x:99999",
            "http://x:0",
            "http://x/a;b",
        ] {
            assert!(BaseUrl::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn upstream_urls_keep_their_parts() {
        let url = UpstreamUrl::parse("https://api.internal/api/").unwrap();
        assert_eq!((url.tls(), url.host(), url.port(), url.path()), (true, "api.internal", 443, "/api"));
        assert_eq!(url.authority(), "api.internal");
        assert_eq!(UpstreamUrl::parse("http://10.0.0.1:9000").unwrap().authority(), "10.0.0.1:9000");
    }
}
