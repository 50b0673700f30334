//! The routes of keys.

use super::Shared;
use super::answer::{Refusal, json};
use super::auth::Asked;
use super::body::Body;
use super::places::Place;
use super::query;
use super::revision::{if_match, replayed, tagged};
use crate::control::{Asking, ControlProblem, IssuedKey};
use crate::model::{
    Allowlist, ApiKey, ClientId, ClientSecret, EnvironmentId, KeyKind, ManagedBy, Network, PermissionName, Timestamp,
};
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Serialize;
use serde_json::json;
use std::net::IpAddr;

/// `GET .../keys`
pub(super) async fn list(
    State(control): State<Shared>,
    asked: Asked,
    place: Place,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let environment = place.environment()?;
    let query = query::key_query(query.as_deref().unwrap_or_default())?;
    let listing = control.list_keys(&asked.asking(), &environment, query).await?;
    let data: Vec<KeyObject<'_>> = listing.keys.iter().map(|key| KeyObject::new(key, listing.now)).collect();
    let next_cursor = listing.next.as_ref().map(query::write_cursor);
    Ok(json(StatusCode::OK, &json!({"data": data, "next_cursor": next_cursor})))
}

/// `POST .../keys`
pub(super) async fn create(
    State(control): State<Shared>,
    asked: Asked,
    place: Place,
    body: Body,
) -> Result<Response, Refusal> {
    let environment = place.environment()?;
    let asking = asked.once(&body.bytes);
    let (draft, found) = body.key_draft()?;
    let issued = control.create_key(&asking, &environment, draft, found).await;
    answer(&control, &asking, &environment, StatusCode::CREATED, issued.map(Changed::from)).await
}

/// `GET .../keys/{client_id}`
pub(super) async fn show(State(control): State<Shared>, asked: Asked, place: Place) -> Result<Response, Refusal> {
    let asking = asked.asking();
    let key = control.show_key(&asking, &place.environment()?, &place.client_id()?).await?;
    Ok(one_key(StatusCode::OK, &key, &KeyObject::new(&key, asking.act.at)))
}

/// `PATCH .../keys/{client_id}`
pub(super) async fn edit(
    State(control): State<Shared>,
    asked: Asked,
    place: Place,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let (environment, id) = (place.environment()?, place.client_id()?);
    let asking = asked.asking();
    let expected = if_match(&headers)?;
    let (draft, found) = body.edit_draft()?;
    let key = control.edit_key(&asking, &environment, &id, draft, found, expected).await?;
    Ok(one_key(StatusCode::OK, &key, &KeyObject::new(&key, asking.act.at)))
}

/// `POST .../keys/{client_id}/rotate`
pub(super) async fn rotate(
    State(control): State<Shared>,
    asked: Asked,
    place: Place,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let (environment, id) = (place.environment()?, place.client_id()?);
    let asking = asked.once(&body.bytes);
    let expected = if_match(&headers)?;
    let (draft, found) = body.rotation_draft()?;
    let issued = control.rotate_key(&asking, &environment, &id, draft, found, expected).await;
    answer(&control, &asking, &environment, StatusCode::OK, issued.map(Changed::from)).await
}

/// `POST .../keys/{client_id}/revoke`
pub(super) async fn revoke(
    State(control): State<Shared>,
    asked: Asked,
    place: Place,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let (environment, id) = (place.environment()?, place.client_id()?);
    let asking = asked.once(&body.bytes);
    body.nothing()?;
    let revoked = control.revoke_key(&asking, &environment, &id, if_match(&headers)?).await;
    answer(&control, &asking, &environment, StatusCode::OK, revoked.map(|key| Changed { key, secret: None })).await
}

/// A key after a change, and its secret where the change made one.
struct Changed {
    key: ApiKey,
    secret: Option<ClientSecret>,
}

impl From<IssuedKey> for Changed {
    fn from(IssuedKey { key, secret }: IssuedKey) -> Self {
        Self { key, secret: Some(secret) }
    }
}

/// Answers a change. One that was done before is answered by the key as it is now, without its secret.
async fn answer(
    control: &Shared,
    asking: &Asking,
    environment: &EnvironmentId,
    status: StatusCode,
    changed: Result<Changed, ControlProblem>,
) -> Result<Response, Refusal> {
    match changed {
        Ok(Changed { key, secret: Some(secret) }) => {
            let client_secret = secret.expose();
            let object = IssuedKeyObject { key: KeyObject::new(&key, asking.act.at), client_secret };
            Ok(one_key(status, &key, &object))
        }
        Ok(Changed { key, secret: None }) => Ok(one_key(status, &key, &KeyObject::new(&key, asking.act.at))),
        Err(ControlProblem::AlreadyDone(id)) => {
            let id = ClientId::parse(&id).map_err(|_| Refusal::from(ControlProblem::Fault))?;
            let key = control.show_key(asking, environment, &id).await?;
            Ok(replayed(one_key(status, &key, &KeyObject::new(&key, asking.act.at))))
        }
        Err(problem) => Err(problem.into()),
    }
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
    may_grant: Option<&'a [PermissionName]>,
    allowlist: Option<AllowlistObject<'a>>,
    status: &'static str,
    expires_at: Option<Timestamp>,
    created_at: Timestamp,
    created_by: &'a str,
    rotated_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
    last_used_at: Option<Timestamp>,
    last_address: Option<IpAddr>,
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
            may_grant: Some(key.may_grant.as_slice()).filter(|names| !names.is_empty()),
            allowlist: key.allowlist.as_ref().map(allowlist),
            status: key.status(now).as_str(),
            expires_at: key.expires_at,
            created_at: key.created_at,
            created_by: &key.created_by,
            rotated_at: key.rotated_at,
            revoked_at: key.revoked_at,
            last_used_at: key.last_used_at,
            last_address: key.last_address,
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

fn one_key(status: StatusCode, key: &ApiKey, object: &impl Serialize) -> Response {
    tagged(json(status, object), key.revision)
}
