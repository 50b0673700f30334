//! The routes of keys.

use super::Shared;
use super::answer::{Refusal, json};
use super::auth::OPERATOR;
use super::body::Body;
use super::places::Place;
use super::query;
use crate::control::IssuedKey;
use crate::model::{Allowlist, ApiKey, ClientSecret, KeyKind, ManagedBy, Network, PermissionName, Revision, Timestamp};
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Serialize;
use serde_json::json;

/// `GET .../keys`
pub(super) async fn list(
    State(control): State<Shared>,
    place: Place,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let environment = place.environment()?;
    let query = query::key_query(query.as_deref().unwrap_or_default())?;
    let listing = control.list_keys(&environment, query).await?;
    let data: Vec<KeyObject<'_>> = listing.keys.iter().map(|key| KeyObject::new(key, listing.now)).collect();
    let next_cursor = listing.next.as_ref().map(query::write_cursor);
    Ok(json(StatusCode::OK, &json!({"data": data, "next_cursor": next_cursor})))
}

/// `POST .../keys`
pub(super) async fn create(State(control): State<Shared>, place: Place, body: Body) -> Result<Response, Refusal> {
    let environment = place.environment()?;
    let (draft, found) = body.key_draft()?;
    let issued = control.create_key(&environment, draft, found, OPERATOR).await?;
    Ok(issued_key(StatusCode::CREATED, &issued, control.now()))
}

/// `GET .../keys/{client_id}`
pub(super) async fn show(State(control): State<Shared>, place: Place) -> Result<Response, Refusal> {
    let key = control.show_key(&place.environment()?, &place.client_id()?).await?;
    Ok(one_key(StatusCode::OK, &key, &KeyObject::new(&key, control.now())))
}

/// `POST .../keys/{client_id}/rotate`
pub(super) async fn rotate(
    State(control): State<Shared>,
    place: Place,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let (environment, id) = (place.environment()?, place.client_id()?);
    let expected = if_match(&headers)?;
    let (draft, found) = body.rotation_draft()?;
    let issued = control.rotate_key(&environment, &id, draft, found, expected).await?;
    Ok(issued_key(StatusCode::OK, &issued, control.now()))
}

/// `POST .../keys/{client_id}/revoke`
pub(super) async fn revoke(
    State(control): State<Shared>,
    place: Place,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let (environment, id) = (place.environment()?, place.client_id()?);
    body.nothing()?;
    let key = control.revoke_key(&environment, &id, if_match(&headers)?).await?;
    Ok(one_key(StatusCode::OK, &key, &KeyObject::new(&key, control.now())))
}

/// A key as the API shows it.
#[derive(Serialize)]
struct KeyObject<'a> {
    client_id: &'a str,
    name: &'a str,
    description: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    permissions: Option<&'a [PermissionName]>,
    role: Option<&'a str>,
    allowlist: Option<AllowlistObject<'a>>,
    status: &'static str,
    expires_at: Option<Timestamp>,
    created_at: Timestamp,
    created_by: &'a str,
    rotated_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
    last_used_at: Option<Timestamp>,
    secret_version: u64,
    secret_last_four: Option<&'a str>,
    revision: u64,
    managed_by: &'static str,
}

#[derive(Serialize)]
struct AllowlistObject<'a> {
    networks: &'a [Network],
    platform: bool,
}

/// The one object that carries a secret.
#[derive(Serialize)]
struct IssuedKeyObject<'a> {
    #[serde(flatten)]
    key: KeyObject<'a>,
    client_secret: &'a str,
}

impl<'a> KeyObject<'a> {
    fn new(key: &'a ApiKey, now: Timestamp) -> Self {
        let (kind, permissions, role) = match &key.kind {
            KeyKind::FineGrained { permissions } => ("fine_grained", Some(permissions.as_slice()), None),
            KeyKind::Legacy { role } => ("legacy", None, Some(role.as_str())),
        };
        let allowlist = |list: &'a Allowlist| AllowlistObject { networks: list.networks(), platform: list.platform() };
        Self {
            client_id: key.client_id.as_str(),
            name: key.name.as_str(),
            description: &key.description,
            kind,
            permissions,
            role,
            allowlist: key.allowlist.as_ref().map(allowlist),
            status: key.status(now).as_str(),
            expires_at: key.expires_at,
            created_at: key.created_at,
            created_by: &key.created_by,
            rotated_at: key.rotated_at,
            revoked_at: key.revoked_at,
            last_used_at: key.last_used_at,
            secret_version: key.secret_version.0,
            secret_last_four: Some(key.secret_last_four.as_str()).filter(|four| !four.is_empty()),
            revision: key.revision.0,
            managed_by: match key.managed_by {
                ManagedBy::Api => "api",
                ManagedBy::File => "file",
            },
        }
    }
}

fn issued_key(status: StatusCode, issued: &IssuedKey, now: Timestamp) -> Response {
    let client_secret = ClientSecret::expose(&issued.secret);
    one_key(status, &issued.key, &IssuedKeyObject { key: KeyObject::new(&issued.key, now), client_secret })
}

fn one_key(status: StatusCode, key: &ApiKey, object: &impl Serialize) -> Response {
    let mut response = json(status, object);
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{}\"", key.revision.0)) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// The revision that `If-Match` asks for (RFC 9110 section 13.1.1); `None` without one and for `*`. A tag that is none
/// of ours matches nothing.
fn if_match(headers: &HeaderMap) -> Result<Option<Revision>, Refusal> {
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
