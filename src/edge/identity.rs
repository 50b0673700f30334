//! The headers the upstream sees of us, set where a caller can neither remove nor forge them.
//!
//! pingora strips hop-by-hop and Connection-nominated headers before its upstream request filter; everything here
//! happens in that filter, so naming one of our headers in `Connection` removes the caller's copy alone.

use super::answer::X_REQUEST_ID;
use super::arrival::Arrival;
use super::context::RequestContext;
use crate::access::{PREFLIGHT, Permit};
use crate::model::{
    UpstreamAuthorization, UpstreamProtocol, may_hold_own_cookie, sets_own_cookie, without_own_cookies,
};
use crate::tables::EnvironmentTable;
use http::header::{AUTHORIZATION, CONNECTION, COOKIE, FORWARDED, SET_COOKIE, TE, VIA};
use http::{HeaderMap, HeaderName, HeaderValue};
use pingora_core::{Error, ErrorType, Result};

const CLIENT_ID: HeaderName = HeaderName::from_static("portcullis-client-id");
const ENVIRONMENT: HeaderName = HeaderName::from_static("portcullis-environment");
const OPERATION: HeaderName = HeaderName::from_static("portcullis-operation");
const ORGANIZATION: HeaderName = HeaderName::from_static("portcullis-organization");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Room for everything that is said below, so that the map grows once.
const MOST_OF_OURS: usize = 12;

/// Headers by which a caller could have a lax upstream run something else than was decided on.
const OVERRIDES: [&str; 9] = [
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
    "x-original-method",
    "x-original-uri",
    "x-original-url",
    "x-rewrite-url",
    "x-forwarded-uri",
    "x-real-ip",
];

/// Names by which proxies and frameworks tell the caller's address, or the host that was asked for: from whom is not
/// trusted they are inventions.
const TOLD_BY_PROXIES: [&str; 16] = [
    "cf-connecting-ip",
    "cf-pseudo-ipv4",
    "client-ip",
    "fastly-client-ip",
    "forwarded-for",
    "proxy-client-ip",
    "true-client-ip",
    "wl-proxy-client-ip",
    "x-appengine-user-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-forwarded",
    "x-host",
    "x-original-forwarded-for",
    "x-original-host",
    "x-remote-addr",
];

/// They say where a message ends. Under another name they end it for some servers alone.
const FRAMING: [&str; 2] = ["content-length", "transfer-encoding"];

/// Whether the name is written with something else than letters, digits and `-`.
fn has_alias(name: &str) -> bool {
    name.bytes().any(|byte| byte != b'-' && !byte.is_ascii_alphanumeric())
}

/// Whether a header of the caller's must not reach the upstream. Any other sign counts as `-`, as lax
/// upstreams read it.
fn is_dropped(name: &str, trusted: bool) -> bool {
    let folded = |wanted: &str| {
        name.len() >= wanted.len()
            && name.bytes().zip(wanted.bytes()).all(|(a, b)| a == b || (b == b'-' && !a.is_ascii_alphanumeric()))
    };
    let is_told = |initial: u8| {
        let same = |known: &str| known.as_bytes().first() == Some(&initial) && known.len() == name.len();
        !trusted && TOLD_BY_PROXIES.iter().any(|known| same(known) && folded(known))
    };
    let is_framing = || has_alias(name) && FRAMING.iter().any(|known| known.len() == name.len() && folded(known));
    match name.as_bytes().first() {
        Some(b'c') => is_told(b'c') || is_framing(),
        Some(b't') => is_told(b't') || is_framing(),
        // What CGI makes of `Proxy` is where programs look for a proxy of their own (CVE-2016-5385).
        Some(b'p') => folded("portcullis-") || name == "proxy" || is_told(b'p'),
        Some(b'w') => is_told(b'w'),
        Some(b'x') => {
            OVERRIDES.iter().any(|known| known.len() == name.len() && folded(known))
                || (folded("x-forwarded-") && (!trusted || has_alias(name)))
                || is_told(b'x')
        }
        Some(b'f') => !trusted && (name == "forwarded" || is_told(b'f')),
        _ => false,
    }
}

