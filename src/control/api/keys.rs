//! The routes of keys.

use super::answer::{Page, Refusal, json, list, page};
use super::auth::Asked;
use super::bodies::{CreateKey, EditKey, Nothing, RotateKey};
use super::body::Body;
use super::document::{IdempotencyKey, IfMatch, refusals, tag};
use super::places::Place;
use super::query::{self, KeyParameters};
use super::revision::{if_match, replayed, tagged};
use super::schema::{Address, Description, ETag, KeyType};
use super::{ENVIRONMENT, Shared};
use crate::control::{Asking, ControlProblem, IssuedKey, ListPlace};
use crate::model::{
    Allowlist, ApiKey, ClientId, ClientSecret, EnvironmentId, KeyKind, KeyName, KeyStatus, ManagedBy, Network,
    PermissionName, Revision, Timestamp,
};
use crate::store::OperationUse;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Serialize;
use std::net::IpAddr;
use utoipa::ToSchema;

type KeyPage<'a> = Page<KeyObject<'a>>;
type UsagePage<'a> = Page<UsageObject<'a>>;

refusals! {
    /// What making a key can be refused for.
    Creating: NameTaken
}

refusals! {
    /// What editing a key can be refused for.
    Editing: KeyRevoked, ManagedByFile, NameTaken
}

refusals! {
    /// What rotating a key can be refused for.
    Rotating: KeyRevoked, ManagedByFile
}

refusals! {
    /// What revoking a key can be refused for.
    Revoking: ManagedByFile
}

/// List API keys
///
/// One page of an environment's keys, newest first unless `sort` says otherwise; those that tenant files declare count as
/// the newest. Filters are combined; one that is misspelt is refused, so that it never answers with everything.
#[utoipa::path(get, context_path = ENVIRONMENT, path = "/keys", operation_id = "list_keys", tag = tag::KEYS,
    params(KeyParameters),
    responses((status = 200, description = "One page of keys", body = KeyPage)))]
pub(super) async fn list_all(
    State(control): State<Shared>,
    asked: Asked,
    place: Place,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let environment = place.environment()?;
    let query = query::key_query(query.as_deref().unwrap_or_default())?;
    let listing = control.list_keys(&asked.asking(), &environment, query).await?;
    let next_cursor = listing.next.as_ref().map(ListPlace::to_text);
    Ok(page(listing.keys.iter().map(|key| KeyObject::new(key, listing.now)), next_cursor))
}

/// Make an API key
///
/// The answer holds the secret, once: it is kept nowhere and cannot be shown again. A key that holds a `portcullis:`
/// permission is made by admins and owners alone; a management key makes only keys that may do no more than what it may
/// give (`grant_exceeds_own`).
#[utoipa::path(post, context_path = ENVIRONMENT, path = "/keys", operation_id = "create_key", tag = tag::KEYS,
    params(IdempotencyKey), request_body = CreateKey,
    responses((status = 201, description = "The key and its secret; without the secret where the request was done before",
        body = IssuedKeyObject, headers(("ETag" = ETag))), Creating))]
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

/// Show an API key
#[utoipa::path(get, context_path = ENVIRONMENT, path = "/keys/{client_id}", operation_id = "show_key", tag = tag::KEYS,
    responses((status = 200, description = "The key", body = KeyObject, headers(("ETag" = ETag)))))]
pub(super) async fn show(State(control): State<Shared>, asked: Asked, place: Place) -> Result<Response, Refusal> {
    let asking = asked.asking();
    let key = control.show_key(&asking, &place.environment()?, &place.client_id()?).await?;
    Ok(one_key(StatusCode::OK, &key, &KeyObject::new(&key, asking.act.at)))
}

/// Edit an API key
///
/// Name, description, permissions and allowlist, in place: tokens that are out obey the next request already.
#[utoipa::path(patch, context_path = ENVIRONMENT, path = "/keys/{client_id}", operation_id = "edit_key",
    tag = tag::KEYS, params(IfMatch), request_body = EditKey,
    responses((status = 200, description = "The key as it is now", body = KeyObject, headers(("ETag" = ETag))), Editing))]
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

/// Rotate an API key
///
/// The key gets a new secret and a new expiry. The old secret and every token that was got with it are dead before the
/// answer is sent. The answer holds the new secret, once.
#[utoipa::path(post, context_path = ENVIRONMENT, path = "/keys/{client_id}/rotate", operation_id = "rotate_key",
    tag = tag::KEYS, params(IfMatch, IdempotencyKey), request_body = RotateKey,
    responses((status = 200, description = "The key and its secret; without the secret where the request was done before",
        body = IssuedKeyObject, headers(("ETag" = ETag))), Rotating))]
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

/// Revoke an API key
///
/// Ends the key for good, with every token of it; again is no error. The row stays, and the name becomes free.
#[utoipa::path(post, context_path = ENVIRONMENT, path = "/keys/{client_id}/revoke", operation_id = "revoke_key",
    tag = tag::KEYS, params(IfMatch, IdempotencyKey), request_body = Option<Nothing>,
    responses((status = 200, description = "The key as it is now", body = KeyObject, headers(("ETag" = ETag))), Revoking))]
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

