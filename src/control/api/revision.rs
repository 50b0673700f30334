//! Revisions on the wire: entity tags, the condition `If-Match`, and the mark of a replayed answer.

use super::answer::Refusal;
use crate::model::Revision;
use axum::http::header::HeaderName;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;

const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The answer with the object's revision as its entity tag.
pub(super) fn tagged(mut response: Response, revision: Revision) -> Response {
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{}\"", revision.0)) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// The answer to a request that was done before.
pub(super) fn replayed(mut response: Response) -> Response {
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    response
}

/// The revision that `If-Match` asks for (RFC 9110 section 13.1.1); `None` without one and for `*`. A tag that is none
/// of ours matches nothing.
pub(super) fn if_match(headers: &HeaderMap) -> Result<Option<Revision>, Refusal> {
    let mut given = headers.get_all(header::IF_MATCH).iter();
    let (value, more) = (given.next(), given.next());
    let Some(value) = value else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" && more.is_none() {
        return Ok(None);
    }
    let tag = text.strip_prefix("W/").unwrap_or(text);
    let inner = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
    let inner = inner.filter(|inner| more.is_none() && !inner.contains('"'));
    let inner = inner.ok_or_else(|| Refusal::malformed("`If-Match` takes `*` or one entity tag, such as \"7\""))?;
    // The comparison is a strong one: a weak tag never matches. No revision is that high.
    let never = Revision(u64::MAX);
    Ok(Some(if tag == text { inner.parse().map_or(never, Revision) } else { never }))
}
