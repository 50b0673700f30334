//! The headers the upstream sees of us, set where a caller can neither remove nor forge them.
//!
//! pingora strips hop-by-hop and Connection-nominated headers before its upstream request filter; everything here
//! happens in that filter, so naming one of our headers in `Connection` removes the caller's copy alone.

use super::answer::X_REQUEST_ID;
use super::context::RequestContext;
use crate::access::Permit;
use crate::model::UpstreamAuthorization;
use crate::tables::EnvironmentTable;
use http::header::{AUTHORIZATION, FORWARDED, HOST, VIA};
use http::{HeaderName, HeaderValue};
use pingora_core::{Error, ErrorType, Result};
use pingora_http::RequestHeader;
use std::net::IpAddr;

const CLIENT_ID: HeaderName = HeaderName::from_static("portcullis-client-id");
const ENVIRONMENT: HeaderName = HeaderName::from_static("portcullis-environment");
const OPERATION: HeaderName = HeaderName::from_static("portcullis-operation");
const ORGANIZATION: HeaderName = HeaderName::from_static("portcullis-organization");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Headers by which a caller could have a lax upstream run something else than was decided on.
const OVERRIDES: [&str; 7] = [
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
    "x-original-url",
    "x-rewrite-url",
    "x-forwarded-uri",
    "x-real-ip",
];

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
    match name.as_bytes().first() {
        Some(b'p') => folded("portcullis-"),
        Some(b'x') => {
            OVERRIDES.iter().any(|known| known.len() == name.len() && folded(known))
                || (folded("x-forwarded-") && (!trusted || has_alias(name)))
        }
        Some(b'f') => !trusted && name == "forwarded",
        _ => false,
    }
}

/// Drops what a caller may not say, and says what we know.
pub(super) fn set(
    request: &mut RequestHeader,
    environment: &EnvironmentTable,
    permit: &Permit,
    context: &RequestContext,
    peer: IpAddr,
    trusted: bool,
) -> Result<()> {
    let dropped: Vec<HeaderName> =
        request.headers.keys().filter(|name| is_dropped(name.as_str(), trusted)).cloned().collect();
    for name in &dropped {
        request.remove_header(name);
    }
    set_credentials(request, environment)?;
    set_forwarding(request, environment, peer, trusted)?;
    if let Some(client_id) = permit.client_id() {
        request.insert_header(CLIENT_ID, text(client_id.as_str())?)?;
    }
    request.insert_header(ORGANIZATION, text(permit.environment().organization.as_str())?)?;
    request.insert_header(ENVIRONMENT, text(permit.environment().environment.as_str())?)?;
    request.insert_header(OPERATION, text(permit.operation())?)?;
    request.insert_header(X_REQUEST_ID, text(&context.request_id)?)?;
    if !request.headers.get(TRACEPARENT).is_some_and(is_traceparent) {
        request.remove_header(&TRACEPARENT);
        let (trace, span) = (&context.request_id, context.request_id.get(..16).unwrap_or_default());
        request.insert_header(TRACEPARENT, text(&format!("00-{trace}-{span}-00"))?)?;
    }
    for (name, value) in &environment.upstream.set_headers {
        request.insert_header(name.clone(), value.clone())?;
    }
    Ok(())
}

/// The caller's token goes no further than the environment says.
fn set_credentials(request: &mut RequestHeader, environment: &EnvironmentTable) -> Result<()> {
    if environment.token_header != AUTHORIZATION {
        request.remove_header(&environment.token_header);
        return Ok(());
    }
    match environment.upstream.authorization {
        UpstreamAuthorization::Forward => {}
        UpstreamAuthorization::Strip => drop(request.remove_header(&AUTHORIZATION)),
    }
    Ok(())
}

/// Appended to what a trusted proxy said; otherwise said anew.
fn set_forwarding(
    request: &mut RequestHeader,
    environment: &EnvironmentTable,
    peer: IpAddr,
    trusted: bool,
) -> Result<()> {
    let peer = peer.to_canonical();
    let proto = if environment.base_url.tls() { "https" } else { "http" };
    let hop = match peer {
        IpAddr::V4(v4) => format!("for={v4};proto={proto}"),
        IpAddr::V6(v6) => format!("for=\"[{v6}]\";proto={proto}"),
    };
    let (mut chain, mut forwarded) = (peer.to_string(), hop);
    if trusted {
        chain = prepend(request, &X_FORWARDED_FOR, chain);
        if request.headers.contains_key(FORWARDED) {
            forwarded = prepend(request, &FORWARDED, forwarded);
        }
    }
    request.remove_header(&X_FORWARDED_FOR);
    request.remove_header(&FORWARDED);
    request.insert_header(X_FORWARDED_FOR, text(&chain)?)?;
    request.insert_header(FORWARDED, text(&forwarded)?)?;
    if !trusted || !request.headers.contains_key(X_FORWARDED_PROTO) {
        request.insert_header(X_FORWARDED_PROTO, HeaderValue::from_static(proto))?;
    }
    if !trusted || !request.headers.contains_key(X_FORWARDED_HOST) {
        let host = request.headers.get(HOST).cloned();
        if let Some(host) = host {
            request.insert_header(X_FORWARDED_HOST, host)?;
        }
    }
    request.append_header(VIA, HeaderValue::from_static("1.1 portcullis"))?;
    Ok(())
}

/// What the header's lines already say, then `last`.
fn prepend(request: &RequestHeader, name: &HeaderName, last: String) -> String {
    let mut said: Vec<String> =
        request.headers.get_all(name).iter().filter_map(|value| value.to_str().ok().map(str::to_owned)).collect();
    said.push(last);
    said.join(", ")
}

/// W3C Trace Context section 3.2: version 00, neither id all zero.
fn is_traceparent(value: &HeaderValue) -> bool {
    let Ok(value) = value.to_str() else { return false };
    let parts: Vec<&str> = value.split('-').collect();
    let hex =
        |part: &str, len| part.len() == len && part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let nonzero = |part: &str| part.bytes().any(|b| b != b'0');
    match parts.as_slice() {
        [version, trace, span, flags] => {
            *version == "00" && hex(trace, 32) && nonzero(trace) && hex(span, 16) && nonzero(span) && hex(flags, 2)
        }
        _ => false,
    }
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
        for name in ["portcullisx", "x-original-urls", "x-forwarded-for", "forwarded", "accept", "p", "x"] {
            assert!(!is_dropped(name, true), "{name}");
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
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        ] {
            assert!(!is(text), "{text}");
        }
    }
}