/// Drops what a caller may not say, and says what we know.
pub(super) fn set(
    headers: &mut HeaderMap,
    environment: &EnvironmentTable,
    permit: &Permit,
    context: &RequestContext,
    trusted: bool,
) -> Result<()> {
    headers.reserve(MOST_OF_OURS);
    let dropped: Vec<HeaderName> = headers.keys().filter(|name| is_dropped(name.as_str(), trusted)).cloned().collect();
    for name in &dropped {
        headers.remove(name);
    }
    drop_own_cookies(headers);
    set_credentials(headers, environment);
    set_forwarding(headers, environment, &context.arrival, trusted)?;
    if let Some(client_id) = permit.client_id() {
        headers.insert(CLIENT_ID, text(client_id.as_str())?);
    }
    headers.insert(ORGANIZATION, text(permit.environment().organization.as_str())?);
    headers.insert(ENVIRONMENT, text(permit.environment().environment.as_str())?);
    headers.insert(OPERATION, text(permit.operation())?);
    headers.insert(X_REQUEST_ID, text(&context.request_id)?);
    if context.asked.as_ref().is_none_or(|asked| asked.trace_id.is_none()) {
        headers.insert(TRACEPARENT, text(&traceparent(&context.request_id))?);
    }
    for (name, value) in &environment.upstream.set_headers {
        drop_aliases(headers, name);
        headers.insert(name.clone(), value.clone());
    }
    if permit.operation().as_ref() == PREFLIGHT {
        headers.remove(AUTHORIZATION);
    }
    Ok(())
}

/// What lax upstreams take for the same name: any other sign for `-`.
fn drop_aliases(headers: &mut HeaderMap, name: &HeaderName) {
    let is_sign = |byte: u8| !byte.is_ascii_alphanumeric();
    let same = |(a, b): (u8, u8)| a == b || (is_sign(a) && is_sign(b));
    let is_alias = |other: &&HeaderName| {
        let (other, name) = (other.as_str(), name.as_str());
        other.len() == name.len() && other.bytes().zip(name.bytes()).all(same)
    };
    let aliases: Vec<HeaderName> = headers.keys().filter(is_alias).cloned().collect();
    for alias in aliases {
        headers.remove(alias);
    }
}

/// A trace of our own: the request id is the trace id, its first half the span id, not sampled.
fn traceparent(request_id: &str) -> String {
    let span = request_id.get(..16).unwrap_or_default();
    ["00-", request_id, "-", span, "-00"].concat()
}

/// The caller's token goes no further than the environment says.
fn set_credentials(headers: &mut HeaderMap, environment: &EnvironmentTable) {
    let is_ours = environment.token_header == AUTHORIZATION;
    if !is_ours {
        headers.remove(&environment.token_header);
    }
    match &environment.upstream.authorization {
        UpstreamAuthorization::Forward => {}
        UpstreamAuthorization::Set(value) => drop(headers.insert(AUTHORIZATION, value.clone())),
        UpstreamAuthorization::Strip if is_ours => drop(headers.remove(AUTHORIZATION)),
        // The API's own, which it reads itself.
        UpstreamAuthorization::Strip => {}
    }
}

/// `TE` says what the next hop may send: of us, that it is `trailers` alone, and where they can be passed on.
pub(super) fn keep_te(headers: &mut HeaderMap, protocol: UpstreamProtocol) {
    if headers.contains_key(TE) {
        let trailers = headers.get_all(TE).iter().any(|value| value.as_bytes().eq_ignore_ascii_case(b"trailers"));
        headers.remove(TE);
        if trailers && protocol != UpstreamProtocol::Http1 {
            headers.insert(TE, HeaderValue::from_static("trailers"));
        }
    }
}

/// A server that does not read the body closes the connection instead of taking it for the next request.
pub(super) fn end_after_answer(headers: &mut HeaderMap, protocol: UpstreamProtocol) {
    if protocol == UpstreamProtocol::Http1 {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
}

/// A browser sends the cookies of the control plane's pages to every port of their host: they are no API's business.
fn drop_own_cookies(headers: &mut HeaderMap) {
    if !headers.get_all(COOKIE).iter().any(|line| may_hold_own_cookie(line.as_bytes())) {
        return;
    }
    let lines: Vec<HeaderValue> = headers.get_all(COOKIE).iter().cloned().collect();
    headers.remove(COOKIE);
    for line in lines {
        let line = if may_hold_own_cookie(line.as_bytes()) { without_own(&line) } else { Some(line) };
        if let Some(line) = line {
            headers.append(COOKIE, line);
        }
    }
}

fn without_own(line: &HeaderValue) -> Option<HeaderValue> {
    HeaderValue::from_bytes(&without_own_cookies(line.as_bytes())?).ok()
}

/// The `Set-Cookie` lines of an answer that pass, where one may not: no API opens or ends a session of the pages.
pub(super) fn set_cookies_that_pass(headers: &HeaderMap) -> Option<Vec<HeaderValue>> {
    let lines = headers.get_all(SET_COOKIE);
    lines
        .iter()
        .any(|line| sets_own_cookie(line.as_bytes()))
        .then(|| lines.iter().filter(|line| !sets_own_cookie(line.as_bytes())).cloned().collect())
}

/// Appended to what a trusted proxy said; otherwise said anew.
fn set_forwarding(
    headers: &mut HeaderMap,
    environment: &EnvironmentTable,
    arrival: &Arrival,
    trusted: bool,
) -> Result<()> {
    // Behind a proxy that has TLS the base URL knows what callers speak.
    let is_https = arrival.tls.is_some() || environment.base_url.tls();
    let proto = if is_https { "https" } else { "http" };
    let mut chain = arrival.told.address.clone();
    let mut forwarded = if is_https { &arrival.told.over_https } else { &arrival.told.over_http }.clone();
    if trusted {
        chain = prepend(headers, &X_FORWARDED_FOR, &chain)?;
        if headers.contains_key(FORWARDED) {
            forwarded = prepend(headers, &FORWARDED, &forwarded)?;
        }
    }
    headers.insert(X_FORWARDED_FOR, chain);
    headers.insert(FORWARDED, forwarded);
    if !trusted || !headers.contains_key(X_FORWARDED_PROTO) {
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(proto));
    }
    if !trusted || !headers.contains_key(X_FORWARDED_HOST) {
        // One spelling for upstreams, whichever the caller chose (case, the root's dot, the scheme's own port).
        if let Some(host) = &environment.authority {
            headers.insert(X_FORWARDED_HOST, host.clone());
        }
    }
    let via = if arrival.http2() { "2 portcullis" } else { "1.1 portcullis" };
    headers.append(VIA, HeaderValue::from_static(via));
    Ok(())
}

