//! The routes of the node itself, for operators.

use super::Shared;
use super::answer::{Page, Refusal, json, list};
use super::auth::Asked;
use super::bodies::{Nothing, RotateSigningKey};
use super::body::Body;
use super::document::{refusals, tag};
use crate::control::{Change, EnvironmentChange, KeysHolding, LastReload, NodeProblem, Reloaded, SigningKeyFacts};
use crate::model::{ClientId, PermissionName, Timestamp};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

type SigningKeyPage<'a> = Page<SigningKeyObject<'a>>;

refusals! {
    /// What everybody but an operator is told.
    Operators: NotAllowed
}

refusals! {
    /// What can come of reading files again.
    Reloading: ConfigurationInvalid, NotAllowed
}

/// Reload the files
///
/// Reads them again and serves by them, or changes nothing and says what is wrong with them. The answer comes once they
/// are in force. Settings of the node's own file wait for a restart; the answer names those that changed. For operators.
#[utoipa::path(post, path = "/v1/reload", operation_id = "reload", tag = tag::NODE, request_body = Option<Nothing>,
    responses((status = 200, description = "The files are in force", body = ReloadObject), Reloading))]
pub(super) async fn reload(State(control): State<Shared>, asked: Asked, body: Body) -> Result<Response, Refusal> {
    body.nothing()?;
    match control.reload(&asked.asking()).await {
        Ok(reloaded) => Ok(json(StatusCode::OK, &ReloadObject::new(&reloaded))),
        Err(problem) => Err(refusal(problem)),
    }
}

/// Drain the node
///
/// It takes no new requests, finishes those under way and ends. For operators.
#[utoipa::path(post, path = "/v1/drain", operation_id = "drain", tag = tag::NODE, request_body = Option<Nothing>,
    responses((status = 202, description = "It has begun", body = DrainObject), Operators))]
pub(super) async fn drain(State(control): State<Shared>, asked: Asked, body: Body) -> Result<Response, Refusal> {
    body.nothing()?;
    control.drain(&asked.asking()).map_err(refusal)?;
    Ok(json(StatusCode::ACCEPTED, &DrainObject { draining: true }))
}

/// List signing keys
///
/// Those that prove access tokens, oldest first. For operators.
#[utoipa::path(get, path = "/v1/signing-keys", operation_id = "list_signing_keys", tag = tag::NODE,
    responses((status = 200, description = "The keys, on one page", body = SigningKeyPage), Operators))]
pub(super) async fn signing_keys(State(control): State<Shared>, asked: Asked) -> Result<Response, Refusal> {
    let keys = control.signing_keys(&asked.asking()).await?;
    Ok(list(keys.iter().map(SigningKeyObject::new)))
}

/// Rotate the signing key
///
/// The next key is made and published. It signs once everybody had time to learn of it, and the one before it proves
/// tokens until the last one it signed has ended. For operators.
#[utoipa::path(post, path = "/v1/signing-keys/rotate", operation_id = "rotate_signing_key", tag = tag::NODE,
    request_body = Option<RotateSigningKey>,
    responses((status = 200, description = "The keys, on one page", body = SigningKeyPage), Operators))]
pub(super) async fn rotate_signing_key(
    State(control): State<Shared>,
    asked: Asked,
    body: Body,
) -> Result<Response, Refusal> {
    let immediately = body.immediately()?;
    let keys = control.rotate_signing_key(&asked.asking(), immediately).await.map_err(refusal)?;
    Ok(list(keys.iter().map(SigningKeyObject::new)))
}

fn refusal(problem: NodeProblem) -> Refusal {
    match problem {
        NodeProblem::Control(problem) => problem.into(),
        NodeProblem::HandedOver => Refusal::unavailable(problem.to_string()),
        NodeProblem::Files(problems) => Refusal::files(&problems),
    }
}

/// The files are in force.
#[derive(Serialize, ToSchema)]
#[schema(as = Reload)]
struct ReloadObject<'a> {
    /// Always true: files that are refused are a problem, whose `errors` name what is wrong.
    reloaded: bool,
    /// Always empty, for the same reason.
    problems: [&'a str; 0],
    /// Settings of `portcullis.toml` that differ from those the node runs by and wait for a restart.
    #[schema(example = json!(["listeners.edge.bind"]))]
    needs_restart: &'a [String],
    /// What somebody should know of, though the files are in force.
    warnings: &'a [String],
    /// Environments that are not as they were.
    changes: Vec<EnvironmentChangeObject<'a>>,
}

