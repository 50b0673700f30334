//! The edge on the wire, byte by byte, against the real binary. "Refused" means zero bytes upstream.

mod bodies;
mod bypasses;
mod connections;
mod cookies;
mod cors;
mod explain;
mod forwarding;
mod framing;
mod http2;
mod inside;
mod logs;
mod long_streams;
mod methods;
mod observation;
mod overload;
mod panics;
mod proxy_protocol;
mod readers;
mod refusals;
mod tls;
mod token_endpoint;
mod token_questions;
mod upstreams;
mod upstreams_h2;
mod upstreams_tls;
mod wire;

use crate::harness::{Gateway, RawResponse, Request};

/// Checks a refusal: status, code, problem document, request id and challenge. Returns its detail.
#[track_caller]
fn assert_refusal(response: &RawResponse, status: u16, code: &str) -> String {
    let shown = format!("{}\n{}", response.head, response.text());
    assert_eq!((response.status, response.header("portcullis-error")), (status, Some(code)), "{shown}");
    assert_eq!(response.header("content-type"), Some("application/problem+json"), "{shown}");
    let problem = response.json();
    assert_eq!(problem["type"], format!("urn:portcullis:problem:{code}"));
    assert_eq!(problem["status"], status);
    assert_eq!(problem["code"], code);
    assert!(problem["title"].as_str().is_some_and(|title| !title.is_empty()), "{shown}");
    let request_id = response.header("x-request-id").unwrap_or_default();
    assert!(!request_id.is_empty() && problem["request_id"] == request_id, "{shown}");
    assert_challenge(response, status, code);
    problem["detail"].as_str().filter(|detail| !detail.is_empty()).expect("a detail").to_owned()
}

/// RFC 6750 section 3.
#[track_caller]
fn assert_challenge(response: &RawResponse, status: u16, code: &str) {
    let challenge = response.header("www-authenticate");
    let words = challenge.unwrap_or_default();
    match (status, code) {
        (_, "token_missing") => assert!(words.starts_with("Bearer realm=") && !words.contains("error"), "{words}"),
        (401, _) => assert!(words.starts_with("Bearer ") && words.contains("error=\"invalid_token\""), "{words}"),
        (_, "permission_missing") => {
            assert!(words.contains("error=\"insufficient_scope\"") && words.contains("scope=\""), "{words}");
        }
        _ => assert_eq!(challenge, None),
    }
}

/// Runs something that must not reach the upstream.
#[track_caller]
fn without_upstream<T>(gateway: &Gateway, run: impl FnOnce() -> T) -> T {
    let before = gateway.upstream.bytes_received();
    let result = run();
    let after = gateway.upstream.bytes_received();
    assert_eq!(after, before, "bytes went upstream: {:?}", gateway.upstream.requests().last());
    result
}

/// Sends a request that is to be refused; its detail.
#[track_caller]
fn assert_refused(gateway: &Gateway, request: &Request<'_>, status: u16, code: &str) -> String {
    let response = without_upstream(gateway, || request.send());
    assert_refusal(&response, status, code)
}

/// A `GET /cards` with these lines after the request line; `{token}` stands for a token.
fn head(request_line: &str, lines: &str, token: &str) -> Vec<u8> {
    format!("{request_line}\r\n{lines}\r\n\r\n").replace("{token}", token).into_bytes()
}
