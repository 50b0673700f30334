//! Documents that Portcullis answers below a base URL: the public signing keys and the metadata.

use super::answer::Answer;
use crate::oauth;
use crate::tables::{EnvironmentTable, Snapshot};
use http::Method;
use serde_json::json;

const PUBLIC_CACHE: &str = "public, max-age=300";

/// One of the documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Document {
    Jwks,
    Metadata,
}

/// Answers a document.
pub(super) fn document(kind: Document, method: &Method, environment: &EnvironmentTable, tables: &Snapshot) -> Answer {
    if method != Method::GET && method != Method::HEAD {
        let problem = json!({"error": "invalid_request", "error_description": "this document takes GET"});
        return Answer::document(405, &problem, "no-store").allow("GET, HEAD");
    }
    let base_url = environment.base_url.as_str();
    let document = match kind {
        Document::Jwks => tables.signing().jwks(),
        Document::Metadata => {
            let endpoint = format!("{base_url}{}", environment.oauth_prefix);
            oauth::metadata(base_url, &endpoint, tables.signing().has_public_keys())
        }
    };
    Answer::document(200, &document, PUBLIC_CACHE)
}
