//! The bodies of catalogues: an OpenAPI document as its author wrote it, or permissions that are written out.

use super::{Fields, unread};
use crate::control::CatalogueDraft;
use crate::control::api::answer::Refusal;
use crate::control::api::{DOCUMENT_BODY, Shared};
use crate::model::strict_json;
use crate::store::DocumentText;
use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::header;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

/// Media types of OpenAPI documents; the one of JSON stands for what is written out as well.
const JSON: &str = "application/json";
const DOCUMENTS: [&str; 6] = [
    "application/openapi+json",
    "application/openapi+yaml",
    "application/vnd.oai.openapi",
    "application/vnd.oai.openapi+json",
    "application/x-yaml",
    "application/yaml",
];

/// A catalogue as it was sent.
pub(in crate::control::api) struct CatalogueBody {
    is_json: bool,
    bytes: Bytes,
}

/// What tells a document from permissions that are written out.
#[derive(Deserialize)]
struct Mark {
    openapi: Option<IgnoredAny>,
    swagger: Option<IgnoredAny>,
}

impl FromRequest<Shared> for CatalogueBody {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &Shared) -> Result<Self, Refusal> {
        let given = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media_type = given.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let bytes = Bytes::from_request(request, state).await;
        let bytes = bytes.map_err(|rejection| unread(&rejection, DOCUMENT_BODY.words))?;
        if bytes.is_empty() {
            return Err(Refusal::malformed("this needs an OpenAPI document, or permissions, as its body"));
        }
        let is_json = media_type == JSON;
        if !is_json && !DOCUMENTS.contains(&media_type.as_str()) {
            let detail = "a catalogue is `application/json`, `application/yaml` or `application/vnd.oai.openapi`";
            return Err(Refusal::unsupported(detail));
        }
        Ok(Self { is_json, bytes })
    }
}

impl CatalogueBody {
    /// What was sent.
    pub(in crate::control::api) fn draft(self) -> Result<CatalogueDraft, Refusal> {
        if let Some(written) = self.written() {
            return written_out(written);
        }
        match std::str::from_utf8(&self.bytes) {
            Ok(text) => Ok(CatalogueDraft::Document(DocumentText::new(text.to_owned()))),
            Err(_) => Err(Refusal::malformed("the body is not UTF-8 text")),
        }
    }

    /// The bytes of a document; whether they are one is the import's to say.
    pub(in crate::control::api) fn into_document(self) -> Vec<u8> {
        self.bytes.into()
    }

    /// The members of a JSON object that is no document. What is not JSON is left to the import, which says where.
    fn written(&self) -> Option<Map<String, Value>> {
        let mark: Mark = self.is_json.then(|| serde_json::from_slice(&self.bytes).ok()).flatten()?;
        if mark.openapi.is_some() || mark.swagger.is_some() {
            return None;
        }
        match strict_json(&self.bytes) {
            Ok(Value::Object(members)) => Some(members),
            Ok(_) | Err(_) => None,
        }
    }
}

fn written_out(members: Map<String, Value>) -> Result<CatalogueDraft, Refusal> {
    let mut fields = Fields::new(members);
    let (permissions, public) = (fields.take("permissions"), fields.take("public"));
    let mut errors = fields.finish(&[]);
    if permissions.is_none() && public.is_none() {
        let message = "say `permissions`, `public` or both; an OpenAPI document has a member `openapi` or `swagger`";
        errors.add("/permissions", "field_required", message);
    }
    if errors.is_empty() {
        return Ok(CatalogueDraft::Written { permissions, public });
    }
    Err(Refusal::invalid(errors.into_vec()))
}
