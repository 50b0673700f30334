//! What Portcullis answers below a base URL: the token endpoint, the signing keys, the metadata.

use super::answer::{Answer, PORTCULLIS_ERROR};
use super::gate::Arrived;
use crate::model::Timestamp;
use crate::oauth::{self, Grant, GrantContext, OAuthError, TokenRequest, WireTokenRequest};
use crate::tables::{EnvironmentTable, Reserved, Snapshot};
use crate::token;
use http::header::WWW_AUTHENTICATE;
use http::{HeaderValue, Method};
use pingora_core::protocols::http::ServerSession;
use serde_json::json;
use std::net::IpAddr;
use std::time::Duration;
use zeroize::Zeroizing;

/// The largest body the token endpoint takes, in bytes.
pub(super) const TOKEN_BODY_BYTES: usize = 16 * 1024;

const PUBLIC_CACHE: &str = "public, max-age=300";

/// Answers the signing keys or the metadata.
pub(super) fn document(kind: Reserved, method: &Method, environment: &EnvironmentTable, tables: &Snapshot) -> Answer {
    if method != Method::GET && method != Method::HEAD {
        let problem = json!({"error": "invalid_request", "error_description": "this document takes GET"});
        return Answer::document(405, &problem, "no-store").allow("GET, HEAD");
    }
    let base_url = environment.base_url.as_str();
    let document = match kind {
        Reserved::Jwks => tables.signing().jwks(),
        Reserved::Metadata | Reserved::Token | Reserved::Unserved => {
            let endpoint = format!("{base_url}{}", environment.oauth_prefix);
            oauth::metadata(base_url, &endpoint, tables.signing().has_public_keys())
        }
    };
    Answer::document(200, &document, PUBLIC_CACHE)
}

/// Answers a token request, and names the result for metrics: `issued` or the error's code.
pub(super) fn token_answer(
    request: &Arrived<'_>,
    body: &Body,
    environment: &EnvironmentTable,
    tables: &Snapshot,
    issue: &Issue<'_>,
) -> (Answer, &'static str) {
    let issued = read(request, body).and_then(|wanted| {
        let base_url = environment.base_url.to_shared();
        let grant = tables.with_key(&wanted.client_id, |key| {
            let key = key
                .filter(|key| tables.environment_at(key.environment).is_some_and(|own| std::ptr::eq(own, environment)));
            let context = GrantContext {
                environment: &environment.policy,
                base_url: &base_url,
                key,
                address: issue.address,
                lifetime: issue.lifetime,
                token_id: issue.token_id,
            };
            oauth::grant(&wanted, &context, issue.now)
        })?;
        Ok(grant)
    });
    match issued.map(|grant| (token::sign(&grant.claims, tables.signing()), grant)) {
        Ok((Ok(token), grant)) => (success(&token, &grant), "issued"),
        Ok((Err(error), _)) => {
            tracing::error!(%error, "a token could not be signed");
            let body = json!({"error": "server_error", "error_description": "the token could not be signed"});
            (Answer::document(500, &body, "no-store"), "server_error")
        }
        Err(error) => (refusal(&error), error.code()),
    }
}

/// What issuing depends on besides request and tables.
#[derive(Clone, Copy, Debug)]
pub(super) struct Issue<'a> {
    pub(super) address: IpAddr,
    pub(super) lifetime: Duration,
    pub(super) now: Timestamp,
    pub(super) token_id: &'a str,
}

fn read(request: &Arrived<'_>, body: &Body) -> Result<TokenRequest, OAuthError> {
    if request.method != Method::POST {
        return Err(OAuthError::MethodNotAllowed);
    }
    let body = match body {
        Body::Broken => return Err(OAuthError::InvalidRequest("the body did not arrive whole")),
        Body::TooLarge => return Err(OAuthError::TooLarge),
        Body::Whole(body) => body,
    };
    let authorization: Vec<&[u8]> =
        request.headers.get_all(http::header::AUTHORIZATION).iter().map(HeaderValue::as_bytes).collect();
    let mut types = request.headers.get_all(http::header::CONTENT_TYPE).iter();
    let content_type = types.next().map(HeaderValue::as_bytes);
    if types.next().is_some() {
        return Err(OAuthError::InvalidRequest("Content-Type is repeated"));
    }
    let (_, query) = request.split_target();
    TokenRequest::parse(&WireTokenRequest {
        query: query.unwrap_or_default(),
        content_type,
        authorization: &authorization,
        body,
    })
}

fn success(token: &str, grant: &Grant) -> Answer {
    let body = json!({
        "access_token": token,
        "token_type": "Bearer",
        "expires_in": grant.expires_in,
        "scope": grant.scope,
    });
    Answer::document(200, &body, "no-store").header(http::header::PRAGMA, HeaderValue::from_static("no-cache"))
}

fn refusal(error: &OAuthError) -> Answer {
    let mut answer = Answer::document(error.status(), &error.body(), "no-store")
        .header(http::header::PRAGMA, HeaderValue::from_static("no-cache"))
        .header(PORTCULLIS_ERROR, HeaderValue::from_static(error.code()));
    if error.challenges_basic() {
        answer = answer.header(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"portcullis\""));
    }
    if *error == OAuthError::MethodNotAllowed {
        answer = answer.allow("POST");
    }
    answer.close = *error == OAuthError::TooLarge;
    answer
}

/// The body of a token request.
#[derive(Debug)]
pub(super) enum Body {
    /// It ended early, or took too long.
    Broken,
    /// Larger than the endpoint takes.
    TooLarge,
    /// All of it; wiped when dropped.
    Whole(Zeroizing<Vec<u8>>),
}

/// A token request's body has this long to arrive.
const BODY_TIME: Duration = Duration::from_secs(10);

/// Reads the whole body.
pub(super) async fn read_body(session: &mut ServerSession) -> Body {
    tokio::time::timeout(BODY_TIME, read_whole(session)).await.unwrap_or(Body::Broken)
}

async fn read_whole(session: &mut ServerSession) -> Body {
    let announced =
        session.get_header(http::header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > TOKEN_BODY_BYTES) {
        return Body::TooLarge;
    }
    let waits = session.get_header_bytes(http::header::EXPECT).eq_ignore_ascii_case(b"100-continue");
    if waits && !session.is_body_done() && session.write_continue_response().await.is_err() {
        return Body::Broken;
    }
    let mut body = Zeroizing::new(Vec::with_capacity(announced.unwrap_or_default()));
    loop {
        match session.read_request_body().await {
            Ok(Some(bytes)) if body.len() + bytes.len() > TOKEN_BODY_BYTES => return Body::TooLarge,
            Ok(Some(bytes)) => body.extend_from_slice(&bytes),
            Ok(None) => return Body::Whole(body),
            Err(_) => return Body::Broken,
        }
    }
}
