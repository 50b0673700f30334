//! Refusals and documents as HTTP answers.

use super::arrival::Arrival;
use super::methods;
use crate::access::{Challenge, Denial};
use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, STRICT_TRANSPORT_SECURITY, WWW_AUTHENTICATE,
};
use http::{HeaderName, HeaderValue};
use pingora_core::protocols::http::ServerSession;
use pingora_core::{Error, ErrorType, Result};
use pingora_http::ResponseHeader;
use pingora_timeout::fast_timeout::fast_timeout;
use serde_json::json;
use std::time::Duration;

/// Tells a refusal of ours from the API's own.
pub(super) const PORTCULLIS_ERROR: HeaderName = HeaderName::from_static("portcullis-error");
/// On every answer.
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// An unread body up to this size is read away so that the connection can go on.
const DRAIN_BYTES: usize = 64 * 1024;
/// And within this time.
pub(super) const DRAIN_TIME: Duration = Duration::from_secs(5);
/// A caller has this long to take an answer of ours.
const ANSWER_TIME: Duration = Duration::from_secs(5);
/// How long a closing connection is still read from, so that the answer is not lost to a reset.
const LINGER_TIME: Duration = Duration::from_secs(1);

/// An answer of our own.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) body: Bytes,
    /// Whether the connection must not go on after it.
    pub(super) close: bool,
}

impl Answer {
    /// The refusal as `application/problem+json` (RFC 9457).
    pub(super) fn refusal(denial: &Denial, request_id: &str) -> Self {
        let code = denial.code();
        let body = json!({
            "type": format!("urn:portcullis:problem:{code}"),
            "title": denial.title(),
            "status": denial.status(),
            "detail": denial.detail(),
            "code": code,
            "request_id": request_id,
        });
        let mut headers = vec![
            (CONTENT_TYPE, HeaderValue::from_static("application/problem+json")),
            (CACHE_CONTROL, HeaderValue::from_static("no-store")),
            (PORTCULLIS_ERROR, HeaderValue::from_static(code)),
        ];
        let challenge = denial.challenge().map(|challenge| HeaderValue::from_str(&challenge_text(&challenge)));
        if let Some(Ok(challenge)) = challenge {
            headers.push((WWW_AUTHENTICATE, challenge));
        }
        let close = matches!(denial.status(), 400 | 405 | 408 | 413 | 414 | 431);
        if *denial == Denial::MethodNotServed {
            headers.push((ALLOW, HeaderValue::from_static(methods::ALLOW)));
        }
        if *denial == Denial::Overloaded {
            headers.push((RETRY_AFTER, HeaderValue::from_static("1")));
        }
        Self { status: denial.status(), headers, body: body.to_string().into(), close }
    }

    /// A JSON document with a caching rule.
    pub(super) fn document(status: u16, document: &serde_json::Value, cache: &'static str) -> Self {
        let headers = vec![
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (CACHE_CONTROL, HeaderValue::from_static(cache)),
        ];
        Self { status, headers, body: document.to_string().into(), close: false }
    }

    pub(super) fn allow(mut self, methods: &'static str) -> Self {
        self.headers.push((ALLOW, HeaderValue::from_static(methods)));
        self
    }

    pub(super) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The answer as bytes, for connections that pingora does not hold. It always closes.
    pub(super) fn into_bytes(self, request_id: &str) -> Bytes {
        let status = http::StatusCode::from_u16(self.status).unwrap_or(http::StatusCode::BAD_REQUEST);
        let mut text =
            format!("HTTP/1.1 {} {}\r\n", self.status, status.canonical_reason().unwrap_or("Error")).into_bytes();
        for (name, value) in &self.headers {
            text.extend_from_slice(name.as_str().as_bytes());
            text.extend_from_slice(b": ");
            text.extend_from_slice(value.as_bytes());
            text.extend_from_slice(b"\r\n");
        }
        let tail =
            format!("x-request-id: {request_id}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", self.body.len());
        text.extend_from_slice(tail.as_bytes());
        text.extend_from_slice(&self.body);
        text.into()
    }

    /// Writes the answer on a session, having read away or given up on an unread body. A caller that does not take it
    /// in time is left.
    pub(super) async fn write(self, session: &mut ServerSession, request_id: &str) -> Result<()> {
        // A stream ends by itself: what is left of its body is no part of another request (RFC 9113 section 8.1).
        // What was too slow is not waited for a second time.
        let unread = !session.is_http2() && (self.status == 408 || !drained(session).await);
        let written = fast_timeout(ANSWER_TIME, self.write_all(session, request_id, unread)).await;
        written.unwrap_or_else(|_| Err(Error::explain(ErrorType::WriteTimedout, "an answer of ours").into_down()))?;
        if unread {
            linger(session).await;
        }
        Ok(())
    }

    async fn write_all(self, session: &mut ServerSession, request_id: &str, unread: bool) -> Result<()> {
        if self.close || unread {
            session.set_keepalive(None);
        }
        let mut head = ResponseHeader::build(self.status, Some(self.headers.len() + 3))?;
        for (name, value) in self.headers {
            head.append_header(name, value)?;
        }
        head.insert_header(X_REQUEST_ID, request_id)?;
        if let Some(hsts) = Arrival::here().hsts() {
            head.insert_header(STRICT_TRANSPORT_SECURITY, hsts)?;
        }
        head.insert_header(CONTENT_LENGTH, self.body.len())?;
        let bodiless = session.req_header().method == http::Method::HEAD;
        session.write_response_header(Box::new(head)).await?;
        if bodiless {
            session.finish_body().await?;
        } else {
            session.write_response_body(self.body, true).await?;
        }
        Ok(())
    }
}

/// RFC 6750 section 3; no error code where no credential was sent.
fn challenge_text(challenge: &Challenge) -> String {
    match challenge {
        Challenge::InsufficientScope(permission) => {
            format!("Bearer realm=\"portcullis\", error=\"insufficient_scope\", scope=\"{permission}\"")
        }
        Challenge::InvalidToken => "Bearer realm=\"portcullis\", error=\"invalid_token\"".to_owned(),
        Challenge::Plain => "Bearer realm=\"portcullis\"".to_owned(),
    }
}

/// Reads the rest of the body away; `false` where there is too much of it, or the caller waits for a 100.
async fn drained(session: &mut ServerSession) -> bool {
    if session.is_body_done() {
        return true;
    }
    if session.req_header().headers.contains_key(http::header::EXPECT) {
        return false;
    }
    let drain = async {
        let mut left = DRAIN_BYTES;
        while let Ok(Some(bytes)) = session.read_request_body().await {
            left = left.saturating_sub(bytes.len());
            if left == 0 {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(DRAIN_TIME, drain).await;
    session.is_body_done()
}

/// Goes on reading for a moment: closing with unread bytes would reset the connection under the answer.
async fn linger(session: &mut ServerSession) {
    let drain = async { while let Ok(Some(_)) = session.read_request_body().await {} };
    let _ = tokio::time::timeout(LINGER_TIME, drain).await;
}