/// Show what an API key is used for
///
/// How often it did each operation, most often first. Counted where requests are served and written in batches: the
/// last minute may be missing. A key that a file declares is not counted.
#[utoipa::path(get, context_path = ENVIRONMENT, path = "/keys/{client_id}/usage", operation_id = "list_key_usage",
    tag = tag::KEYS, responses((status = 200, description = "The operations, on one page", body = UsagePage)))]
pub(super) async fn usage(State(control): State<Shared>, asked: Asked, place: Place) -> Result<Response, Refusal> {
    let used = control.key_usage(&asked.asking(), &place.environment()?, &place.client_id()?).await?;
    Ok(list(used.iter().map(UsageObject::new)))
}

/// How often a key did an operation.
#[derive(Serialize, ToSchema)]
#[schema(as = OperationUsage)]
struct UsageObject<'a> {
    #[schema(example = "listCards")]
    operation: &'a str,
    #[schema(minimum = 1, example = 1204)]
    count: u64,
    last_used_at: Timestamp,
}

impl<'a> UsageObject<'a> {
    fn new(used: &'a OperationUse) -> Self {
        Self { operation: &used.operation, count: used.count, last_used_at: used.last_used_at }
    }
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

/// An API key: everything about it but its secret.
#[derive(Serialize, ToSchema)]
#[schema(as = Key)]
pub(super) struct KeyObject<'a> {
    client_id: &'a ClientId,
    name: &'a KeyName,
    #[schema(value_type = Description)]
    description: &'a str,
    /// `fine_grained` keys hold permissions, `legacy` ones a role.
    #[serde(rename = "type")]
    kind: KeyType,
    /// Exactly what it may do. Null for legacy keys.
    permissions: Option<&'a [PermissionName]>,
    /// The role of a legacy key, else null.
    #[schema(example = json!(null))]
    role: Option<&'a str>,
    /// What it may give to others beyond its own permissions; null where there is nothing.
    may_grant: Option<&'a [PermissionName]>,
    /// From where it may be used; null is any address.
    allowlist: Option<AllowlistObject<'a>>,
    status: KeyStatus,
    /// The first second at which it is dead; null is never.
    expires_at: Option<Timestamp>,
    created_at: Timestamp,
    /// Who made it.
    #[schema(example = "mbr_1Qx7pTz3mK9vB2nW5sLdYe")]
    created_by: &'a str,
    /// When its secret was last made anew.
    rotated_at: Option<Timestamp>,
    /// When it was ended for good.
    revoked_at: Option<Timestamp>,
    /// When it last opened something. Written in batches: the last minute may be missing.
    last_used_at: Option<Timestamp>,
    /// From where it was last used.
    #[schema(value_type = Option<Address>)]
    last_address: Option<IpAddr>,
    /// How often its secret was made, starting at 1: rotation alone changes it.
    #[schema(minimum = 1, example = 1)]
    secret_version: u64,
    /// The last four characters of its secret, to tell secrets apart; null where only a digest is known.
    #[schema(min_length = 4, max_length = 4, example = "x7Qe")]
    secret_last_four: Option<&'a str>,
    revision: Revision,
    managed_by: ManagedBy,
}

/// From where a key may be used.
#[derive(Serialize, ToSchema)]
#[schema(as = Allowlist)]
struct AllowlistObject<'a> {
    /// Addresses and networks.
    networks: &'a [Network],
    /// Whether the environment's platform addresses count too.
    platform: bool,
}

/// A key together with its secret: the one time that the secret is shown.
#[derive(Serialize, ToSchema)]
#[schema(as = IssuedKey)]
pub(super) struct IssuedKeyObject<'a> {
    #[serde(flatten)]
    key: KeyObject<'a>,
    /// For the token endpoint. It is there unless the request was done before under the same `Idempotency-Key`.
    #[schema(
        required = false,
        pattern = "^pculls_[0-9A-Za-z]{49}$",
        example = "pculls_0000000000000000000000000000000000000000000000000"
    )]
    client_secret: &'a str,
}

impl<'a> KeyObject<'a> {
    fn new(key: &'a ApiKey, now: Timestamp) -> Self {
        let (kind, permissions, role) = match &key.kind {
            KeyKind::FineGrained { permissions } => (KeyType::FineGrained, Some(permissions.as_slice()), None),
            KeyKind::Legacy { role } => (KeyType::Legacy, None, Some(role.as_str())),
        };
        let allowlist = |list: &'a Allowlist| AllowlistObject { networks: list.networks(), platform: list.platform() };
        Self {
            client_id: &key.client_id,
            name: &key.name,
            description: &key.description,
            kind,
            permissions,
            role,
            may_grant: Some(key.may_grant.as_slice()).filter(|names| !names.is_empty()),
            allowlist: key.allowlist.as_ref().map(allowlist),
            status: key.status(now),
            expires_at: key.expires_at,
            created_at: key.created_at,
            created_by: &key.created_by,
            rotated_at: key.rotated_at,
            revoked_at: key.revoked_at,
            last_used_at: key.last_used_at,
            last_address: key.last_address,
            secret_version: key.secret_version.0,
            secret_last_four: Some(key.secret_last_four.as_str()).filter(|four| !four.is_empty()),
            revision: key.revision,
            managed_by: key.managed_by,
        }
    }
}

fn one_key(status: StatusCode, key: &ApiKey, object: &impl Serialize) -> Response {
    tagged(json(status, object), key.revision)
}