/// What the header's lines already say, then `last`.
fn prepend(headers: &HeaderMap, name: &HeaderName, last: &HeaderValue) -> Result<HeaderValue> {
    let lines = headers.get_all(name).iter().chain([last]);
    let said: Vec<&str> = lines.filter_map(|value| value.to_str().ok()).collect();
    text(&said.join(", "))
}

/// The trace that a caller's request belongs to, where it says so.
pub(super) fn trace_id(headers: &HeaderMap) -> Option<Box<str>> {
    let value = headers.get(TRACEPARENT).filter(|value| is_traceparent(value))?;
    value.to_str().ok()?.get(3..35).map(Into::into)
}

/// W3C Trace Context section 3.2: version 00, neither id all zero.
fn is_traceparent(value: &HeaderValue) -> bool {
    let Ok(value) = value.to_str() else { return false };
    let hex =
        |part: &str, len| part.len() == len && part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let id = |part: &str, len| hex(part, len) && part.bytes().any(|b| b != b'0');
    let mut parts = value.split('-');
    parts.next() == Some("00")
        && parts.next().is_some_and(|trace| id(trace, 32))
        && parts.next().is_some_and(|span| id(span, 16))
        && parts.next().is_some_and(|flags| hex(flags, 2))
        && parts.next().is_none()
}

fn text(value: &str) -> Result<HeaderValue> {
    HeaderValue::from_str(value).map_err(|_| Error::explain(ErrorType::InternalError, "identity is not header text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_are_dropped_and_neighbours_are_not() {
        for name in [
            "portcullis-client-id",
            "portcullis_client_id",
            "portcullis.operation",
            "portcullis-",
            "x-original-url",
            "x_original.url",
            "x-http-method-override",
            "x-real-ip",
        ] {
            assert!(is_dropped(name, true), "{name}");
        }
        for name in
            ["portcullisx", "x-original-urls", "x-forwarded-for", "forwarded", "accept", "p", "x", "true-client-ip"]
        {
            assert!(!is_dropped(name, true), "{name}");
        }
        for name in ["content_length", "transfer.encoding"] {
            assert!(is_dropped(name, true), "{name}");
        }
        assert!(!is_dropped("content-length", false) && !is_dropped("transfer-encoding", false));
        assert!(is_dropped("proxy", true) && is_dropped("x_original_uri", true) && !is_dropped("proxy-for", false));
        for name in [
            "x-client-ip",
            "true_client_ip",
            "cf-connecting-ip",
            "client.ip",
            "fastly-client-ip",
            "x-host",
            "x-forwarded",
            "forwarded_for",
            "proxy-client-ip",
            "wl-proxy-client-ip",
        ] {
            assert!(is_dropped(name, false), "{name}");
        }
        for name in ["x-hosts", "client-ips", "content-type", "te", "cookie", "from"] {
            assert!(!is_dropped(name, false), "{name}");
        }
        for name in ["x-forwarded-for", "x_forwarded_for", "x-forwarded-anything", "forwarded"] {
            assert!(is_dropped(name, false), "{name}");
        }
    }

    #[test]
    fn trace_contexts() {
        let is = |text: &str| is_traceparent(&HeaderValue::from_str(text).unwrap());
        assert!(is("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
        for text in [
            "",
            "00-0-0-0",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        ] {
            assert!(!is(text), "{text}");
        }
    }
}
