//! Request bodies: bytes to drafts. What has the wrong type or no business here is found out; what values mean is
//! judged behind it, so that an answer can name both kinds of errors.

mod catalogue;
mod people;

pub(super) use catalogue::CatalogueBody;

use super::answer::Refusal;
use super::{BodyLimit, OPEN_BODY, Shared};
use crate::control::field::{FieldErrors, pointer};
use crate::control::{AllowlistDraft, EditDraft, ExplainDraft, KeyDraft, OrganizationDraft, RotationDraft};
use crate::model::{MAX_JSON_VALUES, UnreadJson, quoted, strict_json};
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::time::Duration;

/// A request's body has this long to arrive.
const ARRIVAL: Duration = Duration::from_secs(30);

/// A body that is one JSON object, or nothing at all.
pub(super) struct Body {
    members: Option<Map<String, Value>>,
    /// The bytes as they came: what an idempotency key stands for.
    pub(super) bytes: Bytes,
}

impl FromRequest<Shared> for Body {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &Shared) -> Result<Self, Refusal> {
        let is_json = is_json(request.headers());
        let limit = request.extensions().get::<BodyLimit>().map_or(OPEN_BODY.words, |limit| limit.words);
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| unread(&rejection, limit))?;
        if bytes.is_empty() {
            return Ok(Self { members: None, bytes });
        }
        if !is_json {
            return Err(Refusal::unsupported_media_type());
        }
        match strict_json(&bytes) {
            Ok(Value::Object(members)) => Ok(Self { members: Some(members), bytes }),
            Ok(_) => Err(Refusal::malformed("a request body is a JSON object")),
            Err(UnreadJson::TooManyValues) => Err(Refusal::body_too_large(&format!("{MAX_JSON_VALUES} values"))),
            Err(UnreadJson::Malformed(error)) => Err(Refusal::malformed(format!("the body is not JSON: {error}"))),
        }
    }
}

/// Waits for the body to be there, whole and within its bounds; the request is then the same, without a wait in it.
pub(super) async fn whole(request: Request) -> Result<Request, Refusal> {
    let limit = request.extensions().get::<BodyLimit>().map_or(OPEN_BODY.words, |limit| limit.words);
    let (parts, body) = request.into_parts();
    let arriving = Bytes::from_request(Request::from_parts(parts.clone(), body), &());
    let late = |_| Refusal::malformed("the request body took too long to arrive");
    let arrived = tokio::time::timeout(ARRIVAL, arriving).await.map_err(late)?;
    let bytes = arrived.map_err(|rejection| unread(&rejection, limit))?;
    Ok(Request::from_parts(parts, bytes.into()))
}

fn unread(rejection: &BytesRejection, limit: &str) -> Refusal {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Refusal::body_too_large(limit),
        _ => Refusal::malformed("the request body did not arrive whole"),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = given.split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case("application/json")
}

impl Body {
    #[cfg(test)]
    pub(super) fn of(members: Map<String, Value>, bytes: Bytes) -> Self {
        Self { members: Some(members), bytes }
    }

    /// A key to be made.
    pub(super) fn key_draft(self) -> Result<(KeyDraft, FieldErrors), Refusal> {
        let mut fields = Fields::new(self.required()?);
        let draft = KeyDraft {
            name: fields.text("name"),
            description: fields.text("description").unwrap_or_default(),
            legacy: fields.is_legacy(),
            permissions: fields.texts("permissions"),
            preset: fields.text("preset"),
            may_grant: fields.texts("may_grant"),
            role: fields.text("role"),
            expires_at: fields.text("expires_at"),
            allowlist: fields.allowlist(),
        };
        Ok((draft, fields.finish(&[])))
    }