impl<'a> ReloadObject<'a> {
    fn new(reloaded: &'a Reloaded) -> Self {
        let Reloaded { needs_restart, warnings, changes } = reloaded;
        let changes = changes.iter().map(EnvironmentChangeObject::new).collect();
        Self { reloaded: true, problems: [], needs_restart, warnings, changes }
    }
}

/// An environment that is not as it was. Permissions and operations are told where it was changed.
#[derive(Serialize, ToSchema)]
#[schema(as = EnvironmentChange)]
struct EnvironmentChangeObject<'a> {
    /// Organization and environment.
    #[schema(example = "acme/production")]
    environment: &'a str,
    change: ChangeName,
    /// Permissions that are new: no key holds them yet.
    permissions_added: &'a [PermissionName],
    /// Permissions that are gone, with the keys that held them.
    permissions_removed: Vec<KeysHoldingObject<'a>>,
    /// Operations that were not known before.
    #[schema(example = json!(["GET /cards/{id}"]))]
    operations_added: Vec<&'a str>,
    /// Operations that are refused from now on.
    operations_removed: Vec<&'a str>,
}

/// What became of an environment.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = EnvironmentChangeKind)]
enum ChangeName {
    Added,
    Changed,
    Removed,
}

/// A permission, and the living keys that hold it.
#[derive(Serialize, ToSchema)]
#[schema(as = KeysHolding)]
struct KeysHoldingObject<'a> {
    permission: &'a PermissionName,
    key_count: u64,
    /// The first 20 of them.
    keys: Vec<KeyHoldingObject<'a>>,
}

/// One of the keys that hold a permission.
#[derive(Serialize, ToSchema)]
#[schema(as = KeyHolding)]
struct KeyHoldingObject<'a> {
    client_id: &'a ClientId,
    name: &'a str,
}

impl<'a> EnvironmentChangeObject<'a> {
    fn new(changed: &'a EnvironmentChange) -> Self {
        let texts = |names: &'a [Arc<str>]| names.iter().map(AsRef::as_ref).collect();
        Self {
            environment: &changed.environment,
            change: match changed.change {
                Change::Added => ChangeName::Added,
                Change::Changed => ChangeName::Changed,
                Change::Removed => ChangeName::Removed,
            },
            permissions_added: &changed.permissions_added,
            permissions_removed: changed.permissions_removed.iter().map(KeysHoldingObject::new).collect(),
            operations_added: texts(&changed.operations_added),
            operations_removed: texts(&changed.operations_removed),
        }
    }
}

impl<'a> KeysHoldingObject<'a> {
    fn new(holding: &'a KeysHolding) -> Self {
        let KeysHolding { permission, key_count, keys } = holding;
        let keys = keys.iter().map(|(client_id, name)| KeyHoldingObject { client_id, name: name.as_str() });
        Self { permission, key_count: *key_count, keys: keys.collect() }
    }
}

/// How the last reload went; until there is one, the start.
#[derive(Serialize, ToSchema)]
#[schema(as = LastReload)]
pub(super) struct LastReloadObject {
    at: Timestamp,
    /// False where the files were refused: what was there before serves.
    successful: bool,
    /// What is wrong with them, one thing a line, with file and line.
    problems: Vec<String>,
    /// Settings of `portcullis.toml` that differ from those the node runs by and wait for a restart.
    #[schema(example = json!(["listeners.edge.bind"]))]
    needs_restart: Vec<String>,
}

impl From<LastReload> for LastReloadObject {
    fn from(last: LastReload) -> Self {
        let LastReload { at, problems, needs_restart } = last;
        Self { at, successful: problems.is_empty(), problems, needs_restart }
    }
}

/// The node has begun to drain.
#[derive(Serialize, ToSchema)]
#[schema(as = Drain)]
struct DrainObject {
    draining: bool,
}

/// A key that signs access tokens, or proves those it signed.
#[derive(Serialize, ToSchema)]
#[schema(as = SigningKey)]
struct SigningKeyObject<'a> {
    /// Its `kid`.
    id: &'a str,
    /// `EdDSA`, `ES256`, `RS256` or `HS256`.
    #[schema(example = "EdDSA")]
    algorithm: &'a str,
    /// When it was made, and published.
    created_at: Timestamp,
    /// The first second at which it signs.
    signs_from: Timestamp,
    /// The first second at which it proves nothing any more; null while it has no successor.
    ends_at: Option<Timestamp>,
}

impl<'a> SigningKeyObject<'a> {
    fn new(key: &'a SigningKeyFacts) -> Self {
        let SigningKeyFacts { id, algorithm, created_at, signs_from, ends_at } = key;
        let (created_at, signs_from, ends_at) = (*created_at, *signs_from, *ends_at);
        Self { id, algorithm, created_at, signs_from, ends_at }
    }
}