    /// An edit of a key.
    pub(super) fn edit_draft(self) -> Result<(EditDraft, FieldErrors), Refusal> {
        /// What a key has and an edit leaves alone.
        const IMMUTABLE: [&str; 13] = [
            "client_id",
            "created_at",
            "created_by",
            "expires_at",
            "last_used_at",
            "managed_by",
            "preset",
            "revision",
            "role",
            "rotated_at",
            "secret_version",
            "status",
            "type",
        ];
        let mut fields = Fields::new(self.required()?);
        let draft = EditDraft {
            name: fields.settable("name", Fields::text),
            description: fields.settable("description", Fields::text),
            permissions: fields.settable("permissions", Fields::texts),
            may_grant: fields.has("may_grant").then(|| fields.texts("may_grant").unwrap_or_default()),
            allowlist: fields.has("allowlist").then(|| fields.allowlist()),
        };
        Ok((draft, fields.finish(&IMMUTABLE)))
    }

    /// A change to an organization.
    pub(super) fn organization_draft(self) -> Result<(OrganizationDraft, FieldErrors), Refusal> {
        const IMMUTABLE: [&str; 5] = ["id", "exceeding", "managed_by", "revision", "role"];
        let mut fields = Fields::new(self.required()?);
        let mut draft =
            OrganizationDraft { name: fields.settable("name", Fields::text), ..OrganizationDraft::default() };
        if fields.has("policies") {
            fields.inside("policies", "an object such as {\"block_legacy_keys\":true}", |policies| {
                draft.block_legacy_keys =
                    policies.has("block_legacy_keys").then(|| policies.boolean("block_legacy_keys"));
                draft.max_key_lifetime = policies.has("max_key_lifetime").then(|| policies.text("max_key_lifetime"));
            });
        }
        Ok((draft, fields.finish(&IMMUTABLE)))
    }

    /// A rotation.
    pub(super) fn rotation_draft(self) -> Result<(RotationDraft, FieldErrors), Refusal> {
        /// What a key has and a rotation leaves alone.
        const IMMUTABLE: [&str; 7] = ["client_id", "description", "name", "permissions", "preset", "role", "type"];
        let mut fields = Fields::new(self.required()?);
        let draft = RotationDraft {
            expires_at: fields.has("expires_at").then(|| fields.text("expires_at")),
            allowlist: fields.has("allowlist").then(|| fields.allowlist()),
        };
        Ok((draft, fields.finish(&IMMUTABLE)))
    }

    /// The members of an environment's definition, which are read by those who read tenant files.
    pub(super) fn members(self) -> Result<Map<String, Value>, Refusal> {
        self.required()
    }

    /// The permissions of a preset or role.
    pub(super) fn permissions_draft(self) -> Result<(Option<Vec<String>>, FieldErrors), Refusal> {
        let mut fields = Fields::new(self.required()?);
        let permissions = fields.texts("permissions");
        Ok((permissions, fields.finish(&["name"])))
    }

    /// A request to be explained.
    pub(super) fn explain_draft(self) -> Result<(ExplainDraft, FieldErrors), Refusal> {
        let mut fields = Fields::new(self.required()?);
        let draft = ExplainDraft {
            client_id: fields.text("client_id"),
            method: fields.text("method"),
            path: fields.text("path"),
            address: fields.text("address"),
        };
        Ok((draft, fields.finish(&[])))
    }

    /// Whether a signing key shall sign at once.
    pub(super) fn immediately(self) -> Result<bool, Refusal> {
        let mut fields = Fields::new(self.members.unwrap_or_default());
        let immediately = fields.boolean("immediately").unwrap_or_default();
        let errors = fields.finish(&[]);
        if errors.is_empty() { Ok(immediately) } else { Err(Refusal::invalid(errors.into_vec())) }
    }

    /// Nothing, or an object without members.
    pub(super) fn nothing(self) -> Result<(), Refusal> {
        let errors = Fields::new(self.members.unwrap_or_default()).finish(&[]);
        if errors.is_empty() { Ok(()) } else { Err(Refusal::invalid(errors.into_vec())) }
    }

    fn required(self) -> Result<Map<String, Value>, Refusal> {
        self.members.ok_or_else(|| Refusal::malformed("this needs a JSON object as its body"))
    }
}

/// The members of an object that are not read yet, and what was wrong with those that are.
struct Fields {
    /// A JSON pointer to the object.
    at: String,
    members: Map<String, Value>,
    /// The members that were asked for: all that the object takes.
    known: BTreeSet<&'static str>,
    errors: FieldErrors,
}

impl Fields {
    fn new(members: Map<String, Value>) -> Self {
        Self { at: String::new(), members, known: BTreeSet::new(), errors: FieldErrors::default() }
    }

    fn has(&mut self, name: &'static str) -> bool {
        self.known.insert(name);
        self.members.contains_key(name)
    }

    /// A member that may be left out, but not taken away: null is an error.
    fn settable<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Self, &'static str) -> Option<T>,
    ) -> Option<T> {
        if self.has(name) && self.members.get(name).is_some_and(Value::is_null) {
            self.members.remove(name);
            return self.mistyped(name, "something to set; leave it out to keep what is there");
        }
        read(self, name)
    }

    /// Reads the members of an object inside.
    fn inside(&mut self, name: &'static str, expected: &str, read: impl FnOnce(&mut Self)) {
        let Some(Value::Object(members)) = self.take(name) else {
            self.mistyped::<()>(name, expected);
            return;
        };
        let errors = std::mem::take(&mut self.errors);
        let mut inner = Self { at: format!("{}/{name}", self.at), errors, ..Self::new(members) };
        read(&mut inner);
        self.errors = inner.finish(&[]);
    }

    /// The member, where it is there and not null.
    fn take(&mut self, name: &'static str) -> Option<Value> {
        self.has(name);
        self.members.remove(name).filter(|value| !value.is_null())
    }

    fn mistyped<T>(&mut self, name: &str, expected: &str) -> Option<T> {
        self.errors.mistyped(format!("{}/{name}", self.at), expected);
        None
    }

    fn text(&mut self, name: &'static str) -> Option<String> {
        match self.take(name)? {
            Value::String(text) => Some(text),
            _ => self.mistyped(name, "a string"),
        }
    }

    fn boolean(&mut self, name: &'static str) -> Option<bool> {
        match self.take(name)? {
            Value::Bool(value) => Some(value),
            _ => self.mistyped(name, "true or false"),
        }
    }

    /// A list of strings. What is no string keeps its place, so that later errors point to the right one.
    fn texts(&mut self, name: &'static str) -> Option<Vec<String>> {
        let Value::Array(items) = self.take(name)? else { return self.mistyped(name, "a list of strings") };
        let mut texts = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            texts.push(match item {
                Value::String(text) => text,
                _ => self.mistyped(&format!("{name}/{index}"), "a string").unwrap_or_default(),
            });
        }
        Some(texts)
    }

    fn is_legacy(&mut self) -> bool {
        match self.text("type").as_deref() {
            None | Some("fine_grained") => false,
            Some("legacy") => true,
            Some(_) => {
                self.errors.add("/type", "type_unknown", "a key's type is `fine_grained` or `legacy`");
                false
            }
        }
    }

    fn allowlist(&mut self) -> Option<AllowlistDraft> {
        if !self.has("allowlist") || self.members.get("allowlist").is_none_or(Value::is_null) {
            self.members.remove("allowlist");
            return None;
        }
        let mut draft = AllowlistDraft::default();
        let expected = "an object such as {\"networks\":[],\"platform\":true}, or null";
        self.inside("allowlist", expected, |allowlist| {
            draft.networks = allowlist.texts("networks").unwrap_or_default();
            draft.platform = allowlist.boolean("platform").unwrap_or_default();
        });
        Some(draft)
    }

    /// Whatever was not read has no business here.
    fn finish(mut self, immutable: &[&str]) -> FieldErrors {
        let known: Vec<String> = self.known.iter().map(|name| format!("`{name}`")).collect();
        let known = if known.is_empty() { "no fields".to_owned() } else { known.join(", ") };
        for name in self.members.keys() {
            let pointer = pointer(&self.at, name);
            if immutable.contains(&name.as_str()) {
                self.errors.add(pointer, "field_immutable", "this cannot be changed here");
            } else {
                let message = format!("there is no field `{}`; this takes {known}", quoted(name));
                self.errors.add(pointer, "field_unknown", message);
            }
        }
        self.errors
    }
}
